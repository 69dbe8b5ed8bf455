"""What is said in a recording, through the official client: as JSON, text and subtitles, with times, in pieces."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, InternalServerError

from gateway.parts import Gateway
from gateway.simulator import Settings, Simulator
from gateway.simulator.sound import spoken, wav
from tests.opened import client_of, opened, settled

WORDS = "The quick brown fox jumps over the lazy dog. Then it sleeps."
WHISPER, FAST, PARAKEET = "openai/whisper", "vaibhavs10/incredibly-fast-whisper", "nvidia/parakeet-rnnt-1.1b"

WORDWISE, SUBTITLED = "hnesk/whisper-wordtimestamps", "m1guelpf/whisper-subtitles"


def said(words: str = WORDS) -> bytes:
    """A recording of these words, as the simulator speaks and hears them."""
    return wav(spoken(words, "someone", 1.0), words)


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with Simulator(Settings()) as running:
        yield running


@pytest.fixture
async def gateway(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    simulated.reset()
    simulated.switch(metrics_delay=0.0)
    async with opened(simulated, tmp_path, upstream={"retry_seconds": 0.3}) as parts:
        yield parts


@pytest.mark.parametrize("model", [WHISPER, FAST, PARAKEET, WORDWISE, SUBTITLED])
async def test_what_is_said_comes_back(gateway: Gateway, model: str) -> None:
    async with client_of(gateway) as client:
        reply = await client.audio.transcriptions.create(model=model, file=("a.wav", said()))
    assert reply.text == WORDS
    assert reply.usage is not None
    assert reply.usage.type == "duration"
    assert 3 < reply.usage.seconds < 6


async def test_subtitles_and_text_are_bare(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        ask = client.audio.transcriptions.with_raw_response.create
        told = {
            form: await ask(model=FAST, file=("a.wav", said()), response_format=form)  # type: ignore[call-overload]
            for form in ("text", "srt", "vtt")
        }
    assert {reply.headers["content-type"] for reply in told.values()} == {"text/plain; charset=utf-8"}
    assert told["text"].text == f"{WORDS}\n"
    assert told["srt"].text.startswith("1\n00:00:00,000 --> 00:00:0")
    assert told["vtt"].text.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:0")
    assert "Then it sleeps." in " ".join(told["srt"].text.split())


@pytest.mark.parametrize("model", [FAST, WORDWISE])
async def test_words_and_segments_have_their_times(gateway: Gateway, model: str) -> None:
    async with client_of(gateway) as client:
        reply = await client.audio.transcriptions.create(
            model=model,
            file=("a.wav", said()),
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
            language="en",
        )
    assert (reply.text, reply.language) == (WORDS, "english")
    assert [word.word for word in reply.words or ()] == WORDS.split()
    assert " ".join(segment.text for segment in reply.segments or ()) == WORDS
    for listed in (reply.words or [], reply.segments or []):
        times = [time for each in listed for time in (each.start, each.end)]
        assert times == sorted(times)
        assert times[-1] == pytest.approx(reply.duration, abs=0.05)


async def test_speakers_are_told_apart(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        asked: dict[str, Any] = {"model": FAST, "response_format": "diarized_json", "extra_body": {"hf_token": "hf_x"}}
        whole = await client.audio.transcriptions.create(file=("a.wav", said()), **asked)
        async with await client.audio.transcriptions.create(file=("a.wav", said()), stream=True, **asked) as stream:
            told = [event async for event in stream]
    assert [segment.speaker for segment in whole.segments] == ["SPEAKER_00", "SPEAKER_01"]
    assert [event.type for event in told] == ["transcript.text.segment"] * 2 + ["transcript.text.done"]
    assert told[-1].text == WORDS


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_a_translation_is_in_english(gateway: Gateway, simulated: Simulator) -> None:
    async with client_of(gateway) as client:
        one = await client.audio.translations.create(model=WHISPER, file=("a.wav", said()))
        other = await client.audio.translations.create(
            model=FAST, file=("a.wav", said()), response_format="verbose_json"
        )
    assert one.text == f"In English: {WORDS}"
    assert other.segments
    first, second = simulated.predictions()
    assert (first.input["translate"], second.input["task"]) == (True, "translate")


async def test_a_file_of_ours_is_heard_by_its_id(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        kept = await client.files.create(file=("a.wav", said()), purpose="user_data")
        reply = await client._client.post(
            f"{client.base_url}audio/transcriptions",
            json={"model": WHISPER, "file": {"file_id": kept.id}},
            headers={"authorization": f"Bearer {client.api_key}"},
        )
    assert reply.json()["text"] == WORDS


async def test_a_long_recording_is_lent_and_taken_back(gateway: Gateway, simulated: Simulator) -> None:
    long = " ".join([WORDS] * 10)
    async with client_of(gateway) as client:
        reply = await client.audio.transcriptions.create(model=WHISPER, file=("a.wav", said(long)), language="en")
    await settled(gateway)
    (prediction,) = simulated.predictions()
    assert reply.text == long
    assert prediction.input["audio"].startswith(f"{simulated.base_url}/files/")
    assert prediction.input["language"] == "en"


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": "meta/meta-llama-3-8b-instruct"}, "model", "unsupported_model"),
        ({"file": ("a.txt", b"words", "text/plain")}, "file", "unsupported_format"),
        ({"file": ("a.wav", b"", "audio/wav")}, "file", "audio_too_short"),
        ({"model": PARAKEET, "response_format": "srt"}, "response_format", "unsupported_parameter"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities", "invalid_value"),
        ({"response_format": "srt", "stream": True}, "stream", "invalid_value"),
        ({"include": ["logprobs"]}, "include", "unsupported_parameter"),
        ({"language": "tlh"}, "language", "unsupported_parameter"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(
    gateway: Gateway, simulated: Simulator, fields: dict[str, Any], param: str, code: str
) -> None:
    async with client_of(gateway) as client:
        with pytest.raises(BadRequestError) as refused:
            await client.audio.transcriptions.create(**{"model": WHISPER, "file": ("a.wav", said()), **fields})
    assert (refused.value.param, refused.value.code) == (param, code)
    assert simulated.predictions() == []


async def test_a_stream_is_the_text_and_ends_with_it(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        stream = await client.audio.transcriptions.create(model=FAST, file=("a.wav", said()), stream=True)
        events = [event async for event in stream]
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == WORDS
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == WORDS


async def test_what_a_model_says_as_it_listens_is_told_as_it_says_it(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene(PARAKEET, "says", output=json.dumps(["  The quick", " brown ", "fox.", "\n"]))
    async with client_of(gateway) as client:
        stream = await client.audio.transcriptions.create(model=PARAKEET, file=("a.wav", said()), stream=True)
        told = [event async for event in stream]
    assert told[-1].type == "transcript.text.done"
    assert told[-1].text == "The quick brown fox."
    assert "".join(event.delta for event in told[:-1] if event.type == "transcript.text.delta") == told[-1].text


async def test_a_failure_before_the_first_word_keeps_its_status(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene(WHISPER, "fails")
    async with client_of(gateway) as client:
        with pytest.raises(InternalServerError) as failed:
            await client.audio.transcriptions.create(model=WHISPER, file=("a.wav", said()), stream=True)
    assert failed.value.code == "prediction_failed"

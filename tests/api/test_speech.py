"""A text, spoken, through the official client: the bytes that arrive play, and are what their type says."""

import asyncio
import base64
import io
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from gateway.parts import Gateway
from gateway.simulator import Settings, Simulator
from tests.opened import client_of, listens, opened, settled

WORDS = "The quick brown fox jumps over the lazy dog."
KOKORO, MINIMAX, BARK = "jaaari/kokoro-82m", "minimax/speech-02-turbo", "suno-ai/bark"


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


def seconds(content: bytes) -> float:
    """How long a WAV file plays; fails for anything else."""
    with wave.open(io.BytesIO(content)) as file:
        assert len(file.readframes(file.getnframes())) == file.getnframes() * 2
        return file.getnframes() / file.getframerate()


@pytest.mark.parametrize("model", [KOKORO, BARK])
async def test_what_arrives_plays_and_says_what_it_is(gateway: Gateway, model: str) -> None:
    async with client_of(gateway) as client:
        reply = await client.audio.speech.with_raw_response.create(model=model, input=WORDS, voice="alloy")
    content = reply.http_response.content
    assert reply.headers["content-type"] == "audio/wav"
    assert int(reply.headers["content-length"]) == len(content)
    assert 2 < seconds(content) < 6


async def test_a_synchronous_client_streams_it_into_a_file(gateway: Gateway, tmp_path: Path) -> None:
    def save(url: str, secret: str) -> None:
        with (
            OpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0) as client,
            client.audio.speech.with_streaming_response.create(model=KOKORO, input=WORDS, voice="nova") as reply,
        ):
            reply.stream_to_file(tmp_path / "said.wav")

    _, secret = await gateway.keys.create("test")
    async with listens(gateway) as url:
        await asyncio.to_thread(save, url, secret)
    assert 2 < seconds((tmp_path / "said.wav").read_bytes()) < 6


async def test_samples_are_bare_and_speed_is_heard(gateway: Gateway, simulated: Simulator) -> None:
    async with client_of(gateway) as client:
        ask = client.audio.speech.create
        slow = await ask(model=KOKORO, input=WORDS, voice="onyx", response_format="pcm", speed=0.5)
        fast = await ask(model=KOKORO, input=WORDS, voice="am_adam", response_format="pcm", speed=2)
        told = await ask(model=MINIMAX, input=WORDS, voice="Wise_Woman", response_format="pcm")
    assert slow.response.headers["content-type"] == "audio/pcm"
    assert len(slow.content) == pytest.approx(len(fast.content) * 4, rel=0.01)
    assert len(told.content) / 48_000 == pytest.approx(len(slow.content) / 48_000 / 2, rel=0.01)
    first, second, third = simulated.predictions()
    assert (first.input["voice"], second.input["voice"]) == ("am_adam", "am_adam")
    assert (third.input["audio_format"], third.input["sample_rate"], third.input["channel"]) == ("pcm", 24_000, "mono")


async def test_events_carry_the_sound(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        whole = await client.audio.speech.create(model=KOKORO, input=WORDS, voice="sage")
        async with client.audio.speech.with_streaming_response.create(
            model=KOKORO, input=WORDS, voice="sage", stream_format="sse"
        ) as reply:
            text = (await reply.read()).decode()
    frames = [frame.split("\n") for frame in text.strip().split("\n\n")]
    assert [name for name, _ in frames[:-1]] == ["event: speech.audio.delta"] * (len(frames) - 1)
    assert frames[-1][0] == "event: speech.audio.done"
    pieces = [data.partition('"audio":"')[2].removesuffix('"}') for _, data in frames[:-1]]
    assert b"".join(map(base64.b64decode, pieces)) == whole.content
    assert "[DONE]" not in text


async def test_a_format_that_did_not_come_is_named(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        reply = await client.audio.speech.with_raw_response.create(
            model=MINIMAX, input=WORDS, voice="coral", response_format="mp3"
        )
    assert reply.headers["content-type"] == "audio/wav"
    assert reply.headers["x-repligate-adjusted"] == "response_format"


async def test_characters_are_foreseen_and_booked(simulated: Simulator, tmp_path: Path) -> None:
    priced = {"speaker": {"model": KOKORO, "price": {"per_thousand_input_characters": 0.1}}}
    asked: dict[str, Any] = {"model": "speaker", "input": WORDS, "voice": "am_adam"}
    cost = len(WORDS) * 100
    async with opened(simulated, tmp_path, models=priced) as gateway, client_of(gateway) as client:
        ask = client.audio.speech.with_raw_response.create
        dry = await ask(**asked, extra_headers={"x-repligate-dry-run": "1"})
        assert dry.http_response.json()["cost"] == {
            "low": cost / 1_000_000,
            "high": cost / 1_000_000,
            "basis": "characters, estimated",
        }
        reply = await ask(**asked)
        assert float(reply.headers["x-repligate-cost"]) == cost / 1_000_000
        (booked,) = await settled(gateway)
    assert (booked["cost"], booked["basis"]) == (cost, "characters, estimated")


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": "meta/meta-llama-3-8b-instruct"}, "model", "unsupported_model"),
        ({"response_format": "mp3"}, "response_format", "unsupported_parameter"),
        ({"voice": "nobody"}, "voice", "invalid_value"),
        ({"voice": {"id": "voice_1"}}, "voice", "unsupported_parameter"),
        ({"model": BARK, "speed": 2}, "speed", "unsupported_parameter"),
        ({"speed": 5}, "speed", "decimal_above_max_value"),
        ({"input": ""}, "input", "empty_string"),
        ({"model": "chenxwh/openvoice"}, "audio", "missing_required_parameter"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(
    gateway: Gateway, simulated: Simulator, fields: dict[str, Any], param: str, code: str
) -> None:
    async with client_of(gateway) as client:
        with pytest.raises(BadRequestError) as refused:
            await client.audio.speech.create(**{"model": KOKORO, "input": WORDS, "voice": "alloy", **fields})
    assert (refused.value.param, refused.value.code) == (param, code)
    assert refused.value.response.headers["content-type"] == "application/json"
    assert simulated.predictions() == []

"""Models that speak, play, and listen."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from gateway.simulator.performance import Made, Performance, Piece
from gateway.simulator.players.part import Part
from gateway.simulator.sound import Tone, length_of, pcm, played, seconds, spoken, wav, words_in
from gateway.simulator.writer import seeded

_TEXTS = ("text", "prompt", "input_text", "gen_text", "tts_text", "text_input", "lyrics")
_VOICES = ("voice", "voice_id", "history_prompt", "speaker", "voice_a")
_AUDIO = ("audio", "audio_file", "audio_path", "file", "filepath")


def speech(part: Part) -> Performance:
    """Say a text."""
    text, voice = _first(part.inputs, _TEXTS), _first(part.inputs, _VOICES)
    speed = part.inputs.get("speed")
    tones = spoken(text, voice or part.name, float(speed) if isinstance(speed, int | float) and speed > 0 else 1.0)
    counts = {"character_input_count": len(text)} if part.model.ways.counts == "billing" else {}
    return _sounding(part, tones, text, counts)


def music(part: Part) -> Performance:
    """Play a tune."""
    prompt, length = _first(part.inputs, ("prompt", *_TEXTS)), part.inputs.get("duration")
    seed = part.inputs.get("seed")
    tones = played(prompt, float(length) if isinstance(length, int | float) else 8.0, seed or 0)
    counts = {"audio_output_duration_seconds": seconds(tones)} if part.model.ways.counts == "billing" else {}
    return _sounding(part, tones, prompt, counts)


def _sounding(part: Part, tones: list[Tone], words: str, counts: Mapping[str, Any]) -> Performance:
    made = _file(part, tones, words)
    output: Any = made
    schema = part.version.schema
    if schema.kind == "value":
        name = next((name for name, found in _uris(schema.output)), "audio")
        output = {name: made}
    listed = schema.kind == "files"
    return Performance(
        pieces=(Piece(output),),
        listed=listed,
        counts=lambda put_out: counts,
        streams=part.model.official,
        files=True,
    )


def _file(part: Part, tones: list[Tone], words: str) -> Made:
    # Only what can be written honestly: raw samples where they are asked for, a WAV file else.
    if part.inputs.get("audio_format") == "pcm":
        return Made(name="output.pcm", media_type="application/octet-stream", content=partial(pcm, tones))
    return Made(name="output.wav", media_type="audio/wav", content=partial(wav, tones, words))


def _uris(output: Mapping[str, Any]) -> list[tuple[str, Any]]:
    properties: Mapping[str, Any] = output.get("properties", {})
    required = output.get("required", ())
    found = [(name, schema) for name, schema in properties.items() if schema.get("format") == "uri"]
    return sorted(found, key=lambda pair: pair[0] not in required)


def transcription(part: Part) -> Performance:
    """Write down what is heard: the words of a file of ours, else how long the sound is."""
    content = next((found for name in _AUDIO if (found := part.open(part.inputs.get(name)))), None)
    heard = _heard(content)
    length = length_of(content) if content else 3.0
    segments = _segments(heard, length)
    log = "".join(f"[{_clock(start)} --> {_clock(end)}]  {text}\n" for start, end, text in segments)
    return Performance(pieces=(Piece(_written(part, heard, segments)),), listed=False, log=log, streams=False)


def _heard(content: bytes | None) -> str:
    if content is None:
        return "A sound from elsewhere, which the simulator did not fetch."
    length = length_of(content)
    kind = "quiet" if seeded({}, repr(content[:64])).random() < 0.5 else "lively"
    return words_in(content) or f"A {kind} sound of {length:.1f} seconds."


def _segments(text: str, length: float) -> list[tuple[float, float, str]]:
    words = text.split()
    parts = [" ".join(words[place : place + 8]) for place in range(0, len(words), 8)] or [""]
    step = length / len(parts)
    return [(round(place * step, 2), round((place + 1) * step, 2), part) for place, part in enumerate(parts)]


def _clock(instant: float, point: str = ".") -> str:
    minutes, rest = divmod(instant, 60)
    return f"{int(minutes):02d}:{rest:06.3f}".replace(".", point)


def _written(part: Part, text: str, segments: list[tuple[float, float, str]]) -> Any:
    schema = part.version.schema
    answers = schema.output.get("properties", {})
    if schema.kind == "text":
        return text
    if "subtitles" in answers:
        return {"text": text, "language": "en", "subtitles": _styled(part.inputs.get("format"), text, segments)}
    if "transcription" in answers:
        return _whisper(part, text, segments)
    if part.inputs.get("timestamp") == "word":
        segments = [word for segment in segments for word in _words(*segment)]
    chunks = [{"timestamp": [start, end], "text": f" {said}"} for start, end, said in segments]
    return {"text": text, "chunks": chunks, **_spoken_by(part, chunks)}


def _spoken_by(part: Part, chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Who said it, where that was asked for: two who take turns."""
    if not part.inputs.get("diarise_audio"):
        return {}
    return {"speakers": [{**chunk, "speaker": f"SPEAKER_{place % 2:02d}"} for place, chunk in enumerate(chunks)]}


def _words(start: float, end: float, text: str) -> list[tuple[float, float, str]]:
    """The words of a segment, each for as long as its letters take."""
    words, place, told = text.split(), start, []
    letters = sum(map(len, words)) or 1
    for word in words:
        until = place + (end - start) * len(word) / letters
        told.append((round(place, 2), round(until, 2), word))
        place = until
    return told


def _styled(style: Any, text: str, segments: list[tuple[float, float, str]]) -> str:
    return {"srt": _srt, "vtt": _vtt}.get(str(style), lambda _: text)(segments)


def _whisper(part: Part, text: str, segments: list[tuple[float, float, str]]) -> dict[str, Any]:
    language = str(part.inputs.get("language") or "auto")
    listed = [
        {
            "id": place,
            "seek": 0,
            "start": start,
            "end": end,
            "text": f" {said}",
            "tokens": [],
            "temperature": 0.0,
            "avg_logprob": -0.2,
            "compression_ratio": 1.1,
            "no_speech_prob": 0.01,
            **_timed_words(part, start, end, said),
        }
        for place, (start, end, said) in enumerate(segments)
    ]
    return {
        "segments": listed,
        "translation": f"In English: {text}" if part.inputs.get("translate") else None,
        "transcription": _styled(part.inputs.get("transcription"), text, segments),
        "detected_language": "english" if language in ("auto", "None") else language,
    }


def _timed_words(part: Part, start: float, end: float, said: str) -> dict[str, Any]:
    if not part.inputs.get("word_timestamps"):
        return {}
    timed = _words(start, end, said)
    return {"words": [{"word": f" {word}", "start": begin, "end": until} for begin, until, word in timed]}


def _srt(segments: list[tuple[float, float, str]]) -> str:
    return "\n".join(
        f"{place}\n00:{_clock(start, ',')} --> 00:{_clock(end, ',')}\n{said}\n"
        for place, (start, end, said) in enumerate(segments, 1)
    )


def _vtt(segments: list[tuple[float, float, str]]) -> str:
    cues = "\n".join(f"{_clock(start)} --> {_clock(end)}\n{said}\n" for start, end, said in segments)
    return f"WEBVTT\n\n{cues}"


def _first(inputs: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((value for name in names if isinstance(value := inputs.get(name), str) and value), "")

"""What was heard, out of whatever shape a transcriber answered in, judged by the value."""

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from adapters.outputs import files_of, is_address, text_of
from adapters.subtitles import instant, lines_of
from adapters.wire.audio import Segment

_TEXTS = ("transcription", "text", "transcript", "full_text", "translation", "output", "result", "transcribed_text")
_TIMED = ("segments", "chunks", "utterances", "sentences", "sentence_info", "speakers")
_WORDS = ("words", "word_segments", "word_timestamps")
_SUBTITLES = ("subtitles", "srt", "vtt", "srt_file", "vtt_file")
_LANGUAGES = ("detected_language", "language", "language_code", "lang")
_SPOKEN = ("text", "transcript", "sentence", "word", "content")
_MOST_FILES = 4
_NESTED = ("output", "result", "results")
TELLING = frozenset((*_TIMED, *_WORDS, *_SUBTITLES))
"""Names in an answer that have to do with times."""

_PAUSE = 1.0
"""Seconds of silence between words that part two segments."""

_ENDS = (".", "?", "!", "。", "？", "！", "…")


class Stretch(Struct, frozen=True):
    """A stretch of what was said, or one word of it; `told` is what else the model said of it."""

    start: float
    end: float | None
    text: str
    speaker: str | None = None
    told: Mapping[str, Any] = {}


class Transcript(Struct, frozen=True):
    """All that a model said of a recording; empty where it did not."""

    text: str = ""
    language: str | None = None
    parts: tuple[Stretch, ...] = ()
    words: tuple[Stretch, ...] = ()
    until: float | None = None

    @property
    def end(self) -> float | None:
        """When the last of it was said."""
        ends = [each.end or each.start for each in (*self.parts, *self.words)]
        return max(ends, default=self.until)


def transcript(output: Any, files: Mapping[str, str], *, translated: bool = False) -> Transcript:
    """The transcript in an output. `files` has what stands at the addresses in it; `translated` takes the English
    words where the model gives both, whose times are then not known."""
    value = _opened(output, files)
    if isinstance(value, str):
        return _written(value)
    if isinstance(value, Mapping):
        return _object(value, files, translated=translated)
    if isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        return _listed([each for each in value if isinstance(each, Mapping)], Transcript())
    return Transcript(text_of(value).strip())


def addresses(output: Any) -> list[str]:
    """Where files stand that must be read to know what was said: all the output is, or all of its times."""
    if isinstance(output, Mapping) and any(output.get(name) for name in (*_TIMED, *_WORDS)):
        return []
    found = files_of([output[name] for name in output] if isinstance(output, Mapping) else output)
    return [each for each in found if not each.startswith("data:")][:_MOST_FILES]


def _opened(value: Any, files: Mapping[str, str]) -> Any:
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
    if not isinstance(value, str):
        return value
    return _parsed(files.get(value, value))


def _parsed(text: str) -> Any:
    """A text, or what is written in it as JSON or as Python shows its values."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return value if isinstance(value, (dict, list)) else text
    return text


def _written(text: str) -> Transcript:
    if is_address(text):
        return Transcript()
    lines = lines_of(text) if "-->" in text else ()
    if not lines:
        return Transcript(text.strip())
    return Transcript(" ".join(line.text for line in lines), None, tuple(map(_line, lines)))


def _line(line: Any) -> Stretch:
    return Stretch(line.start, line.end, line.text)


def _object(held: Mapping[str, Any], files: Mapping[str, str], *, translated: bool) -> Transcript:
    inner = next((held[name] for name in _NESTED if isinstance(held.get(name), (dict, list))), None)
    base = transcript(inner, files, translated=translated) if inner is not None else Transcript()
    for name in _SUBTITLES:
        if isinstance(held.get(name), str) and not base.parts:
            base = _written(files.get(held[name], held[name]))
    language = next((held[name] for name in _LANGUAGES if isinstance(held.get(name), str)), base.language)
    if translated and isinstance(held.get("translation"), str) and held["translation"].strip():
        return Transcript(held["translation"].strip(), language, until=_listed(_parts(held), base).end)
    texts = (held[name] for name in _TEXTS if isinstance(held.get(name), str))
    said = next((_written(files.get(text, text)) for text in texts), Transcript())
    parts = _parts(held)
    whole = Transcript(said.text or base.text, language, said.parts or base.parts, _words(held) or base.words)
    return _listed(parts, whole) if parts else whole


def _parts(held: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The lists of timed stretches; where one names speakers, that one."""
    found = [value for name in _TIMED if (value := _mappings(held.get(name)))]
    return next((each for each in found if any("speaker" in one for one in each)), found[0] if found else [])


def _listed(parts: Sequence[Mapping[str, Any]], whole: Transcript) -> Transcript:
    spoken = tuple(filter(None, map(_spoken, parts)))
    words = tuple(word for part in parts for word in _words(part)) or whole.words
    text = whole.text or "".join(_joint(str(_said(part) or "")) for part in parts).strip()
    return Transcript(text, whole.language, spoken or whole.parts, words)


def _joint(text: str) -> str:
    return text if text[:1].isspace() else f" {text}"


def _words(held: Mapping[str, Any]) -> tuple[Stretch, ...]:
    listed = next((value for name in _WORDS if (value := _mappings(held.get(name)))), [])
    return tuple(filter(None, map(_spoken, listed)))


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _spoken(part: Mapping[str, Any]) -> Stretch | None:
    start, end = _times(part)
    said = _said(part)
    if start is None or said is None:
        return None
    speaker = part.get("speaker")
    return Stretch(start, end, said.strip(), None if speaker is None else str(speaker), part)


def _said(part: Mapping[str, Any]) -> str | None:
    return next((part[name] for name in _SPOKEN if isinstance(part.get(name), str)), None)


def _times(part: Mapping[str, Any]) -> tuple[float | None, float | None]:
    pair = part.get("timestamp", part.get("timestamps"))
    if isinstance(pair, (list, tuple)) and len(pair) == 2:
        return _second(pair[0]), _second(pair[1])
    return (
        _second(part.get("start", part.get("start_time", part.get("from")))),
        _second(part.get("end", part.get("end_time", part.get("to")))),
    )


def _second(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value) if isinstance(value, (int, float)) else instant(value) if isinstance(value, str) else None
    except ValueError:
        return None


def by_words(heard: Transcript) -> Transcript:
    """The transcript with its words apart: models that were asked for words give them in the place of stretches."""
    if heard.words or not heard.parts or any(" " in each.text for each in heard.parts):
        return heard
    return Transcript(heard.text, heard.language, tuple(_stretches(heard.parts)), heard.parts)


def _stretches(words: Sequence[Stretch]) -> Iterator[Stretch]:
    """Sentences, and what a pause parts."""
    first = 0
    for place, word in enumerate(words):
        after = words[place + 1] if place + 1 < len(words) else None
        end = word.end if word.end is not None else word.start
        if after is None or word.text.endswith(_ENDS) or after.start - end > _PAUSE:
            held = words[first : place + 1]
            yield Stretch(held[0].start, word.end, " ".join(each.text for each in held))
            first = place + 1


def segment(place: int, spoken: Stretch, end: float) -> Segment:
    """A stretch in OpenAI's form, with what the model told of it."""
    told = spoken.told
    tokens = told.get("tokens")
    return Segment(
        id=place,
        seek=int(_told(told, "seek")),
        start=spoken.start,
        end=end,
        text=spoken.text,
        tokens=tuple(each for each in tokens if isinstance(each, int)) if isinstance(tokens, list) else (),
        temperature=_told(told, "temperature"),
        avg_logprob=_told(told, "avg_logprob"),
        compression_ratio=_told(told, "compression_ratio"),
        no_speech_prob=_told(told, "no_speech_prob"),
    )


def _told(told: Mapping[str, Any], name: str) -> float:
    value = told.get(name)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else 0

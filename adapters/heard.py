"""What was heard, in the form that the client asked for."""

from typing import Any

from msgspec import UNSET, UnsetType

from adapters.errors import InvalidAnswer
from adapters.languages import name_of
from adapters.lengths import seconds_of
from adapters.subtitles import Line, srt, vtt
from adapters.transcripts import Stretch, Transcript, segment
from adapters.wire.audio import (
    DIARIZED,
    DiarizedTranscription,
    Duration,
    HeardRequest,
    SpeakerSegment,
    Transcription,
    TranscriptionRequest,
    TranslationRequest,
    VerboseTranscription,
    Word,
)

Reply = Transcription | VerboseTranscription | DiarizedTranscription | str

SUBTITLED = {"srt": srt, "vtt": vtt}


def reply_of(request: HeardRequest, heard: Transcript) -> Reply:
    """The reply, text as a bare string. Raises InvalidAnswer where the model did not tell what was asked for."""
    length = _length(request)
    usage = _usage(heard, length)
    if request.form == "json":
        return Transcription(text=heard.text, usage=usage)
    if request.form == "text":
        return f"{heard.text}\n"
    if request.form in SUBTITLED:
        return SUBTITLED[request.form](_lines(heard, length) or _untold("segments", heard))
    if request.form == DIARIZED:
        return DiarizedTranscription(
            duration=_lasts(heard, length), text=heard.text, segments=speakers(heard, length), usage=usage
        )
    return _verbose(request, heard, length)


def _verbose(request: HeardRequest, heard: Transcript, length: float | None) -> VerboseTranscription:
    translated = isinstance(request, TranslationRequest)
    spoken = heard.language or getattr(request, "language", None)
    return VerboseTranscription(
        task="translate" if translated else "transcribe",
        language="english" if translated else name_of(spoken) if spoken else UNSET,
        duration=_lasts(heard, length),
        text=heard.text,
        segments=_segments(request, heard, length),
        words=_words(request, heard, length),
        usage=_usage(heard, length),
    )


def _segments(request: HeardRequest, heard: Transcript, length: float | None) -> Any:
    wanted = getattr(request, "timestamp_granularities", ())
    if wanted and "segment" not in wanted:
        return UNSET
    found = tuple(segment(place, each, _end(each, heard, length)) for place, each in enumerate(heard.parts))
    if not found and not isinstance(request, TranslationRequest):
        _untold("segments", heard)
    return UNSET if isinstance(request, TranslationRequest) and not found else found


def _words(request: HeardRequest, heard: Transcript, length: float | None) -> Any:
    if not asks_words(request):
        return UNSET
    found = tuple(
        Word(word=each.text, start=each.start, end=_end(each, heard, length)) for each in heard.words if each.text
    )
    return found or _untold("words", heard) or ()


def speakers(heard: Transcript, length: float | None) -> tuple[SpeakerSegment, ...]:
    """Who said what. Raises InvalidAnswer where the model named nobody."""
    if heard.text and not any(each.speaker for each in heard.parts):
        raise InvalidAnswer("The model did not tell who was speaking.", param="response_format")
    return tuple(
        SpeakerSegment(
            id=f"seg_{place:03d}",
            start=each.start,
            end=_end(each, heard, length),
            text=each.text,
            speaker=each.speaker or "unknown",
        )
        for place, each in enumerate(heard.parts)
    )


def _lines(heard: Transcript, length: float | None) -> list[Line]:
    return [Line(each.start, _end(each, heard, length), each.text) for each in heard.parts if each.text]


def _untold(what: str, heard: Transcript) -> list[Any]:
    """Nothing, of a recording in which nothing was said."""
    if heard.text:
        raise InvalidAnswer(f"The model did not tell when the {what} of its transcript were said.")
    return []


def _end(spoken: Stretch, heard: Transcript, length: float | None) -> float:
    if spoken.end is not None:
        return spoken.end
    # The last stretch of a recording that was cut has no end.
    return max(spoken.start, length if length is not None else heard.end or 0.0)


def _lasts(heard: Transcript, length: float | None) -> float | UnsetType:
    seconds = length if length is not None else heard.end
    return UNSET if seconds is None else round(seconds, 3)


def _usage(heard: Transcript, length: float | None) -> Duration | UnsetType:
    seconds = _lasts(heard, length)
    return UNSET if seconds is UNSET else Duration(seconds)


def _length(request: HeardRequest) -> float | None:
    return seconds_of(request.file.upload.content) if request.file.upload else None


def asks_words(request: HeardRequest) -> bool:
    """Whether the times of single words are wanted."""
    return isinstance(request, TranscriptionRequest) and "word" in request.timestamp_granularities

"""Sound: transcriptions, translations and speech, as requests, replies and events."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from adapters.errors import InvalidRequest, MissingParameter
from adapters.wire.base import References, Request, Upload, invalid_value

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
DIARIZED = "diarized_json"
VOICED = ("mp3", "opus", "aac", "flac", "wav", "pcm")
_IN_PIECES = ("json", "text", DIARIZED)


class Recording(Struct, frozen=True, kw_only=True):
    """The sound that a client gives: an upload, a file of ours by its id, or an address."""

    url: str | None = None
    file_id: str | None = None
    upload: Upload | None = None


class HeardRequest(Request, frozen=True, kw_only=True):
    """What transcriptions and translations share: every field of OpenAI's document for translations."""

    file: Recording
    prompt: str | None = None
    response_format: str | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None

    @classmethod
    def shaped(cls, given: dict[str, Any]) -> dict[str, Any]:
        """A form's file, or in JSON an address or `{"file_id"}`: each is a `Recording`."""
        file = given.get("file")
        if file is None or file == "":
            raise MissingParameter("Missing required parameter: 'file'.", param="file")
        return {**given, "file": _shaped(file)}

    @property
    def form(self) -> str:
        """The format of the answer."""
        return self.response_format or "json"

    @property
    def formats(self) -> tuple[str, ...]:
        return FORMATS

    def check(self) -> None:
        if self.form not in self.formats:
            raise invalid_value("response_format", self.form, self.formats)
        told = [each for each in (self.file.url, self.file.file_id, self.file.upload) if each is not None]
        if len(told) != 1:
            message = "Invalid 'file': expected a file, an address, or an object with a 'file_id'."
            raise InvalidRequest(message, param="file", code="invalid_value")

    def references(self) -> References:
        return {"file.file_id": self.file.file_id} if self.file.file_id else {}

    def resolved(self, found: Mapping[str, Upload]) -> Self:
        return replace(self, file=Recording(upload=found[self.file.file_id])) if self.file.file_id else self


class TranslationRequest(HeardRequest, frozen=True, kw_only=True):
    """Into English, whatever is spoken."""


class TranscriptionRequest(HeardRequest, frozen=True, kw_only=True):
    """Every field of OpenAI's document."""

    chunking_strategy: str | dict[str, Any] | None = None
    include: tuple[str, ...] = ()
    keywords: tuple[str, ...] | None = None
    known_speaker_names: tuple[str, ...] = ()
    known_speaker_references: tuple[Any, ...] = ()
    language: str | None = None
    languages: tuple[str, ...] | None = None
    stream: bool | None = None
    timestamp_granularities: tuple[str, ...] = ()

    @property
    def formats(self) -> tuple[str, ...]:
        return (*FORMATS, DIARIZED)

    def check(self) -> None:
        super().check()
        for place, value in enumerate(self.timestamp_granularities):
            if value not in ("word", "segment"):
                raise invalid_value(f"timestamp_granularities[{place}]", value, ("word", "segment"))
        for place, value in enumerate(self.include):
            if value != "logprobs":
                raise invalid_value(f"include[{place}]", value, ("logprobs",))
        if self.timestamp_granularities and self.form != "verbose_json":
            message = "Timestamp granularities need response_format 'verbose_json'."
            raise InvalidRequest(message, param="timestamp_granularities", code="invalid_value")
        if self.stream and self.form not in _IN_PIECES:
            message = f"There is no stream in response_format '{self.form}': use {', '.join(_IN_PIECES)}."
            raise InvalidRequest(message, param="stream", code="invalid_value")


class Duration(Struct, frozen=True, tag="duration"):
    """What a transcription used: seconds of sound."""

    seconds: float


class Transcription(Struct, frozen=True, kw_only=True):
    """The words alone."""

    text: str
    usage: Duration | UnsetType = UNSET


class Segment(Struct, frozen=True, kw_only=True):
    """A stretch of what was said; what a model does not tell of it stands as nothing."""

    id: int
    seek: int = 0
    start: float
    end: float
    text: str
    tokens: tuple[int, ...] = ()
    temperature: float = 0.0
    avg_logprob: float = 0.0
    compression_ratio: float = 0.0
    no_speech_prob: float = 0.0


class Word(Struct, frozen=True, kw_only=True):
    """One word, and when it was said."""

    word: str
    start: float
    end: float


class VerboseTranscription(Struct, frozen=True, kw_only=True):
    """The words and when they were said; `language` is a name."""

    task: str
    duration: float | UnsetType = UNSET
    text: str
    language: str | UnsetType = UNSET
    segments: tuple[Segment, ...] | UnsetType = UNSET
    words: tuple[Word, ...] | UnsetType = UNSET
    usage: Duration | UnsetType = UNSET


class SpeakerSegment(Struct, frozen=True, kw_only=True, tag="transcript.text.segment"):
    """Who said what, and when: a part of a reply, and an event."""

    id: str
    start: float
    end: float
    text: str
    speaker: str


class DiarizedTranscription(Struct, frozen=True, kw_only=True):
    """The words by their speakers."""

    duration: float | UnsetType = UNSET
    text: str
    segments: tuple[SpeakerSegment, ...]
    task: str = "transcribe"
    usage: Duration | UnsetType = UNSET


class TextDelta(Struct, frozen=True, tag="transcript.text.delta"):
    """A piece of the words."""

    delta: str


class TextDone(Struct, frozen=True, tag="transcript.text.done"):
    """All of the words."""

    text: str
    usage: Duration | UnsetType = UNSET


def _shaped(value: Any) -> Any:
    if isinstance(value, Upload):
        return {"upload": value}
    return {"url": value} if isinstance(value, str) else value


class SpeechRequest(Request, frozen=True, kw_only=True):
    """Every field of OpenAI's document; `voice` may be a model's own word, and left to the model."""

    input: Annotated[str, Meta(min_length=1)]
    voice: str | dict[str, Any] | None = None
    instructions: str | None = None
    response_format: str | None = None
    speed: Annotated[float, Meta(ge=0.25, le=4)] | None = None
    stream_format: str | None = None

    @property
    def streams(self) -> bool:
        return self.stream_format == "sse"

    def check(self) -> None:
        for name, value, known in (
            ("response_format", self.response_format, VOICED),
            ("stream_format", self.stream_format, ("audio", "sse")),
        ):
            if value is not None and value not in known:
                raise invalid_value(name, value, known)


class Sound(Struct, frozen=True, kw_only=True):
    """A recording as it leaves; `adjusted` where it is not of the format that was asked for."""

    content: bytes
    content_type: str
    adjusted: bool = False


class SpeechUsage(Struct, frozen=True, kw_only=True):
    """Tokens, for models that count them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class SpeechDelta(Struct, frozen=True, tag="speech.audio.delta"):
    """A piece of the sound, in base64."""

    audio: str


class SpeechDone(Struct, frozen=True, tag="speech.audio.done"):
    """The end of the sound."""

    usage: SpeechUsage | UnsetType = UNSET

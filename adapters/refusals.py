"""Which endpoint a model belongs to, when it was asked through another."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from adapters.errors import Unsupported
from adapters.media import Medium
from adapters.schema import Schema

Class = Literal["text", "transcript", "embeddings", "image", "edit", "audio", "video", "model3d", "archive", "file"]
"""What a model is, by what it makes and what it cannot do without."""

Kind = Literal["chat", "images", "speech", "transcription", "embeddings", "moderations", "videos"]


class Served(NamedTuple):
    """What models of a class make, and the endpoint that serves them, if one does."""

    things: str
    endpoint: str | None = None


_SERVED: Mapping[Class, Served] = {
    "text": Served("text", "/v1/chat/completions"),
    "transcript": Served("transcripts", "/v1/audio/transcriptions"),
    "embeddings": Served("embeddings", "/v1/embeddings"),
    "image": Served("images", "/v1/images/generations"),
    "edit": Served("images", "/v1/images/edits"),
    "audio": Served("audio", "/v1/audio/speech"),
    "video": Served("videos", "/v1/videos"),
    "model3d": Served("3D models"),
    "archive": Served("weights"),
    "file": Served("files"),
}
# A recording may come in a message, and the pictures of an edit by their inputs' own names.
_TAKEN: Mapping[Kind, frozenset[Class]] = {
    "chat": frozenset({"text", "transcript"}),
    "images": frozenset({"image", "edit"}),
    "speech": frozenset({"audio"}),
    "transcription": frozenset({"transcript"}),
    "embeddings": frozenset({"embeddings"}),
    # No schema shows that a model judges: families say so.
    "moderations": frozenset(),
    "videos": frozenset({"video"}),
}

_MOVING = {"fps", "num_frames", "video_length", "duration", "seconds", "frames_per_second", "generate_audio"}
_SOUNDING = {"voice", "voice_id", "speaker", "lyrics", "audio_format", "sample_rate"}
_DRAWING = {"width", "height", "aspect_ratio", "num_outputs", "num_inference_steps", "guidance_scale", "megapixels"}
_HEARING = {
    "translate", "initial_prompt", "word_timestamps", "num_speakers", "diarize", "diarization", "diarise_audio",
    "vad_filter", "no_speech_threshold",
}  # fmt: skip
_SPEAKING = {"max_tokens", "max_new_tokens", "max_length", "top_k", "system_prompt"}


def refuse_other_kinds(schema: Schema, kind: Kind) -> None:
    """Raises Unsupported for a model whose answers are of another kind, naming the endpoint that would serve it."""
    found = schema.known(class_of)
    if found not in _TAKEN[kind]:
        things, endpoint = _SERVED[found]
        where = f"use {endpoint}" if endpoint else "no endpoint here serves it"
        raise Unsupported(f"This model makes {things}: {where}.", param="model", code="unsupported_model")


def class_of(schema: Schema) -> Class:
    """By the example and the shape of its output, then by the files that it cannot do without."""
    if schema.embeds:
        return "embeddings"
    makes = made_by(schema)
    needs = {each.medium for each in schema.files if not each.settled}
    if makes in (None, "file") and _hears(schema):
        return "transcript"
    if makes is None:
        return "text"
    if makes == "image":
        return "edit" if "image" in needs else "image"
    return "file" if makes == "unknown" else makes


def made_by(schema: Schema) -> Medium | None:
    """What the model makes; None for text. By its example, else by the shape it declares and what it asks for."""
    shown = None if schema.medium == "unknown" else schema.medium
    if schema.output in ("file", "files") or schema.medium == "unknown":
        return shown or _guessed(schema)
    if schema.output in ("object", "any") and not schema.answered:
        names = set(schema.inputs)
        return _guessed(schema) if names & _DRAWING and not names & _SPEAKING else None
    # A text whose example is an address, or a list of them, is a file whose schema does not say so.
    return shown if schema.output != "number" else None


def _hears(schema: Schema) -> bool:
    """It cannot do without a recording, or takes one in several ways beside what only transcribers have."""
    sounds = [each for each in schema.files if each.medium == "audio"]
    return any(not each.settled for each in sounds) or bool(sounds and set(schema.inputs) & _HEARING)


def _guessed(schema: Schema) -> Medium:
    names = set(schema.inputs)
    if names & _MOVING:
        return "video"
    read = "text" in names and "prompt" not in names and not names & _DRAWING
    return "audio" if read or names & _SOUNDING else "image"

"""Which endpoint a model belongs to, when it was asked through another."""

from typing import Literal

from adapters.errors import Unsupported
from adapters.media import Medium
from adapters.schema import Schema

_ENDPOINTS: dict[Medium, str] = {
    "image": "/v1/images/generations",
    "audio": "/v1/audio/speech",
    "video": "/v1/videos",
}
_THINGS: dict[Medium, str] = {
    "image": "images",
    "audio": "audio",
    "video": "videos",
    "model3d": "3D models",
    "archive": "weights",
    "file": "files",
}
_MOVING = {"fps", "num_frames", "video_length", "duration", "seconds", "frames_per_second", "generate_audio"}
_SOUNDING = {"voice", "voice_id", "speaker", "lyrics", "audio_format", "sample_rate"}
_DRAWING = {"width", "height", "aspect_ratio", "num_outputs", "num_inference_steps", "guidance_scale", "megapixels"}
_SPEAKING = {"max_tokens", "max_new_tokens", "max_length", "top_k", "system_prompt"}


def refuse_other_kinds(schema: Schema, kind: Literal["chat", "images"]) -> None:
    """Raises Unsupported for a model whose answers are of another kind, naming the endpoint that would serve it."""
    if schema.embeds:
        raise _refusal("embeddings", "/v1/embeddings")
    makes = made_by(schema)
    if kind == "chat" and makes is not None:
        raise _refusal(_THINGS[makes], _ENDPOINTS.get(makes))
    if kind == "images" and makes is None:
        raise _refusal("text", "/v1/chat/completions")
    if kind == "images" and makes != "image":
        raise _refusal(_THINGS[makes or "file"], _ENDPOINTS.get(makes or "file"))


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


def _guessed(schema: Schema) -> Medium:
    names = set(schema.inputs)
    if names & _MOVING:
        return "video"
    return "audio" if names & _SOUNDING else "image"


def _refusal(things: str, endpoint: str | None) -> Unsupported:
    where = f"use {endpoint}" if endpoint else "no endpoint here serves it"
    return Unsupported(f"This model makes {things}: {where}.", param="model", code="unsupported_model")

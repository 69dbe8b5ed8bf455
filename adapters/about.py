"""What a model is good for: its class, the endpoints that serve it, and how much it reads and writes."""

from collections.abc import Mapping

from msgspec import Struct

from adapters.catalog import Catalog
from adapters.chat import ChatAdapter
from adapters.errors import Unsupported
from adapters.limits import MAX_TOKENS
from adapters.moderations import ModerationAdapter
from adapters.pictures import places_for
from adapters.prompts import carrier_of
from adapters.refusals import Class, class_of
from adapters.schema import Schema
from adapters.transcription import into_english
from adapters.wire.replicate import ModelRef

_TEXT = ("/v1/chat/completions", "/v1/responses", "/v1/completions")
_EDITS = ("/v1/images/edits", "/v1/images/variations")
_ENDPOINTS: Mapping[Class, tuple[str, ...]] = {
    "text": _TEXT,
    "transcript": ("/v1/audio/transcriptions",),
    "embeddings": ("/v1/embeddings",),
    "image": ("/v1/images/generations",),
    "edit": _EDITS,
    "audio": ("/v1/audio/speech",),
    "video": ("/v1/videos",),
}
_NAMES: Mapping[Class, str] = {
    "text": "chat",
    "transcript": "transcription",
    "embeddings": "embedding",
    "image": "image",
    "edit": "image",
    "audio": "audio",
    "video": "video",
}
_SPOKEN = ("text", "gen_text", "tts_text", "text_input", "input_text", "voice", "voice_id", "speaker", "history_prompt")
_CONTEXTS = ("context_length", "max_context_length", "context_window", "n_ctx", "num_ctx", "max_model_len")


class About(Struct, frozen=True, kw_only=True):
    """What clients are told of a model. Lengths are in tokens; None where the schema does not tell."""

    name: str
    endpoints: tuple[str, ...]
    context: int | None = None
    output: int | None = None


def about(schema: Schema, catalog: Catalog, ref: ModelRef) -> About:
    """By its schema; that it judges, or only goes on writing, is known of its family."""
    found = class_of(schema)
    name, endpoints = _NAMES.get(found, "other"), _ENDPOINTS.get(found, ())
    if found == "image" and places_for(schema, "image"):
        endpoints += _EDITS
    if found == "audio":
        name = "speech" if schema.get(*_SPOKEN) else name
        endpoints = endpoints if carrier_of(schema) else ()
    if found == "transcript" and _translates(schema):
        endpoints += ("/v1/audio/translations",)
    if found == "text" and catalog.find(ChatAdapter, ref).manner.base:
        name, endpoints = "completion", ("/v1/completions", *_TEXT[:2])
    if catalog.find(ModerationAdapter, ref).labels:
        name, endpoints = "moderation", ("/v1/moderations", *endpoints)
    writes = found == "text"
    return About(
        name=name,
        endpoints=endpoints,
        context=_most(schema, _CONTEXTS) if writes else None,
        output=_most(schema, MAX_TOKENS) if writes else None,
    )


def _translates(schema: Schema) -> bool:
    try:
        return bool(into_english(schema))
    except Unsupported:
        return False


def _most(schema: Schema, names: tuple[str, ...]) -> int | None:
    given = schema.get(*names)
    return int(given.maximum) if given and given.maximum and given.kind == "integer" else None

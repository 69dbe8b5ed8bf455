"""One request for one model record, prepared and not sent: what the command line and dry runs show."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from adapters.base import Adapter, Prepared
from adapters.catalog import Catalog, shipped
from adapters.chat import ChatAdapter
from adapters.completions import CompletionAdapter
from adapters.embeddings import EmbeddingAdapter
from adapters.errors import ApiError, InvalidRequest
from adapters.images import ImageAdapter
from adapters.moderations import ModerationAdapter
from adapters.responses import ResponsesAdapter
from adapters.schema import Schema
from adapters.speech import SpeechAdapter
from adapters.spoken import Spoken
from adapters.transcription import TranscriptionAdapter
from adapters.videos import VideoAdapter
from adapters.wire.audio import SpeechRequest, TranscriptionRequest, TranslationRequest
from adapters.wire.base import Request, decode
from adapters.wire.chat import ChatRequest
from adapters.wire.completions import CompletionRequest
from adapters.wire.embeddings import EmbeddingRequest
from adapters.wire.images import ImageEditRequest, ImageRequest, ImageVariationRequest
from adapters.wire.moderations import ModerationRequest
from adapters.wire.replicate import ModelRef
from adapters.wire.responses import ResponsesRequest
from adapters.wire.videos import VideoRequest


class KindOf(NamedTuple):
    """The adapter and the request that a kind's name stands for."""

    adapter: type[Adapter | Spoken]
    request: type[Request]


KINDS: Mapping[str, KindOf] = {
    "chat": KindOf(ChatAdapter, ChatRequest),
    "completions": KindOf(CompletionAdapter, CompletionRequest),
    "embeddings": KindOf(EmbeddingAdapter, EmbeddingRequest),
    "responses": KindOf(ResponsesAdapter, ResponsesRequest),
    "images": KindOf(ImageAdapter, ImageRequest),
    "edits": KindOf(ImageAdapter, ImageEditRequest),
    "moderations": KindOf(ModerationAdapter, ModerationRequest),
    "variations": KindOf(ImageAdapter, ImageVariationRequest),
    "speech": KindOf(SpeechAdapter, SpeechRequest),
    "transcriptions": KindOf(TranscriptionAdapter, TranscriptionRequest),
    "translations": KindOf(TranscriptionAdapter, TranslationRequest),
    "videos": KindOf(VideoAdapter, VideoRequest),
}


def translate(kind: str, record: Mapping[str, Any], request: bytes, catalog: Catalog | None = None) -> dict[str, Any]:
    """`{"model", "inputs", "ignored", "adjusted"}` for a model object as Replicate's API gives it, or
    `{"model", "error": {"message", "type", "param", "code"}}`. `inputs` has one object per prediction.

    A request that names no model is for this one. Raises KeyError for a kind that is none of `KINDS`.
    """
    chosen = KINDS[kind]
    name = f"{record.get('owner', '')}/{record.get('name', '')}"
    try:
        prepared = _prepared(chosen, record, _addressed(request, name), catalog or shipped())
    except ApiError as refused:
        told = {"message": refused.message, "type": refused.type, "param": refused.param, "code": refused.code}
        return {"model": name, "error": told}
    return {
        "model": name,
        "inputs": list(prepared.inputs),
        "ignored": list(prepared.ignored),
        "adjusted": list(prepared.adjusted),
    }


def schema_of(record: Mapping[str, Any]) -> Schema:
    """The schema in a model object. Raises InvalidRequest for a model without a version."""
    version = record.get("latest_version")
    document = version.get("openapi_schema") if isinstance(version, Mapping) else None
    if not isinstance(document, Mapping) or not document:
        raise InvalidRequest("This model has no version, and so no schema.", param="model", code="model_not_ready")
    example = record.get("default_example")
    return Schema.parse(document, example if isinstance(example, Mapping) else None)


def _prepared(chosen: KindOf, record: Mapping[str, Any], request: bytes, catalog: Catalog) -> Prepared:
    asked = decode(request, chosen.request)
    adapter: Any = catalog.find(chosen.adapter, ModelRef(str(record.get("owner", "")), str(record.get("name", ""))))
    prepared: Prepared = adapter.prepare(asked, schema_of(record))
    return prepared


def _addressed(request: bytes, name: str) -> bytes:
    try:
        asked = msgspec.json.decode(request)
    except (msgspec.DecodeError, RecursionError):
        return request
    if isinstance(asked, dict) and not asked.get("model"):
        return msgspec.json.encode({**asked, "model": name})
    return request

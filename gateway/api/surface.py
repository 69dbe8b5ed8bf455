"""The OpenAPI document of what OpenAI's clients call, made of the handlers and the structs they read and write."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from adapters.wire import audio as sounds
from adapters.wire import chat as chats
from adapters.wire import chatted, itemlists, responded
from adapters.wire import completions as texts
from adapters.wire import embeddings as vectors
from adapters.wire import files as kept
from adapters.wire import images as pictures
from adapters.wire import models as cards
from adapters.wire import moderations as judgements
from adapters.wire import responses as items
from adapters.wire import videos as films
from adapters.wire.base import EXTRA, Upload
from gateway import __version__
from gateway.api import (
    audio,
    chat,
    completions,
    embeddings,
    files,
    images,
    models,
    moderations,
    responses,
    uploads,
    usage,
    videos,
)
from gateway.api.orders import Refusal
from gateway.api.replies import JSON, reply
from gateway.api.requests import Asked

Json = dict[str, Any]
FORM, EVENTS, BYTES = "multipart/form-data", "text/event-stream", "application/octet-stream"
REFUSALS = {
    400: "The request is wrong, or asks this model for what it cannot do; `param` says where",
    401: "No key, or one that is unknown, blocked, expired or revoked",
    402: "Replicate wants credit from the gateway's account",
    403: "This key may not do that",
    404: "There is no such model or object, or it is not this key's",
    409: "The same Idempotency-Key is at work, or the object is not in a state for this",
    413: "The request is too large",
    429: "Too fast, or the money is spent; `retry-after` says when to come back",
    500: "A fault of ours",
    502: "Replicate failed, or answered what nobody can use",
    503: "The gateway cannot serve this now",
    504: "The model did not finish in time",
}


class Operation(Struct, frozen=True, kw_only=True):
    """An endpoint: the struct of its body or query, how bodies are written, and what it answers with."""

    handler: HTTPRouteHandler
    body: type[Struct] | None = None
    forms: tuple[str, ...] = (JSON,)
    query: type[Struct] | None = None
    tells: type[Struct] | None = None
    also: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """As OpenAPI writes it."""
        return re.sub(r":\w+}", "}", min(self.handler.paths))

    @property
    def method(self) -> str:
        return min(method.lower() for method in self.handler.http_methods if method not in {"HEAD", "OPTIONS"})


SURFACE = (
    Operation(
        handler=chat.create_chat_completion, body=chats.ChatRequest, tells=chatted.ChatCompletion, also=(EVENTS,)
    ),
    Operation(
        handler=completions.create_completion, body=texts.CompletionRequest, tells=texts.Completion, also=(EVENTS,)
    ),
    Operation(handler=responses.create_response, body=items.ResponsesRequest, tells=responded.Response, also=(EVENTS,)),
    Operation(handler=responses.get_response, query=itemlists.ResponseQuery, tells=responded.Response, also=(EVENTS,)),
    Operation(handler=responses.cancel_response, tells=responded.Response),
    Operation(handler=responses.delete_response, tells=kept.Deleted),
    Operation(handler=responses.list_input_items, query=itemlists.ItemsQuery, tells=itemlists.ItemList),
    Operation(handler=images.create_image, body=pictures.ImageRequest, tells=pictures.ImagesResponse, also=(EVENTS,)),
    Operation(
        handler=images.edit_image,
        body=pictures.ImageEditRequest,
        forms=(FORM, JSON),
        tells=pictures.ImagesResponse,
        also=(EVENTS,),
    ),
    Operation(
        handler=images.vary_image,
        body=pictures.ImageVariationRequest,
        forms=(FORM, JSON),
        tells=pictures.ImagesResponse,
        also=(EVENTS,),
    ),
    Operation(
        handler=audio.create_transcription,
        body=sounds.TranscriptionRequest,
        forms=(FORM,),
        tells=sounds.Transcription,
        also=("text/plain", EVENTS),
    ),
    Operation(
        handler=audio.create_translation,
        body=sounds.TranslationRequest,
        forms=(FORM,),
        tells=sounds.Transcription,
        also=("text/plain",),
    ),
    Operation(handler=audio.create_speech, body=sounds.SpeechRequest, also=("audio/*", EVENTS)),
    Operation(handler=embeddings.create_embedding, body=vectors.EmbeddingRequest, tells=vectors.EmbeddingResponse),
    Operation(
        handler=moderations.create_moderation, body=judgements.ModerationRequest, tells=judgements.ModerationResponse
    ),
    Operation(handler=videos.create_video, body=films.VideoRequest, forms=(FORM, JSON), tells=films.Video),
    Operation(handler=videos.list_videos, query=films.VideosQuery, tells=films.VideoList),
    Operation(handler=videos.get_video, tells=films.Video),
    Operation(handler=videos.get_video_content, query=films.ContentQuery, also=("video/*", "image/*")),
    Operation(handler=videos.remix_video, body=films.RemixRequest, tells=films.Video),
    Operation(handler=videos.delete_video, tells=kept.Deleted),
    Operation(handler=files.create_file, body=kept.FileRequest, forms=(FORM,), tells=kept.FileObject),
    Operation(handler=files.list_files, query=kept.FilesQuery, tells=kept.FileList),
    Operation(handler=files.get_file, tells=kept.FileObject),
    Operation(handler=files.get_file_content, also=(BYTES,)),
    Operation(handler=files.delete_file, tells=kept.Deleted),
    Operation(handler=uploads.create_upload, body=kept.UploadRequest, tells=kept.UploadObject),
    Operation(handler=uploads.add_part, body=kept.PartRequest, forms=(FORM,), tells=kept.PartObject),
    Operation(handler=uploads.complete_upload, body=kept.CompleteRequest, tells=kept.UploadObject),
    Operation(handler=uploads.cancel_upload, tells=kept.UploadObject),
    Operation(handler=models.list_models, query=cards.ModelsQuery, tells=cards.ModelList),
    Operation(handler=models.get_model, tells=cards.ModelCard),
    Operation(handler=usage.get_usage, query=usage.UsageQuery, tells=usage.OwnUsage),
)


@get("/openapi.json", status_code=200)
async def get_surface(request: Asked) -> Response[Any]:
    """The OpenAPI document of this gateway, for everyone."""
    return reply(document())


def document() -> Json:
    """What an OpenAPI 3.1 reader needs to know."""
    structs = [kind for each in SURFACE for kind in (each.body, each.query, each.tells) if kind]
    _, schemas = msgspec.json.schema_components([*structs, Refusal], ref_template="#/components/schemas/{name}")
    for schema in schemas.values():
        schema.get("properties", {}).pop(EXTRA, None)
    schemas[Upload.__name__] = {"type": "string", "format": "binary"}
    paths: Json = {}
    for each in SURFACE:
        paths.setdefault(each.path, {})[each.method] = _operation(each, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Repligate", "version": __version__},
        "security": [{"key": []}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(each: Operation, schemas: Json) -> Json:
    summary = (each.handler.fn.__doc__ or "").strip().partition("\n")[0].rstrip(".")
    told: Json = {
        "operationId": each.handler.fn.__name__,
        "summary": summary,
        "tags": [each.path.split("/")[2]],
        "parameters": [*_path_parameters(each.path), *_query(each, schemas)],
        "responses": {
            "200": {"description": "Done", "content": _answers(each)},
            **{str(status): _refusal(why) for status, why in REFUSALS.items()},
        },
    }
    if each.body:
        name = each.body.__name__
        told["requestBody"] = {"required": True, "content": {form: _ref(name) for form in each.forms}}
    return told


def _answers(each: Operation) -> Json:
    whole = {JSON: _ref(each.tells.__name__)} if each.tells else {}
    return {**whole, **{form: {} for form in each.also}}


def _refusal(why: str) -> Json:
    return {"description": why, "content": {JSON: _ref(Refusal.__name__)}}


def _path_parameters(path: str) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query(each: Operation, schemas: Json) -> Iterator[Json]:
    if each.query:
        for name, schema in schemas[each.query.__name__].get("properties", {}).items():
            yield {"name": name, "in": "query", "required": False, "schema": schema}


def _ref(name: str) -> Json:
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}

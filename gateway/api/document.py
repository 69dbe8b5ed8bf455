"""The OpenAPI document of the admin API, made of its verbs and their structs."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gateway import __version__
from gateway.accounts.forms import TYPES
from gateway.api.orders import Refusal

if TYPE_CHECKING:
    from gateway.api.admin import Verb

Json = dict[str, Any]
_REFUSALS = {
    "400": "The order is wrong; `param` says where",
    "401": "No key, or one that is unknown, blocked, expired or revoked",
    "403": "No admin key",
    "404": "There is no such key or team",
    "409": "It does not fit with what there is",
    "413": "The body is too large",
    "500": "A fault of ours",
    "503": "The books cannot be read or written now",
}


def document(verbs: "Sequence[Verb]") -> Json:
    """What an OpenAPI 3.1 reader needs to know."""
    told = (kind for verb in verbs for kind in (verb.order, verb.answer))
    kinds = dict.fromkeys(kind for kind in told if issubclass(kind, Struct))
    _, schemas = msgspec.json.schema_components([*kinds, Refusal], ref_template="#/components/schemas/{name}")
    paths: Json = {}
    for verb in verbs:
        path = paths.setdefault(re.sub(r":\w+}", "}", verb.path), {})
        path[verb.method.lower()] = _operation(verb, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Repligate's admin API", "version": __version__},
        "security": [{"admin": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"admin": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(verb: "Verb", schemas: Json) -> Json:
    name = getattr(verb.act, "__name__", "")
    told: Json = {
        "operationId": name,
        "summary": (verb.act.__doc__ or name).strip().rstrip("."),
        "tags": [verb.path.split("/")[2]],
        "parameters": [*_path_parameters(verb.path), *_query(verb, schemas)],
        "responses": {
            str(verb.status): {"description": "Done", "content": _content(verb)},
            **{status: {"description": why, "content": _json(Refusal.__name__)} for status, why in _REFUSALS.items()},
        },
    }
    if verb.has_body:
        needed = bool(schemas[verb.order.__name__].get("required"))
        told["requestBody"] = {"required": needed, "content": _json(verb.order.__name__)}
    return told


def _path_parameters(path: str) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)", path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query(verb: "Verb", schemas: Json) -> Iterator[Json]:
    if not verb.has_body:
        for name, schema in schemas[verb.order.__name__]["properties"].items():
            yield {"name": name, "in": "query", "required": False, "schema": schema}


def _content(verb: "Verb") -> Json:
    if issubclass(verb.answer, Struct):
        return _json(verb.answer.__name__)
    return {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in TYPES.values()}


def _json(name: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}

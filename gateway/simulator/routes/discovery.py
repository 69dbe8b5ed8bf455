"""Collections and the search over models, collections and pages."""

from typing import Any

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from gateway.simulator import problems
from gateway.simulator.finder import ranked, words
from gateway.simulator.groups import COLLECTIONS, Collection
from gateway.simulator.records import Model
from gateway.simulator.routes.replies import page, reply
from gateway.simulator.world import World

Ask = Request[Any, Any, State]

_PAGE = 25
_USUAL = "20"
_LIMITS = frozenset(map(str, range(1, 51)))


@get("/collections", status_code=200)
async def list_collections(world: NamedDependency[World], cursor: FromQuery[str | None] = None) -> Response[bytes]:
    """List the collections."""
    return page(COLLECTIONS, Collection.listed, _PAGE, cursor, f"{world.addresses.api}/v1/collections")


@get("/collections/{slug:str}", status_code=200)
async def get_collection(world: NamedDependency[World], slug: FromPath[str]) -> Response[bytes]:
    """Get one with its models."""
    collection = next((collection for collection in COLLECTIONS if collection.slug == slug), None)
    if collection is None:
        raise problems.not_found()
    models = [world.shown_model(model) for model in collection.models(world.records)]
    about = f"# {collection.name}\n\n{collection.description}."
    return reply(collection.listed() | {"full_description": about, "models": models})


@get("/search", status_code=200)
async def search(request: Ask, world: NamedDependency[World]) -> Response[bytes]:
    """Search, for which the contract wants no token; the models found come without examples and schemas."""
    query = request.query_params.get("query")
    if not query:
        return reply({"detail": 'Query parameter "query" is required'}, 400)
    limit = request.query_params.get("limit", _USUAL)
    if limit not in _LIMITS:
        return reply({"detail": 'Query parameter "limit" must be from 1 to 50'}, 400)
    found = ranked(world.records, query)[: int(limit)]
    wanted = set(query.lower().split())
    collections = [one for one in COLLECTIONS if wanted & set(f"{one.name} {one.description}".lower().split())]
    return reply(
        {
            "query": query,
            "models": [_found(world, model, score) for model, score in found],
            "collections": [
                one.listed() | {"models": [model.full_name for model in one.models(world.records)]}
                for one in collections
            ],
            "pages": [{"name": one.name, "href": f"/collections/{one.slug}"} for one in collections],
        }
    )


def _found(world: World, model: Model, score: float) -> dict[str, Any]:
    shown = world.shown_model(model) | {"default_example": None}
    if shown["latest_version"]:
        shown["latest_version"] = shown["latest_version"] | {"openapi_schema": {}}
    tags = sorted(words(model) & {"text", "picture", "speech", "music", "video", "prompt", "vectors"})
    return {
        "model": shown,
        "metadata": {"generated_description": model.record["description"], "tags": tags, "score": round(score, 4)},
    }


HANDLERS = (list_collections, get_collection, search)

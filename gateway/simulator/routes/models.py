"""Models and their versions: get, list, search by QUERY, create, update, delete, readme, examples."""

from datetime import datetime
from typing import Any, Literal

import jsonschema_rs
from litestar import Request, Response, delete, get, patch, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from gateway.simulator import problems
from gateway.simulator.clock import stored_time
from gateway.simulator.contract import read_body
from gateway.simulator.finder import ranked
from gateway.simulator.problems import InvalidField
from gateway.simulator.records import Model, Version, read_model
from gateway.simulator.routes.replies import accepted, check_names, empty, page, reply
from gateway.simulator.world import World

Ask = Request[Any, Any, State]
SortBy = Literal["model_created_at", "latest_version_created_at"]

_PAGE = 25
_MOST_MODELS = 1000
_ADDRESS = jsonschema_rs.Draft202012Validator({"type": ["string", "null"], "format": "uri"}, validate_formats=True)
_UPDATABLE = ("description", "github_url", "paper_url", "license_url", "cover_image_url", "weights_url")


@get("/models", status_code=200)
async def list_models(
    world: NamedDependency[World],
    cursor: FromQuery[str | None] = None,
    sort_by: FromQuery[SortBy] = "latest_version_created_at",
    sort_direction: FromQuery[Literal["asc", "desc"]] = "desc",
) -> Response[bytes]:
    """List public models."""
    models = sorted(
        (model for model in world.records if model.record["visibility"] == "public"),
        key=lambda model: (_date(model, sort_by), model.full_name),
        reverse=sort_direction == "desc",
    )
    url = f"{world.addresses.api}/v1/models?sort_by={sort_by}&sort_direction={sort_direction}"
    return page(models, world.shown_model, _PAGE, cursor, url)


def _date(model: Model, sort_by: SortBy) -> datetime:
    written = model.record.get("created_at")
    if model.latest and (sort_by == "latest_version_created_at" or not written):
        written = model.latest.created_at
    return datetime.fromisoformat(written or "2024-01-01T00:00:00Z")


@post("/models/query", status_code=200)
async def search_models(request: Ask, world: NamedDependency[World]) -> Response[bytes]:
    """Search with the QUERY verb; the body is the text searched for."""
    text = (await request.body()).decode(errors="replace")
    found = [model for model, _ in ranked(world.records, text)][:_PAGE]
    # Of all places that show models, the contract lets this one alone have no description that is null.
    shown = [world.shown_model(model) | {"description": model.record["description"] or ""} for model in found]
    return reply({"next": None, "previous": None, "results": shown})


@post("/models", status_code=201)
async def create_model(request: Ask, world: NamedDependency[World]) -> Response[bytes]:
    """Create a model without a version."""
    body = _with_addresses(read_body(await request.body(), "models.create"))
    owner, name = body["owner"], body["name"]
    check_names(owner=owner, name=name)
    if world.records.find(owner, name) is not None:
        raise problems.conflict("A model with that name and owner already exists.")
    if sum(model.owner == owner for model in world.records) >= _MOST_MODELS:
        raise problems.bad_request(f"An account can have at most {_MOST_MODELS} models.")
    record = {key: value for key, value in body.items() if key != "hardware"}
    model = read_model(record | {"is_official": False, "created_at": stored_time(world.clock.now())})
    model.hardware = body["hardware"]
    world.records.add(model)
    return reply(world.shown_model(model), 201)


@get("/models/{owner:str}/{name:str}", status_code=200)
async def get_model(world: NamedDependency[World], owner: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """Get one."""
    return reply(world.shown_model(_found(world, owner, name)))


@patch("/models/{owner:str}/{name:str}", status_code=200)
async def update_model(
    request: Ask, world: NamedDependency[World], owner: FromPath[str], name: FromPath[str]
) -> Response[bytes]:
    """Change what is said about one."""
    model = _found(world, owner, name)
    body = _with_addresses(read_body(await request.body(), "models.update"))
    model.readme = body.get("readme", model.readme)
    model.record.update({key: body[key] for key in _UPDATABLE if key in body})
    return reply(world.shown_model(model))


@delete("/models/{owner:str}/{name:str}", status_code=204)
async def delete_model(world: NamedDependency[World], owner: FromPath[str], name: FromPath[str]) -> Response[None]:
    """Delete an own, private model that has no version."""
    model = _found(world, owner, name)
    if model.owner != world.settings.owner:
        raise problems.forbidden()
    if model.record["visibility"] != "private" or model.versions:
        raise problems.bad_request("Only private models without versions can be deleted.")
    world.records.remove(model)
    return empty()


@get("/models/{owner:str}/{name:str}/examples", status_code=200)
async def list_examples(
    world: NamedDependency[World], owner: FromPath[str], name: FromPath[str], cursor: FromQuery[str | None] = None
) -> Response[bytes]:
    """List the author's example predictions."""
    example = world.shown_model(_found(world, owner, name)).get("default_example")
    examples = [example] if example else []
    url = f"{world.addresses.api}/v1/models/{owner}/{name}/examples"
    return page(examples, lambda shown: shown, _PAGE, cursor, url)


@get("/models/{owner:str}/{name:str}/readme", status_code=200)
async def get_readme(world: NamedDependency[World], owner: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """Get the readme as Markdown."""
    model = _found(world, owner, name)
    if model.readme is None:
        raise problems.not_found()
    return Response(model.readme.encode(), status_code=200, media_type="text/plain")


@get("/models/{owner:str}/{name:str}/versions", status_code=200)
async def list_versions(
    world: NamedDependency[World], owner: FromPath[str], name: FromPath[str], cursor: FromQuery[str | None] = None
) -> Response[bytes]:
    """List the versions, newest first."""
    model = _found(world, owner, name)
    url = f"{world.addresses.api}/v1/models/{owner}/{name}/versions"
    return page(model.versions, Version.shown, _PAGE, cursor, url)


@get("/models/{owner:str}/{name:str}/versions/{version_id:str}", status_code=200)
async def get_version(
    world: NamedDependency[World], owner: FromPath[str], name: FromPath[str], version_id: FromPath[str]
) -> Response[bytes]:
    """Get one version."""
    return reply(_version(_found(world, owner, name), version_id).shown())


@delete("/models/{owner:str}/{name:str}/versions/{version_id:str}", status_code=202)
async def delete_version(
    world: NamedDependency[World], owner: FromPath[str], name: FromPath[str], version_id: FromPath[str]
) -> Response[bytes]:
    """Delete a version of an own, private model that no deployment runs."""
    model = _found(world, owner, name)
    version = _version(model, version_id)
    if model.owner != world.settings.owner:
        raise problems.forbidden()
    if model.record["visibility"] != "private":
        raise problems.bad_request("Only versions of private models can be deleted.")
    if any(deployment.release.version == version.id for deployment in world.deployments):
        raise problems.bad_request("A deployment runs this version.")
    world.records.remove_version(model, version)
    return accepted()


def _with_addresses(body: dict[str, Any]) -> dict[str, Any]:
    """Take an empty address for none, and refuse what is no address: the contract wants one in the answer."""
    addresses = {key: value or None for key, value in body.items() if key.endswith("_url")}
    wrong = [key for key, value in addresses.items() if not _ADDRESS.is_valid(value)]
    if wrong:
        raise problems.invalid([InvalidField("format", key, "Does not match format 'uri'") for key in wrong])
    return body | addresses


def _found(world: World, owner: str, name: str) -> Model:
    model = world.records.find(owner, name)
    if model is None:
        raise problems.not_found()
    return model


def _version(model: Model, id: str) -> Version:
    version = next((version for version in model.versions if version.id == id), None)
    if version is None:
        raise problems.not_found()
    return version


HANDLERS = (
    list_models,
    search_models,
    create_model,
    get_model,
    update_model,
    delete_model,
    list_examples,
    get_readme,
    list_versions,
    get_version,
    delete_version,
)

"""Deployments: list, create, get, update, delete."""

import re
from typing import Any

from litestar import Request, Response, delete, get, patch, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import structs

from gateway.simulator import problems
from gateway.simulator.contract import read_body
from gateway.simulator.deployments import Deployment, Release
from gateway.simulator.routes.replies import check_names, empty, page, reply
from gateway.simulator.world import World

Ask = Request[Any, Any, State]

_PAGE = 100
_HEX = re.compile(r"[0-9a-f]{64}")
_CHANGEABLE = ("version", "hardware", "min_instances", "max_instances")


@get("/deployments", status_code=200)
async def list_deployments(world: NamedDependency[World], cursor: FromQuery[str | None] = None) -> Response[bytes]:
    """List the account's deployments."""
    own = [deployment for deployment in world.deployments if deployment.owner == world.settings.owner]
    return page(own, Deployment.shown, _PAGE, cursor, f"{world.addresses.api}/v1/deployments")


@post("/deployments", status_code=200)
async def create_deployment(request: Ask, world: NamedDependency[World]) -> Response[bytes]:
    """Create one; this answers 200, not 201."""
    body = read_body(await request.body(), "deployments.create")
    check_names(name=body["name"])
    if world.deployments.find(world.settings.owner, body["name"]) is not None:
        raise problems.conflict("A deployment with that name already exists.")
    _check_version(world, body["version"], body["model"])
    release = Release(
        number=1,
        model=body["model"],
        created=world.clock.now(),
        **{name: body[name] for name in _CHANGEABLE},
    )
    deployment = Deployment(owner=world.settings.owner, name=body["name"], release=release)
    world.deployments.add(deployment)
    return reply(deployment.shown())


@get("/deployments/{owner:str}/{name:str}", status_code=200)
async def get_deployment(world: NamedDependency[World], owner: FromPath[str], name: FromPath[str]) -> Response[bytes]:
    """Get one."""
    return reply(_found(world, owner, name).shown())


@patch("/deployments/{owner:str}/{name:str}", status_code=200)
async def update_deployment(
    request: Ask, world: NamedDependency[World], owner: FromPath[str], name: FromPath[str]
) -> Response[bytes]:
    """Change one, which makes a new release."""
    deployment = _found(world, owner, name)
    body = read_body(await request.body(), "deployments.update")
    changes = {key: body[key] for key in _CHANGEABLE if key in body}
    if "version" in changes:
        _check_version(world, changes["version"], deployment.release.model)
    deployment.release = structs.replace(
        deployment.release, number=deployment.release.number + 1, created=world.clock.now(), **changes
    )
    return reply(deployment.shown())


@delete("/deployments/{owner:str}/{name:str}", status_code=204)
async def delete_deployment(world: NamedDependency[World], owner: FromPath[str], name: FromPath[str]) -> Response[None]:
    """Delete one that is offline and has been unused for a quarter of an hour."""
    deployment = _found(world, owner, name)
    if not deployment.removable(world.clock.now()):
        raise problems.bad_request("Only deployments that are offline and unused for 15 minutes can be deleted.")
    world.deployments.remove(deployment)
    return empty()


def _found(world: World, owner: str, name: str) -> Deployment:
    deployment = world.deployments.find(owner, name)
    if deployment is None:
        raise problems.not_found()
    return deployment


def _check_version(world: World, version: str, model: str) -> None:
    found = world.records.find_version(version) if _HEX.fullmatch(version) else None
    if found is None or found[0].full_name.lower() != model.lower():
        raise problems.invalid_version()


HANDLERS = (list_deployments, create_deployment, get_deployment, update_deployment, delete_deployment)

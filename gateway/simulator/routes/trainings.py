"""Trainings: create, list, get, cancel."""

from typing import Any

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from gateway.simulator import problems
from gateway.simulator.contract import read_body
from gateway.simulator.routes.replies import page, reply
from gateway.simulator.training import cancel, start
from gateway.simulator.trainings import Training
from gateway.simulator.world import World

Ask = Request[Any, Any, State]

_PAGE = 100


@post("/models/{owner:str}/{name:str}/versions/{version_id:str}/trainings", status_code=201)
async def create_training(
    request: Ask,
    world: NamedDependency[World],
    owner: FromPath[str],
    name: FromPath[str],
    version_id: FromPath[str],
) -> Response[bytes]:
    """Train a version towards a destination, a model of the account's own."""
    found = world.records.find_version(version_id)
    if found is None or found[0].full_name.lower() != f"{owner}/{name}".lower():
        raise problems.not_found()
    body = read_body(await request.body(), "trainings.create")
    return reply(start(world, *found, body).fresh(world.addresses.api), 201)


@get("/trainings", status_code=200)
async def list_trainings(world: NamedDependency[World], cursor: FromQuery[str | None] = None) -> Response[bytes]:
    """List, newest first."""
    base = world.addresses.api
    found = world.trainings.newest_first()
    return page(found, lambda training: training.stored(base), _PAGE, cursor, f"{base}/v1/trainings")


@get("/trainings/{training_id:str}", status_code=200)
async def get_training(world: NamedDependency[World], training_id: FromPath[str]) -> Response[bytes]:
    """Get one."""
    return reply(_found(world, training_id).stored(world.addresses.api))


@post("/trainings/{training_id:str}/cancel", status_code=200)
async def cancel_training(world: NamedDependency[World], training_id: FromPath[str]) -> Response[bytes]:
    """Cancel one."""
    training = _found(world, training_id)
    cancel(world, training)
    return reply(training.fresh(world.addresses.api))


def _found(world: World, id: str) -> Training:
    training = world.trainings.find(id)
    if training is None:
        raise problems.not_found()
    return training


HANDLERS = (create_training, list_trainings, get_training, cancel_training)

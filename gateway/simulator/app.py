"""The API as a Litestar application."""

from typing import Any

from litestar import Litestar, Request, Response, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException

from gateway.simulator import problems
from gateway.simulator.problems import Page, Problem
from gateway.simulator.routes import account, control, deployments, discovery, files, models, predictions, trainings
from gateway.simulator.world import World

Ask = Request[Any, Any, State]


def create_api(world: World) -> Litestar:
    """Return the API of a world, with its control endpoint."""

    def the_world() -> World:
        return world

    described = (account, discovery, deployments, files, models, predictions, trainings)
    handlers = [handler for module in described for handler in module.HANDLERS]
    return Litestar(
        route_handlers=[Router("/v1", route_handlers=handlers), Router("/control", route_handlers=control.HANDLERS)],
        dependencies={"world": Provide(the_world, sync_to_thread=False)},
        exception_handlers={Problem: _refused, Page: _refused, HTTPException: _refused_by_framework},
        request_max_body_size=None,
        openapi_config=None,
        logging_config=None,
    )


def _refused(_: Ask, problem: Problem | Page) -> Response[bytes]:
    return problem.response()


def _refused_by_framework(_: Ask, error: HTTPException) -> Response[bytes]:
    if error.status_code == 404:
        return problems.not_found().response()
    return Problem(error.status_code, {"detail": error.detail, "status": error.status_code}).response()

"""Predictions: three ways to create one, get, list, cancel."""

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from gateway.simulator import problems
from gateway.simulator.asgi import Receive, Scope, drop, leave_unanswered, until_left
from gateway.simulator.contract import read_body
from gateway.simulator.creation import Dropped, Stalled, Target, create
from gateway.simulator.durations import wait_seconds
from gateway.simulator.life import stop
from gateway.simulator.prediction import Asked, Prediction
from gateway.simulator.records import Model, Version
from gateway.simulator.routes.replies import page, reply
from gateway.simulator.shapes import fresh, stored, synced
from gateway.simulator.training import cancel as cancel_training
from gateway.simulator.world import World

Ask = Request[Any, Any, State]

_PAGE = 100
_HEX = re.compile(r"[0-9a-f]{64}")


@post("/predictions", status_code=201)
async def create_prediction(request: Ask, world: NamedDependency[World]) -> Response[bytes]:
    """Create from `version`: `owner/name` of an official model, `owner/name:version`, or a bare version."""
    body = read_body(await request.body(), "predictions.create")
    model, version = _of_version(world, body["version"])
    return await _create(world, request, body, Target(model, version))


@post("/models/{owner:str}/{name:str}/predictions", status_code=201)
async def create_model_prediction(
    request: Ask, world: NamedDependency[World], owner: FromPath[str], name: FromPath[str]
) -> Response[bytes]:
    """Create on an official model; community models are not found here."""
    model = world.records.find(owner, name)
    if model is None or not model.official or model.latest is None:
        raise problems.not_found()
    body = read_body(await request.body(), "models.predictions.create")
    return await _create(world, request, body, Target(model, model.latest))


@post("/deployments/{owner:str}/{name:str}/predictions", status_code=201)
async def create_deployment_prediction(
    request: Ask, world: NamedDependency[World], owner: FromPath[str], name: FromPath[str]
) -> Response[bytes]:
    """Create on a deployment."""
    deployment = world.deployments.find(owner, name)
    if deployment is None:
        raise problems.not_found()
    body = read_body(await request.body(), "deployments.predictions.create")
    found = world.records.find_version(deployment.release.version)
    if found is None:
        raise problems.invalid_version()
    deployment.last_used = world.clock.now()
    return await _create(world, request, body, Target(*found, deployment=f"{deployment.owner}/{deployment.name}"))


@get("/predictions", status_code=200)
async def list_predictions(
    world: NamedDependency[World],
    cursor: FromQuery[str | None] = None,
    created_after: FromQuery[str | None] = None,
    created_before: FromQuery[str | None] = None,
    source: FromQuery[str | None] = None,
) -> Response[bytes]:
    """List, newest first. Nothing here is made on the web site, so `source=web` finds nothing."""
    if source not in (None, "web"):
        raise problems.bad_request("source must be web")
    after, before = _instant(created_after), _instant(created_before)
    found = [] if source == "web" else world.predictions.newest_first()
    if after is not None:
        found = [prediction for prediction in found if prediction.created > after]
    if before is not None:
        found = [prediction for prediction in found if prediction.created < before]
    filters = {"created_after": created_after, "created_before": created_before, "source": source}
    url = _listed_at(f"{world.addresses.api}/v1/predictions", filters)
    return page(found, lambda prediction: stored(world, prediction), _PAGE, cursor, url)


@get("/predictions/{prediction_id:str}", status_code=200)
async def get_prediction(world: NamedDependency[World], prediction_id: FromPath[str]) -> Response[bytes]:
    """Get one; a training is one too."""
    if training := world.trainings.find(prediction_id):
        return reply(training.as_prediction(world.addresses.api))
    prediction = _found(world, prediction_id)
    prediction.polls += 1
    if prediction.polls <= prediction.scene.reads_fail:
        raise problems.bad_gateway()
    return reply(stored(world, prediction))


@post("/predictions/{prediction_id:str}/cancel", status_code=200)
async def cancel_prediction(world: NamedDependency[World], prediction_id: FromPath[str]) -> Response[bytes]:
    """Cancel one; what has ended stays as it is."""
    if training := world.trainings.find(prediction_id):
        cancel_training(world, training)
        return reply(training.as_prediction(world.addresses.api))
    prediction = _found(world, prediction_id)
    if prediction.final and world.switches.cancel_of_final == "refuse":
        raise problems.conflict("This prediction has already ended.")
    prediction.cancels += 1
    if not prediction.complete:
        stop(world, prediction, "canceled")
    return reply(stored(world, prediction))


def _found(world: World, id: str) -> Prediction:
    prediction = world.predictions.find(id)
    if prediction is None:
        raise problems.not_found()
    return prediction


def _of_version(world: World, reference: str) -> tuple[Model, Version]:
    """Find what `version` names; refuse what it may not."""
    place, colon, digits = reference.rpartition(":")
    if colon or _HEX.fullmatch(reference):
        found = world.records.find_version(digits) if _HEX.fullmatch(digits) else None
        if found is None or (place and place.lower() != found[0].full_name.lower()):
            raise problems.invalid_version()
        return found
    owner, _, name = reference.partition("/")
    model = world.records.find(owner, name)
    if model is None or model.latest is None or not model.official:
        raise problems.invalid_version()
    return model, model.latest


async def _create(world: World, request: Ask, body: Mapping[str, Any], target: Target) -> Response[bytes]:
    prefer = request.headers.get("prefer")
    wait = None if prefer is None else wait_seconds(prefer)
    if prefer is not None and wait is None and world.switches.bad_preference == "refuse":
        text = f"{prefer!r} is neither wait nor wait=1 to wait=60"
        raise problems.bad_header("Prefer", text, world.switches.bad_header_code)
    try:
        prediction = create(world, target, _asked(request, body, prefer))
    except Stalled:
        await _stall(world, request)
        raise problems.unavailable() from None
    except Dropped:
        await drop(cast(Scope, request.scope), cast(Receive, request.receive))
        raise problems.unavailable() from None
    if wait is None or prefer is None:
        return reply(fresh(world, prediction), 201, _headers(world, prediction))
    await _wait(world, request, prediction, wait)
    timed_out = not (prediction.complete or prediction.final)
    headers = _headers(world, prediction) | {"Preference-Applied": prefer}
    return reply(synced(world, prediction), world.switches.sync_timeout_code if timed_out else 201, headers)


def _asked(request: Ask, body: Mapping[str, Any], prefer: str | None) -> Asked:
    events = body.get("webhook_events_filter")
    return Asked(
        input=body["input"],
        route=request.scope["path"],
        prefer=prefer,
        cancel_after=request.headers.get("cancel-after"),
        webhook=body.get("webhook"),
        events_filter=None if events is None else tuple(events),
        user_agent=request.headers.get("user-agent"),
    )


def _headers(world: World, prediction: Prediction) -> dict[str, str]:
    if not world.switches.location_header:
        return {}
    return {"Location": f"{world.addresses.api}/v1/predictions/{prediction.id}"}


async def _wait(world: World, request: Ask, prediction: Prediction, seconds: int) -> None:
    left = asyncio.ensure_future(until_left(cast(Receive, request.receive)))
    left.add_done_callback(lambda _: prediction.watch.ring())
    try:
        await _until_whole(world, prediction, seconds, left)
    finally:
        if left.done() and not prediction.complete and world.switches.sync_cancel_on_disconnect:
            stop(world, prediction, "canceled")
        left.cancel()


async def _until_whole(world: World, prediction: Prediction, seconds: int, left: "asyncio.Future[None]") -> None:
    whole = world.switches.sync_success_status == "succeeded"
    try:
        async with asyncio.timeout(world.clock.real(seconds)):
            while not (prediction.final or (prediction.complete and not whole) or left.done()):
                if world.closing.is_set():
                    return
                await prediction.watch.changed()
    except TimeoutError:
        return


async def _stall(world: World, request: Ask) -> None:
    """Say nothing until the client has hung up or the simulator stops."""
    closing = asyncio.ensure_future(world.closing.wait())
    leave_unanswered(cast(Scope, request.scope))
    left = asyncio.ensure_future(until_left(cast(Receive, request.receive)))
    await asyncio.wait((closing, left), return_when=asyncio.FIRST_COMPLETED)
    closing.cancel()
    left.cancel()


def _instant(written: str | None) -> float | None:
    if written is None:
        return None
    try:
        instant = datetime.fromisoformat(written)
    except ValueError as error:
        raise problems.bad_request(f"{written!r} is not an ISO 8601 time") from error
    return (instant if instant.tzinfo else instant.astimezone()).timestamp()


def _listed_at(url: str, filters: Mapping[str, str | None]) -> str:
    query = urlencode({name: value for name, value in filters.items() if value is not None})
    return f"{url}?{query}" if query else url


HANDLERS = (
    create_prediction,
    create_model_prediction,
    create_deployment_prediction,
    list_predictions,
    get_prediction,
    cancel_prediction,
)

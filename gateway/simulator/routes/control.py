"""The control endpoint: what was asked of the simulator, and how it shall behave. No token is needed."""

from collections import Counter
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Struct, field

from gateway.simulator import problems
from gateway.simulator.routes.replies import empty, reply
from gateway.simulator.scenes import SCENES
from gateway.simulator.seen import seen
from gateway.simulator.settings import Limits, Trouble
from gateway.simulator.stage import Cue, UnknownScene
from gateway.simulator.world import World

Ask = Request[Any, Any, State]
Order = TypeVar("Order")


class SceneOrder(Struct, forbid_unknown_fields=True, kw_only=True):
    """Set a scene: for which model (`*` for all), how often (null: until taken back), what of it is different."""

    scene: str
    model: str = "*"
    times: int | None = None
    changes: dict[str, Any] = field(default_factory=dict, name="with")


class ClockOrder(Struct, forbid_unknown_fields=True):
    """Turn the clock forward."""

    advance: float


class LimitsOrder(Struct, forbid_unknown_fields=True):
    """Enforce other rate limits."""

    limits: Limits


class TokenOrder(Struct, forbid_unknown_fields=True):
    """Let a token be in trouble alone; null: no more."""

    token: str
    trouble: Trouble | None


@get("/", status_code=200)
async def overview(world: NamedDependency[World]) -> Response[bytes]:
    """Tell where everything is and how much of it there is."""
    return reply(
        {
            "base_url": f"{world.addresses.api}/v1",
            "delivery": world.addresses.delivery,
            "stream": world.addresses.stream,
            "now": world.clock.now(),
            "models": len(world.records),
            "predictions": len(world.predictions),
            "outputs": len(world.outputs),
            "timers": world.clock.pending(),
            "limits": world.limits,
            "switches": world.switches,
            "scenes": sorted(SCENES),
        }
    )


@get("/predictions", status_code=200)
async def list_seen(world: NamedDependency[World], model: FromQuery[str | None] = None) -> Response[bytes]:
    """List what was created, oldest first."""
    found = reversed(world.predictions.newest_first())
    return reply([seen(prediction) for prediction in found if model in (None, prediction.model)])


@get("/predictions/{prediction_id:str}", status_code=200)
async def get_seen(world: NamedDependency[World], prediction_id: FromPath[str]) -> Response[bytes]:
    """Tell about one prediction."""
    prediction = world.predictions.find(prediction_id)
    if prediction is None:
        raise problems.not_found()
    return reply(seen(prediction))


@get("/requests", status_code=200)
async def list_requests(world: NamedDependency[World]) -> Response[bytes]:
    """List the requests that were answered, and count them by host, method and path."""
    requests = list(world.diary.requests)
    counts = Counter(f"{request.host} {request.method} {request.path}" for request in requests)
    return reply({"count": len(requests), "counts": counts, "requests": requests})


@get("/leaks", status_code=200)
async def list_leaks(world: NamedDependency[World]) -> Response[bytes]:
    """List the tokens that were sent where none belongs."""
    return reply(list(world.diary.leaks))


@get("/webhooks", status_code=200)
async def list_deliveries(world: NamedDependency[World]) -> Response[bytes]:
    """List the webhooks that were tried."""
    return reply(list(world.diary.deliveries))


@get("/scenes", status_code=200)
async def list_scenes(world: NamedDependency[World]) -> Response[bytes]:
    """Tell which scenes there are, and which are set."""
    return reply({"scenes": SCENES, "set": [_shown(cue) for cue in world.stage]})


@post("/scenes", status_code=200)
async def set_scene(request: Ask, world: NamedDependency[World]) -> Response[bytes]:
    """Set a scene for the next predictions of a model."""
    order = _read(await request.body(), SceneOrder)
    try:
        cue = world.stage.cue(order.model, order.scene, order.times, order.changes)
    except (UnknownScene, msgspec.ValidationError) as error:
        raise problems.bad_request(str(error)) from error
    return reply(_shown(cue))


@delete("/scenes", status_code=204)
async def clear_scenes(world: NamedDependency[World], model: FromQuery[str | None] = None) -> Response[None]:
    """Take back what was set, for one model or all."""
    world.stage.clear(model)
    return empty()


@get("/switches", status_code=200)
async def get_switches(world: NamedDependency[World]) -> Response[bytes]:
    """Tell how the switches stand."""
    return reply(world.switches)


@patch("/switches", status_code=200)
async def turn_switches(request: Ask, world: NamedDependency[World]) -> Response[bytes]:
    """Turn some switches."""
    changes = _read(await request.body(), dict[str, Any])
    try:
        return reply(world.turn(changes))
    except msgspec.ValidationError as error:
        raise problems.bad_request(str(error)) from error


@post("/limits", status_code=200)
async def set_limits(request: Ask, world: NamedDependency[World]) -> Response[bytes]:
    """Enforce other rate limits."""
    world.limits = _read(await request.body(), LimitsOrder).limits
    world.buckets.clear()
    return reply({"limits": world.limits})


@post("/tokens", status_code=200)
async def trouble_token(request: Ask, world: NamedDependency[World]) -> Response[bytes]:
    """Let a token be in trouble alone."""
    order = _read(await request.body(), TokenOrder)
    world.trouble(order.token, order.trouble)
    return reply(order)


@post("/clock", status_code=200)
async def turn_clock(request: Ask, world: NamedDependency[World]) -> Response[bytes]:
    """Turn the clock forward; what comes due happens at once."""
    world.clock.turn(_read(await request.body(), ClockOrder).advance)
    return reply({"now": world.clock.now()})


@post("/reset", status_code=204)
async def reset(world: NamedDependency[World]) -> Response[None]:
    """Forget everything."""
    world.reset()
    return empty()


def _shown(cue: Cue) -> dict[str, Any]:
    return {"model": cue.model, "times": cue.times, "scene": cue.scene}


def _read(content: bytes, kind: type[Order]) -> Order:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise problems.bad_request(str(error)) from error


HANDLERS = (
    overview,
    list_seen,
    get_seen,
    list_requests,
    list_leaks,
    list_deliveries,
    list_scenes,
    set_scene,
    clear_scenes,
    get_switches,
    turn_switches,
    set_limits,
    trouble_token,
    turn_clock,
    reset,
)

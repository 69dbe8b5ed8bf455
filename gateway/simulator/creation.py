"""Creating a prediction: judge its input, let the scene refuse it, or start it."""

from collections.abc import Callable
from typing import NoReturn

from msgspec import Struct

from gateway.simulator import problems
from gateway.simulator.durations import cancel_after_seconds
from gateway.simulator.life import expire, live
from gateway.simulator.players import Part, play
from gateway.simulator.prediction import Asked, Prediction
from gateway.simulator.records import Model, Version
from gateway.simulator.scenes import Scene
from gateway.simulator.world import World


class Target(Struct, frozen=True):
    """What a create runs: a version of a model, perhaps by way of a deployment."""

    model: Model
    version: Version
    deployment: str | None = None


class Stalled(Exception):
    """The create is never answered."""


class Dropped(Exception):
    """The connection is torn down instead of an answer."""


def create(world: World, target: Target, asked: Asked) -> Prediction:
    """Create a prediction and set it going.

    Raises `Problem` or `Page` for what is refused, `Stalled` and `Dropped` where the scene says so.
    """
    deadline = _deadline(world, asked.cancel_after)
    wrong = target.version.schema.problems(asked.input, world.switches.unknown_inputs)
    if wrong:
        raise problems.invalid(wrong)
    scene = world.stage.next(target.model)
    if scene.refusal and not scene.created_anyway:
        _refuse(world, scene)
    prediction = _started(world, target, asked, scene)
    if deadline is not None:
        prediction.deadline = prediction.created + deadline
        prediction.timers.append(world.clock.at(prediction.deadline, lambda: expire(world, prediction)))
    if scene.refusal:
        _refuse(world, scene)
    return prediction


def _deadline(world: World, header: str | None) -> int | None:
    try:
        return None if header is None else cancel_after_seconds(header)
    except ValueError as error:
        raise problems.bad_header("Cancel-After", str(error), world.switches.bad_header_code) from error


def _version(world: World, model: Model, version: Version) -> str:
    """Return what a prediction says its version is."""
    if not model.official or world.switches.official_version == "real":
        return version.id
    return "hidden" if world.switches.official_version == "hidden" else f"dp-{version.id[:32]}"


def _started(world: World, target: Target, asked: Asked, scene: Scene) -> Prediction:
    model, version = target.model, target.version
    part = Part(
        model=model,
        version=version,
        inputs=version.schema.with_defaults(asked.input),
        scene=scene,
        settings=world.settings,
        token_counts=world.switches.token_counts,
        seed=world.ids.seed(),
        open=world.opened,
    )
    performance = play(part)
    prediction = Prediction(
        id=world.ids.prediction(),
        model=model.full_name,
        version=_version(world, model, version),
        asked=asked,
        input=version.schema.redact(asked.input),
        scene=scene,
        performance=performance,
        created=round(world.clock.now(), 3),  # whole milliseconds, as stored records have had since 2024
        deployment=target.deployment,
        stream_token=world.ids.stream() if performance.streams else None,
    )
    world.predictions.add(prediction)
    model.record["run_count"] += 1
    prediction.task = world.spawn(live(world, prediction))
    return prediction


def _refuse(world: World, scene: Scene) -> NoReturn:
    match scene.refusal:
        case "throttled":
            switches = world.switches
            raise problems.throttled(scene.retry_after, switches.throttle_hint, switches.throttle_wording)
        case "low-credit":
            titled = world.switches.low_credit_title
            raise (problems.titled_low_credit if titled else problems.low_credit)(scene.retry_after)
        case "stalled":
            raise Stalled
        case "dropped":
            raise Dropped
        case refusal:
            problem = _REFUSALS[refusal or "unavailable"]()
            raise problem


_REFUSALS: dict[str, Callable[[], Exception]] = {
    "insufficient-credit": problems.insufficient_credit,
    "billing-required": problems.billing_required,
    "forbidden": problems.forbidden,
    "unavailable": problems.unavailable,
    "overloaded": problems.overloaded,
    "bad-gateway": problems.bad_gateway,
    "gateway-timeout": problems.gateway_timeout,
}

"""The life of a training: its log, and the version it ends in."""

from functools import partial
from typing import Any

from gateway.simulator import problems
from gateway.simulator.clock import stored_time
from gateway.simulator.performance import Made
from gateway.simulator.records import Model, Version, version_id
from gateway.simulator.trainings import Training, TrainingStatus
from gateway.simulator.webhooks import announce_training
from gateway.simulator.world import World

_STEPS = 4


def start(world: World, model: Model, version: Version, body: dict[str, Any]) -> Training:
    """Judge what is asked and set the training going; raise `Problem` for what is refused."""
    destination = _destination(world, body["destination"])
    if version.training.properties:
        wrong = version.training.problems(body["input"], world.switches.unknown_inputs)
        if wrong:
            raise problems.invalid(wrong)
    events = body.get("webhook_events_filter")
    training = Training(
        id=world.ids.prediction(),
        model=model.full_name,
        version=version.id,
        destination=destination.full_name,
        input=version.training.redact(body["input"]),
        created=world.clock.now(),
        webhook=body.get("webhook"),
        events_filter=None if events is None else tuple(events),
    )
    world.trainings.add(training)
    training.task = world.spawn(_train(world, training, destination, version))
    return training


def _destination(world: World, name: str) -> Model:
    owner, _, rest = name.partition("/")
    found = world.records.find(owner, rest)
    if found is None or found.owner != world.settings.owner:
        raise problems.not_found("The specified training destination does not exist")
    return found


async def _train(world: World, training: Training, destination: Model, base: Version) -> None:
    training.started = world.clock.now()
    training.status = "processing"
    announce_training(world, training, "start")
    for step in range(1, _STEPS + 1):
        await world.clock.sleep(world.settings.training_seconds / _STEPS)
        training.logs += f"{step * 100 // _STEPS:3d}%|{'█' * (step * 10 // _STEPS):<10}| {step}/{_STEPS}\n"
        announce_training(world, training, "logs")
    version = _trained(world, training, base)
    world.records.add_version(destination, version)
    archive = Made(name="weights.tar", media_type="application/x-tar", content=partial(bytes, 1024))
    weights = world.outputs.keep(archive, world.ids.folder())
    training.output = {"version": f"{destination.full_name}:{version.id}", "weights": weights}
    _finish(world, training, "succeeded")


def _trained(world: World, training: Training, base: Version) -> Version:
    return Version(
        id=version_id(training.id),
        created_at=stored_time(world.clock.now()),
        cog_version=base.cog_version,
        document=base.document,
        schema=base.schema,
        training=base.training,
    )


def cancel(world: World, training: Training) -> None:
    """Cancel a training that has not ended."""
    if training.final:
        return
    if training.task is not None:
        training.task.cancel()
    _finish(world, training, "canceled")


def _finish(world: World, training: Training, status: TrainingStatus) -> None:
    training.status = status
    training.completed = world.clock.now()
    training.task = None
    announce_training(world, training, "completed")

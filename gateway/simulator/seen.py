"""What the control endpoint tells: snapshots that do not change under the reader."""

from typing import Any

from msgspec import Struct

from gateway.simulator.prediction import Prediction


class Seen(Struct, frozen=True, kw_only=True):
    """A prediction as the simulator saw it. `input` is what was sent, secrets included; it goes with retention."""

    id: str
    model: str
    version: str
    scene: str
    status: str
    input: dict[str, Any]
    route: str
    prefer: str | None
    cancel_after: str | None
    webhook: str | None
    webhook_events_filter: tuple[str, ...] | None
    user_agent: str | None
    deployment: str | None
    created: float
    started: float | None
    completed: float | None
    deadline: float | None
    output: Any
    error: str | None
    metrics: dict[str, Any]
    put_out: int
    polls: int
    streams: int
    cancels: int
    data_removed: bool


def seen(prediction: Prediction) -> Seen:
    """Take a snapshot."""
    asked, output = prediction.asked, prediction.output
    return Seen(
        id=prediction.id,
        model=prediction.model,
        version=prediction.version,
        scene=prediction.scene.name,
        status=prediction.status,
        input=asked.input,
        route=asked.route,
        prefer=asked.prefer,
        cancel_after=asked.cancel_after,
        webhook=asked.webhook,
        webhook_events_filter=asked.events_filter,
        user_agent=asked.user_agent,
        deployment=prediction.deployment,
        created=prediction.created,
        started=prediction.started,
        completed=prediction.completed,
        deadline=prediction.deadline,
        output=list(output) if isinstance(output, list) else output,
        error=prediction.error,
        metrics=dict(prediction.metrics),
        put_out=prediction.put_out,
        polls=prediction.polls,
        streams=prediction.stream_connections,
        cancels=prediction.cancels,
        data_removed=prediction.data_removed,
    )

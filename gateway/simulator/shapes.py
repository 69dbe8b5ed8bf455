"""The prediction object in its several shapes: fresh from a create, after a sync wait, and read from storage."""

from typing import Any

from gateway.simulator.clock import fresh_time, stored_time
from gateway.simulator.prediction import Prediction
from gateway.simulator.world import World

_MAY_BE_ABSENT = ("completed_at", "started_at", "deadline", "deployment", "source")


def fresh(world: World, prediction: Prediction) -> dict[str, Any]:
    """Return what a create replies at once."""
    waiting = {"output": None, "data_removed": False} if world.switches.fresh_output == "null" else {}
    return _created(world, prediction, "starting", waiting)


def synced(world: World, prediction: Prediction) -> dict[str, Any]:
    """Return what a create that waited replies, whether the wait was long enough or not."""
    switches = world.switches
    if prediction.final and (prediction.status != "succeeded" or switches.sync_success_status == "succeeded"):
        return stored(world, prediction)
    if prediction.complete:
        output = {"output": _sync_output(world, prediction), "data_removed": False}
        return _created(world, prediction, "processing", output, prediction.logs)
    waiting = {"output": None, "data_removed": False} if switches.fresh_output == "null" else {}
    return _created(world, prediction, switches.sync_timeout_status, waiting)


def _sync_output(world: World, prediction: Prediction) -> Any:
    if not world.switches.sync_data_urls:
        return prediction.output
    return _inlined(world, prediction.output)


def _inlined(world: World, value: Any) -> Any:
    if isinstance(value, list):
        return [_inlined(world, item) for item in value]
    if isinstance(value, str):
        return world.outputs.inlined(value) or value
    return value


def _created(
    world: World, prediction: Prediction, status: str, output: dict[str, Any], logs: str = ""
) -> dict[str, Any]:
    asked = prediction.asked
    shape: dict[str, Any] = {
        "id": prediction.id,
        "model": prediction.model,
        "version": prediction.version,
        "input": prediction.input,
        "logs": logs,
        **output,
        "error": None,
        "status": status,
        "created_at": fresh_time(prediction.created),
    }
    if prediction.deadline is not None:
        shape["deadline"] = fresh_time(prediction.deadline)
    if prediction.deployment:
        shape["deployment"] = prediction.deployment
    if asked.webhook:
        shape["webhook"] = asked.webhook
        if asked.events_filter is not None:
            shape["webhook_events_filter"] = list(asked.events_filter)
    return shape | {"urls": urls(world, prediction)}


def stored(world: World, prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as storage has it, which is what GET, cancel, lists and webhooks show."""
    shape: dict[str, Any] = {
        "completed_at": _instant(prediction.completed),
        "created_at": stored_time(prediction.created),
        "data_removed": prediction.data_removed,
        "deadline": _instant(prediction.deadline),
        "deployment": prediction.deployment,
        "error": prediction.error,
        "id": prediction.id,
        "input": prediction.input,
        "logs": _logs(world, prediction),
        "metrics": prediction.metrics,
        "output": prediction.output,
        "source": "api",
        "started_at": _instant(prediction.started),
        "status": prediction.status,
        "urls": urls(world, prediction),
        "model": prediction.model,
        "version": prediction.version,
        "webhook_completed": None,
    }
    if world.switches.omit_nulls:
        return {key: value for key, value in shape.items() if value is not None}
    return {key: value for key, value in shape.items() if value is not None or key not in _MAY_BE_ABSENT}


def _logs(world: World, prediction: Prediction) -> str | None:
    return None if world.switches.null_logs and not prediction.logs else prediction.logs


def _instant(instant: float | None) -> str | None:
    return None if instant is None else stored_time(instant)


def urls(world: World, prediction: Prediction) -> dict[str, str]:
    """Return where a prediction is read, cancelled, shown and streamed."""
    place = f"{world.addresses.api}/v1/predictions/{prediction.id}"
    found = {"cancel": f"{place}/cancel", "get": place}
    if prediction.stream_token and world.switches.stream_url:
        kind = "files" if prediction.performance and prediction.performance.files else "streams"
        found["stream"] = f"{world.addresses.stream}/v1/{kind}/{prediction.stream_token}"
    if world.switches.web_url:
        found["web"] = f"https://replicate.com/p/{prediction.id}"
    return found

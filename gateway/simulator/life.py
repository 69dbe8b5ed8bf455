"""The life of a prediction: queue, boot, output, end, retention."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.simulator.performance import Made, Piece
from gateway.simulator.prediction import Prediction, Status
from gateway.simulator.webhooks import announce
from gateway.simulator.world import World

TIMED_OUT = "Prediction timed out"
_INSTANT = 3e-6  # a prediction canceled before it ran is recorded as having run for three microseconds


async def live(world: World, prediction: Prediction) -> None:
    """Take a prediction from its queue to its end."""
    scene = prediction.scene
    await world.clock.sleep(scene.queued)
    if scene.boots:
        await world.clock.sleep(world.settings.boot_seconds if scene.boot is None else scene.boot)
    _begin(world, prediction)
    await _perform(world, prediction)
    if scene.fails_after is not None:
        finish(world, prediction, scene.fails_as, scene.error)
        return
    _complete(world, prediction)
    if world.switches.metrics_delay > 0:
        await world.clock.sleep(world.switches.metrics_delay)
    finish(world, prediction, "succeeded")


def _begin(world: World, prediction: Prediction) -> None:
    now = world.clock.now()
    prediction.status = "processing"
    prediction.started = now - world.switches.clock_skew
    if prediction.deadline is None:
        end = now + world.settings.run_seconds
        prediction.timers.append(world.clock.at(end, lambda: _stop(world, prediction, "failed", TIMED_OUT)))
    if prediction.performance and prediction.performance.log:
        _log(world, prediction, prediction.performance.log)
    prediction.watch.ring()
    announce(world, prediction, "start")


async def _perform(world: World, prediction: Prediction) -> None:
    pause, due = _pause(world, prediction), world.clock.now()
    for count, piece in enumerate(_pieces(prediction)):
        if count == prediction.scene.stops_after:
            await asyncio.Event().wait()
        if pause > 0:
            due += pause
            await world.clock.sleep(due - world.clock.now())
        _show(world, prediction, piece)


def _pieces(prediction: Prediction) -> Iterator[Piece]:
    scene, performance = prediction.scene, prediction.performance
    if performance is None or not performance.pieces:
        return iter(())
    pieces = itertools.cycle(performance.pieces) if scene.endless else iter(performance.pieces)
    limits = [limit for limit in (scene.pieces, scene.fails_after) if limit is not None]
    return itertools.islice(pieces, min(limits)) if limits else pieces


def _pause(world: World, prediction: Prediction) -> float:
    """Return the seconds before each piece: the scene's, else the performance's own, else those of the pace."""
    scene, performance = prediction.scene, prediction.performance
    if performance is None:
        return 0.0
    count = min(len(performance.pieces), scene.pieces or len(performance.pieces)) or 1
    if scene.pause is not None:
        return max(scene.pause, 0.001 if scene.endless else 0.0)
    if scene.seconds is not None:
        return scene.seconds / count
    if performance.files or not performance.listed:
        return performance.seconds / count
    return 1 / world.settings.pace if world.settings.pace > 0 else 0.0


def _show(world: World, prediction: Prediction, piece: Piece) -> None:
    if piece.log:
        _log(world, prediction, piece.log)
        if piece.output is None:
            return
    _put(world, prediction, _placed(world, prediction, piece.output))
    prediction.put_out += 1


def _put(world: World, prediction: Prediction, value: Any) -> None:
    now = world.clock.now()
    prediction.first_output = prediction.first_output or now
    if prediction.performance and prediction.performance.listed:
        prediction.output = prediction.output or []
        prediction.output.append(value)
    else:
        prediction.output = value
    prediction.say("output", value if isinstance(value, str) else msgspec.json.encode(value).decode(), now)
    prediction.watch.ring()
    announce(world, prediction, "output")


def _placed(world: World, prediction: Prediction, value: Any) -> Any:
    """Return an output with its files put where they can be fetched."""
    match value:
        case Made():
            url = world.outputs.keep(value, world.ids.folder(), prediction.scene.file_status)
            prediction.files.append(url)
            return url
        case list():
            return [_placed(world, prediction, item) for item in value]
        case dict():
            return {key: _placed(world, prediction, item) for key, item in value.items()}
    return value


def _log(world: World, prediction: Prediction, text: str) -> None:
    prediction.logs += text
    if world.switches.stream_logs:
        prediction.say("logs", text, world.clock.now())
    prediction.watch.ring()
    announce(world, prediction, "logs")


def _complete(world: World, prediction: Prediction) -> None:
    performance = prediction.performance
    if performance and performance.listed:
        prediction.output = prediction.output or []
        for value in performance.closing:
            _put(world, prediction, value)
    prediction.complete = True
    _end_stream(world, prediction, {})


def finish(world: World, prediction: Prediction, status: Status, error: str | None = None) -> None:
    """End a prediction for good, once."""
    if prediction.final:
        return
    prediction.completed = world.clock.now()
    if status == "canceled" and prediction.started is None:
        prediction.started = prediction.completed - _INSTANT
    prediction.metrics = _metrics(prediction)
    prediction.status = status
    prediction.error = error
    reason = {"failed": "error", "canceled": "canceled", "aborted": "canceled"}.get(status)
    if status == "failed":
        prediction.say("error", _error_data(world, error or ""), prediction.completed)
    _end_stream(world, prediction, {"reason": reason} if reason else {})
    for timer in prediction.timers:
        timer.drop()
    prediction.timers.clear()
    prediction.task = None
    prediction.watch.ring()
    if status != "aborted" or world.switches.aborted_webhook:
        announce(world, prediction, "completed")
    _keep_for_a_while(world, prediction)


def stop(world: World, prediction: Prediction, status: Status) -> None:
    """End a prediction before it is done, as a cancel or a deadline does."""
    _stop(world, prediction, status, None)


def expire(world: World, prediction: Prediction) -> None:
    """Do what a deadline does: abort what has not begun, cancel what runs."""
    _stop(world, prediction, "aborted" if prediction.started is None else "canceled", None)


def _stop(world: World, prediction: Prediction, status: Status, error: str | None) -> None:
    if prediction.task is not None:
        prediction.task.cancel()
    finish(world, prediction, status, error)


def _error_data(world: World, error: str) -> str:
    return error if world.switches.stream_error == "text" else msgspec.json.encode({"detail": error}).decode()


def _end_stream(world: World, prediction: Prediction, done: dict[str, str]) -> None:
    if prediction.stream_ended:
        return
    prediction.say("done", msgspec.json.encode(done).decode(), world.clock.now())
    prediction.stream_ended = True
    prediction.watch.ring()


def _metrics(prediction: Prediction) -> dict[str, Any]:
    completed, started = prediction.completed or 0.0, prediction.started
    metrics: dict[str, Any] = {"total_time": round(completed - prediction.created, 6)}
    if started is None:
        return metrics
    predict_time = round(completed - started, 6)
    metrics["predict_time"] = predict_time
    if prediction.performance is None or prediction.put_out == 0:
        return metrics
    metrics |= prediction.performance.counts(prediction.put_out)
    if "output_token_count" in metrics:
        metrics["tokens_per_second"] = round(prediction.put_out / max(predict_time, 1e-6), 4)
        metrics["time_to_first_token"] = round((prediction.first_output or started) - started, 6)
    return metrics


def _keep_for_a_while(world: World, prediction: Prediction) -> None:
    ended = prediction.completed or world.clock.now()
    world.clock.at(ended + world.settings.retention_seconds, lambda: _remove_data(world, prediction))


def _remove_data(world: World, prediction: Prediction) -> None:
    for url in prediction.files:
        world.outputs.forget(url)
    prediction.forget_data()
    prediction.watch.ring()
    forgotten = (prediction.completed or 0.0) + world.settings.forget_seconds
    world.clock.at(forgotten, lambda: world.predictions.forget(prediction))

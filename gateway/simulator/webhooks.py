"""Webhooks: which events are sent, how they are signed, and which are tried again."""

import base64
import hmac
import secrets
from collections.abc import Callable
from typing import Any, Literal

import httpx
import msgspec
from msgspec import Struct

from gateway.simulator.diary import Delivery
from gateway.simulator.prediction import Prediction
from gateway.simulator.shapes import stored
from gateway.simulator.trainings import Training
from gateway.simulator.world import World

Event = Literal["start", "output", "logs", "completed"]

DEFAULT_EVENTS: tuple[Event, ...] = ("output", "completed")
_THROTTLED: tuple[Event, ...] = ("output", "logs")


class Told(Struct):
    """Whom a webhook tells, and about what."""

    id: str
    url: str
    events: tuple[str, ...]
    announced: dict[str, float]


def announce(world: World, prediction: Prediction, event: Event) -> None:
    """Send an event to a prediction's webhook if it was asked for and, while it runs, not too soon after the last."""
    asked = prediction.asked
    if asked.webhook:
        told = Told(prediction.id, asked.webhook, _events(asked.events_filter), prediction.announced)
        _announce(world, told, event, lambda: stored(world, prediction))


def announce_training(world: World, training: Training, event: Event) -> None:
    """Send an event to a training's webhook, by the same rules."""
    if training.webhook:
        told = Told(training.id, training.webhook, _events(training.events_filter), training.announced)
        _announce(world, told, event, lambda: training.stored(world.addresses.api))


def _events(asked: tuple[str, ...] | None) -> tuple[str, ...]:
    return DEFAULT_EVENTS if asked is None else asked


def _announce(world: World, told: Told, event: Event, shown: Callable[[], dict[str, Any]]) -> None:
    if event not in told.events:
        return
    if event in _THROTTLED and not _due(world, told.announced, event):
        return
    world.spawn(_deliver(world, told, event, msgspec.json.encode(shown())))


def _due(world: World, announced: dict[str, float], event: Event) -> bool:
    now, last = world.clock.now(), announced.get(event)
    if last is not None and now - last < world.settings.webhook_throttle_seconds:
        return False
    announced[event] = now
    return True


async def _deliver(world: World, told: Told, event: Event, body: bytes) -> None:
    id = f"msg_{secrets.token_hex(12)}"
    waits = (0.0, *world.settings.webhook_retry_seconds) if event == "completed" else (0.0,)
    for attempt, wait in enumerate(waits):
        await world.clock.sleep(wait)
        status = await _post(world, told.url, id, body)
        world.diary.deliveries.append(Delivery(told.id, event, told.url, id, attempt, status))
        if 200 <= status < 400:
            break
    if world.switches.duplicate_webhooks:
        status = await _post(world, told.url, id, body)
        world.diary.deliveries.append(Delivery(told.id, event, told.url, id, attempt + 1, status))


async def _post(world: World, url: str, id: str, body: bytes) -> int:
    """Return the status of the answer; 0 when there was none."""
    headers = signed(world.settings.webhook_secret, id, int(world.clock.wall()), body)
    try:
        answer = await world.web.post(url, content=body, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL):
        return 0
    return answer.status_code


def signed(secret: str, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of a webhook: its id, unix time, and the `v1` signature over id, time and body."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{id}.{timestamp}.".encode() + body, "sha256")
    return {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }

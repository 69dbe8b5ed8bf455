"""Webhooks: which events are sent, how they are signed, and which are tried again."""

import base64
import hmac
import secrets
from typing import Literal

import httpx
import msgspec

from gateway.simulator.diary import Delivery
from gateway.simulator.prediction import Prediction
from gateway.simulator.shapes import stored
from gateway.simulator.world import World

Event = Literal["start", "output", "logs", "completed"]

DEFAULT_EVENTS: tuple[Event, ...] = ("output", "completed")
_THROTTLED: tuple[Event, ...] = ("output", "logs")


def announce(world: World, prediction: Prediction, event: Event) -> None:
    """Send an event to a prediction's webhook if it was asked for and, while it runs, not too soon after the last."""
    url = prediction.asked.webhook
    if not url or event not in (prediction.asked.events_filter or DEFAULT_EVENTS):
        return
    if event in _THROTTLED and not _due(world, prediction, event):
        return
    body = msgspec.json.encode(stored(world, prediction))
    world.spawn(_deliver(world, prediction.id, event, url, body))


def _due(world: World, prediction: Prediction, event: Event) -> bool:
    now, last = world.clock.now(), prediction.announced.get(event)
    if last is not None and now - last < world.settings.webhook_throttle_seconds:
        return False
    prediction.announced[event] = now
    return True


async def _deliver(world: World, prediction: str, event: Event, url: str, body: bytes) -> None:
    id = f"msg_{secrets.token_hex(12)}"
    waits = (0.0, *world.settings.webhook_retry_seconds) if event == "completed" else (0.0,)
    for attempt, wait in enumerate(waits):
        await world.clock.sleep(wait)
        status = await _post(world, url, id, body)
        world.diary.deliveries.append(Delivery(prediction, event, url, id, attempt, status))
        if 200 <= status < 400:
            break
    if world.switches.duplicate_webhooks:
        status = await _post(world, url, id, body)
        world.diary.deliveries.append(Delivery(prediction, event, url, id, attempt + 1, status))


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

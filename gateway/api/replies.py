"""Replies as they leave: whole ones, streams, and the headers that tell of the call behind them."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import anyio
import msgspec
from litestar import Request, Response
from litestar.types import Receive, Scope, Send

from adapters.errors import ApiError
from adapters.wire.replicate import Prediction
from gateway import errors
from gateway.api.requests import Asked, attended, cancelled_with_client
from gateway.booking import queue_seconds
from gateway.calls import AnyCall

JSON = "application/json"
EXPOSED = (
    "x-request-id",
    "openai-processing-ms",
    "openai-version",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    *(f"x-ratelimit-{what}-{rate}" for rate in ("requests", "tokens") for what in ("limit", "remaining", "reset")),
    "x-repligate-prediction-id",
    "x-repligate-model",
    "x-repligate-ignored",
    "x-repligate-adjusted",
    "x-repligate-upstream-requests",
    "x-repligate-usage",
    "x-repligate-cost",
    "x-repligate-queue-ms",
    "x-repligate-run-ms",
)
"""The headers that a page in a browser may read."""

_PLAIN = "!#$&'()*+./:;<=>?@[]^_`{|}~ "
_MOST_NAMES, _LONGEST_NAME = 30, 60
EVENT_STREAM = b"text/event-stream; charset=utf-8"


def reply(content: object, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """A whole reply of 200 in JSON."""
    return Response(msgspec.json.encode(content), media_type=JSON, status_code=200, headers=dict(headers or {}))


def failure(error: ApiError, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """An error in OpenAI's shape, with the headers that official clients read before they try again."""
    content = msgspec.json.encode(errors.body(error))
    told = {**errors.headers(error), **(headers or {})}
    return Response(content, media_type=JSON, status_code=error.status, headers=told)


class EventStream(Response[bytes]):
    """A stream of ready frames that ends with its client: when either leaves, the other is closed."""

    def __init__(self, frames: AsyncGenerator[bytes], first: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(b"", status_code=200)
        self.frames, self.first, self.told = frames, first, headers

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **options: Any) -> Any:
        """An ASGI app, which is all that Litestar asks of it."""
        return self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self.frames), anyio.create_task_group() as group:
            group.start_soon(cancelled_with_client, receive, group.cancel_scope)
            await self._send(send)
            group.cancel_scope.cancel()

    async def _send(self, send: Send) -> None:
        headers = [(name.encode(), value.encode()) for name, value in self.told.items()]
        headers += [(b"content-type", EVENT_STREAM), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.first, "more_body": True})
        async for frames in self.frames:
            await send({"type": "http.response.body", "body": frames, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def streamed(request: Asked, call: AnyCall, frames: AsyncGenerator[bytes]) -> EventStream:
    """The frames as a reply. The first is awaited before the status line leaves, so that a failure keeps its status."""
    first = await attended(request, anext(frames))
    return EventStream(frames, first, told(call))


def told(call: AnyCall) -> dict[str, str]:
    """What the headers say of a call: its predictions, what became of its parameters, times and cost so far."""
    prepared, predictions = call.plan.prepared, call.predictions
    headers = {
        "x-repligate-prediction-id": ", ".join(prediction.id for prediction in predictions),
        "x-repligate-model": str(call.plan.model.ref),
        "x-repligate-ignored": _listed(prepared.ignored),
        "x-repligate-adjusted": _listed(prepared.adjusted),
        "x-repligate-upstream-requests": str(call.upstream.requests),
        "x-repligate-usage": "estimated" if call.over and call.estimated else "",
        "x-repligate-cost": _dollars(call.cost) if call.over else "",
        **_times(predictions),
        **call.slot.headers(),
    }
    return {name: value for name, value in headers.items() if value}


def _listed(names: Sequence[str]) -> str:
    """Names that clients wrote, as a header can carry them: percent-encoded where they are not plain ASCII, and no
    more than proxies let through."""
    shown = [quote(name[:_LONGEST_NAME], safe=_PLAIN, errors="replace") for name in names[:_MOST_NAMES]]
    more = len(names) - len(shown)
    return ", ".join([*shown, f"and {more} more"] if more else shown)


def _dollars(amount: int | None) -> str:
    return "" if amount is None else f"{amount / 1_000_000:.6f}"


def _times(predictions: list[Prediction]) -> dict[str, str]:
    """Whole milliseconds of the slowest prediction."""
    waits = [wait for wait in map(queue_seconds, predictions) if wait is not None]
    runs = [p.metrics.predict_time for p in predictions if p.metrics and p.metrics.predict_time is not None]
    return {
        "x-repligate-queue-ms": str(round(max(waits) * 1000)) if waits else "",
        "x-repligate-run-ms": str(round(max(runs) * 1000)) if runs else "",
    }

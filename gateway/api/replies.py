"""Replies as they leave: whole ones, streams, and the headers that tell of the call behind them."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from litestar import Request, Response
from litestar.types import Receive, Scope, Send

from adapters.errors import ApiError
from adapters.wire.replicate import Prediction
from gateway import errors
from gateway.accounts.rates import RATES
from gateway.accounts.spending import Budget
from gateway.alarms import Alarm
from gateway.api.attending import Attended
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
    *(f"x-ratelimit-{what}-{rate}" for rate in RATES for what in ("limit", "remaining", "reset")),
    "x-repligate-prediction-id",
    "x-repligate-replayed",
    "x-repligate-model",
    "x-repligate-fallback",
    "x-repligate-ignored",
    "x-repligate-adjusted",
    "x-repligate-upstream-requests",
    "x-repligate-usage",
    "x-repligate-cost",
    "x-repligate-wait-ms",
    "x-repligate-budget",
    "x-repligate-unforeseen",
    "x-repligate-queue-ms",
    "x-repligate-run-ms",
)
"""The headers that a page in a browser may read."""

_PLAIN = "!#$&'()*+./:;<=>?@[]^_`{|}~ "
_MOST_NAMES, _LONGEST_NAME = 30, 60
EVENT_STREAM = "text/event-stream; charset=utf-8"


class Body(NamedTuple):
    """What a reply of another type than JSON holds."""

    content: bytes
    media_type: str


class Frames(NamedTuple):
    """A reply in pieces, and the type they are of."""

    frames: AsyncGenerator[bytes]
    media_type: str = EVENT_STREAM


class Whole(Response[bytes]):
    """A reply in one piece, ready to be sent: Litestar has nothing to add to it."""

    def __init__(self, status: int, body: Body, headers: Mapping[str, str]) -> None:
        # Litestar's own would prepare for all that a response of its own may still become.
        kind = f"{body.media_type}; charset=utf-8" if body.media_type.startswith("text/") else body.media_type
        self.status, self.body = status, body.content
        self.told = {**headers, "content-type": kind, "content-length": str(len(body.content))}

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **options: Any) -> Any:
        """An ASGI app, which is all that Litestar asks of it."""
        return self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": encoded(self.told)})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def reply(content: object, headers: Mapping[str, str] | None = None) -> Whole:
    """A whole reply of 200: a `Body` as it is, anything else in JSON."""
    body = content if isinstance(content, Body) else Body(msgspec.json.encode(content), JSON)
    return Whole(200, body, headers or {})


def failure(error: ApiError, headers: Mapping[str, str] | None = None) -> Whole:
    """An error in OpenAI's shape, with the headers that official clients read before they try again."""
    body = Body(msgspec.json.encode(errors.body(error)), JSON)
    return Whole(error.status, body, {**errors.headers(error), **(headers or {})})


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them."""
    return [(name.encode(), value.encode()) for name, value in headers.items()]


class EventStream(Response[bytes]):
    """A stream of ready frames that ends with its client: when either leaves, the other is closed."""

    def __init__(self, parts: Frames, first: bytes, headers: Mapping[str, str], unread_seconds: float) -> None:
        self.unread_seconds = unread_seconds
        self.frames, self.first, self.told = parts.frames, first, {**headers, "content-type": parts.media_type}

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **options: Any) -> Any:
        """An ASGI app, which is all that Litestar asks of it."""
        return self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self.frames):
            with Attended(receive) as client:
                # A client that reads nothing holds up what is sent to it, and has left if it does so for long.
                unread = Alarm(client.leave)
                try:
                    await self._send(send, unread)
                finally:
                    unread.close()

    async def _send(self, send: Send, unread: Alarm) -> None:
        headers = [*encoded(self.told), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
        now = asyncio.get_running_loop().time
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.first, "more_body": True})
        async for frames in self.frames:
            unread.set(now() + self.unread_seconds)
            await send({"type": "http.response.body", "body": frames, "more_body": True})
            unread.off()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def streamed(call: AnyCall, parts: Frames) -> EventStream:
    """The frames as a reply. The first is awaited before the status line leaves, so that a failure keeps its status."""
    first = await anext(parts.frames)
    return EventStream(parts, first, told(call), call.gateway.config.server.unread_seconds)


def told(call: AnyCall) -> dict[str, str]:
    """What the headers say of a call: its predictions, what became of its parameters, times and cost so far."""
    prepared, predictions, account = call.plan.prepared, call.predictions, call.account
    headers = {
        "x-repligate-prediction-id": ", ".join(prediction.id for prediction in predictions),
        "x-repligate-model": str(call.plan.model.ref),
        "x-repligate-fallback": quote(call.name, safe=_PLAIN) if call.name != call.plan.request.model else "",
        "x-repligate-ignored": _listed(prepared.ignored),
        "x-repligate-adjusted": _listed(prepared.adjusted),
        "x-repligate-upstream-requests": str(call.upstream.requests),
        "x-repligate-usage": "estimated" if account.over and account.estimated else "",
        "x-repligate-cost": _dollars(account.cost) if account.over else "",
        "x-repligate-wait-ms": str(round(call.upstream.waited * 1000)) if call.upstream.waited else "",
        "x-repligate-budget": _budgets(call),
        "x-repligate-unforeseen": account.reservation.unforeseen if account.reservation else "",
        **_times(predictions),
        **call.slot.headers(),
    }
    return {name: value for name, value in headers.items() if value}


def _listed(names: Sequence[str]) -> str:
    """Names that clients wrote, as a header can carry them: percent-encoded where they are not plain ASCII, and no
    more than proxies let through."""
    if not names:
        return ""
    shown = [quote(name[:_LONGEST_NAME], safe=_PLAIN, errors="replace") for name in names[:_MOST_NAMES]]
    more = len(names) - len(shown)
    return ", ".join([*shown, f"and {more} more"] if more else shown)


def _budgets(call: AnyCall) -> str:
    """The budgets concerned that warn, with this call's money held."""
    concerned = call.account.reservation.budgets if call.account.reservation else ()
    return ", ".join(_warning(budget) for budget in concerned if budget.mark)


def _warning(budget: Budget) -> str:
    left = "" if budget.left is None else f"; left={budget.left / 1_000_000:.6f}"
    return f"{budget.mark}; {budget.scope}={quote(budget.subject, safe='*/:') or 'all'}; period={budget.period}{left}"


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

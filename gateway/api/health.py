"""Whether the process lives, and whether it takes calls."""

from typing import Any

from litestar import Response, get

from gateway.api.replies import failure, reply
from gateway.api.requests import Asked, gateway_of
from gateway.errors import Draining
from gateway.parts import Gateway


@get("/health/live", status_code=200)
async def live() -> Response[Any]:
    """200 as long as the process answers."""
    return reply({"status": "live"})


@get("/health/ready", status_code=200)
async def ready(request: Asked) -> Response[Any]:
    """200 while calls are taken; 503 once the gateway is shutting down. Tells how it stands among several."""
    gateway = gateway_of(request)
    if gateway.draining:
        return failure(Draining("This gateway is shutting down.", retry_after=1))
    # A gateway whose books are away still ends what it has begun: it is not taken out for that.
    books = {"books": "away" if gateway.ledger.away else "open", "journaled": gateway.ledger.journaled}
    among = gateway.replicas.standing if gateway.replicas else {}
    return reply({"status": "ready", "running": len(gateway.running), **books, **among, "upstream": _standing(gateway)})


def _standing(gateway: Gateway) -> dict[str, Any]:
    """How long creates and polls wait, and what each token has left; no secret is in it."""
    upstream = gateway.upstream
    now, polls = upstream.clock(), upstream.allowance
    tokens = [{"token": one.label, "fault": one.fault, "creates_left": one.room.left(now)} for one in upstream.tokens]
    return {
        "waiting": upstream.turns.waiting,
        "longest_wait_seconds": round(upstream.turns.longest, 3),
        "polls_wait_seconds": round(polls.backlog, 3),
        "polls_waited_seconds": round(polls.waited, 3),
        "tokens": tokens,
    }

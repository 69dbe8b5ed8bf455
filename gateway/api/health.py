"""Whether the process lives, and whether it takes calls."""

from typing import Any

from litestar import Response, get

from gateway.api.replies import failure, reply
from gateway.api.requests import Asked, gateway_of
from gateway.errors import Draining


@get("/health/live", status_code=200)
async def live() -> Response[Any]:
    """200 as long as the process answers."""
    return reply({"status": "live"})


@get("/health/ready", status_code=200)
async def ready(request: Asked) -> Response[Any]:
    """200 while calls are taken; 503 once the gateway is shutting down."""
    gateway = gateway_of(request)
    if gateway.draining:
        return failure(Draining("This gateway is shutting down.", retry_after=1))
    return reply({"status": "ready", "running": len(gateway.running)})

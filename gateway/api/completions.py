"""POST /v1/completions."""

from typing import Any

from litestar import Response, post
from msgspec import Struct

from adapters.completions import CompletionAdapter
from adapters.wire.completions import CompletionRequest
from gateway import relay
from gateway.api.endpoints import served
from gateway.api.replies import Frames
from gateway.api.requests import Asked
from gateway.calls import AnyCall

_PREFIX = "cmpl-"


@post("/v1/completions", status_code=200)
async def create_completion(request: Asked) -> Response[Any]:
    """What follows a text, whole or as a stream."""
    return await served(request, CompletionAdapter, CompletionRequest, _whole, _chunks)


async def _whole(call: AnyCall) -> Struct:
    return await relay.whole(call, _PREFIX)


def _chunks(call: AnyCall) -> Frames:
    return Frames(relay.relay(call, _PREFIX, call.gateway.config.server.heartbeat_seconds))

"""POST /v1/chat/completions."""

from typing import Any

from litestar import Response, post
from msgspec import Struct

from adapters.chat import ChatAdapter
from adapters.wire.chat import ChatRequest
from gateway import relay
from gateway.api.endpoints import served
from gateway.api.replies import Frames
from gateway.api.requests import Asked
from gateway.calls import AnyCall

_PREFIX = "chatcmpl-"


@post("/v1/chat/completions", status_code=200)
async def create_chat_completion(request: Asked) -> Response[Any]:
    """A model's answer to a conversation, whole or as a stream of chunks."""
    return await served(request, ChatAdapter, ChatRequest, _whole, _chunks)


async def _whole(call: AnyCall) -> Struct:
    return await relay.whole(call, _PREFIX)


def _chunks(call: AnyCall) -> Frames:
    return Frames(relay.relay(call, _PREFIX, call.gateway.config.server.heartbeat_seconds))

"""POST /v1/chat/completions."""

from typing import Any

from litestar import Response, post

from adapters.chat import ChatAdapter
from adapters.wire.base import decode
from adapters.wire.chat import ChatRequest
from gateway.api.dryrun import dry_run, wants_dry_run
from gateway.api.replies import reply, streamed, told
from gateway.api.requests import Asked, attended, authenticated, body_of, gateway_of
from gateway.calls import Call
from gateway.relay import relay, whole


@post("/v1/chat/completions", status_code=200)
async def create_chat_completion(request: Asked) -> Response[Any]:
    """A model's answer to a conversation, whole or as a stream of chunks."""
    gateway, caller = gateway_of(request), await authenticated(request)
    chat = decode(await body_of(request), ChatRequest)
    if wants_dry_run(request):
        return await dry_run(gateway, caller, ChatAdapter, chat)
    call = await attended(request, Call.begin(gateway, caller, ChatAdapter, chat))
    if chat.stream:
        return await streamed(request, call, relay(call, "chatcmpl-", gateway.config.server.heartbeat_seconds))
    async with call:
        answer = await attended(request, whole(call, "chatcmpl-"))
    return reply(answer, told(call))

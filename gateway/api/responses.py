"""/v1/responses: answers with items, kept and continued."""

from contextlib import AsyncExitStack
from typing import Any

from litestar import Response, delete, get, post
from litestar.params import FromPath

from adapters.errors import InvalidRequest
from adapters.responses import ResponsesAdapter
from adapters.wire.files import Deleted
from adapters.wire.itemlists import ItemList, ItemsQuery, ResponseQuery
from adapters.wire.responses import ResponsesRequest
from gateway import carrying, outcomes, remembering
from gateway.api.attending import Attended
from gateway.api.dryrun import dry_run, wants_dry_run
from gateway.api.endpoints import persisted
from gateway.api.files import allowed
from gateway.api.replies import EventStream, Frames, reply, streamed, told
from gateway.api.requests import Asked, asked, attended, authenticated, client_left, decoded, gateway_of
from gateway.calls import Call
from gateway.errors import UnknownModel
from gateway.filing import resolved


@post("/v1/responses", status_code=200)
async def create_response(request: Asked) -> Response[Any]:
    """A model's answer to items, whole or as a stream of events."""
    try:
        return await _created(request)
    except UnknownModel as unknown:
        # OpenAI's other endpoints call it not found; this one a wrong request.
        raise InvalidRequest(unknown.message, param="model", code=unknown.code) from None


@get("/v1/responses/{response_id:str}", status_code=200)
async def get_response(request: Asked, response_id: FromPath[str]) -> Response[Any]:
    """A response that was kept, or is being made; with `stream`, its events."""
    gateway, key = gateway_of(request), await allowed(request)
    query = asked(request, ResponseQuery)
    found = await remembering.find(gateway, key, response_id)
    if query.stream:
        frames = carrying.follow(gateway, found, query.starting_after)
        first = await attended(request, anext(frames, b""))
        return EventStream(Frames(frames), first, {}, gateway.config.server.unread_seconds)
    return reply(remembering.read(await outcomes.fresh(gateway, found)).response)


@post("/v1/responses/{response_id:str}/cancel", status_code=200)
async def cancel_response(request: Asked, response_id: FromPath[str]) -> Response[Any]:
    """Ends one that is being made in the background."""
    gateway, key = gateway_of(request), await allowed(request)
    found = await carrying.cancel(gateway, await remembering.find(gateway, key, response_id))
    return reply(remembering.read(found).response)


@delete("/v1/responses/{response_id:str}", status_code=200)
async def delete_response(request: Asked, response_id: FromPath[str]) -> Response[Any]:
    """Forgets it, at once and for good; one that is being made is stopped."""
    gateway, key = gateway_of(request), await allowed(request)
    found = await remembering.find(gateway, key, response_id)
    await gateway.objects.delete(found)
    if found.status in outcomes.GOING:
        await carrying.stop(gateway, found)
    return reply(Deleted(id=response_id, object="response"))


@get("/v1/responses/{response_id:str}/input_items", status_code=200)
async def list_input_items(request: Asked, response_id: FromPath[str]) -> Response[Any]:
    """What a response was asked with, page by page."""
    key = await allowed(request)
    query = asked(request, ItemsQuery)
    kept = remembering.read(await remembering.find(gateway_of(request), key, response_id))
    return reply(ItemList.page(kept.request.identified(kept.response.id), query))


async def _created(request: Asked) -> Response[Any]:
    gateway, caller = gateway_of(request), await authenticated(request)
    wanted = await remembering.continued(gateway, caller.key, await decoded(request, ResponsesRequest))
    order = await resolved(gateway, caller.key, wanted)
    if wants_dry_run(request):
        return await dry_run(gateway, caller, ResponsesAdapter, order)
    if wanted.background:
        return await _in_background(
            request, wanted, await Call.begin(gateway, caller, ResponsesAdapter, order, "detach")
        )
    call: Call[Any, Any] | None = None
    with Attended(request.receive):
        call = await Call.begin(gateway, caller, ResponsesAdapter, order)
        if order.streams:
            frames = remembering.frames(call, wanted, gateway.config.server.heartbeat_seconds)
            return await streamed(call, Frames(frames))
        async with call:
            answer = await persisted(call, lambda call: remembering.whole(call, wanted))
        return reply(answer, told(call))
    raise client_left(call)


async def _in_background(
    request: Asked, wanted: ResponsesRequest, call: Call[ResponsesRequest, ResponsesAdapter]
) -> Response[Any]:
    """What is known at once, or all events; either way the response goes on when its client leaves."""
    async with AsyncExitStack() as unless_kept:
        unless_kept.push_async_exit(call)
        queued = await carrying.begin(call, wanted)
        unless_kept.pop_all()
    if not wanted.streams:
        return reply(queued, told(call))
    heartbeat = call.gateway.config.server.heartbeat_seconds
    frames = Frames(call.gateway.followed[queued.id].follow(-1, heartbeat))
    return await attended(request, streamed(call, frames))

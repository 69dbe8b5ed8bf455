"""Responses that outlive their request: continued, kept, and found again by those whose they are."""

import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from adapters.base import Reading
from adapters.errors import ApiError, InvalidRequest
from adapters.responding import replayed
from adapters.responses import ResponsesAdapter, ResponseStream
from adapters.wire.responded import OVER, Response, ResponseEvent
from adapters.wire.responses import Item, ItemPart, ResponsesRequest
from gateway import relay
from gateway.accounts.virtualkeys import VirtualKey
from gateway.calls import Call
from gateway.errors import NotFound, StoreError
from gateway.filing import owner, owners
from gateway.parts import Gateway
from gateway.store.objects import Stored

log = structlog.get_logger()

KIND, PREFIX = "response", "resp_"
DAY = 86_400.0

_ITEM = re.compile(r"[a-z]+_([0-9a-f]{32})(?:in)?[0-9a-f]{2,6}")
"""An item's id, with that of its response."""

Answering = Call[ResponsesRequest, ResponsesAdapter]


class Kept(Struct, frozen=True, kw_only=True):
    """A response with the request it answers, which has no earlier items and no files in it; one in the background with
    its predictions, and what reading them needs."""

    request: ResponsesRequest
    response: Response
    predictions: tuple[str, ...] = ()
    reading: Reading = Reading()

    @property
    def events(self) -> list[ResponseEvent]:
        """The events of a stream that comes to this response."""
        return replayed(self.request, self.response)

    @property
    def items(self) -> list[Item]:
        """What a response that goes on from this one begins with."""
        return [*self.request.items, *self._output]

    @property
    def listed(self) -> list[Item]:
        """The same, each with its id."""
        return [*self.request.identified(self.response.id), *self._output]

    @property
    def _output(self) -> list[Item]:
        return msgspec.convert(msgspec.to_builtins(self.response.output), list[Item])


async def continued(gateway: Gateway, key: VirtualKey, request: ResponsesRequest) -> ResponsesRequest:
    """The request with all that was said before it, and with items that it names by their ids in their places.

    Raises InvalidRequest for what this key cannot see.
    """
    earlier: list[Item] = []
    id = request.previous_response_id
    while id:
        kept = await _previous(gateway, key, id)
        earlier = [*kept.items, *earlier]
        id = kept.request.previous_response_id
    if not any(item.kind == "item_reference" for item in request.items):
        return replace(request, earlier=earlier)
    items = [await _referenced(gateway, key, *each) for each in enumerate(request.items)]
    return replace(request, earlier=earlier, input=items)


async def whole(call: Answering, asked: ResponsesRequest) -> Response:
    """The response in one piece, kept unless `asked` says otherwise."""
    answer = await relay.whole(call, PREFIX)
    assert isinstance(answer, Response)
    return await kept(call, asked, answer)


def frames(call: Answering, asked: ResponsesRequest, heartbeat: float) -> AsyncGenerator[bytes]:
    """The response as events, kept before its end is told."""
    chunks: ResponseStream = relay.begun(call, PREFIX)

    def parts() -> AsyncGenerator[bytes]:
        nonlocal chunks
        chunks = relay.begun(call, PREFIX)
        return relay.answered(call, chunks, heartbeat, framed, ending)

    async def ending(last: Sequence[Struct]) -> bytes:
        done = await kept(call, asked, chunks.response)
        return b"".join(framed(replace(event, response=done) if event is last[-1] else event) for event in last)

    def failed(error: ApiError) -> bytes:
        *before, last = chunks.failed(error)
        assert last.response
        return b"".join(map(framed, [*before, replace(last, response=replace(last.response, store=False))]))

    return relay.guarded(call, relay.persisting(call, parts), failed=failed)


def framed(event: Any) -> bytes:
    """An event under its name."""
    return relay.named(event.type, event)


async def kept(call: Answering, asked: ResponsesRequest, response: Response) -> Response:
    """The response at its end. It is the client's even where the books are away, and then says that it is not kept."""
    gateway, done = call.gateway, at_its_end(call.gateway, response)
    if not asked.kept:
        return done
    try:
        await gateway.objects.put(stored(gateway, call.caller.key, Kept(request=bare(asked), response=done)))
    except StoreError as away:
        log.warning("response not kept", response=done.id, reason=away.reason)
        return replace(done, store=False)
    return done


def at_its_end(gateway: Gateway, response: Response) -> Response:
    """The response with the second of its end, which only one that is complete has."""
    return replace(response, completed_at=int(gateway.clock()) if response.status == "completed" else None)


def stored(gateway: Gateway, key: VirtualKey, kept: Kept) -> Stored:
    """The object that a response is kept as."""
    now = gateway.clock()
    return Stored(
        id=kept.response.id,
        kind=KIND,
        owner=owner(key),
        body=msgspec.json.encode(kept),
        status=kept.response.status,
        created=now,
        expires=now + gateway.config.responses.keep_days * DAY,
    )


async def find(gateway: Gateway, key: VirtualKey, id: str) -> Stored:
    """The response, if this key may see it. Raises NotFound."""
    if found := await gateway.objects.get(KIND, id, owners(key)):
        return found
    raise NotFound(f"Response with id '{id[:100]}' not found.")


def read(found: Stored) -> Kept:
    return msgspec.json.decode(found.body, type=Kept)


def bare(request: ResponsesRequest) -> ResponsesRequest:
    """The request as it is kept: without earlier items, which are kept with theirs, without files named by id, and
    without the model's own inputs, which nobody asks for again and which may be secret."""
    return replace(request, earlier=[], extra={}, input=[_bare(item) for item in request.items])


async def _previous(gateway: Gateway, key: VirtualKey, id: str) -> Kept:
    found = await gateway.objects.get(KIND, id, owners(key))
    param = "previous_response_id"
    if found is None:
        what = f"Previous response with id '{id[:100]}' not found."
        raise InvalidRequest(what, param=param, code="previous_response_not_found")
    if found.status not in OVER:
        raise InvalidRequest(f"The response '{id[:100]}' is still {found.status}.", param=param, code="invalid_value")
    return read(found)


async def _referenced(gateway: Gateway, key: VirtualKey, index: int, item: Item) -> Item:
    """The item itself, whose id tells that of its response."""
    if item.kind != "item_reference":
        return item
    id = item.id or ""
    told = _ITEM.fullmatch(id)
    found = await gateway.objects.get(KIND, PREFIX + told[1], owners(key)) if told else None
    for each in read(found).listed if found else ():
        if each.id == id:
            return each
    raise InvalidRequest(f"Item with id '{id[:100]}' not found.", param=f"input[{index}].id")


def _bare(item: Item) -> Item:
    parts = [_unfilled(part) for part in item.parts]
    if not parts:
        return item
    return replace(item, output=parts) if item.kind == "function_call_output" else replace(item, content=parts)


def _unfilled(part: ItemPart) -> ItemPart:
    return replace(part, image_url=None, file_data=None) if part.file_id else part

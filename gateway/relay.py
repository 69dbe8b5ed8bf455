"""Events in, frames out: a prediction's stream as server-sent events in OpenAI's form."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Protocol

import msgspec
import structlog

from adapters.errors import ApiError
from adapters.wire.replicate import Event, Prediction
from gateway.calls import AnyCall
from gateway.errors import InternalError, body

log = structlog.get_logger()

BEAT = b": waiting for the model\n\n"
"""A comment: official clients skip it. An empty event, or one with an id, breaks them."""

DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


class Chunks(Protocol):
    """What a kind makes of events. A prediction that is no longer wanted has said enough; `doom` is the failure of one
    that no other can make good."""

    @property
    def doom(self) -> ApiError | None: ...

    def wants(self, index: int) -> bool: ...
    def feed(self, event: Event) -> Iterable[msgspec.Struct]: ...
    def close(self, predictions: Sequence[Prediction]) -> Iterable[msgspec.Struct]: ...
    def whole(self, predictions: Sequence[Prediction]) -> msgspec.Struct: ...


def frame(chunk: object) -> bytes:
    """One server-sent event: its JSON on one `data:` line."""
    return b"data: %b\n\n" % _encode(chunk)


async def relay(call: AnyCall, prefix: str, heartbeat: float) -> AsyncGenerator[bytes]:
    """The call's answer as frames, with a comment after `heartbeat` seconds without one; ids begin with `prefix`.

    A failure before the first frame is raised, so that it can still be an ordinary reply; after it, it becomes an
    error frame, which official clients raise. Leaving early, however, ends the call.
    """
    begun = False
    async with call:
        try:
            chunks = _chunks(call, prefix)
            async with aclosing(_frames(call, chunks, heartbeat)) as parts:
                async for frames in parts:
                    begun = True
                    yield frames
            yield b"".join(map(frame, chunks.close(await call.finished())))
        except Exception as wrong:
            # Once the status has left, a frame is all that can still tell of it.
            error = wrong if isinstance(wrong, ApiError) else InternalError("The gateway failed; its log says why.")
            call.failed(error)
            if not begun:
                raise
            if error is not wrong:
                log.error("failed", request=call.caller.request, exc_info=wrong)
            yield frame(body(error))
        yield DONE


async def whole(call: AnyCall, prefix: str) -> msgspec.Struct:
    """The call's answer in one piece; its predictions are stopped where enough has been seen."""
    chunks = _chunks(call, prefix)
    async for batch in call.batches(None):
        for event in batch:
            chunks.feed(event)
        _stop_unwanted(call, chunks, batch)
    return chunks.whole(await call.finished())


async def _frames(call: AnyCall, chunks: Chunks, heartbeat: float) -> AsyncGenerator[bytes]:
    now = asyncio.get_running_loop().time
    told = now()
    async with aclosing(call.batches(heartbeat)) as batches:
        async for batch in batches:
            frames = b"".join(frame(chunk) for event in batch for chunk in chunks.feed(event))
            # Upstream may say much that is not shown, and this is about what the client hears.
            if not frames and now() - told >= heartbeat:
                frames = BEAT
            if frames:
                yield frames
                told = now()
            _stop_unwanted(call, chunks, batch)


def _chunks(call: AnyCall, prefix: str) -> Chunks:
    chunks: Chunks = call.adapter.stream(call.plan.request, call.stamp(prefix), call.plan.prepared)
    return chunks


def _stop_unwanted(call: AnyCall, chunks: Chunks, batch: Iterable[Event]) -> None:
    """Ends what need not be waited for. Raises the failure that ends it all."""
    if chunks.doom:
        raise chunks.doom
    for index in {event.index for event in batch}:
        if not chunks.wants(index):
            call.stop(index)

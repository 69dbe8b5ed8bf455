"""Events in, frames out: a prediction's stream as server-sent events in OpenAI's form."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from functools import cache
from typing import Any, Protocol, TypeGuard, runtime_checkable

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
    def feed(self, event: Event) -> Iterable[Any]: ...
    def hear(self, event: Event) -> object: ...
    def close(self, predictions: Sequence[Prediction]) -> Iterable[Any]: ...
    def whole(self, predictions: Sequence[Prediction]) -> msgspec.Struct: ...


@runtime_checkable
class Mendable(Protocol):
    """Chunks whose answers may turn out to be of the wrong form: `repair` is what to ask again, for one answer after
    the other, `mend` takes what came of it."""

    def repair(self, predictions: Sequence[Prediction]) -> Any | None: ...
    def mend(self, predictions: Sequence[Prediction]) -> None: ...


def frame(chunk: object) -> bytes:
    """One server-sent event: its JSON on one `data:` line."""
    return b"data: %b\n\n" % _encode(chunk)


def named(event: str, chunk: object) -> bytes:
    """One server-sent event that has a name."""
    return b"event: %b\n%b" % (event.encode(), frame(chunk))


def error_frame(error: ApiError) -> bytes:
    """A failure after the status has left: official clients raise it."""
    return frame(body(error))


def relay(call: AnyCall, prefix: str, heartbeat: float) -> AsyncGenerator[bytes]:
    """The call's answer as frames, with a comment after `heartbeat` seconds without one; ids begin with `prefix`."""

    async def ending(last: Sequence[msgspec.Struct]) -> bytes:
        return b"".join([*map(frame, last), DONE])

    def failed(error: ApiError) -> bytes:
        return error_frame(error) + DONE

    def parts() -> AsyncGenerator[bytes]:
        return answered(call, begun(call, prefix), heartbeat, frame, ending)

    return guarded(call, persisting(call, parts), failed)


async def guarded(
    call: AnyCall, parts: AsyncGenerator[bytes], failed: Callable[[ApiError], bytes] = error_frame
) -> AsyncGenerator[bytes]:
    """These frames, with the call around them.

    A failure before the first frame is raised, so that it can still be an ordinary reply; after it, it becomes what
    `failed` makes of it. Leaving early, however, ends the call.
    """
    begun = False
    async with call:
        try:
            async with aclosing(parts):
                async for frames in parts:
                    begun = True
                    yield frames
        except Exception as wrong:
            # Once the status has left, a frame is all that can still tell of it.
            error = wrong if isinstance(wrong, ApiError) else InternalError("The gateway failed; its log says why.")
            call.failed(error)
            if not begun:
                raise
            if error is not wrong:
                log.error("failed", request=call.caller.request, exc_info=wrong)
            yield failed(error)


async def answered(
    call: AnyCall,
    chunks: Chunks,
    heartbeat: float,
    framed: Callable[[msgspec.Struct], bytes],
    ending: Callable[[Sequence[msgspec.Struct]], Coroutine[Any, Any, bytes]],
) -> AsyncGenerator[bytes]:
    """The call's answer as frames: each chunk `framed`, and the last ones as `ending` has them."""
    now = asyncio.get_running_loop().time
    told = now()
    async with aclosing(call.batches(heartbeat)) as batches:
        async for batch in batches:
            frames = b"".join([framed(chunk) for event in batch for chunk in chunks.feed(event)])
            # Upstream may say much that is not shown, and this is about what the client hears.
            if not frames and (not batch or now() - told >= heartbeat):
                frames = BEAT
            if frames:
                yield frames
                told = now()
            _stop_unwanted(call, chunks, batch)
    predictions = await call.finished(counted=call.plan.request.wants_usage)
    if request := _repair(chunks, predictions):
        async with aclosing(_repaired(call, chunks, predictions, request, heartbeat)) as waits:
            async for _ in waits:
                yield BEAT
    yield await ending(list(chunks.close(predictions)))


def persisting(call: AnyCall, parts: Callable[[], AsyncGenerator[bytes]]) -> AsyncGenerator[bytes]:
    """These frames; those of a model that stands in, made anew, where the one asked fails before its first."""
    return _persisting(call, parts) if call.has_standins else parts()


async def _persisting(call: AnyCall, parts: Callable[[], AsyncGenerator[bytes]]) -> AsyncGenerator[bytes]:
    while True:
        told = False
        try:
            async with aclosing(parts()) as frames:
                async for each in frames:
                    told = told or each != BEAT
                    yield each
        except ApiError as error:
            if told or not await call.instead(error):
                raise
        else:
            return


async def whole(call: AnyCall, prefix: str) -> msgspec.Struct:
    """The call's answer in one piece; its predictions are stopped where enough has been seen."""
    chunks: Chunks = begun(call, prefix)
    async for batch in call.batches(None):
        for event in batch:
            chunks.hear(event)
        _stop_unwanted(call, chunks, batch)
    predictions = await call.finished()
    if request := _repair(chunks, predictions):
        async for _ in _repaired(call, chunks, predictions, request, None):
            pass
    return chunks.whole(predictions)


def _repair(chunks: Chunks, predictions: Sequence[Prediction]) -> Any | None:
    """What to ask again, if an answer is not of the form asked for."""
    return chunks.repair(predictions) if _mendable(chunks) else None


async def _repaired(
    call: AnyCall, chunks: Chunks, predictions: Sequence[Prediction], request: Any, heartbeat: float | None
) -> AsyncGenerator[None]:
    """Asks that, within the same call, and whatever else is found then; yields at each heartbeat."""
    while _mendable(chunks) and request:
        await call.again(request)
        async with aclosing(call.batches(heartbeat)) as batches:
            async for batch in batches:
                if not batch:
                    yield None
        chunks.mend(await call.finished())
        request = chunks.repair(predictions)


def _mendable(chunks: Chunks) -> TypeGuard[Mendable]:
    return _mends(type(chunks))


@cache
def _mends(kind: type) -> bool:
    # Such a look at a protocol's members takes longer than what is done with them.
    return issubclass(kind, Mendable)


def begun(call: AnyCall, prefix: str) -> Any:
    """What the call's kind makes of events (`Chunks`), from the first on."""
    return call.adapter.stream(call.plan.request, call.stamp(prefix), call.plan.prepared)


def _stop_unwanted(call: AnyCall, chunks: Chunks, batch: Iterable[Event]) -> None:
    """Ends what need not be waited for. Raises the failure that ends it all."""
    if chunks.doom:
        raise chunks.doom
    for index in {event.index for event in batch}:
        if not chunks.wants(index):
            call.stop(index)

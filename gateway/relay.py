"""Events in, frames out: a prediction's stream as server-sent events in OpenAI's form."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Protocol

import msgspec

from adapters.errors import ApiError
from adapters.wire.replicate import Event, Prediction
from gateway.calls import AnyCall
from gateway.errors import body

BEAT = b": waiting for the model\n\n"
"""A comment: official clients skip it. An empty event, or one with an id, breaks them."""

DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


class Chunks(Protocol):
    """What a kind makes of events; one whose prediction is no longer wanted has said enough."""

    def wants(self, index: int) -> bool: ...
    def feed(self, event: Event) -> Iterable[msgspec.Struct]: ...
    def close(self, predictions: Sequence[Prediction]) -> Iterable[msgspec.Struct]: ...


def frame(chunk: object) -> bytes:
    """One server-sent event: its JSON on one `data:` line."""
    return b"data: %b\n\n" % _encode(chunk)


async def relay(call: AnyCall, chunks: Chunks, heartbeat: float) -> AsyncGenerator[bytes]:
    """The call's answer as frames, with a comment after every `heartbeat` seconds of silence.

    An ApiError before the first frame is raised, so that it can still be an ordinary reply; after it, it
    becomes an error frame, which official clients raise. Leaving early, however, ends the call.
    """
    begun = False
    async with call:
        try:
            async for batch in call.batches(heartbeat):
                frames = b"".join(frame(chunk) for event in batch for chunk in chunks.feed(event)) if batch else BEAT
                if frames:
                    begun = True
                    yield frames
                _stop_unwanted(call, chunks, batch)
            yield b"".join(map(frame, chunks.close(await call.finished())))
        except ApiError as error:
            call.failed(error)
            if not begun:
                raise
            yield frame(body(error))
        yield DONE


async def watched(call: AnyCall, chunks: Chunks) -> list[Prediction]:
    """The call's predictions at their end, stopped early where `chunks` has seen enough: for a whole reply."""
    async for batch in call.batches(None):
        for event in batch:
            chunks.feed(event)
        _stop_unwanted(call, chunks, batch)
    return await call.finished()


def _stop_unwanted(call: AnyCall, chunks: Chunks, batch: Iterable[Event]) -> None:
    for index in {event.index for event in batch}:
        if not chunks.wants(index):
            call.stop(index)

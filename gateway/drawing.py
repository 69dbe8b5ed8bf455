"""Pictures in the making: partial ones where a model shows its progress, then each when it is done."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from adapters.images import ImageAdapter
from adapters.wire.images import ImageFile
from adapters.wire.replicate import Output, Prediction
from gateway.calls import Call
from gateway.gathering import gathered
from gateway.keeping import kept
from gateway.relay import BEAT, named

Pictures = Call[Any, ImageAdapter]


async def drawn(call: Pictures, heartbeat: float) -> AsyncGenerator[bytes]:
    """The frames of a streamed reply, with a comment where nothing comes for `heartbeat` seconds. Raises ApiError."""
    async with aclosing(call.batches(heartbeat)) as batches, aclosing(_drafts(call, batches)) as drafts:
        async for frames in drafts:
            yield frames
    predictions, files = await pictures(call)
    done = call.adapter.completed(call.plan.request, files, predictions, call.stamp(""))
    yield b"".join(named(each.type, each) for each in done)


async def pictures(call: Pictures) -> tuple[list[Prediction], list[ImageFile]]:
    """Every prediction at its end, and the pictures, exactly those asked for. Raises ApiError."""
    adapter, request, prepared = call.adapter, call.plan.request, call.plan.prepared
    return await gathered(call, lambda predictions: adapter.files(request, predictions, prepared))


async def _drafts(call: Pictures, batches: AsyncGenerator[list[Any]]) -> AsyncGenerator[bytes]:
    """Drafts as they are overtaken by later ones: what came last may be the picture itself."""
    request, left = call.plan.request, call.adapter.drafts(call.plan.request, call.plan.prepared)
    latest: dict[int, str] = {}
    sent = 0
    async for batch in batches:
        for event in batch:
            if not isinstance(event, Output):
                continue
            if event.index in latest and sent < left:
                (file,) = await kept(call.gateway.outputs, [latest[event.index]])
                draft = call.adapter.partial(request, file, sent, call.stamp(""))
                yield named(draft.type, draft)
                sent += 1
            latest[event.index] = event.text
        if not batch:
            yield BEAT

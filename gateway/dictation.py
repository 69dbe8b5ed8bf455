"""Transcripts: what a model heard, with the files that it may have put it in, whole or as events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from adapters.dictations import Dictation
from adapters.heard import Reply
from adapters.transcription import TranscriptionAdapter
from gateway.calls import Call
from gateway.gathering import gathered
from gateway.relay import BEAT, named

Hearing = Call[Any, TranscriptionAdapter]


async def transcribed(call: Hearing) -> Reply:
    """The whole reply. Raises ApiError."""
    predictions, copies = await gathered(call, call.adapter.addresses)
    addresses = call.adapter.addresses(predictions)
    files = {
        address: (copy.content or b"").decode("utf-8", "replace")
        for address, copy in zip(addresses, copies, strict=True)
    }
    return call.adapter.parse(call.plan.request, predictions, files, call.plan.prepared)


async def dictated(call: Hearing, heartbeat: float) -> AsyncGenerator[bytes]:
    """The reply as events, with a comment where nothing comes for `heartbeat` seconds. Raises ApiError."""
    dictation = Dictation(call.plan.model.schema)
    async with aclosing(call.batches(heartbeat)) as batches:
        async for batch in batches:
            deltas = [delta for event in batch for delta in dictation.feed(event)]
            if deltas or not batch:
                yield b"".join(map(_frame, deltas)) or BEAT
    yield b"".join(map(_frame, dictation.close(await transcribed(call))))


def _frame(event: msgspec.Struct) -> bytes:
    return named(str(event.__struct_config__.tag), event)

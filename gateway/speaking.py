"""Speech: the recording that a model made, whole or as events."""

from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import msgspec

from adapters.speech import SpeechAdapter, usage_of
from adapters.wire.audio import Sound, SpeechDelta, SpeechDone
from gateway.calls import Call
from gateway.gathering import gathered
from gateway.relay import BEAT, named

Speech = Call[Any, SpeechAdapter]

PIECE = 48 * 1024
"""Bytes of sound in an event."""


async def spoken(call: Speech) -> Sound:
    """The whole recording. Raises ApiError."""
    adapter, request, prepared = call.adapter, call.plan.request, call.plan.prepared
    _, files = await gathered(call, lambda predictions: adapter.files(request, predictions, prepared))
    sound = adapter.parse(request, files, prepared)
    if sound.adjusted:
        # What the model wrote is known only now.
        adjusted = (*prepared.adjusted, "response_format")
        call.plan = replace(call.plan, prepared=msgspec.structs.replace(prepared, adjusted=adjusted))
    return sound


async def uttered(call: Speech, heartbeat: float) -> AsyncGenerator[bytes]:
    """The recording as events, with a comment where nothing comes for `heartbeat` seconds. Raises ApiError."""
    async with aclosing(call.batches(heartbeat)) as batches:
        async for batch in batches:
            if not batch:
                yield BEAT
    sound = await spoken(call)
    for place in range(0, len(sound.content), PIECE):
        piece = b64encode(sound.content[place : place + PIECE]).decode()
        yield named("speech.audio.delta", SpeechDelta(piece))
    yield named("speech.audio.done", SpeechDone(usage_of(call.predictions)))

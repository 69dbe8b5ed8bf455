"""However far a call has come, a shutdown ends it: with its time, an error, and its books settled."""

import asyncio
import time
from pathlib import Path

import pytest

from adapters.chat import ChatAdapter
from adapters.images import ImageAdapter
from adapters.wire.base import decode
from adapters.wire.chat import ChatRequest
from adapters.wire.images import ImageRequest
from gateway.calls import Call
from gateway.draining import drain
from gateway.errors import Draining
from gateway.parts import Gateway
from gateway.relay import relay
from gateway.simulator import Simulator
from tests.opened import caller, holds, opened, settled

TALK = decode(
    b'{"model": "sim/never-ends", "n": 3, "stream": true, "messages": [{"role": "user", "content": "alpha"}]}',
    ChatRequest,
)
KITE = decode(b'{"model": "sim/picture-slow", "prompt": "a kite"}', ImageRequest)


async def test_a_call_that_is_still_being_planned_is_refused(gateway: Gateway, simulated: Simulator) -> None:
    beginning = asyncio.create_task(Call.begin(gateway, await caller(gateway), ChatAdapter, TALK))
    await asyncio.sleep(0)
    await drain(gateway)
    with pytest.raises(Draining):
        await beginning
    assert simulated.predictions() == []
    assert await settled(gateway) == []


class Silent:
    """A Replicate that takes every question and never answers."""

    def __init__(self, server: asyncio.Server) -> None:
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def test_a_call_whose_model_is_being_looked_up_is_interrupted_before_anything_closes(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server, opened(Silent(server), tmp_path, server={"drain_seconds": 0.05}) as parts:
        beginning = asyncio.create_task(Call.begin(parts, await caller(parts), ChatAdapter, TALK))
        await asked.wait()
        await drain(parts)
        assert beginning.done()
        with pytest.raises(Draining):
            await beginning
        assert not parts.running


async def test_a_call_that_waits_for_its_create_is_interrupted(simulated: Simulator, tmp_path: Path) -> None:
    simulated.reset()
    async with opened(simulated, tmp_path, server={"drain_seconds": 0.05}, upstream={"sync_wait_seconds": 60}) as parts:
        beginning = asyncio.create_task(Call.begin(parts, await caller(parts), ImageAdapter, KITE))
        await simulated.reached("processing")
        began = time.monotonic()
        await drain(parts)
        with pytest.raises(Draining) as told:
            await beginning
        assert time.monotonic() - began < 1.5
        [line] = await settled(parts)
    assert (line["status"], line["error"]) == ("canceled", "shutting_down")
    assert (told.value.should_retry, told.value.predictions) == (False, (simulated.last().id,))


async def test_every_choice_of_a_stream_is_ended(simulated: Simulator, tmp_path: Path) -> None:
    simulated.reset()
    async with opened(simulated, tmp_path, server={"drain_seconds": 0.05}) as parts:
        call = await Call.begin(parts, await caller(parts), ChatAdapter, TALK)
        frames: list[bytes] = []

        async def read() -> None:
            async for frame in relay(call, "chatcmpl-", 10):
                frames.append(frame)  # noqa: PERF401 - they are looked at meanwhile

        reading = asyncio.create_task(read())
        await holds(lambda: len(frames) > 3)
        await drain(parts)
        await reading
        booked = await settled(parts)
    failure, *end = b"".join(frames).split(b"\n\n")[-3:]
    assert b'"shutting_down"' in failure
    assert end == [b"data: [DONE]", b""]
    assert [(line["status"], line["error"]) for line in booked] == [("canceled", "shutting_down")] * 3

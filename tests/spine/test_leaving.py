"""What becomes of a call that its client leaves: it is cancelled, drained or detached, as its policy says."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from adapters.chat import ChatAdapter
from adapters.errors import PredictionFailed
from adapters.images import ImageAdapter
from adapters.wire.base import decode
from adapters.wire.chat import ChatRequest
from adapters.wire.images import ImageRequest
from gateway.calls import Call
from gateway.config import LimitsConfig
from gateway.draining import drain
from gateway.errors import Draining, RateLimited
from gateway.parts import Gateway
from gateway.recovery import sweep
from gateway.simulator import Simulator
from tests.opened import caller, holds, opened, settled

ULTRA = "black-forest-labs/flux-1.1-pro-ultra"
ONE_AT_ONCE = LimitsConfig(calls_at_once=1)


def talk(model: str, n: int = 1) -> ChatRequest:
    body = '{"model": "%s", "n": %d, "stream": true, "messages": [{"role": "user", "content": "alpha beta gamma"}]}'
    return decode((body % (model, n)).encode(), ChatRequest)


def kite(model: str = "sim/picture", n: int = 1) -> ImageRequest:
    return decode(b'{"model": "%s", "prompt": "a kite", "n": %d}' % (model.encode(), n), ImageRequest)


async def left(call: Call[Any, Any]) -> None:
    """The client hangs up."""
    await call.__aexit__(GeneratorExit, GeneratorExit(), None)


async def test_a_drained_call_goes_on_to_its_end_and_keeps_its_place_until_then(
    gateway: Gateway, simulated: Simulator
) -> None:
    gateway.limits.defaults = ONE_AT_ONCE
    simulated.scene("sim/echo", "slow", seconds=0.5)
    who = await caller(gateway, leave="drain")
    call = await Call.begin(gateway, who, ChatAdapter, talk("sim/echo"))
    leaving = asyncio.create_task(left(call))
    await simulated.reached("processing")
    with pytest.raises(RateLimited):
        await Call.begin(gateway, who, ChatAdapter, talk("sim/echo"))
    await leaving
    [line] = await settled(gateway)
    assert (line["status"], line["error"], line["tokens_out"]) == ("succeeded", None, 3)
    async with await Call.begin(gateway, who, ChatAdapter, talk("sim/echo")) as another:
        await another.finished()


async def test_a_drained_picture_is_kept(gateway: Gateway, simulated: Simulator) -> None:
    beginning = asyncio.create_task(
        Call.begin(gateway, await caller(gateway, leave="drain"), ImageAdapter, kite("sim/picture-slow"))
    )
    await simulated.reached("processing")
    beginning.cancel()
    await asyncio.wait([beginning])
    [line] = await settled(gateway)
    assert (line["status"], line["images"]) == ("succeeded", 1)
    assert len(list((gateway.config.folder / "outputs").iterdir())) == 1


async def test_a_drained_call_is_ended_by_its_deadline(gateway: Gateway, simulated: Simulator) -> None:
    call = await Call.begin(gateway, await caller(gateway, leave="drain"), ChatAdapter, talk("sim/never-ends"))
    leaving = asyncio.create_task(left(call))
    await simulated.reached("processing")
    simulated.advance(6)
    await leaving
    [line] = await settled(gateway)
    assert line["status"] == "canceled"


async def test_a_shutdown_ends_a_drained_call_like_a_running_one(simulated: Simulator, tmp_path: Path) -> None:
    simulated.reset()
    async with opened(simulated, tmp_path, server={"drain_seconds": 0.1}) as parts:
        call = await Call.begin(parts, await caller(parts, leave="drain"), ChatAdapter, talk("sim/never-ends", 2))
        leaving = asyncio.create_task(left(call))
        await simulated.reached("processing")
        assert parts.running
        await drain(parts)
        await leaving
        ends = [(line["status"], line["error"]) for line in await settled(parts)]
    assert ends == [("canceled", "shutting_down")] * 2


async def test_a_detached_call_is_booked_by_whoever_finds_its_end(gateway: Gateway, simulated: Simulator) -> None:
    gateway.limits.defaults = ONE_AT_ONCE
    who = await caller(gateway)
    call = await Call.begin(gateway, who, ChatAdapter, talk("sim/never-ends"), leave="detach")
    await call.walk_away()
    assert (call.error, gateway.running) == (None, set())
    [made] = simulated.predictions()
    assert [entry.prediction for entry in await gateway.ledger.unsettled()] == [made.id]
    assert await sweep(gateway) == 0
    assert (await gateway.ledger.held()).entries == 1
    assert simulated.status(made.id) in {"starting", "processing"}
    with pytest.raises(RateLimited):
        await Call.begin(gateway, who, ChatAdapter, talk("sim/echo"))
    await simulated.reached("processing")
    await gateway.upstream.cancel(made.id)
    for _ in range(2):
        await sweep(gateway)
    [line] = await settled(gateway)
    assert (line["prediction"], line["status"], line["error"]) == (made.id, "canceled", None)
    async with await Call.begin(gateway, who, ChatAdapter, talk("sim/echo")):
        pass


@pytest.mark.parametrize("stops", [True, False])
async def test_a_detached_call_outlives_its_gateway(simulated: Simulator, tmp_path: Path, stops: bool) -> None:
    simulated.reset()
    async with opened(simulated, tmp_path, server={"drain_seconds": 0.01}) as parts:
        call = await Call.begin(parts, await caller(parts, leave="detach"), ChatAdapter, talk("sim/never-ends"))
        # Else it dies: what is in the store is all that the next one knows.
        if stops:
            stopping = asyncio.create_task(drain(parts))
            with pytest.raises(Draining):
                async with call:
                    await call.finished()
            await stopping
    async with opened(simulated, tmp_path) as parts:
        await sweep(parts)
        assert (await parts.ledger.held()).entries == 1
        await simulated.reached("processing")
        await parts.upstream.cancel(simulated.last().id)
        await sweep(parts)
        [line] = await settled(parts)
    assert (line["status"], line["error"], line["prediction"]) == ("canceled", None, simulated.last().id)


async def test_a_detached_call_whose_deadline_is_over_is_cancelled(gateway: Gateway, simulated: Simulator) -> None:
    call = await Call.begin(gateway, await caller(gateway), ChatAdapter, talk("sim/never-ends"), leave="detach")
    await call.walk_away()
    gateway.clock = lambda: time.time() + 5 + 11
    await sweep(gateway)
    [line] = await settled(gateway)
    assert (line["status"], line["error"]) == ("canceled", "process_died")
    assert simulated.last().status == "canceled"


async def test_walking_away_from_a_call_that_is_to_be_cancelled_ends_it(gateway: Gateway) -> None:
    call = await Call.begin(gateway, await caller(gateway), ChatAdapter, talk("sim/never-ends"))
    await call.walk_away()
    [line] = await settled(gateway)
    assert line["status"] in {"canceled", "aborted"}
    assert line["error"] is None


async def test_what_waits_to_be_created_is_not_created_for_a_client_that_left(
    simulated: Simulator, tmp_path: Path
) -> None:
    simulated.reset()
    simulated.scene("sim/echo", "throttled", times=1, retry_after=2)
    async with opened(simulated, tmp_path) as parts:
        beginning = asyncio.create_task(Call.begin(parts, await caller(parts), ChatAdapter, talk("sim/echo")))
        await holds(lambda: any(one.path.endswith("/predictions") for one in simulated.requests()))
        [call] = parts.running
        await holds(lambda: not call.account.runs[0]._crossing.under_way)  # type: ignore[attr-defined]
        began = time.monotonic()
        beginning.cancel()
        await asyncio.wait([beginning])
        assert time.monotonic() - began < 1.5
        [line] = await settled(parts)
        assert (line["status"], line["cost"], line["error"]) == ("never created", 0, "client_left")
        assert simulated.predictions() == []


async def test_of_several_pictures_one_failing_ends_the_others(simulated: Simulator, tmp_path: Path) -> None:
    simulated.reset()
    # Its deadline is far away: nobody else ends them.
    simulated.scene(ULTRA, "picture", seconds=500.0)
    simulated.scene(ULTRA, "picture-fails", times=1)
    order = kite(ULTRA, 3)
    async with opened(simulated, tmp_path) as parts:
        async with asyncio.timeout(30), await Call.begin(parts, await caller(parts), ImageAdapter, order) as call:
            with pytest.raises(PredictionFailed):
                call.adapter.files(order, await call.finished(), call.plan.prepared)
        ends = [line["status"] for line in await settled(parts)]
    assert len(ends) == 3
    assert ends.count("failed") == 1
    assert set(ends) <= {"failed", "canceled", "aborted"}

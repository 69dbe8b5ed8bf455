"""A client may leave at any await: nothing runs on, each prediction is booked once, and nothing is left behind."""

import asyncio
import types
from collections.abc import Coroutine, Generator
from contextlib import suppress
from typing import Any

import pytest

from adapters.chat import ChatAdapter
from adapters.errors import ApiError
from adapters.images import ImageAdapter
from adapters.wire.base import decode
from adapters.wire.chat import ChatRequest
from adapters.wire.images import ImageRequest
from gateway.calls import Call, Caller
from gateway.keeping import kept
from gateway.parts import Gateway
from gateway.relay import relay, whole
from gateway.simulator import Simulator
from tests.opened import caller, settled


def chat(model: str, n: int = 1) -> ChatRequest:
    body = '{"model": "%s", "n": %d, "stream": true, "messages": [{"role": "user", "content": "alpha beta"}]}'
    return decode((body % (model, n)).encode(), ChatRequest)


async def streams(gateway: Gateway, who: Caller, model: str = "sim/echo", n: int = 1) -> None:
    call = await Call.begin(gateway, who, ChatAdapter, chat(model, n))
    async for _ in relay(call, "chatcmpl-", 10):
        pass


async def streams_two(gateway: Gateway, who: Caller) -> None:
    await streams(gateway, who, n=2)


async def finishes(gateway: Gateway, who: Caller) -> None:
    async with await Call.begin(gateway, who, ChatAdapter, chat("sim/echo", 2)) as call:
        await call.finished()


async def answers(gateway: Gateway, who: Caller) -> None:
    body = b'{"model": "sim/echo", "messages": [{"role": "user", "content": "alpha beta"}]}'
    async with await Call.begin(gateway, who, ChatAdapter, decode(body, ChatRequest)) as call:
        await whole(call, "chatcmpl-")


async def fails(gateway: Gateway, who: Caller) -> None:
    with suppress(ApiError):
        await streams(gateway, who, "sim/throttled", 2)


async def draws(gateway: Gateway, who: Caller) -> None:
    order = decode(b'{"model": "sim/picture", "prompt": "a kite", "n": 2, "size": "256x256"}', ImageRequest)
    async with await Call.begin(gateway, who, ImageAdapter, order) as call:
        predictions = await call.finished()
        await kept(gateway.outputs, call.adapter.files(order, predictions, call.plan.prepared))


@types.coroutine
def left_at(work: Coroutine[Any, Any, None], awaits: int, ticks: int, steps: list[int]) -> Generator[Any, Any, None]:
    """Runs `work`; `ticks` turns of the loop after its `awaits`-th suspension its task is cancelled, and soon again."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task

    def soon(turns: int) -> None:
        if turns in {0, -3}:
            task.cancel()
        if turns > -3:
            loop.call_soon(soon, turns - 1)

    error: BaseException | None = None
    while True:
        try:
            waited = work.throw(error) if error else work.send(None)
        except StopIteration:
            return
        steps[0] += 1
        if steps[0] == awaits:
            soon(ticks)
        try:
            yield waited
            error = None
        except BaseException as thrown:  # noqa: BLE001 - handed to `work`, as a task would
            error = thrown


@pytest.mark.parametrize("work", [streams, streams_two, answers, finishes, fails, draws])
@pytest.mark.parametrize("ticks", [0, 2, 15, 100])
async def test_a_call_left_at_any_await_leaves_nothing_behind(
    gateway: Gateway, simulated: Simulator, work: Any, ticks: int
) -> None:
    who, whole = await caller(gateway), [0]
    await work(gateway, who)
    await asyncio.create_task(left_at(work(gateway, who), 0, 0, whole))
    assert whole[0] > 2
    for awaits in range(1, whole[0] + 1):
        calling = asyncio.create_task(left_at(work(gateway, who), awaits, ticks, [0]))
        await asyncio.wait([calling], timeout=10)
        assert calling.done()
        if not calling.cancelled():
            assert calling.exception() is None
    booked = await settled(gateway)
    made = simulated.predictions()
    assert {one.status for one in made} <= {"succeeded", "canceled", "failed", "aborted"}
    assert sorted(filter(None, (line["prediction"] for line in booked))) == sorted(one.id for one in made)
    assert not gateway.postponed

"""Whole chats wait in their creates, at whichever gateway: whoever leaves one ends that, and nobody else's."""

import asyncio
from contextlib import suppress
from typing import Any

import httpx

from gateway.simulator import Simulator
from tests.opened import holds, settled
from tests.replicas.test_elsewhere import Pair, anew, pair, simulated

__all__ = ["anew", "pair", "simulated"]


def chat(words: str) -> dict[str, Any]:
    return {"model": "sim/echo", "messages": [{"role": "user", "content": words}]}


async def gone(asking: asyncio.Task[httpx.Response]) -> None:
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking


async def test_a_whole_chat_that_is_left_at_one_gateway_is_ended_there(pair: Pair, simulated: Simulator) -> None:
    simulated.scene("sim/echo", "never-ends")
    async with httpx.AsyncClient(headers=pair.headers, timeout=60) as http:
        first = asyncio.create_task(http.post(f"{pair.here}/v1/chat/completions", json=chat("alpha")))
        await holds(lambda: len(simulated.predictions()) == 1, 20)
        second = asyncio.create_task(http.post(f"{pair.there}/v1/chat/completions", json=chat("beta")))
        await holds(lambda: len(simulated.predictions()) == 2, 20)
        mine, other = (
            next(one for one in simulated.predictions() if words in str(one.input)) for words in ("alpha", "beta")
        )
        assert (mine.prefer, other.prefer) == ("wait=60", "wait=60")
        await gone(first)
        await simulated.reached("canceled", mine.id, within=20)
        assert simulated.status(other.id) in {"starting", "processing"}
        await gone(second)
        lines = await settled(pair.one)
    assert {(line["prediction"], line["status"]) for line in lines} == {(mine.id, "canceled"), (other.id, "canceled")}


async def test_of_the_very_same_at_two_gateways_none_is_ended_in_the_place_of_the_other(
    pair: Pair, simulated: Simulator
) -> None:
    simulated.scene("sim/echo", "slow", seconds=2.0)
    simulated.scene("sim/echo", "never-ends", times=1)
    async with httpx.AsyncClient(headers=pair.headers, timeout=60) as http:
        first = asyncio.create_task(http.post(f"{pair.here}/v1/chat/completions", json=chat("alpha beta")))
        await holds(lambda: len(simulated.predictions()) == 1, 20)
        second = asyncio.create_task(http.post(f"{pair.there}/v1/chat/completions", json=chat("alpha beta")))
        await holds(lambda: len(simulated.predictions()) == 2, 20)
        (mine,) = (one for one in simulated.predictions() if one.scene == "never-ends")
        await gone(first)
        reply = await second
        assert (reply.status_code, reply.json()["choices"][0]["message"]["content"]) == (200, "alpha beta")
        await simulated.reached("canceled", mine.id, within=30)
        lines = await settled(pair.one)
    assert {line["prediction"]: line["status"] for line in lines}[mine.id] == "canceled"
    assert sorted(line["status"] for line in lines) == ["canceled", "succeeded"]

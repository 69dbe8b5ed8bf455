"""A call may run again: an answer repaired, or another model in the place of one that is not to be had."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from adapters.chat import ChatAdapter
from adapters.errors import ModelBusy
from adapters.wire.base import decode
from adapters.wire.chat import ChatRequest
from gateway.api.replies import told
from gateway.calls import Call
from gateway.config import ModelRow
from gateway.draining import drain
from gateway.errors import Draining, UnknownModel
from gateway.parts import Gateway
from gateway.simulator import Simulator
from gateway.tariffs import Price
from tests.opened import caller, holds, opened, rows, settled

PRICED = {"priced": ModelRow(model="sim/echo", price=Price(per_run=0.5))}


def talk(words: str, model: str = "sim/echo", *, stream: bool = False) -> ChatRequest:
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": words}]}
    return decode(msgspec.json.encode(body), ChatRequest)


async def test_an_answer_is_repaired_within_its_call(gateway: Gateway, simulated: Simulator) -> None:
    gateway.config = msgspec.structs.replace(gateway.config, models=PRICED)
    async with await Call.begin(gateway, await caller(gateway), ChatAdapter, talk("alpha", "priced")) as call:
        [first] = await call.finished()
        await call.again(talk("beta", "priced"))
        [second] = await call.finished()
        assert ("".join(first.output), "".join(second.output)) == ("alpha", "beta")
        headers = told(call)
    ids = [one.id for one in simulated.predictions()]
    assert sorted(headers["x-repligate-prediction-id"].split(", ")) == sorted(ids)
    assert headers["x-repligate-cost"] == "1.000000"
    assert [line["cost"] for line in await settled(gateway)] == [500_000, 500_000]
    assert sorted((line["call"], line["seq"]) for line in await rows(gateway)) == [(call.id, 0), (call.id, 1)]
    [day] = await gateway.ledger.usage("day")
    assert (day.calls, day.predictions, day.cost) == (1, 2, 1_000_000)


async def test_another_model_answers_where_the_first_is_not_to_be_had(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene("sim/slow", "high-demand")
    async with await Call.begin(gateway, await caller(gateway), ChatAdapter, talk("alpha", "sim/slow")) as call:
        [failed] = await call.finished()
        assert failed.status == "failed"
        await call.again(row=ModelRow(model="sim/echo"), after=ModelBusy("The model is overloaded."))
        [answered] = await call.finished()
    assert "".join(answered.output) == "alpha"
    assert told(call)["x-repligate-model"] == "sim/echo"
    assert call.stamp("").model == "sim/slow"
    entries = sorted(await rows(gateway), key=lambda line: line["seq"])
    assert [(line["model"], line["ref"]) for line in entries] == [("sim/slow", "sim/slow"), ("sim/slow", "sim/echo")]
    ends = {line["seq"]: (line["status"], line["error"]) for line in await settled(gateway)}
    assert ends == {0: ("failed", "model_overloaded"), 1: ("succeeded", None)}


async def test_what_still_runs_is_ended_before_another_round(gateway: Gateway, simulated: Simulator) -> None:
    order = talk("alpha", "sim/never-ends", stream=True)
    async with await Call.begin(gateway, await caller(gateway), ChatAdapter, order) as call:
        await call.again(row=ModelRow(model="sim/echo"))
        [answered] = await call.finished()
    assert "".join(answered.output) == "alpha"
    assert sorted(line["status"] for line in await settled(gateway)) in (
        ["aborted", "succeeded"],
        ["canceled", "succeeded"],
    )


async def test_a_round_that_is_refused_leaves_the_first_one_booked(gateway: Gateway) -> None:
    async with await Call.begin(gateway, await caller(gateway), ChatAdapter, talk("alpha")) as call:
        await call.finished()
        with pytest.raises(UnknownModel):
            await call.again(row=ModelRow(model="sim/nowhere"))
    assert [line["status"] for line in await settled(gateway)] == ["succeeded"]


async def test_a_shutdown_reaches_a_call_that_runs_again(simulated: Simulator, tmp_path: Path) -> None:
    simulated.reset()
    simulated.scene("sim/slow", "throttled", retry_after=5)
    async with opened(simulated, tmp_path, server={"drain_seconds": 0.05}) as parts:
        async with await Call.begin(parts, await caller(parts), ChatAdapter, talk("alpha")) as call:
            await call.finished()
            once_more = asyncio.create_task(call.again(row=ModelRow(model="sim/slow")))
            await holds(lambda: len(call.account.runs) == 2)
            stopping = asyncio.create_task(drain(parts))
            with pytest.raises(Draining):
                await once_more
        await stopping
        assert sorted(line["status"] for line in await settled(parts)) == ["never created", "succeeded"]

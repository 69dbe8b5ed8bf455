"""What a dead process, or a settlement that had to wait, leaves open is found, ended, priced and booked."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.chat import ChatAdapter
from adapters.wire.base import decode
from adapters.wire.chat import ChatRequest
from adapters.wire.replicate import ModelRef, Prediction
from gateway.accounts.entries import Opening
from gateway.calls import Call
from gateway.config import ModelRow
from gateway.parts import Gateway
from gateway.recovery import TURNS_UP_SECONDS, sweep
from gateway.simulator import Simulator
from gateway.upstream.client import digest
from gateway.upstream.models import Model
from tests.cable import laid
from tests.opened import caller, holds, opened, settled

PRICED: Mapping[str, Any] = {"priced": {"model": "sim/echo", "price": {"per_million_output_tokens": 1000.0}}}


@pytest.fixture(autouse=True)
def anew(simulated: Simulator) -> None:
    simulated.reset()
    simulated.clear_scenes()
    simulated.switch(metrics_delay=0.0)


async def dies(
    simulated: Simulator, folder: Path, model: str = "sim/echo", *, creates: bool = True, notes: bool = True
) -> Prediction | None:
    """A process that opened an entry, made a prediction of it, noted that, and died."""
    prediction = None
    async with opened(simulated, folder, models=PRICED) as parts:
        who, inputs = await caller(parts), {"prompt": "alpha beta gamma"}
        # Nothing of it is on the shelf.
        known = Model.of(ModelRef.parse(model), await parts.upstream.model(ModelRef.parse(model)))
        row = parts.config.models["priced"]
        opening = Opening(
            call="call", key=who.key.id, kind="/v1/chat/completions", model=model, ref=model, digests=(digest(inputs),),
            price=parts.prices.price(model, ModelRow(model=model, price=row.price)), deadline=600, reserved=(None,),
        )  # fmt: skip
        entry = (await parts.ledger.open(opening)).entries[0]
        if creates:
            prediction = await parts.upstream.create(known, inputs, deadline=600)
            if notes:
                await parts.ledger.created(entry, prediction.id)
    return prediction


async def one_line(parts: Gateway) -> dict[str, Any]:
    [line] = await settled(parts)
    return dict(line)


@pytest.mark.parametrize("notes", [True, False])
async def test_what_still_runs_is_cancelled_and_booked(simulated: Simulator, tmp_path: Path, notes: bool) -> None:
    made = await dies(simulated, tmp_path, "sim/never-ends", notes=notes)
    assert made
    async with opened(simulated, tmp_path) as parts:
        line = await one_line(parts)
    assert (line["prediction"], line["status"], line["error"]) == (made.id, "canceled", "process_died")
    assert simulated.status(made.id) == "canceled"


@pytest.mark.parametrize("notes", [True, False])
async def test_what_finished_meanwhile_is_priced_by_its_metrics(
    simulated: Simulator, tmp_path: Path, notes: bool
) -> None:
    made = await dies(simulated, tmp_path, notes=notes)
    assert made
    await holds(lambda: simulated.status(made.id) == "succeeded")
    async with opened(simulated, tmp_path) as parts:
        line = await one_line(parts)
    tokens = simulated.prediction(made.id).metrics["output_token_count"]
    assert (line["status"], line["tokens_out"], line["cost"]) == ("succeeded", tokens, tokens * 1000)


async def test_what_may_yet_turn_up_is_waited_for(simulated: Simulator, tmp_path: Path) -> None:
    await dies(simulated, tmp_path, creates=False)
    async with opened(simulated, tmp_path) as parts:
        assert await sweep(parts) == 1
        assert (await parts.ledger.held()).entries == 1
        parts.clock = lambda: time.time() + TURNS_UP_SECONDS
        assert await sweep(parts) == 0
        line = await one_line(parts)
    assert (line["status"], line["cost"]) == ("never created", 0)


@pytest.mark.parametrize("notes", [True, False])
async def test_a_model_that_is_gone_keeps_no_entry_open(tmp_path: Path, notes: bool) -> None:
    with Simulator() as own:
        made = await dies(own, tmp_path, "sim/never-ends", notes=notes)
        assert made
        own._ask(lambda world: world.records.remove(world.records.find("sim", "never-ends")))
        async with opened(own, tmp_path) as parts:
            line = await one_line(parts)
        assert (line["prediction"], own.status(made.id)) == (made.id, "canceled")


async def test_a_prediction_that_replicate_forgot_cost_nobody_knows_what(simulated: Simulator, tmp_path: Path) -> None:
    made = await dies(simulated, tmp_path)
    assert made
    simulated.reset()
    async with opened(simulated, tmp_path) as parts:
        line = await one_line(parts)
    assert (line["prediction"], line["status"], line["cost"]) == (made.id, "lost", None)


async def test_a_prediction_whose_data_was_removed_is_booked(simulated: Simulator, tmp_path: Path) -> None:
    made = await dies(simulated, tmp_path)
    assert made
    await holds(lambda: simulated.status(made.id) == "succeeded")
    simulated.advance(4000)
    assert simulated.prediction(made.id).data_removed
    async with opened(simulated, tmp_path) as parts:
        line = await one_line(parts)
    assert line["status"] == "succeeded"


@pytest.mark.parametrize("apart", [0.0, 0.003, 0.006, 0.012])
async def test_rounds_at_the_same_time_book_a_prediction_that_was_not_noted_and_not_that_there_was_none(
    simulated: Simulator, tmp_path: Path, apart: float
) -> None:
    made = await dies(simulated, tmp_path, "sim/never-ends", notes=False)
    assert made

    async def later(parts: Gateway, number: int) -> int:
        await asyncio.sleep(number * apart)
        return await sweep(parts)

    async with opened(simulated, tmp_path) as parts:
        parts.clock = lambda: time.time() + TURNS_UP_SECONDS
        await asyncio.gather(*(later(parts, number) for number in range(6)))
        line = await one_line(parts)
    assert (line["prediction"], line["status"]) == (made.id, "canceled")


async def test_a_start_does_not_wait_for_replicate_and_recovery_does(simulated: Simulator, tmp_path: Path) -> None:
    made = await dies(simulated, tmp_path, "sim/never-ends")
    assert made
    async with laid(simulated.base_url) as cable:
        cable.cut()
        async with asyncio.timeout(60), opened(cable, tmp_path, upstream={"retry_seconds": 3600}):
            assert simulated.status(made.id) in {"starting", "processing"}
        async with opened(cable, tmp_path, upstream={"retry_seconds": 0.1}) as parts:
            assert await sweep(parts) == 1
            assert simulated.status(made.id) in {"starting", "processing"}
            cable.mend()
            line = await one_line(parts)
    assert (line["status"], simulated.status(made.id)) == ("canceled", "canceled")


@pytest.mark.parametrize("forgotten", [False, True])
async def test_a_settlement_that_had_to_wait_is_made_with_the_first_error(
    simulated: Simulator, tmp_path: Path, forgotten: bool
) -> None:
    body = b'{"model": "sim/never-ends", "stream": true, "messages": [{"role": "user", "content": "alpha"}]}'
    async with laid(simulated.base_url) as cable, opened(cable, tmp_path, upstream={"retry_seconds": 0.1}) as parts:
        call = await Call.begin(parts, await caller(parts), ChatAdapter, decode(body, ChatRequest))
        cable.cut()
        await call.__aexit__(GeneratorExit, GeneratorExit(), None)
        assert parts.postponed
        assert (await parts.ledger.held()).entries == 1
        if forgotten:
            simulated.reset()
        cable.mend()
        await sweep(parts)
        line = await one_line(parts)
        assert not parts.postponed
    assert line["error"] == "client_left"
    assert line["status"] == ("lost" if forgotten else "canceled")

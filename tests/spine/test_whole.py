"""Whole texts, waited for in their creates: two requests, and nothing else is otherwise than by the stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.chat import ChatAdapter
from adapters.wire.base import decode
from adapters.wire.chat import ChatRequest
from gateway.calls import Call
from gateway.draining import drain
from gateway.errors import Draining
from gateway.parts import Gateway
from gateway.simulator import Simulator
from tests.opened import caller, holds, listens, opened, rows, settled

STREAMED = {"sync_wait_seconds": 0}
"""An operator who wants everything to come by its stream."""


def talk(words: str = "alpha beta gamma", model: str = "sim/echo", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": words}], **fields}


@asynccontextmanager
async def client_of(gateway: Gateway, **policy: Any) -> AsyncIterator[httpx.AsyncClient]:
    _, secret = await gateway.keys.create("test", **policy)
    headers = {"authorization": f"Bearer {secret}"}
    async with listens(gateway) as url, httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        yield client


async def chat(client: httpx.AsyncClient, *words: str, **fields: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json=talk(*words, **fields))


def text(reply: httpx.Response) -> str:
    return str(reply.json()["choices"][0]["message"]["content"])


def asked(simulated: Simulator) -> list[tuple[str, str, str]]:
    """The requests about predictions, in the order in which they were answered: host, method, and path."""
    told = [(one.host, one.method, one.path) for one in simulated.requests()]
    return [(host, method, path) for host, method, path in told if "predictions" in path or host == "stream"]


# Two requests


async def test_a_whole_chat_takes_two_requests(gateway: Gateway, simulated: Simulator) -> None:
    async with client_of(gateway) as client:
        reply = await chat(client)
        assert (reply.status_code, text(reply)) == (200, "alpha beta gamma")
        assert reply.headers["x-repligate-upstream-requests"] == "2"
        assert [(host, method) for host, method, _ in asked(simulated)] == [("api", "POST"), ("api", "GET")]
        assert (simulated.last().prefer, simulated.last().streams) == ("wait=5", 0)
        [line] = await settled(gateway)
        assert (line["status"], line["tokens_out"], line["estimated"]) == ("succeeded", 3, False)


@pytest.mark.parametrize(
    ("path", "order"),
    [
        ("/v1/completions", {"model": "sim/echo", "prompt": "alpha beta gamma"}),
        ("/v1/responses", {"model": "sim/echo", "input": "alpha beta gamma"}),
    ],
)
async def test_so_do_the_other_faces_of_a_text(
    gateway: Gateway, simulated: Simulator, path: str, order: dict[str, Any]
) -> None:
    async with client_of(gateway) as client:
        reply = await client.post(path, json=order)
    assert (reply.status_code, reply.headers["x-repligate-upstream-requests"]) == (200, "2")
    assert "alpha beta gamma" in reply.text


TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": True},
        {"stop": "beta, gamma"},
        {"tools": [TOOL]},
        {"response_format": {"type": "json_object"}},
        {"n": 2},
        {"n": 2, "seed": 7},
    ],
)
async def test_what_somebody_may_want_anything_of_before_its_end_comes_by_its_stream(
    gateway: Gateway, simulated: Simulator, fields: dict[str, Any]
) -> None:
    async with client_of(gateway) as client:
        await chat(client, **fields)
    assert {made.prefer for made in simulated.predictions()} == {None}
    assert all(made.streams for made in simulated.predictions())


async def test_so_does_what_goes_on_in_the_background_or_may_be_left_to_others(
    gateway: Gateway, simulated: Simulator
) -> None:
    async with client_of(gateway, leave="detach") as client:
        assert (await chat(client)).status_code == 200
    async with client_of(gateway) as client:
        order = {"model": "sim/echo", "input": "alpha", "background": True}
        assert (await client.post("/v1/responses", json=order)).status_code == 200
        assert len(await settled(gateway)) == 2
    assert [made.prefer for made in simulated.predictions()] == [None, None]


async def test_so_does_whatever_an_operator_wants_by_it(simulated: Simulator, tmp_path: Path) -> None:
    simulated.reset()
    async with opened(simulated, tmp_path, upstream=STREAMED) as parts, client_of(parts) as client:
        reply = await chat(client)
    assert (simulated.last().prefer, text(reply)) == (None, "alpha beta gamma")


async def test_so_does_what_must_speak_soon_or_is_stood_in_for(simulated: Simulator, tmp_path: Path) -> None:
    simulated.reset()
    models = {
        "hasty": {"model": "sim/echo", "fallbacks": ["spare"], "patience_seconds": 30},
        "spare": {"model": "sim/slow"},
    }
    async with opened(simulated, tmp_path, models=models) as parts, client_of(parts) as client:
        await chat(client, model="hasty")
        await chat(client, model="spare")
    assert [made.prefer for made in simulated.predictions()] == [None, "wait=60"]


async def test_a_model_that_takes_longer_than_the_wait_is_heard_to_its_end_by_its_stream(
    simulated: Simulator, tmp_path: Path
) -> None:
    simulated.reset()
    simulated.switch(metrics_delay=0.0)
    simulated.scene("sim/echo", "slow", seconds=2.0)
    async with opened(simulated, tmp_path, upstream={"sync_wait_seconds": 1}) as parts, client_of(parts) as client:
        reply = await chat(client)
        assert text(reply) == "alpha beta gamma"
        assert reply.headers["x-repligate-upstream-requests"] == "3"
        assert len(await settled(parts)) == 1


# Whoever leaves


async def test_a_client_that_leaves_a_whole_chat_has_it_cancelled_and_booked_once(
    gateway: Gateway, simulated: Simulator
) -> None:
    simulated.switch(token_counts="none")
    async with client_of(gateway) as client:
        asking = asyncio.create_task(chat(client, model="sim/never-ends"))
        await holds(lambda: simulated.predictions() and simulated.last().output)
        assert simulated.last().prefer == "wait=5"
        asking.cancel()
        await simulated.reached("canceled", within=3)
        [line] = await settled(gateway)
    assert (line["prediction"], line["status"], line["error"]) == (simulated.last().id, "canceled", "client_left")
    assert line["estimated"], "what it had said by then is counted here"
    assert line["tokens_out"] > 0
    methods = [method for _, method, path in asked(simulated) if path.endswith(("/predictions", "/cancel"))]
    assert sorted(methods) == ["GET", "POST", "POST"], "created, looked up once, cancelled"


async def test_of_two_who_ask_the_very_same_the_one_who_leaves_is_told_from_the_other(
    gateway: Gateway, simulated: Simulator
) -> None:
    async with client_of(gateway) as client:
        first = asyncio.create_task(chat(client, model="sim/never-ends"))
        await simulated.reached("processing")
        second = asyncio.create_task(chat(client, model="sim/never-ends"))
        await holds(lambda: len(simulated.predictions()) == 2)
        one, two = sorted(simulated.predictions(), key=lambda made: made.prefer or "", reverse=True)
        assert (one.prefer, two.prefer) == ("wait=5", None)
        first.cancel()
        await simulated.reached("canceled", one.id, within=3)
        assert simulated.status(two.id) in {"starting", "processing"}
        second.cancel()
        lines = await settled(gateway)
    assert {line["prediction"] for line in lines} == {one.id, two.id}
    assert {simulated.status(made.id) for made in (one, two)} == {"canceled"}


async def test_a_prediction_that_is_not_listed_when_its_client_leaves_is_looked_for_again(
    gateway: Gateway, simulated: Simulator
) -> None:
    # Another's of just the same is there, too, and nobody can tell the two apart until it has its answer.
    async with client_of(gateway) as client:
        asking = asyncio.create_task(chat(client, model="sim/never-ends"))
        await simulated.reached("processing")
        mine = simulated.last().id
        same = httpx.AsyncClient(headers={"authorization": "Bearer r8_other"})
        made = await same.post(
            f"{simulated.base_url}/models/sim/never-ends/predictions", json={"input": last(simulated)}
        )
        other = made.json()["id"]
        asking.cancel()
        await holds(lambda: [method for _, method, _ in asked(simulated)].count("GET") >= 1)
        await same.post(f"{simulated.base_url}/predictions/{other}/cancel")
        await same.aclose()
        [line] = await settled(gateway)
    assert (line["prediction"], simulated.status(mine)) == (mine, "canceled")


def last(simulated: Simulator) -> dict[str, Any]:
    return simulated.last().input


async def test_a_drained_whole_chat_goes_on_to_its_end(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene("sim/echo", "slow", seconds=0.5)
    async with client_of(gateway, leave="drain") as client:
        asking = asyncio.create_task(chat(client))
        await simulated.reached("processing")
        asking.cancel()
        [line] = await settled(gateway)
    assert (line["status"], line["error"], line["tokens_out"]) == ("succeeded", None, 3)


async def test_a_shutdown_ends_a_whole_chat_that_waits_in_its_create(simulated: Simulator, tmp_path: Path) -> None:
    simulated.reset()
    order = decode(b'{"model": "sim/never-ends", "messages": [{"role": "user", "content": "alpha"}]}', ChatRequest)
    async with opened(simulated, tmp_path, server={"drain_seconds": 0.05}) as parts:
        beginning = asyncio.create_task(Call.begin(parts, await caller(parts), ChatAdapter, order))
        await simulated.reached("processing")
        assert simulated.last().prefer == "wait=60"
        await drain(parts)
        with pytest.raises(Draining) as told:
            await beginning
        [line] = await settled(parts)
    assert (line["status"], line["error"]) == ("canceled", "shutting_down")
    assert (told.value.should_retry, told.value.predictions) == (False, (simulated.last().id,))


async def test_a_deadline_ends_a_whole_chat_as_it_ends_a_stream(gateway: Gateway, simulated: Simulator) -> None:
    told = []
    async with client_of(gateway) as client:
        for fields in ({}, {"stop": "never, said"}):
            asking = asyncio.create_task(chat(client, model="sim/never-ends", **fields))
            await holds(lambda: len([one for one in simulated.predictions() if one.status == "processing"]) == 1)
            simulated.advance(6)
            reply = await asking
            told.append((reply.status_code, reply.json()["error"]["code"], reply.json()["error"]["message"]))
    assert told[0] == told[1]
    assert len({made.prefer for made in simulated.predictions()}) == 2
    assert [line["status"] for line in await settled(gateway)] == ["canceled"] * 2


# What is told and booked


@pytest.mark.parametrize(
    "scene", ["fails", "fails-midway", "refused", "high-demand", "timed-out", "succeeds-with-error", "out-of-memory"]
)
async def test_what_goes_wrong_is_told_and_booked_as_by_the_stream(
    simulated: Simulator, tmp_path: Path, scene: str
) -> None:
    told = []
    for upstream in ({}, STREAMED):
        simulated.reset()
        simulated.clear_scenes()
        simulated.scene("sim/echo", scene)
        async with (
            opened(simulated, tmp_path / str(len(upstream)), upstream=upstream) as parts,
            client_of(parts) as http,
        ):
            reply = await chat(http, "one two three four five six")
            [line] = await settled(parts)
        assert (simulated.last().prefer is None) == bool(upstream)
        body = reply.json()
        answer = body.get("error") or {**body, "id": "", "created": 0}
        told.append((reply.status_code, answer, line["status"], line["error"], line["tokens_out"], line["estimated"]))
    assert told[0] == told[1]


async def test_its_times_are_booked_as_the_model_measured_them(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene("sim/echo", "slow", seconds=0.4, queued=0.1)
    simulated.switch(token_counts="runtime")
    async with client_of(gateway) as client:
        assert (await chat(client)).headers["x-repligate-upstream-requests"] == "2"
        [line] = await settled(gateway)
    metrics = simulated.last().metrics
    assert line["run_seconds"] == metrics["predict_time"]
    assert line["first_token_seconds"] == pytest.approx(line["queue_seconds"] + metrics["time_to_first_token"])
    assert line["first_token_seconds"] < line["queue_seconds"] + line["run_seconds"]


async def test_a_create_whose_answer_is_lost_while_it_waits_is_found_again(
    gateway: Gateway, simulated: Simulator
) -> None:
    simulated.scene("sim/echo", "gateway-timeout", created_anyway=True, times=1)
    async with client_of(gateway) as client:
        reply = await chat(client)
    assert (reply.status_code, text(reply)) == (200, "alpha beta gamma")
    assert len(simulated.predictions()) == 1
    assert len(await rows(gateway)) == 1

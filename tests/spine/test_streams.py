"""Streams as they leave: what comes first, in which order, and how slow readers are borne."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from adapters.chat import ChatAdapter
from adapters.wire.base import decode
from adapters.wire.chat import ChatRequest
from adapters.wire.replicate import Event, Output
from gateway.calls import Call
from gateway.errors import TimedOut
from gateway.hearing import AHEAD, NEWS_SECONDS, Hearing
from gateway.parts import Gateway
from gateway.relay import BEAT, relay
from gateway.serving import listening
from gateway.simulator import Simulator
from tests.opened import caller, holds, listens, opened, settled

LONG = "one two three four five six seven eight nine ten"


@asynccontextmanager
async def client_of(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    _, secret = await gateway.keys.create("test")
    headers = {"authorization": f"Bearer {secret}"}
    async with listens(gateway) as url, httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        yield client


def talk(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": LONG}], "stream": True, **fields}


def request(model: str, **fields: Any) -> ChatRequest:
    return decode(json.dumps(talk(model, **fields)).encode(), ChatRequest)


def chunks(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


async def test_a_failure_after_a_heartbeat_is_an_error_frame(simulated: Simulator, tmp_path: Path) -> None:
    simulated.reset()
    simulated.scene("sim/echo", "fails", queued=0.4)
    async with opened(simulated, tmp_path, server={"heartbeat_seconds": 0.05}) as parts, client_of(parts) as http:
        reply = await http.post("/v1/chat/completions", json=talk("sim/echo"))
    assert reply.status_code == 200
    assert reply.text.startswith(BEAT.decode())
    assert chunks(reply.text)[-1]["error"]["code"] == "prediction_failed"
    assert reply.text.endswith("data: [DONE]\n\n")


async def test_a_stream_that_nobody_wants_counted_ends_without_its_record(simulated: Simulator, tmp_path: Path) -> None:
    simulated.reset()
    simulated.scene("sim/echo", "flaky-reads", reads_fail=10_000)
    async with opened(simulated, tmp_path, upstream={"retry_seconds": 0.05}) as parts, client_of(parts) as http:
        reply = await http.post("/v1/chat/completions", json=talk("sim/echo"))
        assert reply.text.endswith("data: [DONE]\n\n")
        told = [choice for chunk in chunks(reply.text) for choice in chunk["choices"]]
        assert "".join(choice["delta"].get("content") or "" for choice in told) == LONG
        assert told[-1]["finish_reason"] == "stop"
        [line] = await settled(parts)
    assert (line["status"], line["error"]) == ("succeeded", None)


async def test_a_model_that_only_logs_is_no_silence_for_the_client(simulated: Simulator, tmp_path: Path) -> None:
    """What upstream says and nobody shows keeps no proxy's connection open."""

    class Murmuring:
        async def batches(self, index: int) -> AsyncGenerator[list[Event]]:
            for _ in range(20):
                await asyncio.sleep(0.02)
                yield [Output("", index)]

    simulated.reset()
    simulated.clear_scenes()
    async with opened(simulated, tmp_path) as parts:
        call = await Call.begin(parts, await caller(parts), ChatAdapter, request("sim/echo"))
        call._hearing = Hearing([Murmuring()], 60)
        frames = [frame async for frame in relay(call, "chatcmpl-", 0.1)]
    assert 2 <= frames.count(BEAT) <= 5


async def test_n_streams_are_each_in_order_and_none_says_anything_twice(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene("sim/echo", "slow", seconds=0.3)
    async with client_of(gateway) as http:
        reply = await http.post("/v1/chat/completions", json=talk("sim/echo", n=3))
    told = [choice for chunk in chunks(reply.text) for choice in chunk["choices"]]
    for index in range(3):
        mine = [choice for choice in told if choice["index"] == index]
        assert "".join(choice["delta"].get("content") or "" for choice in mine) == LONG
        assert [choice["finish_reason"] for choice in mine if choice["finish_reason"]] == ["stop"]
        assert [choice["delta"]["role"] for choice in mine if "role" in choice["delta"]] == ["assistant"]
    order = [choice["index"] for choice in told]
    assert order != sorted(order)
    assert len({one.id for one in simulated.predictions()}) == 3


async def test_a_stop_in_one_choice_ends_that_prediction_alone(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene("sim/echo", "says", times=1, text="alpha halt, now " + "and on " * 200, pause=0.02)
    simulated.scene("sim/echo", "says", times=1, text="beta gamma delta", pause=0.1)
    async with client_of(gateway) as http:
        # A stop with a comma in it cannot be told to this model: it is watched for here.
        reply = await http.post("/v1/chat/completions", json=talk("sim/echo", n=2, stop="halt, now"))
    told = [choice for chunk in chunks(reply.text) for choice in chunk["choices"]]
    said = {i: "".join(c["delta"].get("content") or "" for c in told if c["index"] == i) for i in (0, 1)}
    assert {text.strip() for text in said.values()} == {"alpha", "beta gamma delta"}
    assert sorted(line["status"] for line in await settled(gateway)) == ["canceled", "succeeded"]


class Endless:
    """A model that counts as fast as it is listened to."""

    def __init__(self) -> None:
        self.said = 0

    async def batches(self, index: int) -> AsyncGenerator[list[Event]]:
        while True:
            self.said += 1
            await asyncio.sleep(0)
            yield [Output(str(self.said), index)]


async def test_upstream_is_not_read_ahead_of_a_slow_client_without_bound() -> None:
    speakers = [Endless(), Endless()]
    hearing = Hearing(speakers, 60)
    async with aclosing(hearing.batches(None)) as batches:
        heard = await anext(batches)
        for _ in range(5000):
            await asyncio.sleep(0)
        assert sum(one.said for one in speakers) <= AHEAD + len(heard) + 4
        for _ in range(10):
            heard += await anext(batches)
    await hearing.aclose()
    for index in (0, 1):
        mine = [int(one.text) for one in heard if isinstance(one, Output) and one.index == index]
        assert mine == list(range(1, len(mine) + 1))
        assert len(mine) > AHEAD / 4


async def test_a_client_that_does_not_read_holds_up_no_other_and_ends_its_prediction(
    gateway: Gateway, simulated: Simulator
) -> None:
    simulated.scene("sim/never-ends", "never-ends", pause=0.0)
    _, secret = await gateway.keys.create("test")
    async with listens(gateway) as url, httpx.AsyncClient(timeout=30) as http:
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**14)
        body = json.dumps(talk("sim/never-ends")).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret}\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await reader.readline()
        for _ in range(5):
            reply = await http.post(
                f"{url}/v1/chat/completions", json=talk("sim/echo"), headers={"authorization": f"Bearer {secret}"}
            )
            assert reply.status_code == 200
        writer.transport.abort()
        await simulated.reached("canceled", simulated.predictions("sim/never-ends")[0].id)
    assert len(await settled(gateway)) == 6


async def test_a_client_that_never_reads_does_not_keep_its_call(simulated: Simulator, tmp_path: Path) -> None:
    simulated.reset()
    simulated.scene("sim/never-ends", "never-ends", pause=0.0)
    async with opened(simulated, tmp_path, server={"unread_seconds": 0.3}) as parts:
        _, secret = await parts.keys.create("test")
        # Little is under way between the two: what is not read is soon felt.
        server, client = listening("127.0.0.1", 0), socket.socket()
        for sock, buffer in ((server, socket.SO_SNDBUF), (client, socket.SO_RCVBUF)):
            sock.setsockopt(socket.SOL_SOCKET, buffer, 4096)
        async with listens(parts, server):
            client.connect(server.getsockname())
            body = json.dumps(talk("sim/never-ends")).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret}\r\n"
            client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            await simulated.reached("processing")
            [line] = await settled(parts)
            client.close()
    assert (line["status"], line["error"]) == ("canceled", "client_left")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_before_anything_came_is_noticed(
    gateway: Gateway, simulated: Simulator, stream: bool
) -> None:
    simulated.scene("sim/echo", "queue", queued=30.0)
    async with client_of(gateway) as http:
        asked = asyncio.create_task(http.post("/v1/chat/completions", json=talk("sim/echo", n=2, stream=stream)))
        await holds(lambda: len(simulated.predictions()) == 2)
        asked.cancel()
        await asyncio.wait([asked])
        booked = await settled(gateway)
    assert [line["error"] for line in booked] == ["client_left"] * 2
    assert {one.status for one in simulated.predictions()} <= {"canceled", "aborted"}


@pytest.mark.parametrize("after", [0.0, 0.004, 0.02, 0.05, 0.1])
async def test_a_client_that_leaves_at_odd_moments_of_a_picture_leaves_nothing(
    gateway: Gateway, simulated: Simulator, after: float
) -> None:
    async with client_of(gateway) as http:
        order = {"model": "sim/picture", "prompt": "a kite", "n": 2, "response_format": "b64_json"}
        asked = asyncio.create_task(http.post("/v1/images/generations", json=order))
        await asyncio.sleep(after)
        asked.cancel()
        await asyncio.wait([asked])
        await holds(lambda: not gateway.running)
        booked = await settled(gateway)
    assert sorted(filter(None, (line["prediction"] for line in booked))) == sorted(
        one.id for one in simulated.predictions()
    )


class Silent:
    """A model that never says a word, and a Replicate that forgot its deadline."""

    async def batches(self, index: int) -> AsyncGenerator[list[Event]]:
        await asyncio.Event().wait()
        yield [Output("", index)]


async def test_a_deadline_that_replicate_forgets_is_kept_here() -> None:
    hearing = Hearing([Silent()], -NEWS_SECONDS + 0.05)
    async with aclosing(hearing.batches(0.02)) as batches:
        assert await anext(batches) == []
        with pytest.raises(TimedOut):
            [batch async for batch in batches]
    await hearing.aclose()

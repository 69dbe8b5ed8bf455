"""Whoever leaves stops paying: the prediction is cancelled at once, and booked."""

import asyncio
import json
import time
from collections.abc import Callable

import httpx
import pytest
from openai.types.chat import ChatCompletionMessageParam

from gateway.simulator import Simulator
from tests.served import Served

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me something long"}]


def until(claim: Callable[[], bool], seconds: float = 5) -> float:
    """Seconds until the claim holds; fails if it does not in time."""
    began = time.monotonic()
    while not claim():
        assert time.monotonic() - began < seconds, "it never happened"
        time.sleep(0.01)
    return time.monotonic() - began


def booked(gateway: Served) -> int:
    """How many predictions the ledger has settled."""
    told = json.loads(gateway.command("usage", "--json"))
    return sum(line["predictions"] for line in told["lines"])


def still_open(gateway: Served) -> int:
    """How many entries of the ledger wait to be settled."""
    return int(json.loads(gateway.command("usage", "--json"))["open"]["entries"])


async def test_a_client_that_leaves_mid_stream_has_its_prediction_cancelled_within_a_second(
    own_gateway: Served, own_simulator: Simulator
) -> None:
    async with own_gateway.async_openai() as client:
        stream = await client.chat.completions.create(model="sim/never-ends", messages=HELLO, stream=True)
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        await stream.close()
    prediction = own_simulator.last().id
    assert until(lambda: own_simulator.prediction(prediction).status == "canceled") < 1
    until(lambda: booked(own_gateway) == 1)


async def test_a_client_that_leaves_while_the_model_boots_has_its_prediction_cancelled(
    own_gateway: Served, own_simulator: Simulator
) -> None:
    async with own_gateway.async_openai() as client:
        asked = asyncio.create_task(client.chat.completions.create(model="sim/cold-boot", messages=HELLO, stream=True))
        while not own_simulator.predictions():
            await asyncio.sleep(0.01)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    prediction = own_simulator.last().id
    assert until(lambda: own_simulator.prediction(prediction).status in {"canceled", "aborted"}) < 1


async def test_a_client_that_leaves_a_whole_reply_has_its_prediction_cancelled(
    own_gateway: Served, own_simulator: Simulator
) -> None:
    async with own_gateway.async_openai() as client:
        asked = asyncio.create_task(client.chat.completions.create(model="sim/never-ends", messages=HELLO))
        while not own_simulator.predictions():
            await asyncio.sleep(0.01)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    prediction = own_simulator.last().id
    assert until(lambda: own_simulator.prediction(prediction).status in {"canceled", "aborted"}) < 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_sequence_cancels_what_would_still_be_said(
    own_gateway: Served, own_simulator: Simulator, stream: bool
) -> None:
    # A text with a comma in it cannot be told to this model: only we can watch for it.
    message: list[ChatCompletionMessageParam] = [{"role": "user", "content": "alpha beta, gamma delta epsilon"}]
    client = own_gateway.openai()
    reply = client.chat.completions.create(model="sim/slow", messages=message, stop="beta, gamma", stream=stream)
    if stream:
        said = "".join(chunk.choices[0].delta.content or "" for chunk in reply)
    else:
        said = reply.choices[0].message.content
    assert "alpha" in said
    assert "beta" not in said
    assert own_simulator.last().status == "canceled"


def test_every_create_carries_a_deadline(own_gateway: Served, own_simulator: Simulator) -> None:
    own_gateway.openai().chat.completions.create(model="sim/echo", messages=HELLO)
    assert own_simulator.last().cancel_after == "600s"


def test_a_chat_takes_at_most_three_upstream_requests_however_long_it_is(
    own_gateway: Served, own_simulator: Simulator
) -> None:
    own_simulator.switch(metrics_delay=0)
    client = own_gateway.openai()
    for model in ("sim/echo", "sim/slow"):
        client.models.retrieve(model)
    for model in ("sim/echo", "sim/slow"):
        for fields, most in ({}, 2), ({"stop": "never, said"}, 3):
            before = len(own_simulator.requests())
            reply = client.chat.completions.with_raw_response.create(model=model, messages=HELLO, **fields)  # type: ignore[call-overload]
            made = len(own_simulator.requests()) - before
            assert made <= most
            assert int(reply.headers["x-repligate-upstream-requests"]) == made


def test_the_token_goes_to_the_api_alone(own_gateway: Served, own_simulator: Simulator) -> None:
    client = own_gateway.openai()
    client.chat.completions.create(model="sim/echo", messages=HELLO)
    assert list(client.chat.completions.create(model="sim/echo", messages=HELLO, stream=True))
    link = client.images.generate(model="sim/picture", prompt="a kite").data[0].url  # type: ignore[index]
    assert httpx.get(str(link)).status_code == 200
    assert {request.host for request in own_simulator.requests()} == {"api", "stream", "delivery"}
    assert own_simulator.leaks() == []

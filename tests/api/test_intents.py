"""What a client asks for twice is done once: by `Idempotency-Key`, and by the official client's own retries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gateway.draining import drain
from gateway.parts import Gateway
from gateway.simulator import Settings, Simulator
from tests.opened import holds, listens, opened, settled

ONCE = {"idempotency-key": "order-1"}


@pytest.fixture
def simulated() -> Any:
    with Simulator(Settings(picture_seconds=0.01)) as running:
        yield running


@pytest.fixture
async def gateway(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with opened(simulated, tmp_path, intents={"grace_seconds": 0.3}) as parts:
        yield parts


@asynccontextmanager
async def talking(gateway: Gateway, secret: str = "") -> AsyncIterator[httpx.AsyncClient]:
    secret = secret or (await gateway.keys.create("test"))[1]
    headers = {"authorization": f"Bearer {secret}"}
    async with listens(gateway) as url, httpx.AsyncClient(base_url=f"{url}/v1", headers=headers, timeout=60) as client:
        yield client


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with talking(gateway) as client:
        yield client


def client_of(http: httpx.AsyncClient, **options: Any) -> openai.AsyncOpenAI:
    secret = http.headers["authorization"].removeprefix("Bearer ")
    return openai.AsyncOpenAI(base_url=str(http.base_url), api_key=secret, **options)


async def ask(http: httpx.AsyncClient, words: str = "alpha beta", headers: Any = ONCE, **fields: Any) -> httpx.Response:
    body = {"model": "sim/echo", "messages": [{"role": "user", "content": words}], **fields}
    return await http.post("/chat/completions", json=body, headers=headers)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_first_reply_is_given_again(http: httpx.AsyncClient, simulated: Simulator, stream: bool) -> None:
    first, second = await ask(http, stream=stream), await ask(http, stream=stream)
    assert (second.status_code, second.content) == (200, first.content)
    assert "x-repligate-replayed" not in first.headers
    assert second.headers["x-repligate-replayed"] == "true"
    for name in ("content-type", "x-repligate-prediction-id"):
        assert second.headers.get_list(name) == first.headers.get_list(name)
    assert len(second.headers.get_list("x-request-id")) == 1
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert len(simulated.predictions()) == 1


async def test_a_key_stands_for_one_request_of_one_client(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator
) -> None:
    await ask(http)
    other = await ask(http, "gamma")
    assert (other.status_code, other.json()["error"]["code"]) == (400, "idempotency_key_reused")
    _, secret = await gateway.keys.create("another")
    assert (await ask(http, "gamma", {**ONCE, "authorization": f"Bearer {secret}"})).status_code == 200
    assert (await ask(http, headers={"idempotency-key": "x" * 256})).status_code == 400
    assert len(simulated.predictions()) == 2


async def test_requests_that_come_together_share_one_prediction(http: httpx.AsyncClient, simulated: Simulator) -> None:
    simulated.scene("sim/echo", "slow", seconds=0.3)
    replies = await asyncio.gather(
        *(ask(http, stream=each % 2 == 0, headers={"idempotency-key": f"k{each % 2}"}) for each in range(6))
    )
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.content for reply in replies}) == 2
    assert sum("x-repligate-replayed" in reply.headers for reply in replies) == 4
    assert len(simulated.predictions()) == 2


async def test_what_was_refused_for_nothing_is_not_remembered(http: httpx.AsyncClient, simulated: Simulator) -> None:
    simulated.scene("sim/echo", "overloaded", times=1)
    assert (await ask(http)).status_code == 503
    assert (await ask(http)).status_code == 200
    assert len(simulated.predictions()) == 1


async def test_a_failure_that_was_paid_for_is_remembered(http: httpx.AsyncClient, simulated: Simulator) -> None:
    simulated.scene("sim/echo", "fails", times=1)
    first, second = await ask(http), await ask(http)
    assert (first.status_code, second.status_code) == (500, 500)
    assert second.json() == first.json()
    assert second.headers["x-should-retry"] == "false"
    assert len(simulated.predictions()) == 1


async def test_a_reply_outlives_its_gateway(simulated: Simulator, tmp_path: Path) -> None:
    replies = []
    secret = ""
    for _ in range(2):
        async with opened(simulated, tmp_path) as parts, listens(parts) as url:
            secret = secret or (await parts.keys.create("test"))[1]
            headers = {"authorization": f"Bearer {secret}"}
            async with httpx.AsyncClient(base_url=f"{url}/v1", headers=headers, timeout=60) as http:
                replies.append(await ask(http))
    assert replies[1].content == replies[0].content
    assert replies[1].headers["x-repligate-replayed"] == "true"
    assert len(simulated.predictions()) == 1


async def test_a_client_that_comes_back_in_time_finds_its_call(simulated: Simulator, tmp_path: Path) -> None:
    simulated.scene("sim/echo", "slow", seconds=1.5)
    async with opened(simulated, tmp_path, intents={"grace_seconds": 30.0}) as parts, talking(parts) as http:
        asked = asyncio.create_task(ask(http, stream=True))
        await simulated.reached("processing")
        asked.cancel()
        await asyncio.wait([asked])
        reply = await ask(http, stream=True)
        assert reply.text.endswith("data: [DONE]\n\n")
        assert [line["status"] for line in await settled(parts)] == ["succeeded"]
    assert len(simulated.predictions()) == 1


async def test_what_outlived_its_gateway_is_not_begun_again_while_it_may_live(
    simulated: Simulator, tmp_path: Path
) -> None:
    async with opened(simulated, tmp_path, server={"drain_seconds": 0.0}) as parts:
        _, secret = await parts.keys.create("test", leave="detach")
        async with talking(parts, secret) as http:
            asked = asyncio.create_task(ask(http, model="sim/never-ends"))
            await holds(simulated.predictions, 20)
            stopping = asyncio.create_task(drain(parts))
            assert (await asked).status_code == 503
            await stopping
    async with opened(simulated, tmp_path) as parts, talking(parts, secret) as http:
        refused = await ask(http, model="sim/never-ends")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "idempotency_key_in_use")
        assert int(refused.headers["retry-after"]) > 0
    assert len(simulated.predictions()) == 1


async def test_a_client_that_stays_away_has_its_call_cancelled_and_may_begin_anew(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator
) -> None:
    simulated.scene("sim/echo", "never-ends", times=1)
    asked = asyncio.create_task(ask(http))
    await simulated.reached("processing")
    asked.cancel()
    await asyncio.wait([asked])
    assert [line["status"] for line in await settled(gateway)] == ["canceled"]
    assert (await ask(http)).status_code == 200


async def test_an_official_client_that_gives_up_and_tries_again_pays_once(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator
) -> None:
    simulated.scene("sim/echo", "slow", seconds=3.0)
    async with client_of(http, timeout=2.0, max_retries=2) as client:
        reply = await client.chat.completions.create(
            model="sim/echo", messages=[{"role": "user", "content": "alpha beta"}]
        )
    assert reply.choices[0].message.content == "alpha beta"
    assert [line["status"] for line in await settled(gateway)] == ["succeeded"]
    assert len(simulated.predictions()) == 1


async def test_an_official_client_that_leaves_early_is_not_waited_for(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator
) -> None:
    async with client_of(http, timeout=60.0, max_retries=2) as client:
        asked = asyncio.create_task(
            client.chat.completions.create(model="sim/never-ends", messages=[{"role": "user", "content": "alpha"}])
        )
        await holds(simulated.predictions, 20)
        asked.cancel()
        await asyncio.wait([asked])
        [line] = await settled(gateway)
    assert line["status"] in {"canceled", "aborted"}


async def test_asking_for_the_same_anew_is_no_retry(http: httpx.AsyncClient, simulated: Simulator) -> None:
    for count in ("0", "0", "1"):
        assert (await ask(http, headers={"x-stainless-retry-count": count})).status_code == 200
    assert len(simulated.predictions()) == 2

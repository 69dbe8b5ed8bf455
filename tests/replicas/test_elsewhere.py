"""Whoever asks again at another gateway gets the one answer that is being made, as it is made."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from msgspec import convert
from openai import AsyncOpenAI

from gateway.app import open_gateway
from gateway.config import Config
from gateway.parts import Gateway, Replicate
from gateway.serving import listening
from gateway.simulator import Settings, Simulator
from gateway.store.tables import reservations
from tests.opened import holds, listens, rows, settled
from tests.replicas.shared import Redis, Replica

HELLO = [{"role": "user", "content": "Tell me something"}]
LEASE = 2.0


class Pair(NamedTuple):
    """Two gateways in this process, the addresses of both, and a key for either."""

    one: Gateway
    two: Gateway
    here: str
    there: str
    headers: dict[str, str]


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with Simulator(Settings(picture_seconds=1.5, pace=50)) as running:
        yield running


@pytest.fixture(autouse=True)
def anew(simulated: Simulator) -> None:
    simulated.reset()
    simulated.clear_scenes()


def configured(folder: Path, books: str, redis: str, **more: Mapping[str, Any]) -> Config:
    shared = {"redis": redis, "patience_seconds": 10, "lease_seconds": LEASE}
    return convert({"state": {"folder": str(folder), "database": books}, "shared": shared, **more}, Config)


@pytest.fixture
async def pair(simulated: Simulator, books: str, own_store: Redis, tmp_path: Path) -> AsyncIterator[Pair]:
    replicate = Replicate(simulated.base_url, ("r8_test",))
    async with AsyncExitStack() as opened:
        gateways = []
        for name in ("one", "two"):
            config = configured(tmp_path / name, books, own_store.url)
            gateways.append(await opened.enter_async_context(open_gateway(config, {}, replicate)))
        here, there = [await opened.enter_async_context(listens(each)) for each in gateways]
        _, secret = await gateways[0].keys.create("test")
        await heard(*gateways)
        yield Pair(gateways[0], gateways[1], here, there, {"authorization": f"Bearer {secret}"})


async def heard(*gateways: Gateway) -> None:
    """Returns when each hears the others."""
    for each in gateways:
        assert each.replicas
        async with asyncio.timeout(20):
            while await each.replicas.post.tell("nothing", b"") < len(gateways):
                await asyncio.sleep(0.02)


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "sim/echo", "messages": HELLO, **more}


async def test_a_second_request_under_the_same_key_at_another_gateway_gets_the_same_words_as_they_come(
    pair: Pair, simulated: Simulator
) -> None:
    simulated.scene("sim/echo", "slow", seconds=4)
    headers = {**pair.headers, "idempotency-key": "once"}
    async with httpx.AsyncClient(headers=headers, timeout=60) as http:
        first = asyncio.create_task(http.post(f"{pair.here}/v1/chat/completions", json=chat(stream=True)))
        await holds(simulated.predictions, 20)
        seen = list[int]()
        async with http.stream("POST", f"{pair.there}/v1/chat/completions", json=chat(stream=True)) as second:
            told = b""
            async for some in second.aiter_raw():
                told += some
                seen.append(len(told))
        assert second.status_code == 200
        assert second.headers["x-repligate-replayed"] == "true"
        assert second.headers["content-type"].startswith("text/event-stream")
        whole = (await first).content
        assert told == whole
        assert len(seen) > 2, "piece by piece"
        after = await http.post(f"{pair.there}/v1/chat/completions", json=chat(stream=True))
        assert after.content == whole
    assert len(simulated.predictions()) == 1
    assert len(await settled(pair.one)) == 1


async def test_many_at_both_gateways_and_at_once_share_one_prediction(pair: Pair, simulated: Simulator) -> None:
    headers = {**pair.headers, "idempotency-key": "many"}
    async with httpx.AsyncClient(headers=headers, timeout=60) as http:
        asked = [http.post(f"{url}/v1/chat/completions", json=chat()) for url in (pair.here, pair.there) * 5]
        replies = await asyncio.gather(*asked)
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.json()["id"] for reply in replies}) == 1
    assert len(simulated.predictions()) == 1


async def test_a_retry_that_reaches_another_gateway_gets_the_whole_reply(pair: Pair, simulated: Simulator) -> None:
    simulated.scene("sim/echo", "slow", seconds=3)
    headers = {**pair.headers, "x-stainless-read-timeout": "1", "x-stainless-retry-count": "3"}
    async with httpx.AsyncClient(headers=headers) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post(f"{pair.here}/v1/chat/completions", json=chat(), timeout=1)
        again = {"x-stainless-retry-count": "4"}
        reply = await http.post(f"{pair.there}/v1/chat/completions", json=chat(), headers=again, timeout=60)
    assert reply.status_code == 200
    assert reply.json()["choices"][0]["message"]["content"]
    assert [each.status for each in simulated.predictions()] == ["succeeded"]


async def test_whoever_leaves_elsewhere_is_waited_for_no_longer(pair: Pair, simulated: Simulator) -> None:
    headers = {**pair.headers, "x-stainless-read-timeout": "1", "x-stainless-retry-count": "0"}
    body = {"model": "sim/never-ends", "messages": HELLO}
    async with httpx.AsyncClient(headers=headers) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post(f"{pair.here}/v1/chat/completions", json=body, timeout=1)
        again = {"x-stainless-retry-count": "1", "x-stainless-read-timeout": "600"}
        asked = asyncio.create_task(
            http.post(f"{pair.there}/v1/chat/completions", json=body, headers=again, timeout=60)
        )
        assert pair.one.replicas
        await holds(lambda: pair.one.replicas.elsewhere._tellings, 20)  # type: ignore[union-attr]
        await asyncio.sleep(3)
        assert simulated.last().status == "processing", "somebody reads it, at the other gateway"
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await holds(lambda: simulated.last().status == "canceled", 30)
    assert len(simulated.predictions()) == 1


async def test_two_ask_anew_for_the_same_and_neither_gets_the_others(pair: Pair, simulated: Simulator) -> None:
    async with httpx.AsyncClient(headers={**pair.headers, "x-stainless-retry-count": "0"}, timeout=60) as http:
        replies = await asyncio.gather(
            *[http.post(f"{url}/v1/chat/completions", json=chat()) for url in (pair.here, pair.there)]
        )
        assert len({reply.json()["id"] for reply in replies}) == 2
        lone = await http.post(
            f"{pair.there}/v1/chat/completions", json=chat(n=2), headers={"x-stainless-retry-count": "1"}
        )
        assert lone.status_code == 200, "an attempt whose first one never came"
    assert len(simulated.predictions()) == 4


async def test_a_response_in_the_background_is_followed_live_from_another_gateway(
    pair: Pair, simulated: Simulator
) -> None:
    simulated.scene("sim/echo", "slow", seconds=3)
    key = pair.headers["authorization"].removeprefix("Bearer ")
    async with (
        AsyncOpenAI(base_url=f"{pair.here}/v1", api_key=key, max_retries=0) as here,
        AsyncOpenAI(base_url=f"{pair.there}/v1", api_key=key, max_retries=0) as there,
    ):
        queued = await here.responses.create(model="sim/echo", input="Say hello to all of them", background=True)
        kinds, numbers = list[str](), list[int]()
        async for event in await there.responses.retrieve(queued.id, stream=True):
            kinds.append(event.type)
            numbers.append(event.sequence_number)
        assert numbers == list(range(len(numbers)))
        assert kinds.count("response.output_text.delta") > 1, "word by word, as only a live one is told"
        assert kinds[-1] == "response.completed"
        rest = [
            event.sequence_number
            async for event in await there.responses.retrieve(queued.id, stream=True, starting_after=numbers[-3])
        ]
    assert rest == numbers[-2:]


@pytest.mark.slow
@pytest.mark.parametrize("noted", [True, False])
async def test_when_the_gateway_that_answers_dies_its_call_is_ended_and_the_other_answers(
    simulated: Simulator, books: str, own_store: Redis, tmp_path: Path, noted: bool
) -> None:
    # Text with a stop that we watch for comes by its stream, and its id is known at once; else only with its end.
    body = chat(stop="never, said") if noted else chat()
    simulated.scene("sim/echo", "slow", seconds=60)
    config = configured(tmp_path / "two", books, own_store.url)
    async with open_gateway(config, {}, Replicate(simulated.base_url, ("r8_test",))) as two, listens(two) as there:
        _, secret = await two.keys.create("test")
        told = tmp_path / "one", simulated.base_url, books, own_store.url
        one = await asyncio.to_thread(Replica, *told, key=secret)
        headers = {"authorization": f"Bearer {secret}", "idempotency-key": "orphan"}
        with one:
            async with httpx.AsyncClient(headers=headers, timeout=60) as http:
                first = asyncio.create_task(http.post(f"{one.base_url}/chat/completions", json=body))
                await holds(simulated.predictions, 20)
                async with asyncio.timeout(20):
                    while noted and not any(row["prediction"] for row in await rows(two, reservations)):
                        await asyncio.sleep(0.02)
                one.kill()
                with pytest.raises(httpx.TransportError):
                    await first
                simulated.clear_scenes()
                reply = await http.post(f"{there}/v1/chat/completions", json=body)
                assert reply.status_code == 200, reply.text
        assert [line["status"] for line in await settled(two)] == ["canceled", "succeeded"]
    assert [each.status for each in simulated.predictions()] == ["canceled", "succeeded"]


async def until_killed(told: httpx.Response, store: Redis) -> None:
    async for _ in told.aiter_raw():
        if store.process.poll() is None:
            store.kill()


async def test_a_stream_whose_gateway_is_not_heard_any_more_breaks_off_and_does_not_end(
    pair: Pair, simulated: Simulator, own_store: Redis
) -> None:
    headers = {**pair.headers, "idempotency-key": "broken"}
    body = {"model": "sim/never-ends", "messages": HELLO, "stream": True}
    async with httpx.AsyncClient(headers=headers, timeout=60) as http:
        first = asyncio.create_task(http.post(f"{pair.here}/v1/chat/completions", json=body))
        await holds(simulated.predictions, 20)
        async with http.stream("POST", f"{pair.there}/v1/chat/completions", json=body) as second:
            with pytest.raises(httpx.RemoteProtocolError):
                await until_killed(second, own_store)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        own_store.start()
        await holds(lambda: simulated.last().status == "canceled", 30)
        await holds(lambda: not pair.one.running, 30)


async def test_a_webhook_that_reaches_another_gateway_wakes_the_one_that_waits(
    simulated: Simulator, books: str, own_store: Redis, tmp_path: Path
) -> None:
    simulated.switch(duplicate_webhooks=False)
    replicate = Replicate(simulated.base_url, ("r8_test",))
    async with AsyncExitStack() as opened:
        there = opened.enter_context(listening("127.0.0.1", 0))
        url = f"http://127.0.0.1:{there.getsockname()[1]}"
        # Replicate is told one address for both, behind which the proxy chose the other one.
        more: dict[str, Any] = {"server": {"public_url": url}, "upstream": {"sync_wait_seconds": 0}}
        config = [configured(tmp_path / name, books, own_store.url, **more) for name in ("one", "two")]
        one, two = [await opened.enter_async_context(open_gateway(each, {}, replicate)) for each in config]
        here = await opened.enter_async_context(listens(one))
        await opened.enter_async_context(listens(two, there))
        _, secret = await one.keys.create("test")
        await heard(one, two)
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {secret}"}, timeout=60) as http:
            for _ in range(2):
                reply = await http.post(
                    f"{here}/v1/images/generations", json={"model": "sim/picture", "prompt": "a kite"}
                )
                assert reply.status_code == 200, reply.text
        made = simulated.last()
        await holds(lambda: [each.status for each in simulated.deliveries() if each.prediction == made.id] == [200])
        assert made.polls <= 2, "the end came by the webhook, and only its metrics were read"
        await settled(one)

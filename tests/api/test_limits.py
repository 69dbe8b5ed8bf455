"""How fast a key may go, as an official client sees it: refused in time, told when to come back, never locked out."""

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from gateway.accounts.keys import KeyLimits
from gateway.accounts.paces import Paces
from gateway.config import LimitsConfig
from gateway.parts import Gateway
from gateway.simulator import Settings, Simulator
from tests.opened import holds, listens, opened, rows, settled
from tests.served import Served

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello there"}]


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with Simulator(Settings(picture_seconds=0.01)) as running:
        running.switch(metrics_delay=0.0)
        yield running


@pytest.fixture
async def gateway(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    simulated.reset()
    simulated.clear_scenes()
    simulated.switch(metrics_delay=0.0)
    async with opened(simulated, tmp_path, upstream={"retry_seconds": 0.2}) as parts:
        yield parts


@pytest.fixture
async def url(gateway: Gateway) -> AsyncIterator[str]:
    async with listens(gateway) as address:
        yield address


async def key(gateway: Gateway, **limits: int) -> str:
    _, secret = await gateway.keys.create("limited", limits=KeyLimits(**limits))
    return secret


def client(url: str, secret: str, **options: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=secret, **{"max_retries": 0, "timeout": 20, **options})


async def ask(api: openai.AsyncOpenAI, model: str = "sim/echo", **fields: Any) -> Any:
    return await api.chat.completions.create(model=model, messages=HELLO, **fields)


async def refused(api: openai.AsyncOpenAI, **fields: Any) -> openai.RateLimitError:
    with pytest.raises(openai.RateLimitError) as refusal:
        await ask(api, **fields)
    return refusal.value


async def free_again(gateway: Gateway, api: openai.AsyncOpenAI) -> None:
    """Once nothing of the earlier call is left, its place is there for another."""
    await settled(gateway)
    assert (await ask(api)).choices[0].message.content


async def test_the_request_too_many_is_refused_with_when_to_come_back(url: str, gateway: Gateway) -> None:
    async with client(url, await key(gateway, requests_per_minute=2)) as api:
        replies = [await api.chat.completions.with_raw_response.create(model="sim/echo", messages=HELLO)]
        replies += [await api.chat.completions.with_raw_response.create(model="sim/echo", messages=HELLO)]
        error = await refused(api)
    assert [reply.headers["x-ratelimit-limit-requests"] for reply in replies] == ["2", "2"]
    assert [reply.headers["x-ratelimit-remaining-requests"] for reply in replies] == ["1", "0"]
    assert all(re.fullmatch(r"(1m)?[\d.]+s", reply.headers["x-ratelimit-reset-requests"]) for reply in replies)
    assert "x-ratelimit-limit-tokens" not in replies[0].headers
    assert (error.type, error.code, error.param) == ("requests", "rate_limit_exceeded", None)
    told = error.response.headers
    waits = int(told["retry-after-ms"])
    assert 25_000 < waits <= 30_000
    assert int(told["retry-after"]) == -(-waits // 1000)
    assert f"Limit 2, Used 2, Requested 1. Please try again in {waits / 1000:g}s." in error.message
    assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == ("2", "0")


async def test_a_refused_call_creates_nothing_and_books_nothing(
    url: str, gateway: Gateway, simulated: Simulator
) -> None:
    async with client(url, await key(gateway, requests_per_minute=1)) as api:
        await ask(api)
        for stream in (False, True):
            await refused(api, stream=stream)
    assert len(simulated.predictions()) == 1
    assert len(await rows(gateway)) == 1
    assert not gateway.running


async def test_an_official_client_waits_as_told_and_succeeds(url: str, gateway: Gateway) -> None:
    async with client(url, await key(gateway, requests_per_minute=60), max_retries=1) as api:
        began = time.monotonic()
        await asyncio.gather(*(ask(api) for _ in range(61)))
    assert time.monotonic() - began >= 1


async def test_other_keys_are_not_affected(url: str, gateway: Gateway) -> None:
    gateway.limits.defaults = LimitsConfig(requests_per_minute=1)
    async with client(url, await key(gateway)) as first, client(url, await key(gateway)) as second:
        await ask(first)
        await refused(first)
        await ask(second)
    async with client(url, await key(gateway, requests_per_minute=0)) as free:
        for _ in range(3):
            await ask(free)


async def test_tokens_are_held_by_estimate_and_settled_by_count(url: str, gateway: Gateway) -> None:
    async with client(url, await key(gateway, tokens_per_minute=1000)) as api:
        stream = await ask(api, "sim/never-ends", max_tokens=900, stream=True)
        error = await refused(api, max_tokens=900)
        assert (error.type, error.code) == ("tokens", "rate_limit_exceeded")
        assert re.search(r"tokens per min \(TPM\): Limit 1000, Used \d+, Requested 9\d\d\.", error.message)
        await stream.close()
        await settled(gateway)
        raw = await api.chat.completions.with_raw_response.create(model="sim/echo", messages=HELLO, max_tokens=700)
    usage = raw.parse().usage
    assert usage
    assert 1000 - int(raw.headers["x-ratelimit-remaining-tokens"]) < usage.total_tokens + 50


async def test_what_can_never_fit_is_refused_once_and_for_all(url: str, gateway: Gateway) -> None:
    async with client(url, await key(gateway, tokens_per_minute=1000), max_retries=5) as api:
        error = await refused(api, max_tokens=5000)
    assert "Request too large" in error.message
    assert error.response.headers["x-should-retry"] == "false"
    assert "retry-after" not in error.response.headers


async def test_images_are_counted(url: str, gateway: Gateway, simulated: Simulator) -> None:
    async with client(url, await key(gateway, images_per_minute=4)) as api:
        await api.images.generate(model="sim/picture", prompt="a kite", n=3)
        with pytest.raises(openai.RateLimitError, match="images per min") as error:
            await api.images.generate(model="sim/picture", prompt="a kite", n=2)
        assert error.value.type == "requests"
        with pytest.raises(openai.APIStatusError):
            await api.images.generate(model="sim/picture-fails", prompt="a kite")
        await api.images.generate(model="sim/picture", prompt="a kite")
    assert len(simulated.predictions("sim/picture")) <= 4


async def test_a_client_that_leaves_in_mid_stream_gives_its_place_back(url: str, gateway: Gateway) -> None:
    async with client(url, await key(gateway, calls_at_once=1)) as api:
        stream = await ask(api, "sim/never-ends", stream=True)
        await anext(aiter(stream))
        assert "calls at once: Limit 1, Used 1, Requested 1. Please try again in 1s." in (await refused(api)).message
        await stream.close()
        await free_again(gateway, api)


async def test_a_client_that_leaves_before_the_first_word_gives_its_place_back(
    url: str, gateway: Gateway, simulated: Simulator
) -> None:
    async with client(url, await key(gateway, calls_at_once=1)) as api:
        for stream in (False, True):
            asked = asyncio.create_task(ask(api, "sim/cold-boot", stream=stream))
            await holds(lambda: gateway.running and simulated.predictions())
            asked.cancel()
            await asyncio.wait([asked])
            await free_again(gateway, api)


@pytest.mark.parametrize("model", ["sim/fails", "sim/fails-midway", "sim/unavailable"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_fails_gives_its_place_back(url: str, gateway: Gateway, model: str, stream: bool) -> None:
    async with client(url, await key(gateway, calls_at_once=1, tokens_per_minute=1000)) as api:
        for _ in range(3):
            with pytest.raises(openai.APIError):
                async for _ in await ask(api, model, stream=stream, max_tokens=800):
                    pass
        await free_again(gateway, api)


async def test_a_call_that_the_books_refuse_gives_its_place_back(url: str, gateway: Gateway) -> None:
    async with client(url, await key(gateway, calls_at_once=1, tokens_per_minute=1000)) as api:
        await ask(api)
        store = gateway.ledger._store
        await store.write(lambda books: books.exec_driver_sql("ALTER TABLE entries RENAME TO elsewhere"))
        with pytest.raises(openai.InternalServerError):
            await ask(api, max_tokens=900)
        await store.write(lambda books: books.exec_driver_sql("ALTER TABLE elsewhere RENAME TO entries"))
        await ask(api, max_tokens=900)


async def test_fifty_at_once_never_run_more_than_eight_at_replicate(
    url: str, gateway: Gateway, simulated: Simulator
) -> None:
    simulated.scene("sim/slow", "slow", seconds=0.2, pieces=4)
    async with client(url, await key(gateway, calls_at_once=8)) as api:

        async def insists() -> None:
            while True:
                try:
                    reply = await ask(api, "sim/slow")
                except openai.RateLimitError:
                    await asyncio.sleep(0.02)
                else:
                    assert reply.choices[0].message.content
                    return

        await asyncio.gather(*(insists() for _ in range(50)))
    made = simulated.predictions()
    assert len(made) == 50
    turns = sorted(turn for one in made for turn in ((one.created, 1), (one.completed or 0.0, -1)))
    running = most = 0
    for _, change in turns:
        running += change
        most = max(most, running)
    assert 1 < most <= 8


async def test_a_reply_without_limits_says_nothing_of_them(url: str, gateway: Gateway) -> None:
    _, secret = await gateway.keys.create("free")
    async with client(url, secret) as api:
        raw = await api.chat.completions.with_raw_response.create(model="sim/echo", messages=HELLO)
    assert not [name for name in raw.headers if name.startswith("x-ratelimit")]
    assert isinstance(gateway.limits.limiter, Paces)
    assert len(gateway.limits.limiter) == 0


async def test_streams_tell_of_the_limits_too(url: str, gateway: Gateway) -> None:
    async with client(url, await key(gateway, requests_per_minute=5, tokens_per_minute=500)) as api:
        raw = await api.chat.completions.with_raw_response.create(model="sim/echo", messages=HELLO, stream=True)
        async for _ in raw.parse():
            pass
    names = {name for name in raw.headers if name.startswith("x-ratelimit")}
    assert len(names) == 6
    assert raw.headers["x-ratelimit-remaining-requests"] == "4"


def test_a_reload_brings_new_limits_into_force(own_gateway: Served) -> None:
    api = own_gateway.openai()

    def asks() -> None:
        api.chat.completions.create(model="sim/echo", messages=HELLO)

    asks()
    own_gateway.config.write_text("[limits]\nrequests_per_minute = 1\n", "utf-8")
    own_gateway.process.send_signal(signal.SIGHUP)
    began = time.monotonic()
    while "settings reloaded" not in own_gateway.output:
        assert time.monotonic() - began < 5
        time.sleep(0.01)
    asks()
    with pytest.raises(openai.RateLimitError, match="Limit 1, Used 1, Requested 1"):
        asks()

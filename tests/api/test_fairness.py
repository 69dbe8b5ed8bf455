"""One team's batch and another's chat before one allowance, through the whole gateway and at Replicate's throttle."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gateway.parts import Gateway
from gateway.simulator import Settings, Simulator
from tests.opened import holds, listens, opened, settled

PICTURE = "black-forest-labs/flux-1.1-pro"
"""It makes one picture at a time: ten are ten predictions."""

AT_ONCE = 8
"""So many creates fit at most where the room was closed and is opened."""


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with Simulator(Settings(picture_seconds=0.01)) as running:
        running.switch(metrics_delay=0.0)
        yield running


@pytest.fixture
async def gateway(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    simulated.reset()
    simulated.limit("off")
    async with opened(simulated, tmp_path, upstream={"creates_per_minute": 120, "longest_wait_seconds": 3600}) as parts:
        yield parts


async def client(gateway: Gateway, url: str, name: str, **policy: Any) -> openai.AsyncOpenAI:
    _, secret = await gateway.keys.create(name, **policy)
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0, timeout=60)


async def chat(api: openai.AsyncOpenAI, model: str = "sim/echo") -> Any:
    return await api.chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": "Hello there"}]
    )


def creates(simulated: Simulator) -> list[str]:
    """The models that something was created on, in the order of the creates."""
    asked = [one for one in simulated.requests() if one.method == "POST" and one.path.endswith("/predictions")]
    return [one.path.removeprefix("/v1/models/").removesuffix("/predictions") for one in asked if one.status == 201]


def close(gateway: Gateway) -> None:
    """No create fits any more, for a minute at least: whoever comes now waits, however long coming takes."""
    room, now = gateway.upstream.tokens[0].room, gateway.upstream.clock()
    room.slow(1, AT_ONCE, now)
    room.take(now)


def leaves(gateway: Gateway, creates: int) -> None:
    """So many fit after all, at one instant; the next one in a minute."""
    for _ in range(creates):
        gateway.upstream.tokens[0].room.give_back()


async def test_a_batch_of_a_thousand_pictures_delays_anothers_chat_by_no_more_than_one_slot(tmp_path: Path) -> None:
    pace = {"creates_per_minute": 60, "longest_wait_seconds": 3600}
    with Simulator(Settings(limits="normal", creates_per_minute=60)) as replicate:
        async with opened(replicate, tmp_path, upstream=pace) as gateway, listens(gateway) as url:
            turns = gateway.upstream.turns
            red, blue = await client(gateway, url, "red"), await client(gateway, url, "blue")
            line = (await gateway.keys.show("blue")).id
            pictures = [red.images.generate(model=PICTURE, prompt=f"kite {number}", n=10) for number in range(100)]
            batch = [asyncio.create_task(each) for each in pictures]
            await holds(lambda: len(creates(replicate)) >= 60 and turns.waiting >= 900, 60)
            for chats in range(1, 4):
                talk = asyncio.create_task(chat(blue))
                await holds(lambda: line in turns._lines)
                had_their_turn = 1000 - (turns.waiting - 1)
                assert int((await talk).headers["x-repligate-wait-ms"]) > 0
                before = creates(replicate)
                before = before[: [place for place, model in enumerate(before) if model == "sim/echo"][chats - 1]]
                assert before.count(PICTURE) - had_their_turn <= 1
            for task in batch:
                task.cancel()
            await asyncio.gather(*batch, return_exceptions=True)
            await asyncio.gather(red.close(), blue.close())
            await holds(lambda: turns.waiting == 0 and not gateway.running, 60)


async def test_a_chat_goes_before_the_rest_of_anothers_batch(gateway: Gateway, simulated: Simulator) -> None:
    async with listens(gateway) as url:
        red, blue = await client(gateway, url, "red"), await client(gateway, url, "blue")
        await chat(blue)
        line, turns = (await gateway.keys.show("blue")).id, gateway.upstream.turns
        close(gateway)
        batch = [asyncio.create_task(red.images.generate(model="sim/picture", prompt="a kite")) for _ in range(12)]
        await holds(lambda: turns.waiting == 12, 60)
        talk = asyncio.create_task(chat(blue))
        await holds(lambda: line in turns._lines, 60)
        leaves(gateway, 2)
        batch.pop().cancel()  # whoever leaves lets the queue be looked at
        reply = await talk
        assert turns.waiting == 10, "the batch still waits"
        assert int(reply.headers["x-repligate-wait-ms"]) > 0
        for task in batch:
            task.cancel()
        await asyncio.gather(*batch, return_exceptions=True)
        books = await settled(gateway)
        assert turns.waiting == 0
        entered = [line["prediction"] for line in books if line["prediction"]]
        assert len(entered) == len(simulated.predictions()) == 3
        assert "never created" in {line["status"] for line in books}, "whoever left the queue created nothing"
        await asyncio.gather(red.close(), blue.close())


async def test_low_credit_refuses_honestly_and_creates_nothing(gateway: Gateway, simulated: Simulator) -> None:
    simulated.limit("low-credit")
    try:
        async with listens(gateway) as url:
            api = await client(gateway, url, "poor")
            await chat(api)
            gateway.upstream.tokens[0].room.slow(6, 1, gateway.upstream.clock())
            gateway.upstream.tokens[0].room.rest(4000, gateway.upstream.clock())
            with pytest.raises(openai.RateLimitError) as refused:
                await chat(api)
            await api.close()
        assert 3900 < int(refused.value.response.headers["retry-after"]) <= 4000
        assert len(simulated.predictions()) == 1
        books = await settled(gateway)
        assert sorted(line["status"] for line in books) == ["never created", "succeeded"]
    finally:
        simulated.limit("off")


async def test_weight_and_priority_are_said_by_team_by_key_and_over_http_and_shift_the_turns(
    gateway: Gateway, simulated: Simulator
) -> None:
    async with listens(gateway) as url:
        boss = (await gateway.keys.create("boss", role="admin"))[1]
        async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {boss}"}) as admin:
            team = {"id": "heavy", "limits": {"weight": 30, "priority": "low"}}
            assert (await admin.post("/admin/teams", json=team)).json()["limits"] == team["limits"]
            said = {"name": "own", "team": "heavy", "limits": {"priority": "normal"}}
            own = (await admin.post("/admin/keys", json=said)).json()
        light, slight = await client(gateway, url, "light"), await client(gateway, url, "slight", team="heavy")
        heavy = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=own["secret"], max_retries=0, timeout=60)
        await chat(light)
        close(gateway)
        who = {light: "sim/echo", heavy: "sim/slow", slight: "sim/reasoning"}
        asked = [asyncio.create_task(chat(api, model)) for api, model in who.items() for _ in range(9)]
        await holds(lambda: gateway.upstream.turns.waiting == 27, 60)
        leaves(gateway, AT_ONCE)
        asked.pop().cancel()  # whoever leaves lets the queue be looked at
        await holds(lambda: len(creates(simulated)) == 1 + AT_ONCE, 60)
        made = creates(simulated)[1:]
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        await settled(gateway)
        await asyncio.gather(light.close(), heavy.close(), slight.close())
    assert made.count("sim/reasoning") <= 1, "low comes when the others leave a turn, or after five seconds"
    assert made.count("sim/slow") in {5, 6}, "three of four turns"


async def test_a_prediction_goes_on_with_the_other_token_and_the_client_hears_nothing_of_it(
    simulated: Simulator, tmp_path: Path
) -> None:
    simulated.reset()
    async with opened(simulated, tmp_path, "r8_poor", "r8_rich") as gateway, listens(gateway) as url:
        for trouble in ("insufficient-credit", "refused", "throttled"):
            simulated.trouble("r8_poor", trouble)
            api = await client(gateway, url, trouble)
            for _ in range(2):
                assert (await chat(api)).http_response.status_code == 200
            await api.close()
        books = await settled(gateway)
    assert [line["status"] for line in books] == ["succeeded"] * 6
    assert sorted(line["prediction"] for line in books) == sorted(one.id for one in simulated.predictions())


async def test_whoever_asks_for_health_is_told_of_the_queue_and_of_every_token(
    simulated: Simulator, tmp_path: Path
) -> None:
    simulated.reset()
    async with opened(simulated, tmp_path, "r8_poor", "r8_rich") as gateway, listens(gateway) as url:
        simulated.trouble("r8_poor", "insufficient-credit")
        api = await client(gateway, url, "any")
        for _ in range(2):
            await chat(api)
        async with httpx.AsyncClient() as other:
            told = (await other.get(f"{url}/health/ready")).json()["upstream"]
        await api.close()
        await settled(gateway)
    assert (told["waiting"], told["longest_wait_seconds"]) == (0, 0.0)
    assert {"polls_wait_seconds", "polls_waited_seconds"} < told.keys()
    assert [(one["token"], one["fault"]) for one in told["tokens"]] == [
        ("token 1 of 2", "broke"),
        ("token 2 of 2", None),
    ]
    assert all(550 < one["creates_left"] <= 600 for one in told["tokens"])
    assert "r8_" not in str(told)

"""Webhooks from end to end: Replicate tells of an end at the gateway's own address, and whoever waits is woken."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.parts import Gateway
from gateway.serving import listening
from gateway.simulator import Settings, Simulator
from tests.opened import holds, listens, opened, settled


@pytest.fixture(scope="module")
def slow() -> object:
    with Simulator(Settings(picture_seconds=1.2, webhook_retry_seconds=(0.05, 0.1))) as running:
        yield running


@pytest.fixture
async def told(slow: Simulator, tmp_path: Path) -> AsyncIterator[tuple[Gateway, httpx.AsyncClient]]:
    """A gateway that Replicate can reach, and a client of it."""
    slow.reset()
    slow.switch(duplicate_webhooks=False)
    with listening("127.0.0.1", 0) as sock:
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        async with (
            opened(slow, tmp_path, server={"public_url": url}, upstream={"sync_wait_seconds": 0}) as parts,
            listens(parts, sock),
            httpx.AsyncClient(base_url=url, timeout=30) as client,
        ):
            _, secret = await parts.keys.create("test")
            client.headers["authorization"] = f"Bearer {secret}"
            yield parts, client


async def draw(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/v1/images/generations", json={"model": "sim/picture", "prompt": "a kite"})


@pytest.mark.parametrize("duplicates", [False, True])
async def test_a_webhook_wakes_whoever_waits_and_saves_the_polls(
    told: tuple[Gateway, httpx.AsyncClient], slow: Simulator, duplicates: bool
) -> None:
    parts, client = told
    slow.switch(duplicate_webhooks=duplicates)
    # By now it is known how far the records of this model lag.
    await asyncio.gather(*(draw(client) for _ in range(5)))
    before = len(slow.requests())
    reply = await draw(client)
    assert reply.status_code == 200, reply.text
    made = slow.last()
    assert made.webhook == f"{client.base_url}/webhooks/replicate".replace("//webhooks", "/webhooks")
    assert made.webhook_events_filter == ("completed",)
    await holds(lambda: len([one for one in slow.deliveries() if one.prediction == made.id]) >= 1 + duplicates)
    assert {one.status for one in slow.deliveries()} == {200}
    assert made.polls <= 2
    assert int(reply.headers["x-repligate-upstream-requests"]) <= 3
    assert len([one for one in slow.requests()[before:] if one.host == "api"]) <= 3
    assert {line["status"] for line in await settled(parts)} == {"succeeded"}


async def talk(client: httpx.AsyncClient, **fields: Any) -> str:
    order = {"model": "sim/echo", "stream": True, "messages": [{"role": "user", "content": "alpha beta"}], **fields}
    return (await client.post("/v1/chat/completions", json=order)).text


async def test_a_streamed_chat_takes_two_requests_for_its_webhook_brings_the_rest(
    told: tuple[Gateway, httpx.AsyncClient], slow: Simulator
) -> None:
    parts, client = told
    await talk(client)
    [first] = await settled(parts)
    before = len(slow.requests())
    assert (await talk(client)).endswith("data: [DONE]\n\n")
    booked = await settled(parts)
    asked = slow.requests()[before:]
    assert [(one.host, one.method) for one in asked] == [("api", "POST"), ("stream", "GET")]
    assert [line["run_seconds"] is not None for line in booked] == [True, True]
    assert {line["tokens_out"] for line in booked} == {first["tokens_out"]}
    assert not any(line["estimated"] for line in booked)


async def test_what_a_client_wants_counted_is_asked_for_at_once(
    told: tuple[Gateway, httpx.AsyncClient], slow: Simulator
) -> None:
    parts, client = told
    assert '"usage":{"prompt_tokens":2,' in await talk(client, stream_options={"include_usage": True})
    assert slow.last().polls >= 1
    assert len(await settled(parts)) == 1


async def test_a_forged_webhook_changes_nothing(told: tuple[Gateway, httpx.AsyncClient], slow: Simulator) -> None:
    _, client = told
    await draw(client)
    forged = {"id": slow.last().id, "status": "failed", "error": "no"}
    signed = {"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
    assert (await client.post("/webhooks/replicate", json=forged, headers=signed)).status_code == 403


async def test_links_to_outputs_bear_the_public_address(told: tuple[Gateway, httpx.AsyncClient]) -> None:
    _, client = told
    url = (await draw(client)).json()["data"][0]["url"]
    assert url.startswith(str(client.base_url))
    assert (await client.get(url)).headers["content-type"].startswith("image/")

"""Whom the gateway serves: what a key may do, how it is sent, and whose account it is booked on."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.accounts.keys import CACHED_SECONDS, Keys
from gateway.parts import Gateway
from gateway.simulator import Simulator
from gateway.store.sql import Store
from tests.opened import listens, rows, settled

TALK = {"model": "sim/echo", "messages": [{"role": "user", "content": "alpha"}]}


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with listens(gateway) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield client


async def ask(http: httpx.AsyncClient, secret: str, headers: Any = None, **fields: Any) -> httpx.Response:
    told = {"authorization": f"Bearer {secret}", **(headers or {})}
    return await http.post("/v1/chat/completions", json={**TALK, **fields}, headers=told)


async def test_a_key_that_another_process_revokes_is_refused_within_a_second(
    http: httpx.AsyncClient, gateway: Gateway
) -> None:
    key, secret = await gateway.keys.create("test")
    assert (await ask(http, secret)).status_code == 200
    other = Store.open(gateway.config)
    await Keys(other).revoke(key.id)
    await other.aclose()
    await asyncio.sleep(CACHED_SECONDS + 0.1)
    reply = await ask(http, secret)
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "invalid_api_key")
    assert secret not in reply.text


async def test_a_key_may_come_in_the_headers_of_other_clients(http: httpx.AsyncClient, gateway: Gateway) -> None:
    _, secret = await gateway.keys.create("test")
    for headers, status in (
        ({"x-api-key": secret}, 200),
        ({"api-key": secret}, 200),
        ({"authorization": f"Bearer {secret}", "x-api-key": "sk-other"}, 200),
        ({"authorization": f"bearer   {secret}"}, 200),
        ({"x-api-key": "sk-other"}, 401),
        ({"authorization": secret}, 401),
        ({}, 401),
    ):
        assert (await http.get("/v1/models", headers=headers)).status_code == status, headers


async def test_what_two_keys_use_stands_on_two_accounts(http: httpx.AsyncClient, gateway: Gateway) -> None:
    secrets = {name: (await gateway.keys.create(name))[1] for name in ("one", "two")}
    for name, times in (("one", 1), ("two", 3)):
        for _ in range(times):
            await ask(http, secrets[name])
    await settled(gateway)
    assert {line.name: line.calls for line in await gateway.ledger.usage("key")} == {"one": 1, "two": 3}


@pytest.mark.parametrize("headers", [{}, {"x-repligate-dry-run": "1"}])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_key_is_kept_to_its_models_before_anything_is_spent(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator, headers: dict[str, str], stream: bool
) -> None:
    _, secret = await gateway.keys.create("test", models=("sim/e*",))
    reply = await ask(http, secret, headers, model="sim/slow", stream=stream)
    assert (reply.status_code, reply.json()["error"]["param"]) == (403, "model")
    assert simulated.predictions() == []
    assert await settled(gateway) == []
    assert [one for one in simulated.requests() if "sim/slow" in one.path] == []
    assert (await ask(http, secret)).status_code == 200


async def test_a_key_is_kept_to_its_endpoints(http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator) -> None:
    _, secret = await gateway.keys.create("test", endpoints=("/v1/images/*",))
    assert (await ask(http, secret)).status_code == 403
    order = {"model": "sim/picture", "prompt": "a kite"}
    reply = await http.post("/v1/images/generations", json=order, headers={"authorization": f"Bearer {secret}"})
    assert reply.status_code == 200
    assert len(simulated.predictions()) == 1


async def test_a_path_with_a_slash_at_its_end_is_the_same_endpoint(http: httpx.AsyncClient, gateway: Gateway) -> None:
    _, secret = await gateway.keys.create("test", endpoints=("/v1/chat/completions",))
    reply = await http.post("/v1/chat/completions/", json=TALK, headers={"authorization": f"Bearer {secret}"})
    assert reply.status_code == 200
    assert [line["kind"] for line in await settled_entries(gateway)] == ["/v1/chat/completions"]


async def settled_entries(gateway: Gateway) -> list[Any]:
    await settled(gateway)
    return list(await rows(gateway))


async def test_a_dry_run_needs_a_key_and_spends_nothing(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator
) -> None:
    dry = {"x-repligate-dry-run": "1"}
    assert (await http.post("/v1/chat/completions", json=TALK, headers=dry)).status_code == 401
    _, secret = await gateway.keys.create("test")
    assert "alpha" in json.dumps((await ask(http, secret, dry)).json()["inputs"])
    assert simulated.predictions() == []
    assert await settled(gateway) == []


async def test_the_request_id_stands_in_the_ledger(http: httpx.AsyncClient, gateway: Gateway) -> None:
    _, secret = await gateway.keys.create("test")
    for fields in ({}, {"stream": True}, {"n": 2}):
        reply = await ask(http, secret, **fields)
        made = reply.headers["x-repligate-prediction-id"].split(", ")
        await settled(gateway)
        entries = await settled_entries(gateway)
        mine = [line for line in entries if line["request"] == reply.headers["x-request-id"]]
        assert len(mine) == len(made)

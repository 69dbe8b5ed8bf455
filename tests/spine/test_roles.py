"""What an admin key cannot do, what a normal key cannot see, and what it can."""

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.app import HANDLERS
from gateway.parts import Gateway
from gateway.simulator import Simulator
from tests.opened import listens, rows, settled

TALK = {"model": "sim/echo", "messages": [{"role": "user", "content": "alpha"}]}
OPEN = {"/health/live", "/health/ready", "/outputs/{name:path}", "/webhooks/replicate"}


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with listens(gateway) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield client


async def test_an_admin_key_cannot_spend_by_accident_on_any_endpoint(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator
) -> None:
    _, secret = await gateway.keys.create("boss", role="admin")
    asked = 0
    for handler in HANDLERS:
        for path in handler.paths:
            if not path.startswith("/v1/"):
                continue
            for method in handler.http_methods - {"OPTIONS"}:
                told = path.replace("{name:path}", "sim/echo")
                reply = await http.request(method, told, json=TALK, headers=bearer(secret))
                assert (reply.status_code, reply.json()["error"]["code"]) == (403, "forbidden"), (method, path)
                assert told.split("{")[0] in reply.json()["error"]["message"]
                assert "admin key" in reply.json()["error"]["message"]
                asked += 1
    assert asked >= 4
    assert (
        await http.post("/v1/chat/completions", json=TALK, headers={**bearer(secret), "x-repligate-dry-run": "1"})
    ).status_code == 403
    assert simulated.predictions() == []
    assert await rows(gateway) == []


async def test_a_key_sees_its_own_use_and_nobody_elses(http: httpx.AsyncClient, gateway: Gateway) -> None:
    secrets = {name: (await gateway.keys.create(name, owner=name))[1] for name in ("ada", "bob")}
    for name, times in (("ada", 1), ("bob", 3)):
        for _ in range(times):
            assert (await http.post("/v1/chat/completions", json=TALK, headers=bearer(secrets[name]))).is_success
    await settled(gateway)
    for by in ("day", "model"):
        told = (await http.get("/v1/usage", params={"by": by}, headers=bearer(secrets["ada"]))).json()
        assert (told["object"], told["by"], told["key"]["name"]) == ("usage", by, "ada")
        assert [line["calls"] for line in told["lines"]] == [1]
        assert "bob" not in str(told)
    assert told["lines"][0]["subject"] == "sim/echo"
    day = {"from": "2020-01-01", "to": "2020-01-02"}
    assert (await http.get("/v1/usage", params=day, headers=bearer(secrets["ada"]))).json()["lines"] == []


@pytest.mark.parametrize(
    ("query", "param"),
    [({"key": "key_1"}, "key"), ({"by": "key"}, "by"), ({"from": "soon"}, "from"), ({"team": "red"}, "team")],
)
async def test_a_key_cannot_ask_for_anything_but_its_own_use(
    http: httpx.AsyncClient, gateway: Gateway, query: dict[str, str], param: str
) -> None:
    _, secret = await gateway.keys.create("ada")
    reply = await http.get("/v1/usage", params=query, headers=bearer(secret))
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


async def test_usage_needs_a_key(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/usage")).status_code == 401

"""Budgets over HTTP: refused before anything is created, warned of in time, and told what they are worth."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.accounts.budgets import Budgets, Terms
from gateway.parts import Gateway
from gateway.simulator import Simulator
from tests.opened import holds, listens, opened, settled

MODELS = {
    "models": {
        "priced": {"model": "sim/echo", "price": {"per_run": 0.01}},
        "free": {"model": "sim/echo"},
    }
}


@pytest.fixture
async def gateway(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    simulated.reset()
    async with opened(simulated, tmp_path, **MODELS) as parts:
        yield parts


async def ask(gateway: Gateway, **fields: Any) -> list[httpx.Response]:
    """The answers to as many calls as `times` says, one after the other, with a new key."""
    times, told = fields.pop("times", 1), fields.pop("headers", {})
    _, secret = await gateway.keys.create("test")
    body = {"messages": [{"role": "user", "content": "alpha"}], **fields}
    headers = {"authorization": f"Bearer {secret}", **told}
    async with listens(gateway) as url, httpx.AsyncClient(base_url=url, timeout=30, headers=headers) as client:
        return [await client.post("/v1/chat/completions", json=body) for _ in range(times)]


@pytest.mark.parametrize("stream", [False, True])
async def test_streams_and_whole_answers_count_alike_and_the_call_too_many_is_never_created(
    gateway: Gateway, simulated: Simulator, stream: bool
) -> None:
    budgets = Budgets(gateway.ledger._store)
    await budgets.set(Terms(scope="everyone", period="total", hard=25_000))
    *fine, refused = await ask(gateway, model="priced", stream=stream, times=3)
    assert [each.status_code for each in fine] == [200, 200]
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
    assert refused.json()["error"]["type"] == "insufficient_quota"
    assert refused.headers["x-should-retry"] == "false"
    assert "retry-after" not in refused.headers
    assert "0.005 are left" in refused.json()["error"]["message"]
    assert len(simulated.predictions()) == 2
    assert sum(line["cost"] for line in await settled(gateway)) == 20_000
    assert [(each.spent, each.reserved) for each in await budgets.list()] == [(20_000, 0)]
    assert [each.headers.get("x-repligate-budget") for each in fine] == [
        None,
        "near; everyone=all; period=total; left=0.005000",
    ]


async def test_a_cost_nobody_foresees_is_never_in_silence(gateway: Gateway) -> None:
    [answer] = await ask(gateway, model="free")
    assert answer.status_code == 200
    assert answer.headers["x-repligate-unforeseen"] == "allowed"
    await holds(lambda: not gateway.running)
    await Budgets(gateway.ledger._store).set(Terms(scope="model", subject="free", hard=10, unpriced="deny"))
    [refused] = await ask(gateway, model="free")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "unknown_price")


async def test_a_dry_run_tells_whether_the_budgets_would_admit_it_and_holds_nothing(
    gateway: Gateway, simulated: Simulator
) -> None:
    dry: dict[str, Any] = {"model": "priced", "headers": {"x-repligate-dry-run": "1"}}
    budget = await gateway.budgets.set(Terms(scope="everyone", period="total", hard=25_000, soft=20_000))
    await gateway.budgets.set(Terms(scope="model", subject="other", hard=1))
    [fine] = await ask(gateway, **dry)
    told = fine.json()["budgets"]
    assert (told["admitted"], told["refusal"], told["held_usd"]) == (True, None, 0.01)
    assert told["concerned"] == [
        {
            "id": budget.id, "scope": "everyone", "subject": "", "period": "total", "soft_usd": 0.02, "hard_usd": 0.025,
            "spent_usd": 0.0, "reserved_usd": 0.0, "left_usd": 0.025, "renews_at": None,
        }
    ]  # fmt: skip
    await ask(gateway, model="priced", times=2)
    await settled(gateway)
    [late] = await ask(gateway, **dry)
    told = late.json()["budgets"]
    assert (late.status_code, told["admitted"], told["held_usd"]) == (200, False, None)
    assert "0.005 are left, and this call may cost 0.01" in told["refusal"]
    assert [each["left_usd"] for each in told["concerned"]] == [0.005]
    assert len(simulated.predictions()) == 2
    assert (await gateway.budgets.show(budget.id)).reserved == 0


async def test_a_dry_run_says_what_would_become_of_a_cost_that_nobody_foresees(gateway: Gateway) -> None:
    dry: dict[str, Any] = {"model": "free", "headers": {"x-repligate-dry-run": "1"}}
    [told] = await ask(gateway, **dry)
    assert (told.json()["budgets"]["admitted"], told.json()["budgets"]["held_usd"]) == (True, None)
    await gateway.budgets.set(Terms(scope="model", subject="free", hard=10, unpriced="deny"))
    [told] = await ask(gateway, **dry)
    assert not told.json()["budgets"]["admitted"]
    assert "cannot be foreseen" in told.json()["budgets"]["refusal"]


async def test_a_key_sees_the_budgets_it_spends_from_and_no_others(gateway: Gateway) -> None:
    for name in ("ada", "bob"):
        await gateway.keys.create(name)
        await gateway.budgets.set(Terms(scope="key", subject=name, hard=1_000_000))
    await gateway.budgets.set(Terms(scope="everyone", hard=5_000_000))
    _, secret = await gateway.keys.rotate("ada")
    async with listens(gateway) as url, httpx.AsyncClient(base_url=url) as client:
        told = (await client.get("/v1/usage", headers={"authorization": f"Bearer {secret}"})).json()
    assert {(each["scope"], each["left_usd"]) for each in told["budgets"]} == {("key", 1.0), ("everyone", 5.0)}

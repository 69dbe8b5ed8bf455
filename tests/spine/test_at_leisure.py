"""A reply does not wait for the books; whoever asks next finds its place and its money free all the same."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.accounts.budgets import Terms
from gateway.accounts.keys import KeyLimits
from gateway.parts import Gateway
from gateway.simulator import Simulator
from gateway.store.tables import settlements
from tests.opened import holds, listens, opened, rows

MODELS = {"models": {"priced": {"model": "sim/echo", "price": {"per_million_output_tokens": 1000.0}}}}
TALK: dict[str, Any] = {"model": "priced", "messages": [{"role": "user", "content": "alpha"}], "max_tokens": 1000}
HELD = 1_000_000
"""A thousand tokens at a thousand dollars a million."""

WAYS = pytest.mark.parametrize(
    "way", [{}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}]
)


@pytest.fixture
async def gateway(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    simulated.reset()
    simulated.clear_scenes()
    async with opened(simulated, tmp_path, **MODELS) as parts:
        yield parts


@asynccontextmanager
async def asking(gateway: Gateway, **policy: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a key of its own."""
    _, secret = await gateway.keys.create("test", **policy)
    headers = {"authorization": f"Bearer {secret}"}
    async with listens(gateway) as url, httpx.AsyncClient(base_url=url, timeout=30, headers=headers) as client:
        yield client


@contextmanager
def locked(books: Path) -> Iterator[None]:
    """Another process writes all the time."""
    with closing(sqlite3.connect(books, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@WAYS
async def test_a_reply_leaves_while_its_settlement_waits_for_the_books(
    gateway: Gateway, simulated: Simulator, tmp_path: Path, way: dict[str, Any]
) -> None:
    simulated.scene("sim/echo", "slow", seconds=0.3)
    async with asking(gateway) as client:
        answering = asyncio.create_task(client.post("/v1/chat/completions", json=TALK | way))
        await holds(simulated.predictions)
        with locked(tmp_path / "repligate.db"):
            reply = await answering
            # Nor has it waited until the books were given up.
            assert not gateway.ledger.journaled
            found = await gateway.ledger._store.read(lambda c: c.execute(settlements.select()).all())
            assert (reply.status_code, found) == (200, [])
        (line,) = await rows(gateway, settlements)
    assert (line["prediction"], line["status"]) == (simulated.last().id, "succeeded")


@WAYS
async def test_what_a_key_has_used_is_told_as_soon_as_its_reply_is_there(gateway: Gateway, way: dict[str, Any]) -> None:
    async with asking(gateway) as client:
        for calls in range(1, 6):
            reply = await client.post("/v1/chat/completions", json=TALK | way)
            told = (await client.get("/v1/usage")).json()
            assert (reply.status_code, told["lines"][0]["calls"]) == (200, calls)


@WAYS
async def test_the_one_place_of_a_key_is_free_for_the_call_after_a_reply(gateway: Gateway, way: dict[str, Any]) -> None:
    async with asking(gateway, limits=KeyLimits(calls_at_once=1)) as client:
        replies = [await client.post("/v1/chat/completions", json=TALK | way) for _ in range(8)]
    assert [reply.status_code for reply in replies] == [200] * 8


@WAYS
async def test_a_budget_that_has_room_for_one_call_at_a_time_refuses_none_of_those_in_turn(
    gateway: Gateway, way: dict[str, Any]
) -> None:
    await gateway.budgets.set(Terms(scope="everyone", period="total", hard=HELD + 100_000))
    async with asking(gateway) as client:
        replies = [await client.post("/v1/chat/completions", json=TALK | way) for _ in range(8)]
    assert [reply.status_code for reply in replies] == [200] * 8
    (budget,) = await gateway.budgets.list()
    assert (budget.spent, budget.reserved) == (sum(line["cost"] for line in await rows(gateway, settlements)), 0)

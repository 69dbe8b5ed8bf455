"""The ledger as other programs get it: every line once, in order, within its days."""

import tracemalloc
from datetime import date

import pytest
from sqlalchemy import Connection

from gateway.accounts.exports import LedgerLine, ledger_lines
from gateway.accounts.keys import Keys
from gateway.accounts.ledger import Ledger
from gateway.store.sql import Store
from tests.gateway.store.books import NOON, Clock, opening, settled

DAY = 86_400
NOON_DAY = date(2027, 1, 15)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(store: Store, clock: Clock) -> Ledger:
    return Ledger(store, clock=clock, owner="this")


async def exported(store: Store, first: date | None = None, last: date | None = None) -> list[LedgerLine]:
    return await store.read(lambda connection: list(ledger_lines(connection, first, last)))


async def test_an_entry_is_exported_with_its_settlement(store: Store, ledger: Ledger, clock: Clock):
    key, _ = await Keys(store).create("alice")
    held = await ledger.open(opening(key=key.id, team="red", tags=("a", "b"), request="req_1", reserved=2000))
    await ledger.created(held.entries[0], "p1")
    clock.now += 1.5
    await ledger.settle(held.entries[0], settled(cost=1234, basis="tokens", tokens_in=3, tokens_out=4))
    (line,) = await exported(store)
    assert (line.entry, line.call, line.key, line.key_name) == (held.entries[0], "call-1", key.id, "alice")
    assert (line.team, line.tags, line.request, line.endpoint, line.ref) == (
        "red",
        ("a", "b"),
        "req_1",
        "chat",
        "acme/fast",
    )
    assert (line.prediction, line.status, line.tokens_in, line.tokens_out) == ("p1", "succeeded", 3, 4)
    assert (line.reserved_usd, line.cost_usd, line.basis) == (0.002, 0.001234, "tokens")
    assert (line.created_at, line.settled_at) == ("2027-01-15T08:00:00.000+00:00", "2027-01-15T08:00:01.500+00:00")


async def test_what_still_runs_is_open_and_its_cost_not_known(store: Store, ledger: Ledger):
    held = await ledger.open(opening())
    await ledger.created(held.entries[0], "p1")
    (line,) = await exported(store)
    assert (line.status, line.prediction, line.cost_usd, line.basis, line.settled_at) == (
        "open",
        "p1",
        None,
        None,
        None,
    )


async def test_an_unknown_cost_is_no_zero(store: Store, ledger: Ledger):
    held = await ledger.open(opening())
    await ledger.settle(held.entries[0], settled(cost=None, basis="unknown: no price"))
    (line,) = await exported(store)
    assert (line.cost_usd, line.basis) == (None, "unknown: no price; the 0.001 USD held for it count")


async def test_days_are_whole_and_both_included(store: Store, ledger: Ledger, clock: Clock):
    midnight = NOON - NOON % DAY
    for call, moment in (("before", -0.001), ("first", 0), ("last", DAY - 0.001), ("after", DAY)):
        clock.now = midnight + moment
        await ledger.open(opening(call))
    assert [line.call for line in await exported(store)] == ["before", "first", "last", "after"]
    assert [line.call for line in await exported(store, NOON_DAY, NOON_DAY)] == ["first", "last"]
    assert [line.call for line in await exported(store, NOON_DAY)] == ["first", "last", "after"]
    assert [line.call for line in await exported(store, last=NOON_DAY)] == ["before", "first", "last"]
    assert len(await exported(store, date.min, date.max)) == 4


async def test_more_lines_than_are_read_at_once_come_each_once(store: Store, ledger: Ledger):
    await ledger.open(opening(digests=tuple(f"d{n}" for n in range(2500))))
    assert sorted(line.seq for line in await exported(store)) == list(range(2500))


async def test_no_line_has_room_for_a_prompt(store: Store, ledger: Ledger):
    await ledger.open(opening(digests=("hash-of-a-prompt",)))
    assert "hash-of-a-prompt" not in repr(await exported(store))


async def test_sums_are_told_by_team_and_within_days(store: Store, ledger: Ledger, clock: Clock):
    for team, cost, days in (("red", 10, 0), ("red", 20, 1), (None, 5, 1)):
        clock.now = NOON + days * DAY
        held = await ledger.open(opening(f"{team} {cost}", team=team))
        await ledger.settle(held.entries[0], settled(cost=cost))
    assert {line.name: line.cost for line in await ledger.usage("team")} == {"red": 30, "": 5}
    assert {line.name: line.cost for line in await ledger.usage("team", last=NOON_DAY)} == {"red": 10}
    assert {line.name: line.cost for line in await ledger.usage("team", date(2027, 1, 16))} == {"red": 20, "": 5}


MANY = 20_000
_NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many}) SELECT {{}} FROM n",
    "postgresql": "SELECT {{}} FROM generate_series(1, {many}) AS n(i)",
}
_ENTRY = "'ent_' || i, 'call-' || i, 0, 'key_1', 'chat', 'fast', 'acme/fast', 'digest', '[]', 600, 1800000000000, 20833"
_SETTLEMENT = "'ent_' || i, 0, 'key_1', 'fast', 20833, 'p' || i, 'succeeded', 1800000000000, {no}, 5, 'tokens', 'this'"


async def test_a_large_ledger_is_never_in_memory_whole(store: Store):
    def fill(connection: Connection) -> None:
        kind = connection.dialect.name
        numbers = _NUMBERS[kind].format(many=MANY)
        entry = "id, call, seq, key, kind, model, ref, digest, tags, deadline, created_at, day"
        settlement = "entry, seq, key, model, day, prediction, status, settled_at, estimated, cost, basis, owner"
        connection.exec_driver_sql(f"INSERT INTO entries ({entry}) {numbers.format(_ENTRY)}")
        told = numbers.format(_SETTLEMENT.format(no="false" if kind == "postgresql" else "0"))
        connection.exec_driver_sql(f"INSERT INTO settlements ({settlement}) {told}")

    def read(connection: Connection) -> tuple[int, int]:
        tracemalloc.start()
        try:
            return sum(1 for _ in ledger_lines(connection, None, None)), tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    await store.write(fill)
    count, peak = await store.read(read)
    assert count == MANY
    assert peak < 200 * MANY, "a line itself is ten times as long"

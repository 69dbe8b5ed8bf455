"""Old lines go, and nothing that is told of them changes: sums, budgets, and what still runs."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import func, select

from adapters.errors import InvalidRequest
from gateway.accounts.audit import Audit
from gateway.accounts.budgets import Budgets, Terms
from gateway.accounts.ledger import Ledger, Within
from gateway.accounts.pruning import Pruning
from gateway.store.sql import Store
from gateway.store.tables import entries, reservations, settlements
from tests.gateway.store.books import NOON, Clock, opening, settled

DAY = 86_400
TODAY = datetime.fromtimestamp(NOON, UTC).date()
BEFORE = TODAY - timedelta(days=60)
TERMS = (
    Terms(scope="everyone", period="total", hard=10**9),
    Terms(scope="team", subject="red", period="total", hard=10**9),
    Terms(scope="model", subject="acme/*", period="month", hard=10**9),
    Terms(scope="everyone", period="day", hard=10**9),
)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON - 100 * DAY)


async def lived(store: Store, clock: Clock) -> Ledger:
    """A hundred days of calls, some of unknown cost, and one of the oldest that still runs."""
    ledger = Ledger(store, clock=clock)
    still = await ledger.open(opening("still", reserved=70, key="key_9"))
    for day in range(101):
        clock.now = NOON - (100 - day) * DAY
        for team, cost in (("red", 100 + day), (None, None), (None, 7)):
            # Nobody knows what the second cost: what was held for it counts.
            asked = opening(f"{day} {team} {cost}", key=f"key_{day % 3}", team=team, tags=("t",), reserved=1000)
            (id,) = (await ledger.open(asked)).entries
            await ledger.settle(id, settled(cost=cost, prediction=f"p {id}"))
    assert len(still.entries) == 1
    return ledger


async def counted(store: Store) -> list[int]:
    def count(connection: object) -> list[int]:
        tables = (entries, reservations, settlements)
        return [connection.execute(select(func.count()).select_from(each)).scalar_one() for each in tables]  # type: ignore[attr-defined]

    return await store.read(count)


async def told(ledger: Ledger, budgets: Budgets) -> object:
    """Everything that sums the ledger."""
    sums = [await ledger.usage(by) for by in ("key", "team", "model", "tag", "day")]
    narrow = await ledger.usage("day", within=Within(key="key_1"))
    return sums, narrow, await budgets.list()


async def test_sums_and_budgets_say_after_it_what_they_said_before(store: Store, clock: Clock) -> None:
    ledger, budgets = await lived(store, clock), Budgets(store, clock)
    for terms in TERMS:
        await budgets.set(terms)
    before, lines = await told(ledger, budgets), await counted(store)
    foreseen = await Pruning(store, clock).count(BEFORE)
    assert (foreseen.lines, foreseen.kept) == (80, 40)
    assert foreseen.cost == sum(100 + day for day in range(40)) + 40 * 7
    assert await counted(store) == lines, "counting takes nothing"
    assert await Pruning(store, clock).prune(BEFORE, by="key_boss") == foreseen
    assert await counted(store) == [lines[0] - 80, 1, lines[2] - 80]
    assert await told(ledger, budgets) == before
    assert all(each.right for each in await budgets.check())
    again = await budgets.set(Terms(scope="everyone", period="total", hard=5))
    assert again.spent == next(each for each in before[2] if each.period == "total" and each.scope == "everyone").spent  # type: ignore[index]
    (act,) = await Audit(store).acts(10, act="ledger.prune")
    assert (act.actor, act.subject) == ("key_boss", BEFORE.isoformat())
    assert act.detail == {"lines": 80, "cost": foreseen.cost}


async def test_sums_of_days_that_are_gone_are_not_called_wrong_and_not_made_anew(store: Store, clock: Clock) -> None:
    ledger = await lived(store, clock)
    await Pruning(store, clock).prune(BEFORE)
    days = await ledger.days()
    assert days[0] == (BEFORE - date(1970, 1, 1)).days
    assert [each for day in days for each in await ledger.differences(day)] == []


async def test_what_was_open_is_settled_later_and_counts_once(store: Store, clock: Clock) -> None:
    ledger, budgets = await lived(store, clock), Budgets(store, clock)
    await budgets.set(TERMS[0])
    await Pruning(store, clock).prune(BEFORE)
    (left,) = [entry for entry in await Ledger(store, clock=clock).unsettled() if entry.call == "still"]
    (spent,) = [each.spent for each in await budgets.list()]
    assert await ledger.settle(left.id, settled(cost=30, prediction="late"))
    assert [each.spent for each in await budgets.list()] == [spent + 30]
    assert all(each.right for each in await budgets.check())
    assert (await Pruning(store, clock).prune(BEFORE)).lines == 1
    assert all(each.right for each in await budgets.check())


async def test_what_budgets_and_retries_may_need_stays(store: Store, clock: Clock) -> None:
    await lived(store, clock)
    for young in (TODAY, TODAY - timedelta(days=1), date(9999, 12, 31)):
        with pytest.raises(InvalidRequest, match="is the latest day"):
            await Pruning(store, clock).count(young)
    budget = await Budgets(store, clock).set(Terms(scope="model", subject="acme/*", period="total", hard=5))
    with pytest.raises(InvalidRequest, match=budget.id):
        await Pruning(store, clock).prune(BEFORE)
    assert (await counted(store))[2] == 303


async def test_calls_write_while_it_goes_on_and_what_breaks_off_is_finished_the_next_time(
    store: Store, clock: Clock
) -> None:
    ledger, few = await lived(store, clock), Pruning(store, clock, at_once=7)
    seen = list[int]()

    def step(work: str, done: int, of: int) -> None:
        seen.append(done)
        if done > 30:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await few.prune(BEFORE, told=step)
    assert seen == [7, 14, 21, 28, 35]
    gone, _ = await asyncio.gather(few.prune(BEFORE), ledger.open(opening("meanwhile")))
    assert gone.lines == 80 - 35
    assert len(await Audit(store).acts(10, act="ledger.prune")) == 2

"""Budgets: nothing is spent beyond them by racing, and what they say is what the ledger says."""

import asyncio
import uuid
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from gateway.accounts.audit import Audit
from gateway.accounts.budgets import Budget, Budgets, Terms, UnknownBudget
from gateway.accounts.keys import Keys
from gateway.accounts.ledger import Held, Ledger
from gateway.accounts.windows import Period, end, renewal, start
from gateway.config import Config
from gateway.errors import BudgetSpent, Unforeseen
from gateway.store.sql import Store
from tests.gateway.store.books import NOON, Clock, opening, python, settled

DAY = 86_400
DOLLAR = 1_000_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(store: Store, clock: Clock) -> Ledger:
    return Ledger(store, clock=clock, owner="this")


@pytest.fixture
def budgets(store: Store, clock: Clock) -> Budgets:
    return Budgets(store, clock)


async def spend(ledger: Ledger, cost: int | None = 500, reserved: int | None = 1000, **told: Any) -> None:
    """Calls that went well, one prediction each."""
    told = {"call": uuid.uuid4().hex, **told}
    for entry in (await ledger.open(opening(reserved=reserved, **told))).entries:
        await ledger.settle(entry, settled(cost=cost))


async def amounts(budgets: Budgets) -> list[tuple[int, int]]:
    """Of each budget, what is spent and what is held."""
    return [(budget.spent, budget.reserved) for budget in await budgets.list()]


async def right(budgets: Budgets) -> bool:
    return all(each.right for each in await budgets.check())


async def notices(store: Store) -> list[str]:
    rows = await store.read(lambda c: c.execute(text("SELECT event FROM notices ORDER BY at, event")).all())
    return [str(row[0]) for row in rows]


async def test_two_hundred_calls_that_race_for_the_money_of_ten_get_ten(budgets: Budgets, ledger: Ledger):
    await budgets.set(Terms(scope="everyone", period="total", hard=10_000))
    told = await asyncio.gather(*(ledger.open(opening(f"call-{n}")) for n in range(200)), return_exceptions=True)
    admitted = [each for each in told if not isinstance(each, BaseException)]
    assert len(admitted) == 10
    assert {type(each) for each in told if isinstance(each, BaseException)} == {BudgetSpent}
    assert await amounts(budgets) == [(0, 10_000)]
    for each in admitted:
        await ledger.settle(each.entries[0], settled(cost=1000))
    assert await amounts(budgets) == [(10_000, 0)]
    assert await right(budgets)


RACER = """
import asyncio, sys
from gateway.accounts.ledger import Ledger
from gateway.config import Config, State
from gateway.errors import BudgetSpent
from gateway.store.sql import Store
from tests.gateway.store.books import opening, settled
folder, database, who = sys.argv[1:]
async def main():
    store = Store.open(Config(state=State(folder=folder, database=database)))
    ledger = Ledger(store)
    print("ready", flush=True)
    sys.stdin.readline()
    async def call(n):
        # From both ends of the same budgets, as batches of several gateways meet them.
        team = f"team-{n % 5 if who == 'one' else 4 - n % 5}"
        try:
            reservation = await ledger.open(opening(f"{who}-{n}", team=team))
        except BudgetSpent:
            return 0
        await ledger.settle(reservation.entries[0], settled(cost=900 + n % 100))
        return 1
    print(sum(await asyncio.gather(*(call(n) for n in range(100)))), flush=True)
    await store.aclose()
asyncio.run(main())
"""


async def test_several_processes_never_spend_more_than_there_is_and_never_stand_in_each_others_way(
    config: Config, store: Store, budgets: Budgets
):
    for number in range(5):
        await budgets.set(Terms(scope="team", subject=f"team-{number}", period="total", hard=5_000))
    everyone = await budgets.set(Terms(scope="everyone", period="total", hard=12_000))
    racers = [python(RACER, config.state.folder, config.state.database, who) for who in ("one", "two")]
    for racer in racers:
        assert racer.stdout
        assert await asyncio.to_thread(racer.stdout.readline) == "ready\n"
    told = await asyncio.gather(*(asyncio.to_thread(racer.communicate, "go\n", timeout=60) for racer in racers))
    assert [racer.returncode for racer in racers] == [0, 0]
    assert 10 <= sum(int(said.splitlines()[-1]) for said, _ in told) <= 13
    assert (await budgets.show(everyone.id)).used <= 12_000
    assert await right(budgets)
    assert all(budget.reserved == 0 for budget in await budgets.list())


async def test_all_budgets_concerned_hold_the_money_or_none(store: Store, budgets: Budgets, ledger: Ledger):
    await budgets.set(Terms(scope="everyone", hard=10 * DOLLAR))
    await budgets.set(Terms(scope="model", subject="acme/*", hard=10 * DOLLAR))
    await budgets.set(Terms(scope="team", subject="red", hard=1_500))
    with pytest.raises(BudgetSpent, match="the team `red`"):
        await ledger.open(opening(team="red", digests=("a", "b")))
    assert await amounts(budgets) == [(0, 0), (0, 0), (0, 0)]
    assert await ledger.held() == Held(0, 0)
    reservation = await ledger.open(opening(team="red"))
    assert {budget.scope: budget.reserved for budget in reservation.budgets} == dict.fromkeys(
        ("everyone", "model", "team"), 1000
    )


async def test_a_refusal_says_which_budget_what_is_left_and_when_it_renews(budgets: Budgets, ledger: Ledger):
    await budgets.set(Terms(scope="team", subject="red", period="day", hard=2_500))
    await spend(ledger, 1_400, team="red")
    await ledger.open(opening("running", team="red"))
    with pytest.raises(BudgetSpent) as refused:
        await ledger.open(opening("second", team="red"))
    error = refused.value
    assert (error.status, error.type, error.code) == (429, "insufficient_quota", "insufficient_quota")
    assert (error.should_retry, error.retry_after) == (False, None)
    assert error.message == (
        "You exceeded your budget of 0.0025 USD a day for the team `red`: 0.0014 are spent and 0.001 held for calls "
        "that still run, 0.0001 are left, and this call may cost 0.001. It renews at 2027-01-16T00:00:00Z."
    )


async def test_waiting_is_advised_only_where_the_renewal_is_near(budgets: Budgets, ledger: Ledger, clock: Clock):
    await budgets.set(Terms(scope="everyone", period="day", hard=0))
    clock.now = (NOON // DAY + 1) * DAY - 30
    with pytest.raises(BudgetSpent) as refused:
        await ledger.open(opening())
    assert (refused.value.retry_after, refused.value.should_retry) == (30, False)


async def test_budgets_of_others_are_not_touched(budgets: Budgets, ledger: Ledger, store: Store):
    key, _ = await Keys(store).create("alice")
    await budgets.set(Terms(scope="key", subject="alice", hard=100))
    await budgets.set(Terms(scope="team", subject="blue", hard=100))
    await budgets.set(Terms(scope="model", subject="other/*", hard=100))
    await spend(ledger, key="key_else", team="red", model="fast")
    await spend(ledger, team=None)
    assert await amounts(budgets) == [(0, 0)] * 3
    with pytest.raises(BudgetSpent, match="this key"):
        await ledger.open(opening(key=key.id))


@pytest.mark.parametrize("pattern", ["fast", "f*", "acme/fast", "acme/*", "acme/fast:v1"])
async def test_a_model_is_meant_by_the_clients_name_and_by_its_ref(budgets: Budgets, ledger: Ledger, pattern: str):
    await budgets.set(Terms(scope="model", subject=pattern, hard=DOLLAR))
    await spend(ledger, ref="acme/fast:v1")
    await spend(ledger, model="other", ref="bcme/other")
    assert await amounts(budgets) == [(500, 0)]
    assert await right(budgets)


async def test_a_rotated_key_does_not_get_its_money_twice(budgets: Budgets, ledger: Ledger, store: Store):
    keys = Keys(store)
    old, _ = await keys.create("alice")
    await budgets.set(Terms(scope="key", subject="alice", hard=1_500))
    await spend(ledger, 1_000, key=old.id)
    new, _ = await keys.rotate("alice", overlap=3600)
    for key in (old, new):
        with pytest.raises(BudgetSpent):
            await ledger.open(opening(key=key.id))
    (budget,) = await budgets.list()
    assert await budgets.set(Terms(scope="key", subject=new.id, hard=5_000)) == Budget(
        **{name: getattr(budget, name) for name in Budget.__struct_fields__ if name not in {"hard", "told"}},
        hard=5_000,
        told=0,
    )
    await spend(ledger, 700, key=new.id)
    assert await amounts(budgets) == [(1_700, 0)]
    assert await right(budgets)


async def test_a_budget_made_late_knows_what_was_spent_and_what_is_held(budgets: Budgets, ledger: Ledger, clock: Clock):
    await spend(ledger, 100)
    clock.now += 40 * DAY
    await spend(ledger, 30, key="key_2", team="red")
    await spend(ledger, None, reserved=7)
    await ledger.open(opening("running", reserved=1))
    wanted: list[tuple[Terms, int, int]] = [
        (Terms(scope="everyone", period="total", hard=1), 137, 1),
        (Terms(scope="everyone", period="month", hard=1), 37, 1),
        (Terms(scope="team", subject="red", period="day", hard=1), 30, 0),
        (Terms(scope="model", subject="acme/*", period="week", hard=1), 37, 1),
    ]
    for terms, spent, reserved in wanted:
        budget = await budgets.set(terms)
        assert (budget.spent, budget.reserved) == (spent, reserved), terms


async def test_a_call_counts_in_the_window_it_began_in(budgets: Budgets, ledger: Ledger, clock: Clock):
    await budgets.set(Terms(scope="everyone", period="day", hard=DOLLAR))
    await budgets.set(Terms(scope="everyone", period="total", hard=DOLLAR))
    (entry,) = (await ledger.open(opening())).entries
    clock.now += DAY
    await spend(ledger, 300)
    await ledger.settle(entry, settled(cost=900))
    assert await amounts(budgets) == [(300, 0), (1_200, 0)]
    assert await right(budgets)
    assert [(line.subject, line.cost) for line in await ledger.usage("day")] == [
        ("2027-01-15", 900),
        ("2027-01-16", 300),
    ]


async def test_a_window_that_ended_is_shown_as_new_before_anyone_spends_in_it(
    budgets: Budgets, ledger: Ledger, clock: Clock
):
    await budgets.set(Terms(scope="everyone", period="day", hard=1_000))
    await spend(ledger, 1_000)
    clock.now += DAY
    assert await amounts(budgets) == [(0, 0)]
    assert await right(budgets)
    await spend(ledger, 10)


async def test_a_gateway_whose_clock_is_behind_spends_in_the_window_that_another_began(
    budgets: Budgets, ledger: Ledger, store: Store, clock: Clock
):
    await budgets.set(Terms(scope="everyone", period="day", hard=DOLLAR))
    behind = Ledger(store, clock=Clock(clock.now), owner="behind")
    clock.now += DAY
    await spend(ledger, 100)
    await spend(behind, 50)
    assert await amounts(budgets) == [(150, 0)]
    assert await right(budgets)


async def test_a_gateway_whose_clock_is_far_ahead_ends_no_budget_for_ever(
    budgets: Budgets, ledger: Ledger, store: Store, clock: Clock
):
    await budgets.set(Terms(scope="everyone", period="day", hard=1_000))
    await spend(ledger, 800)
    await spend(Ledger(store, clock=Clock(clock.now + 400 * DAY), owner="ahead"), 900)
    with pytest.raises(BudgetSpent):
        await ledger.open(opening())
    await spend(ledger, 100, reserved=100)
    assert await amounts(budgets) == [(900, 0)]
    assert await right(budgets)


async def test_a_cost_above_what_was_held_is_booked_in_full_and_stops_the_next_call(budgets: Budgets, ledger: Ledger):
    await budgets.set(Terms(scope="everyone", hard=1_000))
    await spend(ledger, 5_000)
    (budget,) = await budgets.list()
    assert (budget.spent, budget.left) == (5_000, -4_000)
    with pytest.raises(BudgetSpent, match=r"overdrawn by 0\.004"):
        await ledger.open(opening(reserved=0))


@pytest.mark.parametrize("status", ["never created", "aborted", "failed"])
async def test_what_cost_nothing_gives_all_of_it_back(budgets: Budgets, ledger: Ledger, status: str):
    await budgets.set(Terms(scope="everyone", hard=1_000))
    for _ in range(3):
        (entry,) = (await ledger.open(opening(uuid.uuid4().hex))).entries
        assert await ledger.settle(entry, settled(status=status, cost=0))
        assert not await ledger.settle(entry, settled(status=status, cost=999))
    assert await amounts(budgets) == [(0, 0)]


async def test_whoever_leaves_while_money_is_being_held_gets_it_back(budgets: Budgets, ledger: Ledger):
    await budgets.set(Terms(scope="everyone", hard=DOLLAR))
    for turns in range(6):
        task = asyncio.create_task(ledger.open(opening(f"call-{turns}")))
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            await ledger.settle(task.result().entries[0], settled(cost=0))
    while (await ledger.held()).entries:
        await asyncio.sleep(0.005)
    assert await amounts(budgets) == [(0, 0)]


async def test_a_cost_nobody_knows_is_allowed_denied_or_assumed(budgets: Budgets, ledger: Ledger, store: Store):
    budget = await budgets.set(Terms(scope="everyone", hard=DOLLAR))
    assert (await ledger.open(opening(reserved=None))).unforeseen == "allowed"
    with pytest.raises(Unforeseen) as refused:
        await ledger.open(opening("2", reserved=None, unpriced="deny"))
    assert (refused.value.status, refused.value.code, refused.value.param) == (403, "unknown_price", "model")
    assumed = await ledger.open(opening("3", reserved=None, unpriced="assume 0.05", digests=("a", "b")))
    assert (assumed.unforeseen, assumed.amount) == ("assumed 0.05", 100_000)
    for entry in assumed.entries:
        await ledger.settle(entry, settled(cost=None, basis="unknown: no price"))
    assert (await budgets.show(budget.id)).used == 100_000
    bases = await store.read(lambda c: c.execute(text("SELECT DISTINCT basis FROM settlements")).all())
    assert [row[0] for row in bases] == ["unknown: no price; the 0.05 USD held for it count"]
    assert await right(budgets)


async def test_a_budgets_word_on_unknown_costs_wins_over_the_setting_and_the_strictest_counts(
    budgets: Budgets, ledger: Ledger
):
    unknown: dict[str, Any] = {"reserved": None, "unpriced": "deny", "team": "red"}
    await budgets.set(Terms(scope="team", subject="red", hard=DOLLAR, unpriced="allow"))
    assert (await ledger.open(opening("1", **unknown))).unforeseen == "allowed"
    await budgets.set(Terms(scope="model", subject="fast", hard=DOLLAR, unpriced="assume 0.5"))
    assert (await ledger.open(opening("2", **unknown))).unforeseen == "assumed 0.50"
    await budgets.set(Terms(scope="everyone", hard=DOLLAR, unpriced="deny"))
    with pytest.raises(Unforeseen):
        await ledger.open(opening("3", **unknown))


async def test_each_mark_is_told_once_in_each_window(budgets: Budgets, ledger: Ledger, store: Store, clock: Clock):
    await budgets.set(Terms(scope="everyone", period="day", soft=1_000, hard=10_000))
    for cost in (400, 400, 400, 400):
        await spend(ledger, cost)
    assert await notices(store) == ["budget.soft"]
    await asyncio.gather(*(spend(ledger, 1_000, call=f"call-{n}") for n in range(7)))
    assert sorted(await notices(store)) == ["budget.near", "budget.soft"]
    for _ in range(3):
        with pytest.raises(BudgetSpent):
            await ledger.open(opening(reserved=5_000))
    assert sorted(await notices(store)) == ["budget.near", "budget.soft", "budget.spent"]
    clock.now += DAY
    await spend(ledger, 1_000)
    assert sorted(await notices(store)) == ["budget.near", "budget.soft", "budget.soft", "budget.spent"]


async def test_a_check_finds_and_mends_what_is_wrong(budgets: Budgets, ledger: Ledger, store: Store):
    await budgets.set(Terms(scope="everyone", hard=DOLLAR))
    await spend(ledger, 500)
    await store.write(lambda c: c.execute(text("UPDATE budgets SET spent = 7, reserved = 9")))
    (wrong,) = await budgets.check()
    assert not wrong.right
    assert ((wrong.stands.spent, wrong.stands.reserved), (wrong.should.spent, wrong.should.reserved)) == (
        (7, 9),
        (500, 0),
    )
    await budgets.check(repair=True)
    assert await right(budgets)
    assert await amounts(budgets) == [(500, 0)]
    await budgets.check(repair=True)
    (act,) = await Audit(store).acts(10, act="budget.repair")
    assert (act.actor, act.subject) == ("operator", wrong.stands.id)
    assert act.detail == {"before": {"spent": 7, "reserved": 9}, "after": {"spent": 500, "reserved": 0}}


async def test_a_budget_can_be_changed_and_removed_and_both_are_in_the_audit_log(
    budgets: Budgets, ledger: Ledger, store: Store
):
    first = await budgets.set(Terms(scope="team", subject="red", hard=10))
    await spend(ledger, 5, reserved=5, team="red")
    second = await budgets.set(Terms(scope="team", subject="red", hard=20, soft=15))
    assert (second.id, second.spent, second.hard, second.soft) == (first.id, 5, 20, 15)
    await budgets.remove(first.id)
    assert await budgets.list() == []
    with pytest.raises(UnknownBudget):
        await budgets.remove(first.id)
    await spend(ledger, 500, team="red")
    acts = await store.read(lambda c: c.execute(text("SELECT act, subject FROM audit ORDER BY at")).all())
    assert {tuple(row) for row in acts} == {("budget.set", first.id), ("budget.remove", first.id)}


@pytest.mark.parametrize(
    "terms",
    [
        {"scope": "everyone"},
        {"scope": "everyone", "subject": "x", "hard": 1},
        {"scope": "team", "hard": 1},
        {"scope": "everyone", "soft": 2, "hard": 1},
        {"scope": "everyone", "hard": 1, "unpriced": "assume"},
    ],
)
def test_a_budget_that_means_nothing_is_refused(terms: dict[str, Any]):
    with pytest.raises(ValueError, match=r"budget|assume"):
        Terms(**terms)


@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_windows_follow_one_another_without_a_gap(period: Period):
    for day in range(18_000, 22_000):
        begins, ends = start(period, day), end(period, day)
        assert ends
        assert begins <= day < ends
        assert start(period, ends) == ends
        assert start(period, ends - 1) == begins
        first = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=begins)
        assert {"day": True, "week": first.weekday() == 0, "month": first.day == 1}[period]
        assert renewal(period, day) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=ends)
    assert (start("total", 20_000), end("total", 20_000), renewal("total", 20_000)) == (0, None, None)


CRASH = """
import asyncio, os, signal, sys
from gateway.accounts.ledger import Ledger
from gateway.config import Config, State
from gateway.store.sql import Store
from tests.gateway.store.books import NOON, Clock, opening, settled
folder, database = sys.argv[1:]
async def main():
    store = Store.open(Config(state=State(folder=folder, database=database)))
    ledger = Ledger(store, clock=Clock(NOON), owner="crashed")
    entries = (await ledger.open(opening(digests=("a", "b", "c")))).entries
    await ledger.settle(entries[0], settled(cost=500))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def test_what_a_killed_process_held_is_given_back_once_by_the_next(config: Config, clock: Clock):
    async with aclosing(Store.open(config)) as store:
        budgets = Budgets(store, clock)
        await budgets.set(Terms(scope="everyone", hard=DOLLAR))
        await asyncio.to_thread(python(CRASH, config.state.folder, config.state.database).communicate, timeout=60)
        assert await amounts(budgets) == [(500, 2_000)]
        next_one = Ledger(store, clock=clock, owner="next")
        for entry in await next_one.unsettled():
            assert await next_one.settle(entry.id, settled(status="canceled", cost=70))
            assert not await next_one.settle(entry.id, settled(status="canceled", cost=70))
        assert await amounts(budgets) == [(640, 0)]
        assert await right(budgets)

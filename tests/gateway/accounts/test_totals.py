"""Sums: whatever happened, they are those of the settlements, and what is wrong in them is told and mended."""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing, closing
from datetime import date
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.accounts.audit import Audit
from gateway.accounts.keys import Keys
from gateway.accounts.ledger import Ledger, Settlement, UsageLine, Within
from gateway.config import Config
from gateway.store.sql import Store
from tests.gateway.store.books import NOON, Clock, opening, settled

DAY = 86_400
FIRST, SECOND = date(2027, 1, 15), date(2027, 1, 16)
WORDS = st.sampled_from(("", "red", "blue", "漢字 🦙", "'; --"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(store: Store, clock: Clock) -> Ledger:
    return Ledger(store, clock=clock)


@st.composite
def calls(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]], int]:
    """How a call is opened, how each of its predictions ends, and days from noon."""
    count = st.integers(0, 2**44) | st.integers(0, 1000) | st.none()
    ends = st.fixed_dictionaries(
        {
            "status": st.sampled_from(("succeeded", "failed", "never created")),
            "cost": count,
            "tokens_in": count,
            "images": count,
            "estimated": st.booleans(),
            "run_seconds": st.none() | st.floats(0, 1e9) | st.floats(0, 10),
        }
    )
    told = {"key": draw(WORDS), "team": draw(WORDS) or None, "model": draw(WORDS)}
    tags = tuple(draw(st.lists(WORDS, max_size=4)))
    return {**told, "tags": tags}, draw(st.lists(ends, min_size=1, max_size=3)), draw(st.integers(0, 2))


async def book(ledger: Ledger, clock: Clock, name: str, history: Iterable[Any]) -> None:
    for number, (told, ends, day) in enumerate(history):
        clock.now = NOON + day * DAY
        held = await ledger.open(opening(f"{name}-{number}", digests=tuple("d" * len(ends)), **told))
        for entry, end in zip(held.entries, ends, strict=True):
            await ledger.settle(entry, settled(**end))
            await ledger.settle(entry, settled(**end))


async def wrong(ledger: Ledger) -> list[Any]:
    return [each for day in await ledger.days() for each in await ledger.differences(day)]


def test_sums_are_those_of_the_settlements_whatever_happened(config: Config) -> None:
    histories, clock, store = count(), Clock(), Store.open(config)
    ledger = Ledger(store, clock=clock)

    async def lived(history: list[Any]) -> None:
        await book(ledger, clock, str(next(histories)), history)
        assert await wrong(ledger) == []
        lines = await store.read(lambda c: c.execute(text("SELECT count(*) FROM settlements")).scalar())
        for by in ("key", "team", "model", "day"):
            assert sum(line.predictions for line in await ledger.usage(by)) == lines
        kept = await ledger.usage("key"), await ledger.usage("tag")
        for day in await ledger.days():
            await ledger.rebuild(day)
        assert (await ledger.usage("key"), await ledger.usage("tag")) == kept

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(calls(), max_size=5))
    def holds(history: list[Any]) -> None:
        runner.run(lived(history))

    with asyncio.Runner() as runner, closing(store):
        holds()


async def test_a_tag_sums_what_bears_it_and_a_tag_given_twice_counts_once(ledger: Ledger, clock: Clock) -> None:
    for call, tags in (("1", ("red", "nightly", "red")), ("2", ("red",)), ("3", ())):
        (entry,) = (await ledger.open(opening(call, tags=tags))).entries
        await ledger.settle(entry, settled(cost=100))
        clock.now += DAY
    assert {line.name: (line.calls, line.cost) for line in await ledger.usage("tag")} == {
        "red": (2, 200),
        "nightly": (1, 100),
    }
    assert [line.name for line in await ledger.usage("tag", SECOND)] == ["red"]
    days = await ledger.usage("day", within=Within(tag="red"))
    assert [(line.subject, line.cost) for line in days] == [("2027-01-15", 100), ("2027-01-16", 100)]


@pytest.mark.parametrize(
    ("by", "within"), [("key", Within(tag="t")), ("tag", Within(key="k")), ("tag", Within(team="t"))]
)
async def test_what_a_tags_sums_cannot_tell_is_refused(ledger: Ledger, by: Any, within: Within) -> None:
    with pytest.raises(ValueError, match="by day only"):
        await ledger.usage(by, within=within)


async def test_days_are_told_within_a_key_a_team_or_a_model(store: Store, ledger: Ledger, clock: Clock) -> None:
    alice, _ = await Keys(store).create("alice")
    for call, key, team, model in (
        ("1", alice.id, "red", "fast"),
        ("2", "key_2", "red", "slow"),
        ("3", alice.id, None, "slow"),
    ):
        (entry,) = (await ledger.open(opening(call, key=key, team=team, model=model))).entries
        await ledger.settle(entry, settled(cost=10 ** int(call)))
        clock.now += DAY

    async def told(by: Any, **within: Any) -> dict[str, int]:
        return {line.name: line.cost for line in await ledger.usage(by, within=Within(**within))}

    assert await told("day", key=alice.id) == {"2027-01-15": 10, "2027-01-17": 1000}
    assert await told("day", team="red") == {"2027-01-15": 10, "2027-01-16": 100}
    assert await told("model", key=alice.id) == {"fast": 10, "slow": 1000}
    assert await told("key", team="red", last=FIRST) == {"alice": 10}
    assert await told("team", model="slow") == {"red": 100, "": 1000}


async def test_wrong_sums_are_told_and_made_anew(store: Store, ledger: Ledger) -> None:
    for call in "ab":
        (entry,) = (await ledger.open(opening(call, team="red", tags=("t",)))).entries
        await ledger.settle(entry, settled(cost=500))
    await store.write(lambda c: c.execute(text("UPDATE totals SET cost = cost - 7, calls = calls + 1")))
    await store.write(lambda c: c.execute(text("DELETE FROM tag_totals")))
    low, gone = await wrong(ledger)
    assert (low.table, low.day, low.subject, low.missing) == (
        "totals",
        FIRST,
        ("key_1", "red", "fast"),
        {"calls": -1, "cost": 7},
    )
    assert (gone.table, gone.subject, gone.missing["predictions"], gone.missing["cost"]) == (
        "tag_totals",
        ("t",),
        2,
        1000,
    )
    (day,) = await ledger.days()
    await ledger.rebuild(day)
    assert await wrong(ledger) == []
    (line,) = await ledger.usage("tag")
    assert (line.calls, line.cost) == (2, 1000)
    await ledger.rebuild(day)
    (act,) = await Audit(store).acts(10)
    assert (act.act, act.actor, act.subject) == ("ledger.repair", "operator", gone.day.isoformat())
    assert {tuple(each["subject"]) for each in act.detail["sums"]} == {("key_1", "red", "fast"), ("t",)}


async def test_sums_of_entries_without_a_settlement_are_told_too(store: Store, ledger: Ledger) -> None:
    (entry,) = (await ledger.open(opening())).entries
    await ledger.settle(entry, settled())
    await store.write(lambda c: c.execute(text("DELETE FROM settlements")))
    (much,) = await wrong(ledger)
    assert much.missing["predictions"] == -1
    (day,) = await ledger.days()
    await ledger.rebuild(day)
    assert await ledger.usage("key") == []


async def test_gateways_that_settle_the_same_sums_in_another_order_do_not_lock_each_other_out(
    config: Config, store: Store, ledger: Ledger
) -> None:
    async with aclosing(Store.open(config)) as twin:
        there = Ledger(twin)
        models = [f"m{number}" for number in range(40)]
        held = {
            each: [(await each.open(opening(f"{id(each)}-{model}", model=model))).entries[0] for model in order]
            for each, order in ((ledger, models), (there, models[::-1]))
        }
        both = (each.settle(entry, settled()) for each, its in held.items() for entry in its)
        assert all(await asyncio.gather(*both))
        assert {line.predictions for line in await ledger.usage("model")} == {2}


async def test_a_line_counts_what_has_no_known_cost(ledger: Ledger) -> None:
    one, two = (await ledger.open(opening(digests=("a", "b")))).entries
    await ledger.settle(one, settled(cost=None, basis="unknown: no price"))
    await ledger.settle(two, Settlement(status="failed", cost=0, basis="free: failed", run_seconds=0.25))
    (line,) = await ledger.usage("day")
    assert line == UsageLine(
        subject="2027-01-15", name="2027-01-15", calls=1, predictions=2, failed=1, tokens_in=10, tokens_out=20,
        estimated=0, images=0, seconds=0.25, cost=0, priced=1, unpriced=1,
    )  # fmt: skip

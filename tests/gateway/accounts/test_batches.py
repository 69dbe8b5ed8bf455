"""What many callers hand in at once comes to the same as if they had come one after another."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from sqlalchemy import Table, select

from gateway.accounts.budgets import Budgets, Terms
from gateway.accounts.holds import Hold, Holds
from gateway.accounts.journaling import Created, Line, Opened, Settled
from gateway.accounts.postings import Admission, Postings
from gateway.accounts.rows import rows_of
from gateway.accounts.tallies import FEW
from gateway.config import Config
from gateway.store.sql import Store
from gateway.store.tables import budgets, entries, reservations, settlements, totals
from tests.gateway.store.books import NOON, opening, settled

ENTRIES, PREDICTIONS = st.sampled_from("0123456"), st.sampled_from([None, "x", "y", "z"])
_numbers = count()


class Step(Struct, frozen=True):
    """Something that happens to an entry: it is admitted or journaled, its prediction noted, it is settled."""

    what: str
    entry: str
    prediction: str | None


STEPS = st.lists(
    st.builds(Step, st.sampled_from(["admit", "journal", "create", "settle", "settle"]), ENTRIES, PREDICTIONS),
    min_size=1,
    max_size=24,
)


class Side:
    """One of two who do the same: all that is theirs bears their name."""

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self.postings = Postings("owner", None, Holds())

    async def begin(self, hard: int) -> None:
        await Budgets(self.store, lambda: NOON).set(Terms(scope="team", subject=self.name, period="day", hard=hard))

    def lines(self, steps: list[Step]) -> list[Admission | Line]:
        admitted: set[str] = set()
        return [self._line(step, admitted) for step in steps]

    def _line(self, step: Step, admitted: set[str]) -> Admission | Line:
        entry, its = f"{self.name}-{step.entry}", step.prediction and f"{self.name}-{step.prediction}"
        asked = opening(f"call-{entry}", key=self.name, team=self.name, tags=("all", step.entry))
        if step.what in {"admit", "journal"} and step.entry not in admitted:
            admitted.add(step.entry)
            if step.what == "admit":
                return Admission(asked, (entry,), NOON)
            return Opened("owner", rows_of(asked, (entry,), Hold(20_833, (1000,)), NOON))
        if step.what == "create":
            return Created(entry, its or f"{self.name}-own-{step.entry}", 1)
        return Settled(entry, settled(prediction=its, cost=None if step.entry == "6" else 300), NOON)

    async def post(self, lines: list[Admission | Line], *, together: bool) -> list[str]:
        if together:
            handed = [self.store.post(self.postings.post, line, soon=True) for line in lines]
            told: list[Any] = await asyncio.gather(*handed, return_exceptions=True)
        else:
            told = []
            for line in lines:
                told += await asyncio.gather(self.store.post(self.postings.post, line), return_exceptions=True)
        return [str(each) if isinstance(each, bool) else type(each).__name__ for each in told]

    async def books(self) -> dict[str, list[str]]:
        return {table.name: await self._rows(table) for table in (entries, reservations, settlements, totals, budgets)}

    async def _rows(self, table: Table) -> list[str]:
        its = table.c.subject if table is budgets else table.c.key
        found = select(table).where(its == self.name)
        rows = await self.store.read(lambda c: c.execute(found).mappings().all())
        hidden = {"id", "created_at"} if table is budgets else set()
        lines = [{name: value for name, value in row.items() if name not in hidden} for row in rows]
        return sorted(str(line).replace(self.name, "NAME") for line in lines)


TRIED = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@TRIED
@given(STEPS)
def test_lines_of_one_commit_come_to_what_they_come_to_one_after_another(config: Config, steps: list[Step]) -> None:
    async def both(store: Store) -> None:
        number, told, books = next(_numbers), [], []
        for which, together in (("a", True), ("b", False)):
            side = Side(store, f"key_{number}{which}")
            await side.begin(hard=10**9)
            told.append(await side.post(side.lines(steps), together=together))
            books.append(await side.books())
        assert told[0] == told[1]
        assert books[0] == books[1]
        assert all(checked.right for checked in await Budgets(store, lambda: NOON).check())

    on(config, both)


@TRIED
@given(st.integers(0, 6), st.lists(st.builds(Step, st.sampled_from(["admit", "settle"]), ENTRIES, st.none())))
def test_who_is_admitted_in_one_commit_never_spends_more_than_there_is(
    config: Config, fit: int, steps: list[Step]
) -> None:
    async def spend(store: Store) -> None:
        side = Side(store, f"key_{next(_numbers)}")
        await side.begin(hard=fit * 1000)
        told = await side.post(side.lines(steps), together=True)
        admissions = [step.entry for step in steps if step.what == "admit"]
        (budget,) = [each for each in await Budgets(store, lambda: NOON).list() if each.subject == side.name]
        assert budget.used <= fit * 1000
        assert ("BudgetSpent" in told) >= (len(set(admissions)) > fit and "settle" not in {s.what for s in steps})
        assert all(checked.right for checked in await Budgets(store, lambda: NOON).check())

    on(config, spend)


def test_a_budget_is_found_among_more_than_are_read_whole(config: Config) -> None:
    async def spend(store: Store) -> None:
        side, number = Side(store, "key_poor"), FEW + 1
        for each in range(number):
            await Side(store, f"key_{each}").begin(hard=10**9)
        await side.begin(hard=2000)
        steps = [Step("admit", str(entry), None) for entry in range(4)]
        told = await side.post(side.lines(steps), together=True)
        assert told.count("BudgetSpent") == 2
        steps = [Step("settle", str(entry), None) for entry in range(2)]
        assert await side.post(side.lines(steps), together=True) == ["True", "True"]
        every = await Budgets(store, lambda: NOON).list()
        assert sorted((each.reserved, each.spent) for each in every) == [(0, 0)] * number + [(0, 600)]

    on(config, spend)


def on(config: Config, work: Callable[[Store], Coroutine[Any, Any, None]]) -> None:
    async def do() -> None:
        async with aclosing(Store.open(config)) as store:
            await work(store)

    asyncio.run(do())

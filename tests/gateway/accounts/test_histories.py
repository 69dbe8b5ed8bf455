"""Whatever happened, budgets say what the ledger says: histories made by hypothesis, beside sums kept by the test."""

import asyncio
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from sqlalchemy import text

from gateway.accounts.budgets import Budget, Budgets, Terms
from gateway.accounts.holds import unasked
from gateway.accounts.journaling import Opened
from gateway.accounts.keys import Keys
from gateway.accounts.ledger import Held, Ledger, Opening
from gateway.accounts.rows import rows_of
from gateway.accounts.spending import Scope
from gateway.accounts.windows import Period, day_of, end, start
from gateway.config import Config
from gateway.errors import BudgetSpent, Unforeseen
from gateway.store.journal import Journal
from gateway.store.sql import Store
from tests.gateway.store.books import NOON, Clock, opening, settled

DAY = 86_400
TEAMS, MODELS, PATTERNS = ("red", "blue", None), ("fast", "slow"), ("fast", "s*", "acme/*", "else")
WIPED = ("reservations", "settlements", "entries", "totals", "tag_totals", "budgets", "notices", "keys")


class Spent(Struct):
    """A call's prediction, as the test knows it."""

    root: str
    team: str | None
    model: str
    day: int
    held: int
    open: bool = True
    cost: int | None = None

    @property
    def spent(self) -> int:
        return self.held if self.cost is None else self.cost


class Open(Struct, frozen=True):
    """A call begins; behind by so many days is the clock of its gateway, and `journaled` one whose books are away."""

    key: int
    team: int
    model: int
    amounts: tuple[int | None, ...]
    unpriced: str
    behind: int
    journaled: bool


class Settle(Struct, frozen=True):
    """Some prediction ends, perhaps not for the first time."""

    which: int
    cost: int | None


class Crash(Struct, frozen=True):
    """The gateway dies; the next one finds what it left."""

    recovers: bool


class Set(Struct, frozen=True):
    """A budget is made or changed, whenever that may be."""

    scope: Scope
    subject: int
    period: Period
    hard: int


class Remove(Struct, frozen=True):
    """Some budget ends."""

    which: int


class Rotate(Struct, frozen=True):
    """A key gets a successor."""

    key: int


class Later(Struct, frozen=True):
    """Time passes."""

    days: float


AMOUNT, SOME = st.integers(0, 2_000), st.integers(0, 50)
SETS = st.builds(
    Set,
    scope=st.sampled_from(("everyone", "key", "team", "model")),
    subject=SOME,
    period=st.sampled_from(("day", "week", "month", "total")),
    hard=st.sampled_from((4_000, 10**6, 10**7)),
)
OPENS = st.builds(
    Open,
    key=st.integers(0, 1),
    team=st.integers(0, 2),
    model=st.integers(0, 1),
    amounts=st.lists(AMOUNT | AMOUNT | st.none(), min_size=1, max_size=3).map(tuple),
    unpriced=st.sampled_from(("allow", "assume 0.0007", "deny")),
    behind=st.sampled_from((0, 0, 0, 1)),
    journaled=st.sampled_from((False, False, False, True)),
)
SETTLES = st.builds(Settle, which=SOME, cost=AMOUNT | AMOUNT | st.none())
PASSES = st.builds(Later, days=st.sampled_from((0.3, 1.0, 1.0, 8.0, 40.0)))
RARE = st.one_of(
    SETS,
    st.builds(Crash, recovers=st.booleans()),
    st.builds(Remove, which=SOME),
    st.builds(Rotate, key=st.integers(0, 1)),
)
STEPS = st.sampled_from((OPENS, OPENS, OPENS, SETTLES, SETTLES, PASSES, RARE)).flatmap(lambda kind: kind)
ALWAYS = [Set("everyone", 0, "day", 10**7), Set("everyone", 0, "month", 10**7)]


class History:
    """Books, and beside them what they should say."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder, self.clock = store, folder, Clock(NOON)
        self.budgets, self.keys = Budgets(store, self.clock), Keys(store)
        self.ledger = self._gateway()
        self.known: dict[str, Spent] = {}
        self.lines: list[list[str]] = []

    async def live(self, steps: list[Any]) -> None:
        await self.store.write(self._wipe)
        self.lines = [[(await self.keys.create(name))[0].id] for name in ("ada", "bob")]
        for step in steps:
            await getattr(self, f"_{type(step).__name__.lower()}")(step)
        await self.agree()
        for identity in [name for name, spent in self.known.items() if spent.open]:
            await self._end(identity, 1)
        await self.agree()
        assert await self.ledger.held() == Held(0, 0)
        assert all(budget.reserved == 0 for budget in await self.budgets.list())

    async def agree(self) -> None:
        """Budgets, sums and what is held are those that the test has kept, and those that the ledger counts."""
        for budget in await self.budgets.list():
            its = [spent for spent in self.known.values() if self._counts(budget, spent)]
            said = (sum(each.spent for each in its if not each.open), sum(each.held for each in its if each.open))
            assert (budget.spent, budget.reserved) == said, budget
        assert all(each.right for each in await self.budgets.check())
        still = [spent.held for spent in self.known.values() if spent.open]
        assert await self.ledger.held() == Held(len(still), sum(still))
        known = [spent.cost or 0 for spent in self.known.values() if not spent.open]
        assert sum(line.cost for line in await self.ledger.usage("key")) == sum(known)

    def _counts(self, budget: Budget, spent: Spent) -> bool:
        today = day_of(self.clock.now)
        ends = end(budget.period, today)
        its = {"everyone": "", "key": spent.root, "team": spent.team, "model": budget.subject}[budget.scope]
        within = start(budget.period, today) <= spent.day and (ends is None or spent.day < ends)
        return within and its == budget.subject and budget.concerns(spent.model, f"acme/{spent.model}")

    async def _open(self, step: Open) -> None:
        line = self.lines[step.key]
        asked = opening(
            uuid.uuid4().hex,
            key=line[-1],
            team=TEAMS[step.team],
            model=MODELS[step.model],
            ref=f"acme/{MODELS[step.model]}",
            digests=tuple("d" * len(step.amounts)),
            unpriced=step.unpriced,
        )
        asked = msgspec.structs.replace(asked, reserved=step.amounts)
        with suppress(BudgetSpent, Unforeseen):
            opens = self._journaled if step.journaled else self._asking
            identities = await opens(asked, self.clock.now - step.behind * DAY)
            await self._learn(identities, line[0])

    async def _asking(self, asked: Opening, now: float) -> list[str]:
        reservation = await self._gateway(Clock(now)).open(asked)
        assert all(budget.hard is None or budget.used <= budget.hard for budget in reservation.budgets)
        return list(reservation.entries)

    async def _journaled(self, asked: Opening, now: float) -> list[str]:
        """What a gateway admitted that died before its books were back, and was posted by the next."""
        identities = [f"ent_{uuid.uuid4().hex}" for _ in asked.digests]
        left = Journal(self.folder, uuid.uuid4().hex, "allow")
        rows = rows_of(asked, identities, unasked(asked, now), now)
        await left.add(msgspec.json.encode(Opened("dead", rows)))
        left.close()
        assert await self._gateway().replay() == 1
        return identities

    async def _learn(self, identities: list[str], root: str) -> None:
        found = text("SELECT id, team, model, day, COALESCE(reserved, 0) FROM entries")
        rows = await self.store.read(lambda c: c.execute(found).all())
        self.known |= {row[0]: Spent(root, *row[1:]) for row in rows if row[0] in identities}

    async def _settle(self, step: Settle) -> None:
        if self.known:
            await self._end(list(self.known)[step.which % len(self.known)], step.cost)

    async def _end(self, identity: str, cost: int | None) -> None:
        spent = self.known[identity]
        assert await self.ledger.settle(identity, settled(cost=cost)) is spent.open
        if spent.open:
            spent.open, spent.cost = False, cost

    async def _crash(self, step: Crash) -> None:
        self.ledger = self._gateway()
        if step.recovers:
            left = [entry.id for entry in await self.ledger.unsettled()]
            assert set(left) == {name for name, spent in self.known.items() if spent.open}
            for identity in left:
                await self._end(identity, 70)

    async def _set(self, step: Set) -> None:
        subjects = {
            "everyone": [""],
            "key": [line[-1] for line in self.lines],
            "team": [team for team in TEAMS if team],
            "model": list(PATTERNS),
        }[step.scope]
        subject = subjects[step.subject % len(subjects)]
        await self.budgets.set(Terms(scope=step.scope, subject=subject, period=step.period, hard=step.hard))

    async def _remove(self, step: Remove) -> None:
        if there := await self.budgets.list():
            await self.budgets.remove(there[step.which % len(there)].id)

    async def _rotate(self, step: Rotate) -> None:
        self.lines[step.key].append((await self.keys.rotate(self.lines[step.key][-1], overlap=3600))[0].id)

    async def _later(self, step: Later) -> None:
        self.clock.now += step.days * DAY

    def _gateway(self, clock: Clock | None = None) -> Ledger:
        owner = uuid.uuid4().hex
        return Ledger(self.store, clock or self.clock, owner, journal=Journal(self.folder, owner))

    @staticmethod
    def _wipe(connection: Any) -> None:
        for table in WIPED:
            connection.execute(text(f"DELETE FROM {table}"))


@pytest.fixture
def runner(config: Config) -> Iterator[tuple[asyncio.Runner, Store]]:
    with asyncio.Runner() as running:
        store = running.run(_opened(config))
        yield running, store
        running.run(store.aclose())


async def _opened(config: Config) -> Store:
    return Store.open(config)


def test_after_any_history_budgets_say_what_is_settled_and_what_is_held(
    runner: tuple[asyncio.Runner, Store], config: Config, tmp_path: Path
) -> None:
    running, store = runner
    # PostgreSQL differs in its statements, not in its sums; REPLIGATE_TEST_HISTORIES asks for more.
    examples = int(os.environ.get("REPLIGATE_TEST_HISTORIES", "5" if config.state.database else "20"))

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(SETS, max_size=3), st.lists(STEPS, min_size=6, max_size=20))
    def lives(first: list[Any], steps: list[Any]) -> None:
        running.run(History(store, tmp_path).live([*ALWAYS, *first, *steps]))

    lives()

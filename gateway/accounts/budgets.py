"""Budgets: set, shown, removed and checked by the operator; every change is a line in the audit log."""

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, delete, select

from gateway.accounts.audit import OPERATOR, note
from gateway.accounts.entries import Opening
from gateway.accounts.holds import Holds, Trial
from gateway.accounts.recounts import recounted
from gateway.accounts.spending import Budget, Scope, Unpriced
from gateway.accounts.tallies import FIELDS, write
from gateway.accounts.virtualkeys import meant
from gateway.accounts.windows import Period, day_of
from gateway.errors import NotFound
from gateway.store.sql import Store
from gateway.store.tables import budgets

__all__ = ["Budget", "Budgets", "Checked", "Terms", "Trial", "UnknownBudget"]


class UnknownBudget(NotFound):
    """There is no such budget; the message is for the operator."""


class Terms(Struct, frozen=True, kw_only=True):
    """What a budget is to be: amounts in micro-dollars, at least one of them; `unpriced` as in the settings, empty
    where these decide."""

    scope: Scope
    subject: str = ""
    period: Period = "month"
    soft: int | None = None
    hard: int | None = None
    unpriced: str = ""

    def __post_init__(self) -> None:
        if self.unpriced:
            Unpriced.parse(self.unpriced)
        if self.soft is None and self.hard is None:
            raise ValueError("a budget needs an amount: soft, hard or both")
        if self.soft is not None and self.hard is not None and self.soft > self.hard:
            raise ValueError("a soft budget above the hard one would never warn")
        if bool(self.subject) == (self.scope == "everyone"):
            raise ValueError("a budget is for everyone, or for a key, a team or models by name")


class Checked(Struct, frozen=True):
    """A budget as it stands, and as the ledger says it should."""

    stands: Budget
    should: Budget

    @property
    def right(self) -> bool:
        return (self.stands.spent, self.stands.reserved) == (self.should.spent, self.should.reserved)


class Budgets:
    """The budgets in the books, as of now. How calls spend from them is the ledger's business."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock, self._holds = store, clock, Holds()

    async def set(self, terms: Terms, by: str = OPERATOR) -> Budget:
        """The budget of this subject and period, made or changed; what its window has seen already counts.

        Raises UnknownKey for a key that nobody made.
        """
        now = self._clock()

        def change(connection: Connection) -> Budget:
            subject = self._subject(connection, terms, now)
            same = (budgets.c.scope == terms.scope, budgets.c.subject == subject, budgets.c.period == terms.period)
            old = connection.execute(select(*FIELDS).where(*same)).first()
            identity = old[0] if old else f"bud_{uuid.uuid4().hex}"
            bare = Budget(
                identity, terms.scope, subject, terms.period, terms.soft, terms.hard, terms.unpriced, 0, 0, 0, 0
            )
            new = recounted(connection, bare, day_of(now))
            # Whoever changes a budget knows how it stands: marks that are passed already are not told anew.
            new = msgspec.structs.replace(new, told=new.telling(new.passed(new.spent)))
            connection.execute(delete(budgets).where(budgets.c.id == identity))
            connection.execute(budgets.insert(), {**msgspec.structs.asdict(new), "created_at": round(now * 1000)})
            note(connection, now, by, "budget.set", new.id, **_terms(new))
            return new

        return await self._store.write(change)

    async def list(self) -> Sequence[Budget]:
        """All budgets, in the windows of today."""
        await self._store.caught_up()
        day = day_of(self._clock())
        found = select(*FIELDS).order_by(budgets.c.scope, budgets.c.subject, budgets.c.period)
        rows = await self._store.read(lambda connection: connection.execute(found).all())
        return [Budget(*row).at(day) for row in rows]

    async def show(self, which: str) -> Budget:
        """The budget of this id. Raises UnknownBudget."""
        for budget in await self.list():
            if budget.id == which:
                return budget
        raise UnknownBudget(f"There is no budget {which!r}.")

    async def of(self, key: str, team: str | None) -> Sequence[Budget]:
        """The budgets that a key spends from, whatever the model."""
        await self._store.caught_up()
        day = day_of(self._clock())
        found = await self._store.read(lambda connection: self._holds.all_of(connection, key, team))
        return [budget.at(day) for budget in found]

    async def trial(self, opening: Opening) -> Trial:
        """Whether such a call would be admitted now; nothing is held."""
        await self._store.caught_up()
        now = self._clock()
        return await self._store.read(lambda connection: self._holds.trial(connection, opening, now))

    async def remove(self, which: str, by: str = OPERATOR) -> Budget:
        """Ends a budget. Raises UnknownBudget."""
        budget, now = await self.show(which), self._clock()

        def remove(connection: Connection) -> None:
            connection.execute(delete(budgets).where(budgets.c.id == which))
            note(connection, now, by, "budget.remove", budget.id, **_terms(budget))

        await self._store.write(remove)
        return budget

    async def check(self, *, repair: bool = False, by: str = OPERATOR) -> Sequence[Checked]:
        """Every budget beside what the ledger's entries come to; with `repair`, the ledger's word then stands."""
        now = self._clock()
        day = day_of(now)

        def check(connection: Connection) -> list[Checked]:
            rows = connection.execute(select(*FIELDS).order_by(budgets.c.id)).all()
            checked = [
                Checked(each.at(day), recounted(connection, each, day)) for each in (Budget(*row) for row in rows)
            ]
            for wrong in [each for each in checked if repair and not each.right]:
                write(connection, [wrong.should])
                before, after = (
                    {"spent": each.spent, "reserved": each.reserved} for each in (wrong.stands, wrong.should)
                )
                note(connection, now, by, "budget.repair", wrong.should.id, before=before, after=after)
            return checked

        # As a writer, for whom nothing changes between one sum and the next.
        return await self._store.write(check)

    def _subject(self, connection: Connection, terms: Terms, now: float) -> str:
        """A key's budget is its successors' as well: it bears the name of the first of them."""
        if terms.scope != "key":
            return terms.subject
        return self._holds.root(connection, meant(connection, terms.subject, now).id)


def _terms(budget: Budget) -> dict[str, Any]:
    told = {name: getattr(budget, name) for name in ("scope", "period", "soft", "hard", "unpriced")}
    return told | {"of": budget.subject}

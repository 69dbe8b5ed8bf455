"""The ledger's old lines, taken out of the books for good; the sums of them stay, and so does what budgets count."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, delete, func, or_, select

from adapters.errors import InvalidRequest
from gateway.accounts.audit import OPERATOR, note
from gateway.accounts.totals import day_number
from gateway.accounts.windows import day_of, start
from gateway.store.sql import Store
from gateway.store.tables import audit, budgets, entries, settlements

ACT = "ledger.prune"
AT_ONCE = 1000
"""So many lines go in one transaction: calls write between two of them."""

YOUNG_DAYS = 2
"""A retry may still ask what became of a call."""

Progress = Callable[[str, int, int], None]


class Pruned(Struct, frozen=True, kw_only=True):
    """What was settled of days before this one: so many lines, which cost so many micro-dollars; and how many of them
    stay, because nobody knows their cost and budgets count what was held for them."""

    before: date
    lines: int
    cost: int
    kept: int


class Pruning:
    """Takes settled lines out of the books. What is open stays, and the audit log says what went."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time, at_once: int = AT_ONCE) -> None:
        self._store, self._clock, self._at_once = store, clock, at_once

    async def count(self, before: date) -> Pruned:
        """What there is to go. Raises InvalidRequest for a day that is too young, StoreError."""
        return await self._store.read(lambda connection: self._counted(connection, before))

    async def prune(self, before: date, by: str = OPERATOR, told: Progress | None = None) -> Pruned:
        """Takes it out, in many small steps; where that breaks off, the next time goes on. Raises as `count` does."""
        found = await self._store.write(lambda connection: self._noted(connection, before, by))
        gone = 0
        while some := await self._store.write(lambda connection: self._removed(connection, before)):
            gone += some
            if told:
                told("lines", gone, max(gone, found.lines))
        return replace(found, lines=gone)

    def _noted(self, connection: Connection, before: date, by: str) -> Pruned:
        found = self._counted(connection, before)
        note(connection, self._clock(), by, ACT, before.isoformat(), lines=found.lines, cost=found.cost)
        return found

    def _counted(self, connection: Connection, before: date) -> Pruned:
        self._check(connection, before)
        old = settlements.c.day < day_number(before)
        sums = select(func.count(), func.coalesce(func.sum(settlements.c.cost), 0)).select_from(_LINES)
        lines, cost = connection.execute(sums.where(old, _DISPENSABLE)).one()
        every = connection.execute(select(func.count()).select_from(settlements).where(old)).scalar_one()
        return Pruned(before=before, lines=int(lines), cost=int(cost), kept=int(every - lines))

    def _removed(self, connection: Connection, before: date) -> int:
        old = select(settlements.c.entry).select_from(_LINES)
        old = old.where(settlements.c.day < day_number(before), _DISPENSABLE).limit(self._at_once)
        some = connection.execute(old).scalars().all()
        if some:
            connection.execute(delete(settlements).where(settlements.c.entry.in_(some)))
            connection.execute(delete(entries).where(entries.c.id.in_(some)))
        return len(some)

    def _check(self, connection: Connection, before: date) -> None:
        today = day_of(self._clock())
        youngest = min(start("week", today), start("month", today), today - YOUNG_DAYS)
        if day_number(before) > youngest:
            latest = date(1970, 1, 1) + timedelta(days=youngest)
            raise InvalidRequest(
                f"Budgets and retries may still need lines of that time: {latest} is the latest day.", param="before"
            )
        total = select(budgets.c.id).where(budgets.c.scope == "model", budgets.c.period == "total")
        if id := connection.execute(total).scalar():
            raise InvalidRequest(
                f"The budget {id} counts models without an end, by their refs, which stand in the lines only: remove "
                "it first.",
                param="before",
            )


_LINES = settlements.join(entries, entries.c.id == settlements.c.entry)
_DISPENSABLE: ColumnElement[bool] = or_(
    settlements.c.cost.is_not(None), entries.c.reserved.is_(None), entries.c.reserved == 0
)


def pruned_before(connection: Connection) -> int:
    """Before this day lines may be gone, and only the sums tell; 0 if none ever went."""
    # The audit log is there for ever, and days as ISO 8601 writes them are in their order.
    found = connection.execute(select(func.max(audit.c.subject)).where(audit.c.act == ACT)).scalar()
    return day_number(datetime.fromisoformat(found).replace(tzinfo=UTC).date()) if found else 0

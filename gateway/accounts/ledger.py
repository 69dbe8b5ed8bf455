"""The ledger: an entry is durable before its prediction is created, and settled exactly once after it."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace
from sqlalchemy import Connection, RowMapping, func, or_, select

from gateway import ids
from gateway.accounts import totals
from gateway.accounts.audit import OPERATOR, note
from gateway.accounts.entries import Entry, Held, Opening, Reservation, Settlement, UsageLine
from gateway.accounts.exports import LedgerLine, Page, page_of
from gateway.accounts.holds import Hold, Holds, unasked
from gateway.accounts.journaling import Created, Journaling, Line, Opened, Settled, UnknownEntry
from gateway.accounts.moments import milliseconds
from gateway.accounts.postings import Admission, Postings
from gateway.accounts.pruning import pruned_before
from gateway.accounts.rows import kept, rows_of, storable
from gateway.accounts.totals import By, Difference, Within
from gateway.errors import BudgetSpent, StoreError
from gateway.store.journal import Journal
from gateway.store.sql import Store
from gateway.store.tables import entries, reservations
from gateway.tariffs import Price

log = structlog.get_logger()

__all__ = [
    "By",
    "Entry",
    "Held",
    "Ledger",
    "Opening",
    "Reservation",
    "Settlement",
    "UnknownEntry",
    "UsageLine",
    "Within",
]

_NEVER = Settlement(status="never created", cost=0, basis="free: never created")
_TOLD = 20
"""So many sums that were wrong are told in the audit log; `ledger check` tells all of them."""
_NOBODY = ""
"""The owner of what goes on without one."""
_OPEN = select(entries, *(reservations.c[name] for name in ("owner", "prediction", "prediction_at", "leave"))).join(
    reservations, reservations.c.entry == entries.c.id
)


class Ledger:
    """The book of what was run for whom. `owner` names this process, so that the next one knows what it left behind.

    With `lease_seconds` others may adopt an entry whose lease was not renewed for so long (see `Leases`).

    With a journal, what happens to entries while the books are away is kept there until they are back: to open ones,
    and, where it takes new ones, to those.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float] = time.time,
        owner: str | None = None,
        lease_seconds: float | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._store, self._clock = store, clock
        self.owner = owner or uuid.uuid4().hex
        self._holds = Holds()
        self._postings = Postings(self.owner, milliseconds(lease_seconds), self._holds)
        self._journaling = None if journal is None else Journaling(store, journal, self._postings.post)
        self._abandoned: set[asyncio.Task[None]] = set()
        self._untold: dict[str, str] = {}
        """Entries that may have been opened without anybody being told, and why: nothing will be created for them."""

    async def open(self, opening: Opening) -> Reservation:
        """One durable entry for each prediction the call will create, and its money held: call it before creating any.

        Raises StoreError, BudgetSpent, Unforeseen, and then nothing was opened. A caller cancelled meanwhile leaves
        nothing reserved.
        """
        now = self._clock()
        model, reserved = storable(opening.model), tuple(map(storable, opening.reserved))
        if (model, reserved) != (opening.model, opening.reserved):
            opening = replace(opening, model=model, reserved=reserved)
        ids = tuple(_new_id(now) for _ in opening.digests)
        try:
            hold = await self._open(opening, ids, now)
        except asyncio.CancelledError:
            self._abandon(ids)
            raise
        except BudgetSpent as refused:
            await self._note_refusal(refused, now)
            raise
        return Reservation(opening.call, ids, hold.whole, hold.budgets, hold.unforeseen)

    def created(self, entry_id: str, prediction_id: str, *, soon: bool = False) -> Coroutine[Any, Any, bool]:
        """Notes, durably, which prediction was created for an entry; saying it again changes nothing.

        False when it was too late: the entry is settled, has another prediction, or this one belongs to another entry.
        It is handed in when this returns, to be awaited; `soon` lets it wait a moment for company.
        """
        return self._handed_in(Created(entry_id, prediction_id, milliseconds(self._clock())), soon=soon)

    def settle(self, entry_id: str, settlement: Settlement, *, soon: bool = False) -> Coroutine[Any, Any, bool]:
        """Closes an entry and lets go of what it held. True if this call did it, False if it was settled before.

        It is handed in when this returns, to be awaited; `soon` lets it wait a moment for company. Raises UnknownEntry
        when there is none of this id.
        """
        return self._handed_in(Settled(entry_id, kept(settlement), self._clock()), soon=soon)

    @property
    def journaled(self) -> int:
        """How many lines wait in the journal for the books; none, while these can be written."""
        return self._journaling.waiting if self._journaling else 0

    async def replay(self) -> int:
        """Posts what waits in journals, this process's and those of dead ones, and settles what was opened without
        anybody being told. Raises StoreError while away."""
        await self._withdraw()
        return await self._journaling.replay() if self._journaling else 0

    async def let_go(self, entry_ids: Sequence[str]) -> None:
        """These go on without this process; whoever comes by when they have ended settles them. Raises StoreError."""
        ours = reservations.update().where(reservations.c.entry.in_(entry_ids)).values(owner=_NOBODY, lease_until=None)
        await self._store.write(lambda connection: connection.execute(ours))

    async def unsettled(self) -> list[Entry]:
        """What other processes opened and no longer look after, oldest first: the journal to recover from."""
        abandoned = or_(reservations.c.lease_until.is_(None), reservations.c.lease_until < milliseconds(self._clock()))
        found = _OPEN.where(reservations.c.owner != self.owner, abandoned)
        found = found.order_by(entries.c.created_at, entries.c.call, entries.c.seq)
        return [_entry(row) for row in await self._store.read(lambda c: c.execute(found).mappings().all())]

    async def open_here(self, ids: Collection[str]) -> list[Entry]:
        """Those of these entries that are this process's to settle, oldest first."""
        found = _OPEN.where(reservations.c.owner == self.owner, entries.c.id.in_(ids)).order_by(entries.c.created_at)
        return (
            [_entry(row) for row in await self._store.read(lambda c: c.execute(found).mappings().all())] if ids else []
        )

    async def open_calls(self, calls: Collection[str]) -> set[str]:
        """Those of these calls that have an entry open, in whoever's hands."""
        found = select(entries.c.call).join(reservations).where(entries.c.call.in_(calls))
        return set(await self._store.read(lambda c: c.execute(found).scalars().all())) if calls else set()

    async def asked_alike(self, entry_id: str, digest: str) -> bool:
        """Whether another entry of the same inputs is open, in whoever's hands, whose prediction is not known yet.
        Raises StoreError."""
        found = select(entries.c.id).join(reservations).where(entries.c.digest == digest, entries.c.id != entry_id)
        found = found.where(reservations.c.prediction.is_(None)).limit(1)
        return bool(await self._store.read(lambda c: c.execute(found).first()))

    async def held(self) -> Held:
        """What is reserved now by all processes; nothing, when nothing runs."""
        await self._store.caught_up()
        sums = select(func.count(), func.coalesce(func.sum(reservations.c.amount), 0))
        count, amount = await self._store.read(lambda c: c.execute(sums).one())
        return Held(int(count), int(amount))

    async def usage(
        self, by: By, first: date | None = None, last: date | None = None, within: Within | None = None
    ) -> list[UsageLine]:
        """What was settled, summed, from the first day to the last (UTC). Days in order, the rest by cost."""
        await self._store.caught_up()
        held = replace(within or Within(), first=first, last=last) if first or last else within or Within()
        return await self._store.read(lambda connection: totals.told(connection, by, held))

    async def page(self, page: Page) -> list[LedgerLine]:
        """Entries, oldest first, each with its settlement."""
        await self._store.caught_up()
        return await self._store.read(lambda connection: page_of(connection, page))

    async def days(self) -> list[int]:
        """Every day that something was settled on, as the books count days; those whose lines are all there."""
        return await self._store.read(lambda connection: totals.days(connection, pruned_before(connection)))

    async def differences(self, day: int) -> list[Difference]:
        """What a day's sums have otherwise than its settlements: nothing, in good books."""
        return await self._store.read(lambda connection: totals.differences(connection, day))

    async def rebuild(self, day: int, by: str = OPERATOR) -> None:
        """Makes a day's sums anew from its settlements, which is a line in the audit log where they differed."""
        now = self._clock()

        def rebuild(connection: Connection) -> None:
            wrong = [msgspec.to_builtins(each) for each in totals.differences(connection, day)]
            totals.rebuild(connection, day)
            if wrong:
                note(connection, now, by, "ledger.repair", totals.date_of(day).isoformat(), sums=wrong[:_TOLD])

        await self._store.write(rebuild)

    @property
    def away(self) -> bool:
        """Whether the books could not be written the last time, or lines wait for them."""
        return bool(self.journaled) or self._store.away

    async def probe(self) -> None:
        """Finds out whether the books can be written, unless somebody else is about to, and settles what was opened
        without anybody being told. Raises StoreError."""
        if self._store.idle:
            await self._store.probe()
        await self._withdraw()

    async def _open(self, opening: Opening, ids: tuple[str, ...], now: float) -> Hold:
        takes_new = bool(self._journaling and self._journaling.takes_new)
        if self.journaled and not takes_new:
            # What was spent is not all in the books: nobody could say what may be.
            raise StoreError("The gateway's books cannot be used now.", retry_after=1)
        if not self.journaled:
            try:
                hold = await self._store.post(self._postings.post, Admission(opening, ids, now))
                assert isinstance(hold, Hold)
                return hold
            except StoreError as away:
                if not takes_new or away.lasting:
                    if away.unsure:
                        self._untold.update(dict.fromkeys(ids, away.code))
                    raise
                log.warning("the books are away: kept in the journal", reason=away.reason)
        assert self._journaling
        hold = unasked(opening, now)
        await self._journaling.keep(Opened(self.owner, rows_of(opening, ids, hold, now), opening.leave))
        return hold

    async def _note_refusal(self, refused: BudgetSpent, now: float) -> None:
        if not refused.first:
            return
        try:
            await self._store.write(lambda connection: self._holds.refused(connection, refused, now))
        except StoreError as away:
            log.warning("a budget's first refusal was not noted", budget=refused.budget, reason=away.message)

    def _handed_in(self, line: Line, *, soon: bool) -> Coroutine[Any, Any, bool]:
        posting = None if self.journaled else self._store.post(self._postings.post, line, soon=soon)
        return self._written(line, posting)

    async def _written(self, line: Line, posting: Awaitable[object] | None) -> bool:
        """What became of it in the books; True while they are away, and the journal has it."""
        if posting:
            try:
                return bool(await posting)
            except StoreError as away:
                if self._journaling is None or away.lasting:
                    raise
                log.warning("the books are away: kept in the journal", reason=away.reason)
        assert self._journaling
        await self._journaling.keep(line)
        return True

    def _abandon(self, ids: Iterable[str]) -> None:
        self._untold.update(dict.fromkeys(ids, "client_left"))
        task = asyncio.create_task(self._withdraw_soon())
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned.discard)

    async def _withdraw_soon(self) -> None:
        with suppress(StoreError):  # then the next probe does it
            await self._withdraw()

    async def _withdraw(self) -> None:
        """Settles what was opened without anybody being told. Raises StoreError while away."""
        for entry, error in list(self._untold.items()):
            line = Settled(entry, replace(_NEVER, error=error), self._clock())
            with suppress(UnknownEntry):  # it was never written
                await self._store.post(self._postings.post, line)
            self._untold.pop(entry, None)


def _new_id(now: float) -> str:
    # In the order of time, so that new rows go to the end of the table.
    return f"ent_{milliseconds(now):012x}{ids.fresh()[:20]}"


def _entry(row: RowMapping) -> Entry:
    told = {name: row[name] for name in Entry.__struct_fields__}
    told["created_at"] = row["created_at"] / 1000
    told["prediction_at"] = None if row["prediction_at"] is None else row["prediction_at"] / 1000
    told["tags"] = msgspec.json.decode(row["tags"], type=tuple[str, ...])
    told["price"] = None if row["price"] is None else msgspec.json.decode(row["price"], type=Price)
    return Entry(**told)

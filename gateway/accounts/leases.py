"""Leases: which gateway looks after which open entries, where several share one set of books."""

import time
from collections.abc import Callable

import structlog
from sqlalchemy import ColumnElement, Connection, or_, select

from gateway.accounts.entries import Entry
from gateway.accounts.ledger import Ledger
from gateway.errors import StoreError
from gateway.store.clocks import now_ms
from gateway.store.sql import Store
from gateway.store.tables import reservations

log = structlog.get_logger()

RENEWALS = 3
"""How often within a lease it is renewed: so many may fail, but one, before it ends."""

AT_MOST = 500
"""Entries that one gateway adopts before it has settled them; the others may have the rest."""


class Leases:
    """Those of one gateway, which renews them while it lives. What a dead one left is adopted by one other.

    They are measured by the database's clock alone: gateways need not agree on the time. `timer` never goes back.
    """

    def __init__(
        self, store: Store, ledger: Ledger, seconds: float, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds = seconds
        self._store, self._ledger, self._timer = store, ledger, timer
        self._adopted: set[str] = set()
        self._renewed_at = self._steady_since = float("-inf")

    @property
    def pause(self) -> float:
        """Seconds from one renewal to the next."""
        return self.seconds / RENEWALS

    async def renew(self) -> float:
        """Renews the leases of all that this gateway has open; gives the seconds until the next time."""
        late = self._timer() - self._renewed_at > 2 * self.pause
        try:
            await self._store.write(self._renew)
        except StoreError as away:
            log.warning("leases not renewed", reason=away.message)
            return self.pause
        self._renewed_at = self._timer()
        if late:
            self._steady_since = self._renewed_at
        return self.pause

    async def adopt(self) -> list[Entry]:
        """What dead gateways left, from now on this one's to settle, and what it adopted before and has not settled.

        Raises StoreError. While the database was away nobody could renew: whoever has been hindered gives the others
        a whole lease before taking what may be in their hands.
        """
        if self._timer() - self._steady_since >= self.seconds and len(self._adopted) < AT_MOST:
            self._adopted.update(await self._store.write(self._take_over))
        left = await self._ledger.open_here(self._adopted)
        self._adopted = {entry.id for entry in left}
        return left

    @property
    def _end(self) -> ColumnElement[int]:
        return now_ms() + round(self.seconds * 1000)

    def _renew(self, connection: Connection) -> None:
        ours = reservations.update().where(reservations.c.owner == self._ledger.owner)
        connection.execute(ours.values(lease_until=self._end))

    def _take_over(self, connection: Connection) -> list[str]:
        ended = or_(reservations.c.lease_until.is_(None), reservations.c.lease_until < now_ms())
        left = select(reservations.c.entry).where(reservations.c.owner != self._ledger.owner, ended)
        few = left.limit(AT_MOST).with_for_update(skip_locked=True)
        taken = reservations.update().where(reservations.c.entry.in_(few))
        rows = connection.execute(
            taken.values(owner=self._ledger.owner, lease_until=self._end).returning(reservations.c.entry)
        )
        return list(rows.scalars())

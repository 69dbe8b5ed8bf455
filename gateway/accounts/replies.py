"""Replies kept for those who ask again: each bound to a virtual key and to the name that it gave its intent."""

import time
from collections.abc import Callable

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, RowMapping, func, select

from gateway.errors import IN_USE, REUSED, IntentDiffers, IntentRunning
from gateway.store.sql import Store, insert
from gateway.store.tables import entries, intents, reservations, settlements

Headers = list[tuple[str, str]]

QUIET_MS, PLANNING_MS = 10_000, 60_000
"""How long after the last settlement another process may still be about to keep its reply; and how long after its claim
a call may have no entry yet."""


class Intent(Struct, frozen=True):
    """What a client wants done once: `id` is its name for it under its key, `digest` what it asked for."""

    id: str
    key: str
    digest: str
    request: str


class Reply(Struct, frozen=True):
    """What the client was sent; no body, where that was too large to be kept."""

    status: int
    headers: Headers
    body: bytes | None


class Replies:
    """The replies of all processes that share a store, for `keep_seconds`. `owner` names this process."""

    def __init__(self, store: Store, owner: str, keep_seconds: float, clock: Callable[[], float] = time.time) -> None:
        self._store, self._owner, self._clock = store, owner, clock
        self._keep = round(keep_seconds * 1000)

    async def claim(self, intent: Intent) -> Reply | None:
        """The reply that was given to this intent. None makes it the caller's to answer, and nobody else's.

        Raises IntentDiffers; IntentRunning, while what another process began for it may live; StoreError.
        """
        now = round(self._clock() * 1000)
        return await self._store.write(lambda connection: self._claim(connection, intent, now))

    async def keep(self, intent: Intent, reply: Reply) -> None:
        """This is what the intent was answered with. Raises StoreError."""
        told = {"status": reply.status, "headers": msgspec.json.encode(reply.headers).decode(), "body": reply.body}
        ours = intents.update().where(intents.c.id == intent.id, intents.c.request == intent.request)
        await self._store.write(lambda connection: connection.execute(ours.values(told)))

    async def sweep(self) -> None:
        """Forgets what is old. Raises StoreError."""
        old = intents.delete().where(intents.c.at < round(self._clock() * 1000) - self._keep)
        await self._store.write(lambda connection: connection.execute(old))

    def _claim(self, connection: Connection, intent: Intent, now: int) -> Reply | None:
        connection.execute(intents.delete().where(intents.c.id == intent.id, intents.c.at < now - self._keep))
        row = connection.execute(select(intents).where(intents.c.id == intent.id)).mappings().first()
        fields = {**msgspec.structs.asdict(intent), "owner": self._owner, "at": now}
        if row is None:
            # PostgreSQL's driver counts no rows of an INSERT that SQLAlchemy runs: ask for them.
            new = insert(connection, intents).values(fields).on_conflict_do_nothing().returning(intents.c.id)
            _mine(len(connection.execute(new).all()))
            return None
        if row["digest"] != intent.digest:
            raise IntentDiffers(REUSED)
        if row["status"] is not None:
            return Reply(row["status"], msgspec.json.decode(row["headers"], type=Headers), row["body"])
        if self._may_live(connection, row, now):
            raise IntentRunning(IN_USE, retry_after=2)
        before = intents.update().where(intents.c.id == intent.id, intents.c.request == row["request"])
        _mine(connection.execute(before.values(fields)).rowcount)
        return None

    def _may_live(self, connection: Connection, row: RowMapping, now: int) -> bool:
        """Whether what was begun in another request may still run, or its reply be about to be kept."""
        # Ids begin with their time: only the newest entries are looked at.
        its = (entries.c.id >= f"ent_{max(0, row['at'] - PLANNING_MS):012x}", entries.c.request == row["request"])
        still_open = select(reservations.c.entry).join(entries, entries.c.id == reservations.c.entry).where(*its)
        if connection.execute(still_open).first():
            return True
        if row["owner"] == self._owner:
            return False
        ends = select(func.max(settlements.c.settled_at), func.min(settlements.c.error))
        ended = connection.execute(
            ends.join_from(settlements, entries, entries.c.id == settlements.c.entry).where(*its)
        )
        last, error = ended.one()
        if last is None:
            return bool(now - row["at"] < PLANNING_MS)
        return bool(error != "process_died" and now - last < QUIET_MS)


def _mine(rows: int) -> None:
    if rows != 1:
        raise IntentRunning(IN_USE, retry_after=2)

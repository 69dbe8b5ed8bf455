"""OpenAI's objects that outlive their request (files, uploads, responses, videos), each seen by its owner only."""

import time
from collections.abc import Callable, Collection, Sequence

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, or_, select

from gateway.store.sql import Store
from gateway.store.tables import objects


class Stored(Struct, frozen=True, kw_only=True):
    """One object. `body` is whatever its kind keeps, in JSON; `label` is what lists of it are narrowed by (a file's
    purpose). Instants are unix seconds."""

    id: str
    kind: str
    owner: str
    body: bytes
    status: str = ""
    label: str = ""
    created: float = 0.0
    expires: float | None = None


NUL = "\0"
"""In a text, PostgreSQL takes it for a fault of its own: no object has it in its name."""


class Listing(Struct, frozen=True, kw_only=True):
    """Which objects, in the order of their creation, and how many at most."""

    kind: str
    owners: Collection[str]
    label: str | None = None
    oldest_first: bool = False
    limit: int = 20


class Page(Struct, frozen=True):
    """Some objects, and whether others follow."""

    items: tuple[Stored, ...]
    more: bool


class Objects:
    """Objects by kind and id. Those that have expired are gone for everyone but `expired`, which hands them to whoever
    must clean up behind them, and `standing`. Every method raises StoreError."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock

    async def put(self, stored: Stored) -> Stored:
        """Keeps a new object; gives it with the instant of its creation, now unless it has one."""
        new = replace(stored, created=stored.created or self._clock())
        await self._store.write(lambda connection: connection.execute(objects.insert().values(_columns(new))))
        return new

    async def get(self, kind: str, id: str, owners: Collection[str]) -> Stored | None:
        """The object, if it is one of theirs."""
        if NUL in id:
            return None
        found = _all().where(self._theirs(kind, owners), objects.c.id == id)
        row = await self._store.read(lambda connection: connection.execute(found).first())
        return None if row is None else _stored(row)

    async def list(self, wanted: Listing, after: Stored | None = None) -> Page:
        """The objects that are wanted, beginning behind `after`."""
        if NUL in (wanted.label or ""):
            return Page((), more=False)
        place = (objects.c.created_at, objects.c.id)
        found = _all().where(self._theirs(wanted.kind, wanted.owners))
        if wanted.label is not None:
            found = found.where(objects.c.label == wanted.label)
        if after is not None:
            found = found.where(_behind(after, oldest_first=wanted.oldest_first))
        found = found.order_by(*(each.asc() if wanted.oldest_first else each.desc() for each in place))
        rows = await self._store.read(lambda connection: _read(connection, found.limit(wanted.limit + 1)))
        return Page(tuple(rows[: wanted.limit]), len(rows) > wanted.limit)

    async def update(
        self, stored: Stored, *, body: bytes | None = None, status: str | None = None, expires: float | None = None
    ) -> bool:
        """Changes what is given, unless it has changed since `stored` was read: then False, and nothing."""
        told = {"body": body, "status": status, "expires_at": _milliseconds(expires)}
        changes = {name: value for name, value in told.items() if value is not None}
        same = and_(objects.c.status == stored.status, objects.c.body == stored.body)
        change = (
            objects.update().where(objects.c.id == stored.id, objects.c.kind == stored.kind, same).values(**changes)
        )
        return await self._store.write(lambda connection: connection.execute(change).rowcount == 1)

    async def delete(self, *stored: Stored) -> int:
        """Removes them; gives how many were there."""
        gone = objects.delete().where(objects.c.id.in_([each.id for each in stored]))
        return await self._store.write(lambda connection: connection.execute(gone).rowcount)

    async def expired(self, kind: str, limit: int = 500) -> Sequence[Stored]:
        """Objects of anybody's whose time is over, the longest gone first."""
        over = and_(objects.c.kind == kind, objects.c.expires_at <= _milliseconds(self._clock()))
        wanted = _all().where(over).order_by(objects.c.expires_at).limit(limit)
        return await self._store.read(lambda connection: _read(connection, wanted))

    async def standing(self, kind: str, statuses: Collection[str]) -> Sequence[Stored]:
        """Objects of anybody's that are in one of these statuses, the oldest first."""
        found = _all().where(objects.c.kind == kind, objects.c.status.in_(statuses)).order_by(objects.c.created_at)
        return await self._store.read(lambda connection: _read(connection, found))

    def _theirs(self, kind: str, owners: Collection[str]) -> ColumnElement[bool]:
        alive = or_(objects.c.expires_at.is_(None), objects.c.expires_at > _milliseconds(self._clock()))
        return and_(objects.c.kind == kind, objects.c.owner.in_(owners), alive)


def _all() -> Select[tuple[object, ...]]:
    return select(objects)


def _read(connection: Connection, wanted: Select[tuple[object, ...]]) -> Sequence[Stored]:
    return tuple(map(_stored, connection.execute(wanted).all()))


def _behind(after: Stored, *, oldest_first: bool) -> ColumnElement[bool]:
    at, created, id = _milliseconds(after.created), objects.c.created_at, objects.c.id
    if oldest_first:
        return or_(created > at, and_(created == at, id > after.id))
    return or_(created < at, and_(created == at, id < after.id))


def _columns(stored: Stored) -> dict[str, object]:
    return {
        "id": stored.id,
        "kind": stored.kind,
        "owner": stored.owner,
        "status": stored.status,
        "label": stored.label,
        "body": stored.body,
        "created_at": _milliseconds(stored.created),
        "expires_at": _milliseconds(stored.expires),
    }


def _stored(row: Row[tuple[object, ...]]) -> Stored:
    return Stored(
        id=row.id,
        kind=row.kind,
        owner=row.owner,
        body=bytes(row.body),
        status=row.status,
        label=row.label,
        created=row.created_at / 1000,
        expires=row.expires_at and row.expires_at / 1000,
    )


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)

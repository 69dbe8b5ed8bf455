"""The ledger: an entry is durable before its prediction is created, and settled exactly once after it."""

import asyncio
import secrets
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    String,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
)

from gateway.accounts.entries import Entry, Held, Opening, Reservation, Settlement, UsageLine
from gateway.store.prepared import Prepared
from gateway.store.sql import Store
from gateway.store.tables import entries, keys, reservations, settlements
from gateway.tariffs import Price

__all__ = ["Entry", "Held", "Ledger", "Opening", "Reservation", "Settlement", "UnknownEntry", "UsageLine"]

DAY = 86_400
MOST = 2**53
"""Counts above this are no counts."""
By = Literal["key", "team", "model", "day"]

_ABANDONED = Settlement(status="never created", cost=0, basis="free: never created", error="client_left")
_OPEN = select(entries, reservations.c.owner, reservations.c.prediction, reservations.c.prediction_at).join(
    reservations, reservations.c.entry == entries.c.id
)
_CARRIED = ("seq", "key", "team", "model", "day", "prediction", "prediction_at")
"""What a settlement repeats of its entry and reservation, so that sums read one table."""

_twin, _of, _its = reservations.alias("twin"), bindparam("of", type_=String), bindparam("its", type_=String)
_ADD_ENTRY, _ADD_RESERVATION = Prepared(entries.insert()), Prepared(reservations.insert())
_ADD_SETTLEMENT = Prepared(settlements.insert())
_OPEN_ENTRY = Prepared(
    _OPEN.where(entries.c.id == _of).with_only_columns(*(_OPEN.selected_columns[n] for n in _CARRIED))
)
_DROP_RESERVATION = Prepared(reservations.delete().where(reservations.c.entry == _of))
_NOTE_PREDICTION = Prepared(
    reservations.update()
    .values(prediction=_its, prediction_at=bindparam("at", type_=BigInteger))
    .where(
        reservations.c.entry == _of,
        or_(reservations.c.prediction.is_(None), reservations.c.prediction == _its),
        ~exists().where(settlements.c.prediction == _its),
        ~exists().where(_twin.c.prediction == _its, _twin.c.entry != _of),
    )
)


class UnknownEntry(LookupError):
    """No entry of this id was ever opened."""


class Ledger:
    """The book of what was run for whom. `owner` names this process, so that the next one knows what it left behind."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time, owner: str | None = None) -> None:
        self._store, self._clock = store, clock
        self.owner = owner or uuid.uuid4().hex
        self._abandoned: set[asyncio.Task[None]] = set()

    async def open(self, opening: Opening) -> Reservation:
        """One durable entry for each prediction the call will create: call it before creating any.

        Raises StoreError, and then nothing was opened. A caller cancelled meanwhile leaves nothing reserved.
        """
        rows = list(_rows(opening, self._clock()))

        def add(connection: Connection) -> None:
            for row in rows:
                _ADD_ENTRY.run(connection, **row)
                _ADD_RESERVATION.run(connection, **_journal(row, self.owner))

        ids = tuple(str(row["id"]) for row in rows)
        try:
            await self._store.write(add)
        except asyncio.CancelledError:
            self._abandon(ids)
            raise
        amount = None if opening.reserved is None else opening.reserved * len(ids)
        return Reservation(opening.call, ids, amount)

    async def created(self, entry_id: str, prediction_id: str) -> bool:
        """Notes, durably, which prediction was created for an entry; saying it again changes nothing.

        False when it was too late: the entry is settled, has another prediction, or this one belongs to another entry.
        """
        told = {"of": entry_id, "its": prediction_id, "at": _ms(self._clock())}
        return await self._store.write(lambda connection: _NOTE_PREDICTION.run(connection, **told).rowcount == 1)

    async def settle(self, entry_id: str, settlement: Settlement) -> bool:
        """Closes an entry and lets go of what it held. True if this call did it, False if it was settled before.

        Raises UnknownEntry when there is none of this id.
        """
        now = self._clock()
        return await self._store.write(lambda connection: self._settle(connection, entry_id, settlement, now))

    async def unsettled(self) -> list[Entry]:
        """What other processes opened and no longer look after, oldest first: the journal to recover from."""
        abandoned = or_(reservations.c.lease_until.is_(None), reservations.c.lease_until < _ms(self._clock()))
        found = _OPEN.where(reservations.c.owner != self.owner, abandoned)
        found = found.order_by(entries.c.created_at, entries.c.call, entries.c.seq)
        return [_entry(row) for row in await self._store.read(lambda c: c.execute(found).mappings().all())]

    async def held(self) -> Held:
        """What is reserved now by all processes; nothing, when nothing runs."""
        sums = select(func.count(), func.coalesce(func.sum(reservations.c.amount), 0))
        count, amount = await self._store.read(lambda c: c.execute(sums).one())
        return Held(int(count), int(amount))

    async def usage(self, by: By, first: date | None = None, last: date | None = None) -> list[UsageLine]:
        """What was settled, summed, from the first day to the last (UTC). Days in order, the rest by cost."""
        sums = _sums(by, first, last)
        lines = [_line(row, by) for row in await self._store.read(lambda c: c.execute(sums).mappings().all())]
        return sorted(lines, key=lambda line: line.subject if by == "day" else (-line.cost, line.subject))

    def _settle(self, connection: Connection, entry_id: str, settlement: Settlement, now: float) -> bool:
        row = _OPEN_ENTRY.run(connection, of=entry_id).fetchone()
        # Two processes may come this far; one of them deletes.
        if row is None or _DROP_RESERVATION.run(connection, of=entry_id).rowcount == 0:
            if connection.execute(select(entries.c.id).where(entries.c.id == entry_id)).first() is None:
                raise UnknownEntry(f"the ledger has no entry {entry_id!r}")
            return False
        told = {name: _storable(value) for name, value in msgspec.structs.asdict(settlement).items()}
        line = told | dict(zip(_CARRIED, row, strict=True))
        line["prediction"] = line["prediction"] or told["prediction"]
        _ADD_SETTLEMENT.run(connection, **line, entry=entry_id, owner=self.owner, settled_at=_ms(now))
        return True

    def _abandon(self, ids: Iterable[str]) -> None:
        task = asyncio.create_task(self._settle_abandoned(tuple(ids)))
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned.discard)

    async def _settle_abandoned(self, ids: tuple[str, ...]) -> None:
        for entry_id in ids:
            try:
                await self.settle(entry_id, _ABANDONED)
            except UnknownEntry:
                return  # cancelled before its turn: it was never written


def _rows(opening: Opening, now: float) -> Iterable[dict[str, Any]]:
    common = {
        name: _storable(getattr(opening, name))
        for name in ("call", "key", "kind", "model", "ref", "team", "version", "request", "reserved", "deadline")
    }
    common |= {"created_at": _ms(now), "day": int(now // DAY), "tags": msgspec.json.encode(opening.tags).decode()}
    price = None if opening.price is None else msgspec.json.encode(opening.price).decode()
    for seq, digest in enumerate(opening.digests):
        yield {**common, "id": _new_id(now), "seq": seq, "digest": digest, "price": price}


def _journal(row: Mapping[str, Any], owner: str) -> dict[str, Any]:
    return {"entry": row["id"], "key": row["key"], "team": row["team"], "amount": row["reserved"], "owner": owner}


def _new_id(now: float) -> str:
    # In the order of time, so that new rows go to the end of the table.
    return f"ent_{_ms(now):012x}{secrets.token_hex(10)}"


def _storable(value: object) -> object:
    """What a database can keep of this. Books that refuse an upstream's nonsense would stay open for ever.

    A NUL or half a surrogate pair is replaced; a count or time that is below zero or beyond belief is not known.
    """
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, int | float):
        return value if 0 <= value <= MOST else None
    return value


def _entry(row: RowMapping) -> Entry:
    told = {name: row[name] for name in Entry.__struct_fields__}
    told["created_at"] = row["created_at"] / 1000
    told["prediction_at"] = None if row["prediction_at"] is None else row["prediction_at"] / 1000
    told["tags"] = msgspec.json.decode(row["tags"], type=tuple[str, ...])
    told["price"] = None if row["price"] is None else msgspec.json.decode(row["price"], type=Price)
    return Entry(**told)


def _sums(by: By, first: date | None, last: date | None) -> Select[Any]:
    column, table = settlements.c[by], settlements
    name: ColumnElement[Any] = func.max(keys.c.name) if by == "key" else func.max(column)
    sums = select(
        column.label("subject"),
        name.label("name"),
        func.count().label("predictions"),
        _count(table.c.seq == 0, "calls"),
        _count(table.c.status != "succeeded", "failed"),
        _count(table.c.estimated, "estimated"),
        _count(table.c.cost.is_not(None), "priced"),
        _count(table.c.cost.is_(None), "unpriced"),
        *(func.coalesce(func.sum(table.c[n]), 0).label(n) for n in ("tokens_in", "tokens_out", "images", "cost")),
        func.coalesce(func.sum(table.c.run_seconds), 0.0).label("seconds"),
    ).group_by(column)
    if by == "key":
        sums = sums.select_from(table.outerjoin(keys, keys.c.id == table.c.key))
    if first is not None:
        sums = sums.where(table.c.day >= _day(first))
    if last is not None:
        sums = sums.where(table.c.day <= _day(last))
    return sums


def _day(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _count(condition: ColumnElement[bool], label: str) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0)).label(label)


def _line(row: RowMapping, by: By) -> UsageLine:
    told = {name: int(row[name]) for name in UsageLine.__struct_fields__ if name not in {"subject", "name", "seconds"}}
    subject = str(row["subject"] or "")
    if by == "day":
        subject = datetime.fromtimestamp(row["subject"] * DAY, UTC).date().isoformat()
    name = str(row["name"] or subject) if by == "key" else subject
    return UsageLine(subject=subject, name=name, seconds=float(row["seconds"]), **told)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)

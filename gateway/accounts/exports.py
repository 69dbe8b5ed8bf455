"""The ledger line by line, for other programs: each entry with its settlement, and never a prompt."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, select

from gateway.store.tables import entries, keys, reservations, settlements

DAY = 86_400_000
BATCH = 1000
"""So many rows are in memory at once."""


class LedgerLine(Struct, frozen=True, kw_only=True):
    """One prediction: who asked for what, what became of it, and what it cost in US dollars.

    Its status is `open` until it is settled; moments are ISO 8601 in UTC, durations seconds.
    """

    entry: str
    call: str
    seq: int
    request: str | None
    created_at: str
    key: str
    key_name: str | None
    team: str | None
    tags: tuple[str, ...]
    endpoint: str
    model: str
    ref: str
    version: str | None
    prediction: str | None
    status: str
    error: str | None
    settled_at: str | None
    queue_seconds: float | None
    run_seconds: float | None
    first_token_seconds: float | None
    tokens_in: int | None
    tokens_out: int | None
    estimated: bool | None
    images: int | None
    reserved_usd: float | None
    cost_usd: float | None
    basis: str | None


class Page(Struct, frozen=True, kw_only=True):
    """So many entries after the one of this id, opened from the first day to the last, of a key, a team, a model."""

    limit: int
    after: str | None = None
    first: date | None = None
    last: date | None = None
    key: str | None = None
    team: str | None = None
    model: str | None = None


def page_of(connection: Connection, page: Page) -> list[LedgerLine]:
    """One page of the ledger, oldest first."""
    chosen = _chosen(page.first, page.last).limit(page.limit)
    for name in ("key", "team", "model"):
        if (wanted := getattr(page, name)) is not None:
            chosen = chosen.where(entries.c[name] == wanted)
    if page.after is not None:
        chosen = chosen.where(entries.c.id > page.after)
    return [_line(row) for row in connection.execute(chosen).mappings()]


def ledger_lines(connection: Connection, first: date | None, last: date | None) -> Iterator[LedgerLine]:
    """The entries opened from the first day to the last (UTC, both included), oldest first, as they are read."""
    rows = connection.execution_options(yield_per=BATCH).execute(_chosen(first, last))
    for row in rows.mappings():
        yield _line(row)


def ledger_count(connection: Connection, first: date | None, last: date | None) -> int:
    """How many they are."""
    inner = _chosen(first, last).with_only_columns(entries.c.id).order_by(None).subquery()
    return connection.execute(select(func.count()).select_from(inner)).scalar_one()


def _chosen(first: date | None, last: date | None) -> Select[Any]:
    joined = entries.outerjoin(settlements, settlements.c.entry == entries.c.id)
    joined = joined.outerjoin(reservations, reservations.c.entry == entries.c.id)
    joined = joined.outerjoin(keys, keys.c.id == entries.c.key)
    told = (column for column in settlements.c if column.name in LedgerLine.__struct_fields__)
    own = (column for column in entries.c if column.name in LedgerLine.__struct_fields__)
    columns: dict[str, ColumnElement[Any]] = {column.name: column for column in (*told, *own)}
    columns["prediction"] = func.coalesce(settlements.c.prediction, reservations.c.prediction).label("prediction")
    named = (entries.c.id, keys.c.name, entries.c.kind, entries.c.reserved, settlements.c.cost)
    chosen = select(*columns.values(), *named).select_from(joined).order_by(entries.c.id)
    # An entry's id begins with its millisecond, so that a range of time is a range of the primary key.
    if first is not None:
        chosen = chosen.where(entries.c.id >= _id_at(_midnight(first)))
    if last is not None:
        chosen = chosen.where(entries.c.id < _id_at(_midnight(last) + DAY))
    return chosen


def _line(row: RowMapping) -> LedgerLine:
    told: dict[str, Any] = {name: row[name] for name in LedgerLine.__struct_fields__ if name in row}
    return LedgerLine(
        **{
            **told,
            "entry": row["id"],
            "key_name": row["name"],
            "endpoint": row["kind"],
            "tags": msgspec.json.decode(row["tags"], type=tuple[str, ...]),
            "status": row["status"] or "open",
            "created_at": _iso(row["created_at"]),
            "settled_at": None if row["settled_at"] is None else _iso(row["settled_at"]),
            "reserved_usd": _dollars(row["reserved"]),
            "cost_usd": _dollars(row["cost"]),
        }
    )


def _midnight(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def _id_at(milliseconds: int) -> str:
    return f"ent_{max(0, milliseconds):012x}"


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def _dollars(amount: int | None) -> float | None:
    return None if amount is None else amount / 1_000_000

"""What was settled, summed: kept with each settlement, told by key, team, model, tag or day, and checked against it."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from operator import add
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    RowMapping,
    Select,
    Table,
    case,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    union_all,
)

from gateway.accounts.entries import Settlement, UsageLine
from gateway.store.prepared import Adding
from gateway.store.tables import entries, keys, settlements, tag_totals, teams, totals

DAY = 86_400
By = Literal["key", "team", "model", "tag", "day"]
SUMMED = tuple(str(column.name) for column in totals.c if not column.primary_key)


class Within(Struct, frozen=True, kw_only=True):
    """What sums are held to: days (UTC, both included), a key's id, a team, a model's name; or days and a tag."""

    first: date | None = None
    last: date | None = None
    key: str | None = None
    team: str | None = None
    model: str | None = None
    tag: str | None = None


class Difference(Struct, frozen=True, kw_only=True):
    """A sum that is not that of its settlements, and by how much it is too low."""

    table: str
    day: date
    subject: tuple[str, ...]
    missing: Mapping[str, int]


def _adding(table: Table) -> Adding:
    kept = ", ".join(column.name for column in table.primary_key)
    added = ", ".join(f"{name} = {table.name}.{name} + excluded.{name}" for name in SUMMED)
    return Adding(table, conflict=f"({kept}) DO UPDATE SET {added}")


_ADD, _ADD_TAG = _adding(totals), _adding(tag_totals)
Summed = tuple[int, ...]
"""In the order of `SUMMED`."""


class Sums:
    """What new lines of the settlements add, for the transaction that writes the lines."""

    def __init__(self) -> None:
        self._lines: dict[tuple[Any, ...], Summed] = {}
        self._tags: dict[tuple[Any, ...], Summed] = {}

    def add(self, of: tuple[int, str, str, str], more: Summed, tags: Iterable[str]) -> None:
        """One more line, of this day, key, team (empty where there is none) and model."""
        _add(self._lines, of, more)
        for tag in set(tags):
            _add(self._tags, (tag, of[0]), more)

    def write(self, connection: Connection) -> None:
        """All of it into the books."""
        for add_all, sums in ((_ADD, self._lines), (_ADD_TAG, self._tags)):
            add_all.run(connection, [(*of, *added) for of, added in sums.items()])


def _add(sums: dict[tuple[Any, ...], Summed], of: tuple[Any, ...], more: Summed) -> None:
    before = sums.get(of)
    sums[of] = tuple(map(add, before, more)) if before else more


def summed(seq: int, settlement: Settlement) -> Summed:
    """What a settlement adds; `seq` is the number of its entry within its call."""
    cost = settlement.cost
    return (
        int(seq == 0),
        1,
        int(settlement.status != "succeeded"),
        int(settlement.estimated),
        int(cost is not None),
        settlement.tokens_in or 0,
        settlement.tokens_out or 0,
        settlement.images or 0,
        int((settlement.run_seconds or 0) * 1_000_000 + 0.5),
        cost or 0,
    )


def told(connection: Connection, by: By, within: Within) -> list[UsageLine]:
    """The sums, by days in order, else the dearest first. Raises ValueError for a tag held to more than days."""
    lines = [_line(row, by) for row in connection.execute(_sums(by, within)).mappings()]
    return sorted(lines, key=lambda line: line.subject if by == "day" else (-line.cost, line.subject))


def days(connection: Connection, first: int = 0) -> list[int]:
    """Every day from the first on that has a settlement or a sum."""
    every = union_all(*(select(table.c.day).distinct() for table in (settlements, totals, tag_totals))).subquery()
    return sorted(connection.execute(select(every.c.day).distinct().where(every.c.day >= first)).scalars())


def differences(connection: Connection, day: int) -> list[Difference]:
    """What the sums of a day lack of its settlements, or have too much; nothing, when the books are right."""
    return [
        Difference(
            table=str(table.name),
            day=date_of(day),
            subject=tuple(str(row[column.name]) for column in _subjects(table)),
            missing={name: int(row[name]) for name in SUMMED if row[name]},
        )
        for table in (totals, tag_totals)
        # In one statement, so that both sides are seen at one moment.
        for row in connection.execute(_compared(connection, table, day)).mappings()
    ]


def rebuild(connection: Connection, day: int) -> None:
    """Makes the sums of a day anew from its settlements."""
    for table in (totals, tag_totals):
        subjects = _subjects(table)
        lines = _counted(connection, table, day).subquery()
        sums = select(literal(day).label("day"), *(lines.c[each.name] for each in subjects), *_added(lines))
        sums = sums.group_by(*(lines.c[each.name] for each in subjects))
        names = ["day", *(each.name for each in subjects), *SUMMED]
        connection.execute(delete(table).where(table.c.day == day))
        connection.execute(table.insert().from_select(names, sums))


def day_number(day: date) -> int:
    """Days since 1970-01-01, as the books count them."""
    return (day - date(1970, 1, 1)).days


def _sums(by: By, within: Within) -> Select[Any]:
    table = tag_totals if by == "tag" or within.tag is not None else totals
    if table is tag_totals and (by not in {"tag", "day"} or within.key or within.team or within.model):
        raise ValueError("a tag's sums are told by day only, and not by key, team or model")
    chosen = table.select()
    if within.first is not None:
        chosen = chosen.where(table.c.day >= day_number(within.first))
    if within.last is not None:
        chosen = chosen.where(table.c.day <= day_number(within.last))
    for name in ("key", "team", "model", "tag"):
        if (subject := getattr(within, name)) is not None:
            chosen = chosen.where(table.c[name] == subject)
    lines = chosen.subquery()
    sums = select(lines.c[by].label("subject"), *_added(lines)).group_by(lines.c[by]).subquery()
    named = {"key": keys, "team": teams}.get(by)
    if named is None:
        return select(*sums.c, literal(None).label("name"))
    return select(*sums.c, named.c.name).select_from(sums.outerjoin(named, named.c.id == sums.c.subject))


def _subjects(table: Table) -> list[ColumnElement[Any]]:
    return [column for column in table.primary_key if column.name != "day"]


def _added(lines: FromClause) -> list[ColumnElement[Any]]:
    return [cast(func.sum(lines.c[name]), BigInteger).label(name) for name in SUMMED]


def _compared(connection: Connection, table: Table, day: int) -> Select[Any]:
    subjects = [column.name for column in _subjects(table)]
    kept = select(*_subjects(table), *((-table.c[name]).label(name) for name in SUMMED)).where(table.c.day == day)
    both = union_all(_counted(connection, table, day), kept).subquery()
    sums = select(*(both.c[name] for name in subjects), *_added(both)).group_by(*(both.c[name] for name in subjects))
    wrong = sums.subquery()
    return select(wrong).where(or_(*(wrong.c[name] != 0 for name in SUMMED)))


def _counted(connection: Connection, table: Table, day: int) -> Select[Any]:
    """What each settlement of a day adds to which line of a table."""
    line = settlements
    adds: list[ColumnElement[Any]] = [
        case((line.c.seq == 0, 1), else_=0),
        literal(1),
        case((line.c.status != "succeeded", 1), else_=0),
        case((line.c.estimated, 1), else_=0),
        case((line.c.cost.is_not(None), 1), else_=0),
        *(func.coalesce(line.c[name], 0) for name in ("tokens_in", "tokens_out", "images")),
        func.coalesce(cast(_floor(connection, line.c.run_seconds * 1_000_000 + 0.5), BigInteger), 0),
        func.coalesce(line.c.cost, 0),
    ]
    labelled = [each.label(name) for each, name in zip(adds, SUMMED, strict=True)]
    if table is totals:
        team = func.coalesce(line.c.team, "").label("team")
        return select(line.c.key, team, line.c.model, *labelled).where(line.c.day == day)
    tags = _tags(connection, day)
    tagged = line.join(tags, tags.c.id == line.c.entry)
    return select(tags.c.tag, *labelled).select_from(tagged).where(line.c.day == day)


def _floor(connection: Connection, number: ColumnElement[Any]) -> ColumnElement[Any]:
    # SQLite's CAST cuts off, as Python's int() does, and its floor() need not be there; PostgreSQL's CAST rounds.
    return func.floor(number) if connection.dialect.name == "postgresql" else number


def _tags(connection: Connection, day: int) -> FromClause:
    """The settled entries of a day with each of their tags, once."""
    if connection.dialect.name == "postgresql":
        value: Any = func.json_array_elements_text(cast(entries.c.tags, JSON)).table_valued("value")
    else:
        value = func.json_each(entries.c.tags).table_valued("value")
    tagged = select(entries.c.id, value.c.value.label("tag")).select_from(
        settlements.join(entries, entries.c.id == settlements.c.entry).join(value, literal(value=True))
    )
    return tagged.where(settlements.c.day == day, entries.c.tags != "[]").distinct().subquery()


def _line(row: RowMapping, by: By) -> UsageLine:
    told = {name: int(row[name]) for name in SUMMED}
    seconds = told.pop("run_micros") / 1_000_000
    subject = date_of(row["subject"]).isoformat() if by == "day" else str(row["subject"])
    unpriced = told["predictions"] - told["priced"]
    return UsageLine(subject=subject, name=str(row["name"] or subject), seconds=seconds, unpriced=unpriced, **told)


def date_of(day: int) -> date:
    """The day of this number."""
    return datetime.fromtimestamp(day * DAY, UTC).date()

"""Postings: what the ledger writes into the books, inside of the store's transactions, many lines in one go."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, astuple
from sqlalchemy import (
    BigInteger,
    BindParameter,
    CompoundSelect,
    Connection,
    Select,
    String,
    bindparam,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.sql.dml import ReturningDelete

from gateway.accounts.entries import Opening, Settlement
from gateway.accounts.holds import Booked, Hold, Holds
from gateway.accounts.journaling import Created, Line, Opened, Settled, UnknownEntry
from gateway.accounts.moments import milliseconds
from gateway.accounts.notices import write_notices
from gateway.accounts.spending import usd
from gateway.accounts.tallies import Tally
from gateway.accounts.totals import Sums
from gateway.errors import BudgetSpent, Unforeseen
from gateway.store.clocks import now_ms
from gateway.store.prepared import Prepared, Several, adding
from gateway.store.tables import entries, reservations, settlements

MOST, LONGEST = 2**43, 2.0**25
"""Counts and amounts above this, and seconds, are none; what sums them up never overflows."""

_REMEMBERED = 10_000

Ids = Sequence[BindParameter[str]]

_OF_ENTRY = ("seq", "key", "team", "model", "day")
"""What a settlement repeats of its entry, so that sums read one table."""


def _concerning(ids: Ids, predictions: Ids) -> CompoundSelect[Any]:
    """Who has these entries and predictions; a settlement, where no entry is told."""
    left = select(reservations.c.entry, reservations.c.prediction)
    left = left.where(or_(reservations.c.entry.in_(ids), reservations.c.prediction.in_(predictions)))
    return union_all(left, select(null(), settlements.c.prediction).where(settlements.c.prediction.in_(predictions)))


def _dropping(ids: Ids) -> ReturningDelete[Any]:
    told = (reservations.c.entry, reservations.c.prediction, reservations.c.prediction_at)
    return reservations.delete().where(reservations.c.entry.in_(ids)).returning(*told)


_FACTS = (*_OF_ENTRY, "ref", "reserved", "tags")
_facts = itemgetter(*_FACTS)


def _reading(ids: Ids) -> Select[Any]:
    return select(entries.c.id, *(entries.c[name] for name in _FACTS)).where(entries.c.id.in_(ids))


_CONCERNED, _DROP_RESERVATIONS, _READ_ENTRIES = Several(_concerning), Several(_dropping), Several(_reading)
_ADD_ENTRY = adding(entries, "(id) DO NOTHING")
_ADD_RESERVATION = Prepared(
    # Of the row of its entry, and what else is told.
    reservations.insert().values(
        entry=bindparam("id", type_=String),
        amount=bindparam("reserved", type_=BigInteger),
        lease_until=now_ms() + bindparam("lease", type_=BigInteger),
        **{name: bindparam(name, type_=String) for name in ("key", "team", "owner", "leave")},
    )
)
_ADD_SETTLEMENT = Prepared(settlements.insert())
_NOTE_PREDICTION = Prepared(
    reservations.update()
    .values(prediction=bindparam("its", type_=String), prediction_at=bindparam("at", type_=BigInteger))
    .where(reservations.c.entry == bindparam("of", type_=String))
)


class Admission(Struct, frozen=True):
    """A call that wants entries of these ids, as of a unix time."""

    opening: Opening
    ids: tuple[str, ...]
    at: float

    @property
    def subjects(self) -> tuple[str, ...]:
        """The entries and predictions that it is about."""
        return self.ids


class Postings:
    """Entries, reservations and settlements, each with what it changes of sums and budgets."""

    def __init__(self, owner: str, lease_ms: int | None, holds: Holds) -> None:
        self.owner, self.lease, self.holds = owner, lease_ms, holds
        # Entries never change, so those that were opened here need not be read again.
        self._opened: dict[str, Sequence[Any]] = {}

    def post(self, connection: Connection, lines: Sequence[Admission | Line]) -> list[Hold | bool | Exception]:
        """Writes what happened, and what is admitted. Of each line its hold, or whether it changed something: one that
        is there changes nothing; or BudgetSpent, Unforeseen, UnknownEntry."""
        told: list[Hold | bool | Exception] = []
        for some in _apart(lines):
            told += _Batch(self, connection).post(some)
        return told

    def remember(self, row: Mapping[str, Any]) -> None:
        """This entry is soon to be settled."""
        if len(self._opened) >= _REMEMBERED:
            self._opened.clear()
        self._opened[row["id"]] = _facts(row)

    def facts(self, connection: Connection, ids: Collection[str]) -> dict[str, Sequence[Any]]:
        """What sums and budgets need to know of those of these entries that there are."""
        known = {id: self._opened.pop(id) for id in ids if id in self._opened}
        if left := [(id,) for id in ids if id not in known]:
            known |= {id: rest for id, *rest in _READ_ENTRIES.run(connection, left)}
        return known


class _Batch:
    """Lines that are posted in one go: read for together, then written together."""

    def __init__(self, postings: Postings, connection: Connection) -> None:
        self._postings, self._connection, self._holds = postings, connection, postings.holds
        self._tally = Tally(connection)
        self._entries, self._settlements, self._sums = list[dict[str, Any]](), list[dict[str, Any]](), Sums()

    def post(self, lines: Sequence[Admission | Line]) -> list[Hold | bool | Exception]:
        """In an order of its own: what was spent and given back counts for who is admitted in the same batch."""
        told: dict[int, Hold | bool | Exception] = {}
        sorts: dict[type, list[Any]] = defaultdict(list)
        for line in lines:
            sorts[type(line)].append(line)
        for sort, post in (
            (Opened, self._opened),
            (Created, self._created),
            (Settled, self._settled),
            (Admission, self._admitted),
        ):
            if some := sorts[sort]:
                told |= zip(map(id, some), post(some), strict=True)
        self._write()
        return [told[id(line)] for line in lines]

    def _admitted(self, lines: Sequence[Admission]) -> list[Hold | Exception]:
        self._need((line.opening.key, line.opening.team) for line in lines)
        return [self._admit(line) for line in lines]

    def _admit(self, asked: Admission) -> Hold | Exception:
        try:
            hold = self._holds.hold(self._connection, self._tally, asked.opening, asked.at)
        except (BudgetSpent, Unforeseen) as refused:
            return refused
        for row in rows_of(asked.opening, asked.ids, hold, asked.at):
            self._postings.remember(row)
            self._add(row, self._postings.owner, asked.opening.leave)
        return hold

    def _opened(self, lines: Sequence[Opened]) -> list[bool]:
        """What was admitted while nobody could be asked."""
        every = [(line, row) for line in lines for row in line.rows]
        there = {row[0] for row in _READ_ENTRIES.run(self._connection, [(row["id"],) for _, row in every])}
        self._need((row["key"], row["team"]) for _, row in every)
        for line, row in every:
            if row["id"] not in there:
                self._add(row, line.owner, line.leave)
                self._holds.add(self._connection, self._tally, _booked(row, row["ref"], row["reserved"]))
        return [True for _ in lines]

    def _created(self, lines: Sequence[Created]) -> list[bool]:
        found = _CONCERNED.run(self._connection, [(line.entry, line.prediction) for line in lines])
        left = {entry: prediction for entry, prediction in found if entry}
        owners = {prediction: entry or "" for entry, prediction in sorted(found, key=lambda row: row[0] is None)}
        ours = [
            left.get(line.entry, "") in {None, line.prediction}
            and owners.get(line.prediction, line.entry) == line.entry
            for line in lines
        ]
        new = [line for line, its in zip(lines, ours, strict=True) if its and left[line.entry] is None]
        _NOTE_PREDICTION.run_each(self._connection, [{"of": o.entry, "its": o.prediction, "at": o.at} for o in new])
        return ours

    def _settled(self, lines: Sequence[Settled]) -> list[bool | Exception]:
        ids = [(line.entry,) for line in lines]
        # Two processes may come this far; one of them deletes.
        dropped = {entry: rest for entry, *rest in _DROP_RESERVATIONS.run(self._connection, ids)}
        # Of one that was not open, the books alone can tell whether there ever was any.
        known = self._postings.facts(self._connection, dropped.keys())
        if unsure := [(line.entry,) for line in lines if line.entry not in dropped]:
            known |= {entry: rest for entry, *rest in _READ_ENTRIES.run(self._connection, unsure)}
        self._need((rest[1], rest[2]) for rest in known.values())
        for line in lines:
            if line.entry in dropped:
                self._settle(line, known[line.entry], *dropped[line.entry])
        return [line.entry in dropped if line.entry in known else _unknown(line) for line in lines]

    def _settle(self, told: Settled, entry: Sequence[Any], prediction: str | None, at: int | None) -> None:
        """One settlement; `prediction` was noted `at` that time, if it was."""
        *carried, ref, held, tags = entry
        row = asdict(told.settlement) | dict(zip(_OF_ENTRY, carried, strict=True))
        row["prediction"], row["prediction_at"] = prediction or row["prediction"], at
        if row["cost"] is None and held is not None:
            row["basis"] += f"; the {usd(held)} USD held for it count"
        row |= {"entry": told.entry, "owner": self._postings.owner, "settled_at": milliseconds(told.at)}
        self._settlements.append(row)
        self._sums.add(row, () if tags == "[]" else msgspec.json.decode(tags, type=list[str]))
        if not self._tally.empty:
            crossed = self._holds.book(self._connection, self._tally, _booked(row, ref, held), row["cost"])
            write_notices(self._connection, crossed, told.at)

    def _need(self, whose: Iterable[tuple[str, str | None]]) -> None:
        """The budgets of these keys and teams are at hand."""
        self._tally.read({(self._holds.root(self._connection, key), team) for key, team in whose})

    def _add(self, row: dict[str, Any], owner: str, leave: str) -> None:
        self._entries.append({**row, "owner": owner, "leave": leave, "lease": self._postings.lease})

    def _write(self) -> None:
        _ADD_ENTRY.run_each(self._connection, self._entries)
        _ADD_RESERVATION.run_each(self._connection, self._entries)
        _ADD_SETTLEMENT.run_each(self._connection, self._settlements)
        self._sums.write(self._connection)
        self._tally.write()


def rows_of(opening: Opening, ids: Sequence[str], hold: Hold, now: float) -> Iterable[dict[str, Any]]:
    """The entries of a call, as rows."""
    tags = [storable(tag) for tag in dict.fromkeys(opening.tags)]
    common = {
        "call": opening.call,
        "key": opening.key,
        "team": opening.team,
        "kind": _word(opening.kind),
        "model": _word(opening.model),
        "ref": _word(opening.ref),
        "version": opening.version and _word(opening.version),
        "request": storable(opening.request),
        "tags": msgspec.json.encode(tags).decode() if tags else "[]",
        "price": None if opening.price is None else msgspec.json.encode(opening.price).decode(),
        "deadline": opening.deadline,
        "created_at": milliseconds(now),
        "day": hold.day,
    }
    for seq, (id, digest, reserved) in enumerate(zip(ids, opening.digests, hold.amounts, strict=True), opening.first):
        yield {**common, "seq": seq, "id": id, "digest": digest, "reserved": reserved}


def storable(value: Any) -> Any:
    """What a database can keep of this. Books that refuse an upstream's nonsense would stay open for ever.

    A NUL or half a surrogate pair is replaced; a count or time that is below zero or beyond belief is not known.
    """
    if isinstance(value, str):
        if value.isascii() and "\0" not in value:
            return value
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float):
        return value if 0 <= value <= LONGEST else None
    if isinstance(value, int):
        return value if 0 <= value <= MOST else None
    return value


def kept(settlement: Settlement) -> Settlement:
    """The settlement as a database can keep it: mostly just as it is, which is seen at a glance."""
    told = astuple(settlement)
    words = "".join([each for each in told if isinstance(each, str)])
    numbers = [each for each in told if each is not None and not isinstance(each, str)]
    if words.isascii() and "\0" not in words and min(numbers) >= 0 and max(numbers) <= LONGEST:
        return settlement
    return Settlement(**{name: storable(value) for name, value in asdict(settlement).items()})


@lru_cache(maxsize=1000)
def _word(word: str) -> str:
    """One of those that come again and again."""
    kept: str = storable(word)
    return kept


def _apart(lines: Sequence[Admission | Line]) -> Iterator[list[Admission | Line]]:
    """Lines that can be posted in one go, in any order: no two are about the same entry or prediction."""
    every = [subject for line in lines for subject in line.subjects]
    if len(set(every)) == len(every):
        yield list(lines)
        return
    some, subjects = list[Admission | Line](), set[str]()
    for line in lines:
        about = line.subjects
        if not subjects.isdisjoint(about):
            yield some
            some, subjects = [], set()
        some.append(line)
        subjects.update(about)
    if some:
        yield some


def _booked(line: Mapping[str, Any], ref: str, held: int | None) -> Booked:
    return Booked(line["key"], line["team"], line["model"], line["day"], ref, held or 0)


def _unknown(line: Settled) -> UnknownEntry:
    return UnknownEntry(f"the ledger has no entry {line.entry!r}")

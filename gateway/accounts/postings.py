"""Postings: what the ledger writes into the books, inside of the store's transactions, many lines in one go."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import (
    BindParameter,
    CompoundSelect,
    Connection,
    Select,
    TextClause,
    null,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.sql.dml import ReturningDelete

from gateway.accounts.entries import Opening
from gateway.accounts.holds import Booked, Hold, Holds
from gateway.accounts.journaling import Created, Line, Opened, Settled, UnknownEntry
from gateway.accounts.moments import milliseconds
from gateway.accounts.notices import write_notices
from gateway.accounts.rows import COLUMNS, Row, row_of, rows
from gateway.accounts.spending import usd
from gateway.accounts.tallies import Tally
from gateway.accounts.totals import Sums, summed
from gateway.errors import BudgetSpent, Unforeseen
from gateway.store.clocks import now_ms
from gateway.store.prepared import Adding, Several
from gateway.store.tables import entries, reservations, settlements

_REMEMBERED = 10_000

Ids = Sequence[BindParameter[str]]


def _concerning(ids: Ids, predictions: Ids) -> CompoundSelect[Any]:
    """Who has these entries and predictions; a settlement, where no entry is told."""
    left = select(reservations.c.entry, reservations.c.prediction)
    left = left.where(or_(reservations.c.entry.in_(ids), reservations.c.prediction.in_(predictions)))
    return union_all(left, select(null(), settlements.c.prediction).where(settlements.c.prediction.in_(predictions)))


def _noting(ids: Ids, predictions: Ids, ats: Ids) -> TextClause:
    """Notes these predictions for the entries that have none, where nobody else has them."""
    told = ", ".join(f"(:{id.key}, :{its.key}, :{at.key})" for id, its, at in zip(ids, predictions, ats, strict=True))
    return text(f"""
        UPDATE reservations SET prediction = told.column2, prediction_at = told.column3
        FROM (VALUES {told}) AS told WHERE entry = told.column1 AND prediction IS NULL
        AND NOT EXISTS (SELECT 1 FROM reservations AS other WHERE other.prediction = told.column2)
        AND NOT EXISTS (SELECT 1 FROM settlements WHERE settlements.prediction = told.column2) RETURNING entry
    """)  # noqa: S608 - names of parameters


def _dropping(ids: Ids) -> ReturningDelete[Any]:
    told = (reservations.c.entry, reservations.c.prediction, reservations.c.prediction_at)
    return reservations.delete().where(reservations.c.entry.in_(ids)).returning(*told)


_FACTS = ("seq", "key", "team", "model", "day", "ref", "reserved", "tags")
"""Of an entry, what its settlement repeats, so that sums read one table, and what budgets and tags need."""
_facts = itemgetter(*map(COLUMNS.index, _FACTS))
_held = itemgetter(*map(COLUMNS.index, ("id", "key", "team", "reserved")))


def _reading(ids: Ids) -> Select[Any]:
    return select(entries.c.id, *(entries.c[name] for name in _FACTS)).where(entries.c.id.in_(ids))


_CONCERNED, _NOTE_PREDICTIONS = Several(_concerning), Several(_noting)
_DROP_RESERVATIONS, _READ_ENTRIES = Several(_dropping), Several(_reading)
_ADD_ENTRIES = Adding(entries, conflict="(id) DO NOTHING")
_ADD_RESERVATIONS = Adding(
    reservations, ("entry", "key", "team", "amount", "owner", "leave", "lease_until"), since={"lease_until": now_ms()}
)
_ADD_SETTLEMENTS = Adding(settlements)


class Admission(Struct, frozen=True, gc=False):
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

    def remember(self, row: Row) -> None:
        """This entry is soon to be settled."""
        if len(self._opened) >= _REMEMBERED:
            self._opened.clear()
        self._opened[row[0]] = _facts(row)

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
        self._entries, self._reservations, self._settlements = list[Row](), list[Row](), list[Row]()
        self._sums = Sums()

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
        for row in rows(asked.opening, asked.ids, hold, asked.at):
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
                self._add(row_of(row), line.owner, line.leave)
                self._holds.add(self._connection, self._tally, _booked(_facts(row_of(row))))
        return [True for _ in lines]

    def _created(self, lines: Sequence[Created]) -> list[bool]:
        told = [(line.entry, line.prediction, line.at) for line in lines]
        ours = {entry for (entry,) in _NOTE_PREDICTIONS.run(self._connection, told)}
        if len(ours) < len(lines):
            ours |= self._noted_before([line for line in lines if line.entry not in ours])
        return [line.entry in ours for line in lines]

    def _noted_before(self, lines: Sequence[Created]) -> set[str]:
        """The entries that these lines tell nothing new of."""
        found = _CONCERNED.run(self._connection, [(line.entry, line.prediction) for line in lines])
        left = {entry: prediction for entry, prediction in found if entry}
        owners = {prediction: entry for entry, prediction in sorted(found, key=lambda row: row[0] is None)}
        same = [line for line in lines if left.get(line.entry) == line.prediction]
        return {line.entry for line in same if owners[line.prediction] == line.entry}

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
        seq, key, team, model, day, _, held, tags = entry
        its, cost, basis = told.settlement, told.settlement.cost, told.settlement.basis
        if cost is None and held is not None:
            basis += f"; the {usd(held)} USD held for it count"
        said = (prediction or its.prediction, its.status, its.error, at, milliseconds(told.at))
        took = (its.queue_seconds, its.run_seconds, its.first_token_seconds)
        made = (its.tokens_in, its.tokens_out, its.estimated, its.images)
        self._settlements.append(
            (told.entry, seq, key, team, model, day, *said, *took, *made, cost, basis, self._postings.owner)
        )
        bears = () if tags == "[]" else msgspec.json.decode(tags, type=list[str])
        self._sums.add((day, key, team or "", model), summed(seq, its), bears)
        if not self._tally.empty:
            crossed = self._holds.book(self._connection, self._tally, _booked(entry), cost)
            write_notices(self._connection, crossed, told.at)

    def _need(self, whose: Iterable[tuple[str, str | None]]) -> None:
        """The budgets of these keys and teams are at hand."""
        self._tally.read({(self._holds.root(self._connection, key), team) for key, team in whose})

    def _add(self, row: Row, owner: str, leave: str) -> None:
        self._entries.append(row)
        self._reservations.append((*_held(row), owner, leave, self._postings.lease))

    def _write(self) -> None:
        _ADD_ENTRIES.run(self._connection, self._entries)
        _ADD_RESERVATIONS.run(self._connection, self._reservations)
        _ADD_SETTLEMENTS.run(self._connection, self._settlements)
        self._sums.write(self._connection)
        self._tally.write()


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


def _booked(entry: Sequence[Any]) -> Booked:
    _, key, team, model, day, ref, held, _ = entry
    return Booked(key, team, model, day, ref, held or 0)


def _unknown(line: Settled) -> UnknownEntry:
    return UnknownEntry(f"the ledger has no entry {line.entry!r}")

"""Statements of the hot path: compiled once per dialect, run on the driver's own cursor.

SQLAlchemy works out a statement's cache key and wraps its result each time, which costs more than SQLite itself does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from operator import itemgetter
from typing import Any, Protocol

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Delete,
    Dialect,
    Insert,
    Select,
    String,
    Table,
    TextClause,
    Update,
    bindparam,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import ReturningDelete

Statement = Insert | Update | Delete | Select[Any] | CompoundSelect[Any] | ReturningDelete[Any] | TextClause
Row = tuple[Any, ...]
Order = Callable[[Mapping[str, Any]], Row]
"""Values by their names in the order of a statement whose parameters have none."""

AT_ONCE = 256
"""So many values fit into one statement."""

ROWS_AT_ONCE = 64
"""So many rows."""


class Cursor(Protocol):
    """What both drivers' cursors have."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Row | None: ...
    def fetchall(self) -> list[Row]: ...


class Prepared:
    """A statement with named parameters; those that are not given are NULL. `columns` are those that an INSERT sets
    beside the ones it has expressions for; without expressions it sets all."""

    def __init__(self, statement: Statement, columns: Sequence[str] | None = None) -> None:
        self._statement, self._columns = statement, columns
        self._compiled: dict[str, tuple[str, dict[str, Any], Order | None]] = {}

    def run(self, connection: Connection, **values: Any) -> Cursor:
        """The driver's cursor after this statement. Raises SQLAlchemy's errors, as any statement does."""
        return self.run_with(connection, values)

    def run_with(self, connection: Connection, values: Mapping[str, Any]) -> Cursor:
        """The same with values whose names are no words of Python's."""
        told, nothing, order = self._in(connection.dialect)
        named = {**nothing, **values}
        with _driving(connection, told) as raw:
            cursor: Cursor = raw.execute(told, named if order is None else order(named))
        return cursor

    def run_each(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """This statement once for each of these, in which no parameter is missing. Raises SQLAlchemy's errors."""
        if not rows:
            return
        told, _, order = self._in(connection.dialect)
        with _driving(connection, told) as raw:
            raw.cursor().executemany(told, rows if order is None else list(map(order, rows)))

    def _in(self, dialect: Dialect) -> tuple[str, dict[str, Any], Order | None]:
        """The text, its parameters as they are where none is given, and their order where they have no names."""
        known = self._compiled.get(dialect.name)
        if known is None:
            compiled: Any = self._statement.compile(dialect=dialect, column_keys=self._columns)
            order: list[str] | None = getattr(compiled, "positiontup", None)
            known = str(compiled), dict(compiled.params), None if order is None else _getter(order)
            self._compiled[dialect.name] = known
        return known


class Several:
    """A statement about several subjects at once. `make` is told as many parameters as there are subjects, one list of
    them for each thing that is known of a subject.

    There is a text for each power of two, and the last subject fills it up: few texts stay prepared.
    """

    def __init__(self, make: Callable[..., Statement]) -> None:
        self._make = make
        self._sizes: dict[tuple[int, int], tuple[Prepared, list[str]]] = {}

    def run(self, connection: Connection, subjects: Sequence[Row]) -> list[Row]:
        """All rows that it finds, or changed. Raises SQLAlchemy's errors."""
        found: list[Row] = []
        for start in range(0, len(subjects), AT_ONCE):
            some = subjects[start : start + AT_ONCE]
            size = 1 << (len(some) - 1).bit_length()
            filled = [*some, *[some[-1]] * (size - len(some))]
            statement, names = self._of(size, len(some[0]))
            found += statement.run_with(connection, dict(zip(names, chain(*filled), strict=True))).fetchall()
        return found

    def _of(self, size: int, width: int) -> tuple[Prepared, list[str]]:
        """The statement for so many, and the names of its parameters, subject by subject."""
        known = self._sizes.get((size, width))
        if known is None:
            told = [[bindparam(f"p{which}_{each}", type_=String()) for each in range(size)] for which in range(width)]
            names = [str(one.key) for subject in zip(*told, strict=True) for one in subject]
            known = self._sizes[size, width] = Prepared(self._make(*told)), names
        return known


class Adding:
    """An INSERT of several rows, each told as a tuple in the order of `columns`, with what to do ON CONFLICT, which
    both dialects spell alike. Of the columns in `since`, what is told is added to what stands there.

    One statement adds many rows, for the interpreter is handed to other threads with each. There is a text for each
    power of two: few texts stay prepared.
    """

    def __init__(
        self,
        table: Table,
        columns: Sequence[str] = (),
        conflict: str = "",
        since: Mapping[str, ColumnElement[Any]] | None = None,
    ) -> None:
        self._table, self._conflict, self._since = table.name, conflict, since or {}
        self._columns = tuple(columns) or tuple(str(column.name) for column in table.c)
        self._texts: dict[tuple[str, int], str] = {}

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Adds all of these rows. Raises SQLAlchemy's errors."""
        start, dialect = 0, connection.dialect
        while left := len(rows) - start:
            size = min(ROWS_AT_ONCE, 1 << left.bit_length() - 1)
            told = self._texts.get((dialect.name, size)) or self._text(dialect, size)
            with _driving(connection, told) as raw:
                raw.execute(told, tuple(chain.from_iterable(rows[start : start + size])))
            start += size

    def _text(self, dialect: Dialect, size: int) -> str:
        mark = "?" if dialect.paramstyle == "qmark" else "%s"
        since = {name: str(expression.compile(dialect=dialect)) for name, expression in self._since.items()}
        values = ", ".join(f"{since[name]} + {mark}" if name in since else mark for name in self._columns)
        rows = ", ".join([f"({values})"] * size)
        told = f"INSERT INTO {self._table} ({', '.join(self._columns)}) VALUES {rows}"  # noqa: S608 - ours
        if self._conflict:
            told += f" ON CONFLICT {self._conflict}"
        return self._texts.setdefault((dialect.name, size), told)


def _getter(names: Sequence[str]) -> Order:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple(values[name] for name in names)


@contextmanager
def _driving(connection: Connection, told: str) -> Iterator[Any]:
    """The driver's own connection, its errors as SQLAlchemy's."""
    dialect = connection.dialect
    errors: Any = dialect.loaded_dbapi
    try:
        yield connection.connection.driver_connection
    except errors.Error as wrong:
        # What SQLAlchemy does around its own cursors, without the values: they may be secret.
        raise DBAPIError.instance(told, None, wrong, errors.Error, hide_parameters=True, dialect=dialect) from wrong

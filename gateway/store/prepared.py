"""Statements of the hot path: compiled once per dialect, run on the driver's own cursor.

SQLAlchemy works out a statement's cache key and wraps its result each time, which costs more than SQLite itself does.
"""

from typing import Any, Protocol

from sqlalchemy import Connection, Delete, Insert, Select, TextClause, Update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler


class Cursor(Protocol):
    """What both drivers' cursors have."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> tuple[Any, ...] | None: ...


class Prepared:
    """A statement with named parameters; those that are not given are NULL."""

    def __init__(self, statement: Insert | Update | Delete | Select[Any] | TextClause) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, SQLCompiler]] = {}

    def run(self, connection: Connection, **values: Any) -> Cursor:
        """The driver's cursor after this statement. Raises SQLAlchemy's errors, as any statement does."""
        dialect = connection.dialect
        if dialect.name not in self._compiled:
            compiled = self._statement.compile(dialect=dialect)
            self._compiled[dialect.name] = (str(compiled), compiled)
        text, compiled = self._compiled[dialect.name]
        named = {**compiled.params, **values}
        order: list[str] | None = getattr(compiled, "positiontup", None)
        raw: Any = connection.connection.driver_connection
        errors: Any = dialect.loaded_dbapi
        try:
            cursor: Cursor = raw.execute(text, named if order is None else tuple(named[name] for name in order))
        except errors.Error as wrong:
            # What SQLAlchemy does around its own cursors, without the values: they may be secret.
            raise DBAPIError.instance(text, None, wrong, errors.Error, hide_parameters=True, dialect=dialect) from wrong
        return cursor

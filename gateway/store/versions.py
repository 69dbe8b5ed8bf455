"""Brings the tables up to date when the store is opened, one process at a time."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import structlog
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from gateway.store.making import make
from gateway.store.tables import NEWEST

log = structlog.get_logger()

Progress = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and of how much."""

# PostgreSQL's locks are named by a number: any will do that nothing else in the database uses.
_LOCK = 7_370_617_465
PATIENCE_SECONDS = 600
"""How long one waits for another that brings the same books up to date: a large ledger takes its time."""


def bring_up(engine: Engine, progress: Progress | None = None) -> str | None:
    """Runs the migrations that are due, in one transaction that others wait for; gives the form the books had. Empty
    books are made as the migrations would leave them.

    Raises ConfigError when the books are of a newer form than this program knows.
    """
    if seen(engine) == NEWEST:
        return NEWEST
    with _patient(engine), engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE_SECONDS}s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        found = version(connection)
        if found is None:
            make(connection)
        elif found != NEWEST:
            # Imported late: only books of an older form should pay for it.
            from gateway.store.upgrading import upgrade  # noqa: PLC0415

            upgrade(connection, progress or _logged)
        return found


def version(connection: Connection) -> str | None:
    """The migration the books are at; None for empty ones."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def seen(engine: Engine) -> str | None:
    """The form, read without waiting for whoever writes; None for empty books, and for what cannot be read."""
    try:
        connection = engine.raw_connection()
    except (engine.dialect.loaded_dbapi.Error, SQLAlchemyError):
        return None  # what is wrong shows when they are brought up
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT version_num FROM alembic_version")
        row = cursor.fetchone()
        return None if row is None else str(row[0])
    except engine.dialect.loaded_dbapi.Error:
        return None
    finally:
        connection.close()


@contextmanager
def _patient(engine: Engine) -> Iterator[None]:
    """SQLite's one writing connection waits for another that migrates, as long as that takes."""
    if engine.dialect.name != "sqlite":
        yield
        return
    before = _patience(engine, PATIENCE_SECONDS * 1000)
    try:
        yield
    finally:
        _patience(engine, before)


def _patience(engine: Engine, milliseconds: int) -> int:
    """Sets how long SQLite waits; gives what it was."""
    try:
        opened = engine.raw_connection()
    except engine.dialect.loaded_dbapi.Error as wrong:
        raise DBAPIError(None, None, wrong) from None
    with closing(opened) as connection:
        cursor = connection.cursor()
        cursor.execute("PRAGMA busy_timeout")
        before = int((cursor.fetchone() or (0,))[0])
        cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")
        return before


def _logged(work: str, done: int, of: int) -> None:
    if done == of or done % max(1, of // 10) == 0:
        log.info("bringing the books up to date", work=work, done=done, of=of)

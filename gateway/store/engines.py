"""Connections to the books: SQLite in the data folder, or PostgreSQL; one to write, some to read."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import URL, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from gateway.config import Config, ConfigError
from gateway.errors import StoreError
from gateway.store.prepared import Prepared

log = structlog.get_logger()

FILE = "repligate.db"
READERS = 4
PATIENCE_SECONDS = 10.0
"""How long a statement waits for another process that is writing."""

_WATCHED = {"connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3} | {
    "tcp_user_timeout": 10_000
}
"""A server that vanished without a word is missed within seconds: calls wait for it."""

_SQLITE = {"timeout": PATIENCE_SECONDS, "check_same_thread": False, "cached_statements": 512}
"""Those that add several rows have a text for each of some numbers of rows, and all of them stay prepared."""

_READ_ONLY = "25006"
"""What PostgreSQL says of a transaction that may not write."""

_DIALECTS = {"sqlite": "sqlite", "postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}


def located(config: Config) -> URL:
    """Where the books are; makes the data folder. Raises ConfigError when it cannot be used."""
    make_private(config.folder)
    if not config.state.database:
        return URL.create("sqlite", database=str(config.folder / FILE))
    try:
        url = make_url(config.state.database)
        url = url.set(drivername=_DIALECTS[url.get_backend_name()])
    except (ArgumentError, KeyError):
        raise ConfigError("state.database: this is neither a postgresql:// nor a sqlite:// URL") from None
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        raise ConfigError("state.database: a sqlite:// URL must name a file, sqlite:///books.db")
    return url


def make_private(folder: Path) -> None:
    """The folder exists and only its owner may look into it, unless it was there before."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as wrong:
        raise ConfigError(f"state.folder: cannot make {folder}: {wrong.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"state.folder: cannot write in {folder}: its owner or its mode forbids it")


def writing(url: URL) -> Engine:
    """An engine for the one writer. Its transactions take the books' write lock when they begin."""
    if url.get_backend_name() == "sqlite":
        _make_file(Path(url.database or ""))
    engine = _engine(url, 1, "BEGIN IMMEDIATE", ("PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON"))
    if url.get_backend_name() == "postgresql":
        event.listen(engine, "connect", _impatient)
    return engine


def reading(url: URL) -> Engine:
    """An engine for readers, who see what was committed and cannot change it."""
    return _engine(url, READERS, "BEGIN", ("PRAGMA query_only=ON",))


def check_writable(engine: Engine) -> None:
    """Raises ConfigError where PostgreSQL would refuse whatever is written; SQLite has said so when it was opened."""
    if engine.dialect.name != "postgresql":
        return
    with engine.connect() as connection:
        if connection.execute(text("SHOW transaction_read_only")).scalar() == "on":
            raise ConfigError("state.database: this database only reads, as a standby does: name the one that writes")


def only_reads(wrong: BaseException | None) -> bool:
    """Whether a server refused to write because it is there for reading."""
    return isinstance(wrong, DBAPIError) and getattr(wrong.orig, "sqlstate", None) == _READ_ONLY


def refusal(wrong: SQLAlchemyError, *, unsure: bool = False) -> StoreError:
    """The error for a client, who learns no more of the database than that; the log has its reason."""
    error = StoreError("The gateway's books cannot be used now.", retry_after=1)
    error.reason, error.lasting = reason(wrong), isinstance(wrong, IntegrityError | DataError)
    error.unsure = unsure
    log.error("the books cannot be used", reason=error.reason)
    return error


def reason(wrong: SQLAlchemyError) -> str:
    """What the database said, for the operator, without the statement's values: they may be secret."""
    said = str(wrong.orig if isinstance(wrong, DBAPIError) else wrong).strip().partition("\n")[0]
    return "another process has kept the books locked for too long" if "locked" in said else said


def _make_file(path: Path) -> None:
    # SQLite gives its -wal and -shm files the mode of the database itself.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as wrong:
        raise ConfigError(f"state.folder: cannot write {path}: {wrong.strerror}") from None


def _engine(url: URL, size: int, begin: str, pragmas: tuple[str, ...]) -> Engine:
    common: dict[str, Any] = {"pool_size": size, "max_overflow": 0, "hide_parameters": True}
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args=_SQLITE, **common)
        event.listen(engine, "connect", _prepared(pragmas))
        event.listen(engine, "begin", Prepared(text(begin)).run)
        return engine
    try:
        engine = create_engine(url, pool_pre_ping=True, connect_args=_WATCHED, **common)
    except ModuleNotFoundError:
        raise ConfigError('state.database: PostgreSQL needs its driver: pip install "repligate[postgres]"') from None
    event.listen(engine, "connect", _hardened)
    return engine


def _prepared(pragmas: tuple[str, ...]) -> Callable[[sqlite3.Connection, ConnectionPoolEntry], None]:
    def prepare(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # transactions begin when SQLAlchemy says so, not when sqlite3 guesses
        for pragma in ("PRAGMA journal_mode=WAL", *pragmas):
            connection.execute(pragma).close()

    return prepare


def _impatient(connection: Any, entry: ConnectionPoolEntry) -> None:
    # A gateway that is frozen while it writes must not keep the others waiting for ever.
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = {int(PATIENCE_SECONDS * 1000)}")
    connection.commit()


def _hardened(connection: Any, entry: ConnectionPoolEntry) -> None:
    # A commit that returns must be on the disk, even where the server's default is quicker.
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        if cursor.fetchone()[0] == "off":
            cursor.execute("SET synchronous_commit = on")
        cursor.execute(f"SET lock_timeout = {int(PATIENCE_SECONDS * 1000)}")
    connection.commit()

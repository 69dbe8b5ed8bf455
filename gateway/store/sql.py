"""The store: what is written through it is on the disk when it returns."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar

from sqlalchemy import URL, Connection, Engine, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import SQLAlchemyError

from gateway.config import Config, ConfigError
from gateway.errors import StoreError
from gateway.store import engines, versions
from gateway.store.tables import secrets
from gateway.store.writer import Works, Writer

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

T = TypeVar("T")
L = TypeVar("L")
Insert: TypeAlias = "sqlite.Insert | postgresql.Insert"

_CAUGHT_UP_SECONDS = 1.0
"""Whoever reads does not wait longer for what others write: the books may be away for writers only."""


class Store:
    """SQLite in the data folder or PostgreSQL, the same to whoever uses it. Any number of processes may open it."""

    def __init__(self, url: URL) -> None:
        self._writing, self._reading = engines.writing(url), engines.reading(url)
        try:
            engines.check_writable(self._writing)
            versions.bring_up(self._writing)
        except BaseException:
            self._writing.dispose()
            raise
        self._writer = Writer(self._writing)
        self._readers = ThreadPoolExecutor(engines.READERS, thread_name_prefix="repligate-reader")

    @classmethod
    def open(cls, config: Config) -> Self:
        """The store of this config, its tables brought up to date.

        Raises ConfigError, for the operator, when its place cannot be used or a newer Repligate has written it.
        """
        url = engines.located(config)
        try:
            return cls(url)
        except SQLAlchemyError as wrong:
            where = url.render_as_string(hide_password=True)
            raise ConfigError(f"{where}: {engines.reason(wrong)}") from None

    @property
    def commits(self) -> int:
        """How many times the writer has committed since it was opened."""
        return self._writer.commits

    async def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` returned, durable. Works of many callers share a commit; the error of one is its own.

        A caller cancelled before its turn has written nothing; one cancelled later may have. Raises StoreError.
        """
        return await self._writer.write(work)

    def post(self, works: Works[L, T], line: L, *, soon: bool = False) -> asyncio.Future[T]:
        """What `works` makes of this line and of others' in one go, durable; `soon` lets it wait a moment for company.

        It is handed in when this returns: what is handed in later comes after it. The future raises StoreError.
        """
        return self._writer.put(works, line, soon=soon)

    @property
    def away(self) -> bool:
        """Whether the last that was to be written, or read since, could not be."""
        return self._writer.away

    @property
    def idle(self) -> bool:
        """Whether all that was handed in is written."""
        return self._writer.idle

    async def probe(self) -> None:
        """Asks whether it can be written: where it could not be the last time, by writing something. Raises
        StoreError."""
        await self._writer.write(_write_nothing_new if self.away else lambda connection: None)

    async def caught_up(self) -> None:
        """What was handed in before is written, or will not be for a while."""
        if not self._writer.idle:
            with suppress(StoreError, TimeoutError):
                async with asyncio.timeout(_CAUGHT_UP_SECONDS):
                    await self.probe()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` found among all that is committed. Raises StoreError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)
        except RuntimeError as wrong:
            raise StoreError("The books are closed.") from wrong

    async def aclose(self) -> None:
        """Closes without holding up the loop, which the last answers still need."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Writes what was handed in, then lets go of every connection."""
        self._writer.close()
        self._readers.shutdown()
        self._reading.dispose()
        self._writing.dispose()

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._reading.connect() as connection:
                return work(connection)
        except SQLAlchemyError as wrong:
            refused = engines.refusal(wrong)
            # Whoever cannot read will not write either; a probe that writes tells when that is over.
            self._writer.away |= not refused.lasting
            raise refused from None


def upgraded(config: Config, progress: versions.Progress) -> str | None:
    """The form these books had before they were brought up to date, which others wait for. Raises ConfigError."""
    return _asked(config, lambda engine: versions.bring_up(engine, progress))


def form_of(config: Config) -> str | None:
    """The form of these books; None for empty ones. Raises ConfigError."""
    return _asked(config, versions.seen)


def _asked(config: Config, ask: Callable[[Engine], T]) -> T:
    url = engines.located(config)
    engine = engines.writing(url)
    try:
        return ask(engine)
    except SQLAlchemyError as wrong:
        raise ConfigError(f"{url.render_as_string(hide_password=True)}: {engines.reason(wrong)}") from None
    finally:
        engine.dispose()


def _write_nothing_new(connection: Connection) -> None:
    # An empty transaction tells of locks and lost connections, and not of a disk or a server that only reads.
    connection.execute(secrets.insert(), {"name": "probe", "value": b"", "created_at": 0})
    connection.execute(secrets.delete().where(secrets.c.name == "probe"))


def insert(connection: Connection, table: Table) -> Insert:
    """An INSERT that knows ON CONFLICT, which both dialects spell alike and the standard construct does not have."""
    if connection.dialect.name != "postgresql":
        return sqlite.insert(table)
    # Imported late: books on SQLite need none of it.
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)

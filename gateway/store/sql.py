"""The store: what is written through it is on the disk when it returns."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from sqlalchemy import URL, Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from gateway.config import Config, ConfigError
from gateway.errors import StoreError
from gateway.store import engines, versions
from gateway.store.writer import Writer

T = TypeVar("T")
Insert = sqlite.Insert | postgresql.Insert


class Store:
    """SQLite in the data folder or PostgreSQL, the same to whoever uses it. Any number of processes may open it."""

    def __init__(self, url: URL) -> None:
        self._writing, self._reading = engines.writing(url), engines.reading(url)
        try:
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
            raise engines.refusal(wrong) from None


def insert(connection: Connection, table: Table) -> Insert:
    """An INSERT that knows ON CONFLICT, which both dialects spell alike and the standard construct does not have."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)

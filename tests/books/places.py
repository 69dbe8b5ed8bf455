"""Where books are kept, and how they go away: locked by another process, cut off, or read-only of a sudden."""

import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.config import Config
from gateway.parts import Gateway
from gateway.simulator import Simulator
from tests.books.lines import Line, line
from tests.books.lives import Life, configured
from tests.gateway.store.books import POSTGRES, postgres_schema
from tests.replicas.shared import cut_off, database


class Place:
    """A data folder, and a database that can go and come back."""

    def __init__(self, folder: Path, database: str = "", line: Line | None = None) -> None:
        self.folder, self.database, self._line = folder, database, line
        self._lock: sqlite3.Connection | None = None
        self.away = False

    def config(self, **sections: Mapping[str, Any]) -> Config:
        return configured(self.folder, self.database, **sections)

    def life(self, simulator: Simulator, config: Config) -> Life:
        """A gateway on these books, which must be there; it does not wait long for others' locks."""
        life = Life(simulator, config)
        life.do(self.hurried(life.gateway))
        return life

    async def hurried(self, gateway: Gateway) -> None:
        """This gateway waits no longer than a moment where another process keeps the books locked."""
        if not self.database:
            await gateway.ledger._store.write(lambda c: c.exec_driver_sql("PRAGMA busy_timeout = 20").close())

    def go(self) -> None:
        self.away = True
        if self._line:
            self._line.cut()
        else:
            self._lock = sqlite3.connect(self.folder / "repligate.db", isolation_level=None)
            self._lock.execute("BEGIN IMMEDIATE")

    def come_back(self) -> None:
        self.away = False
        if self._line:
            self._line.mend()
        elif self._lock:
            self._lock.close()


class Immutable(Place):
    """A file that nobody may write any more, as on a disk that was mounted read-only after an error."""

    def go(self) -> None:
        self.away = True
        unchangeable(*self._files)

    def come_back(self) -> None:
        self.away = False
        unchangeable(*self._files, on=False)

    @property
    def _files(self) -> list[Path]:
        # The third of SQLite's files is memory shared with readers: it is no matter of the disk.
        return [path for path in self.folder.glob("repligate.db*") if not path.name.endswith("-shm")]


class Standby(Place):
    """A PostgreSQL that only reads, as a standby after a failover that went wrong."""

    def go(self) -> None:
        self.away = True
        self._read_only("on")
        cut_off(self.database)

    def come_back(self) -> None:
        # Sessions that were opened meanwhile go on reading only: it is for the gateway to leave them.
        self.away = False
        self._read_only("off")

    def _read_only(self, state: str) -> None:
        name = self.database.rpartition("/")[2]
        with psycopg.connect(POSTGRES, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {state}")  # type: ignore[call-overload]


def unchangeable(*paths: Path, on: bool = True) -> None:
    """Nobody, not even root, can write these files, or make others in these folders; skips the test where that cannot
    be had."""
    done = subprocess.run(["chattr", "+i" if on else "-i", *map(str, paths)], capture_output=True, text=True)
    if on and done.returncode:
        pytest.skip(f"NO CHATTR for {paths[0]}: a read-only file was not tested ({done.stderr.strip()})")


@contextmanager
def place(kind: str) -> Iterator[Place]:
    """Empty books of this kind, gone afterwards."""
    folder = Path(tempfile.mkdtemp())
    try:
        if kind == "sqlite":
            yield Place(folder)
            return
        if kind == "immutable":
            if not shutil.which("chattr"):
                pytest.skip("NO CHATTR: a read-only file was not tested")
            books = Immutable(folder)
            try:
                yield books
            finally:
                books.come_back()
            return
        if kind == "standby":
            with database() as url:
                yield Standby(folder, url)
            return
        with postgres_schema() as url, line(POSTGRES) as there:
            host = POSTGRES.partition("//")[2].partition("/")[0]
            yield Place(folder, url.replace(host, f"127.0.0.1:{there.port}", 1), there)
    finally:
        shutil.rmtree(folder)

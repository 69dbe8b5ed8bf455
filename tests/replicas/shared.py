"""What gateways share in these tests: a PostgreSQL database and a Redis of the test's own, and gateways on them."""

import asyncio
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString, Self, TypeVar

import psycopg
import pytest
import redis
from psycopg.rows import dict_row

from gateway.accounts.keys import KeyLimits, Keys
from gateway.config import Config, State
from gateway.store.sql import Store
from tests.gateway.store.books import POSTGRES
from tests.served import Served

T = TypeVar("T")
LEASE_SECONDS = 1.5
_BINARIES = ("redis-server", "valkey-server")


@contextmanager
def database() -> Iterator[str]:
    """The URL of an empty database, dropped afterwards; skips the test where there is no PostgreSQL."""
    name = f"t_{secrets.token_hex(6)}"
    try:
        with psycopg.connect(POSTGRES, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    except psycopg.OperationalError as wrong:
        pytest.skip(f"NO POSTGRESQL at {POSTGRES}: gateways that share it were not tested ({wrong})")
    try:
        yield f"{POSTGRES.rpartition('/')[0]}/{name}"
    finally:
        with psycopg.connect(POSTGRES, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]


class Redis:
    """A server of our own on a free port, which a test may stop and start again."""

    def __init__(self, folder: Path, binary: str) -> None:
        self.folder, self.binary, self.port = folder, binary, _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        command = [self.binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen([*command, "--dir", str(self.folder)], stdout=subprocess.DEVNULL)
        until = time.monotonic() + 10
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.ConnectionError:
                    assert time.monotonic() < until, "redis did not start"
                    time.sleep(0.02)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def freeze(self) -> None:
        """It takes connections and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.thaw()
        self.kill()


@contextmanager
def own_redis(folder: Path) -> Iterator[Redis]:
    """A Redis that the test may kill; skips it where there is no server to start."""
    binary = next(filter(None, map(shutil.which, _BINARIES)), None)
    if binary is None:
        pytest.skip("NO REDIS SERVER to start: what happens when it is gone was not tested")
    with Redis(folder, binary) as running:
        yield running


class Replica(Served):
    """One of several gateways that share database and Redis."""

    def __init__(
        self,
        folder: Path,
        upstream: str,
        database: str,
        redis_url: str,
        config: str = "",
        environ: Mapping[str, str] | None = None,
        key: str = "",
        options: Sequence[str] = (),
    ) -> None:
        if key:
            self._key = key
        else:
            self._key = issued(database, "test")
        told = {
            "REPLIGATE__STATE__DATABASE": database,
            "REPLIGATE__SHARED__REDIS": redis_url,
            "REPLIGATE__SHARED__LEASE_SECONDS": str(LEASE_SECONDS),
            "REPLIGATE__SERVER__DRAIN_SECONDS": "2",
        }
        super().__init__(folder, upstream, config, {**told, **(environ or {})}, options)


def keys_of(database: str, work: Callable[[Keys], Awaitable[T]]) -> T:
    """What was done with the keys of these books, as the command line would."""

    async def do() -> T:
        with tempfile.TemporaryDirectory() as folder:
            store = Store.open(Config(state=State(folder=folder, database=database)))
            try:
                return await work(Keys(store))
            finally:
                await store.aclose()

    return asyncio.run(do())


def issued(database: str, name: str, **limits: int) -> str:
    """A new key with these limits."""
    return keys_of(database, lambda keys: keys.create(name, limits=KeyLimits(**limits)))[1]


def settled(database: str) -> list[dict[str, Any]]:
    """Every settlement in these books."""
    return _rows(database, "SELECT * FROM settlements")


def requests(database: str) -> dict[str, dict[str, Any]]:
    """Of each settlement in these books, by its entry: the request it is of, its prediction and its status."""
    found = "SELECT e.id, e.request, s.prediction, s.status FROM settlements s JOIN entries e ON e.id = s.entry"
    return {row["id"]: row for row in _rows(database, found)}


def still_open(database: str) -> int:
    """How many entries of these books wait to be settled."""
    return len(_rows(database, "SELECT entry FROM reservations"))


def _rows(database: str, query: LiteralString) -> list[dict[str, Any]]:
    with psycopg.connect(database, row_factory=dict_row) as connection:
        return connection.execute(query).fetchall()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def cut_off(database: str) -> None:
    """Ends every connection to this database, as a restart of the server or a failover would."""
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database.rpartition("/")[2]]
        )

"""Books to test on: SQLite in a folder of the test's own, PostgreSQL in a schema of the test's own."""

import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from gateway.accounts.ledger import Opening, Settlement
from gateway.config import Config, State
from gateway.store.sql import Store

POSTGRES = os.environ.get("REPLIGATE_TEST_POSTGRES", "postgresql://127.0.0.1:5432/test")
NOON = 1_800_000_000.0


class Clock:
    """A clock whose hands the test turns."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@contextmanager
def postgres_schema() -> Iterator[str]:
    """The URL of an empty schema, dropped afterwards; skips the test where there is no PostgreSQL."""
    name = f"t_{secrets.token_hex(6)}"
    engine = create_engine(POSTGRES.replace("postgresql://", "postgresql+psycopg://", 1), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE SCHEMA {name}"))
    except OperationalError as wrong:
        engine.dispose()
        pytest.skip(f"NO POSTGRESQL at {POSTGRES}: half of the store's tests did not run ({wrong.orig})")
    try:
        yield f"{POSTGRES}?options=-csearch_path%3D{name}"
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
        engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Config]:
    """Settings whose books are empty, of either kind."""
    state = State(folder=str(tmp_path / "data"))
    if request.param == "sqlite":
        yield Config(state=state)
        return
    with postgres_schema() as url:
        yield Config(state=State(folder=state.folder, database=url))


@pytest.fixture
def sqlite_config(tmp_path: Path) -> Config:
    return Config(state=State(folder=str(tmp_path / "data")))


@pytest.fixture
async def store(config: Config) -> AsyncIterator[Store]:
    opened = Store.open(config)
    yield opened
    await opened.aclose()


def opening(call: str = "call-1", reserved: int | None = 1000, **told: object) -> Opening:
    """A call about to run one prediction, unless told otherwise; `reserved` is for each of them."""
    usual = {"key": "key_1", "kind": "chat", "model": "fast", "ref": "acme/fast", "digests": ("d1",)}
    said: dict[str, Any] = {**usual, **told}
    return Opening(call=call, **{"reserved": (reserved,) * len(said["digests"]), **said})


def settled(**told: object) -> Settlement:
    """A prediction that went well, unless told otherwise."""
    usual = {"status": "succeeded", "cost": 500, "basis": "tokens", "tokens_in": 10, "tokens_out": 20}
    return Settlement(**{**usual, **told})  # type: ignore[arg-type]


def python(script: str, *arguments: str) -> "subprocess.Popen[str]":
    """Another process of ours running this script, its answers read line by line."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )

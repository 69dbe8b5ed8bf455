"""A database and a Redis for each test; the gateways, tests start themselves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.replicas.shared import Redis, database, own_redis


@pytest.fixture
def books() -> Iterator[str]:
    with database() as url:
        yield url


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[Redis]:
    with own_redis(tmp_path) as running:
        yield running

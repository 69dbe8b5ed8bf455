"""A simulated Replicate on real sockets, and the upstream before it."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator

import msgspec
import pytest

from adapters.wire.replicate import ModelRef
from gateway.config import SchemasConfig, UpstreamConfig
from gateway.simulator import Settings, Simulator, Switches
from gateway.upstream.client import Upstream
from gateway.upstream.models import Model
from gateway.upstream.schemas import Schemas
from gateway.upstream.waiting import Waiting

CONFIG = UpstreamConfig(connections=50, connect_seconds=1.0, read_seconds=2.0, retry_seconds=1.0, deadline_seconds=60)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The transport keeps its promises on the gateway's own loop too, and not only on Python's."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.name in {"test_transport.py", "test_pool.py"} and sys.platform != "win32":
        import uvloop

        loops["uvloop"] = uvloop.new_event_loop
    return loops


class DictShelf:
    """A shelf in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[bytes, float]] = {}
        self.clock: Callable[[], float] = time.time

    async def load(self, key: str) -> tuple[bytes, float] | None:
        return self.kept.get(key)

    async def save(self, key: str, body: bytes) -> None:
        self.kept[key] = body, self.clock()


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator(Settings(stream_idle_seconds=0.5, boot_seconds=0.3)) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Iterator[Simulator]:
    """As good as new for each test."""
    yield running
    running.limit("off")
    running.switch(**msgspec.structs.asdict(Switches()))
    running.reset()


@pytest.fixture
def config() -> UpstreamConfig:
    return CONFIG


@pytest.fixture
async def upstream(simulator: Simulator, config: UpstreamConfig) -> AsyncIterator[Upstream]:
    upstream = Upstream(config, [simulator.token], simulator.base_url)
    yield upstream
    await upstream.aclose()


@pytest.fixture
def shelf() -> DictShelf:
    return DictShelf()


@pytest.fixture
async def schemas(upstream: Upstream, shelf: DictShelf) -> AsyncIterator[Schemas]:
    schemas = Schemas(upstream, SchemasConfig(), shelf)
    yield schemas
    await schemas.aclose()


@pytest.fixture
def waiting(config: UpstreamConfig) -> Waiting:
    return Waiting(config)


async def model_of(schemas: Schemas, name: str) -> Model:
    return await schemas.get(ModelRef.parse(name))

"""How long a model is trusted, who reads it, and what happens when Replicate is away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import structlog

from adapters.wire.replicate import ModelRef
from gateway.config import SchemasConfig, UpstreamConfig
from gateway.errors import UnknownModel, UpstreamFailed
from gateway.simulator import Simulator
from gateway.upstream.client import Upstream
from gateway.upstream.schemas import Schemas
from gateway.upstream.transport import Bridged
from tests.gateway.upstream.conftest import DictShelf

REF = ModelRef.parse("acme/chat")
OLD, NEW = "a" * 64, "b" * 64


class Replicate:
    """One model behind a function; what it answers can be changed."""

    def __init__(self) -> None:
        self.version, self.status, self.asked = OLD, 200, 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        await self.gate.wait()
        if self.status != 200:
            return httpx.Response(self.status, json={"detail": "no"})
        version = {"id": self.version, "openapi_schema": {"components": {"schemas": {}}}}
        return httpx.Response(
            200, json={"owner": "acme", "name": "chat", "is_official": False, "latest_version": version}
        )


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def replicate() -> Replicate:
    return Replicate()


@pytest.fixture
def clock() -> Clock:
    return Clock()


Make = Callable[[], Schemas]


@asynccontextmanager
async def cached(replicate: Replicate, shelf: DictShelf, clock: Clock) -> AsyncIterator[Schemas]:
    config = UpstreamConfig(retry_seconds=0.05)
    upstream = Upstream(
        config,
        ["r8_one"],
        "https://replicate.example/v1",
        wires=lambda _: Bridged(httpx.AsyncClient(transport=httpx.MockTransport(replicate))),
    )
    schemas = Schemas(upstream, SchemasConfig(refresh_seconds=100), shelf, clock)
    yield schemas
    await schemas.aclose()
    await upstream.aclose()


@pytest.fixture
async def schemas(replicate: Replicate, shelf: DictShelf, clock: Clock) -> AsyncIterator[Schemas]:
    async with cached(replicate, shelf, clock) as schemas:
        yield schemas


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not claim():
            await asyncio.sleep(0.001)


async def test_a_model_is_read_once_for_all_who_ask_at_once(schemas: Schemas, replicate: Replicate) -> None:
    replicate.gate.clear()
    asked = [asyncio.create_task(schemas.get(REF)) for _ in range(100)]
    await until(lambda: replicate.asked == 1)
    replicate.gate.set()
    assert len({id(model) for model in await asyncio.gather(*asked)}) == 1
    await schemas.get(REF)
    assert replicate.asked == 1


async def test_one_who_leaves_does_not_end_the_read_for_the_others(schemas: Schemas, replicate: Replicate) -> None:
    replicate.gate.clear()
    first, second = (asyncio.create_task(schemas.get(REF)) for _ in range(2))
    await until(lambda: replicate.asked == 1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    replicate.gate.set()
    assert (await second).version == OLD
    assert replicate.asked == 1


async def test_a_model_that_is_due_is_served_and_read_again_behind(
    schemas: Schemas, replicate: Replicate, clock: Clock
) -> None:
    await schemas.get(REF)
    replicate.version = NEW
    clock.now += 101
    with structlog.testing.capture_logs() as logs:
        assert (await schemas.get(REF)).version == OLD, "nobody waits for it"
        await until(lambda: (schemas.known(REF) is not None) and schemas.known(REF).version == NEW)  # type: ignore[union-attr]
    assert [line for line in logs if line["event"] == "model moved"] == [
        {"event": "model moved", "log_level": "info", "model": "acme/chat", "before": OLD, "now": NEW}
    ]


@pytest.mark.parametrize("status", [500, 503, 401])
async def test_a_stale_model_beats_none_while_replicate_is_down(
    schemas: Schemas, replicate: Replicate, clock: Clock, status: int
) -> None:
    await schemas.get(REF)
    replicate.status = status
    for _ in range(3):
        clock.now += 101
        before = replicate.asked
        assert (await schemas.get(REF)).version == OLD
        await until(lambda before=before: replicate.asked > before)  # type: ignore[misc]
        assert (await schemas.refresh(REF)).version == OLD


async def test_a_replicate_that_is_down_is_not_asked_for_every_call(
    schemas: Schemas, replicate: Replicate, clock: Clock
) -> None:
    await schemas.get(REF)
    replicate.status = 401
    clock.now += 101
    for _ in range(50):
        await schemas.get(REF)
        await asyncio.sleep(0)
    assert replicate.asked == 2


async def test_copies_outlive_the_process(replicate: Replicate, shelf: DictShelf, clock: Clock) -> None:
    shelf.clock = clock
    async with cached(replicate, shelf, clock) as before:
        await before.get(REF)
    async with cached(replicate, shelf, clock) as after:
        replicate.status = 500
        assert (await after.get(REF)).version == OLD
        assert replicate.asked == 1


async def test_a_copy_that_cannot_be_read_is_none(schemas: Schemas, shelf: DictShelf) -> None:
    await shelf.save("model:acme/chat", b"\xff{")
    assert (await schemas.get(REF)).version == OLD


async def test_what_replicate_does_not_know_is_remembered_for_a_short_while(
    schemas: Schemas, replicate: Replicate, clock: Clock
) -> None:
    replicate.status = 404
    for _ in range(5):
        with pytest.raises(UnknownModel):
            await schemas.get(REF)
    assert replicate.asked == 1
    replicate.status = 200
    clock.now += 31
    assert (await schemas.get(REF)).version == OLD


async def test_a_model_that_was_deleted_is_unknown_from_then_on(
    schemas: Schemas, replicate: Replicate, clock: Clock
) -> None:
    await schemas.get(REF)
    replicate.status = 404
    clock.now += 101
    await schemas.get(REF)
    await until(lambda: schemas.known(REF) is None)
    for _ in range(2):
        with pytest.raises(UnknownModel):
            await schemas.get(REF)
        clock.now += 31


async def test_a_failure_is_not_remembered(schemas: Schemas, replicate: Replicate) -> None:
    replicate.status = 500
    with pytest.raises(UpstreamFailed):
        await schemas.get(REF)
    replicate.status = 200
    assert (await schemas.get(REF)).version == OLD


async def test_a_model_that_refused_its_inputs_is_read_again_at_most_twice_a_minute(
    schemas: Schemas, replicate: Replicate, clock: Clock
) -> None:
    await schemas.get(REF)
    replicate.version = NEW
    assert (await schemas.refresh(REF)).version == OLD, "it was read this very moment"
    clock.now += 31
    assert (await schemas.refresh(REF)).version == NEW
    for _ in range(20):
        await schemas.refresh(REF)
    assert replicate.asked == 2


async def test_configured_models_are_at_hand_from_the_start(simulator: Simulator, upstream: Upstream) -> None:
    schemas = Schemas(upstream, SchemasConfig(), DictShelf())
    names = ["sim/echo", "sim/slow", "sim/nothing-of-the-sort", "black-forest-labs/flux-schnell"]
    with structlog.testing.capture_logs() as logs:
        await schemas.warm([ModelRef.parse(name) for name in names])
    asked = len(simulator.requests())
    assert [schemas.known(ModelRef.parse(name)) is not None for name in names] == [True, True, False, True]
    assert [line["model"] for line in logs] == ["sim/nothing-of-the-sort"]
    await schemas.get(ModelRef.parse("sim/echo"))
    assert len(simulator.requests()) == asked


async def test_a_bare_version_is_known_by_its_model(schemas: Schemas, replicate: Replicate) -> None:
    model = await schemas.get(REF)
    bare = await schemas.get(ModelRef.parse(OLD))
    assert (bare.path, bare.schema, str(bare.ref)) == ("acme/chat", model.schema, OLD)
    assert replicate.asked == 1


async def test_no_more_models_are_kept_than_there_is_room_for(simulator: Simulator, upstream: Upstream) -> None:
    schemas = Schemas(upstream, SchemasConfig(capacity=2), DictShelf())
    refs = [ModelRef.parse(name) for name in ("sim/echo", "sim/slow", "sim/fails")]
    for ref in refs:
        await schemas.get(ref)
    assert [schemas.known(ref) is not None for ref in refs] == [False, True, True]

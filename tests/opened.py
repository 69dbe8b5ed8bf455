"""A gateway's parts, open in this process and in front of a simulator: for tests that look inside, or need it quick."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec
from sqlalchemy import select

from gateway.app import create_app, open_gateway
from gateway.calls import Caller
from gateway.config import Config, State
from gateway.parts import Gateway, Replicate
from gateway.serving import Server, listening
from gateway.store.tables import entries, settlements


class Upstreamed(Protocol):
    """Whatever a Replicate can be reached by."""

    @property
    def base_url(self) -> str: ...


def configured(folder: Path, **sections: Mapping[str, Any]) -> Config:
    """Settings with these sections' keys, and their data in this folder."""
    config = msgspec.convert(sections, Config)
    return msgspec.structs.replace(config, state=State(folder=str(folder)))


@asynccontextmanager
async def opened(
    simulator: Upstreamed, folder: Path, token: str = "r8_test", **sections: Mapping[str, Any]
) -> AsyncIterator[Gateway]:
    """The parts. In the end nothing may be left behind: no task, no error that nobody was told of."""
    loop, complaints = asyncio.get_running_loop(), list[str]()
    loop.set_exception_handler(lambda _, context: complaints.append(f"{context.get('exception')!r} {context}"))
    before = asyncio.all_tasks()
    async with open_gateway(configured(folder, **sections), {}, Replicate(simulator.base_url, (token,))) as parts:
        yield parts
    await holds(lambda: not asyncio.all_tasks() - before - {asyncio.current_task()}, 2)
    gc.collect()
    await asyncio.sleep(0)
    loop.set_exception_handler(None)
    assert complaints == []


@asynccontextmanager
async def listens(gateway: Gateway, at: socket.socket | None = None) -> AsyncIterator[str]:
    """The address of this gateway, served from this very loop; on a free port, if it is not to be `at` this socket."""

    async def at_once() -> None: ...

    sock = at or listening("127.0.0.1", 0)
    server = Server(create_app(gateway), at_once)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    await holds(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await serving
        sock.close()


async def caller(gateway: Gateway, endpoint: str = "/v1/chat/completions", **policy: Any) -> Caller:
    """Someone with a key of their own."""
    key, _ = await gateway.keys.create("test", **policy)
    return Caller(key, endpoint, "req_test")


async def holds(claim: Callable[[], object], seconds: float = 5) -> None:
    """Waits until the claim is true; fails if it does not become so in time."""
    async with asyncio.timeout(seconds):
        while not claim():
            await asyncio.sleep(0.002)


async def settled(gateway: Gateway) -> list[Mapping[str, Any]]:
    """Every settlement in the ledger, once nothing is open any more."""
    async with asyncio.timeout(10):
        while gateway.running or (await gateway.ledger.held()).entries:
            await asyncio.sleep(0.002)
    return await rows(gateway, settlements)


async def rows(gateway: Gateway, table: Any = entries) -> list[Mapping[str, Any]]:
    """A table of the books, as it is."""
    store = gateway.ledger._store
    return [dict(row) for row in await store.read(lambda c: c.execute(select(table)).mappings().all())]

"""A gateway's parts, open in this process and in front of a simulator: for tests that look inside, or need it quick."""

import asyncio
import gc
import socket
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec
from openai import AsyncOpenAI
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
    simulator: Upstreamed, folder: Path, *tokens: str, **sections: Mapping[str, Any]
) -> AsyncIterator[Gateway]:
    """The parts. In the end nothing may be left behind: no task, no error that nobody was told of."""
    _forget_earlier_tests()
    loop, complaints = asyncio.get_running_loop(), list[str]()
    loop.set_exception_handler(lambda _, context: complaints.append(f"{context.get('exception')!r} {context}"))
    before = asyncio.all_tasks()
    async with open_gateway(
        configured(folder, **sections), {}, Replicate(simulator.base_url, tokens or ("r8_test",))
    ) as parts:
        yield parts
    await holds(lambda: not asyncio.all_tasks() - before - {asyncio.current_task()}, 2)
    gc.collect()
    await asyncio.sleep(0)
    loop.set_exception_handler(None)
    assert complaints == []


@asynccontextmanager
async def client_of(gateway: Gateway, secret: str = "", **policy: Any) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's client of this gateway, served from this very loop: with this key, or a new one of this policy."""
    secret = secret or (await gateway.keys.create("one", **policy))[1]
    async with listens(gateway) as url, AsyncOpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0) as client:
        yield client


@asynccontextmanager
async def clients_of(gateway: Gateway, *names: str, **policy: Any) -> AsyncIterator[tuple[AsyncOpenAI, ...]]:
    """A client for each new key of these names."""
    secrets = [(await gateway.keys.create(name, **policy))[1] for name in names or ("one",)]
    async with listens(gateway) as url, AsyncExitStack() as opened:
        made = [AsyncOpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0) for secret in secrets]
        yield tuple([await opened.enter_async_context(each) for each in made])


def _forget_earlier_tests() -> None:
    """What another test's client left to be collected is not this gateway's leak."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


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
    await asyncio.gather(*(call.settled.wait() for call in gateway.running if call.answered))
    return [dict(row) for row in await store.read(lambda c: c.execute(select(table)).mappings().all())]

"""The listening side: three sockets, one server, one world behind them."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import uvicorn
from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.simulator.app import create_api
from gateway.simulator.asgi import TRANSPORT, App, Receive, Scope, Send
from gateway.simulator.delivery import delivery
from gateway.simulator.front import front
from gateway.simulator.hosts import tokenless
from gateway.simulator.settings import Settings
from gateway.simulator.streams import streams
from gateway.simulator.world import Addresses, World


class CannotListen(OSError):
    """There is no listening at an address; the message names it and says why."""


class Sockets(Struct, frozen=True):
    """The listening sockets of the three hosts."""

    api: socket.socket
    delivery: socket.socket
    stream: socket.socket

    @classmethod
    def open(cls, settings: Settings) -> "Sockets":
        """Listen on the ports of the settings."""
        ports = (settings.port, settings.delivery_port, settings.stream_port)
        return cls(*(_listen(settings.host, port) for port in ports))

    def all(self) -> list[socket.socket]:
        return [self.api, self.delivery, self.stream]

    def addresses(self, settings: Settings) -> Addresses:
        """Return the addresses of the three, as they are written into URLs."""
        host = settings.public_host or ("127.0.0.1" if settings.host == "0.0.0.0" else settings.host)
        return Addresses(*(f"http://{host}:{_port(listening)}" for listening in self.all()))


def _listen(host: str, port: int) -> socket.socket:
    # A socket made with the protocol named gets Nagle's algorithm turned off for its connections.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise CannotListen(f"{host}:{port}: {error.strerror}") from error
    listening.settimeout(0)
    return listening


def _port(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


class _Protocol(HttpToolsProtocol):
    """Lets the application tear its connection down, which ASGI has no word for."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope = cast(dict[str, Any], self.scope)
        scope["extensions"] = {TRANSPORT: self.transport}


class _Server(uvicorn.Server):
    """Tells when it listens."""

    listening: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.listening is not None:
            self.listening()


class Running(Struct):
    """A world, the server that shows it, and the loop it lives on."""

    world: World
    server: _Server
    loop: asyncio.AbstractEventLoop


@contextlib.asynccontextmanager
async def running(settings: Settings, sockets: Sockets) -> AsyncIterator[Running]:
    world = World(settings, sockets.addresses(settings))
    config = uvicorn.Config(
        cast(Any, _dispatch(world, sockets)),
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
    )
    try:
        yield Running(world, _Server(config), asyncio.get_running_loop())
    finally:
        await world.close()


def _dispatch(world: World, sockets: Sockets) -> App:
    api = front(world, cast(App, create_api(world)))
    apps = {
        _port(sockets.api): api,
        _port(sockets.delivery): tokenless(world, "delivery", delivery(world)),
        _port(sockets.stream): tokenless(world, "stream", streams(world)),
    }

    async def dispatched(scope: Scope, receive: Receive, send: Send) -> None:
        await apps[scope["server"][1]](scope, receive, send)

    return dispatched


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the fastest event loop there is here; None for the usual one."""
    return uvicorn.Config(cast(Any, None), loop="auto", log_config=None).get_loop_factory()

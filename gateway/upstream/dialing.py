"""Making a connection: a host's addresses, looked up once for many, and raced where there are several."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import aiohappyeyeballs
from cachetools import TTLCache

from gateway.upstream.connection import Connection

_HOSTS, _BELIEVED_SECONDS = 1000, 10.0
_NEXT_ADDRESS_SECONDS = 0.25


class Place(NamedTuple):
    """Where a connection goes, and by which name its requests ask for it."""

    secure: bool
    host: str
    port: int
    named: str


class Dialing:
    """Knows where hosts are, and whom to trust there. `clock` never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._found: TTLCache[Place, asyncio.Task[list[Any]]] = TTLCache(_HOSTS, _BELIEVED_SECONDS, timer=clock)
        self._tls: ssl.SSLContext | None = None

    async def connect(self, place: Place, gone: Callable[[Connection], None]) -> Connection:
        """A connection, which tells `gone` of its end. Raises OSError, or UnicodeError for a name that is none."""
        try:
            return await self._connected(place, partial(Connection, gone))
        except BaseException:
            # They may have moved.
            self._found.pop(place, None)
            raise

    async def _connected(self, place: Place, make: Callable[[], Connection]) -> Connection:
        loop, addresses = asyncio.get_running_loop(), await self._addresses(place)
        context, name = (self._context(), place.host) if place.secure else (None, None)
        if len(addresses) == 1 and addresses[0][0] == socket.AF_INET:
            # Nothing is to be raced, and the loop connects by itself at a third of the price.
            host, port = str(addresses[0][4][0]), place.port
            _, connection = await loop.create_connection(make, host, port, ssl=context, server_hostname=name)
            return connection
        sock = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1
        )
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _, connection = await loop.create_connection(make, sock=sock, ssl=context, server_hostname=name)
        except BaseException:
            sock.close()
            raise
        return connection

    async def _addresses(self, place: Place) -> list[Any]:
        """As `socket.getaddrinfo` tells them."""
        asked = self._found.get(place)
        if asked is None:
            loop = asyncio.get_running_loop()
            asked = loop.create_task(_looked_up(loop, place))
            # Those who wait for it may all have left by then.
            asked.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._found[place] = asked
        return await asyncio.shield(asked)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


async def _looked_up(loop: asyncio.AbstractEventLoop, place: Place) -> list[Any]:
    return await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)

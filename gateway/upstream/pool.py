"""Connections kept, and lent to one request at a time. What is raised, `transport` tells."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

import httpx

from gateway.together import ended
from gateway.upstream.connection import Connection
from gateway.upstream.dialing import Dialing, Place
from gateway.upstream.wire import Patience, Reply

_URL = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?([/?][!-~]*)?", re.IGNORECASE)
_READS = frozenset({"GET", "QUERY"})
"""What a server that hangs up on an old connection may be asked once more; on anything else it may have acted."""


class Asked(NamedTuple):
    """A request as it goes over the wire. One that only reads may be sent twice; of one that is `slow`, the answer is
    long in coming."""

    place: Place
    head: bytes
    body: bytes
    reads: bool
    slow: bool = False


class Pool:
    """Straight to the hosts, with so many requests at once, and as many beside them whose answers are long in coming:
    over the same connections, but keeping none of the others waiting."""

    def __init__(self, connections: int) -> None:
        self._free, self._slow = asyncio.Semaphore(connections), asyncio.Semaphore(connections)
        self._idle: dict[Place, dict[Connection, None]] = {}
        self._all: set[Connection] = set()
        self._making: dict[Place, set[asyncio.Task[None]]] = {}
        self._dialing = Dialing()

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, patience: Patience
    ) -> Reply:
        """The whole reply."""
        asked = written(method, url, headers, body)._replace(slow=patience.slow)
        connection = await self.carried(asked, patience, Connection.answered)
        reply = Reply(connection.status, connection.raw_headers, await connection.read())
        self.give_back(asked, connection)
        return reply

    def open(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, patience: Patience) -> "Lent":
        """A reply whose head is there, to be read as it comes."""
        return Lent(self, written(method, url, headers, body), patience)

    def give_back(self, asked: Asked, connection: Connection) -> None:
        """Whose reply was whole is used again; another is closed."""
        self._places(asked).release()
        if connection.clean:
            self._keep(asked.place, connection)
        else:
            connection.close()

    def warm(self, url: str, patience: Patience) -> None:
        """Nobody hears of it if there is no connection to be had: whoever asks will."""
        place, _ = _located(url)
        if not self._idle.get(place):
            making = self._making.setdefault(place, set())
            task = asyncio.create_task(self._warmed(place, patience.connect))
            making.add(task)
            task.add_done_callback(making.discard)

    async def aclose(self) -> None:
        """Whatever is under way is given up."""
        await ended(*(task for making in self._making.values() for task in making))
        for connection in list(self._all):
            connection.close()
        await asyncio.sleep(0)  # they are told of it

    async def carried(
        self, asked: Asked, patience: Patience, heard: Callable[[Connection], Awaitable[None]]
    ) -> Connection:
        """A connection that carried this request, once so much of the reply is heard; to be given back."""
        while True:
            connection = await self._taken(asked, patience)
            stale = connection.used
            try:
                await connection.send(asked.head, asked.body, patience.quiet)
                await heard(connection)
            except (httpx.RemoteProtocolError, httpx.ReadError):
                self.give_back(asked, connection)
                if not (stale and asked.reads) or connection.heard:
                    raise
            except BaseException:
                self.give_back(asked, connection)
                raise
            else:
                return connection

    def _places(self, asked: Asked) -> asyncio.Semaphore:
        return self._slow if asked.slow else self._free

    async def _taken(self, asked: Asked, patience: Patience) -> Connection:
        """A connection that is ours until it is given back."""
        free, place = self._places(asked), asked.place
        if free.locked():
            try:
                async with asyncio.timeout(patience.free):
                    await free.acquire()
            except TimeoutError as late:
                raise httpx.ConnectTimeout("no connection was free in time") from late
        else:
            await free.acquire()
        try:
            return self._kept(place) or await self._promised(place) or await self._made(place, patience.connect)
        except BaseException:
            free.release()
            raise

    async def _warmed(self, place: Place, seconds: float) -> None:
        with suppress(httpx.TransportError):
            self._keep(place, await self._made(place, seconds))

    def _keep(self, place: Place, connection: Connection) -> None:
        connection.rest()
        self._idle.setdefault(place, {})[connection] = None

    def _kept(self, place: Place) -> Connection | None:
        idle = self._idle.get(place)
        while idle:
            connection, _ = idle.popitem()
            if connection.fresh:
                return connection
            connection.close()
        return None

    async def _promised(self, place: Place) -> Connection | None:
        """One that is being made ahead, and for nobody else."""
        if not (making := self._making.get(place)):
            return None
        await asyncio.wait([making.pop()])
        return self._kept(place)

    async def _made(self, place: Place, seconds: float) -> Connection:
        try:
            async with asyncio.timeout(seconds):
                connection = await self._dialing.connect(place, self._gone)
        except TimeoutError as late:
            raise httpx.ConnectTimeout("no connection in time") from late
        except (OSError, UnicodeError) as refused:  # UnicodeError: a name that is none
            raise httpx.ConnectError(str(refused)) from refused
        self._all.add(connection)
        return connection

    def _gone(self, connection: Connection) -> None:
        self._all.discard(connection)
        for place, idle in list(self._idle.items()):
            idle.pop(connection, None)
            if not idle:
                del self._idle[place]


class Lent:
    """A connection from the head of a reply on, for as long as it is read."""

    def __init__(self, pool: Pool, asked: Asked, patience: Patience) -> None:
        self._pool, self._asked, self._patience = pool, asked, patience
        self._connection: Connection

    async def __aenter__(self) -> Connection:
        self._connection = await self._pool.carried(self._asked, self._patience, Connection.begun)
        return self._connection

    async def __aexit__(self, *end: object) -> None:
        self._pool.give_back(self._asked, self._connection)


def written(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Asked:
    """Raises UnsupportedProtocol for an address that is none, LocalProtocolError for a header that is two."""
    place, path = _located(url)
    told = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if not told.count("\r") == told.count("\n") == len(headers):
        raise httpx.LocalProtocolError("there is a line break in a header")
    length = "" if body is None and method != "POST" else f"content-length: {len(body or b'')}\r\n"
    head = f"{method} {path} HTTP/1.1\r\nhost: {place.named}\r\n{told}{length}\r\n"
    return Asked(place, head.encode(), body or b"", method in _READS)


def _located(url: str) -> tuple[Place, str]:
    """Where it is, and what to ask for there."""
    found = _URL.fullmatch(url)
    if found is None:
        raise httpx.UnsupportedProtocol("this is no http address")
    scheme, host, port, target = found.groups()
    path = (target or "/").partition("#")[0]
    return _place(scheme, host, port), path if path.startswith("/") else f"/{path}"


@lru_cache(1024)
def _place(scheme: str, host: str, port: str | None) -> Place:
    secure = scheme.lower() == "https"
    usual = 443 if secure else 80
    number = int(port or usual)
    return Place(secure, host.strip("[]"), number, host if number == usual else f"{host}:{number}")

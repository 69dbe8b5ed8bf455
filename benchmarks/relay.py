"""The floor where there is no nginx: bytes from one socket to another, on asyncio."""

import asyncio
import socket
from typing import cast
from urllib.parse import urlsplit

import uvloop


class _Side(asyncio.Protocol):
    """One of two connections whose bytes go to the other."""

    def __init__(self, other: "_Side | None" = None) -> None:
        self.other, self._early = other, b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.other and self.other._early:
            self.transport.write(self.other._early)

    def data_received(self, data: bytes) -> None:
        if self.other and self.other.transport:
            self.other.transport.write(data)
        else:
            self._early += data

    def connection_lost(self, error: Exception | None) -> None:
        if self.other and self.other.transport:
            self.other.transport.close()


class _Client(_Side):
    def __init__(self, origin: str) -> None:
        super().__init__()
        self._origin = urlsplit(origin)
        self._opening: asyncio.Task[object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.other = side = _Side(self)
        open = asyncio.get_running_loop().create_connection(
            lambda: side, self._origin.hostname or "", self._origin.port or 80
        )
        self._opening = asyncio.ensure_future(open)


async def _serve(sock: socket.socket, origin: str) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Client(origin), sock=sock, backlog=2048)
    await server.serve_forever()


def run(sock: socket.socket, origin: str) -> None:
    """The process."""
    uvloop.run(_serve(sock, origin))

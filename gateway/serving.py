"""The process: one server that drains before it stops, and reads its settings again when told to."""

import asyncio
import logging
import multiprocessing
import signal
import socket
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

import uvicorn
from litestar.types import ASGIApp

from gateway.connections import Connection

_LINGER_SECONDS = 0.2
"""Whoever has just connected has sent a request by then, and is told that this gateway leaves."""


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises OSError if the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, or asyncio leaves Nagle's algorithm on: 44 ms a frame instead of 0.5.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(2048)
    return sock


class Server(uvicorn.Server):
    """uvicorn, except that the first SIGTERM or SIGINT drains and only then stops; a second stops at once."""

    def __init__(self, app: ASGIApp, drain: Callable[[], Coroutine[Any, Any, None]]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=10,
                backlog=2048,
            )
        )
        self._drain = drain
        self._draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._draining or not self.started:
            self.should_exit = self.force_exit = True
            # uvicorn would show a trace of every request that this cuts off.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
            return
        # Called between two bytecodes of the loop's thread: only schedule here.
        self._draining = asyncio.get_running_loop().create_task(self._drained())

    def stop(self) -> None:
        """As SIGTERM does."""
        self.handle_exit(signal.SIGTERM, None)

    async def _drained(self) -> None:
        await self._drain()
        for server in self.servers:
            server.close()
        # uvicorn hangs up at once on connections whose first request is on its way.
        await asyncio.sleep(_LINGER_SECONDS)
        self.should_exit = True


def on_hangup(reload: Callable[[], None]) -> None:
    """Calls `reload` on SIGHUP, where the platform has it."""
    if hasattr(signal, "SIGHUP"):
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def when_orphaned(stop: Callable[[], None]) -> None:
    """Calls `stop` when the process that started this one as a worker is gone, however it ended."""
    parent, loop = multiprocessing.parent_process(), asyncio.get_running_loop()
    if parent is None:
        return

    def gone() -> None:
        loop.remove_reader(parent.sentinel)
        stop()

    loop.add_reader(parent.sentinel, gone)

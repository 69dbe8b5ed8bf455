"""One connection that speaks HTTP/1.1: a request out, its reply in. What it raises, `transport` tells."""

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import cast

import httptools
import httpx

KEEPALIVE_SECONDS = 15.0
"""Shorter than any server's: one that hangs up on an idle connection must not meet a create on its way."""

_PIECE = 256 * 1024
_MOST_HELD = _MOST_HEAD = 256 * 1024
_INSTANT = 0.002
"""Seconds that a timer may be early."""


class _News(Enum):
    """What one can wait for, beside the end."""

    HEAD, MORE, ROOM, WHOLE = range(4)


class Connection(asyncio.Protocol):
    """Carries one request at a time, which may be silent for `quiet` seconds; its owner closes it unless it is `clean`
    afterwards."""

    def __init__(self, gone: Callable[["Connection"], None]) -> None:
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._waiter: asyncio.Future[None] | None = None
        self._waits_for = _News.WHOLE
        self._timer: asyncio.TimerHandle | None = None
        self._due = float("inf")
        self._lost: httpx.TransportError | None = None
        self.used = self._lent = self._full = False
        self._moved = self._loop.time()
        self._renew()

    def _renew(self) -> None:
        self.status, self.raw_headers, self.heard = 0, list[tuple[bytes, bytes]](), False
        self._headed = self._over = self._streams = self._reading_paused = self._keeps = False
        self._body: list[bytes] = []
        self._held = self._head = 0

    @property
    def clean(self) -> bool:
        """Whether its reply was whole, and another request may follow."""
        return self._over and self._keeps and self.usable

    @property
    def fresh(self) -> bool:
        """Whether another request may still be sent on it."""
        return self.usable and self._loop.time() < self._moved + KEEPALIVE_SECONDS

    @property
    def usable(self) -> bool:
        return self._lost is None and not self._transport.is_closing()

    async def send(self, head: bytes, body: bytes, quiet: float) -> None:
        """Writes a request; a large body a piece at a time, so that it holds up nobody else."""
        self._renew()
        self._lent, self._quiet, self._moved = True, quiet, self._loop.time()
        if self._due > self._moved + quiet:
            self._wind(self._moved + quiet)
        if len(body) <= _PIECE:
            self._transport.write(head + body)
            return
        self._transport.write(head)
        for start in range(0, len(body), _PIECE):
            if self._over or self._lost:
                self._keeps = False  # it was answered before it was whole: the rest of it is still expected
                return
            self._transport.write(body[start : start + _PIECE])
            if self._full:
                await self._news(_News.ROOM)

    async def answered(self) -> None:
        """Returns when the reply is whole."""
        if not self._over:
            await self._news(_News.WHOLE)

    async def begun(self) -> None:
        """Returns when the reply's head is there; its body is to be read as it comes."""
        self._streams = True
        if not self._headed:
            await self._news(_News.HEAD)

    async def read(self) -> bytes:
        """All of the body that has come since; nothing at its end."""
        if not self._body and not self._over:
            await self._news(_News.MORE)
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body, self._held = [], 0
        self._read_on()
        return body

    def rest(self) -> None:
        """Nobody needs it for the moment."""
        self._read_on()
        self.used, self._lent, self._moved = True, False, self._loop.time()
        if self._timer is None:
            self._wind(self._moved + KEEPALIVE_SECONDS)

    def close(self) -> None:
        """What is under way is given up."""
        self._transport.abort()

    # What asyncio says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._moved = self._loop.time()
        if not self._lent:
            # Nothing was asked: what comes now is no reply to what is asked next.
            self.close()
            return
        self.heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._lose(httpx.RemoteProtocolError(f"this is no HTTP: {error}"))
            self.close()
        if not self._headed:
            self._head += len(data)
            if self._head > _MOST_HEAD:
                self._lose(httpx.RemoteProtocolError("the head of a reply has no end"))
                self.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._headed and not self._over and error is None and not self._framed:
            self.on_message_complete()  # such a reply ends with its connection
        self._lose(httpx.RemoteProtocolError("the server hung up") if error is None else httpx.ReadError(str(error)))
        if self._timer:
            self._timer.cancel()
        # It holds this, and each would keep the other until garbage is collected.
        del self._parser
        self._gone(self)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full, self._moved = False, self._loop.time()
        self._tell(_News.ROOM)

    # What the parser says

    def on_message_begin(self) -> None:
        if self._over:
            raise ValueError("a second reply to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.raw_headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status >= 200:
            self._headed = True
            self._tell(_News.HEAD)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        if self._streams:
            self._held += len(body)
            if self._held > _MOST_HELD and not self._reading_paused:
                self._reading_paused = True
                self._transport.pause_reading()
            if self._waits_for is _News.MORE:
                self._wake()

    def on_message_complete(self) -> None:
        if self.status < 200:
            self.raw_headers = []  # of an interim reply; the real one follows
            return
        self._over, self._keeps = True, self._parser.should_keep_alive()
        self._wake()

    # Waiting

    async def _news(self, what: _News) -> None:
        """Returns when there is such news, or the reply is whole. Raises what it was lost by."""
        if self._lost is None:
            self._waits_for, self._moved = what, self._loop.time()
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._lost and not self._over and not (what is _News.MORE and self._body):
            raise self._lost

    def _read_on(self) -> None:
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    @property
    def _framed(self) -> bool:
        """Whether the reply says how long it is, or comes in chunks."""
        return any(name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in self.raw_headers)

    def _tell(self, news: _News) -> None:
        if self._waits_for is news:
            self._wake()

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def _lose(self, why: httpx.TransportError) -> None:
        self._lost = self._lost or why
        self._wake()

    def _wind(self, due: float) -> None:
        """One timer for silence and idleness alike: it is seldom set, and looks when it rings what it is about."""
        if self._timer:
            self._timer.cancel()
        self._due, self._timer = due, self._loop.call_at(due, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        since = self._moved if self._waiter or not self._lent else now
        due = since + (self._quiet if self._lent else KEEPALIVE_SECONDS)
        if due > now + _INSTANT:
            self._wind(due)
            return
        self._timer, self._due = None, float("inf")
        if self._lent:
            self._lose(httpx.ReadTimeout(f"silence for {self._quiet:g} s"))
        self.close()

"""One reading of a prediction's event stream, which may have been read in part before."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx
import msgspec
from httpx_sse import EventSource, ServerSentEvent, SSEError
from msgspec import Struct

from adapters.wire.replicate import Done, Event, Failure, Logs, Output
from gateway.upstream.client import Upstream
from gateway.upstream.transport import timeouts


class NoStream(Exception):
    """There is no stream at this address now."""


class Cursor:
    """How far a stream has been read, whether its server resumes after the last id, with it, or starts anew.

    Replicate gives every event an id. Where only some have one, the first must be among them; where none has, a new
    connection starts anew.
    """

    def __init__(self) -> None:
        self.last = ""
        """The id to resume after; empty where none was heard."""
        self._first = ""
        self._read = self._beyond = 0
        self._skip = 0
        self._begun = False

    def reopen(self) -> None:
        """The stream is read anew, and `last` was told to the server."""
        self._begun = False

    def fresh(self, id: str) -> bool:
        """Whether an event with this id (the last one seen, where it has none of its own) has not been read yet."""
        if not self._begun:
            self._begun = True
            self._skip = self._repeated(id)
        if self._skip:
            self._skip -= 1
            return False
        self._read += 1
        self._beyond = 0 if id and id != self.last else self._beyond + 1
        self.last = id or self.last
        self._first = self._first or id
        return True

    def _repeated(self, id: str) -> int:
        """How many events come again. A server that knows the id goes on after it, some with it; others start anew."""
        if not self._read:
            return 0
        if not self.last or id == self._first:
            return self._read
        if not id:
            return self._beyond
        return self._beyond + 1 if id == self.last else 0


async def read(upstream: Upstream, url: str, cursor: Cursor, index: int) -> AsyncGenerator[Event]:
    """The events not read before, until the stream ends or breaks; whether it was whole, only `Done` tells.

    Raises NoStream where there is none.
    """
    if upstream.base_url.startswith("https:") and not url.startswith("https:"):
        raise NoStream
    headers = {"accept": "text/event-stream", "cache-control": "no-store"}
    if cursor.last:
        headers["last-event-id"] = cursor.last
    cursor.reopen()
    upstream.count()
    try:
        async with upstream.streams.stream("GET", url, headers=headers, timeout=timeouts(upstream.config)) as reply:
            if not reply.is_success:
                raise NoStream
            reply.encoding = "utf-8"
            async with aclosing(EventSource(reply).aiter_sse()) as events:
                async for event in events:
                    if (known := _event(event, index)) and cursor.fresh(event.id):
                        yield known
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, SSEError) as error:
        raise NoStream from error
    except httpx.RequestError:
        return


class _Told(Struct, frozen=True):
    detail: str | None = None
    reason: str | None = None


def _event(event: ServerSentEvent, index: int) -> Event | None:
    """By the known names only: httpx-sse makes an empty `message` of every comment once an id was seen."""
    match event.event:
        case "output":
            return Output(event.data, index)
        case "logs":
            return Logs(event.data, index)
        case "error":
            return Failure(_told(event.data).detail or event.data or "The prediction failed.", index)
        case "done":
            return Done(_told(event.data).reason, index)
    return None


def _told(data: str) -> _Told:
    # The docs show JSON, Replicate's own client tests bare text as well.
    try:
        return msgspec.json.decode(data, type=_Told)
    except msgspec.DecodeError:
        return _Told()

"""One reading of a prediction's event stream, which may have been read in part before."""

from collections.abc import AsyncGenerator

import httpx
import msgspec
from httpx_sse import ServerSentEvent
from msgspec import Struct

from adapters.wire.replicate import Done, Event, Failure, Logs, Output
from gateway.upstream.client import Upstream
from gateway.upstream.sse import Parser
from gateway.upstream.transport import patience_of
from gateway.upstream.wire import header

_KNOWN = frozenset({"output", "logs", "error", "done"})
_HEADERS = {
    "user-agent": "repligate",
    "accept": "text/event-stream",
    "accept-encoding": "identity",
    "cache-control": "no-store",
}


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


async def read(upstream: Upstream, url: str, cursor: Cursor, index: int) -> AsyncGenerator[list[Event]]:
    """The events not read before, as many at a time as came together, until the stream ends or breaks; whether it was
    whole, only `Done` tells.

    Raises NoStream where there is none.
    """
    if upstream.base_url.startswith("https:") and not url.startswith("https:"):
        raise NoStream
    cursor.reopen()
    upstream.count()
    headers = {**_HEADERS, "last-event-id": cursor.last} if cursor.last else _HEADERS
    parser = Parser()
    try:
        async with upstream.streams.open("GET", url, headers, None, patience_of(upstream.config)) as reply:
            kind = header(reply.raw_headers, b"content-type")
            if reply.status >= 300 or not kind.startswith("text/event-stream"):
                raise NoStream
            while chunk := await reply.read():
                said = [
                    _event(each, index) for each in parser.feed(chunk) if each.event in _KNOWN and cursor.fresh(each.id)
                ]
                if said:
                    yield said
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol) as error:
        raise NoStream from error
    except httpx.RequestError:
        return


class _Told(Struct, frozen=True):
    detail: str | None = None
    reason: str | None = None


def _event(said: ServerSentEvent, index: int) -> Event:
    match said.event:
        case "output":
            return Output(said.data, index)
        case "logs":
            return Logs(said.data, index)
        case "error":
            return Failure(_told(said.data).detail or said.data or "The prediction failed.", index)
    return Done(_told(said.data).reason, index)


def _told(data: str) -> _Told:
    # The docs show JSON, Replicate's own client tests bare text as well.
    try:
        return msgspec.json.decode(data, type=_Told)
    except msgspec.DecodeError:
        return _Told()

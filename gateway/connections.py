"""One HTTP connection: uvicorn's, with what it leaves out of HTTP/1.0, of long headers and of requests sent ahead."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from adapters.errors import ApiError, InvalidRequest
from gateway import errors

MOST_HEADER_BYTES = 64 * 1024

Send = Callable[[Any], Awaitable[None]]


class Connection(HttpToolsProtocol):
    """Bounds the head of a request, answers HTTP/1.0 without chunks, and tells every request that its client left."""

    _head = _headers = 0
    _within_head = False
    _answered: RequestResponseCycle | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # One header may be longer than all that is read at once: it is not even told of before its end.
        if self._within_head and not self.transport.is_closing():
            self._head += len(data)
            if self._head > MOST_HEADER_BYTES:
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head, self._headers, self._within_head = 0, 0, True

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._headers += len(name) + len(value)
        if self._headers > MOST_HEADER_BYTES:
            raise ValueError("too many headers")

    def on_headers_complete(self) -> None:
        self._within_head = False
        super().on_headers_complete()
        if self.scope["http_version"] == "1.0":
            # It knows no chunks: the end of the connection is the end of the answer.
            self.cycle.chunked_encoding = False
            self.cycle.send = partial(_unchunked, self.cycle, self.cycle.send)  # type: ignore[method-assign]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # uvicorn tells the request that came last; of several sent ahead, another is being answered.
        if self._answered and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is refused in the shape of every other refusal."""
        error: ApiError = InvalidRequest(msg)
        if max(self._head, self._headers) > MOST_HEADER_BYTES:
            error = errors.HeadersTooLarge("The request's headers are larger than this gateway takes.")
        content = msgspec.json.encode(errors.body(error))
        head = {"content-type": "application/json", "content-length": str(len(content)), "connection": "close"}
        lines = [f"{name}: {value}\r\n" for name, value in {**head, "x-request-id": f"req_{uuid.uuid4().hex}"}.items()]
        self.transport.write(b"".join([STATUS_LINE[error.status], "".join(lines).encode(), b"\r\n", content]))
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        cycle.transport = cast(asyncio.Transport, Outlet(self.transport))
        super()._start_asgi_task(cycle, app)


class Outlet:
    """What one answer is written to: its head waits for the first of its body, if that comes at once, for each write
    is a system call and a packet to the client."""

    __slots__ = ("_head", "_open", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head, self._open = transport, b"", False

    def write(self, content: bytes) -> None:
        if not self._open:
            self._head, self._open = content, True
            asyncio.get_running_loop().call_soon(self._send)
        elif self._head:
            head, self._head = self._head, b""
            self._transport.write(head + content)
        else:
            self._transport.write(content)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._head:
            self.write(b"")


async def _unchunked(cycle: RequestResponseCycle, send: Send, message: dict[str, Any]) -> None:
    if message["type"] == "http.response.body":
        cycle.expected_content_length = len(message.get("body", b""))
    await send(message)

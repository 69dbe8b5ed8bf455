"""The little of ASGI that the simulator speaks itself."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

TRANSPORT = "simulator.transport"
UNANSWERED = "simulator.unanswered"


async def respond(
    send: Send, status: int, content: bytes, media_type: str, headers: list[Header] | None = None
) -> None:
    """Send a whole response."""
    await start(send, status, media_type, [*(headers or ()), (b"content-length", str(len(content)).encode())])
    await send({"type": "http.response.body", "body": content})


async def start(send: Send, status: int, media_type: str, headers: list[Header] | None = None) -> None:
    """Send the head of a response."""
    head = [(b"content-type", media_type.encode()), *(headers or ())]
    await send({"type": "http.response.start", "status": status, "headers": head})


async def more(send: Send, content: bytes) -> None:
    """Send a part of a body that goes on."""
    await send({"type": "http.response.body", "body": content, "more_body": True})


async def end(send: Send) -> None:
    """End a body."""
    await send({"type": "http.response.body", "body": b""})


def header(scope: Scope, name: bytes) -> str | None:
    """Return a request header, its name in lower case."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


async def until_left(receive: Receive) -> None:
    """Wait until the client has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def drop(scope: Scope, receive: Receive) -> None:
    """Tear the connection down without ending the response."""
    leave_unanswered(scope)
    transport = cast(asyncio.Transport, scope["extensions"][TRANSPORT])
    transport.abort()
    await until_left(receive)


def leave_unanswered(scope: Scope) -> None:
    """Mark a request whose client will see no answer, whatever is sent."""
    scope["extensions"][UNANSWERED] = True


class Heard:
    """A `send` that remembers the status that went through it and can add headers to it."""

    def __init__(self, send: Send, headers: list[Header] | None = None) -> None:
        self._send = send
        self._headers = headers or []
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *self._headers]
        await self._send(message)

"""The headers that every answer carries, errors and streams too: its request id, time taken and API version."""

import time
from typing import cast

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from gateway import ids

_KEY = "repligate.request"


class Identified:
    """An ASGI app around another; a request id starts with `req_`, as official clients show it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        began, identity = time.perf_counter(), f"req_{ids.fresh()}"
        cast(dict[str, object], scope)[_KEY] = identity

        async def send_identified(message: Message) -> None:
            if message["type"] == "http.response.start":
                took = str(round((time.perf_counter() - began) * 1000)).encode()
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", identity.encode()),
                    (b"openai-version", b"2020-10-01"),
                    (b"openai-processing-ms", took),
                ]
            await send(message)

        if scope["method"] == "HEAD":
            # Whatever can be read can be asked about: the server leaves the body out.
            scope = cast(Scope, {**scope, "method": "GET"})
        await self.app(scope, receive, send_identified)


def request_id(scope: Scope) -> str:
    """The id that this request's answer will carry."""
    return str(cast(dict[str, object], scope)[_KEY])

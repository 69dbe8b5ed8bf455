"""The headers that every answer carries, errors and streams too: its request id, time taken and API version."""

import time
import uuid

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

VERSION = (b"openai-version", b"2020-10-01")


class Identified:
    """An ASGI app around another; a request id starts with `req_`, as official clients show it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        began, identity = time.perf_counter(), (b"x-request-id", b"req_" + uuid.uuid4().hex.encode())

        async def send_identified(message: Message) -> None:
            if message["type"] == "http.response.start":
                took = str(round((time.perf_counter() - began) * 1000)).encode()
                message["headers"] = [*message["headers"], identity, VERSION, (b"openai-processing-ms", took)]
            await send(message)

        await self.app(scope, receive, send_identified)

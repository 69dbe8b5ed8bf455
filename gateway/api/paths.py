"""Names in the paths of the admin API that hold a slash themselves, written `%2F`."""

from typing import Final, cast
from urllib.parse import unquote

from litestar.types import ASGIApp, Receive, Scope, Send

SLASH: Final = "\x1f"
"""Stands for such a slash until the name is read: a router would take it for the end of the name."""


class Slashed:
    """An ASGI app around another."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        written = bytes(scope.get("raw_path") or b"").decode("latin-1")
        if written.startswith("/admin/") and "%2f" in written.lower():
            path = unquote(written.replace("%2F", SLASH).replace("%2f", SLASH))
            scope = cast(Scope, {**scope, "path": path})
        await self.app(scope, receive, send)

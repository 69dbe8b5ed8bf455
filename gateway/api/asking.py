"""A request that may be sent again for the same intent: which those are, and what is told of one read whole."""

import asyncio
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send

from adapters.errors import ApiError
from gateway.accounts.keys import VirtualKey
from gateway.api.credentials import key_of
from gateway.api.headers import headers_of
from gateway.parts import Gateway

_BOUNDARY = re.compile(rb"boundary=\"?([^\";]+)")


@dataclass(frozen=True, slots=True)
class Line:
    """The connection to a client."""

    scope: Scope
    receive: Receive
    send: Send


@dataclass(frozen=True, slots=True)
class Asking:
    """One request, read whole; `given_up` tells after how many seconds of silence its client sends it again."""

    headers: Mapping[bytes, bytes]
    key: VirtualKey
    body: bytes
    digest: str
    attempt: int
    began: float

    @property
    def name(self) -> bytes | None:
        return self.headers.get(b"idempotency-key")

    def patience(self, grace: float, *, answered: bool) -> float:
        """For how many seconds its client may be back, now that it has left."""
        if self.key.leave == "drain":
            return float("inf")
        if self.name:
            return grace
        try:
            gives_up = float(self.headers.get(b"x-stainless-read-timeout") or self.headers[b"x-stainless-timeout"])
        except (KeyError, ValueError):
            return 0.0
        # An SDK that gives up sends it again after half a second, and twice that each time; a person who left does not.
        waited = asyncio.get_running_loop().time() - self.began
        retries = not answered and waited >= 0.9 * gives_up - 0.1
        return min(8.0, 0.5 * 2 ** min(self.attempt, 8)) + 2 if retries else 0.0


def asks_once(scope: Scope) -> Mapping[bytes, bytes] | None:
    """The headers of a request that may be sent again for the same intent."""
    if scope["type"] != ScopeType.HTTP or scope["method"] != "POST" or not scope["path"].startswith("/v1/"):
        return None
    headers = headers_of(scope)
    return headers if b"idempotency-key" in headers or b"x-stainless-retry-count" in headers else None


async def asking_of(
    gateway: Gateway, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, read: list[Any]
) -> Asking | None:
    """The request, `read` whole; None for one that will be refused, or whose client left in the middle of it."""
    try:
        key = await key_of(scope, gateway.keys)
    except ApiError:
        return None
    size, most = 0, gateway.config.server.max_body_mb * 1024 * 1024
    while not read or read[-1].get("more_body"):
        read.append(await receive())
        size += len(read[-1].get("body", b""))
        if size > most or read[-1]["type"] != "http.request":
            return None
    body = b"".join(each.get("body", b"") for each in read)
    count = headers.get(b"x-stainless-retry-count", b"0")
    attempt = int(count) if count.isdigit() and len(count) < 6 else 0
    began = asyncio.get_running_loop().time()
    return Asking(headers, key, body, _digest(scope, headers, key, body), attempt, began)


def again(read: list[Any], receive: Receive) -> Receive:
    """What was read of the request already, and then the rest."""
    unread = list(reversed(read))

    async def hear() -> Any:
        return unread.pop() if unread else await receive()

    return cast(Receive, hear)


def _digest(scope: Scope, headers: Mapping[bytes, bytes], key: VirtualKey, body: bytes) -> str:
    """What is asked for, and by whom. The line between a form's parts is drawn anew each time."""
    kind = headers.get(b"content-type", b"")
    if drawn := _BOUNDARY.search(kind):
        kind, body = kind.replace(drawn[1], b""), body.replace(drawn[1], b"")
    told = (key.id.encode(), scope["path"].encode(), scope["query_string"], kind)
    return hashlib.sha256(b"\0".join((*told, headers.get(b"x-repligate-dry-run", b""), body))).hexdigest()

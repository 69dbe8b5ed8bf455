"""The connections that everything of upstream's goes over, and their failures.

Whoever takes a lost answer for a request that was never sent creates a paid prediction twice. What is raised tells:

    httpx.ConnectError, ConnectTimeout, ProxyError     nothing of the request left this machine
    everything else                                    it may have arrived

A `Wire` is all that calls need; an httpx client over the same connections serves files, messages and proxies.
"""

import re
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from gateway.config import UpstreamConfig
from gateway.upstream.connection import Connection
from gateway.upstream.pool import Asked, Pool, written
from gateway.upstream.wire import Opened, Patience, Reply, Wire

_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d+)?")
"""A name or address that NO_PROXY may spare; ranges are not understood and spare nothing."""

_FREE_SECONDS = 10.0
"""A place among the connections may be waited for so much longer than a connection."""

_OURS = frozenset({"host", "connection", "content-length", "transfer-encoding"})
"""Headers that a connection writes itself."""


_LONG = 24 * 3600.0


class Transport(httpx.AsyncBaseTransport):
    """Our connections for an httpx client. No redirects, no cookies, no proxy."""

    def __init__(self, connections: int) -> None:
        self._pool = Pool(connections)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        content = await request.aread()
        headers = {name: value for name, value in request.headers.items() if name not in _OURS}
        told = request.extensions.get("timeout", {})
        free, connect, quiet = (told.get(name) or _LONG for name in ("pool", "connect", "read"))
        patience = Patience(free, connect, quiet)
        asked = written(request.method, str(request.url), headers, content or None)
        connection = await self._pool.carried(asked, patience, Connection.begun)
        body = _Body(self._pool, asked, connection)
        return httpx.Response(connection.status, headers=connection.raw_headers, stream=body, request=request)

    async def aclose(self) -> None:
        await self._pool.aclose()


class Client(httpx.AsyncClient):
    """An httpx client that sends what it is given. What httpx does around a request (redirects, cookies, logins) costs
    as much CPU as the rest of it, and none of it may happen here."""

    async def send(self, request: httpx.Request, *, stream: bool = False, **_: Any) -> httpx.Response:
        """The reply, read whole unless `stream`. Raises httpx.TransportError."""
        reply = await self._transport_for_url(request.url).handle_async_request(request)
        if not stream:
            try:
                await reply.aread()
            finally:
                await reply.aclose()
        return reply


class Bridged:
    """An httpx client as a wire."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, patience: Patience
    ) -> Reply:
        reply = await self._http.send(_request(method, url, headers, body, patience))
        return Reply(reply.status_code, reply.headers.raw, reply.content)

    @asynccontextmanager
    async def open(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, patience: Patience
    ) -> AsyncIterator[Opened]:
        reply = await self._http.send(_request(method, url, headers, body, patience), stream=True)
        try:
            yield _Heard(reply)
        finally:
            await reply.aclose()

    def warm(self, url: str, patience: Patience) -> None: ...

    async def aclose(self) -> None:
        await self._http.aclose()


class _Heard:
    """An httpx reply as it comes."""

    def __init__(self, reply: httpx.Response) -> None:
        self.status, self.raw_headers, self._chunks = reply.status_code, reply.headers.raw, reply.aiter_bytes()

    async def read(self) -> bytes:
        return await anext(self._chunks, b"")


class _Body(httpx.AsyncByteStream):
    """A reply's bytes as they come, for httpx."""

    def __init__(self, pool: Pool, asked: Asked, connection: Connection) -> None:
        self._pool, self._asked, self._connection = pool, asked, connection
        self._open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self._connection.read():
            yield chunk

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._pool.give_back(self._asked, self._connection)


def wire(config: UpstreamConfig, proxies: Mapping[str, str] | None = None) -> Wire:
    """What calls go over: our connections, or those of a client that knows the proxies there are."""
    told = environment_proxies() if proxies is None else proxies
    return Bridged(client(config, told)) if _mounts(config.connections, told) else Pool(config.connections)


def client(config: UpstreamConfig, proxies: Mapping[str, str] | None = None) -> httpx.AsyncClient:
    """A pooled client. `proxies` is what `proxies_from` gives; by default what this process's environment says."""
    told = environment_proxies() if proxies is None else proxies
    return Client(
        transport=Transport(config.connections),
        mounts=_mounts(config.connections, told),
        timeout=_timeout(patience_of(config)),
        follow_redirects=False,
        trust_env=False,
        headers={"user-agent": "repligate"},
        # One client's session must not be told apart, or mixed up, by a cookie of another's.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def patience_of(config: UpstreamConfig, quiet: float | None = None) -> Patience:
    """So many seconds of silence (default: the configured) are too many."""
    connect = config.connect_seconds
    return Patience(connect + _FREE_SECONDS, connect, config.read_seconds if quiet is None else quiet)


def environment_proxies() -> dict[str, str]:
    """`http`, `https`, `all` → proxy URL, `no` → hosts reached directly; from HTTP_PROXY and its kin.

    Only these are read: a `.netrc` could put someone's credentials on a stream host's requests.
    """
    return urllib.request.getproxies_environment()


def _mounts(connections: int, proxies: Mapping[str, str]) -> dict[str, httpx.AsyncBaseTransport | None]:
    mounts: dict[str, httpx.AsyncBaseTransport | None] = {
        f"{scheme}://": _proxied(connections, url)
        for scheme, url in proxies.items()
        if scheme in {"http", "https", "all"} and url.startswith("http")
    }
    if not mounts:
        return {}
    direct = [host.strip().lstrip(".") for host in proxies.get("no", "").split(",")]
    if "*" in direct:
        return {}
    for host in filter(_HOST.fullmatch, ["localhost", *direct]):
        mounts |= {f"all://{host}": None, f"all://*.{host}": None}
    return mounts | {"all://127.0.0.1": None, "all://[::1]": None}


def _proxied(connections: int, proxy: str) -> httpx.AsyncBaseTransport:
    from gateway.upstream.proxied import Proxied

    return Proxied(connections, proxy)


def _request(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None, patience: Patience
) -> httpx.Request:
    timeout = {"timeout": _timeout(patience).as_dict()}
    return httpx.Request(method, url, headers=dict(headers), content=body, extensions=timeout)


def _timeout(patience: Patience) -> httpx.Timeout:
    return httpx.Timeout(connect=patience.connect, read=patience.quiet, write=patience.quiet, pool=patience.free)

"""Connections by way of a proxy: aiohttp's behind httpx, with the failures named as `transport` promises.

Imported only where there is a proxy: it takes eight megabytes.
"""

import io
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager

import aiohttp
import httpx
from yarl import URL

from gateway.upstream.connection import KEEPALIVE_SECONDS

_PIECE = 256 * 1024

_FAILURES: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (aiohttp.ClientProxyConnectionError, httpx.ProxyError),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError),
    (aiohttp.ClientConnectionResetError, httpx.WriteError),
    (aiohttp.ClientError, httpx.ReadError),
    (TimeoutError, httpx.ReadTimeout),
    (OSError, httpx.ReadError),
)
"""First match counts."""


class Proxied(httpx.AsyncBaseTransport):
    """aiohttp's connections for an httpx client. No redirects, no cookies, no proxy but the one given."""

    def __init__(self, connections: int, proxy: str | None) -> None:
        self._connections, self._proxy = connections, proxy
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        content = request.read()
        with _named():
            reply = await self._opened().request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers,
                # Written a piece at a time, so that a large body holds up nobody else.
                data=content if len(content) <= _PIECE else io.BytesIO(content),
                allow_redirects=False,
                auto_decompress=False,
                timeout=_timeout(request.extensions.get("timeout", {})),
                proxy=self._proxy,
            )
        return httpx.Response(reply.status, headers=reply.raw_headers, stream=_Body(reply), request=request)

    async def aclose(self) -> None:
        if self._session:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        # Made within the loop that it will run in.
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self._connections, keepalive_timeout=KEEPALIVE_SECONDS, ssl=ssl.create_default_context()
            )
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session


class _Body(httpx.AsyncByteStream):
    """A reply's bytes as they come."""

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _named():
            async for chunk in self._reply.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        with _named():
            # Read to its end, the connection is used again; else it is closed.
            self._reply.release() if self._reply.content.at_eof() else self._reply.close()


def _timeout(told: Mapping[str, float | None]) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(connect=told.get("pool"), sock_connect=told.get("connect"), sock_read=told.get("read"))


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except (aiohttp.ClientError, OSError) as error:
        named = next(name for kind, name in _FAILURES if isinstance(error, kind))
        raise named(str(error) or type(error).__name__) from error

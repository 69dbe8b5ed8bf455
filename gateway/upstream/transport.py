"""The transport under every upstream connection: aiohttp's pool behind httpx, with the failures named right.

httpx-aiohttp calls a refused connection, a server that hung up after it had our request, and a wait for a free
connection all `ConnectTimeout`. Whoever believes that sends a paid create twice, so the cause decides here:

    httpx.ConnectError, ConnectTimeout, PoolTimeout    nothing of the request left this machine
    everything else                                    it may have arrived
"""

import re
import ssl
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from http.cookiejar import CookieJar, DefaultCookiePolicy

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from gateway.config import UpstreamConfig

_KEEPALIVE_SECONDS = 15.0
"""Shorter than any server's: one that hangs up on an idle connection must not meet a create on its way."""

_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d+)?")
"""A name or address that NO_PROXY may spare; ranges are not understood and spare nothing."""

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


class _Wait:
    """Whether this request stands in line for a connection."""

    queued = False


_waiting: ContextVar[_Wait] = ContextVar("waiting")


class Transport(AiohttpTransport):
    """aiohttp's connections for an httpx client. No redirects, no cookies, no proxy but the one given."""

    def __init__(self, connections: int, proxy: str | None = None) -> None:
        self._connections = connections
        super().__init__(proxy=httpx.Proxy(proxy) if proxy else None, trust_env=False, client=self._session)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        wait = _Wait()
        mark = _waiting.set(wait)
        try:
            with _named(wait):
                response = await super().handle_async_request(_in_pieces(request))
        finally:
            _waiting.reset(mark)
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Body(response.stream)
        return response

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._connections, keepalive_timeout=_KEEPALIVE_SECONDS, ssl=ssl.create_default_context()
        )
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trace_configs=[_queue_traced()]
        )


class _Pieces(httpx.AsyncByteStream):
    """A large body a piece at a time, so that writing it holds up nobody else."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for begin in range(0, len(self._content), _PIECE):
            yield self._content[begin : begin + _PIECE]


def _in_pieces(request: httpx.Request) -> httpx.Request:
    try:
        content = request.content
    except httpx.RequestNotRead:
        return request
    if len(content) <= _PIECE:
        return request
    # The headers keep the length: the body goes out whole, not chunked.
    return httpx.Request(
        request.method, request.url, headers=request.headers, stream=_Pieces(content), extensions=request.extensions
    )


class _Body(httpx.AsyncByteStream):
    """A response's bytes, whose failures bear the same names."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _named():
            async for chunk in self._stream:
                yield chunk

    async def aclose(self) -> None:
        with _named():
            await self._stream.aclose()


def client(config: UpstreamConfig, proxies: Mapping[str, str] | None = None) -> httpx.AsyncClient:
    """A pooled client. `proxies` is what `proxies_from` gives; by default what this process's environment says."""
    told = environment_proxies() if proxies is None else proxies
    return httpx.AsyncClient(
        transport=Transport(config.connections),
        mounts=_mounts(config.connections, told),
        timeout=timeouts(config),
        follow_redirects=False,
        trust_env=False,
        headers={"user-agent": "repligate"},
        # One client's session must not be told apart, or mixed up, by a cookie of another's.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def timeouts(config: UpstreamConfig, read: float | None = None) -> httpx.Timeout:
    """`read` seconds of silence (default: the configured) are too many. The pool's limit contains the connect's."""
    quiet = config.read_seconds if read is None else read
    return httpx.Timeout(connect=config.connect_seconds, read=quiet, write=quiet, pool=config.connect_seconds + 10)


def environment_proxies() -> dict[str, str]:
    """`http`, `https`, `all` → proxy URL, `no` → hosts reached directly; from HTTP_PROXY and its kin.

    Only these are read: a `.netrc` could put someone's credentials on a stream host's requests.
    """
    return urllib.request.getproxies_environment()


def _mounts(connections: int, proxies: Mapping[str, str]) -> dict[str, httpx.AsyncBaseTransport | None]:
    mounts: dict[str, httpx.AsyncBaseTransport | None] = {
        f"{scheme}://": Transport(connections, url)
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


@contextmanager
def _named(wait: _Wait | None = None) -> Iterator[None]:
    try:
        yield
    except (httpx.TransportError, aiohttp.ClientError, OSError) as error:
        cause = error.__cause__ if isinstance(error, httpx.TransportError) and error.__cause__ else error
        if isinstance(cause, httpx.TransportError):
            raise
        named = next(name for kind, name in _FAILURES if isinstance(cause, kind))
        if named is httpx.ConnectTimeout and wait and wait.queued:
            named = httpx.PoolTimeout
        raise named(str(cause) or type(cause).__name__) from cause


def _queue_traced() -> aiohttp.TraceConfig:
    async def queued(*_: object) -> None:
        _waiting.get().queued = True

    async def served(*_: object) -> None:
        _waiting.get().queued = False

    trace = aiohttp.TraceConfig()
    trace.on_connection_queued_start.append(queued)
    trace.on_connection_queued_end.append(served)
    return trace

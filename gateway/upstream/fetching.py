"""Fetching a prediction's files: without a token, from the allowed hosts only, and no more than is kept."""

import asyncio
import string
from fnmatch import fnmatchcase
from urllib.parse import quote, urljoin, urlsplit

import httpx
import stamina
import structlog

from gateway.config import OutputsConfig
from gateway.errors import UpstreamFailed
from gateway.upstream.wire import Opened, Patience, Wire, header

log = structlog.get_logger()

_HOPS = 3
_HEADERS = {"user-agent": "repligate", "accept": "*/*", "accept-encoding": "identity"}
_WRITTEN = "".join(sign for sign in string.printable if not sign.isspace())
"""What may stand in an address as it is."""

_AT_ONCE = 16
"""A file is held whole until it is stored and answered: so many at most."""


class Unsteady(UpstreamFailed):
    """It could not be fetched this time; the next may go better."""


class Fetching:
    """Where a model's author decides the address, and so may name any: `outputs.hosts` are the ones we go to.

    Beside them, a Replicate on this machine (the simulator) may hand out files on this machine.
    """

    def __init__(self, config: OutputsConfig, base_url: str, wire: Wire, patience: Patience) -> None:
        self.most = config.max_mb * 1024 * 1024
        self._config, self._wire, self._patience = config, wire, patience
        self._local = _loopback(base_url)
        self._few = asyncio.Semaphore(_AT_ONCE)

    async def fetch(self, url: str) -> bytes:
        """The file. Raises UpstreamFailed for a host that is not allowed, and a file that is too large or not there."""
        async for attempt in stamina.retry_context(
            on=Unsteady, attempts=4, timeout=30, wait_initial=0.1, wait_max=2.0, wait_jitter=0.1
        ):
            with attempt:
                async with self._few:
                    return await self._followed(url)
        raise AssertionError("an attempt returns or raises")

    async def aclose(self) -> None:
        await self._wire.aclose()

    async def _followed(self, url: str) -> bytes:
        for _ in range(_HOPS):
            self._check(url)
            content, moved = await self._read(url)
            if not moved:
                return content
            url = urljoin(url, moved)
        raise UpstreamFailed("The model's output file was moved too often.")

    async def _read(self, url: str) -> tuple[bytes, str]:
        """The file, or where it has moved to."""
        written = quote(url, safe=_WRITTEN)
        try:
            async with self._wire.open("GET", written, _HEADERS, None, self._patience) as reply:
                moved = header(reply.raw_headers, b"location")
                if 300 <= reply.status < 400 and moved:
                    return b"", moved
                self._accept(reply)
                return await self._gathered(reply), ""
        except httpx.UnsupportedProtocol:
            raise UpstreamFailed("The model's output is not an address.") from None
        except httpx.RequestError as error:
            raise Unsteady("The model's output file could not be fetched.") from error

    def _accept(self, reply: Opened) -> None:
        if reply.status >= 500 or reply.status == 429:
            raise Unsteady(f"The model's output file could not be fetched (status {reply.status}).")
        if not 200 <= reply.status < 300:
            raise UpstreamFailed(f"The model's output file is not there (status {reply.status}).")
        if header(reply.raw_headers, b"content-encoding") not in {"", "identity"}:
            raise UpstreamFailed("The model's output file came in an encoding that was not asked for.")
        length = header(reply.raw_headers, b"content-length")
        if length.isdecimal() and int(length) > self.most:
            raise self._too_large()

    async def _gathered(self, reply: Opened) -> bytes:
        content = bytearray()
        while chunk := await reply.read():
            content += chunk
            if len(content) > self.most:
                raise self._too_large()
        return bytes(content)

    def _check(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            host, _ = (parts.hostname or "").lower().rstrip("."), parts.port
        except ValueError:
            raise UpstreamFailed("The model's output is not an address.") from None
        if self._local and _loopback(url):
            return
        standard = parts.scheme == "https" and parts.port in {None, 443} and not parts.username
        if not standard or not any(fnmatchcase(host, pattern) for pattern in self._config.hosts):
            # The address itself may hold what the client asked for: only its host is logged.
            log.warning("output host refused", host=host, remedy="add it to outputs.hosts if it is to be trusted")
            raise UpstreamFailed("The model's output is on a host that this gateway does not fetch from.")

    def _too_large(self) -> UpstreamFailed:
        return UpstreamFailed(f"The model's output is larger than the {self._config.max_mb} MB that are kept.")


def _loopback(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and parts.hostname in {"127.0.0.1", "localhost", "::1"}

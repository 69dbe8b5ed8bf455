"""What upstream needs of HTTP: a request and its whole reply, or one that is read as it comes."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol


class Patience(NamedTuple):
    """Seconds that may pass until there is a free place among the connections, until one is made, and in silence; where
    the answer is `slow` in coming, the place is one of those for such."""

    free: float
    connect: float
    quiet: float
    slow: bool = False


RawHeaders = Sequence[tuple[bytes, bytes]]
"""As they came over the wire: a reply has many, and hardly one is ever looked at."""


class Reply(NamedTuple):
    """A whole reply."""

    status: int
    raw_headers: RawHeaders
    content: bytes

    @property
    def headers(self) -> Mapping[str, str]:
        """By their names in lower case."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.raw_headers}


class Opened(Protocol):
    """A reply whose body is on its way."""

    @property
    def status(self) -> int: ...

    @property
    def raw_headers(self) -> RawHeaders: ...

    async def read(self) -> bytes:
        """All that has come since; nothing at the end. Raises httpx.TransportError."""


class Wire(Protocol):
    """Sends what it is given: no redirects, cookies or logins. Raises httpx.TransportError, as `transport` tells."""

    async def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, patience: Patience
    ) -> Reply: ...

    def open(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, patience: Patience
    ) -> AbstractAsyncContextManager[Opened]: ...

    def warm(self, url: str, patience: Patience) -> None:
        """Somebody will ask there soon: a connection is made meanwhile, if none is at hand."""

    async def aclose(self) -> None: ...


def header(headers: RawHeaders, name: bytes) -> str:
    """The one of this name (in lower case); empty where there is none."""
    return next((value.decode("latin-1") for each, value in headers if each.lower() == name), "")

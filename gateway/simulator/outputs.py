"""The files predictions put out, by the path they are fetched from."""

import base64
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.simulator.performance import Made


class Kept(Struct, frozen=True):
    """A file at its path, and the HTTP status its fetch is answered with."""

    made: Made
    status: int = 200


class Outputs:
    """What the delivery host serves."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._kept: dict[str, Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, made: Made, folder: str, status: int = 200) -> str:
        """Keep a file and return its URL."""
        path = f"/xezq/{folder}/{made.name}"
        self._kept[path] = Kept(made, status)
        return self._base + path

    def find(self, path: str) -> Kept | None:
        return self._kept.get(path)

    def content(self, url: str) -> bytes | None:
        """Return the content of one of our own URLs."""
        kept = self._kept.get(urlsplit(url).path) if url.startswith(self._base) else None
        return kept.made.content() if kept else None

    def inlined(self, url: str) -> str | None:
        """Return the content of one of our own URLs as a data URL."""
        kept = self._kept.get(urlsplit(url).path) if url.startswith(self._base) else None
        if kept is None:
            return None
        return f"data:{kept.made.media_type};base64,{base64.b64encode(kept.made.content()).decode()}"

    def forget(self, url: str) -> None:
        """Let a file go."""
        self._kept.pop(urlsplit(url).path, None)

    def clear(self) -> None:
        self._kept.clear()

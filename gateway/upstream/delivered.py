"""What of a prediction's output has been passed on, so that the rest of it can be told from the whole."""

import zlib
from collections.abc import Sequence
from typing import Any

from gateway.errors import UpstreamFailed


class Delivered:
    """Counts pieces and letters instead of keeping them: a thousand streams are heard at once."""

    def __init__(self) -> None:
        self._pieces = self._letters = self._check = 0

    def add(self, texts: Sequence[str]) -> None:
        whole = "".join(texts)
        self._pieces += len(texts)
        self._letters += len(whole)
        self._check = zlib.crc32(whole.encode("utf-8", "surrogatepass"), self._check)

    def rest(self, output: Any) -> list[str]:
        """What is in this output beyond the delivered: files one by one, text in one piece, [] for any other shape.

        Raises UpstreamFailed if what was delivered is not how this output begins.
        """
        if files(output):
            return [item for item in _listed(output) if item][self._pieces :]
        if not text(output):
            return []
        whole = "".join(_listed(output))
        begin, rest = whole[: self._letters], whole[self._letters :]
        if zlib.crc32(begin.encode("utf-8", "surrogatepass")) != self._check:
            raise UpstreamFailed("Replicate's stream and its final output differ.")
        return [rest] if rest else []


def text(output: Any) -> bool:
    """A string, or a list of them."""
    return isinstance(output, str) or (isinstance(output, list) and all(isinstance(item, str) for item in output))


def files(output: Any) -> bool:
    """An address or a data URI, or a list of them (a piece of text is judged by what it is, not by its model)."""
    found = [item for item in _listed(output) if item] if text(output) else []
    return bool(found) and all(_address(item) for item in found)


def _listed(output: str | list[str]) -> list[str]:
    return [output] if isinstance(output, str) else output


def _address(item: str) -> bool:
    return item.startswith(("https://", "http://", "data:")) and not any(letter.isspace() for letter in item)

"""Parts of a file: what a `Range` header asks for."""

import re
from typing import NamedTuple

from gateway.errors import RangeNotThere

_ONE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*")


class Span(NamedTuple):
    """Bytes from `start` up to `end`, which is not among them."""

    start: int
    end: int

    def told(self, size: int) -> str:
        """As a reply names it."""
        return f"bytes {self.start}-{self.end - 1}/{size}"


def span_of(header: str | None, size: int) -> Span | None:
    """The bytes asked for; None for all of them, as for several ranges at once or a unit nobody knows. Raises
    RangeNotThere."""
    found = _ONE.fullmatch(header or "")
    if not found or found[1] == found[2] == "" or (found[1] and found[2] and int(found[1]) > int(found[2])):
        return None
    if found[1]:
        span = Span(int(found[1]), min(int(found[2]) + 1, size) if found[2] else size)
    else:
        span = Span(max(0, size - int(found[2])), size)
    if span.start >= span.end:
        error = RangeNotThere(f"The range asked for is not in these {size} bytes.")
        error.size = size
        raise error
    return span

"""A request's headers, read once for all who ask."""

from collections.abc import Mapping
from typing import Any, Final

from litestar.types import Scope

_KEY: Final = "repligate.headers"


def headers_of(scope: Scope) -> Mapping[bytes, bytes]:
    """By their names in lower case; of one that came several times, the first."""
    kept: Any = scope
    found: Mapping[bytes, bytes] | None = kept.get(_KEY)
    if found is None:
        found = kept[_KEY] = dict(reversed(list(scope["headers"])))
    return found


def header(scope: Scope, name: str) -> str:
    """The one of this name (in lower case); empty where there is none."""
    return headers_of(scope).get(name.encode(), b"").decode("latin-1")

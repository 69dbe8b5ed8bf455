"""Whose key a request holds, found out once for all who ask."""

from typing import Any, Final

from litestar.types import Scope

from gateway.accounts.keys import Keys, VirtualKey
from gateway.api.headers import header

_KEY: Final = "repligate.key"


async def key_of(scope: Scope, keys: Keys) -> VirtualKey:
    """The key in `Authorization`, or in `x-api-key` where that is all a client sends. Raises MissingKey, InvalidKey."""
    kept: Any = scope
    found: VirtualKey | None = kept.get(_KEY)
    if found is None:
        told = header(scope, "authorization")
        if not told and (bare := header(scope, "x-api-key") or header(scope, "api-key")):
            told = f"Bearer {bare}"
        found = kept[_KEY] = await keys.authenticate(told)
    return found


def ask_again(scope: Scope) -> None:
    """Time has passed: the key may be revoked by now."""
    kept: Any = scope
    kept.pop(_KEY, None)

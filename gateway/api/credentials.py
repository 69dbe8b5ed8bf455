"""Whose key a request holds, found out once for all who ask."""

from typing import Any, Final, cast

from litestar.types import Scope

from gateway.accounts.keys import Keys, VirtualKey
from gateway.api.headers import header

_KEY: Final = "repligate.key"


async def key_of(scope: Scope, keys: Keys) -> VirtualKey:
    """The key in `Authorization`, or in `x-api-key` where that is all a client sends. Raises MissingKey, InvalidKey."""
    kept = cast(dict[str, Any], scope)
    if _KEY not in kept:
        bare = header(scope, "x-api-key") or header(scope, "api-key")
        kept[_KEY] = await keys.authenticate(header(scope, "authorization") or (f"Bearer {bare}" if bare else ""))
    found: VirtualKey = kept[_KEY]
    return found


def ask_again(scope: Scope) -> None:
    """Time has passed: the key may be revoked by now."""
    cast(dict[str, Any], scope).pop(_KEY, None)

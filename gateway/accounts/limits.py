"""How fast a virtual key and its team may go: requests, tokens and images a minute, and calls at once.

Decided whole, in one step: a call gets all that it asks for, of its key and of its team, or uses up nothing.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Protocol

import msgspec

from gateway.accounts.rates import Estimate, Scope
from gateway.accounts.virtualkeys import KeyLimits, VirtualKey
from gateway.config import LimitsConfig

_UNLIMITED = LimitsConfig()


class Slot(Protocol):
    """A call's place under its limits, and what it is expected to use. Whoever was admitted releases it.

    Nothing is waited for: a limiter far away is told when it can be, and frees by itself what it never hears of.
    """

    def settle(self, tokens: int, images: int) -> None:
        """The call came to this much: what was estimated beyond it is given back, what it took beyond is used."""

    def vacate(self) -> None:
        """The place among the calls at once is free, where that can be told apart from what `settle` tells later."""

    def release(self) -> None:
        """The place is free; an estimate that was not settled stands. Once is enough, and more does no harm."""

    def headers(self) -> dict[str, str]:
        """OpenAI's `x-ratelimit-*` headers, for those of the rates that are limited."""


class Limiter(Protocol):
    """Whatever knows how fast keys and teams have been going: this process, or a store that several share."""

    async def admit(self, scopes: Sequence[Scope], estimate: Estimate) -> Slot:
        """A place under all these limits, or none of them is touched. Raises RateLimited, with the wait after which
        the same call fits."""


class Limits:
    """Which limits hold for a call. `defaults` are those of keys that do not say otherwise, and may be replaced."""

    def __init__(self, defaults: LimitsConfig, limiter: Limiter) -> None:
        self.defaults, self.limiter = defaults, limiter

    async def admit(self, key: VirtualKey, estimate: Estimate) -> Slot:
        """A place for one call. Raises RateLimited, with the wait after which the same call fits."""
        scopes = tuple(self._scopes(key))
        return await self.limiter.admit(scopes, estimate) if scopes else _FREE

    def _scopes(self, key: VirtualKey) -> Iterator[Scope]:
        own = _over(key.limits, self.defaults) if key.limits else self.defaults
        if own != _UNLIMITED:
            # A key and its successor share one meter: while they overlap, they are one.
            yield Scope("key", key.first or key.id, own)
        if key.team and key.team_limits and (shared := _over(key.team_limits, _UNLIMITED)) != _UNLIMITED:
            yield Scope("team", key.team, shared)


class _Free:
    """The place of a call without limits."""

    def settle(self, tokens: int, images: int) -> None: ...

    def vacate(self) -> None: ...

    def release(self) -> None: ...

    def headers(self) -> dict[str, str]:
        return {}


_FREE = _Free()


@lru_cache(maxsize=10_000)
def _over(own: KeyLimits, defaults: LimitsConfig) -> LimitsConfig:
    """What the key says itself, on top of what holds for all."""
    told = {name: getattr(own, name, None) for name in LimitsConfig.__struct_fields__}
    return msgspec.structs.replace(defaults, **{name: limit for name, limit in told.items() if limit is not None})

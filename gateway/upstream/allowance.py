"""The one pace of requests that all calls share, so that waiting never spends Replicate's allowance."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.upstream.room import Common

POLL_SHARE = 0.8
"""Of the requests per minute; the rest is for models, cancels and what other programs do with the token."""

_BURST_SECONDS = 1.0
_FURTHEST_SECONDS = 2.0
_TOLD_AT_ONCE = 10
"""So many requests that did not wait are told to other gateways together."""


class Allowance:
    """A queue of evenly spaced turns, first come first served. Nobody can ask twice while he waits, so it is fair."""

    def __init__(
        self,
        per_minute: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.per_minute, self.burst = per_minute, max(1.0, per_minute / 60 * _BURST_SECONDS)
        self._spacing = 60 / per_minute
        self._clock = clock
        self._sleep = sleep
        self._next = clock() - _BURST_SECONDS
        self._untold = 0
        self.waited = 0.0
        """Seconds spent in this queue by all, ever."""
        self.common: Common | None = None
        """What other gateways take of the same, where there are some."""

    @property
    def backlog(self) -> float:
        """Seconds that whoever comes now would wait."""
        return max(0.0, self._next - self._clock())

    async def turn(self) -> None:
        """Waits until one more request fits."""
        told = await self.common.reserve(anew=False) if self.common and self.common.up else None
        now = self._clock()
        if told:
            mine = now + told.wait
            self._next = mine + self._spacing
        else:
            mine = max(self._next, now - _BURST_SECONDS)
            self._next = mine + self._own_spacing
        if mine > now:
            self.waited += mine - now
            await self._sleep(mine - now)

    def spend(self) -> None:
        """Counts a request that could not wait; it slows the polls, but can never stop them."""
        now = self._clock()
        least = max(self._next, now - _BURST_SECONDS)
        self._next = max(least, min(least + self._own_spacing, now + _FURTHEST_SECONDS))
        self._untold += 1
        if self._untold == _TOLD_AT_ONCE:
            if self.common:
                self.common.tell("spend", self._untold, _FURTHEST_SECONDS)
            self._untold = 0

    @property
    def _own_spacing(self) -> float:
        """While other gateways cannot be asked, each keeps to its part."""
        alone = self.common and not self.common.up
        return self._spacing * self.common.gateways if self.common and alone else self._spacing

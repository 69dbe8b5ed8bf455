"""The one pace of requests that all calls share, so that waiting never spends Replicate's allowance."""

import asyncio
from collections.abc import Awaitable, Callable

POLL_SHARE = 0.8
"""Of the requests per minute; the rest is for models, cancels and what other programs do with the token."""

_BURST_SECONDS = 1.0
_FURTHEST_SECONDS = 2.0


class Allowance:
    """A queue of evenly spaced turns, first come first served. Nobody can ask twice while he waits, so it is fair."""

    def __init__(
        self,
        per_minute: float,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._spacing = 60 / per_minute
        self._clock = clock
        self._sleep = sleep
        self._next = clock() - _BURST_SECONDS
        self.waited = 0.0
        """Seconds spent in this queue by all, ever."""

    @property
    def backlog(self) -> float:
        """Seconds that whoever comes now would wait."""
        return max(0.0, self._next - self._clock())

    async def turn(self) -> None:
        """Waits until one more request fits."""
        now = self._clock()
        mine = max(self._next, now - _BURST_SECONDS)
        self._next = mine + self._spacing
        if mine > now:
            self.waited += mine - now
            await self._sleep(mine - now)

    def spend(self) -> None:
        """Counts a request that could not wait; it slows the polls, but can never stop them."""
        now = self._clock()
        least = max(self._next, now - _BURST_SECONDS)
        self._next = max(least, min(least + self._spacing, now + _FURTHEST_SECONDS))

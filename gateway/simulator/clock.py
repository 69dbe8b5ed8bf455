"""The simulator's clock: real time, sped up if wanted, that a test can turn forward."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime


class Timer:
    """Something to do at an instant, unless it is dropped before."""

    __slots__ = ("_clock", "action")

    def __init__(self, clock: "Clock", action: Callable[[], None]) -> None:
        self._clock = clock
        self.action: Callable[[], None] | None = action

    def drop(self) -> None:
        """Do nothing when the time comes, and let go of what the action holds."""
        if self.action is not None:
            self.action = None
            self._clock.tidy()


class Clock:
    """Tells unix time in its own seconds and does things when their time comes, on the running event loop."""

    def __init__(self, speed: float = 1.0, real: Callable[[], float] = time.time) -> None:
        self._speed = speed
        self._real = real
        self._origin = real()
        self._turned = 0.0
        self._due: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._wake: asyncio.TimerHandle | None = None
        self._dropped = 0

    def now(self) -> float:
        """Return unix seconds."""
        return self._origin + (self._real() - self._origin) * self._speed + self._turned

    def wall(self) -> float:
        """Return true unix seconds, whatever this clock says."""
        return self._real()

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds of this clock; turning it forward does not shorten the wait."""
        await asyncio.sleep(max(0.0, seconds) / self._speed)

    def real(self, seconds: float) -> float:
        """Return how many real seconds so many of this clock take."""
        return max(0.0, seconds) / self._speed

    def at(self, instant: float, action: Callable[[], None]) -> Timer:
        """Do something at an instant, or as soon as the clock has been turned past it."""
        timer = Timer(self, action)
        heapq.heappush(self._due, (instant, next(self._order), timer))
        if self._due[0][2] is timer:
            self._rearm()
        return timer

    def turn(self, seconds: float) -> None:
        """Turn the clock forward and do at once what has come due."""
        self._turned += seconds
        self._ring()

    def pending(self) -> int:
        """Return how many timers are kept, dropped ones included."""
        return len(self._due)

    def stop(self) -> None:
        """Forget everything that was to come."""
        self._due.clear()
        self._disarm()

    def tidy(self) -> None:
        """Count a dropped timer; let them all go when they are more than a few and a quarter of what is kept."""
        self._dropped += 1
        if self._dropped > 256 and self._dropped * 4 > len(self._due):
            self._due = [entry for entry in self._due if entry[2].action is not None]
            heapq.heapify(self._due)
            self._dropped = 0

    def _ring(self) -> None:
        while self._due and self._due[0][0] <= self.now():
            _, _, timer = heapq.heappop(self._due)
            action, timer.action = timer.action, None
            if action is not None:
                action()
        self._rearm()

    def _rearm(self) -> None:
        self._disarm()
        while self._due and self._due[0][2].action is None:
            heapq.heappop(self._due)
        if self._due:
            delay = self.real(self._due[0][0] - self.now())
            self._wake = asyncio.get_running_loop().call_later(delay, self._ring)

    def _disarm(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None


def fresh_time(instant: float) -> str:
    """Write an instant as a create reply does: milliseconds and `Z`."""
    return _iso(instant, "milliseconds")


def stored_time(instant: float) -> str:
    """Write an instant as a stored record does: microseconds and `Z`."""
    return _iso(instant, "microseconds")


def _iso(instant: float, precision: str) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec=precision).replace("+00:00", "Z")

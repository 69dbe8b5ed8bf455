"""An alarm that may be put off again and again for next to nothing."""

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls `ring` once the instant that was set is there, unless it was put off or switched off before.

    Instants are the event loop's. A timer is only made where none runs that ends in time: putting the alarm off with
    every token costs no timer each.
    """

    __slots__ = ("_due", "_loop", "_ring", "_timer")

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring, self._loop = ring, asyncio.get_running_loop()
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due: float) -> None:
        """Rings at this instant, and no more at the one before."""
        self._due = due
        if self._timer and due < self._timer.when():
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._over)

    def off(self) -> None:
        """Does not ring until it is set again."""
        self._due = None

    def close(self) -> None:
        """Does not ring any more."""
        self._due = None
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _over(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._due > self._loop.time():
            self._timer = self._loop.call_at(self._due, self._over)
            return
        self._due = None
        self._ring()

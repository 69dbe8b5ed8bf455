"""How many predictions one token's account may create now: a bucket that fills up evenly, as Replicate's does."""

from collections.abc import Callable
from typing import Protocol

SLOW_SECONDS = 300.0
"""For so long a slower pace that Replicate told of is kept to; then the usual one is tried again."""


class Standing(Protocol):
    """How the one room of all gateways stands; `wait` is until what was taken may be used, or until one fits, and
    `queues` how many gateways wait there in turn."""

    @property
    def taken(self) -> int: ...
    @property
    def wait(self) -> float: ...
    @property
    def full_in(self) -> float: ...
    @property
    def per_minute(self) -> float: ...
    @property
    def burst(self) -> float: ...
    @property
    def slow_in(self) -> float: ...
    @property
    def queues(self) -> int: ...


class Common(Protocol):
    """The one room of all gateways that use the same account. Whoever was apart from it begins with nothing."""

    @property
    def up(self) -> bool: ...
    @property
    def gateways(self) -> int: ...
    async def take(self, *, anew: bool) -> Standing | None:
        """One of what all may do, if one fits now. None where nobody can be asked."""

    async def reserve(self, *, anew: bool) -> Standing | None:
        """The next one, and nobody else's, once its time has come. None where nobody can be asked."""

    def tell(self, lesson: str, *numbers: float) -> None:
        """What the others should know, too."""


class Room:
    """What is left of one account's creates. Instants are seconds and never go back.

    It knows what this process took, and learns from replies what others did: it never believes in more than Replicate
    says is left. `per_minute` fill up in a minute, `burst` fit at once. Where other gateways take of the same, the
    `common` one decides, and this is a picture of it, with the `queues` that take turns there; while nobody can be
    asked, it is `apart`: this gateway's own part of the whole.
    """

    __slots__ = ("_full_at", "_parts", "_slow_until", "_usual", "apart", "burst", "common", "per_minute", "queues")

    def __init__(self, per_minute: float, now: float) -> None:
        self._usual = self.per_minute = self.burst = per_minute
        self._full_at, self._slow_until = now, 0.0
        self._parts, self.apart, self.queues = 1, False, 1
        self.common: Common | None = None

    @property
    def spacing(self) -> float:
        """Seconds in which one more fits."""
        return 60 / self.per_minute

    def opens(self, now: float) -> float:
        """Seconds until one fits; how long one has fitted already is below 0."""
        if self._slow_until and now >= self._slow_until:
            self._as_usual(now + (self._usual - 1) * 60 / self._usual)
        return self._full_at - (self.burst - 1) * self.spacing - now

    def left(self, now: float) -> int:
        """How many fit now."""
        return max(0, min(int(self.burst), int(1 - self.opens(now) / self.spacing + 1e-9)))

    def take(self, now: float) -> None:
        """One was created, or is about to be."""
        self._full_at = max(self._full_at, now) + self.spacing

    def give_back(self) -> None:
        """One that was taken was not created after all."""
        self._full_at -= self.spacing
        self._tell("give", 1)

    def heard(self, remaining: int, now: float) -> None:
        """Replicate says that so many are left: that others use this account too, or that it is slow no more."""
        quick = self._slow_until and remaining > self.burst * self._parts
        if quick or remaining < self.left(now):
            self._tell("heard", remaining)
        if quick:
            self._as_usual(now)
        self._full_at = max(self._full_at, now + (self.burst - remaining / self._parts) * self.spacing)

    def slow(self, per_minute: float, burst: float, now: float) -> None:
        """Replicate says that this is all, for now."""
        self._tell("slow", per_minute, burst, SLOW_SECONDS)
        wait = max(0.0, self.opens(now))
        self._paced(min(per_minute, self._usual), max(1.0, min(burst, self._usual)))
        self._slow_until = now + SLOW_SECONDS
        self._full_at = now + wait + (self.burst - 1) * self.spacing

    def rest(self, seconds: float, now: float) -> None:
        """The next one fits after so many seconds."""
        self._tell("rest", seconds)
        self._full_at = max(self._full_at, now + seconds + (self.burst - 1) * self.spacing)

    @property
    def slowed(self) -> bool:
        """Whether it keeps to a pace slower than the usual."""
        return self._slow_until > 0

    def together(self, now: float) -> bool:
        """Whether others are to be asked. Where they cannot be, this gateway keeps to its part from now on."""
        if self.common is None:
            return False
        if not self.common.up and not self.apart:
            self._part(self.common.gateways, now)
        return self.common.up

    async def granted(self, clock: Callable[[], float]) -> bool:
        """Whether all gateways together have room for one more now, which is this one's then. Where nobody can be asked
        it is not: this gateway keeps to its part from now on."""
        told = await self.common.take(anew=self.apart) if self.common else None
        return self._heard_from_all(told, clock()) is not None and told is not None and told.taken > 0

    async def reserved(self, clock: Callable[[], float]) -> float | None:
        """Takes the next one that all gateways may create; gives the seconds until it may be used. None where nobody
        can be asked."""
        told = await self.common.reserve(anew=self.apart) if self.common else None
        return self._heard_from_all(told, clock())

    def _heard_from_all(self, told: Standing | None, now: float) -> float | None:
        if told is None:
            self.together(now)
            return None
        self._follow(told, now)
        return told.wait

    def _follow(self, told: Standing, now: float) -> None:
        self._parts, self.apart, self.queues = 1, False, max(1, told.queues)
        self.per_minute, self.burst = told.per_minute, told.burst
        self._full_at = now + told.full_in
        self._slow_until = now + told.slow_in if told.slow_in else 0.0

    def _part(self, parts: int, now: float) -> None:
        """What was left is not shared out: nobody knows it. It fills up for each at its part of the pace."""
        self.apart, self._parts, self.queues = True, max(1, parts), 1
        self._paced(self.per_minute, self.burst)
        self._full_at = max(self._full_at, now + self.burst * self.spacing)

    def _paced(self, per_minute: float, burst: float) -> None:
        """Of the whole account."""
        self.per_minute, self.burst = per_minute / self._parts, max(1.0, burst / self._parts)

    def _as_usual(self, full_at: float) -> None:
        self._paced(self._usual, self._usual)
        self._full_at, self._slow_until = full_at, 0.0

    def _tell(self, lesson: str, *numbers: float) -> None:
        if self.common:
            self.common.tell(lesson, *numbers)

"""How fast a virtual key may go: requests, tokens and images a minute, and calls at once.

Decided whole, in one step: a call gets all that it asks for, or uses up nothing. For one process, in memory.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal

import msgspec
from msgspec import Struct

from gateway.accounts.meters import Hold, Meter
from gateway.accounts.virtualkeys import KeyLimits, VirtualKey
from gateway.config import LimitsConfig
from gateway.errors import RateLimited, TokensLimited

Rate = Literal["requests", "tokens", "images"]

RATES: Final[tuple[Rate, ...]] = ("requests", "tokens", "images")
_NAMES = {
    "requests": "requests per min (RPM)",
    "tokens": "tokens per min (TPM)",
    "images": "images per min (IPM)",
    "calls": "calls at once",
}
_UNLIMITED = LimitsConfig()
_BUSY = 1000
"""Milliseconds after which to ask again for a place; nobody knows when one of the calls will end."""


class Estimate(Struct, frozen=True):
    """What a call may come to, as far as can be told before it runs."""

    tokens: int = 0
    images: int = 0


class _Obstacle(Struct, frozen=True):
    """Why a call does not fit now, and for how many milliseconds."""

    what: Rate | Literal["calls"]
    wait: int
    limit: int
    used: int
    wanted: int


class Slot:
    """A call's place among those of its key, and what it is expected to use. Whoever was admitted releases it."""

    __slots__ = ("_pace", "holds")

    def __init__(self, pace: "_Pace | None", holds: dict[Rate, tuple[Meter, Hold]]) -> None:
        self._pace, self.holds = pace, holds

    def settle(self, tokens: int, images: int) -> None:
        """The call came to this much: what was estimated beyond it is given back, what it took beyond is used."""
        if self._pace:
            self._pace.settle(self, {"tokens": tokens, "images": images})

    def release(self) -> None:
        """The place is free; an estimate that was not settled stands. Once is enough, and more does no harm."""
        if self._pace:
            self._pace.release(self)

    def headers(self) -> dict[str, str]:
        """OpenAI's `x-ratelimit-*` headers as of now, for those of their rates that are limited."""
        return self._pace.headers() if self._pace else {}


_FREE = Slot(None, {})


class Limits:
    """How fast each key has been going. `defaults` hold for keys that do not say otherwise, and may be replaced.

    The clock tells nanoseconds and never goes back. A place that nobody gave back is free after `lease_seconds`.
    """

    def __init__(
        self, defaults: LimitsConfig, lease_seconds: float, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.defaults = defaults
        self._lease, self._clock = round(lease_seconds * 10**9), clock
        self._paces: dict[str, _Pace] = {}

    def admit(self, key: VirtualKey, estimate: Estimate) -> Slot:
        """A place for one call. Raises RateLimited, with the wait after which the same call fits."""
        limits = _over(key.limits, self.defaults) if key.limits else self.defaults
        if limits == _UNLIMITED:
            return _FREE
        self._forget_idle()
        pace = self._paces.get(key.id)
        if pace is None:
            pace = self._paces[key.id] = _Pace(self._clock, self._lease)
        return pace.admit(limits, {"requests": 1, "tokens": estimate.tokens, "images": estimate.images})

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._paces)

    def _forget_idle(self) -> None:
        # Two are looked at for each that may be added: whoever is idle is found, and nobody waits for a sweep.
        for _ in range(min(2, len(self._paces))):
            name = next(iter(self._paces))
            pace = self._paces.pop(name)
            if not pace.idle():
                self._paces[name] = pace


class _Pace:
    """How fast one key has been going: a meter for each limited rate, and the calls that have a place, with the
    instants at which they lose it."""

    def __init__(self, clock: Callable[[], int], lease: int) -> None:
        self._clock, self._lease = clock, lease
        self._limits = _UNLIMITED
        self._meters: dict[Rate, Meter] = {}
        self._places: dict[Slot, int] = {}

    def admit(self, limits: LimitsConfig, wanted: Mapping[Rate, int]) -> Slot:
        now = self._turn()
        if limits != self._limits:
            self._adopt(limits, now)
        for rate, meter in self._meters.items():
            if wanted[rate] > meter.limit:
                raise self._told(_too_large(rate, meter.limit, wanted[rate]))
        if obstacles := list(self._obstacles(wanted)):
            raise self._told(_too_early(max(obstacles, key=lambda each: each.wait)))
        slot = Slot(self, {rate: (meter, meter.hold(wanted[rate])) for rate, meter in self._meters.items()})
        self._places[slot] = now + self._lease
        return slot

    def settle(self, slot: Slot, real: Mapping[Rate, int]) -> None:
        self._turn()
        for rate in real.keys() & slot.holds.keys():
            meter, hold = slot.holds.pop(rate)
            meter.settle(hold, real[rate])

    def release(self, slot: Slot) -> None:
        self._turn()
        self._part_with(slot)

    def headers(self) -> dict[str, str]:
        self._turn()
        told = {}
        for rate, meter in self._meters.items():
            if rate != "images":
                told[f"x-ratelimit-limit-{rate}"] = str(meter.limit)
                told[f"x-ratelimit-remaining-{rate}"] = str(meter.remaining)
                told[f"x-ratelimit-reset-{rate}"] = duration(_milliseconds(meter.empty_in))
        return told

    def idle(self) -> bool:
        """Whether forgetting it would change nothing."""
        self._turn()
        return not self._places and not any(meter.level for meter in self._meters.values())

    def _obstacles(self, wanted: Mapping[Rate, int]) -> Iterator[_Obstacle]:
        for rate, meter in self._meters.items():
            if wait := meter.wait(wanted[rate]):
                yield _Obstacle(rate, _milliseconds(wait), meter.limit, meter.used, wanted[rate])
        most, taken = self._limits.calls_at_once, len(self._places)
        if most and taken >= most:
            yield _Obstacle("calls", _BUSY, most, taken, 1)

    def _told(self, error: RateLimited) -> RateLimited:
        error.standing = self.headers()
        return error

    def _adopt(self, limits: LimitsConfig, now: int) -> None:
        self._limits = limits
        for rate in RATES:
            limit = getattr(limits, f"{rate}_per_minute")
            if not limit:
                self._meters.pop(rate, None)
            elif rate in self._meters:
                self._meters[rate].limit = limit
            else:
                self._meters[rate] = Meter(limit, now)

    def _turn(self) -> int:
        now = self._clock()
        for meter in self._meters.values():
            meter.turn(now)
        # Every lease is equally long: the oldest ends first.
        while self._places and next(iter(self._places.values())) <= now:
            self._part_with(next(iter(self._places)))
        return now

    def _part_with(self, slot: Slot) -> None:
        self._places.pop(slot, None)
        while slot.holds:
            meter, hold = slot.holds.popitem()[1]
            meter.drop(hold)


def duration(milliseconds: int) -> str:
    """As OpenAI writes them: `20ms`, `1.2s`, `6m0s`."""
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}m{rest / 1000:g}s" if minutes else f"{rest / 1000:g}s"


def _over(own: KeyLimits, defaults: LimitsConfig) -> LimitsConfig:
    """What the key says itself, on top of what holds for all."""
    said = {name: limit for name, limit in msgspec.structs.asdict(own).items() if limit is not None}
    return msgspec.structs.replace(defaults, **said)


def _too_early(obstacle: _Obstacle) -> RateLimited:
    kind = TokensLimited if obstacle.what == "tokens" else RateLimited
    return kind(
        f"Rate limit reached for this key on {_NAMES[obstacle.what]}: Limit {obstacle.limit}, Used {obstacle.used}, "
        f"Requested {obstacle.wanted}. Please try again in {duration(obstacle.wait)}.",
        retry_after=obstacle.wait / 1000,
    )


def _too_large(rate: Rate, limit: int, wanted: int) -> RateLimited:
    kind = TokensLimited if rate == "tokens" else RateLimited
    error = kind(
        f"Request too large for this key on {_NAMES[rate]}: Limit {limit}, Requested {wanted}. Ask for less: waiting "
        "does not help."
    )
    error.should_retry = False
    return error


def _milliseconds(nanoseconds: int) -> int:
    """Rounded up: whoever waits so long has waited long enough."""
    return -(-nanoseconds // 10**6)

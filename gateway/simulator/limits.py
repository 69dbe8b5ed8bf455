"""How many requests a minute each kind of route takes, and the headers that say so."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from gateway.simulator.settings import Limits

Bucket = Literal["create", "read", "other"]


class Rate(Struct, frozen=True):
    """So many a minute, so many at once."""

    per_minute: int
    burst: int


# Recorded `ratelimit-remaining` values are one below these: 599, 59999 and 2999.
_RATES: dict[Bucket, Rate] = {
    "create": Rate(600, 600),
    "read": Rate(60_000, 60_000),
    "other": Rate(3_000, 3_000),
}
_CREATES: dict[Limits, Rate] = {"low-credit": Rate(6, 1), "granted": Rate(6, 1)}


class Buckets:
    """One allowance per kind of route, refilled steadily up to its burst."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._full_at: dict[Bucket, float] = {}

    def remaining(self, bucket: Bucket) -> int:
        """Return what the header says when nothing is enforced."""
        return _RATES[bucket].burst - 1

    def take(self, bucket: Bucket, limits: Limits) -> tuple[int, float]:
        """Take one; return what remains, and the seconds to wait, which are above 0 when there was none."""
        rate = _CREATES.get(limits, _RATES[bucket]) if bucket == "create" else _RATES[bucket]
        now, step = self._now(), 60 / rate.per_minute
        full_at = max(self._full_at.get(bucket, now), now)
        wait = full_at + step - now - rate.burst * step
        if wait > 1e-9:
            return 0, wait
        self._full_at[bucket] = full_at + step
        return int((now + rate.burst * step - full_at - step) / step + 1e-9), 0.0

    def clear(self) -> None:
        """Fill every bucket."""
        self._full_at.clear()

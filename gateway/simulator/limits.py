"""How many requests a minute each kind of route takes from a token, and the headers that say so."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from gateway.simulator.settings import Limits

Bucket = Literal["create", "read", "other"]
_KEPT = 1000
"""More buckets than this are kept only while they are not full."""


class Rate(Struct, frozen=True):
    """So many a minute, so many at once."""

    per_minute: int
    burst: int


_REDUCED: dict[Limits, Rate] = {"low-credit": Rate(6, 1), "granted": Rate(6, 1)}


class Buckets:
    """One allowance per token and kind of route, refilled steadily up to its burst."""

    def __init__(self, now: Callable[[], float], creates_per_minute: int = 600) -> None:
        self._now = now
        # Recorded `ratelimit-remaining` values are one below these: 599, 59999 and 2999.
        self._rates: dict[Bucket, Rate] = {
            "create": Rate(creates_per_minute, creates_per_minute),
            "read": Rate(60_000, 60_000),
            "other": Rate(3_000, 3_000),
        }
        self._full_at: dict[tuple[str, Bucket], float] = {}

    def remaining(self, bucket: Bucket) -> int:
        """Return what the header says when nothing is enforced."""
        return self._rates[bucket].burst - 1

    def take(self, token: str, bucket: Bucket, limits: Limits) -> tuple[int, float]:
        """Take one; return what remains, and the seconds to wait, which are above 0 when there was none."""
        rate = _REDUCED.get(limits, self._rates[bucket]) if bucket == "create" else self._rates[bucket]
        now, step = self._now(), 60 / rate.per_minute
        full_at = max(self._full_at.get((token, bucket), now), now)
        wait = full_at + step - now - rate.burst * step
        if wait > 1e-9:
            return 0, wait
        self._full_at[token, bucket] = full_at + step
        if len(self._full_at) > _KEPT:
            self._full_at = {whose: at for whose, at in self._full_at.items() if at > now}
        return int((now + rate.burst * step - full_at - step) / step + 1e-9), 0.0

    def clear(self, token: str | None = None) -> None:
        """Fill every bucket, or those of a token."""
        self._full_at = {whose: at for whose, at in self._full_at.items() if token not in (None, whose[0])}

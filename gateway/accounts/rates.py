"""What limits speak of: rates, whose they are, how far they are used, and the words in which they refuse."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from gateway.config import LimitsConfig
from gateway.errors import RateLimited, TokensLimited

Rate = Literal["requests", "tokens", "images"]
Whose = Literal["key", "team"]

RATES: Final[tuple[Rate, ...]] = ("requests", "tokens", "images")
BUSY: Final = 1000
"""Milliseconds after which to ask again for a place; nobody knows when one of the calls will end."""

_NAMES = {
    "requests": "requests per min (RPM)",
    "tokens": "tokens per min (TPM)",
    "images": "images per min (IPM)",
    "calls": "calls at once",
}
_OWNERS: Mapping[Whose, str] = {"key": "this key", "team": "this key's team"}


class Estimate(Struct, frozen=True, gc=False):
    """What a call may come to, as far as can be told before it runs. `assumed` tokens the model may say by its own
    lights: they are held as far as they fit, for nobody asked for them."""

    tokens: int = 0
    images: int = 0
    assumed: int = 0


class Scope(Struct, frozen=True, gc=False):
    """Whose limits a call has to keep to, and which they are."""

    whose: Whose
    id: str
    limits: LimitsConfig


class Standing(Struct, frozen=True):
    """How far one rate is used; `reset` is the milliseconds until nothing of it is."""

    rate: Rate
    limit: int
    used: int
    reset: int

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)


class Obstacle(Struct, frozen=True):
    """Why a call does not fit now, and for how many milliseconds; None means that it never will."""

    whose: Whose
    what: Rate | Literal["calls"]
    wait: int | None
    limit: int
    used: int
    wanted: int


def limit_of(limits: LimitsConfig, rate: Rate) -> int:
    """So many a minute; 0 is without limit."""
    limit: int = getattr(limits, f"{rate}_per_minute")
    return limit


def wanted(estimate: Estimate, limits: LimitsConfig) -> dict[Rate, int]:
    """What a call asks of each rate under these limits."""
    tokens = min(estimate.tokens + estimate.assumed, max(estimate.tokens, limits.tokens_per_minute))
    return {"requests": 1, "tokens": tokens, "images": estimate.images}


def refusal(obstacles: Sequence[Obstacle], standings: Iterable[Standing]) -> RateLimited:
    """The error that tells of the greatest obstacle: after its wait, everything fits."""
    greatest = max(obstacles, key=lambda each: float("inf") if each.wait is None else each.wait)
    error = _too_large(greatest) if greatest.wait is None else _too_early(greatest, greatest.wait)
    error.standing = headers(standings)
    return error


def headers(standings: Iterable[Standing]) -> dict[str, str]:
    """OpenAI's `x-ratelimit-*` headers for those of the rates that are limited; of several limits, the tightest."""
    tightest: dict[Rate, Standing] = {}
    for each in standings:
        known = tightest.get(each.rate)
        if known is None or (each.remaining, -each.reset) < (known.remaining, -known.reset):
            tightest[each.rate] = each
    told = {}
    for rate, each in tightest.items():
        told[f"x-ratelimit-limit-{rate}"] = str(each.limit)
        told[f"x-ratelimit-remaining-{rate}"] = str(each.remaining)
        told[f"x-ratelimit-reset-{rate}"] = duration(each.reset)
    return told


def duration(milliseconds: int) -> str:
    """As OpenAI writes them: `20ms`, `1.2s`, `6m0s`."""
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes}m{rest / 1000:g}s" if minutes else f"{rest / 1000:g}s"


def _too_early(obstacle: Obstacle, wait: int) -> RateLimited:
    kind = TokensLimited if obstacle.what == "tokens" else RateLimited
    return kind(
        f"Rate limit reached for {_OWNERS[obstacle.whose]} on {_NAMES[obstacle.what]}: Limit {obstacle.limit}, "
        f"Used {obstacle.used}, Requested {obstacle.wanted}. Please try again in {duration(wait)}.",
        retry_after=wait / 1000,
    )


def _too_large(obstacle: Obstacle) -> RateLimited:
    kind = TokensLimited if obstacle.what == "tokens" else RateLimited
    error = kind(
        f"Request too large for {_OWNERS[obstacle.whose]} on {_NAMES[obstacle.what]}: Limit {obstacle.limit}, "
        f"Requested {obstacle.wanted}. Ask for less: waiting does not help."
    )
    error.should_retry = False
    return error

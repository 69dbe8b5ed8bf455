"""How fast keys and teams have been going, over all gateways: decided in Redis, or by each for its share without it."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Literal

import structlog
from msgspec.structs import asdict, replace

from gateway.accounts.limits import Limiter, Slot
from gateway.accounts.luameters import ADMIT, LEAVE
from gateway.accounts.rates import RATES, Estimate, Obstacle, Rate, Scope, Standing, headers, limit_of, refusal, wanted
from gateway.config import LimitsConfig
from gateway.store.shared import Away, Shared

log = structlog.get_logger()

_WHATS: tuple[Rate | Literal["calls"], ...] = (*RATES, "calls")
_UNTOLD = 10_000
"""So many ends of calls are remembered while the store is away; the leases of the others end by themselves."""

_UNKNOWN = -1

Told = list[list[int]]


class Shares:
    """A limiter for several gateways. Without the store, `alone` limits each gateway to its share. `clock`, in Lua,
    gives seconds and microseconds."""

    def __init__(self, shared: Shared, lease_seconds: float, alone: Limiter, clock: str = "redis.call('TIME')") -> None:
        self._shared, self._alone, self._lease = shared, alone, round(lease_seconds * 10**6)
        self._admit, self._leave = (shared.script(each.replace("CLOCK", clock)) for each in (ADMIT, LEAVE))
        self._ids = itertools.count()
        self._telling: set[asyncio.Task[None]] = set()
        self._untold: dict[str, tuple[Sequence[str], int, int]] = {}

    async def admit(self, scopes: Sequence[Scope], estimate: Estimate) -> Slot:
        """A place under all these limits, or RateLimited."""
        place = f"{self._shared.owner}:{next(self._ids)}"
        keys = [self._shared.key("limits", scope.whose, scope.id) for scope in scopes]
        told: list[str | int] = [place, self._shared.owner, self._lease]
        told += [number for scope in scopes for number in _asked(scope, estimate)]
        try:
            obstacles, standings = await self._admit.run([self._shared.living, *keys], told)
        except Away:
            self._forget(place, keys)
            return await self._alone.admit(*_share(scopes, estimate, self._shared.replicas))
        except asyncio.CancelledError:
            self.leave(place, keys, 0, 0)
            raise
        if obstacles:
            raise refusal([_obstacle(each, scopes) for each in obstacles], map(_standing, standings))
        return Place(self, place, keys, standings)

    def leave(self, place: str, keys: Sequence[str], tokens: int, images: int) -> None:
        """The place is free, told by a task of its own; counts that are not known stand as they were estimated."""
        self._untold[place] = keys, tokens, images
        task = asyncio.create_task(self._tell(place))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def catch_up(self) -> None:
        """Tells what could not be told while the store was away."""
        for place in list(self._untold):
            if not self._shared.up:
                return
            await self._tell(place)

    async def aclose(self) -> None:
        """Waits until all is told that can be."""
        await asyncio.gather(*self._telling)

    async def _tell(self, place: str) -> None:
        if place not in self._untold:
            return
        keys, tokens, images = self._untold[place]
        try:
            await self._leave.run(keys, [place, tokens, images])
        except Away:
            while len(self._untold) > _UNTOLD:
                del self._untold[next(iter(self._untold))]
            return
        self._untold.pop(place, None)

    def _forget(self, place: str, keys: Sequence[str]) -> None:
        """A question without an answer may have been heard: it is taken back as soon as that can be told."""
        if len(self._untold) < _UNTOLD:
            self._untold[place] = keys, 0, 0


class Place:
    """A call's place among those of all gateways."""

    __slots__ = ("_images", "_keys", "_name", "_shares", "_standings", "_tokens")

    def __init__(self, shares: Shares, name: str, keys: Sequence[str], standings: Told) -> None:
        self._shares, self._name, self._keys, self._standings = shares, name, keys, standings
        self._tokens = self._images = _UNKNOWN

    def settle(self, tokens: int, images: int) -> None:
        """Told together with the release, which follows it."""
        self._tokens, self._images = tokens, images

    def vacate(self) -> None:
        """Told together with the release."""

    def release(self) -> None:
        if self._keys:
            self._shares.leave(self._name, self._keys, self._tokens, self._images)
        self._keys = ()

    def headers(self) -> dict[str, str]:
        """The `x-ratelimit-*` headers as of the admission."""
        return headers(map(_standing, self._standings))


def _asked(scope: Scope, estimate: Estimate) -> list[int]:
    """For each rate its limit and what is wanted of it, then the calls at once."""
    wants = wanted(estimate, scope.limits)
    rates = [number for rate in RATES for number in (limit_of(scope.limits, rate), wants[rate])]
    return [*rates, scope.limits.calls_at_once]


def _obstacle(told: list[int], scopes: Sequence[Scope]) -> Obstacle:
    scope, what, wait, limit, used, wanted_ = told
    return Obstacle(scopes[scope - 1].whose, _WHATS[what - 1], None if wait < 0 else wait, limit, used, wanted_)


def _standing(told: list[int]) -> Standing:
    rate, limit, used, reset = told
    return Standing(RATES[rate - 1], limit, used, reset)


def _share(scopes: Sequence[Scope], estimate: Estimate, replicas: int) -> tuple[list[Scope], Estimate]:
    """One gateway's part of these limits. A call that is larger than the part, not than the whole, takes all of it."""
    shares = [replace(scope, limits=_part(scope.limits, replicas)) for scope in scopes]

    def held(amount: int, rate: str) -> int:
        whole = [getattr(scope.limits, rate) for scope in scopes if getattr(scope.limits, rate)]
        parts = [getattr(share.limits, rate) for share in shares if getattr(share.limits, rate)]
        return min([amount, *parts]) if amount <= min(whole, default=amount) else amount

    tokens, images = held(estimate.tokens, "tokens_per_minute"), held(estimate.images, "images_per_minute")
    return shares, replace(estimate, tokens=tokens, images=images)


def _part(limits: LimitsConfig, replicas: int) -> LimitsConfig:
    return LimitsConfig(**{name: max(1, limit // replicas) if limit else 0 for name, limit in asdict(limits).items()})

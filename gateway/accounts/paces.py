"""How fast keys and teams have been going, in the memory of one process."""

import time
from collections.abc import Callable, Iterator, Sequence

from gateway.accounts.meters import Hold, Meter
from gateway.accounts.rates import BUSY, RATES, Estimate, Obstacle, Rate, Scope, Standing, headers, limit_of, refusal
from gateway.accounts.rates import wanted as wanted_of
from gateway.config import LimitsConfig

_UNLIMITED = LimitsConfig()


class Paces:
    """A limiter for one process. The clock tells nanoseconds and never goes back; a place that nobody gave back is
    free after `lease_seconds`."""

    def __init__(self, lease_seconds: float, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._lease, self._clock = round(lease_seconds * 10**9), clock
        self._paces: dict[str, _Pace] = {}
        self._added = 0

    async def admit(self, scopes: Sequence[Scope], estimate: Estimate) -> "Place":
        """A place under all these limits, or RateLimited; nothing is awaited, so that all is one step."""
        now = self._clock()
        # Two are looked at for each that is added: whoever is idle is found, and nobody waits for a sweep.
        looks, self._added = len(scopes) + self._added, 0
        self._forget_idle(now, looks)
        wants = [(self._pace(scope, now), wanted_of(estimate, scope.limits)) for scope in scopes]
        paces = [pace for pace, _ in wants]
        if not all(pace.fits(want) for pace, want in wants):
            obstacles = [each for pace, want in wants for each in pace.obstacles(want)]
            raise refusal(obstacles, [each for pace in paces for each in pace.standings()])
        place = Place(self._clock, paces)
        for pace, want in wants:
            pace.give(place, want, now + self._lease)
        return place

    def __len__(self) -> int:
        """How many keys and teams are remembered."""
        return len(self._paces)

    def _pace(self, scope: Scope, now: int) -> "_Pace":
        name = f"{scope.whose} {scope.id}"
        pace = self._paces.get(name)
        if pace is None:
            pace = self._paces[name] = _Pace(scope)
            self._added += 1
        pace.turn(now)
        pace.adopt(scope.limits, now)
        return pace

    def _forget_idle(self, now: int, most: int) -> None:
        for _ in range(min(most, len(self._paces))):
            name = next(iter(self._paces))
            pace = self._paces.pop(name)
            if not pace.idle(now):
                self._paces[name] = pace


class Place:
    """A call's place among those of its key and its team, and what it is expected to use."""

    __slots__ = ("_clock", "_paces")

    def __init__(self, clock: Callable[[], int], paces: "Sequence[_Pace]") -> None:
        self._clock, self._paces = clock, paces

    def settle(self, tokens: int, images: int) -> None:
        """The call came to this much: what was estimated beyond it is given back, what it took beyond is used."""
        for pace in self._turned():
            pace.settle(self, tokens, images)

    def vacate(self) -> None:
        """Another call may have the place; what this one uses is still open."""
        for pace in self._turned():
            pace.vacate(self)

    def release(self) -> None:
        """The place is free; an estimate that was not settled stands. Once is enough, and more does no harm."""
        for pace in self._turned():
            pace.part_with(self)

    def headers(self) -> dict[str, str]:
        """The `x-ratelimit-*` headers as of now."""
        return headers(each for pace in self._turned() for each in pace.standings())

    def _turned(self) -> "Iterator[_Pace]":
        now = self._clock()
        for pace in self._paces:
            pace.turn(now)
            yield pace


class _Pace:
    """How fast one key or team has been going: a meter for each limited rate, and the calls that have a place, with
    the instants at which they lose it and the estimates that wait for their real counts."""

    def __init__(self, scope: Scope) -> None:
        self._whose = scope.whose
        self._limits = _UNLIMITED
        self._meters: dict[Rate, Meter] = {}
        self._places: dict[Place, int] = {}
        self._holds: dict[Place, dict[Rate, tuple[Meter, Hold]]] = {}

    def turn(self, now: int) -> None:
        """Time has gone on until now."""
        for meter in self._meters.values():
            meter.turn(now)
        # Every lease is equally long: the oldest ends first.
        while self._places and next(iter(self._places.values())) <= now:
            self.part_with(next(iter(self._places)))

    def adopt(self, limits: LimitsConfig, now: int) -> None:
        """These limits hold from now on; what was used stays used."""
        if limits is self._limits or limits == self._limits:
            return
        self._limits = limits
        for rate in RATES:
            limit = limit_of(limits, rate)
            if not limit:
                self._meters.pop(rate, None)
            elif rate in self._meters:
                self._meters[rate].limit = limit
            else:
                self._meters[rate] = Meter(limit, now)

    def fits(self, wanted: dict[Rate, int]) -> bool:
        """Whether so much fits now."""
        most = self._limits.calls_at_once
        for rate, meter in self._meters.items():
            if not meter.fits(wanted[rate]):
                return False
        return not most or len(self._places) < most

    def obstacles(self, wanted: dict[Rate, int]) -> Iterator[Obstacle]:
        """Why so much does not fit now."""
        for rate, meter in self._meters.items():
            amount = wanted[rate]
            if amount > meter.limit:
                yield Obstacle(self._whose, rate, None, meter.limit, meter.used, amount)
            elif wait := meter.wait(amount):
                yield Obstacle(self._whose, rate, _milliseconds(wait), meter.limit, meter.used, amount)
        most, taken = self._limits.calls_at_once, len(self._places)
        if most and taken >= most:
            yield Obstacle(self._whose, "calls", BUSY, most, taken, 1)

    def give(self, place: Place, wanted: dict[Rate, int], until: int) -> None:
        """The place is one of this pace's, which uses so much until it is settled."""
        self._places[place] = until
        holds = self._holds[place] = dict[Rate, tuple[Meter, Hold]]()
        for rate, meter in self._meters.items():
            if rate == "requests":
                meter.add(1)  # a request is one, whatever becomes of it
            else:
                holds[rate] = meter, meter.hold(wanted[rate])

    def settle(self, place: Place, tokens: int, images: int) -> None:
        holds = self._holds.get(place, {})
        if held := holds.pop("tokens", None):
            held[0].settle(held[1], tokens)
        if held := holds.pop("images", None):
            held[0].settle(held[1], images)

    def vacate(self, place: Place) -> None:
        self._places.pop(place, None)

    def part_with(self, place: Place) -> None:
        self.vacate(place)
        for meter, hold in self._holds.pop(place, {}).values():
            meter.drop(hold)

    def standings(self) -> Iterator[Standing]:
        for rate, meter in self._meters.items():
            yield Standing(rate, meter.limit, meter.used, _milliseconds(meter.empty_in))

    def idle(self, now: int) -> bool:
        """Whether forgetting it would change nothing."""
        self.turn(now)
        return not self._places and not any(meter.level for meter in self._meters.values())


def _milliseconds(nanoseconds: int) -> int:
    """Rounded up: whoever waits so long has waited long enough."""
    return -(-nanoseconds // 10**6)

"""Whose create goes next: a fair queue before what all tokens together may create.

Start-time fair queueing: every key has a line of its own, and each turn costs it the inverse of its weight in virtual
time; whoever is furthest behind goes next. A key that comes new waits behind nobody's batch.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

from adapters.errors import ApiError
from gateway.errors import RateLimited
from gateway.upstream.room import Room
from gateway.upstream.statuses import BUSY
from gateway.upstream.tokens import Token, Tokens

Priority = Literal["high", "normal", "low"]
CLASSES: Final[tuple[Priority, ...]] = ("high", "normal", "low")
AGING_SECONDS: Final = 5.0
"""A class of which nobody was served for so long has the next turn, whoever waits above it."""


class Share(Struct, frozen=True):
    """Whose turn it is to be, and how much of all turns is theirs when there are too few."""

    key: str = ""
    weight: int = 10
    priority: Priority = "normal"


NOBODY: Final = Share()
_INSTANT = 1e-6
"""Seconds that a timer may be early."""


class Timer(Protocol):
    """Something that will happen, and can be called off."""

    def cancel(self) -> None: ...


class Place:
    """One create's place in the queue: it may be taken several times, where a token fails it, and keeps its rank."""

    def __init__(self, share: Share, patience: float) -> None:
        self.share, self.patience = share, patience
        self.waited = 0.0
        self.tried: list[Token] = []
        self.start: float | None = None
        self.came = self.number = 0.0
        self._granted: asyncio.Future[Token] | None = None

    @property
    def rank(self) -> tuple[int, float, float]:
        """The lowest is next."""
        return CLASSES.index(self.share.priority), self.start or 0.0, self.number

    def waits(self) -> asyncio.Future[Token]:
        self._granted = asyncio.get_running_loop().create_future()
        return self._granted

    def grant(self, token: Token) -> None:
        if self._granted and not self._granted.done():
            self._granted.set_result(token)

    def refuse(self, error: ApiError) -> None:
        if self._granted and not self._granted.done():
            self._granted.set_exception(error)


class Turns:
    """The queue of all creates. `clock` never goes back; `later` calls something after so many seconds."""

    def __init__(
        self,
        tokens: Tokens,
        clock: Callable[[], float],
        later: Callable[[float, Callable[[], None]], Timer] | None = None,
    ) -> None:
        self._tokens, self._clock = tokens, clock
        self._later = later or (lambda seconds, act: asyncio.get_running_loop().call_later(seconds, act))
        self._lines: dict[str, deque[Place]] = {}
        self._finishes: dict[str, float] = {}
        self._virtual: dict[Priority, float] = dict.fromkeys(CLASSES, 0.0)
        self._served: dict[Priority, float] = dict.fromkeys(CLASSES, 0.0)
        self._arrivals = 0
        self._timer: Timer | None = None
        self._drawing: dict[Token, asyncio.Task[None]] = {}

    @property
    def waiting(self) -> int:
        """How many creates wait for their turn."""
        return sum(map(len, self._lines.values()))

    @property
    def longest(self) -> float:
        """Seconds for which the first of them has waited."""
        now = self._clock()
        return max((now - place.came for line in self._lines.values() for place in line), default=0.0)

    async def turn(self, place: Place) -> Token:
        """The token to create with, once it is this place's turn: at once, as long as there is room.

        Raises RateLimited if that would be later than it has patience for, which one that comes again has partly used
        up. Whoever is cancelled here leaves no trace.
        """
        if not self._lines:
            now = self._clock()
            token = self._taken(self._tokens.fit(place.tried), now)
            if token and (not token.room.common or await self._granted_by_all(token)):
                return token
        return await self._queued(place)

    async def _granted_by_all(self, token: Token) -> bool:
        """Whether what this gateway has just taken fits with what the others took; alone, it decides again."""
        return token.room.together(self._clock()) and await token.room.granted(self._clock)

    async def _queued(self, place: Place) -> Token:
        now = self._clock()
        self._join(place, now)
        granted, expiry = place.waits(), None
        try:
            left, wait = place.patience - place.waited, self._foretold(place, now)
            if wait > left:
                raise RateLimited(BUSY, retry_after=wait)
            expiry = self._later(left, lambda: place.refuse(RateLimited(BUSY, retry_after=self._foretold(place))))
            self._wake()
            return await granted
        except BaseException:
            if granted.done() and not granted.cancelled() and not granted.exception():
                # Its turn came while it was leaving: the next one has it.
                granted.result().room.give_back()
            raise
        finally:
            place.waited += self._clock() - now
            if expiry:
                expiry.cancel()
            self._part_with(place)
            self._wake()

    def _join(self, place: Place, now: float) -> None:
        line = self._lines.setdefault(place.share.key, deque())
        if place.start is None:
            self._arrivals += 1
            place.came, place.number = now, self._arrivals
            place.start = max(self._virtual[place.share.priority], self._finishes.get(place.share.key, 0.0))
            self._finishes[place.share.key] = place.start + 1 / place.share.weight
            line.append(place)
        else:
            line.appendleft(place)

    def _part_with(self, place: Place) -> None:
        line = self._lines.get(place.share.key)
        if line and place in line:
            line.remove(place)
        if not line:
            self._lines.pop(place.share.key, None)
        if not self._lines:
            self._finishes.clear()
            self._virtual = dict.fromkeys(CLASSES, 0.0)
            for task in self._drawing.values():
                task.cancel()

    def _serve(self) -> None:
        self._timer, now = None, self._clock()
        while self._lines:
            # One who is bound to an account without room holds up nobody whom another account will do.
            turns = ((place, self._taken(self._alone(place, now), now)) for place in self._next(now))
            place, token = next(filter(lambda turn: turn[1], turns), (None, None))
            if place is None or token is None:
                break
            self._grant(place, token, now)
        self._wake()

    def _grant(self, place: Place, token: Token, now: float) -> None:
        own = place.share.priority
        self._virtual[own], self._served[own] = max(self._virtual[own], place.start or 0.0), now
        self._part_with(place)
        place.grant(token)

    async def _drawn(self, token: Token) -> None:
        """Draws one after another of what all gateways may create, for whoever is next when its time comes: it is the
        gateways that take turns there, and each gives its own to whom it will."""
        try:
            while self._wanted(token) and (wait := await token.room.reserved(self._clock)) is not None:
                if wait:
                    await self._spent(wait, token)
                now = self._clock()
                place = next((each for each in self._next(now) if token in self._tokens.fit(each.tried)), None)
                if place is None:
                    token.room.give_back()
                    break
                self._tokens.chosen(token)
                self._grant(place, token, now)
        finally:
            del self._drawing[token]
            self._wake()

    async def _spent(self, wait: float, token: Token) -> None:
        """Returns after this wait; what was drawn is given back if nobody wants it any more."""
        over = asyncio.Event()
        timer = self._later(wait, over.set)
        try:
            await over.wait()
        except asyncio.CancelledError:
            token.room.give_back()
            raise
        finally:
            timer.cancel()

    def _wanted(self, token: Token) -> bool:
        heads = [line[0] for line in self._lines.values()]
        return token.room.together(self._clock()) and any(token in self._tokens.fit(head.tried) for head in heads)

    def _next(self, now: float) -> Sequence[Place]:
        """The first of each line: who is furthest behind in the highest class, or in one that would starve."""
        heads = sorted((line[0] for line in self._lines.values()), key=lambda each: each.rank)
        for head in heads[1:]:
            if now - max(head.came, self._served[head.share.priority]) >= AGING_SECONDS:
                return sorted(heads, key=lambda each: (each.share.priority != head.share.priority, each.rank))
        return heads

    def _wake(self) -> None:
        """Somebody sees to the queue when there is room again."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            now = self._clock()
            tokens = {token for line in self._lines.values() for token in self._tokens.fit(line[0].tried)}
            for token in tokens:
                if token.room.together(now) and token not in self._drawing:
                    self._drawing[token] = asyncio.create_task(self._drawn(token))
            if alone := [token.room.opens(now) for token in tokens if token not in self._drawing]:
                self._timer = self._later(max(0.0, min(alone)), self._serve)

    def _taken(self, tokens: Sequence[Token], now: float) -> Token | None:
        """The one of these that has most room, which is one less then."""
        token = tokens[0] if len(tokens) == 1 else max(tokens, key=lambda each: each.room.left(now), default=None)
        if token is None or token.room.opens(now) > _INSTANT:
            return None
        token.room.take(now)
        self._tokens.chosen(token)
        return token

    def _alone(self, place: Place, now: float) -> Sequence[Token]:
        """Those that this gateway decides about by itself."""
        return [token for token in self._tokens.fit(place.tried) if not token.room.together(now)]

    def _foretold(self, place: Place, now: float | None = None) -> float:
        """Seconds until its turn, if nobody came any more."""
        now = self._clock() if now is None else now
        mine = place.rank
        ahead = sum(other.rank < mine for line in self._lines.values() for other in line)
        tokens = self._tokens.fit(place.tried)
        drawn = sum(token in self._drawing for token in tokens)
        return _when([token.room for token in tokens], ahead + 1 - drawn, now)


def _when(rooms: Sequence[Room], count: int, now: float) -> float:
    """Seconds until so many fit into all of these rooms together, by this gateway's turns."""
    steps = [(room, room.spacing * room.queues) for room in rooms]
    least, most = 0.0, min(max(0.0, max(0.0, room.opens(now)) + (count - 1) * step) for room, step in steps)
    while len(rooms) > 1 and most - least > 0.001:
        middle = (least + most) / 2
        fitting = sum(max(0, int((middle - room.opens(now)) / step + 1)) for room, step in steps)
        least, most = (least, middle) if fitting >= count else (middle, most)
    return most

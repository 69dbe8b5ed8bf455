"""How full one rate is: what was asked raises a level, which drains evenly.

This is GCRA (a token bucket), kept as a level instead of an arrival time: a limit that changes needs no conversion,
and every figure is a whole number. A unit (a request, a token, an image) is MINUTE high; a nanosecond drains `limit`.
"""

MINUTE = 60 * 10**9
"""Nanoseconds, and the height of one unit."""


class Hold:
    """An estimate that waits for its real count; `least` is how low the level has been from it to the next hold."""

    __slots__ = ("amount", "least")

    def __init__(self, amount: int, least: int) -> None:
        self.amount, self.least = amount, least


class Meter:
    """One rate of one key: `limit` units fit at once, and as many again in each minute.

    Instants are nanoseconds and never go back; every method speaks of the instant that `turn` was last told.
    """

    __slots__ = ("_holds", "at", "level", "limit")

    def __init__(self, limit: int, now: int) -> None:
        self.limit, self.level, self.at = limit, 0, now
        self._holds: list[Hold] = []

    def turn(self, now: int) -> None:
        """Time has gone on until now."""
        if self.level:
            self.level = max(0, self.level - (now - self.at) * self.limit)
        self.at = now

    @property
    def used(self) -> int:
        """Units that have not drained yet, a part of one counted as one."""
        return -(-self.level // MINUTE)

    @property
    def remaining(self) -> int:
        """Units that fit now."""
        return max(0, self.limit - self.used)

    @property
    def empty_in(self) -> int:
        """Nanoseconds until nothing is used."""
        return -(-self.level // self.limit)

    def wait(self, amount: int) -> int:
        """Nanoseconds until this many units fit, to the nanosecond; they must be no more than the limit."""
        return max(0, -(-(self.level + (amount - self.limit) * MINUTE) // self.limit)) if amount else 0

    def fits(self, amount: int) -> bool:
        """Whether this many units fit now."""
        return not amount or self.level + amount * MINUTE <= self.limit * MINUTE

    def add(self, amount: int) -> None:
        """Uses this many units, for good."""
        self._note_least()
        self.level += amount * MINUTE

    def hold(self, amount: int) -> Hold:
        """Uses this many units, until `settle` tells the real count."""
        self.add(amount)
        hold = Hold(amount, self.level)
        self._holds.append(hold)
        return hold

    def settle(self, hold: Hold, real: int) -> None:
        """What was too much is given back, as if it had never been asked; what was too little is used now.

        A hold is settled or dropped once.
        """
        if real > hold.amount:
            self.add(real - hold.amount)
        else:
            self._give_back(hold, (hold.amount - real) * MINUTE)
        self.drop(hold)

    def drop(self, hold: Hold) -> None:
        """The estimate stands."""
        index = self._holds.index(hold)
        if index:
            earlier = self._holds[index - 1]
            earlier.least = min(earlier.least, hold.least)
        del self._holds[index]

    def _give_back(self, hold: Hold, height: int) -> None:
        # Had it never been there, an empty meter could not have drained further: at any instant the level would be
        # lower by no more than it has been at its lowest since. Without this, time in which nothing was used is
        # given back as well, and more fits than the limit.
        self._note_least()
        least = hold.least
        for later in self._holds[self._holds.index(hold) :]:
            least = min(least, later.least)
            later.least -= min(height, least)
        self.level -= min(height, least)

    def _note_least(self) -> None:
        if self._holds:
            self._holds[-1].least = min(self._holds[-1].least, self.level)

"""Pure: what a budget is, how it stands, and how that is put into words."""

from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.accounts.windows import Period, renewal, start

Scope = Literal["everyone", "key", "model", "team"]
Mark = Literal["soft", "near", "spent"]

NEAR_PERCENT = 80
"""Of a hard budget: from here on it is nearly spent."""

_BITS: dict[Mark, int] = {"soft": 1, "near": 2, "spent": 4}
_EVERY: dict[Period, str] = {"day": "a day", "week": "a week", "month": "a month", "total": "in total"}


class Budget(Struct, frozen=True, gc=False):
    """So many micro-dollars in each period: `soft` to warn at, `hard` to stop at. `subject` is a key's id, a team, or a
    glob over models; `day` begins the window that `reserved` and `spent` are of; `told` has a bit for each passed mark.
    """

    id: str
    scope: Scope
    subject: str
    period: Period
    soft: int | None
    hard: int | None
    unpriced: str
    day: int
    reserved: int
    spent: int
    told: int

    def at(self, day: int) -> "Budget":
        """How it stands on that day: a window that has ended gives way to a new one, in which nothing is spent."""
        begins = start(self.period, day)
        return self if begins <= self.day else msgspec.structs.replace(self, day=begins, reserved=0, spent=0, told=0)

    def concerns(self, model: str, ref: str) -> bool:
        """Whether it is about this model, by the name that a client wrote or by its model ref."""
        if self.scope != "model":
            return True
        names = (model, ref, ref.partition(":")[0])
        return any(fnmatchcase(name, self.subject) for name in names)

    @property
    def used(self) -> int:
        return self.spent + self.reserved

    @property
    def left(self) -> int | None:
        """What can still be spent; below zero where it is overdrawn, None without a hard limit."""
        return None if self.hard is None else self.hard - self.used

    @property
    def renews(self) -> datetime | None:
        return renewal(self.period, self.day)

    @property
    def mark(self) -> Mark | None:
        """The gravest mark that is passed by what is spent and held."""
        marks = self.passed(self.used)
        return marks[-1] if marks else None

    def passed(self, amount: int) -> list[Mark]:
        """The marks that so much is beyond, the gravest last."""
        hard = self.hard
        beyond: dict[Mark, bool] = {
            "soft": self.soft is not None and amount >= self.soft,
            "near": hard is not None and amount * 100 >= hard * NEAR_PERCENT,
            "spent": hard is not None and amount >= hard,
        }
        return [mark for mark, passed in beyond.items() if passed]

    def untold(self, marks: list[Mark]) -> list[Mark]:
        """Those of which nobody was told in this window."""
        return [mark for mark in marks if not self.told & _BITS[mark]]

    def telling(self, marks: list[Mark]) -> int:
        """`told`, once these are."""
        return self.told | sum(_BITS[mark] for mark in self.untold(marks))

    @property
    def whose(self) -> str:
        """For sentences: `team `red``."""
        return {
            "everyone": "everyone",
            "key": "this key",
            "model": f"the models `{self.subject}`",
            "team": f"the team `{self.subject}`",
        }[self.scope]

    @property
    def worded(self) -> str:
        """`10.00 USD a day for the team `red``."""
        amount = self.hard if self.hard is not None else self.soft
        return f"{usd(amount or 0)} USD {_EVERY[self.period]} for {self.whose}"


class Unpriced(Struct, frozen=True):
    """What to do with a call whose cost cannot be foreseen: refuse it, or hold `assume` micro-dollars a prediction."""

    deny: bool = False
    assume: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Unpriced":
        """`allow`, `deny` or `assume 0.05`. Raises ValueError."""
        word, _, amount = text.partition(" ")
        if word == "assume" and amount:
            return cls(assume=micro(amount))
        if text not in {"allow", "deny"}:
            raise ValueError(f"{text!r} is none of `allow`, `deny` and `assume 0.05`")
        return cls(deny=text == "deny")

    def __or__(self, other: "Unpriced") -> "Unpriced":
        """The stricter of two."""
        amounts = [each.assume for each in (self, other) if each.assume is not None]
        return Unpriced(self.deny or other.deny, max(amounts, default=None))


def micro(dollars: str) -> int:
    """Whole micro-dollars of an amount as people write it. Raises ValueError."""
    try:
        amount = Decimal(dollars) * 1_000_000
    except ArithmeticError:
        raise ValueError(f"{dollars!r} is no amount of US dollars") from None
    if not amount.is_finite() or amount != int(amount) or not 0 <= amount <= 2**53:
        raise ValueError(f"{dollars!r} is no amount of US dollars, with six decimals at most")
    return int(amount)


def usd(amount: int) -> str:
    """US dollars with as many decimals as it takes, two at least."""
    whole, _, decimals = f"{amount / 1_000_000:.6f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"

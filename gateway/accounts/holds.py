"""Money held for calls: reserved before their predictions exist, by all budgets concerned or by none.

Everything here runs inside a transaction of the ledger's, and the store lets only one gateway write at a time: what
was read is still true when it is written.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection, String, bindparam, select

from adapters.errors import ApiError
from gateway.accounts.entries import Opening
from gateway.accounts.notices import write_notices
from gateway.accounts.recounts import recounted
from gateway.accounts.spending import Budget, Mark, Unpriced, usd
from gateway.accounts.tallies import FIELDS, Tally, write
from gateway.accounts.windows import day_of, start
from gateway.errors import BudgetSpent, Unforeseen
from gateway.store.prepared import Prepared
from gateway.store.tables import budgets, keys

SOON_SECONDS = 60.0
"""A renewal that is so near is worth waiting for."""

MOST_ROOTS = 10_000

_OLDER = Prepared(select(keys.c.rotated_from).where(keys.c.id == bindparam("of", type_=String)))


class Hold(Struct, frozen=True, gc=False):
    """What is held for a call: micro-dollars for each prediction (None where nobody knows and nothing is assumed), the
    day it counts on, and how the budgets concerned stand with it."""

    day: int
    amounts: tuple[int | None, ...]
    budgets: tuple[Budget, ...] = ()
    unforeseen: str = ""

    @property
    def whole(self) -> int | None:
        known = [amount for amount in self.amounts if amount is not None]
        return sum(known) if len(known) == len(self.amounts) else None


class Trial(Struct, frozen=True):
    """What would become of a call: the error that would refuse it, the budgets concerned without it, and the
    micro-dollars that would be held (None where it is refused, or nobody knows)."""

    refusal: ApiError | None
    budgets: tuple[Budget, ...]
    held: int | None = None


Passed = tuple[Budget, Mark]
"""A budget, and a mark that it has passed now."""


class Holds:
    """The budgets as the ledger meets them, on its own connection."""

    def __init__(self) -> None:
        # Who was rotated from whom never changes, so it may be remembered.
        self._roots: dict[str, str] = {}

    def hold(self, connection: Connection, tally: Tally, opening: Opening, now: float) -> Hold:
        """Reserves the call's amounts, all or nothing. Raises BudgetSpent, Unforeseen."""
        today = day_of(now)
        concerned = self._today(connection, tally, opening, today)
        # Clocks of gateways differ a little: the first to see a new window opens it for all.
        day = max([today, *(budget.day for budget in concerned)])
        hold = _admitted(opening, day, [budget.at(day) for budget in concerned], now)
        tally.move(hold.budgets)
        return hold

    def trial(self, connection: Connection, opening: Opening, now: float) -> Trial:
        """Whether `hold` would be refused now."""
        tally = Tally(connection)
        tally.read({(self.root(connection, opening.key), opening.team)})
        concerned = tuple(self._today(connection, tally, opening, day_of(now)))
        try:
            hold = _admitted(opening, day_of(now), concerned, now)
        except (BudgetSpent, Unforeseen) as refusal:
            return Trial(refusal, concerned)
        return Trial(None, concerned, hold.whole)

    def book(self, connection: Connection, tally: Tally, entry: "Booked", cost: int | None) -> list[Passed]:
        """Turns what was held for an entry into what it cost, in the windows it was held in; an unknown cost counts for
        what was held. Gives the marks that this passed, of which somebody is to be told."""
        spent = entry.held if cost is None else cost
        crossed = list[Passed]()
        for budget in self._in_window(connection, tally, entry):
            after = replace(budget, reserved=max(0, budget.reserved - entry.held), spent=budget.spent + spent)
            marks = after.untold(after.passed(after.spent))
            crossed += [(after, mark) for mark in marks]
            tally.move([replace(after, told=after.telling(marks)) if marks else after])
        return crossed

    def add(self, connection: Connection, tally: Tally, entry: "Booked") -> None:
        """Holds what was admitted while nobody could be asked: a budget may be overdrawn by it."""
        windows = self._in_window(connection, tally, entry)
        tally.move(replace(budget, reserved=budget.reserved + entry.held) for budget in windows)

    def refused(self, connection: Connection, told: BudgetSpent, now: float) -> None:
        """Notes that a budget had to refuse a call, if it is the first time in this window."""
        row = connection.execute(select(*FIELDS).where(budgets.c.id == told.budget)).first()
        budget = Budget(*row).at(day_of(now)) if row else None
        if budget and budget.untold(["spent"]):
            write(connection, [replace(budget, told=budget.telling(["spent"]))])
            write_notices(connection, [(budget, "spent")], now)

    def all_of(self, connection: Connection, key: str, team: str | None) -> list[Budget]:
        """The budgets of a key, whatever it calls: its own, its team's, everyone's, and those of models."""
        tally, root = Tally(connection), self.root(connection, key)
        tally.read({(root, team)})
        return tally.all_of(root, team)

    def _today(self, connection: Connection, tally: Tally, opening: Opening, today: int) -> list[Budget]:
        if tally.empty:
            return []
        root = self.root(connection, opening.key)
        concerned = tally.concerned(root, opening.team, opening.model, opening.ref)
        return [_believable(connection, budget, today).at(today) for budget in concerned]

    def _in_window(self, connection: Connection, tally: Tally, entry: "Booked") -> list[Budget]:
        """The budgets whose window the entry's day falls into; of one that has ended the ledger has the sum."""
        if tally.empty:
            return []
        concerned = tally.concerned(self.root(connection, entry.key), entry.team, entry.model, entry.ref)
        return [budget.at(entry.day) for budget in concerned if start(budget.period, entry.day) >= budget.day]

    def root(self, connection: Connection, key: str) -> str:
        """The first of the keys that this one was rotated from: a successor spends from the same budgets."""
        root = self._roots.get(key)
        if root is None:
            root = key
            while (row := _OLDER.run(connection, of=root).fetchone()) and row[0]:
                root = str(row[0])
            if len(self._roots) >= MOST_ROOTS:
                self._roots.clear()
            self._roots[key] = root
        return root


class Booked(Struct, frozen=True, gc=False):
    """Of an entry: what its budgets are found by, and what is held for it."""

    key: str
    team: str | None
    model: str
    day: int
    ref: str
    held: int


def unasked(opening: Opening, now: float) -> Hold:
    """What to hold where no budget can be asked. Raises Unforeseen."""
    amounts, unforeseen = _amounts(opening, ())
    return Hold(day_of(now), amounts, (), unforeseen)


def _admitted(opening: Opening, day: int, concerned: Sequence[Budget], now: float) -> Hold:
    amounts, unforeseen = _amounts(opening, concerned)
    total = sum(amount or 0 for amount in amounts)
    full = [budget for budget in concerned if budget.left is not None and (budget.left < total or budget.left <= 0)]
    if full:
        # Of several, the one that is in the way for longest.
        raise _spent(max(full, key=lambda budget: (budget.renews is None, budget.renews)), total, now)
    held = tuple(replace(budget, reserved=budget.reserved + total) for budget in concerned)
    return Hold(day, amounts, held, unforeseen)


def _amounts(opening: Opening, concerned: Iterable[Budget]) -> tuple[tuple[int | None, ...], str]:
    """What to hold for each prediction; and what became of those whose cost cannot be foreseen, if there are any."""
    if None not in opening.reserved:
        return opening.reserved, ""
    own = [Unpriced.parse(budget.unpriced) for budget in concerned if budget.unpriced]
    policy = Unpriced.parse(opening.unpriced) if not own else own[0]
    for each in own:
        policy |= each
    if policy.deny:
        raise Unforeseen(
            f"What a call of the model `{opening.model[:200]}` costs cannot be foreseen, and such calls are not "
            "allowed here. Ask the gateway's operator for a price of this model, or choose another.",
            param="model",
        )
    amounts = tuple(policy.assume if amount is None else amount for amount in opening.reserved)
    return amounts, "allowed" if policy.assume is None else f"assumed {usd(policy.assume)}"


def _spent(budget: Budget, total: int, now: float) -> BudgetSpent:
    left, held, renews = budget.left or 0, budget.reserved, budget.renews
    running = f" and {usd(held)} held for calls that still run" if held else ""
    state = f"{usd(left)} are left" if left >= 0 else f"it is overdrawn by {usd(-left)}"
    again = f"It renews at {renews:%Y-%m-%dT%H:%M:%SZ}." if renews else "It does not renew."
    error = BudgetSpent(
        f"You exceeded your budget of {budget.worded}: {usd(budget.spent)} are spent{running}, {state}, and this call "
        f"may cost {usd(total)}. {again}"
    )
    wait = renews.timestamp() - now if renews else None
    error.retry_after = wait if wait is not None and wait <= SOON_SECONDS else None
    error.budget, error.first = budget.id, bool(budget.untold(["spent"]))
    return error


def _believable(connection: Connection, budget: Budget, today: int) -> Budget:
    """The budget, unless a gateway whose clock is days ahead has left it in a window of the future."""
    return recounted(connection, budget, today) if budget.day > today + 1 else budget

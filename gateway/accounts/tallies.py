"""Budgets during one batch: read together, changed in memory line by line, written together."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, Select, String, and_, bindparam, or_, select

from gateway.accounts.spending import Budget
from gateway.store.prepared import Prepared, Row, Several
from gateway.store.tables import budgets

FIELDS = tuple(budgets.c[name] for name in Budget.__struct_fields__)
_CHANGING = ("day", "reserved", "spent", "told")


def _concerning(roots: Sequence[BindParameter[str]], teams: Sequence[BindParameter[str]]) -> Select[Any]:
    return select(*FIELDS).where(
        or_(
            budgets.c.scope == "everyone",
            budgets.c.scope == "model",
            and_(budgets.c.scope == "key", budgets.c.subject.in_(roots)),
            and_(budgets.c.scope == "team", budgets.c.subject.in_(teams)),
        )
    )


_CONCERNED = Several(_concerning)
FEW = 16
"""So many budgets are read whole sooner than those of some keys and teams are looked for."""

_FIRST = Prepared(select(*FIELDS).limit(FEW + 1))
_MOVE = Prepared(
    budgets.update()
    .values({name: bindparam(f"new_{name}", type_=budgets.c[name].type) for name in _CHANGING})
    .where(budgets.c.id == bindparam("of", type_=String))
)


class Tally:
    """The budgets of everyone and of models, and those of the keys (by the first of their line) and teams asked for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._whole: bool | None = None
        self._known: set[tuple[str, str | None]] = set()
        self._budgets: dict[str, Budget] = {}
        self._moved: set[str] = set()

    def read(self, whose: set[tuple[str, str | None]]) -> None:
        """The budgets of these keys and teams are at hand; those that are already stand as they do here."""
        if self._whole is None:
            found = _FIRST.run(self._connection).fetchall()
            self._whole = len(found) <= FEW
            if self._whole:
                self._add(found)
        if not self._whole and (new := whose - self._known):
            self._known |= new
            self._add(_CONCERNED.run(self._connection, list(new)))

    def _add(self, found: Iterable[Row]) -> None:
        new = {row[0]: self._budgets.get(row[0]) or Budget(*row) for row in found}
        self._budgets = dict(sorted((self._budgets | new).items()))

    @property
    def empty(self) -> bool:
        """Nobody that was asked about is held to anything."""
        return not self._budgets

    def all_of(self, root: str, team: str | None) -> list[Budget]:
        """Those of one key and its team, as they stand now, in the order of their ids."""
        subjects = {"key": root, "team": team}
        return [each for each in self._budgets.values() if subjects.get(each.scope, each.subject) == each.subject]

    def concerned(self, root: str, team: str | None, model: str, ref: str) -> list[Budget]:
        """Of those, the ones that a call of this model counts in."""
        return [each for each in self.all_of(root, team) if each.concerns(model, ref)]

    def move(self, to: Iterable[Budget]) -> None:
        """These stand otherwise now."""
        for budget in to:
            self._budgets[budget.id] = budget
            self._moved.add(budget.id)

    def write(self) -> None:
        """All of it into the books."""
        write(self._connection, [self._budgets[each] for each in sorted(self._moved)])


def write(connection: Connection, moved: Iterable[Budget]) -> None:
    """These budgets stand like this now."""
    told = [{"of": each.id, **{f"new_{name}": getattr(each, name) for name in _CHANGING}} for each in moved]
    _MOVE.run_each(connection, told)

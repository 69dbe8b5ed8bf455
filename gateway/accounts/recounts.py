"""What a budget should say by the ledger: Σ settled and Σ reserved of everything that counts in it.

Of days whose lines were pruned the sums tell what was settled, and the lines only what costs nobody knows.
"""

from typing import Any

from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Select, Table, and_, cast, func, or_, select, true

from gateway.accounts.pruning import pruned_before
from gateway.accounts.spending import Budget
from gateway.accounts.windows import end, start
from gateway.store.tables import entries, keys, reservations, settlements, totals

_HELD = select(entries.c.reserved).where(entries.c.id == settlements.c.entry).correlate(settlements).scalar_subquery()
_SPENT = select(func.coalesce(func.sum(func.coalesce(settlements.c.cost, _HELD, 0)), 0)).select_from(settlements)
_RESERVED = (
    select(func.coalesce(func.sum(func.coalesce(reservations.c.amount, 0)), 0))
    .select_from(reservations)
    .join(entries, entries.c.id == reservations.c.entry)
)


def recounted(connection: Connection, budget: Budget, day: int) -> Budget:
    """The budget as it stands on that day, counted anew. What an unknown cost counts for is what was held for it."""
    begins = start(budget.period, day)
    pruned = pruned_before(connection)
    lines = _SPENT.where(or_(settlements.c.day >= pruned, settlements.c.cost.is_(None))) if pruned else _SPENT
    spent = _summed(connection, budget, lines, settlements, day)
    if begins < pruned:
        spent += _pruned(connection, budget, pruned, day)
    reserved = _summed(connection, budget, _RESERVED, entries, day)
    told = budget.told if budget.day == begins else 0
    return replace(budget, day=begins, spent=spent, reserved=reserved, told=told)


def _summed(connection: Connection, budget: Budget, sums: Select[Any], lines: Table, day: int) -> int:
    within = sums.where(_window(budget, lines, day), _its(budget, lines))
    if budget.scope != "model":
        return int(connection.execute(within).scalar_one())
    if lines is settlements:
        within = within.join(entries, entries.c.id == settlements.c.entry)
    by_model = within.add_columns(entries.c.model, entries.c.ref).group_by(entries.c.model, entries.c.ref)
    return sum(int(amount) for amount, model, ref in connection.execute(by_model) if budget.concerns(model, ref))


def _pruned(connection: Connection, budget: Budget, before: int, day: int) -> int:
    """What the sums have of days whose lines are gone. They know models by the names that clients wrote."""
    within = select(totals.c.model, func.sum(totals.c.cost)).group_by(totals.c.model)
    within = within.where(totals.c.day < before, _window(budget, totals, day), _its(budget, totals))
    found = connection.execute(within).all()
    return sum(int(amount) for model, amount in found if budget.concerns(model, model))


def _window(budget: Budget, lines: Table, day: int) -> ColumnElement[bool]:
    ends = end(budget.period, day)
    begun = lines.c.day >= start(budget.period, day)
    return begun if ends is None else and_(begun, lines.c.day < ends)


def _its(budget: Budget, lines: Table) -> ColumnElement[bool]:
    if budget.scope == "team":
        return lines.c.team == budget.subject
    return lines.c.key.in_(_line(budget.subject)) if budget.scope == "key" else true()


def _line(root: str) -> Select[Any]:
    """A key and all that were rotated from it, the root itself even where no such key was ever made."""
    line = select(cast(root, keys.c.id.type).label("id")).cte("line", recursive=True)
    line = line.union_all(select(keys.c.id).join(line, keys.c.rotated_from == line.c.id))
    return select(line.c.id)

"""What an admin key can do: each verb calls what the command line calls."""

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from msgspec import Struct

from adapters.errors import InvalidRequest
from gateway.accounts.budgets import Budget, Terms
from gateway.accounts.exports import LedgerLine, Page
from gateway.accounts.forms import MICRO, TYPES, head, summed, written
from gateway.accounts.ledger import By
from gateway.accounts.teams import Team
from gateway.accounts.totals import Within
from gateway.accounts.virtualkeys import VirtualKey, amended
from gateway.api.orders import (
    ActPage,
    Acts,
    BudgetList,
    BudgetOrder,
    Export,
    IssuedKey,
    KeyPage,
    KeySums,
    KeyUpdate,
    LinePage,
    Lines,
    NewKey,
    NewTeam,
    Nothing,
    Open,
    Paging,
    PriceList,
    Prune,
    PrunedLines,
    Rotation,
    SumList,
    Sums,
    TeamPage,
    TeamUpdate,
)
from gateway.api.replies import Frames
from gateway.parts import Gateway

T = TypeVar("T", VirtualKey, Team)


_AT_ONCE = 1000
"""So many lines of an export are in memory."""


class Desk(Struct, frozen=True):
    """Where an order arrives: the parts, the id of the admin key that gave it, and whom the path names."""

    gateway: Gateway
    by: str
    which: str


async def create_key(desk: Desk, order: NewKey) -> IssuedKey:
    """Issue a key; its secret is shown once."""
    said = order.said()
    said["limits"] = amended(None, said.get("limits"))
    return IssuedKey(*await desk.gateway.keys.create(said.pop("name"), by=desk.by, **said))


async def list_keys(desk: Desk, order: Paging) -> KeyPage:
    """List the keys, the ended ones too."""
    return KeyPage(*_page(await desk.gateway.keys.list(), order))


async def show_key(desk: Desk, order: Nothing) -> VirtualKey:
    """Show a key, named by id, name or prefix."""
    return await desk.gateway.keys.show(desk.which)


async def update_key(desk: Desk, order: KeyUpdate) -> VirtualKey:
    """Change what is named of a key, and nothing else."""
    return await desk.gateway.keys.update(desk.which, by=desk.by, **order.said())


async def rotate_key(desk: Desk, order: Rotation) -> IssuedKey:
    """Issue a successor; the old key ends after the overlap."""
    return IssuedKey(*await desk.gateway.keys.rotate(desk.which, order.overlap_seconds, by=desk.by))


async def block_key(desk: Desk, order: Nothing) -> VirtualKey:
    """Refuse a key until it is unblocked."""
    return await desk.gateway.keys.block(desk.which, by=desk.by)


async def unblock_key(desk: Desk, order: Nothing) -> VirtualKey:
    """Let a blocked key in again."""
    return await desk.gateway.keys.unblock(desk.which, by=desk.by)


async def revoke_key(desk: Desk, order: Nothing) -> VirtualKey:
    """End a key for ever."""
    return await desk.gateway.keys.revoke(desk.which, by=desk.by)


async def show_key_usage(desk: Desk, order: KeySums) -> SumList:
    """Sum what a key has used."""
    return await _sums(desk, order.by, order.first, order.last, key=desk.which)


async def create_team(desk: Desk, order: NewTeam) -> Team:
    """Create a team, which keys can then belong to."""
    said = order.said()
    said["limits"] = amended(None, said.get("limits"))
    return await desk.gateway.teams.create(said.pop("id"), by=desk.by, **said)


async def list_teams(desk: Desk, order: Paging) -> TeamPage:
    """List the teams."""
    return TeamPage(*_page(await desk.gateway.teams.list(), order))


async def show_team(desk: Desk, order: Nothing) -> Team:
    """Show a team."""
    return await desk.gateway.teams.show(desk.which)


async def update_team(desk: Desk, order: TeamUpdate) -> Team:
    """Change what is named of a team, and nothing else."""
    return await desk.gateway.teams.update(desk.which, by=desk.by, **order.said())


async def block_team(desk: Desk, order: Nothing) -> Team:
    """Refuse all keys of a team until it is unblocked."""
    return await desk.gateway.teams.block(desk.which, by=desk.by)


async def unblock_team(desk: Desk, order: Nothing) -> Team:
    """Let the keys of a blocked team in again."""
    return await desk.gateway.teams.unblock(desk.which, by=desk.by)


async def delete_team(desk: Desk, order: Nothing) -> Team:
    """Forget a team that holds no keys."""
    return await desk.gateway.teams.delete(desk.which, by=desk.by)


async def set_budget(desk: Desk, order: BudgetOrder) -> Budget:
    """Make or change a budget."""
    try:
        terms = Terms(**order.said())
    except ValueError as wrong:
        raise InvalidRequest(f"{wrong}.") from None
    return await desk.gateway.budgets.set(terms, by=desk.by)


async def list_budgets(desk: Desk, order: Nothing) -> BudgetList:
    """List the budgets, and what is spent and held of each."""
    return BudgetList(await desk.gateway.budgets.list())


async def show_budget(desk: Desk, order: Nothing) -> Budget:
    """Show a budget as it stands."""
    return await desk.gateway.budgets.show(desk.which)


async def remove_budget(desk: Desk, order: Nothing) -> Budget:
    """End a budget."""
    return await desk.gateway.budgets.remove(desk.which, by=desk.by)


async def show_usage(desk: Desk, order: Sums) -> SumList:
    """Sum the ledger."""
    held_to = {"team": order.team, "model": order.model, "tag": order.tag}
    return await _sums(desk, order.by, order.first, order.last, key=order.key, **held_to)


async def list_entries(desk: Desk, order: Lines) -> LinePage:
    """List the ledger's entries, each with its settlement."""
    said = order.said()
    lines = await desk.gateway.ledger.page(Page(**{**said, "limit": order.limit + 1}))
    more = len(lines) > order.limit
    return LinePage(lines[: order.limit], lines[order.limit - 1].entry if more else None)


async def export_entries(desk: Desk, order: Export) -> Frames:
    """Download the ledger's entries, each with its settlement: all of them, as they are read."""
    return Frames(_exported(desk, order), TYPES[order.form])


async def _exported(desk: Desk, order: Export) -> AsyncGenerator[bytes]:
    """Page after page: whoever reads slowly holds up no reader of the books."""
    told = {name: value for name, value in order.said().items() if name != "form"}
    after, start = None, head(LedgerLine, order.form)
    while True:
        lines = await desk.gateway.ledger.page(Page(limit=_AT_ONCE, after=after, **told))
        yield (start + "".join(written(lines, order.form))).encode()
        if len(lines) < _AT_ONCE:
            return
        after, start = lines[-1].entry, ""


async def prune_ledger(desk: Desk, order: Prune) -> PrunedLines:
    """Take old entries out of the ledger for good; the sums of them stay. Export them first."""
    pruning = desk.gateway.pruning
    if order.confirm:
        done = await pruning.prune(order.before, by=desk.by)
    else:
        done = await pruning.count(order.before)
    return PrunedLines(order.before, order.confirm, done.lines, done.cost / MICRO, done.kept)


async def list_acts(desk: Desk, order: Acts) -> ActPage:
    """List what was done to keys and teams, and by whom."""
    like = {"actor": order.actor, "act": order.act, "subject": order.subject}
    acts = await desk.gateway.audit.acts(order.limit + 1, order.after, **like)
    more = len(acts) > order.limit
    return ActPage(acts[: order.limit], acts[order.limit - 1].id if more else None)


async def list_prices(desk: Desk, order: Nothing) -> PriceList:
    """List what models cost, and who says so."""
    return PriceList(tuple(desk.gateway.prices.lines(desk.gateway.config, datetime.now(UTC).date())))


async def _sums(desk: Desk, by: By, first: date | None, last: date | None, **held_to: Any) -> SumList:
    ledger = desk.gateway.ledger
    if held_to["key"] is not None:
        held_to["key"] = (await desk.gateway.keys.show(held_to["key"])).id
    try:
        lines = await ledger.usage(by, within=Within(first=first, last=last, **held_to))
    except ValueError as unsummed:
        raise InvalidRequest(f"{unsummed}.", param="by") from None
    held = await ledger.held()
    return SumList(by, summed(lines), Open(held.entries, held.amount / MICRO))


def _page(every: Sequence[T], order: Paging) -> tuple[Sequence[T], str | None]:
    """Those after the one of this id, and where the next page begins."""
    ids = [one.id for one in every]
    start = ids.index(order.after) + 1 if order.after in ids else 0 if order.after is None else len(ids)
    page = every[start : start + order.limit]
    return page, page[-1].id if start + order.limit < len(every) else None

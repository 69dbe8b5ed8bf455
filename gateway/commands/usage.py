"""`repligate usage`: the ledger in sums."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.commands.settings import config_option, json_option, with_store
from gateway.commands.showing import show, show_json

if TYPE_CHECKING:
    from gateway.accounts.entries import Held, UsageLine
    from gateway.accounts.ledger import By
    from gateway.store.sql import Store

BY = ("key", "team", "model", "tag", "day")


@click.command()
@click.option("--by", type=click.Choice(BY), default="key", show_default=True, help="What to sum by.")
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="The first day (UTC). Default: the oldest.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="The last day (UTC). Default: today.")
@click.option("--key", help="Only what this key did: its id, name or prefix.")
@click.option("--team", help="Only what keys of this team did.")
@click.option("--model", help="Only what was asked of this model, by the name that clients write.")
@click.option("--tag", help="Only what bore this tag; by tag and by day alone.")
@config_option
@json_option
def usage(
    by: "By", first: datetime | None, last: datetime | None, path: Path | None, as_json: bool, **held_to: Any
) -> None:
    """Sum the ledger. Calls, predictions, tokens, images and cost, and what is still open."""
    days = (first.date() if first else None, last.date() if last else None)

    async def read(store: "Store") -> "tuple[list[UsageLine], Held]":
        from gateway.accounts.keys import Keys
        from gateway.accounts.ledger import Ledger, Within

        ledger = Ledger(store)
        if held_to["key"]:
            held_to["key"] = (await Keys(store).show(held_to["key"])).id
        return await ledger.usage(by, *days, Within(**held_to)), await ledger.held()

    from msgspec import to_builtins

    from gateway.accounts.forms import MICRO, summed

    try:
        lines, held = with_store(path, read)
    except ValueError as unsummed:
        raise click.UsageError(f"{unsummed}.") from None
    rows = to_builtins(summed(lines))
    if as_json:
        show_json({"by": by, "lines": rows, "open": {"entries": held.entries, "reserved_usd": held.amount / MICRO}})
        return
    show([_for_people(by, row) for row in rows], "There is no usage yet.")
    if held.entries:
        click.echo(f"Open: {held.entries} predictions, {held.amount / MICRO:.6f} USD reserved.")


def _for_people(by: str, row: dict[str, Any]) -> dict[str, Any]:
    """What is summed by is called so; ids are for scripts."""
    return {by: row["name"], **{name: value for name, value in row.items() if name not in {"subject", "name"}}}

"""`repligate usage`: the ledger in sums."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from gateway.commands.settings import config_option, json_option, with_store
from gateway.commands.showing import show, show_json

if TYPE_CHECKING:
    from gateway.accounts.entries import Held, UsageLine
    from gateway.store.sql import Store

MICRO = 1_000_000


@click.command()
@click.option(
    "--by", type=click.Choice(("key", "model", "day")), default="key", show_default=True, help="What to sum by."
)
@config_option
@json_option
def usage(by: Literal["key", "model", "day"], path: Path | None, as_json: bool) -> None:
    """Sum the ledger: calls, predictions, tokens, images and cost, and what is still open."""

    async def read(store: "Store") -> "tuple[list[UsageLine], Held]":
        from gateway.accounts.ledger import Ledger

        ledger = Ledger(store)
        return await ledger.usage(by), await ledger.held()

    lines, held = with_store(path, read)
    rows = [_line(by, line) for line in lines]
    if as_json:
        show_json({"by": by, "lines": rows, "open": {"entries": held.entries, "reserved_usd": held.amount / MICRO}})
        return
    show(rows, "There is no usage yet.")
    if held.entries:
        click.echo(f"Open: {held.entries} predictions, {held.amount / MICRO:.6f} USD reserved.")


def _line(by: str, line: "UsageLine") -> dict[str, Any]:
    """A sum as people and scripts read it; the cost is that of the priced predictions."""
    counts = {
        name: getattr(line, name) for name in ("calls", "predictions", "failed", "tokens_in", "tokens_out", "images")
    }
    money = {"cost_usd": line.cost / MICRO, "unpriced": line.unpriced, "estimated": line.estimated}
    return {by: line.name, **counts, "seconds": round(line.seconds, 3), **money}

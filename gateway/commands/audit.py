"""`repligate audit`: who did what to whom."""

import json
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.commands.settings import config_option, json_option, with_store
from gateway.commands.showing import show, show_json, when

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.accounts.audit import Act
    from gateway.store.sql import Store


@click.command()
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="So many lines, the newest first.")
@click.option("--actor", help="Only what this admin key did, by its id; `operator` is the command line.")
@click.option("--act", help="Only acts of this name: key.create, team.block …")
@click.option("--subject", help="Only what was done to this key or team, by its id.")
@config_option
@json_option
def audit(limit: int, path: Path | None, as_json: bool, **like: str | None) -> None:
    """Show what was done to keys, teams and budgets, and by whom. Nobody can change these lines."""

    def read(store: "Store") -> "Coroutine[Any, Any, Sequence[Act]]":
        from gateway.accounts.audit import Audit

        return Audit(store).acts(limit, **like)

    rows = [_row(act) for act in with_store(path, read)]
    if as_json:
        show_json(rows)
    else:
        show([{**row, "detail": json.dumps(row["detail"])} for row in rows], "Nothing was done yet.")


def _row(act: "Act") -> dict[str, Any]:
    return {"at": when(act.at), "actor": act.actor, "act": act.act, "subject": act.subject, "detail": act.detail}

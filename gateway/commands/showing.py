"""Answers of commands: a table for people, JSON for scripts."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click


def show(rows: Sequence[Mapping[str, Any]], nothing: str) -> None:
    """A table, or the sentence that says that there is nothing to show."""
    if not rows:
        click.echo(nothing)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*rows[0], box=None, header_style="bold")
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    Console().print(table)


def show_json(told: object) -> None:
    """One JSON document, on a line of its own."""
    click.echo(json.dumps(told))


def when(instant: float | None) -> str | None:
    """A unix time as people and scripts read it."""
    return None if instant is None else datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds")


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)

"""Answers of commands: a table for people, JSON for scripts."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

_ENDLESS = 10_000


def show(rows: Sequence[Mapping[str, Any]], nothing: str) -> None:
    """A table, or the sentence that says that there is nothing to show."""
    if not rows:
        click.echo(nothing)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    # Nothing is cut: on a terminal long cells fold, and in a file or a pipe each row is one line.
    Console(width=None if sys.stdout.isatty() else _ENDLESS).print(table)


def show_json(told: object) -> None:
    """One JSON document, on a line of its own."""
    click.echo(json.dumps(told))


def show_all(told: Mapping[str, Any], as_json: bool) -> None:
    """Everything of one thing: a line for each fact that there is, or JSON."""
    if as_json:
        show_json(told)
    else:
        show([{"": name, "value": value} for name, value in told.items() if value not in (None, "", [], {})], "")


def plain(thing: object) -> dict[str, Any]:
    """All of a struct in plain values; moments, which end in `_at`, as people and scripts read them."""
    import msgspec

    told: dict[str, Any] = msgspec.to_builtins(thing)
    return {name: when(value) if name.endswith("_at") else value for name, value in told.items()}


def when(instant: float | None) -> str | None:
    """A unix time as people and scripts read it."""
    return None if instant is None else datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds")


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)

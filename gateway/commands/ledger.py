"""`repligate ledger`: the books, for other programs."""

import csv
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from gateway.commands.settings import config_option, with_store

if TYPE_CHECKING:
    from gateway.accounts.ledger import By
    from gateway.store.sql import Store

Format = Literal["csv", "jsonl"]
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@click.group()
def ledger() -> None:
    """The books, for other programs."""


@ledger.command("export")
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="The first day (UTC). Default: the oldest.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="The last day (UTC). Default: today.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("csv", "jsonl")),
    default="csv",
    show_default=True,
    help="A table with a head, or one JSON object a line.",
)
@click.option(
    "--by", type=click.Choice(("key", "team", "model", "day")), help="Sums of what is settled instead of single lines."
)
@config_option
def export(first: datetime | None, last: datetime | None, form: Format, by: "By | None", path: Path | None) -> None:
    """Print every entry of the ledger with its settlement, oldest first. Prompts and outputs are not in it."""
    days = (first.date() if first else None, last.date() if last else None)
    with_store(path, _sums(by, *days, form) if by else _lines(*days, form))


def _lines(first: date | None, last: date | None, form: Format) -> "Callable[[Store], Coroutine[Any, Any, None]]":
    async def read(store: "Store") -> None:
        from gateway.accounts.exports import LedgerLine, ledger_lines

        names = LedgerLine.__struct_fields__
        # Written while it is read, in the reader's thread: a year of books is never in memory.
        await store.read(lambda connection: _print(ledger_lines(connection, first, last), names, form))

    return read


def _sums(
    by: "By", first: date | None, last: date | None, form: Format
) -> "Callable[[Store], Coroutine[Any, Any, None]]":
    async def read(store: "Store") -> None:
        from gateway.accounts.entries import UsageLine
        from gateway.accounts.ledger import Ledger

        _print(await Ledger(store).usage(by, first, last), UsageLine.__struct_fields__, form)

    return read


def _print(lines: Iterable[Any], names: tuple[str, ...], form: Format) -> None:
    if form == "csv":
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(names)
        table.writerows(_cells(line, names) for line in lines)
        return
    import msgspec

    for line in lines:
        click.echo(msgspec.json.encode(line))


def _cells(line: object, names: tuple[str, ...]) -> Iterator[object]:
    for name in names:
        value = getattr(line, name)
        if name.endswith("_usd") and value is not None:
            yield f"{value:.6f}"
        elif isinstance(value, tuple):
            yield _text(" ".join(value))
        else:
            yield _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    # Spreadsheets would run it: an id or a model's name is whatever a client sent.
    return f"'{value}" if value.startswith(_FORMULA) else value

"""`repligate ledger`: the books, for other programs."""

import os
import sys
from collections.abc import Callable, Coroutine, Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.commands.progress import Told, progress
from gateway.commands.settings import config_option, json_option, with_store
from gateway.commands.showing import show, show_json

if TYPE_CHECKING:
    from msgspec import Struct
    from sqlalchemy import Connection

    from gateway.accounts.forms import Form
    from gateway.accounts.ledger import By
    from gateway.accounts.pruning import Pruned, Pruning
    from gateway.accounts.totals import Difference
    from gateway.store.sql import Store

L = TypeVar("L")
_STEP = 1000
"""How often the bar moves."""


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
    "--by",
    type=click.Choice(("key", "team", "model", "tag", "day")),
    help="Sums of what is settled instead of single lines.",
)
@config_option
def export(first: datetime | None, last: datetime | None, form: "Form", by: "By | None", path: Path | None) -> None:
    """Print every entry with its settlement, oldest first. Prompts and outputs are not in it."""
    days = (first.date() if first else None, last.date() if last else None)
    with_store(path, _sums(by, *days, form) if by else _lines(*days, form))


@ledger.command()
@click.option("--repair", is_flag=True, help="Make the sums of days that differ anew.")
@config_option
@json_option
def check(repair: bool, path: Path | None, as_json: bool) -> None:
    """Compare the sums that `usage` tells with the settlements. Day by day; ends with 1 where they differ."""
    found = with_store(path, _checked(repair))
    if as_json:
        from msgspec import to_builtins

        show_json({"differences": to_builtins(found), "repaired": repair and bool(found)})
    else:
        _tell(found, "made anew" if repair else "`--repair` makes them anew")
    if found and not repair:
        raise SystemExit(1)


@ledger.command()
@click.option(
    "--before", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The first day (UTC) whose lines stay."
)
@click.option(
    "--export",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the lines to this new file first: a table if its name ends in .csv, else one JSON object a line.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
def prune(before: datetime, file: Path | None, yes: bool, path: Path | None, as_json: bool) -> None:
    """Take old lines out of the books for good. The sums of them stay, and what budgets count."""
    day = before.date()
    found = with_store(path, lambda store: _pruning(store).count(day))
    if found.lines and not yes:
        kept = f"they are written to {file} first" if file else "they are not exported (--export FILE)"
        click.confirm(f"{found.lines} lines of days before {day} will be gone for good; {kept}. Go on?", abort=True)
    if file:
        with_store(path, _exported(day, file))

    async def take_out(store: "Store") -> "Pruned":
        with progress() as told:
            return await _pruning(store).prune(day, told=told)

    done = with_store(path, take_out)
    row = {"before": day.isoformat(), "lines": done.lines, "cost_usd": done.cost / 1_000_000, "kept": done.kept}
    if as_json:
        show_json(row)
    else:
        show([row], "")


def _pruning(store: "Store") -> "Pruning":
    from gateway.accounts.pruning import Pruning

    return Pruning(store)


def _exported(before: date, file: Path) -> "Callable[[Store], Coroutine[Any, Any, None]]":
    async def write(store: "Store") -> None:
        from gateway.accounts.exports import LedgerLine, ledger_lines
        from gateway.accounts.forms import head, written

        form: Form = "csv" if file.suffix == ".csv" else "jsonl"

        def write_all(connection: "Connection") -> None:
            # What stands in the file is there for good before anything goes.
            with file.open("x", encoding="utf-8", newline="") as out:
                out.write(head(LedgerLine, form))
                out.writelines(written(ledger_lines(connection, None, before - timedelta(days=1)), form))
                out.flush()
                os.fsync(out.fileno())

        try:
            await store.read(write_all)
        except OSError as wrong:
            raise click.ClickException(f"{file}: {wrong.strerror}") from None

    return write


def _checked(repair: bool) -> "Callable[[Store], Coroutine[Any, Any, list[Difference]]]":
    async def compare(store: "Store") -> "list[Difference]":
        from gateway.accounts.ledger import Ledger

        ledger, found = Ledger(store), list[Any]()
        days = await ledger.days()
        with progress() as told:
            for done, day in enumerate(days, 1):
                if differing := await ledger.differences(day):
                    found += differing
                    if repair:
                        await ledger.rebuild(day)
                told("days", done, len(days))
        return found

    return compare


def _tell(found: "list[Difference]", remedy: str) -> None:
    rows = [
        {
            "day": each.day.isoformat(),
            "sums": each.table,
            "of": " · ".join(each.subject),
            "missing": ", ".join(f"{name} {amount}" for name, amount in each.missing.items()),
        }
        for each in found
    ]
    show(rows, "The sums are those of the settlements.")
    if rows:
        click.echo(f"{len(rows)} sums differ: {remedy}.")


def _lines(first: date | None, last: date | None, form: "Form") -> "Callable[[Store], Coroutine[Any, Any, None]]":
    async def read(store: "Store") -> None:
        from gateway.accounts.exports import LedgerLine, ledger_count, ledger_lines

        def print_all(connection: "Connection") -> None:
            count = ledger_count(connection, first, last) if sys.stderr.isatty() else 0
            with progress() as told:
                lines = enumerate(ledger_lines(connection, first, last), 1)
                _print((_counted(told, done, count, line) for done, line in lines), LedgerLine, form)

        # Written while it is read, in the reader's thread: a year of books is never in memory.
        await store.read(print_all)

    return read


def _counted(told: Told, done: int, of: int, line: L) -> L:
    if not done % _STEP or done == of:
        told("entries", done, of)
    return line


def _sums(
    by: "By", first: date | None, last: date | None, form: "Form"
) -> "Callable[[Store], Coroutine[Any, Any, None]]":
    async def read(store: "Store") -> None:
        from gateway.accounts.forms import Sum, summed
        from gateway.accounts.ledger import Ledger

        _print(summed(await Ledger(store).usage(by, first, last)), Sum, form)

    return read


def _print(lines: "Iterable[Struct]", kind: "type[Struct]", form: "Form") -> None:
    from gateway.accounts.forms import head, written

    sys.stdout.write(head(kind, form))
    sys.stdout.writelines(written(lines, form))

"""`repligate prices`: what models cost, who says so, and what nobody says."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.commands.settings import config_option, json_option, told
from gateway.commands.showing import show, show_json

if TYPE_CHECKING:
    from gateway.accounts.prices import Line


@click.group()
def prices() -> None:
    """What models cost, and who says so."""


@prices.command("list")
@config_option
@json_option
def list_prices(path: Path | None, as_json: bool) -> None:
    """Show what each configured model costs. Then the rest of the shipped table."""
    lines = _lines(path)
    if as_json:
        show_json([_structured(line) for line in lines])
    else:
        show([_row(line) for line in lines], "There are no prices.")


@prices.command("check")
@config_option
@json_option
def check_prices(path: Path | None, as_json: bool) -> None:
    """Show configured models without a good price. It is missing, uncertain or older than a year.

    Ends with status 1 where one has no price at all: what such a model spends is in the books as unknown.
    """
    configured = told(path).models
    lines = [line for line in _lines(path) if line.model in configured and line.problems]
    if as_json:
        show_json([_structured(line) for line in lines])
    else:
        show([_row(line) for line in lines], f"All {len(configured)} configured models have a price to rely on.")
    sys.exit(int(any("no price" in line.problems for line in lines)))


def _lines(path: Path | None) -> list["Line"]:
    from gateway.accounts.prices import Prices
    from gateway.config import ConfigError

    config, table = told(path), Prices.shipped()
    for problem in table.problems(config):
        raise ConfigError(problem)
    return list(table.lines(config, datetime.now(UTC).date()))


def _row(line: "Line") -> dict[str, Any]:
    from gateway.accounts.wording import worded

    return {
        "model": line.model,
        "price": worded(line.price) if line.price else None,
        "source": line.source,
        "date": line.date,
        "problems": line.problems,
    }


def _structured(line: "Line") -> Any:
    import msgspec

    return msgspec.to_builtins(line)

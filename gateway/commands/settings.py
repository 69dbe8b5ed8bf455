"""What commands share: the settings they are told of, and the books these lead to."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.config import Config
from gateway.loading import load

if TYPE_CHECKING:
    from gateway.store.sql import Store

F = TypeVar("F", bound=Callable[..., None])
T = TypeVar("T")


def pairs(context: click.Context, option: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE, several times, as a mapping."""
    for each in value:
        if "=" not in each:
            raise click.BadParameter(f"{each!r} is no NAME=VALUE.", context, option)
    return dict(each.split("=", 1) for each in value)


config_option = click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The settings file. Default: ./config.toml if there is one.",
)
metadata_option = click.option(
    "--metadata", multiple=True, callback=pairs, help="NAME=VALUE, for your own programs; may be given several times."
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, for scripts.")


def about(argument: str) -> Callable[[F], F]:
    """A command about what its one argument names."""

    def decorated(command: F) -> F:
        return click.argument(argument)(config_option(json_option(command)))

    return decorated


def found(path: Path | None) -> Path | None:
    """The file that was named, or the one that lies here."""
    standard = Path("config.toml")
    return path or (standard if standard.exists() else None)


def told(path: Path | None) -> Config:
    """The settings. Raises ConfigError."""
    return load(found(path), os.environ)


def with_store(path: Path | None, work: Callable[["Store"], Coroutine[Any, Any, T]]) -> T:
    """What `work` makes of the books, which are open for as long as it takes."""
    from gateway.store.sql import Store

    store = Store.open(told(path))
    try:
        return asyncio.run(work(store))
    finally:
        store.close()

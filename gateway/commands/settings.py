"""What commands share: the settings they are told of, and the books these lead to."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.config import Config, load

if TYPE_CHECKING:
    from gateway.store.sql import Store

T = TypeVar("T")

config_option = click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The settings file. Default: ./config.toml if there is one.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, for scripts.")


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

"""`repligate keys`: who may call."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.commands.settings import config_option, json_option, with_store
from gateway.commands.showing import show, show_json, when

if TYPE_CHECKING:
    from gateway.accounts.keys import Keys
    from gateway.store.sql import Store

T = TypeVar("T")


@click.group()
def keys() -> None:
    """Virtual keys: who may call."""


@keys.command("create")
@click.argument("name")
@config_option
@json_option
def create_key(name: str, path: Path | None, as_json: bool) -> None:
    """Issue a key. It is shown once, alone on the last line; only its hash is kept."""
    key, secret = _with_keys(path, lambda keys: keys.create(name))
    if as_json:
        show_json({"id": key.id, "name": key.name, "prefix": key.prefix, "key": secret})
        return
    click.echo(f"Key {key.name!r} ({key.id}). Keep it: it is not shown again.")
    click.echo(secret)


@keys.command("list")
@config_option
@json_option
def list_keys(path: Path | None, as_json: bool) -> None:
    """Show the keys, by their prefixes."""
    listed = _with_keys(path, lambda keys: keys.list())
    rows = [
        {"id": k.id, "name": k.name, "prefix": k.prefix, "created": when(k.created_at), "state": k.state}
        for k in listed
    ]
    if as_json:
        show_json(rows)
    else:
        show(rows, "There are no keys yet.")


@keys.command("revoke")
@click.argument("which")
@config_option
def revoke_key(which: str, path: Path | None) -> None:
    """End a key, named by id, prefix or name. Running servers notice within a second."""
    key = _with_keys(path, lambda keys: keys.revoke(which))
    click.echo(f"Revoked {key.name!r} ({key.prefix}…).")


def _with_keys(path: Path | None, work: Callable[["Keys"], Coroutine[Any, Any, T]]) -> T:
    def with_keys(store: "Store") -> Coroutine[Any, Any, T]:
        from gateway.accounts.keys import Keys

        return work(Keys(store))

    return with_store(path, with_keys)

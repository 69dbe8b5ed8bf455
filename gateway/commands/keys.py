"""`repligate keys`: who may call."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import click

from gateway.commands.limits import limit_options
from gateway.commands.moments import Duration, Moment
from gateway.commands.settings import config_option, json_option, with_store
from gateway.commands.showing import show, show_json, when

if TYPE_CHECKING:
    from gateway.accounts.keys import Keys, Policy, VirtualKey
    from gateway.store.sql import Store

T = TypeVar("T")
LONGEST_TEAM = 40
"""What the column of the books holds."""


def _short(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not 0 < len(value) <= LONGEST_TEAM:
        raise click.BadParameter(f"a team has between 1 and {LONGEST_TEAM} letters.", context, parameter)
    return value


@click.group()
def keys() -> None:
    """Virtual keys: who may call."""


@keys.command("create")
@click.argument("name")
@click.option("--owner", default="", help="Whose key it is.")
@click.option("--team", callback=_short, help="The team it belongs to.")
@click.option("--tag", "tags", multiple=True, help="A word for the books; may be given several times.")
@click.option(
    "--model", "models", multiple=True, help="A model it may use, or a pattern of them: 'meta/*'. Default: all."
)
@click.option("--endpoint", "endpoints", multiple=True, help="A path it may use: '/v1/images/*'. Default: all.")
@click.option("--expires", "expires_at", type=Moment(), help="When it ends: 30d, 2027-01-31, 2027-01-31T18:00.")
@limit_options
@config_option
@json_option
def create_key(name: str, path: Path | None, as_json: bool, **policy: Unpack["Policy"]) -> None:
    """Issue a key. It is shown once, alone on the last line; only its hash is kept."""
    key, secret = _with_keys(path, lambda keys: keys.create(name, **policy))
    _show_secret(key, secret, as_json)


@keys.command("list")
@config_option
@json_option
def list_keys(path: Path | None, as_json: bool) -> None:
    """Show the keys, by their prefixes."""
    rows = [_row(key) for key in _with_keys(path, lambda keys: keys.list())]
    if as_json:
        show_json(rows)
    else:
        show(rows, "There are no keys yet.")


@keys.command("show")
@click.argument("which")
@config_option
@json_option
def show_key(which: str, path: Path | None, as_json: bool) -> None:
    """Show all that is known of a key, named by id, prefix or name."""
    _show_key(_with_keys(path, lambda keys: keys.show(which)), as_json)


@keys.command("block")
@click.argument("which")
@config_option
@json_option
def block_key(which: str, path: Path | None, as_json: bool) -> None:
    """Refuse a key until it is unblocked. Running servers notice within a second."""
    _tell("Blocked", _with_keys(path, lambda keys: keys.block(which)), as_json)


@keys.command("unblock")
@click.argument("which")
@config_option
@json_option
def unblock_key(which: str, path: Path | None, as_json: bool) -> None:
    """Let a blocked key in again."""
    _tell("Unblocked", _with_keys(path, lambda keys: keys.unblock(which)), as_json)


@keys.command("rotate")
@click.argument("which")
@click.option(
    "--overlap", type=Duration(), default="0s", show_default=True, help="How long the old one goes on: 1h, 2d."
)
@config_option
@json_option
def rotate_key(which: str, overlap: float, path: Path | None, as_json: bool) -> None:
    """Issue a successor with the same policy. It is shown once; the old key ends after the overlap."""
    key, secret = _with_keys(path, lambda keys: keys.rotate(which, overlap))
    _show_secret(key, secret, as_json)


@keys.command("revoke")
@click.argument("which")
@config_option
@json_option
def revoke_key(which: str, path: Path | None, as_json: bool) -> None:
    """End a key for ever, named by id, prefix or name. Running servers notice within a second."""
    _tell("Revoked", _with_keys(path, lambda keys: keys.revoke(which)), as_json)


def _show_secret(key: "VirtualKey", secret: str, as_json: bool) -> None:
    if as_json:
        show_json({**_told(key), "key": secret})
        return
    click.echo(f"Key {key.name!r} ({key.id}). Keep it: it is not shown again.")
    click.echo(secret)


def _show_key(key: "VirtualKey", as_json: bool) -> None:
    if as_json:
        show_json(_told(key))
        return
    show([{"": name, "value": value} for name, value in _told(key).items() if value], "")


def _tell(done: str, key: "VirtualKey", as_json: bool) -> None:
    if as_json:
        show_json(_told(key))
    else:
        click.echo(f"{done} {key.name!r} ({key.prefix}…).")


def _told(key: "VirtualKey") -> dict[str, Any]:
    """All of a key but its secret, in plain values; moments end in `_at`."""
    import msgspec

    told: dict[str, Any] = msgspec.to_builtins(key)
    return {name: when(value) if name.endswith("_at") else value for name, value in told.items()}


def _row(key: "VirtualKey") -> dict[str, Any]:
    told = _told(key)
    names = {"id": "id", "name": "name", "prefix": "prefix", "created": "created_at", "state": "state"}
    more = {"owner": "owner", "team": "team", "expires": "expires_at"}
    return {column: told[name] for column, name in (names | more).items()}


def _with_keys(path: Path | None, work: Callable[["Keys"], Coroutine[Any, Any, T]]) -> T:
    def with_keys(store: "Store") -> Coroutine[Any, Any, T]:
        from gateway.accounts.keys import Keys

        return work(Keys(store))

    return with_store(path, with_keys)

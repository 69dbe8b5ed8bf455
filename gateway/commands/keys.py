"""`repligate keys`: who may call."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.commands.limits import limit_changes, limit_options
from gateway.commands.moments import Duration, Moment
from gateway.commands.settings import about, config_option, json_option, metadata_option, with_store
from gateway.commands.showing import plain, show, show_all, show_json

if TYPE_CHECKING:
    from gateway.accounts.keys import Keys, VirtualKey
    from gateway.store.sql import Store

T = TypeVar("T")
Command = Callable[..., None]
LEAVES = ("cancel", "drain", "detach")


@click.group()
def keys() -> None:
    """Virtual keys: who may call."""


def policy_options(command: Command) -> Command:
    """What may be said of a key when it is made and later, but its name, role and limits."""
    for option in reversed(
        (
            click.option("--owner", help="Whose key it is."),
            click.option("--team", help="The team it belongs to, by its id; see `repligate teams`."),
            click.option("--tag", "tags", multiple=True, help="A word for the books; may be given several times."),
            click.option("--model", "models", multiple=True, help="A model it may use, or a pattern: 'meta/*'."),
            click.option("--endpoint", "endpoints", multiple=True, help="A path it may use: '/v1/images/*'."),
            click.option("--expires", "expires_at", type=Moment(), help="When it ends: 30d, 2027-01-31T18:00."),
            click.option("--leave", type=click.Choice(LEAVES), help="What becomes of a call whose client leaves."),
            metadata_option,
        )
    ):
        command = option(command)
    return command


@keys.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice(("user", "admin")), help="`admin` is for /admin only. Default: `user`.")
@policy_options
@limit_options("`[limits]` of the settings")
@config_option
@json_option
def create_key(name: str, path: Path | None, as_json: bool, **policy: Any) -> None:
    """Issue a key. It is shown once, alone on the last line; only its hash is kept."""
    key, secret = _with_keys(path, lambda keys: keys.create(name, **_said(policy)))
    _show_secret(key, secret, as_json)


@keys.command("update")
@click.argument("which")
@click.option("--name", help="What it is called.")
@policy_options
@limit_changes()
@config_option
@json_option
def update_key(which: str, path: Path | None, as_json: bool, **change: Any) -> None:
    """Change what is named here and nothing else; lists are replaced. Running servers notice within a second."""
    said = _said(change)
    if said.get("team") == "":
        said["team"] = None
    _tell("Updated", _with_keys(path, lambda keys: keys.update(which, **said)), as_json)


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
@about("which")
def show_key(which: str, path: Path | None, as_json: bool) -> None:
    """Show all that is known of a key, named by id, prefix or name."""
    show_all(_told(_with_keys(path, lambda keys: keys.show(which))), as_json)


@keys.command("block")
@about("which")
def block_key(which: str, path: Path | None, as_json: bool) -> None:
    """Refuse a key until it is unblocked. Running servers notice within a second."""
    _tell("Blocked", _with_keys(path, lambda keys: keys.block(which)), as_json)


@keys.command("unblock")
@about("which")
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
@about("which")
def revoke_key(which: str, path: Path | None, as_json: bool) -> None:
    """End a key for ever, named by id, prefix or name. Running servers notice within a second."""
    _tell("Revoked", _with_keys(path, lambda keys: keys.revoke(which)), as_json)


def _said(policy: dict[str, Any]) -> dict[str, Any]:
    """What was given on the command line."""
    return {name: value for name, value in policy.items() if value not in (None, (), {})}


def _show_secret(key: "VirtualKey", secret: str, as_json: bool) -> None:
    if as_json:
        show_json({**_told(key), "key": secret})
        return
    click.echo(f"Key {key.name!r} ({key.id}). Keep it: it is not shown again.")
    click.echo(secret)


def _tell(done: str, key: "VirtualKey", as_json: bool) -> None:
    if as_json:
        show_json(_told(key))
    else:
        click.echo(f"{done} {key.name!r} ({key.prefix}…).")


def _told(key: "VirtualKey") -> dict[str, Any]:
    """All of a key but its secret, and but what only limits ask for."""
    told = plain(key)
    del told["first"]
    return told


def _row(key: "VirtualKey") -> dict[str, Any]:
    told = _told(key)
    names = {"id": "id", "name": "name", "prefix": "prefix", "created": "created_at", "state": "state"}
    more = {"role": "role", "owner": "owner", "team": "team", "expires": "expires_at"}
    return {column: told[name] for column, name in (names | more).items()}


def _with_keys(path: Path | None, work: Callable[["Keys"], Coroutine[Any, Any, T]]) -> T:
    def with_keys(store: "Store") -> Coroutine[Any, Any, T]:
        from gateway.accounts.keys import Keys

        return work(Keys(store))

    return with_store(path, with_keys)

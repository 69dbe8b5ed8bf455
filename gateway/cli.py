"""The command line: `repligate serve | simulate | keys | usage | translate | check`."""

import asyncio
import json
import os
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click
from click import Context

from adapters.errors import ApiError
from gateway import __version__
from gateway.config import ConfigError, load

if TYPE_CHECKING:
    from gateway.accounts.entries import Held, UsageLine
    from gateway.accounts.keys import Keys
    from gateway.store.sql import Store

MICRO = 1_000_000
T = TypeVar("T")
KINDS = ("chat", "images")

config_option = click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The settings file. Default: ./config.toml if there is one.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, for scripts.")


class Commands(click.Group):
    """A group whose commands report what the operator can mend in one line, without a trace."""

    def invoke(self, context: Context) -> Any:
        try:
            return super().invoke(context)
        except (ConfigError, ApiError, LookupError) as wrong:
            raise click.ClickException(wrong.args[0]) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="repligate", message="%(prog)s %(version)s")
def main() -> None:
    """Any OpenAI client, any Replicate model."""


@main.command()
@click.option("--host", help="The address to listen on. Default: `server.host`.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 takes a free one. Default: `server.port`.")
@config_option
def serve(host: str | None, port: int | None, path: Path | None) -> None:
    """Start the gateway; on the built-in simulator where there is no REPLICATE_API_TOKEN."""
    from gateway.serve import run

    overrides = {"REPLIGATE__SERVER__HOST": host, "REPLIGATE__SERVER__PORT": port}
    run(_found(path), {**os.environ, **{name: str(value) for name, value in overrides.items() if value is not None}})


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=0, show_default=True, help="The port; 0 takes a free one.")
@click.option(
    "--models",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of model records in the form of Replicate's API, to add.",
)
@click.option(
    "--pace",
    type=click.FloatRange(min=0),
    default=0,
    show_default=True,
    help="Tokens per second of text models; 0 is as fast as it goes.",
)
def simulate(host: str, port: int, models: Path | None, pace: float) -> None:
    """Start a local Replicate, for trying things and for tests: nothing is spent."""
    from gateway.simulator import CannotListen, Settings, UnreadableRecord, serve

    try:
        serve(Settings(host=host, port=port, models=models, pace=pace))
    except (CannotListen, UnreadableRecord) as wrong:
        raise click.ClickException(str(wrong)) from None


@main.group()
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
        click.echo(json.dumps({"id": key.id, "name": key.name, "prefix": key.prefix, "key": secret}))
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
        {"id": k.id, "name": k.name, "prefix": k.prefix, "created": _when(k.created_at), "state": k.state}
        for k in listed
    ]
    if as_json:
        click.echo(json.dumps(rows))
    else:
        _show(rows, "keys")


@keys.command("revoke")
@click.argument("which")
@config_option
def revoke_key(which: str, path: Path | None) -> None:
    """End a key, named by id, prefix or name. Running servers notice within a second."""
    key = _with_keys(path, lambda keys: keys.revoke(which))
    click.echo(f"Revoked {key.name!r} ({key.prefix}…).")


@main.command()
@click.option(
    "--by", type=click.Choice(("key", "model", "day")), default="key", show_default=True, help="What to sum by."
)
@config_option
@json_option
def usage(by: Literal["key", "model", "day"], path: Path | None, as_json: bool) -> None:
    """Sum the ledger: calls, predictions, tokens, images and cost, and what is still open."""
    from gateway.accounts.ledger import Ledger

    async def read(store: "Store") -> "tuple[list[UsageLine], Held]":
        ledger = Ledger(store)
        return await ledger.usage(by), await ledger.held()

    lines, held = _with_store(path, read)
    rows = [_line(by, line) for line in lines]
    if as_json:
        click.echo(
            json.dumps(
                {"by": by, "lines": rows, "open": {"entries": held.entries, "reserved_usd": held.amount / MICRO}}
            )
        )
        return
    _show(rows, "usage")
    if held.entries:
        click.echo(f"Open: {held.entries} predictions, {held.amount / MICRO:.6f} USD reserved.")


@main.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.option(
    "--models",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="A model record (.json), many (.jsonl), or a folder of them.",
)
@click.option(
    "--request",
    "request_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An OpenAI request, as JSON.",
)
def translate(kind: str, models: Path, request_file: Path) -> None:
    """Show what a request becomes for each model: one JSON line a record, spending nothing."""
    from adapters.translate import translate as translated

    request = request_file.read_bytes()
    for record in _records(models):
        click.echo(json.dumps(translated(kind, record, request), ensure_ascii=False))


@main.command()
@config_option
def check(path: Path | None) -> None:
    """Read the settings and say whether they are good."""
    from gateway.serve import checked

    found = _found(path)
    config = checked(found, os.environ)
    click.echo(f"{found or 'The default settings'}: good. {len(config.models)} models, data in {config.folder}.")


def _found(path: Path | None) -> Path | None:
    standard = Path("config.toml")
    return path or (standard if standard.exists() else None)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for file in files:
        if file.suffix == ".jsonl":
            yield from map(json.loads, filter(str.strip, file.read_text("utf-8").splitlines()))
        elif file.suffix == ".json":
            record = json.loads(file.read_text("utf-8"))
            yield from record if isinstance(record, list) else [record]


def _with_store(path: Path | None, work: Callable[["Store"], Coroutine[Any, Any, T]]) -> T:
    from gateway.store.sql import Store

    store = Store.open(load(_found(path), os.environ))
    try:
        return asyncio.run(work(store))
    finally:
        store.close()


def _with_keys(path: Path | None, work: Callable[["Keys"], Coroutine[Any, Any, T]]) -> T:
    from gateway.accounts.keys import Keys

    return _with_store(path, lambda store: work(Keys(store)))


def _line(by: str, line: "UsageLine") -> dict[str, Any]:
    """A sum as people and scripts read it; the cost is that of the priced predictions."""
    counts = {
        name: getattr(line, name) for name in ("calls", "predictions", "failed", "tokens_in", "tokens_out", "images")
    }
    money = {"cost_usd": line.cost / MICRO, "unpriced": line.unpriced, "estimated": line.estimated}
    return {by: line.name, **counts, "seconds": round(line.seconds, 3), **money}


def _show(rows: list[dict[str, Any]], what: str) -> None:
    if not rows:
        click.echo(f"There is no {what} yet.")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*rows[0], box=None, header_style="bold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console().print(table)


def _when(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds")

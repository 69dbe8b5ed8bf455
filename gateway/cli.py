"""The command line: `repligate serve | simulate | keys | teams | budgets | usage | ledger | prices | check …`."""

import gc
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from click import Context

from adapters.errors import ApiError
from gateway import __version__
from gateway.commands.audit import audit
from gateway.commands.budgets import budgets
from gateway.commands.completion import completion
from gateway.commands.db import db
from gateway.commands.keys import keys
from gateway.commands.ledger import ledger
from gateway.commands.prices import prices
from gateway.commands.settings import config_option, found
from gateway.commands.teams import teams
from gateway.commands.usage import usage
from gateway.config import ConfigError
from gateway.sparing import unfound

KINDS = (
    "chat", "completions", "edits", "embeddings", "images", "moderations", "responses", "speech", "transcriptions",
    "translations", "variations", "videos",
)  # fmt: skip


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


for each in (keys, teams, budgets, usage, ledger, prices, audit, completion, db):
    main.add_command(each)


def server() -> Callable[..., None]:
    """What serves, without what its libraries would load for the sake of terminals, where that is installed."""
    with unfound("rich", "pygments"):
        from gateway.serve import run
    return run


@main.command()
@click.option("--host", help="The address to listen on. Default: `server.host`.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 takes a free one. Default: `server.port`.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes behind the one address; more than one need PostgreSQL and Redis.",
)
@config_option
def serve(host: str | None, port: int | None, workers: int, path: Path | None) -> None:
    """Start the gateway. Without a REPLICATE_API_TOKEN it is on the built-in simulator, and nothing is spent."""
    # Nothing that starting makes is garbage; `run` enables it again once all has started.
    gc.disable()
    run = server()
    overrides = {"REPLIGATE__SERVER__HOST": host, "REPLIGATE__SERVER__PORT": port}
    told = {name: str(value) for name, value in overrides.items() if value is not None}
    try:
        run(found(path), {**os.environ, **told}, workers)
    finally:
        gc.enable()


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
    """Start a local Replicate, for trying things and for tests."""
    from gateway.simulator import CannotListen, Settings, UnreadableRecord, serve

    try:
        serve(Settings(host=host, port=port, models=models, pace=pace))
    except (CannotListen, UnreadableRecord) as wrong:
        raise click.ClickException(str(wrong)) from None


@main.command(epilog=f"KIND is one of {', '.join(KINDS)}.")
@click.argument("kind", type=click.Choice(KINDS), metavar="KIND")
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
    """Show what a request becomes for each model. One JSON line a record; nothing is spent."""
    from adapters.translate import translate as translated

    request = request_file.read_bytes()
    for record in _records(models):
        click.echo(json.dumps(translated(kind, record, request), ensure_ascii=False))


@main.command()
@config_option
def check(path: Path | None) -> None:
    """Read the settings and say whether they are good."""
    from gateway.serve import checked

    file = found(path)
    config = checked(file, os.environ)
    click.echo(f"{file or 'The default settings'}: good. {len(config.models)} models, data in {config.folder}.")


def _records(path: Path) -> Iterator[dict[str, Any]]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for file in files:
        if file.suffix == ".jsonl":
            yield from map(json.loads, filter(str.strip, file.read_text("utf-8").splitlines()))
        elif file.suffix == ".json":
            record = json.loads(file.read_text("utf-8"))
            yield from record if isinstance(record, list) else [record]

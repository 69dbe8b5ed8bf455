"""`repligate db`: the form of the books."""

from pathlib import Path

import click

from gateway.commands.progress import progress
from gateway.commands.settings import config_option, json_option, told
from gateway.commands.showing import show, show_json


@click.group()
def db() -> None:
    """The books' form: what it is, and bringing it up to date."""


@db.command()
@config_option
@json_option
def status(path: Path | None, as_json: bool) -> None:
    """Tell where the books are and of which form. Ends with 1 where they are not up to date."""
    from gateway.store.engines import located
    from gateway.store.sql import form_of
    from gateway.store.tables import NEWEST

    config = told(path)
    found = form_of(config)
    row = {"books": located(config).render_as_string(hide_password=True), "form": found, "newest": NEWEST}
    if as_json:
        show_json(row)
    else:
        show([row], "")
    if found != NEWEST:
        raise SystemExit(1)


@db.command()
@config_option
def upgrade(path: Path | None) -> None:
    """Bring the books up to date, as every start does. Shows how far that is."""
    from gateway.store.sql import upgraded
    from gateway.store.tables import NEWEST

    with progress() as show_step:
        before = upgraded(told(path), show_step)
    if before == NEWEST:
        click.echo(f"The books are up to date (form {NEWEST}).")
    else:
        click.echo(f"The books are brought up to date: from form {before or 'none'} to {NEWEST}.")

"""`repligate teams`: which keys share limits and budgets."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.commands.limits import limit_changes, limit_options
from gateway.commands.settings import about, config_option, json_option, metadata_option, with_store
from gateway.commands.showing import plain, show, show_all, show_json

if TYPE_CHECKING:
    from gateway.accounts.teams import Team, Teams
    from gateway.store.sql import Store

T = TypeVar("T")


@click.group()
def teams() -> None:
    """Teams: which keys share limits and budgets."""


@teams.command("create")
@click.argument("id")
@click.option("--name", help="What people call it. Default: its id.")
@metadata_option
@limit_options("without limit")
@config_option
@json_option
def create_team(id: str, path: Path | None, as_json: bool, **policy: Any) -> None:
    """Create a team; its id is the word that the books will name it by."""
    _tell("Created", _with_teams(path, lambda teams: teams.create(id, **_said(policy))), as_json)


@teams.command("list")
@config_option
@json_option
def list_teams(path: Path | None, as_json: bool) -> None:
    """Show the teams, and how many keys each holds."""
    every = _with_teams(path, lambda teams: teams.list())
    if as_json:
        show_json([plain(team) for team in every])
    else:
        names = ("id", "name", "state", "keys", "created_at")
        show([{name: plain(team)[name] for name in names} for team in every], "There are no teams yet.")


@teams.command("show")
@about("id")
def show_team(id: str, path: Path | None, as_json: bool) -> None:
    """Show all that is known of a team."""
    show_all(plain(_with_teams(path, lambda teams: teams.show(id))), as_json)


@teams.command("update")
@click.argument("id")
@click.option("--name", help="What people call it.")
@metadata_option
@limit_changes()
@config_option
@json_option
def update_team(id: str, path: Path | None, as_json: bool, **change: Any) -> None:
    """Change what is named here and nothing else. Running servers notice within a second."""
    _tell("Updated", _with_teams(path, lambda teams: teams.update(id, **_said(change))), as_json)


@teams.command("block")
@about("id")
def block_team(id: str, path: Path | None, as_json: bool) -> None:
    """Refuse all keys of a team until it is unblocked. Running servers notice within a second."""
    _tell("Blocked", _with_teams(path, lambda teams: teams.block(id)), as_json)


@teams.command("unblock")
@about("id")
def unblock_team(id: str, path: Path | None, as_json: bool) -> None:
    """Let the keys of a blocked team in again."""
    _tell("Unblocked", _with_teams(path, lambda teams: teams.unblock(id)), as_json)


@teams.command("delete")
@about("id")
def delete_team(id: str, path: Path | None, as_json: bool) -> None:
    """Forget a team that holds no keys, not even ended ones."""
    _tell("Deleted", _with_teams(path, lambda teams: teams.delete(id)), as_json)


def _said(policy: dict[str, Any]) -> Any:
    """Without a name and facts where none were given."""
    left_out: dict[str, Any] = {"name": None, "metadata": {}}
    return {name: value for name, value in policy.items() if name not in left_out or value != left_out[name]}


def _tell(done: str, team: "Team", as_json: bool) -> None:
    if as_json:
        show_json(plain(team))
    else:
        click.echo(f"{done} the team {team.id!r}.")


def _with_teams(path: Path | None, work: Callable[["Teams"], Coroutine[Any, Any, T]]) -> T:
    def with_teams(store: "Store") -> Coroutine[Any, Any, T]:
        from gateway.accounts.teams import Teams

        return work(Teams(store))

    return with_store(path, with_teams)

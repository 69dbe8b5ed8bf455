"""`repligate budgets`: how much may be spent, by whom and on what."""

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.commands.settings import config_option, json_option, with_store
from gateway.commands.showing import show, show_json

if TYPE_CHECKING:
    from gateway.accounts.budgets import Budget, Budgets, Checked
    from gateway.store.sql import Store

T = TypeVar("T")
PERIODS = ("day", "week", "month", "total")


@click.group()
def budgets() -> None:
    """Budgets: how much may be spent, by whom and on what."""


@budgets.command("set")
@click.option("--key", help="For a key and its successors, by id, name or prefix.")
@click.option("--team", help="For a team.")
@click.option("--model", help="For models, by a pattern over names and refs: 'google/veo-*'.")
@click.option("--everyone", is_flag=True, help="For all calls.")
@click.option("--period", type=click.Choice(PERIODS), default="month", show_default=True, help="When it renews (UTC).")
@click.option("--hard", help="US dollars beyond which calls are refused.")
@click.option("--soft", help="US dollars from which on it warns.")
@click.option("--unpriced", default="", help="Unforeseen costs: allow, deny, 'assume 0.05'. Default: the setting.")
@config_option
@json_option
def set_budget(hard: str | None, soft: str | None, path: Path | None, as_json: bool, **told: Any) -> None:
    """Make or change a budget. Of a key, a team, models or everyone, for a period: what was spent in it counts."""
    from gateway.accounts.budgets import Terms
    from gateway.accounts.spending import micro

    rest = {name: told.pop(name) for name in ("period", "unpriced")}
    scope, subject = _whose(told)
    try:
        amounts = {name: None if said is None else micro(said) for name, said in (("hard", hard), ("soft", soft))}
        terms = Terms(scope=scope, subject=subject, hard=amounts["hard"], soft=amounts["soft"], **rest)
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from None
    _tell([_with_budgets(path, lambda budgets: budgets.set(terms))], as_json)


@budgets.command("list")
@config_option
@json_option
def list_budgets(path: Path | None, as_json: bool) -> None:
    """Show the budgets as they stand: what is spent, held and left."""
    _tell(_with_budgets(path, lambda budgets: budgets.list()), as_json)


@budgets.command("remove")
@click.argument("id")
@config_option
@json_option
def remove_budget(id: str, path: Path | None, as_json: bool) -> None:
    """End a budget: nothing is held to it any more."""
    _tell([_with_budgets(path, lambda budgets: budgets.remove(id))], as_json)


@budgets.command("check")
@click.option("--repair", is_flag=True, help="Let the ledger's word stand where they differ.")
@config_option
@json_option
def check_budgets(repair: bool, path: Path | None, as_json: bool) -> None:
    """Compare the budgets with the ledger. Ends with 1 where one differs and was not repaired."""
    checked = _with_budgets(path, lambda budgets: budgets.check(repair=repair))
    wrong = [each for each in checked if not each.right]
    if as_json:
        show_json([_difference(each) for each in wrong])
    else:
        show([_difference(each) for each in wrong], f"{len(checked)} budgets say what the ledger says.")
    if wrong and not repair:
        raise click.exceptions.Exit(1)


def _whose(whose: dict[str, Any]) -> tuple[Any, str]:
    told = {name: value for name, value in whose.items() if value}
    if len(told) != 1:
        raise click.UsageError("say whose budget it is: one of --key, --team, --model and --everyone")
    scope, subject = next(iter(told.items()))
    return scope, "" if scope == "everyone" else subject


def _tell(found: "Sequence[Budget]", as_json: bool) -> None:
    from gateway.accounts.notices import shown

    rows = [shown(budget) for budget in found]
    if as_json:
        show_json(rows)
    else:
        show(rows, "There are no budgets yet.")


def _difference(checked: "Checked") -> dict[str, Any]:
    told: dict[str, Any] = {"id": checked.stands.id, "scope": checked.stands.scope, "subject": checked.stands.subject}
    for name in ("spent", "reserved"):
        told[f"{name}_usd"] = getattr(checked.stands, name) / 1_000_000
        told[f"{name}_by_ledger_usd"] = getattr(checked.should, name) / 1_000_000
    return told


def _with_budgets(path: Path | None, work: Callable[["Budgets"], Coroutine[Any, Any, T]]) -> T:
    def with_budgets(store: "Store") -> Coroutine[Any, Any, T]:
        from gateway.accounts.budgets import Budgets

        return work(Budgets(store))

    return with_store(path, with_budgets)

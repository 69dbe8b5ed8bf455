"""The options that say how fast a key, or a team, may go."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import click

LIMITS = {
    "requests_per_minute": "Requests it may send in a minute",
    "tokens_per_minute": "Tokens it may use in a minute",
    "images_per_minute": "Images it may ask for in a minute",
    "calls_at_once": "Calls that may run at the same time",
}
SHARES: dict[str, tuple[click.ParamType[Any], str]] = {
    "weight": (
        click.IntRange(1, 100),
        "Its share of Replicate's allowance where that is too small for all, beside others",
    ),
    "priority": (click.Choice(["high", "normal", "low"]), "Whether it goes before or after others there"),
}
_BACK = "default"

Command = Callable[..., None]


class _Change(click.ParamType[Any]):
    """A limit, or the word that takes it back."""

    name = "limit"

    def __init__(self, kind: click.ParamType[Any]) -> None:
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        return _BACK if value == _BACK else self._kind.convert(value, param, context)


def limit_options(otherwise: str) -> Callable[[Command], Command]:
    """An option for each limit, which says what holds otherwise. The command is told `limits`: None where none was
    named."""

    def given(said: Mapping[str, Any]) -> dict[str, Any]:
        from gateway.accounts.virtualkeys import KeyLimits

        return {"limits": KeyLimits(**said) if said else None}

    return _with_limits(lambda kind: kind, f"0 is without limit. Default: {otherwise}", "Default: 10, normal", given)


def limit_changes() -> Callable[[Command], Command]:
    """An option for each limit that may change. The command is told `limits` where one was named, as `amended` takes
    them."""

    def given(said: Mapping[str, Any]) -> dict[str, Any]:
        changes = {name: None if limit == _BACK else limit for name, limit in said.items()}
        return {"limits": changes} if changes else {}

    back = f"`{_BACK}` takes it back"
    return _with_limits(_Change, f"0 is without limit, {back}", back, given)


def _with_limits(
    typed: Callable[[click.ParamType[Any]], click.ParamType[Any]],
    told: str,
    told_of_shares: str,
    given: Callable[[Mapping[str, Any]], dict[str, Any]],
) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        @wraps(command)
        def limited(**words: Any) -> None:
            said = {name: words.pop(name) for name in (*LIMITS, *SHARES)}
            command(**words, **given({name: limit for name, limit in said.items() if limit is not None}))

        for name, (kind, meaning) in reversed(SHARES.items()):
            limited = click.option(f"--{name}", type=typed(kind), help=f"{meaning}; {told_of_shares}.")(limited)
        for name, meaning in reversed(LIMITS.items()):
            kind, help = typed(click.IntRange(min=0)), f"{meaning}; {told}."
            limited = click.option(f"--{name.replace('_', '-')}", type=kind, help=help)(limited)
        return limited

    return decorate

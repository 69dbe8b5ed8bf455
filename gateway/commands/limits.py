"""The options of `keys create` that say how fast a key may go."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

LIMITS = {
    "requests_per_minute": "Requests it may send in a minute",
    "tokens_per_minute": "Tokens it may use in a minute",
    "images_per_minute": "Images it may ask for in a minute",
    "calls_at_once": "Calls that may run at the same time",
}


def limit_options(command: Callable[..., None]) -> Callable[..., None]:
    """An option for each limit. The command is told `limits`: None where none was named."""

    @wraps(command)
    def limited(**words: Any) -> None:
        from gateway.accounts.virtualkeys import KeyLimits

        said = {name: words.pop(name) for name in LIMITS}
        named = any(limit is not None for limit in said.values())
        command(**words, limits=KeyLimits(**said) if named else None)

    for name, meaning in reversed(LIMITS.items()):
        told = f"{meaning}; 0 is without limit. Default: `limits.{name}`."
        limited = click.option(f"--{name.replace('_', '-')}", type=click.IntRange(min=0), help=told)(limited)
    return limited

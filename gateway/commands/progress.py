"""How far a long work is: on stderr, and only where that is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Told = Callable[[str, int, int], None]


@contextmanager
def progress() -> Iterator[Told]:
    """What is to be told of each step: what is done, how many of them are, and of how many."""
    # Where the answer goes to a terminal too, it shows by itself how far it is, and a bar would run through it.
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda work, done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task("", total=None)
        yield lambda work, done, of: bars.update(task, description=work, completed=done, total=of)

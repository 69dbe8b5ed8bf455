"""Modules that libraries load if they find them, and that nobody uses here: they are not found."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unfound(*names: str) -> Iterator[None]:
    """Whoever looks for these meanwhile does without, unless they are loaded already."""
    hidden = [name for name in names if name not in sys.modules]
    # Python's own way to say so: importing what is None there raises ModuleNotFoundError.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]

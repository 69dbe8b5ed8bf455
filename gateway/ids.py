"""Ids that nobody can guess, without asking the system for each of them."""

import os
from collections.abc import Iterator
from functools import partial

_DIGITS, _AT_ONCE = 32, 128


def _drawn() -> Iterator[str]:
    while True:
        block = os.urandom(_DIGITS // 2 * _AT_ONCE).hex()
        for start in range(0, len(block), _DIGITS):
            yield block[start : start + _DIGITS]


fresh = partial(next, _drawn())
"""32 hexadecimal digits, new each time. For the thread of the event loop only, where a system call for each would hand
the interpreter to whichever thread waits for it."""

"""How long a create may wait, and how long a prediction may run: the `Prefer` and `Cancel-After` headers."""

import re

from gateway.simulator.problems import InvalidField, Problem, invalid

_WAIT = re.compile(r"wait(?:=([1-9]|[1-5][0-9]|60))?")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")

LONGEST_WAIT = 60
SHORTEST, LONGEST = 5, 24 * 3600


def wait_seconds(prefer: str) -> int | None:
    """Return how long a `Prefer` header asks to wait, 1 to 60 seconds; None when it asks for something else."""
    match = _WAIT.fullmatch(prefer.strip())
    return None if match is None else int(match[1] or LONGEST_WAIT)


def bad_preference(prefer: str) -> Problem:
    """Refuse a `Prefer` header. No source records Replicate's answer; this one has the shape of its others."""
    return invalid([InvalidField("pattern", "Prefer", f"{prefer!r} is neither wait nor wait=1 to wait=60")])


def cancel_after_seconds(header: str) -> int:
    """Return the seconds of a `Cancel-After` header such as 90, 5m or 1h30m45s; refuse anything else.

    Bounds: api.md §4.4. The refusal's shape is an assumption.
    """
    match = _DURATION.fullmatch(header.strip())
    if not header.strip() or match is None:
        raise invalid([InvalidField("pattern", "Cancel-After", f"{header!r} is not a duration")])
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if not SHORTEST <= total <= LONGEST:
        raise invalid([InvalidField("range", "Cancel-After", f"Must be between {SHORTEST}s and {LONGEST // 3600}h")])
    return total

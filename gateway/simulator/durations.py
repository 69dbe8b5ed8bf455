"""How long a create may wait, and how long a prediction may run: the `Prefer` and `Cancel-After` headers."""

import re

_WAIT = re.compile(r"wait(?:=([1-9]|[1-5][0-9]|60))?")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")

LONGEST_WAIT = 60
SHORTEST, LONGEST = 5, 24 * 3600


def wait_seconds(prefer: str) -> int | None:
    """Return how long a `Prefer` header asks to wait, 1 to 60 seconds; None when it asks for something else."""
    match = _WAIT.fullmatch(prefer.strip())
    return None if match is None else int(match[1] or LONGEST_WAIT)


def cancel_after_seconds(header: str) -> int:
    """Return the seconds of a `Cancel-After` header such as 90, 5m or 1h30m45s.

    Raises ValueError saying what is wrong with any other. Bounds: api.md §4.4.
    """
    match = _DURATION.fullmatch(header.strip())
    if not header.strip() or match is None:
        raise ValueError(f"{header!r} is not a duration")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if not SHORTEST <= total <= LONGEST:
        raise ValueError(f"Must be between {SHORTEST}s and {LONGEST // 3600}h")
    return total

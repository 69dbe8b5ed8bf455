"""Instants, as Replicate writes them and as the books keep them."""

from datetime import datetime
from typing import overload


def seconds_between(start: str | None, end: str | None) -> float | None:
    """From one instant to the other, never below zero; None where either is missing or is no instant."""
    try:
        return max(0.0, (datetime.fromisoformat(end or "") - datetime.fromisoformat(start or "")).total_seconds())
    except (ValueError, TypeError):
        return None


def unix(instant: str | None) -> float | None:
    """Its unix time; None for what is no instant."""
    try:
        return datetime.fromisoformat(instant or "").timestamp()
    except ValueError:
        return None


@overload
def milliseconds(seconds: float) -> int: ...
@overload
def milliseconds(seconds: float | None) -> int | None: ...
def milliseconds(seconds: float | None) -> int | None:
    """A unix time as the books keep it."""
    return None if seconds is None else round(seconds * 1000)

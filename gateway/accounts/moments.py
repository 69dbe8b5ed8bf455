"""Replicate's instants, and what lies between two of them."""

from datetime import datetime


def seconds_between(start: str | None, end: str | None) -> float | None:
    """From one instant to the other, never below zero; None where either is missing or is no instant."""
    try:
        return max(0.0, (datetime.fromisoformat(end or "") - datetime.fromisoformat(start or "")).total_seconds())
    except (ValueError, TypeError):
        return None

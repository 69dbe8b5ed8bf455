"""Durations and moments as people type them: 1h, 30d, 2027-01-31."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d{1,9})([smhdw])")


class Duration(click.ParamType[float]):
    """Seconds, written as a number with s, m, h, d or w."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        told = _DURATION.fullmatch(str(value))
        if told is None:
            self.fail(f"{value!r} is no duration: write 90s, 45m, 1h, 30d or 2w.", param, context)
        return float(told[1]) * _SECONDS[told[2]]


class Moment(click.ParamType[float]):
    """Unix seconds of a moment to come, written as a duration from now, or as a date or time (UTC unless it says)."""

    name = "moment"

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        if told := _DURATION.fullmatch(str(value)):
            return self._clock() + float(told[1]) * _SECONDS[told[2]]
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time: write 30d, 2027-01-31 or 2027-01-31T18:00.", param, context)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        if seconds <= self._clock():
            self.fail(f"{value!r} is in the past.", param, context)
        return seconds

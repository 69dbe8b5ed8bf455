"""Pure: the days, weeks and months (UTC) that budgets renew with."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal

Period = Literal["day", "week", "month", "total"]

DAY = 86_400
_EPOCH = date(1970, 1, 1)


@lru_cache(maxsize=64)
def start(period: Period, day: int) -> int:
    """The first day of the window that a day falls into; days are counted from 1970-01-01."""
    match period:
        case "day":
            return day
        case "week":
            return day - _date(day).weekday()
        case "month":
            return day - _date(day).day + 1
        case "total":
            return 0


def end(period: Period, day: int) -> int | None:
    """The first day after the window that a day falls into; None for the one that never ends."""
    match period:
        case "day":
            return day + 1
        case "week":
            return start(period, day) + 7
        case "month":
            # 31 days after a first is in the next month, whichever it is.
            return start(period, start(period, day) + 31)
        case "total":
            return None


def renewal(period: Period, day: int) -> datetime | None:
    """The instant at which that window ends."""
    after = end(period, day)
    return None if after is None else datetime.fromtimestamp(after * DAY, UTC)


def day_of(instant: float) -> int:
    """The day of a unix time."""
    return int(instant // DAY)


def _date(day: int) -> date:
    return _EPOCH + timedelta(days=day)

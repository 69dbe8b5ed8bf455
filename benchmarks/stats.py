"""Figures: medians over interleaved rounds, their spread, and ratios within a round."""

import statistics
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct


class Figure(Struct, frozen=True):
    """One figure of one peer: its value in each round, None in a round that failed."""

    rounds: tuple[float | None, ...]

    @property
    def known(self) -> tuple[float, ...]:
        return tuple(value for value in self.rounds if value is not None)

    @property
    def median(self) -> float:
        """Raises StatisticsError, a ValueError, where no round has a value."""
        return statistics.median(self.known)

    @property
    def spread(self) -> float:
        """Half the distance between the least and the most, as a part of the median."""
        return (max(self.known) - min(self.known)) / 2 / abs(self.median) if self.median else 0.0

    def over(self, other: "Figure") -> "Figure":
        """This as a multiple of the other, round by round."""
        return self._with(other, lambda mine, its: mine / its if its else None)

    def less(self, other: "Figure") -> "Figure":
        """This beyond the other, round by round."""
        return self._with(other, lambda mine, its: mine - its)

    def _with(self, other: "Figure", both: Callable[[float, float], float | None]) -> "Figure":
        pairs = zip(self.rounds, other.rounds, strict=False)
        return Figure(tuple(None if mine is None or its is None else both(mine, its) for mine, its in pairs))


def percentile(values: Iterable[float], part: float) -> float:
    """The value that `part` of all do not exceed; 0 where there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def spread(values: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds."""
    return {f"p{round(part * 100)}": percentile(values, part) * 1000 for part in (0.5, 0.95, 0.99)}

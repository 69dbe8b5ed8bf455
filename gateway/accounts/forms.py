"""Lines of the books as other programs read them: CSV with a head, or one JSON object a line."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from gateway.accounts.entries import UsageLine

Form = Literal["csv", "jsonl"]
TYPES: Final = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
MICRO = 1_000_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Sum(Struct, frozen=True, kw_only=True):
    """What a day, a model, a key, a team or a tag came to; `cost_usd` is that of the predictions whose cost is known,
    `unpriced` counts the others."""

    subject: str
    name: str
    calls: int
    predictions: int
    failed: int
    tokens_in: int
    tokens_out: int
    estimated: int
    images: int
    seconds: float
    cost_usd: float
    unpriced: int


def summed(lines: Sequence[UsageLine]) -> Sequence[Sum]:
    """Sums with their cost in US dollars."""
    same = [name for name in Sum.__struct_fields__ if name not in {"cost_usd", "seconds"}]
    return [
        Sum(
            **{name: getattr(line, name) for name in same},
            seconds=round(line.seconds, 3),
            cost_usd=line.cost / MICRO,
        )
        for line in lines
    ]


def head(kind: type[Struct], form: Form) -> str:
    """What comes before the first line."""
    return _row(kind.__struct_fields__) if form == "csv" else ""


def written(lines: Iterable[Struct], form: Form) -> Iterator[str]:
    """Each with its end of line."""
    for line in lines:
        yield _row(_cells(line)) if form == "csv" else msgspec.json.encode(line).decode() + "\n"


def _row(cells: Iterable[object]) -> str:
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow(cells)
    return row.getvalue()


def _cells(line: Struct) -> Iterator[object]:
    for name in line.__struct_fields__:
        value = getattr(line, name)
        if name.endswith("_usd") and value is not None:
            yield f"{value:.6f}"
        elif isinstance(value, tuple):
            yield _text(" ".join(value))
        else:
            yield _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    # Spreadsheets would run it: an id or a model's name is whatever a client sent.
    return f"'{value}" if value.startswith(_FORMULA) else value

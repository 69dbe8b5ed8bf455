"""The price table, and what predictions cost by it."""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Literal, Self

import msgspec
from msgspec import Struct

from adapters.wire.replicate import Metrics, Prediction
from gateway.accounts.costs import Cost, Quote, Undecided, by_metrics, cost_of, flattened
from gateway.accounts.measures import Measured, measured, never_ran
from gateway.config import Config, ModelRow
from gateway.tariffs import Price

__all__ = ["Cost", "Line", "Listed", "Measured", "Prices", "Quote"]

YEAR = timedelta(days=366)


class Listed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the table: where its numbers come from, the day they were true, and how sure that is."""

    price: Price
    source: str
    date: str
    confidence: Literal["first-party", "third-party", "uncertain"]


class Line(Struct, frozen=True, kw_only=True):
    """What a name costs, who says so, and why that may be wrong; a row's own price needs no source."""

    model: str
    ref: str
    price: Price | None = None
    source: str | None = None
    date: str | None = None
    confidence: str | None = None
    problems: tuple[str, ...] = ()


class _Table(Struct, frozen=True, forbid_unknown_fields=True):
    """The shipped table."""

    models: dict[str, Listed]
    hardware: dict[str, Listed]


class Prices:
    """What models cost: the operator's word first, then the shipped table. Whatever neither knows stays unknown."""

    def __init__(self, models: Mapping[str, Listed], hardware: Mapping[str, Listed]) -> None:
        self.models, self.hardware = models, hardware

    @classmethod
    def shipped(cls) -> Self:
        """The table that comes with the gateway, `prices.toml`."""
        table = _shipped()
        return cls(table.models, table.hardware)

    def price(self, model: str, row: ModelRow | None = None) -> Price | None:
        """The price of a model ref, with the hardware's seconds filled in; None where nobody said."""
        listed = self.models.get(model.partition(":")[0])
        told = row.price if row and row.price else listed.price if listed else None
        private = model.startswith("deployments/") or (told is not None and told.private)
        if told is None:
            return Price(private=True) if private else None
        seconds = told.per_second
        if seconds is None and told.hardware and told.hardware in self.hardware:
            seconds = self.hardware[told.hardware].price.per_second
        return msgspec.structs.replace(told, per_second=seconds, private=private)

    def problems(self, config: Config) -> Iterator[str]:
        """What the operator's prices name that does not exist."""
        for name, row in config.models.items():
            if (
                row.price
                and row.price.hardware
                and row.price.per_second is None
                and row.price.hardware not in self.hardware
            ):
                known = ", ".join(sorted(self.hardware))
                yield f'models."{name}".price.hardware: {row.price.hardware!r} has no known price; there are {known}'

    def lines(self, config: Config, today: date) -> Iterator[Line]:
        """A line for each configured model, then for every other one of the table."""
        for name, row in config.models.items():
            yield self._line(name, row, today)
        configured = {row.ref.path for row in config.models.values()}
        for ref in sorted(self.models.keys() - configured):
            yield self._line(ref, ModelRow(model=ref), today)

    def _line(self, name: str, row: ModelRow, today: date) -> Line:
        price = self.price(row.model, row)
        if row.price:
            return Line(model=name, ref=row.model, price=price, source="config.toml")
        listed = self.models.get(row.model.partition(":")[0])
        if listed is None:
            return Line(model=name, ref=row.model, problems=("no price",))
        told = {key: getattr(listed, key) for key in ("source", "date", "confidence")}
        return Line(model=name, ref=row.model, price=price, **told, problems=tuple(_doubts(listed, today)))

    def cost(
        self, price: Price | None, prediction: Prediction, images: int = 0, counted: Measured | None = None
    ) -> Cost:
        """What a prediction at its end cost, by Replicate's rules.

        `images` is how many came out, `counted` the tokens we counted ourselves: both only matter where Replicate did
        not say. Failed public runs are free, and all that never ran; a cancelled run costs what it used.
        """
        if free := _free(price, prediction):
            return Cost(0, free)
        if price is None:
            return cost_of(None, Measured())
        took = measured(prediction, images, counted)
        try:
            held, criteria = by_metrics(price, _metrics(prediction, took))
        except Undecided as wrong:
            return Cost(None, f"unknown: {wrong}")
        cost = cost_of(held, took)
        return Cost(cost.amount, f"{cost.basis}, where {criteria}") if criteria else cost

    def estimate(self, price: Price | None, most: Measured) -> Cost:
        """What so much of everything costs in the dearest tier; with upper bounds, what to reserve for a prediction."""
        costs = [cost_of(each, most) for each in flattened(price or Price())]
        return max(costs, key=lambda cost: (cost.amount is None, cost.amount or 0))

    def quote(self, price: Price | None, least: Measured, most: Measured) -> Quote:
        """What a prediction costs that will take between `least` and `most` of everything, in whatever tier."""
        cheap = [cost_of(each, least) for each in flattened(price or Price())]
        dear = self.estimate(price, most)
        amounts = [cost.amount for cost in cheap if cost.amount is not None]
        low = min(amounts) if len(amounts) == len(cheap) else None
        return Quote(low, dear.amount, dear.basis)


@cache
def _shipped() -> _Table:
    # Whoever checks the settings asks for it, and then whoever opens the gateway.
    text = files("gateway.accounts").joinpath("prices.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), _Table)


def _doubts(listed: Listed, today: date) -> Iterator[str]:
    if listed.confidence == "uncertain":
        yield "uncertain"
    if today - date.fromisoformat(f"{listed.date}-01-01"[:10]) > YEAR:
        yield "older than a year"


def _metrics(prediction: Prediction, took: Measured) -> Metrics:
    """By which a tier is found: counts in billing's vocabulary, and ours where Replicate has none."""
    return msgspec.structs.replace(
        prediction.metrics or Metrics(),
        token_input_count=took.input_tokens,
        token_output_count=took.output_tokens,
        image_output_count=took.images,
    )


def _free(price: Price | None, prediction: Prediction) -> str | None:
    if prediction.status == "aborted":
        return "free: aborted"
    if prediction.status == "failed" and not (price and price.private):
        return "free: failed"
    return "free: canceled before it ran" if never_ran(prediction) else None

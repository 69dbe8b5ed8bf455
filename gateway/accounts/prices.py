"""Pure: what a prediction measured, times what its model costs."""

import tomllib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from importlib.resources import files
from math import ceil
from typing import Literal, Self

import msgspec
from msgspec import Struct

from adapters.wire.replicate import Metrics, Prediction
from gateway.accounts.moments import seconds_between
from gateway.config import Config, ModelRow, Price

MILLION = 1_000_000
MOST = 2**53
"""In micro-dollars. Nine thousand million dollars for one prediction: whoever measured that was wrong."""

_BASES = ("per_million_input_tokens", "per_million_output_tokens", "per_image", "per_second", "per_run")
_STARTED_SECONDS = 0.01  # a prediction cancelled in the queue is recorded as running for microseconds


class Cost(Struct, frozen=True):
    """Whole micro-dollars, or None where it is not known; `basis` says from what, or why not."""

    amount: int | None
    basis: str


class Measured(Struct, frozen=True, kw_only=True):
    """What is paid for, of one prediction; None is not known. `estimated` when we counted the tokens, not Replicate."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    images: int | None = None
    seconds: float | None = None
    estimated: bool = False


class Listed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of the table: where its numbers come from, the day they were true, and how sure that is."""

    price: Price
    source: str
    date: str
    confidence: Literal["first-party", "third-party", "uncertain"]


class Prices:
    """What models cost: the operator's word first, then the shipped table. Whatever neither knows stays unknown."""

    def __init__(self, models: Mapping[str, Listed], hardware: Mapping[str, Listed]) -> None:
        self.models, self.hardware = models, hardware

    @classmethod
    def shipped(cls) -> Self:
        """The table that comes with the gateway, `prices.toml`."""
        text = files("gateway.accounts").joinpath("prices.toml").read_text("utf-8")
        table = msgspec.convert(tomllib.loads(text), dict[Literal["models", "hardware"], dict[str, Listed]])
        return cls(table["models"], table["hardware"])

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

    def cost(
        self, price: Price | None, prediction: Prediction, images: int = 0, counted: Measured | None = None
    ) -> Cost:
        """What a prediction at its end cost, by Replicate's rules.

        `images` is how many came out, `counted` the tokens we counted ourselves: both only matter where Replicate did
        not say. Failed public runs are free, and all that never ran; a cancelled run costs what it used.
        """
        if free := _free(price, prediction):
            return Cost(0, free)
        return self.estimate(price, measured(prediction, images, counted))

    def estimate(self, price: Price | None, measured: Measured) -> Cost:
        """What so much of everything costs; with upper bounds it is what to reserve for one prediction."""
        if price is None or all(getattr(price, basis) is None for basis in _BASES):
            return Cost(None, "unknown: no price")
        total, names = Fraction(0), []
        for name, quantity, each in _terms(price, measured):
            if quantity is None:
                return Cost(None, f"unknown: no {name.partition(' ')[0]} counted")
            total += quantity * each
            names.append(name)
        return _rounded(total, _basis(names, measured.estimated))


def measured(prediction: Prediction, images: int = 0, counted: Measured | None = None) -> Measured:
    """What Replicate measured of a prediction; for tokens and images it did not measure, what we counted."""
    metrics, told = prediction.metrics or Metrics(), counted or Measured()
    tokens, ours = (metrics.input_tokens, metrics.output_tokens), (told.input_tokens, told.output_tokens)
    before, after = (own if theirs is None else theirs for theirs, own in zip(tokens, ours, strict=True))
    return Measured(
        input_tokens=before,
        output_tokens=after,
        images=metrics.images if metrics.images is not None else images or _files(prediction),
        seconds=_ran(prediction),
        estimated=(before, after) != tokens,
    )


def _free(price: Price | None, prediction: Prediction) -> str | None:
    if prediction.status == "aborted":
        return "free: aborted"
    if prediction.status == "failed" and not (price and price.private):
        return "free: failed"
    ran = _ran(prediction)
    if prediction.status == "canceled" and not prediction.output and (ran is None or ran < _STARTED_SECONDS):
        return "free: canceled before it ran" if prediction.started_at is None or ran is not None else None
    return None


def _terms(price: Price, measured: Measured) -> Iterator[tuple[str, Fraction | None, Fraction]]:
    """Of each basis that is set: its name, how many of it, and the micro-dollars of one."""
    second = f"seconds x {price.hardware}" if price.hardware else "seconds"
    for name, quantity, dollars, unit in (
        ("tokens", measured.input_tokens, price.per_million_input_tokens, 1),
        ("tokens", measured.output_tokens, price.per_million_output_tokens, 1),
        ("images", measured.images, price.per_image, MILLION),
        (second, measured.seconds, price.per_second, MILLION),
        ("run", 1, price.per_run, MILLION),
    ):
        if dollars is not None:
            yield name, _quantity(quantity), _fraction(dollars) * unit


def _quantity(number: float | None) -> Fraction | None:
    # Compared this way round, because nothing that is no number is below anything.
    return _fraction(max(number, 0)) if number is not None and number < MOST * MILLION else None


def _fraction(number: float) -> Fraction:
    # The number as it was written: 0.672 is meant, not the nearest binary fraction.
    return Fraction(repr(number))


def _rounded(total: Fraction, basis: str) -> Cost:
    amount = ceil(total)
    return Cost(amount, basis) if amount <= MOST else Cost(None, "unknown: beyond belief")


def _basis(names: list[str], estimated: bool) -> str:  # noqa: FBT001 - a fact to write down, not a switch
    listed = " + ".join(dict.fromkeys(names))
    return f"{listed}, estimated" if estimated and "tokens" in names else listed


def _ran(prediction: Prediction) -> float | None:
    """Seconds that were run and are paid for: `predict_time`, or what the times say."""
    if prediction.metrics and prediction.metrics.predict_time is not None:
        return prediction.metrics.predict_time
    return seconds_between(prediction.started_at, prediction.completed_at)


def _files(prediction: Prediction) -> int | None:
    """How many files came out, judged by the output's value; None while nobody can tell."""
    match prediction.output:
        case list(several):
            return len(several)
        case None:
            return 0 if prediction.final and prediction.status != "succeeded" else None
        case _:
            return 1

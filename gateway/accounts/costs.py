"""Pure: so much of everything, at so much for each."""

from collections.abc import Iterator
from fractions import Fraction
from math import ceil

import msgspec
from msgspec import Struct

from adapters.wire.replicate import Metrics
from gateway.accounts.measures import Measured
from gateway.accounts.wording import criteria
from gateway.tariffs import BASES, Criterion, Price, Span, Tier

THOUSAND, MILLION = 1_000, 1_000_000
MOST = 2**53
"""In micro-dollars. Nine thousand million dollars for one prediction: whoever measured that was wrong."""


class Cost(Struct, frozen=True):
    """Whole micro-dollars, or None where it is not known; `basis` says from what, or why not."""

    amount: int | None
    basis: str


class Quote(Struct, frozen=True):
    """The least and the most that something will cost, in whole micro-dollars, None where there is no telling."""

    low: int | None
    high: int | None
    basis: str


class Undecided(LookupError):
    """Which tier holds cannot be told; the message says why."""


def cost_of(price: Price | None, measured: Measured) -> Cost:
    """What so much of everything costs by a price without tiers."""
    if price is None or all(getattr(price, basis) is None for basis in BASES):
        return Cost(None, "unknown: no price")
    total, names = Fraction(0), []
    for name, quantity, each in _terms(price, measured):
        if quantity is None:
            return Cost(None, f"unknown: no {name.partition(' x ')[0]} counted")
        total += quantity * each
        names.append(name)
    return _rounded(total, _basis(names, measured.estimated))


def by_metrics(price: Price, metrics: Metrics) -> tuple[Price, str]:
    """The price that these metrics decide on, and the criteria in words. Raises Undecided."""
    if not price.tiers:
        return price, ""
    for tier in price.tiers:
        told = {name: metrics.told(name) for name in tier.when}
        if any(value is not None and not _meets(value, tier.when[name]) for name, value in told.items()):
            continue
        if missing := [name for name, value in told.items() if value is None]:
            raise Undecided(f"no {missing[0]} measured")
        return tiered(price, tier), criteria(tier)
    raise Undecided("no tier fits")


def flattened(price: Price) -> list[Price]:
    """Each price that may turn out to hold: one for every tier, or the price itself."""
    return [tiered(price, tier) for tier in price.tiers] or [price]


def tiered(price: Price, tier: Tier) -> Price:
    """The price with a tier's bases in the place of its own."""
    own = {basis: getattr(tier, basis) for basis in BASES if getattr(tier, basis) is not None}
    return msgspec.structs.replace(price, tiers=(), **own)


def _meets(value: str | bool | float, criterion: Criterion) -> bool:  # noqa: FBT001 - a measure may be one
    match criterion, value:
        case (bool(), _) | (_, bool()):
            return criterion is value
        case Span(), int() | float():
            return criterion.holds(value)
        case str(), str():
            return criterion.casefold() == value.casefold()
        case _:
            return criterion == value


def _terms(price: Price, measured: Measured) -> Iterator[tuple[str, Fraction | None, Fraction]]:
    """Of each basis that is set: its name, how many of it, and the micro-dollars of one."""
    second = f"seconds x {price.hardware}" if price.hardware else "seconds"
    for name, quantity, dollars, unit in (
        ("tokens", measured.input_tokens, price.per_million_input_tokens, 1),
        ("tokens", measured.output_tokens, price.per_million_output_tokens, 1),
        ("characters", measured.input_characters, price.per_thousand_input_characters, THOUSAND),
        ("characters", measured.output_characters, price.per_thousand_output_characters, THOUSAND),
        ("images", measured.images, price.per_image, MILLION),
        ("megapixels", measured.megapixels, price.per_megapixel, MILLION),
        ("files", measured.files, price.per_file, MILLION),
        ("output seconds", measured.output_seconds, price.per_output_second, MILLION),
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


def _basis(names: list[str], estimated: frozenset[str]) -> str:
    listed = " + ".join(dict.fromkeys(names))
    return listed if estimated.isdisjoint(names) else f"{listed}, estimated"

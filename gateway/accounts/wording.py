"""Prices in words, for people and for the books."""

from decimal import Decimal

from gateway.tariffs import BASES, Bases, Criterion, Price, Span, Tier


def worded(price: Price) -> str:
    """All that a price says, in one line."""
    own, *tiers = _amounts(price), *map(_tier, price.tiers)
    if price.hardware and price.per_second is None:
        own = " + ".join(filter(None, (own, f"seconds x {price.hardware}")))
    return "; ".join(filter(None, (own, *tiers, "failed runs too" if price.private else "")))


def criteria(tier: Tier) -> str:
    """When it holds; nothing for a tier that always does."""
    return " and ".join(f"{name} is {_value(criterion)}" for name, criterion in tier.when.items())


def _value(criterion: Criterion) -> str:
    match criterion:
        case Span(above=above, up_to=up_to):
            bounds = (("above", above), ("up to", up_to))
            return " and ".join(f"{word} {number:g}" for word, number in bounds if number is not None)
        case bool():
            return str(criterion).lower()
        case float():
            return f"{criterion:g}"
        case _:
            return criterion


def _tier(tier: Tier) -> str:
    return f"{_amounts(tier)} where {criteria(tier)}" if tier.when else _amounts(tier)


def _amounts(bases: Bases) -> str:
    told = ((name, getattr(bases, name)) for name in BASES)
    return " + ".join(f"${_plain(dollars)} {name.replace('_', ' ')}" for name, dollars in told if dollars is not None)


def _plain(dollars: float) -> str:
    return f"{Decimal(repr(dollars)).normalize():f}"

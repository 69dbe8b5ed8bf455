"""What a model may cost by: Replicate's bases, and tiers that its measures choose between."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct, field

Dollars = Annotated[float, Meta(ge=0)]


class Span(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A range of a measure: `above` is outside of it, `up_to` inside, as on Replicate's pages."""

    above: float | None = None
    up_to: float | None = None

    def holds(self, number: float) -> bool:
        return (self.above is None or number > self.above) and (self.up_to is None or number <= self.up_to)


Criterion = str | bool | float | Span
"""What a measure must be: this very value, or a number in a span."""


class Bases(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """US dollars for so much of a measure; the bases that are set are added up."""

    per_million_input_tokens: Dollars | None = None
    per_million_output_tokens: Dollars | None = None
    per_thousand_input_characters: Dollars | None = None
    per_thousand_output_characters: Dollars | None = None
    per_image: Dollars | None = None
    per_megapixel: Dollars | None = None
    per_file: Dollars | None = None
    per_output_second: Dollars | None = None
    per_second: Dollars | None = None
    per_run: Dollars | None = None


class Tier(Bases, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What holds where every criterion does; `when` has a criterion for each of some of Replicate's metrics."""

    when: Mapping[str, Criterion] = field(default_factory=dict)


class Price(Bases, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a model costs. A tier's bases count instead of those beside it, and the first tier that fits counts alone.

    `hardware` stands for the price of a second on that SKU. A private model's failed runs are paid for, too.
    """

    tiers: tuple[Tier, ...] = ()
    hardware: str | None = None
    private: bool = False


BASES = Bases.__struct_fields__

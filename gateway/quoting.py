"""What a request will cost, before anything is spent: between the least and the most that its inputs allow."""

from collections.abc import Iterable
from typing import Any

import msgspec

from adapters.base import Reading
from adapters.limits import MAX_TOKENS
from adapters.schema import Schema
from adapters.stops import BYTES_PER_TOKEN
from adapters.wire.replicate import Inputs, Prediction
from gateway.accounts.measures import Canvas, Measured
from gateway.accounts.prices import Prices, Quote
from gateway.booking import spoken
from gateway.plans import Plan

FRAME_TOKENS = 64
"""What a model's own template may put around a prompt."""

_UNBORN = Prediction(id="", status="starting")


def quoted(prices: Prices, plan: Plan[Any, Any], deadline: int) -> Quote:
    """What all predictions of a plan cost together, should they succeed; each is ended after `deadline` seconds.

    The least is the prompt by our estimate and no answer, the most a token for each byte and every token allowed.
    """
    each = []
    for index, inputs in enumerate(plan.prepared.inputs):
        least = _least(plan.model.schema, inputs, _pictures(plan.prepared.reading, index))
        names = plan.adapter.renamed("max_tokens") or MAX_TOKENS
        most = _most(least, _allowed(plan.model.schema, inputs, names), deadline)
        if plan.prepared.reading.last and plan.model.schema.output != "file":
            # A model that takes no count and answers with a list may show its drafts as well.
            most = msgspec.structs.replace(most, images=None, megapixels=None)
        if _has_files(inputs):
            most = msgspec.structs.replace(most, input_tokens=None)
        each.append(prices.quote(plan.price, least, most))
    return Quote(_sum(one.low for one in each), _sum(one.high for one in each), each[0].basis)


def _least(schema: Schema, inputs: Inputs, images: int | None) -> Measured:
    told = spoken(schema, _UNBORN, inputs, "")
    return Measured(
        input_tokens=told.input if told else None,
        output_tokens=0 if told else None,
        images=images,
        megapixels=_canvas(inputs).area(images),
        seconds=0,
        estimated=frozenset({"tokens", "megapixels"}),
    )


def _most(least: Measured, allowed: int | None, deadline: int) -> Measured:
    told = least.input_tokens
    return msgspec.structs.replace(
        least,
        input_tokens=None if told is None else told * BYTES_PER_TOKEN + FRAME_TOKENS,
        output_tokens=None if told is None else allowed,
        seconds=deadline,
    )


def _allowed(schema: Schema, inputs: Inputs, names: tuple[str, ...]) -> int | None:
    """The tokens that a model may say: as it is told, by its own default, or at the very most."""
    limit = schema.get(*names)
    if limit is None:
        return None
    told = (inputs.get(limit.name), limit.default, limit.maximum)
    return next((int(number) for number in told if isinstance(number, int | float) and number > 0), None)


def _pictures(reading: Reading, index: int) -> int | None:
    return reading.counts[index] if index < len(reading.counts) else None


def _canvas(inputs: Inputs) -> Canvas:
    try:
        return msgspec.convert(inputs, Canvas)
    except msgspec.ValidationError:
        return Canvas()


def _has_files(inputs: Inputs) -> bool:
    """Something else than text goes in, whose tokens nobody can foresee."""
    values = [each for value in inputs.values() for each in (value if isinstance(value, list) else [value])]
    return any(isinstance(value, str) and value.startswith(("http", "data:")) for value in values)


def _sum(amounts: Iterable[int | None]) -> int | None:
    told = list(amounts)
    known = [amount for amount in told if amount is not None]
    return sum(known) if len(known) == len(told) else None

"""What a request will cost, before anything is spent: between the least and the most that its inputs allow."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from adapters.base import Reading
from adapters.limits import MAX_TOKENS
from adapters.schema import Schema
from adapters.stops import BYTES_PER_TOKEN
from adapters.wire.replicate import Inputs, Prediction
from gateway.accounts.measures import Canvas, Measured, characters_of
from gateway.accounts.prices import Prices, Quote
from gateway.accounts.rates import Estimate
from gateway.booking import allowed, foreseen, spoken
from gateway.parts import Gateway
from gateway.plans import Plan

FRAME_TOKENS = 64
"""What a model's own template may put around a prompt."""

_UNBORN = Prediction(id="", status="starting")


def quoted(prices: Prices, plan: Plan[Any, Any], deadline: int) -> Quote:
    """What all predictions of a plan cost together, should they succeed; each is ended after `deadline` seconds.

    The least is the prompt by our estimate and no answer, the most a token for each byte and every token allowed.
    """
    each = [prices.quote(plan.price, least, most) for least, most in _bounds(plan, deadline)]
    return Quote(_sum(one.low for one in each), _sum(one.high for one in each), each[0].basis)


def reserved(gateway: Gateway, plan: Plan[Any, Any]) -> tuple[int | None, ...]:
    """What to hold for each prediction of a plan: the most it will cost, where models that are paid by the second run
    for `budgets.run_seconds`. None where that cannot be told."""
    config = gateway.config
    if plan.price is None:
        return (None,) * len(plan.prepared.inputs)
    seconds = min(config.upstream.deadline_seconds, config.budgets.run_seconds)
    return tuple(gateway.prices.estimate(plan.price, most).amount for _, most in _bounds(plan, seconds))


def expected(plan: Plan[Any, Any]) -> Estimate:
    """What the limits are asked for before a plan runs."""
    return foreseen(plan.model.schema, plan.prepared, _names(plan))


def _bounds(plan: Plan[Any, Any], seconds: int) -> Iterator[tuple[Measured, Measured]]:
    """The least and the most that each prediction takes of everything."""
    for index, inputs in enumerate(plan.prepared.inputs):
        least = _least(plan.model.schema, inputs, _pictures(plan.prepared.reading, index))
        least = msgspec.structs.replace(least, output_seconds=plan.prepared.reading.seconds)
        most = _most(least, allowed(plan.model.schema, inputs, _names(plan)), seconds)
        if plan.prepared.reading.last and plan.model.schema.output != "file":
            # A model that takes no count and answers with a list may show its drafts as well.
            most = msgspec.structs.replace(most, images=None, megapixels=None)
        if _has_files(inputs):
            most = msgspec.structs.replace(most, input_tokens=None)
        yield least, most


def _names(plan: Plan[Any, Any]) -> tuple[str, ...]:
    """The inputs that tell a model how much it may say."""
    return plan.adapter.renamed("max_tokens") or MAX_TOKENS


def _least(schema: Schema, inputs: Inputs, images: int | None) -> Measured:
    told = spoken(schema, _UNBORN, inputs, "")
    return Measured(
        input_tokens=told.input if told else None,
        output_tokens=0 if told else None,
        input_characters=characters_of(inputs),
        images=images,
        megapixels=_canvas(inputs).area(images),
        files=1 if schema.output == "file" else None,
        seconds=0,
        estimated=frozenset({"tokens", "characters", "megapixels"}),
    )


def _most(least: Measured, allowed: int | None, deadline: int) -> Measured:
    told = least.input_tokens
    return msgspec.structs.replace(
        least,
        input_tokens=None if told is None else told * BYTES_PER_TOKEN + FRAME_TOKENS,
        output_tokens=None if told is None else allowed,
        seconds=deadline,
    )


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

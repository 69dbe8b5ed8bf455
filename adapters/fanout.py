"""One input for each of several predictions: how many there may be, and none the repetition of another."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from adapters.base import Prepared, Reading
from adapters.errors import InvalidRequest
from adapters.schema import Input, Schema
from adapters.tables import Draft
from adapters.wire.replicate import Inputs

MOST_PREDICTIONS = 128
"""Of one request, for models that take one thing at a time."""

_SEEDS = ("seed", "random_seed")
_RANDOM = -1


class Share(Struct, frozen=True):
    """What one prediction is given: its inputs, and which of the client's items they are."""

    inputs: Inputs
    items: tuple[int, ...]


def parted(draft: Draft, shares: Sequence[Share], schema: Schema) -> Prepared:
    """A prediction for each share, beside what all are given. Raises InvalidRequest."""
    _check_number(len(shares))
    draft.put("input", shares[0].inputs)
    whole = draft.finish()
    rest = {name: value for name, value in whole.items() if name not in shares[0].inputs}
    told = [whole, *({**rest, **share.inputs} for share in shares[1:])]
    _check_each(told[1:], schema)
    return draft.prepared(told, Reading(places=tuple(share.items for share in shares)))


def seeded(inputs: Inputs, schema: Schema, counts: Sequence[int]) -> list[Inputs]:
    """A copy of `inputs` for each count; where a seed is set, or the model's own default is one, each prediction gets
    another, so far from the last as that one makes outputs."""
    alike = [dict(inputs) for _ in counts]
    seed = schema.get(*_SEEDS)
    first = _first(inputs, seed)
    if seed is None or first is None or len(counts) < 2:
        return alike
    starts = [sum(counts[:place]) for place in range(len(counts))]
    several = [{**inputs, seed.name: _shaped(seed, first + start)} for start in starts]
    # A default that the schema itself forbids says nothing.
    return alike if any(schema.problems(each) for each in several) else several


def _first(inputs: Inputs, seed: Input | None) -> int | None:
    if seed is None:
        return None
    value = inputs.get(seed.name, seed.default)
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    return None if number == _RANDOM and seed.name not in inputs else number


def _shaped(seed: Input, number: int) -> int | str:
    if seed.maximum is not None and number > seed.maximum:
        low = int(seed.minimum or 0)
        number = low + (number - low) % max(1, int(seed.maximum) - low + 1)
    return str(number) if seed.kind == "string" else number


def _check_number(needed: int) -> None:
    """Raises InvalidRequest for more inputs than a request may make predictions of."""
    if needed > MOST_PREDICTIONS:
        raise InvalidRequest(
            f"Invalid 'input': array too long. This model would take {needed} predictions for it, and a request may "
            f"make {MOST_PREDICTIONS}: send fewer inputs at a time.",
            param="input",
            code="array_above_max_length",
        )


def _check_each(told: Iterable[Inputs], schema: Schema) -> None:
    """Raises InvalidRequest for an input that the model would refuse."""
    for inputs in told:
        for problem in schema.problems(inputs):
            raise InvalidRequest(
                f"Invalid 'input': the model's input {problem.field!r} refuses it: {problem.message}.",
                param="input",
                code="invalid_value",
            )

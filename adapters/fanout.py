"""One input for each of several predictions, none the repetition of another."""

from collections.abc import Sequence

from adapters.schema import Input, Schema
from adapters.wire.replicate import Inputs

_SEEDS = ("seed", "random_seed")
_RANDOM = -1


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

"""How many pictures each prediction makes, so that together they are as many as were asked for."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from adapters.fitting import fitted
from adapters.schema import Input, Schema
from adapters.wire.replicate import Inputs

# `max_images` is not among them: it is a ceiling under which the model decides, and nine asked for are nine sent.
COUNTS = (
    "num_outputs",
    "num_images",
    "number_of_images",
    "number_of_outputs",
    "num_samples",
    "n_images",
    "num_images_per_prompt",
    "images_per_prompt",
    "n_samples",
    "image_count",
    "batch_size",
    "num_predictions",
    "num_generations",
    "output_count",
    "n",
)


class Shares(NamedTuple):
    """For each prediction the pictures wanted of it, and what its count input (`field`, if there is one) is told."""

    counts: tuple[int, ...]
    inputs: tuple[Inputs, ...]
    field: str | None = None


def shared_out(asked: int | None, inputs: Mapping[str, Any], schema: Schema, names: Sequence[str] | None) -> Shares:
    """Without a count input, or where the output is one file, every prediction makes one. A model that cannot make so
    few is told its least, and what is too many is left aside. A count already among `inputs` is what is meant when
    the client asked for none.
    """
    field = next((each for each in map(schema.get, COUNTS if names is None else names) if each and _counts(each)), None)
    if field is None or schema.output == "file":
        return Shares((1,) * (asked or 1), ({},) * (asked or 1))
    left = asked or int(float(inputs.get(field.name, 1)))
    counts: list[int] = []
    told: list[Inputs] = []
    while left > 0:
        value = _told(left, field)
        counts.append(min(left, max(1, int(float(value)))))
        told.append({field.name: value})
        left -= counts[-1]
    if any(schema.problems({**inputs, **each}) for each in told):
        return Shares((1,) * (asked or 1), ({},) * (asked or 1))
    return Shares(tuple(counts), tuple(told), field.name)


def _counts(field: Input) -> bool:
    return bool(_choices(field)) or (field.kind in ("integer", "number", "any") and not field.enum)


def _choices(field: Input) -> list[Any]:
    return [choice for choice in field.enum if str(choice).isdigit() and int(choice) > 0]


def _told(left: int, field: Input) -> Any:
    if choices := _choices(field):
        fitting = [choice for choice in choices if int(choice) <= left]
        return max(fitting, key=int) if fitting else min(choices, key=int)
    fit = fitted(field, left)
    return fit.value if fit else left

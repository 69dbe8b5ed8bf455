"""How many pictures each prediction makes, so that together they are as many as were asked for."""

from collections.abc import Sequence
from typing import Any

from adapters.schema import Input, Schema

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


def shared_out(
    wanted: int, schema: Schema, names: Sequence[str] | None = None
) -> tuple[list[tuple[int, Any]], str | None]:
    """For each prediction the pictures wanted of it and what its count input is told, and that input's name.

    Without such an input every prediction makes one. A model that cannot make so few is told its least, and what is
    too many is left aside.
    """
    field = next((each for each in map(schema.get, COUNTS if names is None else names) if _counts(each)), None)
    if field is None:
        return [(1, None)] * wanted, None
    shares: list[tuple[int, Any]] = []
    left = wanted
    while left > 0:
        told = _told(left, field)
        made = min(left, max(1, int(float(told))))
        shares.append((made, told))
        left -= made
    return shares, field.name


def _counts(field: Input | None) -> bool:
    return field is not None and (bool(_choices(field)) or (field.kind in ("integer", "number") and not field.enum))


def _choices(field: Input) -> list[Any]:
    return [choice for choice in field.enum if str(choice).isdigit() and int(choice) > 0]


def _told(left: int, field: Input) -> Any:
    if choices := _choices(field):
        fitting = [choice for choice in choices if int(choice) <= left]
        return max(fitting, key=int) if fitting else min(choices, key=int)
    count = left if field.maximum is None else min(left, int(field.maximum))
    return max(count, int(field.minimum or 1))

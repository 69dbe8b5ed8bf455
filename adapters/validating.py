"""What is wrong with a value, by a JSON Schema that a client wrote."""

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs

_MOST = 5
_LONGEST = 300
_BACKTRACKS = 10_000

NotASchema = (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError, RecursionError)


class Validator:
    """A compiled schema. Raises ValueError for what is none, or refers to one elsewhere: nothing is fetched."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        try:
            self._compiled = jsonschema_rs.Draft202012Validator(
                dict(schema),
                offline=True,
                pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACKS),
            )
        except NotASchema as wrong:
            raise ValueError(_first_line(str(wrong))) from None

    def problems(self, value: Any) -> list[str]:
        """The first few things that are wrong, each with its place; they may quote the value."""
        try:
            errors = [
                (error.instance_path, error.message)
                for error, _ in zip(self._compiled.iter_errors(value), range(_MOST), strict=False)
            ]
        except (ValueError, RecursionError):
            return ["it is nested too deeply"]
        return [f"{_place(path)}{_first_line(message)}" for path, message in errors]


def _place(path: list[str | int]) -> str:
    return f"at {'.'.join(map(str, path))}: " if path else ""


def _first_line(text: str) -> str:
    line = text.strip().split("\n", 1)[0]
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def strict_problem(schema: Any, context: tuple[str, ...] = ()) -> str | None:
    """What keeps a schema out of OpenAI's strict subset: every object there is closed, and requires all it has."""
    if not isinstance(schema, Mapping):
        return None
    properties = schema.get("properties")
    where = f"In context={context!r}, "
    if schema.get("type") == "object" or isinstance(properties, Mapping):
        if schema.get("additionalProperties") is not False:
            return f"{where}'additionalProperties' is required to be supplied and to be false"
        missing = [name for name in properties or () if name not in (schema.get("required") or ())]
        if missing:
            return (
                f"{where}'required' is required to be supplied and to be an array including every key in properties. "
                f"Missing '{missing[0]}'"
            )
    for place, part in _parts(schema):
        if problem := strict_problem(part, (*context, *place)):
            return problem
    return None


def _parts(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key in ("properties", "$defs", "definitions"):
        held = schema.get(key)
        for name, part in held.items() if isinstance(held, Mapping) else ():
            yield (key, str(name)), part
    for key in ("anyOf", "allOf", "oneOf"):
        held = schema.get(key)
        for index, part in enumerate(held) if isinstance(held, list) else ():
            yield (key, str(index)), part
    yield ("items",), schema.get("items")

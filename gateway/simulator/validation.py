"""What a validator found, told in the vocabulary of gojsonschema, which Replicate's API uses."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema_rs

from gateway.simulator.problems import InvalidField

Kind = Any  # jsonschema-rs gives each kind of error its own class, without a common type for their members

_KINDS: dict[str, tuple[str, Callable[[Kind], str]]] = {
    "maximum": ("number_lte", lambda kind: f"Must be less than or equal to {kind.limit}"),
    "minimum": ("number_gte", lambda kind: f"Must be greater than or equal to {kind.limit}"),
    "exclusiveMaximum": ("number_lt", lambda kind: f"Must be less than {kind.limit}"),
    "exclusiveMinimum": ("number_gt", lambda kind: f"Must be greater than {kind.limit}"),
    "multipleOf": ("multiple_of", lambda kind: f"Must be a multiple of {kind.multiple_of}"),
    "minLength": ("string_gte", lambda kind: f"String length must be greater than or equal to {kind.limit}"),
    "maxLength": ("string_lte", lambda kind: f"String length must be less than or equal to {kind.limit}"),
    "minItems": ("array_min_items", lambda kind: f"Array must have at least {kind.limit} items"),
    "maxItems": ("array_max_items", lambda kind: f"Array must have at most {kind.limit} items"),
    "pattern": ("pattern", lambda kind: f"Does not match pattern '{kind.pattern}'"),
    "format": ("format", lambda kind: f"Does not match format '{kind.format}'"),
    "anyOf": ("number_any_of", lambda kind: "Must validate at least one schema (anyOf)"),
    "oneOf": ("number_one_of", lambda kind: "Must validate one and only one schema (oneOf)"),
}


def invalid_fields(validator: jsonschema_rs.Draft202012Validator, value: Any, root: str = "") -> list[InvalidField]:
    """Return one entry per thing that is wrong; `root` is the dotted place of the value in the body."""
    found = sorted(validator.iter_errors(value), key=_order)
    return [entry for error in found for entry in _entries(error, root)]


def _order(error: jsonschema_rs.ValidationError) -> tuple[int, int, str]:
    # Outer things first, what is missing before what is too much: the order of recorded replies. Then by name.
    kind: Kind = error.kind
    rank = {"required": 0, "additionalProperties": 1}.get(kind.name, 2)
    return len(error.instance_path), rank, ".".join(map(str, error.instance_path))


def _entries(error: jsonschema_rs.ValidationError, root: str) -> Iterator[InvalidField]:
    place = ".".join(filter(None, (root, *map(str, error.instance_path)))) or "(root)"
    kind: Kind = error.kind
    match kind.name:
        case "required":
            yield InvalidField("required", place, f"{kind.property} is required")
        case "additionalProperties":
            for name in kind.unexpected:
                text = f"Additional property {name} is not allowed"
                yield InvalidField("additional_property_not_allowed", place, text)
        case "enum":
            allowed = ", ".join(json.dumps(option) for option in kind.options)
            yield InvalidField("enum", place, f"{place} must be one of the following: {allowed}")
        case "type":
            expected = "/".join(kind.types)
            text = f"Invalid type. Expected: {expected}, given: {_type_of(error.instance)}"
            yield InvalidField("invalid_type", place, text)
        case name if name in _KINDS:
            type_, describe = _KINDS[name]
            yield InvalidField(type_, place, describe(kind))
        case name:
            yield InvalidField(name, place, error.message)


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"

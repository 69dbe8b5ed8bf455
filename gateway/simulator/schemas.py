"""A model's declared inputs and output, read out of its OpenAPI document."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import jsonschema_rs

from gateway.simulator.problems import InvalidField
from gateway.simulator.validation import invalid_fields

Json = Mapping[str, Any]
OutputKind = Literal["text", "tokens", "file", "files", "value"]


class Schema:
    """What a version takes and gives. `problems()` judges an input; `with_defaults()` fills one in."""

    def __init__(self, document: Json, name: str = "Input") -> None:
        components = document.get("components", {}).get("schemas", {})
        self.input: dict[str, Any] = resolve(components.get(name, {}), components)
        self.output: dict[str, Any] = resolve(components.get("Output", {}), components)
        self.properties: dict[str, dict[str, Any]] = self.input.get("properties", {})

    @property
    def kind(self) -> OutputKind:
        """The shape of the output, as far as the schema tells."""
        output, items = self.output, self.output.get("items", {})
        if output.get("format") == "uri":
            return "file"
        if items.get("format") == "uri":
            return "files"
        if output.get("type") == "array" and items.get("type") == "string":
            return "tokens"
        return "text" if output.get("type") == "string" else "value"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The inputs that are redacted in every reply."""
        return tuple(name for name, schema in self.properties.items() if schema.get("x-cog-secret"))

    def redact(self, inputs: Json) -> dict[str, Any]:
        """Return the input as replies show it: keys sorted, secrets hidden."""
        hidden = self.secrets
        return {key: "[REDACTED]" if key in hidden else inputs[key] for key in sorted(inputs)}

    def with_defaults(self, inputs: Json) -> dict[str, Any]:
        """Return the input with the schema's defaults where nothing was given."""
        given = {name: schema["default"] for name, schema in self.properties.items() if "default" in schema}
        return given | dict(inputs)

    def problems(self, inputs: Json, unknown: Literal["refuse", "ignore"]) -> list[InvalidField]:
        """Return what is wrong with an input, field by field."""
        validator = self._strict if unknown == "refuse" else self._lenient
        if validator.is_valid(inputs):
            return []
        return invalid_fields(validator, inputs, "input")

    @cached_property
    def _strict(self) -> jsonschema_rs.Draft202012Validator:
        closed = {"additionalProperties": False} | self.input if self.properties else self.input
        return _compiled(closed)

    @cached_property
    def _lenient(self) -> jsonschema_rs.Draft202012Validator:
        return _compiled(self.input)


def _compiled(schema: Json) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(dict(schema), validate_formats=True)


def resolve(schema: Any, components: Json) -> Any:
    """Return a schema without references, with one-element `allOf` merged and `nullable` said the modern way."""
    if isinstance(schema, list):
        return [resolve(item, components) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    merged: dict[str, Any] = {}
    if "$ref" in schema:
        merged |= resolve(components.get(schema["$ref"].rsplit("/", 1)[-1], {}), components)
    for part in schema.get("allOf", ()):
        merged |= resolve(part, components)
    for key, value in schema.items():
        if key == "properties":
            merged[key] = {name: resolve(property_, components) for name, property_ in value.items()}
        elif key in ("default", "enum"):
            merged[key] = value
        elif key not in ("$ref", "allOf", "nullable"):
            merged[key] = resolve(value, components)
    return _nullable(merged) if schema.get("nullable") else merged


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = schema.get("type")
    if isinstance(kinds, str):
        schema["type"] = [kinds, "null"]
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    return schema

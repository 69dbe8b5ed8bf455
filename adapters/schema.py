"""What a model version declares: its inputs as one flat list, its output, and a validator."""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jsonschema_rs
from msgspec import UNSET, Struct, UnsetType

from adapters.errors import InvalidRequest
from adapters.media import EMBEDDABLE, Medium, medium_of_name, medium_of_output
from adapters.resolving import Node, Resolver, validatable

Kind = Literal["string", "integer", "number", "boolean", "array", "object", "any"]
OutputKind = Literal["text", "stream", "file", "files", "vectors", "object", "number", "any"]

_KINDS: Mapping[str, Kind] = {kind: kind for kind in ("string", "integer", "number", "boolean", "array", "object")}
# An open lower bound has no smallest number above it that a model would understand; a hundredth is what models
# with a closed one write.
_ABOVE = 0.01
_VECTORS = re.compile(r"embed|vector|features", re.IGNORECASE)


class Input(Struct, frozen=True, kw_only=True):
    """One input of a model. `kind` is an array's own kind; `item` what it holds."""

    name: str
    kind: Kind
    item: Kind = "any"
    enum: tuple[Any, ...] = ()
    default: Any = UNSET
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    longest: int | None = None
    required: bool = False
    nullable: bool = False
    secret: bool = False
    medium: Medium | None = None
    words: str = ""

    @property
    def many(self) -> bool:
        return self.kind == "array"

    @property
    def text(self) -> bool:
        """Takes free text: a string (or anything) that is no file, no choice and no secret."""
        return self.kind in ("string", "any") and not (self.enum or self.medium or self.secret)

    @property
    def settled(self) -> bool:
        """May be left out: not required, or the schema says what it is then."""
        return not self.required or self.default is not UNSET


class Problem(NamedTuple):
    """What is wrong with one input."""

    field: str
    message: str


class Schema:
    """A model version's inputs (in the order it shows them), the shape of its output, and what an example shows.

    Outputs are judged by their value: `output` and `medium` are hints.
    """

    def __init__(self, inputs: Mapping[str, Input], output: OutputKind, document: Node, example: Node) -> None:
        self.inputs: Mapping[str, Input] = MappingProxyType(dict(inputs))
        self.output = output
        self._document = document
        self._example = example

    @classmethod
    def parse(cls, openapi_schema: Mapping[str, Any], example: Mapping[str, Any] | None = None) -> "Schema":
        """From the `openapi_schema` of a version and the model's `default_example`. Reads any document; what it
        cannot make out becomes an input of kind `any`, or no input."""
        resolver = Resolver(openapi_schema)
        declared = resolver.resolved(resolver.component("Input"))
        required = {name for name in declared.get("required") or () if isinstance(name, str)}
        shown = _dict(_dict(example).get("input"))
        inputs = {
            name: _input(name, resolver.resolved(_dict(node)), resolver, required, shown.get(name))
            for name, node in _ordered(_dict(declared.get("properties")))
        }
        output = _output(resolver.resolved(resolver.component("Output")), resolver)
        return cls(inputs, output, validatable(declared, openapi_schema), _dict(example))

    def get(self, *names: str) -> Input | None:
        """The first of these inputs that the model has."""
        return next((self.inputs[name] for name in names if name in self.inputs), None)

    def __contains__(self, name: object) -> bool:
        return name in self.inputs

    def __iter__(self) -> Iterator[Input]:
        return iter(self.inputs.values())

    @property
    def example(self) -> Mapping[str, Any]:
        """The inputs of the model's own example; {} without one."""
        return _dict(self._example.get("input"))

    @cached_property
    def medium(self) -> Medium | None:
        """What the example's output is; None without one, or when it is no file."""
        return medium_of_output(self._example.get("output"))

    @property
    def answered(self) -> bool:
        """There is an example with an output."""
        return self._example.get("output") is not None

    @cached_property
    def embeds(self) -> bool:
        """The example's output is a vector, or a list of them."""
        return self.output == "vectors" or _vector(self._example.get("output"))

    @cached_property
    def files(self) -> tuple[Input, ...]:
        return tuple(each for each in self if each.medium)

    def problems(self, inputs: Mapping[str, Any]) -> list[Problem]:
        """What the model would refuse in these inputs; messages never quote a value. Raises InvalidRequest for inputs
        that cannot be looked through."""
        try:
            errors = list(self._validator.iter_errors(dict(inputs)))
        except ValueError:
            raise InvalidRequest("This request is nested too deeply.") from None
        return [
            Problem(str(error.instance_path[0]) if error.instance_path else _missing_name(error.message), error.message)
            for error in errors
        ]

    @cached_property
    def _validator(self) -> jsonschema_rs.Draft202012Validator:
        try:
            return jsonschema_rs.Draft202012Validator(self._document, mask="the value")
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError):
            # A document that is no JSON Schema holds nothing to check against; upstream has the last word.
            return jsonschema_rs.Draft202012Validator({}, mask="the value")


def _dict(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _ordered(properties: Node) -> list[tuple[str, Any]]:
    # Every property had `x-order` in January 2025, a record of October 2025 none: the given order then counts.
    def place(item: tuple[str, Any]) -> float:
        order = item[1].get("x-order") if isinstance(item[1], Mapping) else None
        return order if isinstance(order, (int, float)) else float("inf")

    return sorted(properties.items(), key=place)


def _input(name: str, node: Node, resolver: Resolver, required: set[str], shown: Any) -> Input:
    kind = _kind(node)
    item = resolver.resolved(_dict(node.get("items"))) if kind == "array" else {}
    words = " ".join(str(node.get(key) or "") for key in ("title", "description"))
    low, high = _bounds(node, kind)
    return Input(
        name=name,
        kind=kind,
        item=_kind(item) if item else "any",
        enum=tuple(value for value in node.get("enum") or () if value is not None),
        default=_default(node),
        minimum=low,
        maximum=high,
        step=_number(node.get("multipleOf")),
        longest=node.get("maxItems") if kind == "array" else node.get("maxLength"),
        required=name in required,
        nullable=bool(node.get("nullable")),
        secret=bool(node.get("x-cog-secret") or node.get("writeOnly") or node.get("format") == "password"),
        medium=_medium(name, node, item, words, shown),
        words=words,
    )


def _kind(node: Node) -> Kind:
    declared = node.get("type")
    if isinstance(declared, str):
        return _KINDS.get(declared, "any")
    values = [value for value in node.get("enum") or () if value is not None]
    if values and all(isinstance(value, str) for value in values):
        return "string"
    if values and all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return "integer"
    return "array" if "items" in node else "any"


def _default(node: Node) -> Any | UnsetType:
    value = node.get("default", UNSET)
    return UNSET if value is None and not node.get("nullable") else value


def _bounds(node: Node, kind: Kind) -> tuple[float | None, float | None]:
    gap = 1 if kind == "integer" else _ABOVE
    low, high = _number(node.get("minimum", node.get("ge"))), _number(node.get("maximum", node.get("le")))
    above, below = node.get("exclusiveMinimum", node.get("gt")), node.get("exclusiveMaximum", node.get("lt"))
    if above is True and low is not None:
        low += gap
    elif (number := _number(above)) is not None:
        low = number + gap
    if below is True and high is not None:
        high -= gap
    elif (number := _number(below)) is not None:
        high = number - gap
    return low, high


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _medium(name: str, node: Node, item: Node, words: str, shown: Any) -> Medium | None:
    declared = (item or node).get("format") == "uri"
    if declared:
        medium = medium_of_name(name, words) or medium_of_output(shown)
        return medium if medium and medium != "unknown" else "file"
    # A few models take a picture's address as a plain string; only names that leave no doubt count.
    plain = node.get("type") == "string" and not node.get("enum") and name.lower() in EMBEDDABLE
    return EMBEDDABLE[name.lower()] if plain else None


def _output(node: Node, resolver: Resolver) -> OutputKind:
    kind = _kind(node)
    if kind == "string":
        return "file" if node.get("format") == "uri" else "text"
    if kind in ("integer", "number", "boolean"):
        return "number"
    if kind == "array":
        return _list_output(node, resolver)
    return _object_output(node, resolver) if kind == "object" or "properties" in node else "any"


def _object_output(node: Node, resolver: Resolver) -> OutputKind:
    for name, held in _dict(node.get("properties")).items():
        if _VECTORS.search(name) and _kind(resolver.resolved(_dict(held))) == "array":
            return "vectors"
    return "object"


def _list_output(node: Node, resolver: Resolver) -> OutputKind:
    item = resolver.resolved(_dict(node.get("items")))
    inner = resolver.resolved(_dict(item.get("items"))) if _kind(item) == "array" else item
    kind = _kind(inner)
    if kind == "string":
        return "files" if inner.get("format") == "uri" else "stream"
    if kind in ("integer", "number"):
        return "vectors"
    return _object_output(inner, resolver) if kind == "object" or "properties" in inner else "any"


def _vector(value: Any) -> bool:
    while isinstance(value, list) and value and isinstance(value[0], list):
        value = value[0]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = value[0]
    if isinstance(value, dict):
        return any(_vector(inner) for key, inner in value.items() if _VECTORS.search(key))
    return isinstance(value, list) and len(value) >= 16 and all(_number(each) is not None for each in value)


def _missing_name(message: str) -> str:
    return message.split('"')[1] if message.count('"') >= 2 else ""

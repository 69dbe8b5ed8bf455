"""What a model version declares: its inputs as one flat list, its output, and a validator."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import jsonschema_rs
from msgspec import UNSET, Struct, UnsetType

from adapters.answers import OutputKind, is_vector, names_in, output_of
from adapters.errors import InvalidRequest
from adapters.media import EMBEDDABLE, Medium, ending_of, medium_of_name, medium_of_output
from adapters.resolving import Kind, Node, Resolver, kind_of, members, number_of, validatable

T = TypeVar("T")

# An open lower bound has no smallest number above it that a model would understand; a hundredth is what models
# with a closed one write.
_ABOVE = 0.01


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

    def __init__(
        self,
        inputs: Mapping[str, Input],
        output: OutputKind,
        document: Node,
        example: Node,
        declared: frozenset[str] = frozenset(),
    ) -> None:
        self.inputs: Mapping[str, Input] = MappingProxyType(dict(inputs))
        self.output = output
        self._declared = declared
        self._document = document
        self._example = example
        self._known: dict[Callable[[Schema], Any], Any] = {}

    @classmethod
    def parse(cls, openapi_schema: Mapping[str, Any], example: Mapping[str, Any] | None = None) -> "Schema":
        """From the `openapi_schema` of a version and the model's `default_example`. Reads any document; what it
        cannot make out becomes an input of kind `any`, or no input."""
        resolver = Resolver(openapi_schema)
        declared = resolver.resolved(resolver.component("Input"))
        required = {name for name in declared.get("required") or () if isinstance(name, str)}
        shown = members(members(example).get("input"))
        inputs = {
            name: _input(name, resolver.resolved(members(node)), resolver, required, shown.get(name))
            for name, node in _ordered(members(declared.get("properties")))
        }
        answer = resolver.resolved(resolver.component("Output"))
        return cls(
            inputs,
            output_of(answer, resolver),
            validatable(declared, openapi_schema),
            members(example),
            frozenset(members(answer.get("properties"))),
        )

    def get(self, *names: str) -> Input | None:
        """The first of these inputs that the model has."""
        for name in names:
            if found := self.inputs.get(name):
                return found
        return None

    def known(self, find: Callable[["Schema"], T]) -> T:
        """What `find` makes of this schema, which is always the same: found once, for it is asked with every call."""
        if find not in self._known:
            self._known[find] = find(self)
        found: T = self._known[find]
        return found

    def __contains__(self, name: object) -> bool:
        return name in self.inputs

    def __iter__(self) -> Iterator[Input]:
        return iter(self.inputs.values())

    @property
    def example(self) -> Mapping[str, Any]:
        """The inputs of the model's own example; {} without one."""
        return members(self._example.get("input"))

    @cached_property
    def medium(self) -> Medium | None:
        """What the example's output is; None without one, or when it is no file."""
        return medium_of_output(self._example.get("output"))

    @property
    def output_shown(self) -> Any:
        """The output of the model's own example; None without one."""
        return self._example.get("output")

    @cached_property
    def ending(self) -> str | None:
        """The ending of the example's output file; None where none shows."""
        return ending_of(self._example.get("output"))

    @property
    def answered(self) -> bool:
        """There is an example with an output."""
        return self._example.get("output") is not None

    @cached_property
    def answers(self) -> frozenset[str]:
        """The names in what it answers, as declared and as its example shows."""
        return self._declared | frozenset(names_in(self._example.get("output")))

    @cached_property
    def embeds(self) -> bool:
        """The example's output is a vector, or a list of them."""
        return self.output == "vectors" or is_vector(self._example.get("output"))

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


def _ordered(properties: Node) -> list[tuple[str, Any]]:
    # Every property had `x-order` in January 2025, a record of October 2025 none: the given order then counts.
    def place(item: tuple[str, Any]) -> float:
        order = item[1].get("x-order") if isinstance(item[1], Mapping) else None
        return order if isinstance(order, (int, float)) else float("inf")

    return sorted(properties.items(), key=place)


def _input(name: str, node: Node, resolver: Resolver, required: set[str], shown: Any) -> Input:
    kind = kind_of(node)
    item = resolver.resolved(members(node.get("items"))) if kind == "array" else {}
    words = " ".join(str(node.get(key) or "") for key in ("title", "description"))
    low, high = _bounds(node, kind)
    return Input(
        name=name,
        kind=kind,
        item=kind_of(item) if item else "any",
        enum=tuple(value for value in node.get("enum") or () if value is not None),
        default=_default(node),
        minimum=low,
        maximum=high,
        step=number_of(node.get("multipleOf")),
        longest=node.get("maxItems") if kind == "array" else node.get("maxLength"),
        required=name in required,
        nullable=bool(node.get("nullable")),
        secret=bool(node.get("x-cog-secret") or node.get("writeOnly") or node.get("format") == "password"),
        medium=_medium(name, node, item, words, shown),
        words=words,
    )


def _default(node: Node) -> Any | UnsetType:
    value = node.get("default", UNSET)
    return UNSET if value is None and not node.get("nullable") else value


def _bounds(node: Node, kind: Kind) -> tuple[float | None, float | None]:
    gap = 1 if kind == "integer" else _ABOVE
    low, high = number_of(node.get("minimum", node.get("ge"))), number_of(node.get("maximum", node.get("le")))
    above, below = node.get("exclusiveMinimum", node.get("gt")), node.get("exclusiveMaximum", node.get("lt"))
    if above is True and low is not None:
        low += gap
    elif (number := number_of(above)) is not None:
        low = number + gap
    if below is True and high is not None:
        high -= gap
    elif (number := number_of(below)) is not None:
        high = number - gap
    return low, high


def _medium(name: str, node: Node, item: Node, words: str, shown: Any) -> Medium | None:
    declared = (item or node).get("format") == "uri"
    if declared:
        medium = medium_of_name(name, words) or medium_of_output(shown)
        return medium if medium and medium != "unknown" else "file"
    # A few models take a picture's address as a plain string; only names that leave no doubt count.
    plain = node.get("type") == "string" and not node.get("enum") and name.lower() in EMBEDDABLE
    return EMBEDDABLE[name.lower()] if plain else None


def _missing_name(message: str) -> str:
    return message.split('"')[1] if message.count('"') >= 2 else ""

"""From bytes to a request struct, or to the error OpenAI would answer with."""

import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Self, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from adapters.errors import InvalidRequest, MissingParameter

EXTRA = "<extra>"
"""The key under which unknown fields travel to `.extra`; no client can write it by accident and mean something."""

PASSTHROUGH = "replicate"
"""The field whose object is merged into the model's input as it is."""

Count = Annotated[int, Meta(ge=1)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Temperature = Annotated[float, Meta(ge=0, le=2)]

_PLACE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")
_WRONG_TYPE = re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<got>\w+)`$")
_OUT_OF_RANGE = re.compile(r"Expected `(?P<type>int|float)` (?P<sign>>=|<=) (?P<bound>[-+.\de]+)$")
_LENGTH = re.compile(r"Expected `(?P<type>array|str|object)` of length (?P<sign>>=|<=) (?P<bound>\d+)$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`$", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]+)`$")

_NAMES = {
    "bool": "a boolean",
    "int": "an integer",
    "float": "a decimal",
    "str": "a string",
    "array": "an array",
    "object": "an object",
    "null": "null",
    "Upload": "a file",
}


class Upload(Struct, frozen=True):
    """A file that came with a form. `content_type` is what its bytes say, where they do."""

    name: str
    content_type: str
    content: bytes

    @property
    def address(self) -> str:
        """Its bytes as a data URI."""
        return f"data:{self.content_type};base64,{b64encode(self.content).decode()}"


class Given(Struct, frozen=True, kw_only=True):
    """What a client sends: the fields of its kind, and those that OpenAI does not know."""

    extra: dict[str, Any] = field(default_factory=dict, name=EXTRA)

    @classmethod
    def shaped(cls, given: dict[str, Any]) -> dict[str, Any]:
        """The fields as this struct has them, where clients may write them in several ways."""
        return given

    @classmethod
    def listed(cls) -> frozenset[str]:
        """Names in forms, beside the struct's own lists, under which several values may stand."""
        return frozenset()

    def references(self) -> "References":
        """The ids of files that it speaks of."""
        return {}

    def resolved(self, found: Mapping[str, Upload]) -> Self:
        """The same with those files in their places; `found` has each by its id."""
        return self

    @property
    def streams(self) -> bool:
        """Whether the answer is wanted in pieces."""
        return bool(getattr(self, "stream", None))

    def check(self) -> None:
        """Raises InvalidRequest where fields that are each right contradict one another."""


class Request(Given, frozen=True, kw_only=True):
    """What every request for a model has. `usual` is the model where a request may name none."""

    usual: ClassVar[str] = ""

    model: str

    @property
    def wants_usage(self) -> bool:
        """Whether an answer in pieces ends with what it came to."""
        return True


S = TypeVar("S", bound=Struct)
References = Mapping[str, str]
"""Where a request speaks of a file, and the id it speaks of."""

T = TypeVar("T", bound=Given)


def decode(body: bytes, kind: type[T]) -> T:
    """The request in `body`; fields that `kind` does not declare are kept in `.extra`.

    Explicit nulls equal absence, integers serve as decimals. Raises InvalidRequest or MissingParameter with the
    message, `param` and `code` that OpenAI's own service gives.
    """
    return assembled(parsed(body), kind)


def assembled(given: dict[str, Any], kind: type[T], *, strict: bool = True) -> T:
    """Named values as a struct; unless `strict`, numbers and booleans may be written as text. Raises as `decode`
    does."""
    if issubclass(kind, Request) and not given.get("model"):
        if not kind.usual:
            raise InvalidRequest("you must provide a model parameter")
        given = {**given, "model": kind.usual}
    given = kind.shaped(given)
    known = _fields(kind)
    fields: dict[str, Any] = {EXTRA: {}}
    for name, value in given.items():
        if value is not None:
            (fields if name in known else fields[EXTRA])[name] = value
    request = convert(fields, kind, strict=strict)
    request.check()
    return request


@cache
def _fields(kind: type[Struct]) -> frozenset[str]:
    return frozenset(kind.__struct_encode_fields__)


def convert(fields: dict[str, Any], kind: type[S], *, strict: bool = True) -> S:
    """Parsed JSON as a struct. Raises as `decode` does."""
    try:
        return msgspec.convert(fields, kind, strict=strict)
    except msgspec.ValidationError as wrong:
        raise _told(str(wrong), fields) from None


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises InvalidRequest."""
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        given = None
    if not isinstance(given, dict):
        raise InvalidRequest(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
            "library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
        )
    return given


def _told(problem: str, fields: dict[str, Any]) -> InvalidRequest:
    place = _PLACE.match(problem)
    what, path = (place["what"], place["path"] or "") if place else (problem, "")
    # A mapping's key is [...] in these paths: its field is as near as OpenAI's own errors go.
    path = path.partition("[...]")[0]
    value = _at(fields, path)
    if missing := _MISSING.match(what):
        return _missing(f"{path}.{missing['name']}" if path else missing["name"])
    if unknown := _UNKNOWN.match(what):
        name = f"{path}.{unknown['name']}".lstrip(".")[:200]
        return InvalidRequest(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    if wrong := _WRONG_TYPE.match(what):
        return _wrong_type(path, wrong["expected"], wrong["got"])
    if wrong := _OUT_OF_RANGE.match(what):
        return _out_of_range(path, wrong["type"], wrong["sign"], wrong["bound"], value)
    if wrong := _LENGTH.match(what):
        return _wrong_length(path, wrong["type"], wrong["sign"], int(wrong["bound"]), value)
    return InvalidRequest(f"Invalid value for '{path}'.", param=path or None, code="invalid_value")


def _missing(path: str) -> InvalidRequest:
    return MissingParameter(f"Missing required parameter: '{path}'.", param=path)


def _wrong_type(path: str, expected: str, got: str) -> InvalidRequest:
    kinds = [kind for kind in expected.split(" | ") if kind != "null"]
    if got == "null":
        return _missing(path)
    wanted = _NAMES.get(kinds[0], kinds[0]) if len(kinds) == 1 else _either(kinds, path)
    found = "a decimal number" if got == "float" else _NAMES.get(got, got)
    return InvalidRequest(
        f"Invalid type for '{path}': expected {wanted}, but got {found} instead.", param=path, code="invalid_type"
    )


def _either(kinds: list[str], path: str) -> str:
    # The items' own type is not in msgspec's message; of the fields with two types only `content` holds objects.
    items = "array of objects" if path.endswith("content") else "array of strings"
    words = [items if kind == "array" else _NAMES.get(kind, kind).split(" ", 1)[-1] for kind in kinds]
    return f"one of a {' or '.join(words)}"


def _out_of_range(path: str, kind: str, sign: str, bound: str, value: object) -> InvalidRequest:
    name = "integer" if kind == "int" else "decimal"
    side = "below minimum" if sign == ">=" else "above maximum"
    limit = f"{float(bound):g}"
    return InvalidRequest(
        f"Invalid '{path}': {name} {side} value. Expected a value {sign} {limit}, but got {value} instead.",
        param=path,
        code=f"{name}_{side.replace('minimum', 'min').replace('maximum', 'max').replace(' ', '_')}_value",
    )


def _wrong_length(path: str, kind: str, sign: str, bound: int, value: object) -> InvalidRequest:
    if kind == "str" and isinstance(value, dict):
        value = max(value.values(), key=lambda held: len(held) if isinstance(held, str) else 0)
    size = len(value) if isinstance(value, (list, dict, str)) else 0
    if kind == "object":
        return InvalidRequest(
            f"Invalid '{path}': too many properties. Expected an object with at most {bound} properties, "
            f"but got an object with {size} properties instead.",
            param=path,
            code="object_above_max_properties",
        )
    name = "array" if kind == "array" else "string"
    if not size:
        return InvalidRequest(
            f"Invalid '{path}': empty {name}. Expected {_NAMES[kind]} with minimum length {bound}, "
            f"but got an empty {name} instead.",
            param=path,
            code=f"empty_{name}",
        )
    side, most, code = ("short", "minimum", "below_min") if sign == ">=" else ("long", "maximum", "above_max")
    return InvalidRequest(
        f"Invalid '{path}': {name} too {side}. Expected {_NAMES[kind]} with {most} length {bound}, "
        f"but got {_NAMES[kind]} with length {size} instead.",
        param=path,
        code=f"{name}_{code}_length",
    )


def invalid_value(path: str, value: object, supported: tuple[str, ...]) -> InvalidRequest:
    """`value` is none of the values `supported` at `path`."""
    *first, last = [f"'{known}'" for known in supported]
    listed = f"{', '.join(first)}, and {last}" if len(first) > 1 else " and ".join([*first, last])
    return InvalidRequest(
        f"Invalid value: '{value}'. Supported values are: {listed}.", param=path, code="invalid_value"
    )


def _at(fields: Any, path: str) -> Any:
    for index, name in _STEP.findall(path):
        try:
            fields = fields[int(index)] if index else fields[name]
        except (KeyError, IndexError, TypeError):
            return None
    return fields

"""Chat's tools and answer formats: what a client offers and asks for, and the calls in a reply."""

import re
from collections.abc import Sequence
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from adapters.errors import InvalidRequest, MissingParameter, Unsupported
from adapters.wire.base import invalid_value

CHOICES = ("none", "auto", "required")
FORMATS = ("text", "json_object", "json_schema")

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
LONGEST_NAME = 64


class CalledFunction(Struct, frozen=True):
    """The name of a function, and its arguments as JSON in a text; some clients send the object itself."""

    name: str
    arguments: str | dict[str, Any] = "{}"


class ToolCall(Struct, frozen=True, kw_only=True):
    """A call that the assistant made."""

    id: str | None = None
    type: str = "function"
    function: CalledFunction | None = None


class Function(Struct, frozen=True, kw_only=True):
    """What the model may call: a name, what it is for, and a JSON Schema of its arguments."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Struct, frozen=True, kw_only=True):
    """`function`, the one type that is served here; `custom` tools have no schema to hold a model to."""

    type: str
    function: Function | None = None


class NamedSchema(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The JSON Schema that an answer shall have, and its name."""

    name: str
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseFormat(Struct, frozen=True, omit_defaults=True):
    """text, json_object or json_schema."""

    type: str
    json_schema: NamedSchema | None = None


class Call(Struct, frozen=True, kw_only=True):
    """A tool call in a reply."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class FunctionDelta(Struct, frozen=True, kw_only=True):
    """The name once, the arguments in pieces: clients join all that comes."""

    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET


class CallDelta(Struct, frozen=True, kw_only=True):
    """What one chunk adds to the call at `index`: id, type and name come once."""

    index: int
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET
    function: FunctionDelta


def check_functions(tools: Sequence[Tool], functions: Sequence[Function], longest: int = LONGEST_NAME) -> None:
    """Raises InvalidRequest for both at once, and for a tool without a function or with a name that is none, or longer
    than `longest`."""
    if tools and functions:
        raise InvalidRequest(
            "Give 'tools' or their older form, 'functions', not both.",
            param="functions",
            code="invalid_parameter_combination",
        )
    for index, tool in enumerate(tools):
        if tool.type != "function":
            raise Unsupported(
                f"Tools of type '{tool.type[:40]}' are not supported: only 'function' is.", param=f"tools[{index}].type"
            )
        if tool.function is None:
            raise MissingParameter(
                f"Missing required parameter: 'tools[{index}].function'.", param=f"tools[{index}].function"
            )
        _check_name(tool.function.name, f"tools[{index}].function.name", longest)
    for index, function in enumerate(functions):
        _check_name(function.name, f"functions[{index}].name", longest)


def check_choice(choice: str | dict[str, Any] | None, offered: Sequence[str]) -> None:
    """Raises InvalidRequest for a choice that is none, or of a tool that is not offered."""
    if choice is None:
        return
    if isinstance(choice, str) and choice not in CHOICES:
        raise invalid_value("tool_choice", choice, CHOICES)
    if choice not in ("none", "auto") and not offered:
        raise InvalidRequest(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
            param="tool_choice",
        )
    if isinstance(choice, str):
        return
    if choice.get("type") not in ("function", "allowed_tools"):
        raise invalid_value("tool_choice.type", choice.get("type"), ("function", "allowed_tools"))
    names = chosen(choice)
    if not names:
        missing = "tool_choice.function.name" if choice["type"] == "function" else "tool_choice.allowed_tools.tools"
        raise MissingParameter(f"Missing required parameter: '{missing}'.", param=missing)
    for name in names:
        if name not in offered:
            raise InvalidRequest(f"Tool choice '{name[:100]}' not found in 'tools' parameter.", param="tool_choice")


def check_format(wanted: ResponseFormat | None) -> None:
    """Raises InvalidRequest for a format of an unknown type, or without its schema."""
    if wanted is None:
        return
    if wanted.type not in FORMATS:
        raise invalid_value("response_format.type", wanted.type, FORMATS)
    if wanted.type == "json_schema" and wanted.json_schema is None:
        missing = "response_format.json_schema"
        raise MissingParameter(f"Missing required parameter: '{missing}'.", param=missing)
    if wanted.json_schema is not None:
        _check_name(wanted.json_schema.name, "response_format.json_schema.name")


def chosen(choice: dict[str, Any]) -> list[str]:
    """The names that a `tool_choice` object speaks of."""
    allowed = choice.get("allowed_tools")
    tools = allowed.get("tools") if isinstance(allowed, dict) else [choice]
    functions = [tool.get("function") for tool in tools or () if isinstance(tool, dict)]
    names = [function.get("name") for function in functions if isinstance(function, dict)]
    return [name for name in names if isinstance(name, str)]


def _check_name(name: str, path: str, longest: int = LONGEST_NAME) -> None:
    if len(name) > longest:
        raise InvalidRequest(
            f"Invalid '{path}': string too long. Expected a string with maximum length {longest}, "
            f"but got a string with length {len(name)} instead.",
            param=path,
            code="string_above_max_length",
        )
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"Invalid '{path}': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'.",
            param=path,
            code="invalid_value",
        )

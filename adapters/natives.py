"""Inputs that some models have for tools and for the form of an answer; `instead` of them there are our own words."""

from typing import Any

from msgspec import to_builtins

from adapters.fitting import fitted
from adapters.functions import Tools, shown
from adapters.schema import Input, Schema
from adapters.wire.replicate import Inputs
from adapters.wire.tools import ResponseFormat

_TOOLS = ("tools", "tool_definitions")
_CHOICES = ("tool_choice",)
_SEVERAL = ("parallel_tool_calls",)
_FORMATS = ("response_format",)
_SCHEMAS = ("json_schema", "response_schema", "output_schema", "guided_json", "structured_output_schema")
_SWITCHES = ("json_mode", "json_output", "use_json", "enable_json")
_HOLDS = ("array", "object", "string", "any")


def tools_input(schema: Schema) -> Input | None:
    """The input that takes tools as OpenAI describes them."""
    found = schema.get(*_TOOLS)
    return found if found and found.kind in ("array", "string", "any") and not found.enum else None


def tool_inputs(tools: Tools, schema: Schema) -> Inputs:
    """The functions, and what is to be done with them, where the model has inputs for it."""
    told: Inputs = {}
    if given := tools_input(schema):
        told[given.name] = [shown(function) for function in tools.functions]
    named: Any = {"type": "function", "function": {"name": tools.named}} if tools.named else None
    if choice := schema.get(*_CHOICES):
        told[choice.name] = named or ("required" if tools.must else "auto")
    if several := schema.get(*_SEVERAL):
        told[several.name] = tools.several
    return told


def format_inputs(value: Any, schema: Schema) -> Inputs:
    """The rule for `response_format`: as it is, the schema in it alone, or a switch."""
    wanted: ResponseFormat = value
    bare = wanted.json_schema.schema if wanted.json_schema else None
    given = schema.get(*_FORMATS)
    if given and given.kind in _HOLDS and not given.enum:
        return {given.name: to_builtins(wanted)}
    held = schema.get(*_SCHEMAS)
    if bare is not None and held and held.kind in _HOLDS:
        return {held.name: bare}
    if given and (word := next((each for each in given.enum if str(each) in ("json_object", "json")), None)):
        return {given.name: word}
    switch = next((each for name in _SWITCHES if (each := schema.get(name)) and each.kind == "boolean"), None)
    return {switch.name: True} if switch else {}


def fitting(inputs: Inputs, schema: Schema) -> Inputs:
    """What of these inputs the model takes, as it takes it: objects as JSON where it wants a text."""
    fits = {name: fitted(schema.inputs[name], value) for name, value in inputs.items() if name in schema}
    return {name: fit.value for name, fit in fits.items() if fit}


def holds(inputs: Inputs, wanted: ResponseFormat) -> bool:
    """Whether these inputs say all of it: a switch says nothing of a schema."""
    return (wanted.type == "json_object" and bool(inputs)) or any(isinstance(each, dict) for each in inputs.values())

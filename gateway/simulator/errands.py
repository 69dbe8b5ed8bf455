"""What a text model is asked for beside words: calls of tools and answers in JSON, told by inputs or in the prompt."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from gateway.simulator.conversation import Conversation, Turn
from gateway.simulator.filling import filled, several
from gateway.simulator.scenes import Scene

_TOOLS = re.compile(r"<tools>\s*(.*?)\s*</tools>", re.DOTALL)
_MADE = re.compile(r"<tool_call>\s*(\{.*?\})\s*(?:</tool_call>|\Z)", re.DOTALL)
_RESULT = re.compile(r"<tool_response>\s*(\{.*?\})\s*</tool_response>", re.DOTALL)
_NAMED = re.compile(r"with a call of ([\w-]+) and nothing else")
_MUST = re.compile(r"with (?:one or several calls|exactly one call|a call of [\w-]+) and nothing else")
_ONE = re.compile(r"one call at most|exactly one call")
_SCHEMA = re.compile(r"JSON Schema\b[^{]*(?=\{)", re.IGNORECASE)
_JSON = re.compile(r"\bwith one JSON object\b|\bJSON only\b", re.IGNORECASE)
_AGAIN = re.compile(r"\b(?:call|JSON)\b.*\banswer again\b", re.IGNORECASE | re.DOTALL)
_WORD = re.compile(r"[a-z]+|[A-Z][a-z]*|\d+")
_EMPTY = {"get", "set", "fetch", "find", "list", "make", "create", "run", "the", "for", "and", "use", "tool", "current"}


class Errand(Struct, frozen=True, kw_only=True):
    """What may be called, what must be, what form the answer has, and what has come of earlier calls."""

    words: str
    tools: tuple[Mapping[str, Any], ...] = ()
    must: bool = False
    named: str = ""
    one: bool = False
    schema: Mapping[str, Any] | None = None
    made: tuple[tuple[str, Any], ...] = ()
    results: tuple[str, ...] = ()
    corrected: bool = False


def errand_of(conversation: Conversation, inputs: Mapping[str, Any]) -> Errand | None:
    """The errand in an input; None where only words are wanted."""
    told = "\n".join([conversation.system, *(turn.text for turn in conversation.turns if turn.role == "user")])
    tools = tuple(_offered(told, inputs))
    schema = _form(told, inputs)
    if not tools and schema is None:
        return None
    choice = inputs.get("tool_choice")
    named = choice.get("function", {}).get("name", "") if isinstance(choice, dict) else ""
    found = _NAMED.search(told)
    asked = [turn for turn in conversation.turns if turn.role == "user" and not _RESULT.search(turn.text)]
    corrected = bool(asked) and bool(_AGAIN.search(asked[-1].text))
    asked = [turn for turn in asked if not _AGAIN.search(turn.text)]
    since = _since(conversation.turns, asked[-1] if asked else None)
    # What was corrected counts as not said.
    since = since[:-2] if corrected else since
    return Errand(
        words=_own(asked[-1].text) if asked else "",
        tools=tools,
        must=bool(_MUST.search(told)) or choice == "required" or bool(named),
        named=named or (found[1] if found else ""),
        one=bool(_ONE.search(told)) or inputs.get("parallel_tool_calls") is False,
        schema=schema,
        made=tuple(call for turn in since for call in _calls(turn.text)),
        results=tuple(_told(found) for turn in since for found in _RESULT.findall(turn.text)),
        corrected=corrected,
    )


def run(errand: Errand, scene: Scene) -> str | None:
    """The answer a competent model gives, or the one of the scene; None where words do."""
    form = "right" if errand.corrected and not scene.stubborn else scene.form
    calls = [] if form == "silent" else _wanted(errand)
    if calls:
        return "\n".join(_written(name, arguments, form) for name, arguments in calls)
    if errand.schema is not None and form != "silent":
        return _formed(errand.schema, " ".join([errand.words, *errand.results]), form)
    if errand.results:
        return f"Here is what I found: {' '.join(errand.results)}"
    return None


def _wanted(errand: Errand) -> list[tuple[str, Any]]:
    """The calls that the words ask for and that were not made yet."""
    tools = [tool for tool in errand.tools if tool["name"] == errand.named] or list(errand.tools)
    asked = [tool for tool in tools if _asks_for(errand.words, tool)]
    if errand.must and not errand.made and not asked:
        asked = tools[:1]
    calls = [
        (tool["name"], arguments)
        for tool in asked
        for arguments in several(tool.get("parameters") or {"type": "object"}, errand.words)
    ]
    left = [call for call in calls if call not in errand.made]
    return left[:1] if errand.one else left


def _asks_for(words: str, tool: Mapping[str, Any]) -> bool:
    said = {_stem(word) for word in re.findall(r"[a-z0-9]+", words.lower())}
    if tool["name"].lower() in words.lower():
        return True
    name = {_stem(word.lower()) for word in _WORD.findall(tool["name"]) if len(word) > 2 and word.lower() not in _EMPTY}
    about = {_stem(word) for word in re.findall(r"[a-z]{4,}", str(tool.get("description") or "").lower())}
    return bool(name & said) or len(about & said) > 1


def _stem(word: str) -> str:
    return word[:5].rstrip("s") if len(word) > 3 else word


def _written(name: str, arguments: Any, form: str) -> str:
    if form == "wrong":
        arguments = {f"{key}_of_it": [value] for key, value in arguments.items()} or {"nothing": [None]}
        return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"
    call = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    if form == "broken":
        return f"<tool_call>\n{call[: len(call) // 2]}\n</tool_call>"
    if form == "loose":
        return f"<tool_call>\n{_loosely({'name': name, 'arguments': arguments})}\n</tool_call>"
    if form == "prose":
        return f"Let me see what I can find.\n\n```json\n<tool_call>\n{call}\n</tool_call>\n```\nThat should do."
    return f"<tool_call>\n{call}" if form == "unclosed" else f"<tool_call>\n{call}\n</tool_call>"


def _formed(schema: Mapping[str, Any], words: str, form: str) -> str:
    value = filled(schema, words) if schema.get("properties") or "$ref" in schema else {"answer": words.strip()}
    text = json.dumps(value, ensure_ascii=False)
    if form == "wrong":
        return json.dumps({key: [[inner]] for key, inner in value.items()} if isinstance(value, dict) else [value])
    if form == "broken":
        return text[: len(text) // 2]
    if form == "loose":
        return _loosely(value)
    if form == "prose":
        return f"Sure! Here is the JSON {{as asked}}:\n\n```json\n{text}\n```\n\nTell me if you need more."
    return text[:-1] if form == "unclosed" and text.endswith("}") else text


def _loosely(value: Any) -> str:
    return repr(value)[:-1] + ",}" if isinstance(value, dict) and value else repr(value)


def _offered(told: str, inputs: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    given = inputs.get("tools")
    listed = _decoded(given) if isinstance(given, str) else given
    lines = [line for found in _TOOLS.findall(told) for line in found.splitlines()]
    for each in [*(listed if isinstance(listed, list) else ()), *map(_decoded, lines)]:
        tool = _decoded(each) if isinstance(each, str) else each
        tool = tool.get("function", tool) if isinstance(tool, dict) else {}
        if isinstance(tool.get("name"), str):
            yield tool


def _form(told: str, inputs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for name in ("response_format", "json_schema", "response_schema", "output_schema", "guided_json"):
        given = inputs.get(name)
        given = _decoded(given) if isinstance(given, str) else given
        if isinstance(given, dict) and given.get("type") != "text":
            inner = given.get("format", given)
            inner = inner.get("json_schema", inner)
            return dict(inner.get("schema") or (inner if "properties" in inner else {}))
    if found := _SCHEMA.search(told):
        with_schema = told[found.end() :]
        for end in [found.end() for found in re.finditer(r"\}", with_schema)]:
            if isinstance(schema := _decoded(with_schema[:end]), dict):
                return schema
    return {} if _JSON.search(told) else None


def _calls(text: str) -> Iterator[tuple[str, Any]]:
    for found in _MADE.findall(text):
        call = _decoded(found)
        if isinstance(call, dict) and "name" in call:
            yield call["name"], call.get("arguments") or {}


def _since(turns: tuple[Turn, ...], asked: Turn | None) -> tuple[Turn, ...]:
    place = max((place for place, turn in enumerate(turns) if turn is asked), default=-1)
    return turns[place + 1 :]


def _told(result: str) -> str:
    held = _decoded(result)
    content = held.get("content", held) if isinstance(held, dict) else result
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _own(text: str) -> str:
    """The person's own words, where a template had no other place for the instructions than before them."""
    if "</tools>" in text or "JSON" in text:
        return text.rpartition("\n\n")[2] if "\n\n" in text else text
    return text


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None

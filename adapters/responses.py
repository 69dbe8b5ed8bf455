"""Responses: items in, items out, by way of the chat adapter."""

import re
from typing import Any, ClassVar

from msgspec.structs import replace

from adapters.base import Prepared, Stamp
from adapters.errors import ApiError
from adapters.items import Told, messages_of
from adapters.responding import Responding
from adapters.schema import Schema
from adapters.spoken import Spoken, in_words_of
from adapters.streams import Answers
from adapters.wire.chat import ChatRequest, StreamOptions
from adapters.wire.responded import Response, ResponseEvent
from adapters.wire.responses import FlatTool, ResponsesRequest, TextFormat
from adapters.wire.tools import Function, NamedSchema, ResponseFormat, Tool

_MESSAGE = re.compile(r"messages\.?\[(\d+)\](.*)")
_NAMES = (
    (re.compile(r"^max_(completion_)?tokens$"), "max_output_tokens"),
    (re.compile(r"^response_format(\.json_schema)?"), "text.format"),
    (re.compile(r"^reasoning_effort"), "reasoning.effort"),
    (re.compile(r"^verbosity"), "text.verbosity"),
    (re.compile(r"^(tools\[\d+\]|tool_choice)\.function"), r"\1"),
    (re.compile(r"^logprobs"), "top_logprobs"),
    (re.compile(r"^messages"), "input"),
)


class AsChat(ChatRequest, frozen=True, kw_only=True):
    """The chat that a response is asked as: here names of functions may be longer."""

    longest_name: ClassVar[int] = 128


class ResponsesAdapter(Spoken, frozen=True, kw_only=True):
    """Translates responses."""

    def prepare(self, request: ResponsesRequest | ChatRequest, schema: Schema) -> Prepared:
        """The input of one prediction; that of a repair is asked for as the chat it is. Raises InvalidRequest or
        Unsupported; nothing was spent."""
        if isinstance(request, ChatRequest):
            return self.chat.prepare(request, schema)
        told = messages_of(request.instructions, request.located())

        def naming(field: str) -> str:
            return _named(field, told)

        def prepare() -> Prepared:
            chat = _chat(request, told)
            chat.check()
            return self.chat.prepare(chat, schema)

        prepared = in_words_of(naming, prepare)
        return replace(prepared, ignored=(*prepared.ignored, *_meaningless(request)))

    def stream(self, request: ResponsesRequest, stamp: Stamp, prepared: Prepared) -> "ResponseStream":
        """The reply in pieces; feed it the predictions' events."""
        return ResponseStream(request, stamp, prepared)


class ResponseStream(Answers[ResponseEvent, Response]):
    """A response while it happens."""

    def __init__(self, request: ResponsesRequest, stamp: Stamp, prepared: Prepared) -> None:
        self._responding = Responding(request, stamp)
        chat = _chat(request, messages_of(request.instructions, request.located()))
        super().__init__([chat], self._responding, prepared)

    @property
    def response(self) -> Response:
        """As it stands."""
        return self._responding.response

    def announced(self) -> list[ResponseEvent]:
        """What can be told of it before its model says anything."""
        return self._responding.announced()

    def failed(self, error: ApiError) -> list[ResponseEvent]:
        """How a stream ends that failed after it had begun."""
        return self._responding.failed(error)


def _chat(request: ResponsesRequest, told: list[Told]) -> AsChat:
    text, reasoning, options = request.text, request.reasoning, request.stream_options
    return AsChat(
        model=request.model,
        messages=[each.message for each in told],
        logprobs=True if request.top_logprobs else None,
        max_completion_tokens=request.max_output_tokens,
        parallel_tool_calls=request.parallel_tool_calls,
        prompt_cache_key=request.prompt_cache_key,
        prompt_cache_options=request.prompt_cache_options,
        prompt_cache_retention=request.prompt_cache_retention,
        reasoning_effort=reasoning.effort if reasoning else None,
        response_format=_format(text.format) if text and text.format else None,
        safety_identifier=request.safety_identifier,
        service_tier=request.service_tier,
        stream=request.stream,
        stream_options=StreamOptions(include_obfuscation=options.include_obfuscation) if options else None,
        temperature=request.temperature,
        tool_choice=_choice(request.tool_choice),
        tools=[_tool(tool) for tool in request.tools] if request.tools else None,
        top_p=request.top_p,
        user=request.user,
        verbosity=text.verbosity if text else None,
        extra=request.extra,
    )


def _tool(tool: FlatTool) -> Tool:
    if tool.type != "function" or tool.name is None:
        return Tool(type=tool.type)
    function = Function(
        name=tool.name, description=tool.description, parameters=tool.parameters, strict=tool.strict or None
    )
    return Tool(type="function", function=function)


def _choice(choice: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    if not isinstance(choice, dict):
        return choice
    if choice.get("type") == "allowed_tools":
        tools = choice.get("tools")
        named = [_chosen(each) for each in tools if isinstance(each, dict)] if isinstance(tools, list) else []
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.get("mode", "auto"), "tools": named}}
    return _chosen(choice)


def _chosen(choice: dict[str, Any]) -> dict[str, Any]:
    if choice.get("type") != "function":
        return choice
    return {"type": "function", "function": {"name": choice.get("name")}}


def _format(wanted: TextFormat) -> ResponseFormat:
    if wanted.type != "json_schema":
        return ResponseFormat(wanted.type)
    schema = NamedSchema(
        name=wanted.name or "", description=wanted.description, schema=wanted.schema, strict=wanted.strict
    )
    return ResponseFormat("json_schema", schema)


def _named(field: str, told: list[Told]) -> str:
    """The field of this endpoint that became a chat's."""
    if (place := _MESSAGE.fullmatch(field)) and int(place[1]) < len(told):
        path = told[int(place[1])].path
        return path + place[2] if path.startswith("input[") else path
    for pattern, name in _NAMES:
        if pattern.search(field):
            return pattern.sub(name, field, count=1)
    return field


def _meaningless(request: ResponsesRequest) -> list[str]:
    """Wishes that nothing here could grant, though nobody is worse off without them."""
    wishes = {
        "context_management": request.context_management,
        "include": request.include,
        "max_tool_calls": request.max_tool_calls,
        "truncation": request.truncation == "auto",
    }
    return [name for name, wish in wishes.items() if wish]

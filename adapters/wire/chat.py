"""Chat completions: the request."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from msgspec import Meta, Struct
from msgspec.structs import replace

from adapters.errors import InvalidRequest, MissingParameter
from adapters.wire.base import Count, Penalty, Ratio, References, Request, Temperature, Upload, invalid_value
from adapters.wire.tools import (
    LONGEST_NAME,
    CalledFunction,
    Function,
    ResponseFormat,
    Tool,
    ToolCall,
    check_choice,
    check_format,
    check_functions,
)

ROLES = ("system", "assistant", "user", "function", "tool", "developer")
PARTS = ("text", "image_url", "input_audio", "refusal", "audio", "file", "video_url")
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


class MediaUrl(Struct, frozen=True):
    """Where a picture or film is: https or data:."""

    url: str
    detail: str | None = None


class Audio(Struct, frozen=True):
    """A recording in base64."""

    data: str
    format: str = "wav"


class Part(Struct, frozen=True, kw_only=True):
    """A piece of a message; `type` says which of the other fields counts."""

    type: str
    text: str | None = None
    refusal: str | None = None
    # The bare string is not legal at OpenAI, but older clients send it.
    image_url: MediaUrl | str | None = None
    video_url: MediaUrl | str | None = None
    input_audio: Audio | None = None
    file: dict[str, Any] | None = None

    @property
    def named(self) -> str | None:
        """The id of a file that is not here itself."""
        told = self.file or {}
        id = None if told.get("file_data") else told.get("file_id")
        return id if isinstance(id, str) else None


class Message(Struct, frozen=True, kw_only=True):
    """A turn of the conversation. `reasoning_content` comes back from clients that keep it; nobody needs it."""

    role: str
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: CalledFunction | None = None
    refusal: str | None = None
    audio: dict[str, Any] | None = None

    @property
    def parts(self) -> list[Part]:
        return self.content if isinstance(self.content, list) else []


class StreamOptions(Struct, frozen=True):
    """What a stream shall say beside its text."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(Request, frozen=True, kw_only=True):
    """Every field of OpenAI's document; what becomes of each stands in docs/models.md."""

    longest_name: ClassVar[int] = LONGEST_NAME

    messages: Annotated[list[Message], Meta(min_length=1)]
    audio: dict[str, Any] | None = None
    frequency_penalty: Penalty | None = None
    function_call: str | dict[str, Any] | None = None
    functions: Annotated[list[Function], Meta(max_length=128)] | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    max_completion_tokens: Count | None = None
    max_tokens: Count | None = None
    metadata: Annotated[dict[str, Annotated[str, Meta(max_length=512)]], Meta(max_length=16)] | None = None
    modalities: list[str] | None = None
    moderation: dict[str, Any] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    parallel_tool_calls: bool | None = None
    prediction: dict[str, Any] | None = None
    presence_penalty: Penalty | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    safety_identifier: str | None = None
    seed: int | None = None
    service_tier: str | None = None
    stop: str | list[str] | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Temperature | None = None
    tool_choice: str | dict[str, Any] | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    top_p: Ratio | None = None
    user: str | None = None
    verbosity: str | None = None
    web_search_options: dict[str, Any] | None = None

    @property
    def limit(self) -> int | None:
        """Completion tokens asked for at most."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop texts; an empty one stops nothing."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(text for text in given if text)

    @property
    def wants_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def references(self) -> References:
        return {
            f"messages[{turn}].content[{place}].file.file_id": part.named
            for turn, message in enumerate(self.messages)
            for place, part in enumerate(message.parts)
            if part.named
        }

    def resolved(self, found: Mapping[str, Upload]) -> Self:
        return replace(self, messages=[_filled(message, found) for message in self.messages])

    def check(self) -> None:
        _check_options(self)
        check_functions(self.tools or (), self.functions or (), self.longest_name)
        check_choice(self.tool_choice, [tool.function.name for tool in self.tools or () if tool.function])
        check_format(self.response_format)
        for index, message in enumerate(self.messages):
            _check_message(message, f"messages[{index}]")
        _check_tool_turns(self.messages)


def _filled(message: Message, found: Mapping[str, Upload]) -> Message:
    """With the files that it names beside their ids."""
    if not any(part.named for part in message.parts):
        return message
    parts = [
        replace(part, file={**(part.file or {}), "file_data": found[part.named].address}) if part.named else part
        for part in message.parts
    ]
    return replace(message, content=parts)


def _check_options(request: ChatRequest) -> None:
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        raise InvalidRequest(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )
    if isinstance(request.stop, list) and len(request.stop) > 4:
        raise InvalidRequest(
            f"Invalid 'stop': array too long. Expected an array with maximum length 4, "
            f"but got an array with length {len(request.stop)} instead.",
            param="stop",
            code="array_above_max_length",
        )
    if request.stream_options is not None and not request.stream:
        raise InvalidRequest(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    if request.top_logprobs is not None and not request.logprobs:
        raise InvalidRequest(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", param="top_logprobs"
        )
    _check_choices(request)


def _check_choices(request: ChatRequest) -> None:
    for name, value, known in (
        ("reasoning_effort", request.reasoning_effort, EFFORTS),
        ("verbosity", request.verbosity, ("low", "medium", "high")),
    ):
        if value is not None and value not in known:
            raise invalid_value(name, value, known)


def _check_message(message: Message, path: str) -> None:
    if message.role not in ROLES:
        raise invalid_value(f"{path}.role", message.role, ROLES)
    if message.content is None:
        _check_absence(message, path)
    if message.role == "tool" and not message.tool_call_id:
        raise MissingParameter(f"Missing required parameter: '{path}.tool_call_id'.", param=f"{path}.tool_call_id")
    if isinstance(message.content, list):
        for index, part in enumerate(message.content):
            _check_part(part, f"{path}.content[{index}]")


def _check_absence(message: Message, path: str) -> None:
    spoken = message.tool_calls or message.function_call or message.refusal or message.audio
    if message.role != "assistant" or not spoken:
        raise InvalidRequest("Invalid value for 'content': expected a string, got null.", param=f"{path}.content")


def _check_part(part: Part, path: str) -> None:
    if part.type not in PARTS:
        raise invalid_value(f"{path}.type", part.type, PARTS)
    if part.type != "audio" and getattr(part, part.type) is None:
        raise MissingParameter(f"Missing required parameter: '{path}.{part.type}'.", param=f"{path}.{part.type}")


def _check_tool_turns(messages: list[Message]) -> None:
    awaited: set[object] = set()
    for index, message in enumerate(messages):
        if message.role == "tool" and message.tool_call_id not in awaited:
            # The dot before the bracket is OpenAI's own spelling, in this error only.
            raise InvalidRequest(
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                "'tool_calls'.",
                param=f"messages.[{index}].role",
            )
        if message.role == "assistant":
            awaited = {call.id for call in message.tool_calls or ()}

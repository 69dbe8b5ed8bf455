"""Responses: the reply whole, its items, and the events of a stream."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

from adapters.wire.chatted import Usage

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]
OVER: tuple[Status, ...] = ("completed", "incomplete", "failed", "cancelled")


class OutputPart(Struct, frozen=True, kw_only=True):
    """A piece of an item's content: `output_text`, `refusal`, `reasoning_text` or `summary_text`."""

    type: str
    text: str | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    annotations: tuple[()] | UnsetType = UNSET
    logprobs: tuple[()] | UnsetType = UNSET


class OutputItem(Struct, frozen=True, kw_only=True):
    """What came of it: a `message`, a `function_call` or `reasoning`."""

    id: str
    type: Literal["message", "function_call", "reasoning"]
    status: ItemStatus
    role: Literal["assistant"] | UnsetType = UNSET
    content: tuple[OutputPart, ...] | UnsetType = UNSET
    call_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET
    summary: tuple[OutputPart, ...] | UnsetType = UNSET
    encrypted_content: UnsetType | None = UNSET


class InputDetails(Struct, frozen=True):
    """What the prompt's tokens were."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(Struct, frozen=True):
    """What the answer's tokens were; reasoning is among them."""

    reasoning_tokens: int = 0


class ResponseUsage(Struct, frozen=True, kw_only=True):
    """Tokens; the total is the sum."""

    input_tokens: int
    input_tokens_details: InputDetails = field(default_factory=InputDetails)
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int

    @classmethod
    def of(cls, usage: Usage) -> "ResponseUsage":
        """A chat's usage in this endpoint's words."""
        return cls(
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            output_tokens_details=OutputDetails(usage.completion_tokens_details.reasoning_tokens),
            total_tokens=usage.total_tokens,
        )


class Failed(Struct, frozen=True):
    """Why a response failed."""

    code: str
    message: str


class Incomplete(Struct, frozen=True):
    """Why a response ended early."""

    reason: Literal["max_output_tokens", "content_filter"]


class Response(Struct, frozen=True, kw_only=True):
    """The reply. What the request said is repeated, null where it said nothing."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Status
    background: bool = False
    error: Failed | None = None
    incomplete_details: Incomplete | None = None
    instructions: str | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    model: str
    output: tuple[OutputItem, ...] = ()
    parallel_tool_calls: bool = True
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    reasoning: dict[str, Any] = field(default_factory=dict)
    safety_identifier: str | None = None
    service_tier: str | None = "auto"
    store: bool = True
    temperature: float = 1.0
    text: dict[str, Any] = field(default_factory=dict)
    tool_choice: Any = "auto"
    tools: tuple[Any, ...] = ()
    top_logprobs: int = 0
    top_p: float = 1.0
    truncation: str = "disabled"
    usage: ResponseUsage | None = None
    user: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0


class ResponseEvent(Struct, frozen=True, kw_only=True):
    """One event of a stream; `type` says which of the other fields are there."""

    type: str
    sequence_number: int
    response: Response | UnsetType = UNSET
    output_index: int | UnsetType = UNSET
    item: OutputItem | UnsetType = UNSET
    item_id: str | UnsetType = UNSET
    content_index: int | UnsetType = UNSET
    summary_index: int | UnsetType = UNSET
    part: OutputPart | UnsetType = UNSET
    delta: str | UnsetType = UNSET
    text: str | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    arguments: str | UnsetType = UNSET
    logprobs: tuple[()] | UnsetType = UNSET

"""Chat completions: the reply whole, and the reply in chunks."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field

from adapters.wire.tools import Call, CallDelta, CalledFunction, FunctionDelta

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class PromptDetails(Struct, frozen=True):
    """What the prompt's tokens were."""

    cached_tokens: int = 0
    audio_tokens: int = 0


class CompletionDetails(Struct, frozen=True):
    """What the completion's tokens were; reasoning is among them."""

    reasoning_tokens: int = 0
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class Usage(Struct, frozen=True):
    """Tokens; the total is the sum."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails = field(default_factory=PromptDetails)
    completion_tokens_details: CompletionDetails = field(default_factory=CompletionDetails)


class Answer(Struct, frozen=True, kw_only=True):
    """The assistant's message; keys that do not apply are absent, not null."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None = None
    annotations: tuple[()] = ()
    reasoning_content: str | UnsetType = UNSET
    tool_calls: tuple[Call, ...] | UnsetType = UNSET
    function_call: CalledFunction | UnsetType = UNSET


class Choice(Struct, frozen=True, kw_only=True):
    """One of the n answers."""

    index: int
    message: Answer
    logprobs: None = None
    finish_reason: FinishReason


class ChatCompletion(Struct, frozen=True, kw_only=True):
    """The reply, whole."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: Usage
    service_tier: str | None = "default"
    system_fingerprint: str | None = None


class Delta(Struct, frozen=True, kw_only=True):
    """What one chunk adds; the finish chunk's is empty."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType = UNSET
    tool_calls: tuple[CallDelta, ...] | UnsetType = UNSET
    function_call: FunctionDelta | UnsetType = UNSET


class ChunkChoice(Struct, frozen=True, kw_only=True):
    """One answer's part of a chunk."""

    index: int
    delta: Delta
    logprobs: None = None
    finish_reason: FinishReason | None = None


class ChatChunk(Struct, frozen=True, kw_only=True):
    """A piece of the reply. `usage` is absent, null, or the numbers: see `StreamOptions.include_usage`."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: tuple[ChunkChoice, ...]
    service_tier: str | None = "default"
    system_fingerprint: str | None = None
    usage: Usage | UnsetType | None = UNSET

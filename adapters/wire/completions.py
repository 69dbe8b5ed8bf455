"""Completions, the older endpoint: a text in, what follows it out."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.errors import InvalidRequest, Unsupported
from adapters.wire.base import Count, Penalty, Ratio, Request, Temperature
from adapters.wire.chat import ChatRequest, Message, StreamOptions
from adapters.wire.chatted import Usage

MOST_ANSWERS = 128
SHORTEST = 16
"""Tokens of an answer whose length nobody named: OpenAI's default."""

Ending = Literal["stop", "length", "content_filter"]


class CompletionRequest(Request, frozen=True, kw_only=True):
    """Every field of OpenAI's document; what becomes of each stands in docs/models.md."""

    prompt: str | list[Any]
    best_of: Annotated[int, Meta(ge=1, le=20)] | None = None
    echo: bool | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    max_tokens: Count = SHORTEST
    n: Annotated[int, Meta(ge=1, le=MOST_ANSWERS)] | None = None
    presence_penalty: Penalty | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    suffix: str | None = None
    temperature: Temperature | None = None
    top_p: Ratio | None = None
    user: str | None = None

    @property
    def prompts(self) -> tuple[str, ...]:
        return (self.prompt,) if isinstance(self.prompt, str) else tuple(self.prompt)

    @property
    def chats(self) -> list[ChatRequest]:
        """For each prompt a conversation of one turn that asks for the same."""
        return [
            ChatRequest(
                model=self.model,
                messages=[Message(role="user", content=prompt)],
                frequency_penalty=self.frequency_penalty,
                logit_bias=self.logit_bias,
                max_tokens=self.max_tokens,
                n=self.n,
                presence_penalty=self.presence_penalty,
                seed=self.seed,
                stop=self.stop,
                stream=self.stream,
                stream_options=self.stream_options,
                temperature=self.temperature,
                top_p=self.top_p,
                user=self.user,
                extra=self.extra,
            )
            for prompt in self.prompts
        ]

    @property
    def wants_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def check(self) -> None:
        _check_prompt(self.prompt)
        _check_counts(self)
        self.chats[0].check()


def _check_prompt(prompt: str | list[Any]) -> None:
    if isinstance(prompt, str):
        return
    if not prompt:
        raise InvalidRequest(
            "Invalid 'prompt': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param="prompt",
            code="empty_array",
        )
    for index, text in enumerate(prompt):
        if isinstance(text, int | list):
            raise Unsupported(
                "Prompts of token ids are not supported: only the model itself knows its tokens. Send the text.",
                param="prompt",
            )
        if not isinstance(text, str):
            raise InvalidRequest(
                f"Invalid type for 'prompt[{index}]': expected a string.", param=f"prompt[{index}]", code="invalid_type"
            )


def _check_counts(request: CompletionRequest) -> None:
    wanted = request.n or 1
    if len(request.prompts) * wanted > MOST_ANSWERS:
        raise InvalidRequest(
            f"Too many answers: {len(request.prompts)} prompts of {wanted} each. At most {MOST_ANSWERS} are given at "
            "once.",
            param="prompt",
        )
    if request.best_of is not None and request.best_of < wanted:
        raise InvalidRequest("'best_of' must be at least 'n'.", param="best_of", code="invalid_value")
    if request.best_of is not None and request.best_of > wanted:
        raise Unsupported(
            "No model here tells how likely its answers are, so that the best of several could be chosen: ask for 'n' "
            "and choose yourself.",
            param="best_of",
        )
    if request.logprobs is not None:
        raise Unsupported("Unsupported parameter: 'logprobs': no model here tells any.", param="logprobs")


class CompletionChoice(Struct, frozen=True, kw_only=True):
    """One of the answers, or a piece of one: n for each prompt, in the order of the prompts."""

    text: str
    index: int
    logprobs: None = None
    finish_reason: Ending | None = None


class Completion(Struct, frozen=True, kw_only=True):
    """The reply, whole or a piece of it. `usage` is absent, null, or the numbers: see `StreamOptions.include_usage`."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: tuple[CompletionChoice, ...]
    system_fingerprint: str | None = None
    usage: Usage | UnsetType | None = UNSET

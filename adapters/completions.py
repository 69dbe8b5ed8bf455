"""Completions: a text in, what follows it out, by way of the chat adapter."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from msgspec.structs import replace

from adapters.base import Prepared, Stamp
from adapters.errors import Unsupported
from adapters.fitting import fitted
from adapters.schema import Schema
from adapters.spoken import Spoken, in_words_of
from adapters.streams import Answers
from adapters.voices import Piece
from adapters.wire.chatted import FinishReason, Usage
from adapters.wire.completions import Completion, CompletionChoice, CompletionRequest, Ending
from adapters.wire.replicate import Inputs

_SUFFIXES = ("suffix", "input_suffix", "prompt_suffix", "suffix_text")


class CompletionAdapter(Spoken, frozen=True, kw_only=True):
    """Translates completions. A base model goes on with the prompt as it is; one that knows turns answers it."""

    def prepare(self, request: CompletionRequest, schema: Schema) -> Prepared:
        """The inputs of n predictions for each prompt. Raises InvalidRequest or Unsupported; nothing was spent."""
        chat = replace(self.chat, manner=replace(self.chat.manner, raw=True))
        apart = _suffix(request.suffix, schema)
        each = [in_words_of(_named, partial(chat.prepare, one, schema)) for one in request.chats]
        inputs = tuple({**inputs, **apart} for prepared in each for inputs in prepared.inputs)
        origins = {**each[0].origins, **dict.fromkeys(apart, "suffix")}
        return replace(each[0], inputs=inputs, origins=origins)

    def stream(self, request: CompletionRequest, stamp: Stamp, prepared: Prepared) -> Answers[Completion, Completion]:
        """The reply in pieces; feed it the predictions' events."""
        return Answers(request.chats, _Wording(request, stamp), prepared)


def _named(field: str) -> str:
    return "prompt" if field.startswith("messages") else field


def _suffix(suffix: str | None, schema: Schema) -> Inputs:
    """The text that the answer shall lead to."""
    if not suffix:
        return {}
    found = schema.get(*_SUFFIXES)
    fit = fitted(found, suffix) if found else None
    if found is None or fit is None:
        raise Unsupported("This model cannot write what comes before a given text.", param="suffix")
    return {found.name: fit.value}


class _Wording:
    """OpenAI's words for completions: no roles, no thoughts, and the prompt before its answer if that was asked for."""

    def __init__(self, request: CompletionRequest, stamp: Stamp) -> None:
        self._request, self._stamp = request, stamp

    def opening(self, index: int, first: Piece) -> list[Completion]:
        prompt = self._echoed(index)
        return [self._chunk(index, prompt)] if prompt else []

    def chunks(self, index: int, piece: Piece) -> list[Completion]:
        return [self._chunk(index, piece.answer)] if piece.answer else []

    def closing(self, index: int, reason: FinishReason) -> list[Completion]:
        return [self._chunk(index, "", self._ending(reason))]

    def ending(self, count: Callable[[], Usage]) -> list[Completion]:
        return [self._completion((), count())] if self._request.wants_usage else []

    def whole(self, answers: Sequence[tuple[Piece, FinishReason]], usage: Usage) -> Completion:
        choices = tuple(
            CompletionChoice(text=self._echoed(index) + piece.answer, index=index, finish_reason=self._ending(reason))
            for index, (piece, reason) in enumerate(answers)
        )
        return self._completion(choices, usage)

    def reason(self, reason: FinishReason, *, called: bool) -> FinishReason:
        return reason

    def _echoed(self, index: int) -> str:
        return self._request.prompts[index // (self._request.n or 1)] if self._request.echo else ""

    def _ending(self, reason: FinishReason) -> Ending:
        return cast(Ending, reason)

    def _chunk(self, index: int, text: str, reason: Ending | None = None) -> Completion:
        choice = CompletionChoice(text=text, index=index, finish_reason=reason)
        return self._completion((choice,), None)

    def _completion(self, choices: tuple[CompletionChoice, ...], usage: Usage | None) -> Completion:
        told: dict[str, Any] = {} if usage is None and not self._request.wants_usage else {"usage": usage}
        stamp = self._stamp
        return Completion(id=stamp.id, created=stamp.created, model=stamp.model, choices=choices, **told)

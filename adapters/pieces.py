"""How a chat completion is worded: pieces of an answer as chunks, and all of them as one reply."""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET, Raw

from adapters.base import Stamp
from adapters.calling import Called
from adapters.functions import Tools
from adapters.voices import Piece
from adapters.wire.chatted import Answer, ChatChunk, ChatCompletion, Choice, ChunkChoice, Delta, FinishReason, Usage
from adapters.wire.tools import Call, CallDelta, CalledFunction, FunctionDelta

_OPENING = Delta(role="assistant", content="", refusal=None)
_OPENING_CALLS = Delta(role="assistant", content=None, refusal=None)
_CLOSING = Delta()
_ID_DIGITS = 24
# No string can hold it: the quotes in one are escaped.
_HOLE = b'"content":""'

AnyChunk = ChatChunk | Raw
"""One that is encoded already is `Raw`."""

_encode = msgspec.json.Encoder().encode


class Wording:
    """OpenAI's words for one call's answers; calls are numbered as they come."""

    def __init__(self, stamp: Stamp, tools: Tools | None, *, usage: bool) -> None:
        self._stamp, self._tools, self._usage = stamp, tools, usage
        self._calls: dict[int, int] = {}
        self._around: dict[int, tuple[bytes, bytes]] = {}

    def opening(self, index: int, first: Piece) -> list[AnyChunk]:
        """The chunk that says who speaks. Before calls there is no content, else an empty one."""
        return [self._chunk(index, _OPENING_CALLS if first.calls and not first.answer else _OPENING)]

    def chunks(self, index: int, piece: Piece) -> list[AnyChunk]:
        chunks: list[AnyChunk] = []
        if piece.thought:
            chunks.append(self._chunk(index, Delta(reasoning_content=piece.thought)))
        if piece.answer:
            chunks.append(self._words(index, piece.answer))
        if piece.refusal:
            chunks.append(self._chunk(index, Delta(refusal=piece.refusal)))
        for call in piece.calls:
            chunks += [self._chunk(index, delta) for delta in self._call_deltas(index, call)]
        return chunks

    def closing(self, index: int, reason: FinishReason) -> list[AnyChunk]:
        return [self._chunk(index, _CLOSING, reason)]

    def ending(self, count: Callable[[], Usage]) -> list[AnyChunk]:
        """The usage chunk, if it was asked for."""
        if not self._usage:
            return []
        stamp = self._stamp
        return [ChatChunk(id=stamp.id, created=stamp.created, model=stamp.model, choices=(), usage=count())]

    def whole(self, answers: Sequence[tuple[Piece, FinishReason]], usage: Usage) -> ChatCompletion:
        stamp = self._stamp
        choices = tuple(self._choice(index, *answer) for index, answer in enumerate(answers))
        return ChatCompletion(id=stamp.id, created=stamp.created, model=stamp.model, choices=choices, usage=usage)

    def _choice(self, index: int, shown: Piece, reason: FinishReason) -> Choice:
        """One answer, whole."""
        calls = [Call(id=self._id(index, place), function=_function(call)) for place, call in enumerate(shown.calls)]
        legacy = bool(self._tools and self._tools.legacy)
        silent = bool(calls or shown.refusal) and not shown.answer
        answer = Answer(
            content=None if silent else shown.answer,
            refusal=shown.refusal or None,
            reasoning_content=shown.thought or UNSET,
            tool_calls=tuple(calls) if calls and not legacy else UNSET,
            function_call=calls[0].function if calls and legacy else UNSET,
        )
        return Choice(index=index, message=answer, finish_reason=reason)

    def reason(self, reason: FinishReason, *, called: bool) -> FinishReason:
        """The finish reason as OpenAI gives it: a named tool's call is an ordinary end."""
        if not called or reason != "stop" or self._tools is None:
            return reason
        if self._tools.legacy:
            return "stop" if self._tools.named else "function_call"
        return "stop" if self._tools.named else "tool_calls"

    def _call_deltas(self, index: int, call: Called) -> list[Delta]:
        """Id and name, then the arguments: clients join whatever comes twice."""
        place = self._calls.get(index, 0)
        self._calls[index] = place + 1
        named, told = FunctionDelta(name=call.name, arguments=""), FunctionDelta(arguments=call.arguments)
        if self._tools and self._tools.legacy:
            return [Delta(function_call=named), Delta(function_call=told)]
        first = CallDelta(index=place, id=self._id(index, place), type="function", function=named)
        return [Delta(tool_calls=(first,)), Delta(tool_calls=(CallDelta(index=place, function=told),))]

    def _id(self, index: int, place: int) -> str:
        """Of at most 40 characters, which is all that some clients keep."""
        told = self._stamp.id.rpartition("-")[2]
        return f"call_{told[:_ID_DIGITS]}{index:02x}{place:02x}"

    def _words(self, index: int, text: str) -> Raw:
        """A chunk of words alone, as there is one for each token: all else is the same in them, and encoded once."""
        if index not in self._around:
            before, hole, after = _encode(self._chunk(index, Delta(content=""))).partition(_HOLE)
            self._around[index] = before + hole[:-2], after
        before, after = self._around[index]
        return Raw(b"%b%b%b" % (before, _encode(text), after))

    def _chunk(self, index: int, delta: Delta, reason: FinishReason | None = None) -> ChatChunk:
        stamp = self._stamp
        return ChatChunk(
            id=stamp.id,
            created=stamp.created,
            model=stamp.model,
            choices=(ChunkChoice(index=index, delta=delta, finish_reason=reason),),
            usage=None if self._usage else UNSET,
        )


def _function(call: Called) -> CalledFunction:
    return CalledFunction(call.name, call.arguments)

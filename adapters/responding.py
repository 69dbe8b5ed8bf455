"""How a response is worded: pieces of an answer as items and events, in OpenAI's order, and the response they make."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from msgspec import UNSET
from msgspec.structs import replace

from adapters.base import Stamp
from adapters.calling import Called
from adapters.errors import ApiError
from adapters.repeating import begun
from adapters.voices import Piece
from adapters.wire.chatted import FinishReason, Usage
from adapters.wire.responded import (
    Failed,
    Incomplete,
    ItemStatus,
    OutputItem,
    OutputPart,
    Response,
    ResponseEvent,
    ResponseUsage,
)
from adapters.wire.responses import ResponsesRequest

_CALL_DIGITS = 24
_ENDINGS: dict[str, Incomplete] = {
    "length": Incomplete("max_output_tokens"),
    "content_filter": Incomplete("content_filter"),
}


class Style(NamedTuple):
    """A sort of text: the type of its parts, and what its events are called."""

    type: str
    event: str
    place: str = "content"

    @property
    def part(self) -> str:
        return "response.content_part" if self.place == "content" else "response.reasoning_summary_part"


TEXT = Style("output_text", "response.output_text")
REFUSAL = Style("refusal", "response.refusal")
THOUGHT = Style("reasoning_text", "response.reasoning_text")
SUMMARY = Style("summary_text", "response.reasoning_summary_text", "summary")


class Responding:
    """OpenAI's words for one answer. An item is opened when its first piece comes and closed when another follows."""

    def __init__(self, request: ResponsesRequest, stamp: Stamp) -> None:
        self._request, self._stamp = request, stamp
        self._thinking = SUMMARY if request.summarised else THOUGHT
        self._response = begun(request, stamp)
        self._items: list[OutputItem] = []
        self._style: Style | None = None
        self._said = ""
        self._parts: list[OutputPart] = []
        self._sequence = 0
        self._opened = False
        self._ending: Incomplete | None = None

    @property
    def response(self) -> Response:
        """As it stands."""
        return self._response

    def announced(self) -> list[ResponseEvent]:
        """That there is a response; of one in the background, that it waits."""
        running = self._response
        if not running.background:
            return [self._whole("response.created")]
        self._response = replace(running, status="queued")
        waiting = [self._whole("response.created"), self._whole("response.queued")]
        self._response = running
        return waiting

    def opening(self, index: int, first: Piece) -> list[ResponseEvent]:
        """That it is in progress, behind what was not announced yet."""
        if self._opened:
            return []
        self._opened = True
        return [*([] if self._sequence else self.announced()), self._whole("response.in_progress")]

    def chunks(self, index: int, piece: Piece) -> Iterator[ResponseEvent]:
        yield from self._text(self._thinking, piece.thought)
        yield from self._text(TEXT, piece.answer)
        yield from self._text(REFUSAL, piece.refusal)
        for call in piece.calls:
            yield from self._close("completed")
            yield from self._call(call)

    def closing(self, index: int, reason: FinishReason) -> Iterator[ResponseEvent]:
        self._ending = _ENDINGS.get(reason)
        if self._style not in (TEXT, REFUSAL) and self._ending is None and not self._answered:
            yield from self._close("completed")
            yield from self._open(TEXT)
        yield from self._close("incomplete" if self._ending else "completed")

    def ending(self, count: Callable[[], Usage]) -> list[ResponseEvent]:
        status = "incomplete" if self._ending else "completed"
        self._response = replace(
            self._response,
            status=status,
            incomplete_details=self._ending,
            output=tuple(self._items),
            service_tier="default",
            usage=ResponseUsage.of(count()),
        )
        return [self._whole(f"response.{status}")]

    def whole(self, answers: Sequence[tuple[Piece, FinishReason]], usage: Usage) -> Response:
        # From the first piece on, whatever of them was told already.
        told = Responding(self._request, self._stamp)
        for index, (piece, reason) in enumerate(answers):
            told.opening(index, piece)
            list(told.chunks(index, piece))
            list(told.closing(index, reason))
        told.ending(lambda: usage)
        return told.response

    def reason(self, reason: FinishReason, *, called: bool) -> FinishReason:
        return reason

    def failed(self, error: ApiError) -> list[ResponseEvent]:
        """The end of a response that failed after its status had left."""
        opening = self.opening(0, Piece())
        self._response = replace(failed(self._response, error), output=tuple(self._items))
        return [*opening, self._whole("response.failed")]

    def item(self, item: OutputItem) -> Iterator[ResponseEvent]:
        """All of an item that is whole."""
        thoughts = [*(item.content or ()), *(item.summary or ())] if item.type == "reasoning" else []
        for part in thoughts:
            yield from self._text(SUMMARY if part.type == SUMMARY.type else THOUGHT, part.text or "")
        for part in (item.content or ()) if item.type == "message" else ():
            yield from self._text(REFUSAL, part.refusal or "") if part.refusal else self._text(TEXT, part.text or "")
        if item.type == "function_call":
            yield from self._call(Called(item.name or "", item.arguments or ""))
        yield from self._close(item.status)

    def over(self, response: Response) -> ResponseEvent:
        """The end, as it was."""
        self._response = response
        return self._whole(f"response.{response.status}")

    @property
    def _answered(self) -> bool:
        return any(item.type != "reasoning" for item in self._items)

    @property
    def _item_id(self) -> str:
        prefix = "rs" if self._style in (THOUGHT, SUMMARY) else "msg"
        return self._id(prefix)

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._response.id.removeprefix('resp_')}{len(self._items):02x}"

    def _text(self, style: Style, delta: str) -> Iterator[ResponseEvent]:
        if not delta:
            return
        if self._style is not style:
            yield from self._turn(style)
        self._said += delta
        logprobs = () if style is TEXT else UNSET
        yield self._part_event(f"{style.event}.delta", delta=delta, logprobs=logprobs)

    def _turn(self, style: Style) -> Iterator[ResponseEvent]:
        """To another sort of text: a further part of a message, or a further item."""
        if self._style is TEXT and style is REFUSAL:
            yield from self._close_part()
            self._style = style
            yield from self._open_part()
        else:
            yield from self._close("completed")
            yield from self._open(style)

    def _open(self, style: Style) -> Iterator[ResponseEvent]:
        self._style, self._parts = style, []
        yield self._event("response.output_item.added", item=self._item("in_progress"), item_id=UNSET)
        yield from self._open_part()

    def _open_part(self) -> Iterator[ResponseEvent]:
        assert self._style
        self._said = ""
        yield self._part_event(f"{self._style.part}.added", part=_part(self._style, ""))

    def _close_part(self) -> Iterator[ResponseEvent]:
        assert self._style
        style, part = self._style, _part(self._style, self._said)
        said: dict[str, Any] = {"refusal": self._said} if style is REFUSAL else {"text": self._said}
        logprobs = () if style is TEXT else UNSET
        yield self._part_event(f"{style.event}.done", **said, logprobs=logprobs)
        yield self._part_event(f"{style.part}.done", part=part)
        self._parts.append(part)

    def _close(self, status: ItemStatus) -> Iterator[ResponseEvent]:
        """The end of the item that is open, if one is."""
        if self._style is None:
            if status == "incomplete" and self._items:
                self._items[-1] = replace(self._items[-1], status=status)
            return
        yield from self._close_part()
        item = self._item(status)
        yield self._event("response.output_item.done", item=item, item_id=UNSET)
        self._items.append(item)
        self._style = None

    def _call(self, call: Called) -> Iterator[ResponseEvent]:
        call_id = f"call_{self._response.id.removeprefix('resp_')[:_CALL_DIGITS]}{len(self._items):02x}"
        item = OutputItem(
            id=self._id("fc"),
            type="function_call",
            status="in_progress",
            call_id=call_id,
            name=call.name,
            arguments="",
        )
        done = replace(item, status="completed", arguments=call.arguments)
        event = "response.function_call_arguments"
        yield self._event("response.output_item.added", item=item, item_id=UNSET)
        yield self._event(f"{event}.delta", item_id=item.id, delta=call.arguments)
        yield self._event(f"{event}.done", item_id=item.id, name=call.name, arguments=call.arguments)
        yield self._event("response.output_item.done", item=done, item_id=UNSET)
        self._items.append(done)

    def _item(self, status: ItemStatus) -> OutputItem:
        parts = tuple(self._parts)
        if self._style is SUMMARY:
            return OutputItem(id=self._item_id, type="reasoning", status=status, summary=parts, encrypted_content=None)
        if self._style is THOUGHT:
            return OutputItem(
                id=self._item_id, type="reasoning", status=status, summary=(), content=parts, encrypted_content=None
            )
        return OutputItem(id=self._item_id, type="message", status=status, role="assistant", content=parts)

    def _part_event(self, type: str, **told: Any) -> ResponseEvent:
        assert self._style
        place = "content_index" if self._style.place == "content" else "summary_index"
        return self._event(type, **{"item_id": self._item_id, place: len(self._parts), **told})

    def _event(self, type: str, **told: Any) -> ResponseEvent:
        self._sequence += 1
        return ResponseEvent(type=type, sequence_number=self._sequence - 1, output_index=len(self._items), **told)

    def _whole(self, type: str) -> ResponseEvent:
        self._sequence += 1
        return ResponseEvent(type=type, sequence_number=self._sequence - 1, response=self._response)


def replayed(request: ResponsesRequest, response: Response) -> list[ResponseEvent]:
    """The events of a stream that comes to this response, each of its texts in one piece."""
    told = Responding(request, Stamp(response.id, response.created_at, response.model))
    events = told.opening(0, Piece())
    for item in response.output:
        events += told.item(item)
    return [*events, told.over(response)]


def failed(response: Response, error: ApiError) -> Response:
    """The response, failed with this error."""
    code = error.code if error.code in ("rate_limit_exceeded", "invalid_prompt") else "server_error"
    return replace(response, status="failed", error=Failed(code, error.message))


def _part(style: Style, said: str) -> OutputPart:
    if style is TEXT:
        return OutputPart(type=style.type, text=said, annotations=(), logprobs=())
    return OutputPart(type=style.type, refusal=said) if style is REFUSAL else OutputPart(type=style.type, text=said)

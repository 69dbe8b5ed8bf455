"""An answer while it happens: events in, chunks out; and the same, at once, for the whole reply."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

from adapters.base import Prepared, Stamp
from adapters.conversations import conversation
from adapters.errors import ApiError, ContentRefused, InvalidAnswer
from adapters.failures import failure, failure_told
from adapters.pieces import AnyChunk, Wording
from adapters.repairs import repair_request
from adapters.usage import Counted, counted, together
from adapters.voices import Piece, Voice
from adapters.wire.chat import ChatRequest
from adapters.wire.chatted import ChatCompletion, FinishReason, Usage
from adapters.wire.replicate import Event, Failure, Output, Prediction

C = TypeVar("C")
W = TypeVar("W")
C_co = TypeVar("C_co", covariant=True)
W_co = TypeVar("W_co", covariant=True)

_LINE = 20
_NOTHING = Piece()


class Worded(Protocol[C_co, W_co]):
    """How an endpoint words answers: what is said before the first piece of one, its pieces, its end, the end of all,
    and the reply in one piece."""

    def opening(self, index: int, first: Piece) -> Iterable[C_co]: ...
    def chunks(self, index: int, piece: Piece) -> Iterable[C_co]: ...
    def closing(self, index: int, reason: FinishReason) -> Iterable[C_co]: ...
    def ending(self, count: Callable[[], Usage]) -> Iterable[C_co]: ...
    def whole(self, answers: Sequence[tuple[Piece, FinishReason]], usage: Usage) -> W_co: ...
    def reason(self, reason: FinishReason, *, called: bool) -> FinishReason: ...


class Answers(Generic[C, W]):
    """One call's chunks, for predictions told apart by `Event.index`: as many for each of the `requests`, in their
    order. No I/O: events in, chunks out."""

    def __init__(self, requests: Sequence[ChatRequest], wording: Worded[C, W], prepared: Prepared) -> None:
        self._requests = requests
        self._each_has = max(1, len(prepared.inputs) // len(requests))
        self._reading = prepared.reading
        self._unsaid = prepared.unsaid
        self._voices = [Voice(prepared.reading) for _ in prepared.inputs]
        self._ended: dict[int, Piece] = {}
        self._repairs: dict[int, tuple[Voice, Prediction]] = {}
        self._repairing: int | None = None
        self._failing = False
        self._wording = wording

    @property
    def complete(self) -> bool:
        """Nothing more is wanted: every answer met its stop or its length, so upstream may be cancelled."""
        return all(voice.complete for voice in self._voices)

    def wants(self, index: int) -> bool:
        """This prediction's answer is not complete yet."""
        return not self._voices[index].complete

    @property
    def doom(self) -> ApiError | None:
        """The failure of one answer, without which there is no reply: the others need not be waited for."""
        return next(filter(None, map(self._doomed, self._voices)), None) if self._failing else None

    def feed(self, event: Event) -> list[C]:
        """The chunks an event yields: none for most that are not text."""
        return self._chunks(event.index, self.hear(event))

    def hear(self, event: Event) -> Piece:
        """What an event adds to its answer, for whoever wants that whole."""
        voice = self._voices[event.index]
        if isinstance(event, Output):
            return voice.hear(event.text)
        if isinstance(event, Failure):
            voice.failure = event
            self._failing = True
        return _NOTHING

    def repair(self, predictions: Sequence[Prediction]) -> ChatRequest | None:
        """What to ask again because an answer is not in the form asked for; None if all are, or were asked again.

        To be called when all `predictions` (in the order of the prepared inputs) have ended, and again after each
        `mend`. Raises what a failed prediction means.
        """
        for index, (voice, prediction) in enumerate(self._each(predictions)):
            self._end(index, voice, prediction)
            self._judged(voice, prediction)
            if voice.fault and index not in self._repairs:
                self._repairing = index
                return repair_request(self._requests[index // self._each_has], voice)
        return None

    def mend(self, predictions: Sequence[Prediction]) -> None:
        """The answer to what `repair` asked. Raises what a failed prediction means."""
        index, [prediction] = self._repairing, predictions
        assert index is not None
        if error := failure(prediction, self._private()):
            raise error
        voice = self._repairs[index] = (Voice(self._reading, self._voices[index]), prediction)
        piece = voice[0].read(prediction)
        self._ended[index] = self._ended[index].plus(piece).plus(voice[0].end(prediction))

    def close(self, predictions: Sequence[Prediction]) -> list[C]:
        """What was held back, the end of each answer, and the end of all.

        `predictions` in the order of the prepared inputs. Raises what a failed one means, and InvalidAnswer.
        """
        chunks: list[C] = []
        for index, (voice, prediction) in enumerate(self._each(predictions)):
            self._end(index, voice, prediction)
            chunks += self._chunks(index, self._ended[index])
            reason = self._reason(index, voice, prediction)
            if not voice.opened:
                chunks += self._wording.opening(index, Piece())
            chunks += self._wording.closing(index, reason)
        return [*chunks, *self._wording.ending(lambda: self._count(predictions).usage)]

    def whole(self, predictions: Sequence[Prediction]) -> W:
        """The reply as one object, of the same rules."""
        answers: list[tuple[Piece, FinishReason]] = []
        for index, (voice, prediction) in enumerate(self._each(predictions)):
            self._end(index, voice, prediction)
            reason = self._reason(index, voice, prediction)
            shown = voice.shown.plus(self._repairs[index][0].shown) if index in self._repairs else voice.shown
            answers.append((shown, reason))
        return self._wording.whole(answers, self._count(predictions).usage)

    def counted(self, predictions: Sequence[Prediction]) -> Counted:
        """Tokens of the call and their grounds, after `close`, or straight from the predictions."""
        for index, (voice, prediction) in enumerate(self._each(predictions)):
            if prediction and not voice.raw:
                self._end(index, voice, prediction)
        return self._count(predictions)

    def _each(self, predictions: Sequence[Prediction]) -> Iterator[tuple[Voice, Prediction | None]]:
        for index, voice in enumerate(self._voices):
            yield voice, predictions[index] if index < len(predictions) else None

    def _end(self, index: int, voice: Voice, prediction: Prediction | None) -> None:
        if index not in self._ended:
            first = voice.read(prediction) if prediction and not voice.raw else Piece()
            self._ended[index] = first.plus(voice.end(prediction))

    def _chunks(self, index: int, piece: Piece) -> list[C]:
        if not piece:
            return []
        voice = self._voices[index]
        opening = [] if voice.opened else self._wording.opening(index, piece)
        voice.opened = True
        return [*opening, *self._wording.chunks(index, piece)]

    def _doomed(self, voice: Voice) -> ApiError | None:
        if voice.failure is None or voice.complete:
            return None
        error = failure_told(voice.failure.detail, self._private())
        return None if isinstance(error, ContentRefused) and voice.shown.answer else error

    def _reason(self, index: int, voice: Voice, prediction: Prediction | None) -> FinishReason:
        """Why an answer ended. Raises if it failed, or is not what was asked for in spite of its repair."""
        reason = self._judged(voice, prediction)
        if index in self._repairs:
            voice = self._repairs[index][0]
            reason = voice.reason or reason
        if voice.fault and reason == "stop":
            raise self._invalid(voice)
        return self._wording.reason(reason, called=bool(voice.made))

    def _invalid(self, voice: Voice) -> InvalidAnswer:
        if not voice.misspoken:
            param, what = "response_format", "gave no JSON of the form asked for"
        else:
            tools = self._reading.tools
            param, what = "tool_choice" if tools and tools.must else "tools", "made no valid call"
        return InvalidAnswer(f"The model {what}, and did not when it was asked again.", param=param)

    def _judged(self, voice: Voice, prediction: Prediction | None) -> FinishReason:
        """Why this answer ended. Raises if it failed; a refusal in the middle of an answer is an ending of its own."""
        if voice.complete:
            return voice.reason or "stop"
        if prediction and prediction.status == "succeeded":
            return voice.reason or "stop"
        error = failure(prediction, self._private()) if prediction else None
        if error is None and voice.failure:
            error = failure_told(voice.failure.detail, self._private())
        if error is None:
            return voice.reason or "stop"
        if isinstance(error, ContentRefused) and voice.shown.answer:
            return "content_filter"
        raise error

    def _private(self) -> list[str]:
        texts = [conversation(request.messages).text for request in self._requests]
        return [*texts, *self._unsaid, *(line for text in texts for line in text.splitlines() if len(line) >= _LINE)]

    def _count(self, predictions: Sequence[Prediction]) -> Counted:
        prompts = [partial(self._told, request) for request in self._requests]
        heard = [
            counted(prediction, prompts[index // self._each_has], *voice.spoken)
            for index, (voice, prediction) in enumerate(self._each(predictions))
        ]
        size = self._each_has
        asked = [together(heard[start : start + size]) for start in range(0, len(heard), size)]
        again = [
            counted(prediction, prompts[index // size], *voice.spoken)
            for index, (voice, prediction) in self._repairs.items()
        ]
        if len(asked) == 1 and not again:
            return asked[0]
        # Of several prompts each is paid for, and so is that of a repair.
        return Counted(
            sum(each.input for each in (*asked, *again)),
            sum(each.output for each in (*asked, *again)),
            sum(each.reasoning for each in (*asked, *again)),
            together([*asked, *again]).basis,
        )

    def _told(self, request: ChatRequest) -> str:
        told = [conversation(request.messages).text]
        return "\n".join(told + [part.instructions for part in (self._reading.tools, self._reading.format) if part])


class ChatStream(Answers[AnyChunk, ChatCompletion]):
    """A chat completion: n answers to one request."""

    def __init__(self, request: ChatRequest, stamp: Stamp, prepared: Prepared) -> None:
        wording = Wording(stamp, prepared.reading.tools, usage=request.wants_usage)
        super().__init__([request], wording, prepared)

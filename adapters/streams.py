"""A chat completion while it happens: events in, chunks out; and the same, at once, for the whole reply."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec import UNSET

from adapters.base import Prepared, Reading, Stamp
from adapters.conversations import conversation
from adapters.errors import ApiError, ContentRefused, PredictionFailed
from adapters.failures import failure, failure_told
from adapters.outputs import text_of
from adapters.stops import Length, Stops
from adapters.thoughts import Thoughts
from adapters.usage import Counted, counted, together
from adapters.wire.chat import (
    Answer,
    ChatChunk,
    ChatCompletion,
    ChatRequest,
    Choice,
    ChunkChoice,
    Delta,
    FinishReason,
)
from adapters.wire.replicate import Event, Failure, Output, Prediction

_OPENING = Delta(role="assistant", content="", refusal=None)
_CLOSING = Delta()
_LINE = 20


class Piece(NamedTuple):
    """Text that may be shown: thoughts, or answer."""

    thought: str = ""
    answer: str = ""


class Voice:
    """One of the n answers: what came, what of it may be shown, and why it ended."""

    def __init__(self, reading: Reading) -> None:
        self.raw: list[str] = []
        self.thought: list[str] = []
        self.answer: list[str] = []
        self.opened = False
        self.failure: Failure | None = None
        self.reason: FinishReason | None = None
        self._reading = reading
        self._thoughts = Thoughts(inside=reading.thinking)
        self._stops = Stops(reading.stops)
        self._length = Length(reading.limit if reading.cut else None)

    @property
    def complete(self) -> bool:
        """Nothing that may still come would be shown."""
        return self._stops.met or self._length.met

    def hear(self, text: str) -> Piece:
        """What is certain now that `text` has come."""
        self.raw.append(text)
        told = self._thoughts.feed(text)
        return self._show(told.thought, self._stops.feed(told.answer))

    def end(self, prediction: Prediction | None) -> Piece:
        """What was held back, and what the stream left out of the prediction's own output."""
        late = "" if self.complete or prediction is None else self._missed(prediction)
        first = self.hear(late) if late else Piece()
        told = self._thoughts.close()
        rest = self._stops.feed(told.answer)
        last = self._show(told.thought, rest + ("" if self._stops.met else self._stops.close()))
        self.reason = self._reason(prediction)
        return Piece(first.thought + last.thought, first.answer + last.answer)

    def _show(self, thought: str, answer: str) -> Piece:
        piece = Piece(self._length.feed(thought), self._length.feed(answer))
        if piece.thought:
            self.thought.append(piece.thought)
        if piece.answer:
            self.answer.append(piece.answer)
        return piece

    @property
    def shown(self) -> Piece:
        """All that was shown until now."""
        return Piece("".join(self.thought), "".join(self.answer))

    def _missed(self, prediction: Prediction) -> str:
        whole, heard = text_of(prediction.output), "".join(self.raw)
        return whole[len(heard) :] if whole.startswith(heard) else ""

    def _reason(self, prediction: Prediction | None) -> FinishReason:
        # Only shown text is measured: a length that was met was met before any stop.
        if self._length.met:
            return "length"
        return "length" if prediction and not self._stops.met and self._ran_out(prediction) else "stop"

    def _ran_out(self, prediction: Prediction) -> bool:
        if prediction.status == "succeeded" and prediction.error:
            # Seen once: "Prediction timed out", with what there was by then.
            return True
        limit = self._reading.limit
        if limit is None:
            return False
        measured = prediction.metrics.output_tokens if prediction.metrics else None
        # A model without metrics writes one item a token, or less: as many items as the limit is the limit reached.
        items = len(prediction.output) if isinstance(prediction.output, list) else 0
        return (measured if measured is not None else items) >= limit


def _read(prediction: Prediction) -> str:
    if prediction.data_removed and prediction.output is None:
        raise PredictionFailed("The answer is gone: Replicate removes outputs an hour after they were made.")
    return text_of(prediction.output)


class ChatStream:
    """One call's chunks, for n predictions told apart by `Event.index`. No I/O: events in, chunks out."""

    def __init__(self, request: ChatRequest, stamp: Stamp, prepared: Prepared) -> None:
        self._request = request
        self._stamp = stamp
        self._unsaid = prepared.unsaid
        self._voices = [Voice(prepared.reading) for _ in prepared.inputs]

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
        return next(filter(None, map(self._doomed, self._voices)), None)

    def feed(self, event: Event) -> list[ChatChunk]:
        """The chunks an event yields: none for most that are not text."""
        voice = self._voices[event.index]
        if isinstance(event, Output):
            return list(self._chunks(event.index, voice.hear(event.text))) if not voice.complete else []
        if isinstance(event, Failure):
            voice.failure = event
        return []

    def close(self, predictions: Sequence[Prediction]) -> list[ChatChunk]:
        """What was held back, a finish chunk for each answer, and the usage if it was asked for.

        `predictions` in the order of the prepared inputs. Raises what a failed one means.
        """
        chunks: list[ChatChunk] = []
        for index, (voice, prediction) in enumerate(self._each(predictions)):
            piece = voice.end(prediction)
            chunks += self._chunks(index, piece)
            reason = self._judged(voice, prediction)
            if not voice.opened:
                chunks += self._opened(index)
            chunks.append(self._chunk(index, _CLOSING, reason))
        if self._request.wants_usage:
            chunks.append(self._usage_chunk(predictions))
        return chunks

    def whole(self, predictions: Sequence[Prediction]) -> ChatCompletion:
        """The reply as one object, of the same rules."""
        choices: list[Choice] = []
        for index, (voice, prediction) in enumerate(self._each(predictions)):
            if prediction and not voice.raw:
                voice.hear(_read(prediction))
            voice.end(prediction)
            reason = self._judged(voice, prediction)
            shown = voice.shown
            answer = Answer(content=shown.answer, reasoning_content=shown.thought or UNSET)
            choices.append(Choice(index=index, message=answer, finish_reason=reason))
        return ChatCompletion(
            id=self._stamp.id,
            created=self._stamp.created,
            model=self._stamp.model,
            choices=tuple(choices),
            usage=self._count(predictions).usage,
        )

    def counted(self, predictions: Sequence[Prediction]) -> Counted:
        """Tokens of the call and their grounds, after `close`, or straight from the predictions."""
        for voice, prediction in self._each(predictions):
            if prediction and not voice.raw:
                voice.hear(text_of(prediction.output))
                voice.end(prediction)
        return self._count(predictions)

    def _each(self, predictions: Sequence[Prediction]) -> Iterator[tuple[Voice, Prediction | None]]:
        for index, voice in enumerate(self._voices):
            yield voice, predictions[index] if index < len(predictions) else None

    def _chunks(self, index: int, piece: Piece) -> Iterator[ChatChunk]:
        if not piece.thought and not piece.answer:
            return
        if not self._voices[index].opened:
            yield from self._opened(index)
        if piece.thought:
            yield self._chunk(index, Delta(reasoning_content=piece.thought))
        if piece.answer:
            yield self._chunk(index, Delta(content=piece.answer))

    def _opened(self, index: int) -> list[ChatChunk]:
        self._voices[index].opened = True
        return [self._chunk(index, _OPENING)]

    def _chunk(self, index: int, delta: Delta, reason: FinishReason | None = None) -> ChatChunk:
        return ChatChunk(
            id=self._stamp.id,
            created=self._stamp.created,
            model=self._stamp.model,
            choices=(ChunkChoice(index=index, delta=delta, finish_reason=reason),),
            usage=None if self._request.wants_usage else UNSET,
        )

    def _usage_chunk(self, predictions: Sequence[Prediction]) -> ChatChunk:
        return ChatChunk(
            id=self._stamp.id,
            created=self._stamp.created,
            model=self._stamp.model,
            choices=(),
            usage=self._count(predictions).usage,
        )

    def _doomed(self, voice: Voice) -> ApiError | None:
        if voice.failure is None or voice.complete:
            return None
        error = failure_told(voice.failure.detail, self._private())
        return None if isinstance(error, ContentRefused) and voice.answer else error

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
        if isinstance(error, ContentRefused) and voice.answer:
            return "content_filter"
        raise error

    def _private(self) -> list[str]:
        texts = [conversation(self._request.messages).text]
        return [*texts, *self._unsaid, *(line for text in texts for line in text.splitlines() if len(line) >= _LINE)]

    def _count(self, predictions: Sequence[Prediction]) -> Counted:
        prompt = conversation(self._request.messages).text
        heard = [(prediction, voice.shown) for voice, prediction in self._each(predictions)]
        return together([counted(prediction, prompt, shown.answer, shown.thought) for prediction, shown in heard])

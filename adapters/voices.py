"""One of the n answers while it is heard: its thoughts, its words, its calls, and why it ended."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from adapters.base import Reading
from adapters.calling import Called, Calls
from adapters.errors import PredictionFailed
from adapters.formats import JsonText
from adapters.outputs import text_of
from adapters.stops import Length, Stops
from adapters.thoughts import Thoughts
from adapters.validating import Validator
from adapters.wire.chatted import FinishReason
from adapters.wire.replicate import Failure, Prediction


class Piece(Struct, frozen=True):
    """What may be shown: thoughts, words, a refusal to give the words asked for, calls."""

    thought: str = ""
    answer: str = ""
    refusal: str = ""
    calls: tuple[Called, ...] = ()

    def plus(self, more: "Piece") -> "Piece":
        """Both, one after the other."""
        return joined([self, more]) if self and more else self or more

    def __bool__(self) -> bool:
        return bool(self.answer or self.thought or self.refusal or self.calls)


_NOTHING = Piece()


def joined(pieces: Sequence[Piece]) -> Piece:
    """All of them, one after the other."""
    return Piece(
        "".join([piece.thought for piece in pieces]),
        "".join([piece.answer for piece in pieces]),
        "".join([piece.refusal for piece in pieces]),
        tuple(call for piece in pieces for call in piece.calls),
    )


class Voice:
    """What came, what of it may be shown, and why it ended. `earlier` is the voice whose faulty end is repaired."""

    def __init__(self, reading: Reading, earlier: "Voice | None" = None) -> None:
        self.raw: list[str] = []
        self.opened = False
        self.failure: Failure | None = None
        self.reason: FinishReason | None = None
        self._reading = reading
        self._plain = reading.plain
        self._said: list[str] = []
        self._pieces: list[Piece] = []
        self._thoughts = Thoughts(inside=reading.thinking)
        self._stops = Stops(reading.stops)
        self._length = Length(reading.limit if reading.cut else None)
        self._calls = Calls(reading.tools, earlier.made if earlier else ()) if reading.tools else None
        self._json = JsonText(reading.format, earlier.kept if earlier else {}) if reading.format else None

    @property
    def complete(self) -> bool:
        """Nothing that may still come would be shown."""
        if self._plain:
            return False
        if self._stops.met or self._length.met:
            return True
        return bool((self._calls and self._calls.enough) or (self._json and self._json.enough))

    @property
    def shown(self) -> Piece:
        """What was passed on so far."""
        if len(self._pieces) != 1:
            self._pieces = [joined(self._pieces)]
        return self._pieces[0]

    @property
    def said(self) -> str:
        """The answer as the model wrote it, without its thoughts."""
        return "".join(self._said)

    @property
    def fault(self) -> str:
        """What is wrong with the calls or the JSON in it."""
        if self._calls and (self._calls.fault or self._calls.made):
            return self._calls.fault
        return self._json.fault if self._json else ""

    @property
    def misspoken(self) -> bool:
        """A call was meant that is none."""
        return bool(self._calls and self._calls.fault)

    @property
    def made(self) -> tuple[Called, ...]:
        """The calls that were passed on."""
        return tuple(self._calls.made) if self._calls else ()

    @property
    def kept(self) -> Mapping[str, Any]:
        """The members of a JSON object that were."""
        return self._json.kept if self._json else {}

    @property
    def spoken(self) -> tuple[str, str]:
        """What was answered and thought, for counting: calls and loose JSON as the model wrote them."""
        formed = self._reading.tools or self._reading.format
        return (self.said if formed else self.shown.answer), self.shown.thought

    def hear(self, text: str) -> Piece:
        """What is certain now that `text` has come; nothing once the answer is complete."""
        if not self._plain and self.complete:
            return _NOTHING
        self.raw.append(text)
        if self._plain and self._thoughts.over:
            piece = Piece("", text)
            self._said.append(text)
            self._pieces.append(piece)
            return piece
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
        return first.plus(last).plus(self._close())

    def read(self, prediction: Prediction) -> Piece:
        """All of a prediction that was not listened to."""
        if prediction.data_removed and prediction.output is None:
            raise PredictionFailed("The answer is gone: Replicate removes outputs an hour after they were made.")
        return self.hear(self._text_of(prediction))

    def _show(self, thought: str, answer: str) -> Piece:
        thought, answer = self._length.feed(thought), self._length.feed(answer)
        self._said.append(answer)
        calls: tuple[Called, ...] = ()
        if self._calls:
            answer, calls = self._calls.feed(answer)
        if self._json:
            answer = self._json.feed(answer)
        return self._shown(Piece(thought, answer, calls=calls))

    def _close(self) -> Piece:
        whole, answer, refusal = self.reason != "length", "", ""
        calls: tuple[Called, ...] = ()
        if self._calls:
            answer, calls = self._calls.close(whole=whole)
        if self._json:
            answer = self._json.feed(answer)
            if not (self._calls and self._calls.made):
                answer += self._json.close(whole=whole)
                refusal = self._json.refusal
        return self._shown(Piece("", answer, refusal, calls))

    def _shown(self, piece: Piece) -> Piece:
        self._pieces.append(piece)
        return piece

    def _missed(self, prediction: Prediction) -> str:
        whole, heard = self._text_of(prediction), "".join(self.raw)
        return whole[len(heard) :] if whole.startswith(heard) else ""

    def _text_of(self, prediction: Prediction) -> str:
        """The output as text. Models with inputs for tools or schemas may answer in objects."""
        output = prediction.output
        if isinstance(output, dict) and self._reading.tools and isinstance(output.get("tool_calls"), list):
            told = json.dumps(output["tool_calls"], ensure_ascii=False)
            return f"{output.get('content') or ''}<tool_call>{told}</tool_call>"
        if isinstance(output, dict) and self._reading.format:
            return _formed(output, Validator(self._reading.format.schema))
        return text_of(output)

    def _reason(self, prediction: Prediction | None) -> FinishReason:
        # Only shown text is measured: a length that was met was met before any stop.
        if self._length.met:
            return "length"
        formed = any(part.complete for part in (self._calls, self._json) if part)
        if prediction and not (self.complete or formed) and self._ran_out(prediction):
            return "length"
        return "stop"

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


def _formed(output: dict[str, Any], validator: Validator) -> str:
    """The object in an output that has the form asked for: itself, or one of its fields."""
    for value in (output, *output.values()):
        if isinstance(value, dict) and not validator.problems(value):
            return json.dumps(value, ensure_ascii=False)
    return text_of(output)

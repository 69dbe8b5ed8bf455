"""Pure: how much of everything that is paid for a prediction took."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from adapters.speech import TEXTS
from adapters.wire.replicate import Metrics, Prediction
from gateway.accounts.moments import seconds_between

_STARTED_SECONDS = 0.01  # a prediction cancelled in the queue is recorded as running for microseconds


class Measured(Struct, frozen=True, kw_only=True):
    """What is paid for, of one prediction; None is not known. `seconds` it ran, for `output_seconds` its output plays.

    `estimated` names what we counted, and not Replicate: tokens, characters, megapixels.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_characters: int | None = None
    output_characters: int | None = None
    images: int | None = None
    megapixels: float | None = None
    files: int | None = None
    output_seconds: float | None = None
    seconds: float | None = None
    estimated: frozenset[str] = frozenset()


class Canvas(Struct, frozen=True):
    """The size a picture was asked for in, where inputs say it in pixels."""

    width: int | None = None
    height: int | None = None
    aspect_ratio: object = None
    megapixels: object = None
    resolution: object = None

    def area(self, images: int | None) -> float | None:
        """Megapixels of so many pictures; None where another input may have decided on the size."""
        others = {self.aspect_ratio, self.megapixels, self.resolution} - {None, "custom"}
        if not self.width or not self.height or images is None or others:
            return None
        return self.width * self.height * images / 1_000_000


def measured(prediction: Prediction, images: int = 0, counted: Measured | None = None) -> Measured:
    """What Replicate measured of a prediction; for what it did not measure, what we counted."""
    metrics, told = prediction.metrics or Metrics(), counted or Measured()
    drawn = metrics.images if metrics.images is not None else images or _files(prediction)
    theirs = Measured(
        input_tokens=metrics.input_tokens,
        output_tokens=metrics.output_tokens,
        input_characters=metrics.input_characters,
        output_characters=metrics.output_characters,
        images=drawn,
        megapixels=None if metrics.pixels is None else metrics.pixels / 1_000_000,
        files=metrics.files if metrics.files is not None else _files(prediction),
        output_seconds=metrics.output_seconds,
        seconds=ran(prediction),
    )
    asked = msgspec.structs.replace(told, megapixels=_asked(prediction, drawn), input_characters=_written(prediction))
    return _completed(theirs, asked)


def characters_of(inputs: Mapping[str, object]) -> int | None:
    """Of the text among a model's inputs; None where there is none."""
    return next((len(text) for name in TEXTS if isinstance(text := inputs.get(name), str)), None)


def ran(prediction: Prediction) -> float | None:
    """Seconds that were run and are paid for: `predict_time`, or what the times say."""
    if prediction.metrics and prediction.metrics.predict_time is not None:
        return prediction.metrics.predict_time
    return seconds_between(prediction.started_at, prediction.completed_at)


def never_ran(prediction: Prediction) -> bool:
    """It was cancelled in the queue."""
    if prediction.status != "canceled" or prediction.output:
        return False
    seconds = ran(prediction)
    return seconds < _STARTED_SECONDS if seconds is not None else prediction.started_at is None


def _completed(theirs: Measured, ours: Measured) -> Measured:
    taken = {name: getattr(ours, name) for name in _OURS if getattr(theirs, name) is None}
    taken = {name: value for name, value in taken.items() if value is not None}
    estimated = frozenset(name.rpartition("_")[2] for name in taken)
    return msgspec.structs.replace(theirs, **taken, estimated=estimated)


_OURS = ("input_tokens", "output_tokens", "input_characters", "output_characters", "megapixels")


def _asked(prediction: Prediction, images: int | None) -> float | None:
    try:
        return msgspec.json.decode(prediction.input, type=Canvas).area(images)
    except (msgspec.DecodeError, TypeError):
        return None


def _written(prediction: Prediction) -> int | None:
    try:
        return characters_of(msgspec.json.decode(prediction.input, type=dict[str, object]))
    except (msgspec.DecodeError, TypeError):
        return None


def _files(prediction: Prediction) -> int | None:
    """How many files came out, judged by the output's value; None while nobody can tell."""
    match prediction.output:
        case list(several):
            return len(several)
        case None:
            return 0 if prediction.final and prediction.status != "succeeded" else None
        case _:
            return 1

"""The rule for lengths: seconds where a model takes them, else frames at its rate."""

import re
from typing import Any, NamedTuple

from adapters.base import Adjusted
from adapters.fitting import fitted
from adapters.schema import Input, Schema
from adapters.wire.replicate import Inputs

SECONDS = (
    "duration",
    "seconds",
    "duration_seconds",
    "video_duration",
    "length_seconds",
    "video_seconds",
    "clip_length",
)
FRAMES = ("num_frames", "video_length", "frames", "number_of_frames", "n_frames", "max_frames", "frame_num", "length")
RATES = ("fps", "frames_per_second", "frame_rate", "framerate", "output_fps", "sample_fps")

_SECONDS = re.compile(r"\s*(\d{1,4}(?:\.\d{1,3})?)\s*(?:s|sec|secs|seconds?)?\s*", re.IGNORECASE)
_RATE = re.compile(r"(\d{1,3})\s*(?:fps|frames per second|frames a second)", re.IGNORECASE)
_STEPS = re.compile(r"\b(\d+)\s*\*?\s*[knx]\s*\+\s*1\b|multiple of (\d+) plus (?:1|one)", re.IGNORECASE)


class Length(NamedTuple):
    """How long a video will be, as far as its inputs tell."""

    seconds: float

    def __str__(self) -> str:
        return f"{round(self.seconds, 2):g}"


def seconds_of(value: Any) -> float | None:
    """`8`, `"8"`, `"8s"`; None for what is no length."""
    found = _SECONDS.fullmatch(str(value))
    return float(found[1]) if found and float(found[1]) > 0 else None


def length_rule(value: Any, schema: Schema, told: Inputs | None = None) -> Inputs:
    """The input for seconds, the nearest listed one where there is a list; else as many frames as that takes at the
    rate the inputs `told` name, or the model's own. {} where the model has no say in its length."""
    seconds = seconds_of(value)
    if seconds is None:
        return {}
    if (given := schema.get(*SECONDS)) and _counts_seconds(given):
        return _timed(seconds, given)
    frames, rate = schema.get(*FRAMES), _rate(schema, told or {})
    if frames is None or rate is None or not _counts(frames):
        return {}
    return _framed(seconds, rate, frames)


def length_of(inputs: Inputs, schema: Schema) -> Length | None:
    """How long these inputs make a video, with the model's own defaults; None where they do not tell."""
    if (given := schema.get(*SECONDS)) and _counts_seconds(given):
        seconds = seconds_of(inputs.get(given.name, given.default))
        return None if seconds is None else Length(seconds)
    frames, rate = schema.get(*FRAMES), _rate(schema, inputs)
    if frames is None or rate is None or not _counts(frames):
        return None
    count = inputs.get(frames.name, frames.default)
    return Length(float(count) / rate) if isinstance(count, int | float) and count > 0 else None


def _counts_seconds(given: Input) -> bool:
    words = [seconds_of(each) for each in given.enum]
    return all(each is not None for each in words) if words else given.kind in ("integer", "number", "string")


def _counts(frames: Input) -> bool:
    return frames.kind in ("integer", "number") and "second" not in frames.words.lower()


def _timed(seconds: float, given: Input) -> Inputs:
    if given.enum:
        near = min(given.enum, key=lambda word: abs((seconds_of(word) or 0) - seconds))
        return _marked({given.name: near}, exact=seconds_of(near) == seconds)
    whole = int(seconds) if seconds.is_integer() else seconds
    fit = fitted(given, whole)
    return _marked({given.name: fit.value}, exact=not fit.adjusted) if fit else {}


def _framed(seconds: float, rate: float, frames: Input) -> Inputs:
    wanted = round(seconds * rate)
    step = _STEPS.search(frames.words)
    near = _on_step(wanted, int(step[1] or step[2])) if step else wanted
    fit = fitted(frames, near)
    # A frame more or less is the model's own way of counting, and as long as was asked.
    return _marked({frames.name: fit.value}, exact=abs(fit.value - wanted) <= rate / 4) if fit else {}


def _on_step(wanted: int, step: int) -> int:
    return max(1, round((wanted - 1) / step) * step + 1)


def _rate(schema: Schema, told: Inputs) -> float | None:
    given = schema.get(*RATES)
    rate = told.get(given.name, given.default) if given else None
    if isinstance(rate, int | float) and not isinstance(rate, bool) and rate > 0:
        return float(rate)
    if given is not None:
        return None
    said = _RATE.search(frames.words) if (frames := schema.get(*FRAMES)) else None
    return float(said[1]) if said and int(said[1]) else None


def _marked(inputs: Inputs, *, exact: bool) -> Inputs:
    return inputs if exact else Adjusted(inputs)

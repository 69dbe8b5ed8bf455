"""How many tokens a call took: as measured, as logged, or as estimated."""

import re
from collections.abc import Callable, Sequence
from math import ceil
from typing import Literal, NamedTuple

from adapters.stops import BYTES_PER_TOKEN
from adapters.wire.chatted import CompletionDetails, Usage
from adapters.wire.replicate import Prediction

Basis = Literal["metrics", "logs", "estimated"]

# Proxied models print these lines: gpt-5.1 all of them, gpt-image-1 the input in two.
_LINES = {
    "input": re.compile(r"^\W*input (?:\w+ )?token count:\s*(\d+)", re.IGNORECASE | re.MULTILINE),
    "output": re.compile(r"^\W*output (?:\w+ )?token count:\s*(\d+)", re.IGNORECASE | re.MULTILINE),
    "reasoning": re.compile(r"^\W*reasoning tokens?:\s*(\d+)", re.IGNORECASE | re.MULTILINE),
    "image": re.compile(r"^\W*input image token count:\s*(\d+)", re.IGNORECASE | re.MULTILINE),
}


class Counted(NamedTuple):
    """Tokens of one or several predictions, and the weakest of the grounds they stand on."""

    input: int
    output: int
    reasoning: int = 0
    basis: Basis = "estimated"

    @property
    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=self.input,
            completion_tokens=self.output,
            total_tokens=self.input + self.output,
            completion_tokens_details=CompletionDetails(reasoning_tokens=min(self.reasoning, self.output)),
        )


def counted(prediction: Prediction | None, prompt: Callable[[], str], answer: str, thought: str = "") -> Counted:
    """One prediction's tokens: its metrics, else its logs, else an estimate from the texts; the prompt is asked for
    only then."""
    metrics = prediction.metrics if prediction else None
    told = (metrics.input_tokens, metrics.output_tokens) if metrics else (None, None)
    logged = logged_tokens(prediction.logs) if prediction else {}
    thinking = logged["reasoning"] if "reasoning" in logged else estimated(thought)
    if told[0] is not None and told[1] is not None:
        return Counted(told[0], told[1], thinking, "metrics")
    if "input" in logged and "output" in logged:
        return Counted(logged["input"], logged["output"], thinking, "logs")
    return Counted(estimated(prompt()), estimated(thought + answer), thinking)


def read(prediction: Prediction, prompt: Callable[[], str]) -> Counted:
    """The tokens of one that only reads: its metrics, else its logs, else an estimate from the text."""
    if prediction.metrics and prediction.metrics.input_tokens is not None:
        return Counted(prediction.metrics.input_tokens, 0, basis="metrics")
    logged = logged_tokens(prediction.logs)
    return Counted(logged["input"], 0, basis="logs") if "input" in logged else Counted(estimated(prompt()), 0)


def together(each: Sequence[Counted]) -> Counted:
    """Several answers to one prompt: the prompt counts once."""
    if len(each) == 1:
        return each[0]
    order: tuple[Basis, ...] = ("metrics", "logs", "estimated")
    return Counted(
        max((one.input for one in each), default=0),
        sum(one.output for one in each),
        sum(one.reasoning for one in each),
        max((one.basis for one in each), key=order.index, default="estimated"),
    )


def logged_tokens(logs: str | None) -> dict[str, int]:
    """Token counts in a model's logs: `input`, `output`, `reasoning`, `image`, as far as they are there."""
    if not logs:
        return {}
    found = {name: line.findall(logs) for name, line in _LINES.items()}
    return {name: sum(map(int, counts)) for name, counts in found.items() if counts}


def estimated(text: str) -> int:
    """Tokens of a text that nobody counted."""
    return ceil(len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN)

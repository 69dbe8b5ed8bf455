"""Outputs are judged by their value; tokens by metrics, logs, or their length."""

from typing import Any

import msgspec
import pytest

from adapters.outputs import files_of, text_of
from adapters.usage import Counted, counted, logged_tokens, together
from adapters.wire.replicate import Prediction


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (None, ""),
        ("Hi", "Hi"),
        (["H", "", "i"], "Hi"),
        (["a", None, 1], "a1"),
        ([{"text": "Caption: a cat"}], "Caption: a cat"),
        ([{"text": "a"}, {"text": "b"}], "a\nb"),
        ({"text": "Hi", "tokens": 3}, "Hi"),
        ({"label": "cat"}, '{"label": "cat"}'),
        ([{"tag": "cat", "confidence": 0.5}], '{"tag": "cat", "confidence": 0.5}'),
        ([[1, 2], [3]], "[[1, 2], [3]]"),
        (0.5, "0.5"),
        (True, "true"),
    ],
)
def test_text_is_read_from_any_shape(output: Any, text: str) -> None:
    assert text_of(output) == text


@pytest.mark.parametrize(
    ("output", "files"),
    [
        (None, []),
        ("https://r.org/a.png", ["https://r.org/a.png"]),
        (["https://r.org/a.png", "data:image/png;base64,AA=="], ["https://r.org/a.png", "data:image/png;base64,AA=="]),
        ([["https://r.org/1.png"], ["https://r.org/2.png"]], ["https://r.org/1.png", "https://r.org/2.png"]),
        ([{"file": "https://r.org/a.png"}], ["https://r.org/a.png"]),
        ({"image": "https://r.org/a.png", "mask": "https://r.org/m.png"}, ["https://r.org/a.png"]),
        ({"images": ["https://r.org/a.svg"], "seed": 3}, ["https://r.org/a.svg"]),
        ({"left": "https://r.org/a.png", "n": 1}, ["https://r.org/a.png"]),
        (["https://r.org/a.png", None], ["https://r.org/a.png"]),
        ("no address at all", []),
        ("see https://r.org/a.png", []),
    ],
)
def test_files_are_read_from_any_shape(output: Any, files: list[str]) -> None:
    assert files_of(output) == files


def prediction(**more: Any) -> Prediction:
    return msgspec.convert({"id": "p", "status": "succeeded", **more}, Prediction)


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        ({"metrics": {"input_token_count": 5, "output_token_count": 7}}, Counted(5, 7, 0, "metrics")),
        ({"metrics": {"token_input_count": 5, "token_output_count": 7}}, Counted(5, 7, 0, "metrics")),
        ({"logs": "Input token count: 6\nOutput token count: 9\n- Reasoning tokens: 4"}, Counted(6, 9, 4, "logs")),
        ({"metrics": {"predict_time": 1}}, Counted(2, 3, 0, "estimated")),
        ({}, Counted(2, 3, 0, "estimated")),
    ],
)
def test_tokens_come_from_metrics_then_logs_then_length(given: dict[str, Any], counts: Counted) -> None:
    assert counted(prediction(**given), lambda: "12345678", "123456789012") == counts


def test_usage_adds_up_and_counts_one_prompt_once() -> None:
    usage = together([Counted(5, 7, 2, "metrics"), Counted(5, 3, 0, "estimated")]).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (5, 10, 15)
    assert usage.completion_tokens_details.reasoning_tokens == 2
    assert together([Counted(1, 1, 0, "metrics"), Counted(1, 1, 0, "logs")]).basis == "logs"


def test_image_tokens_are_read_from_the_logs() -> None:
    logs = "Input text token count: 9\nInput image token count: 100\nOutput token count: 2000\n"
    assert logged_tokens(logs) == {"input": 109, "output": 2000, "image": 100}

"""Bytes become a request, or exactly the error OpenAI's own service answers with."""

import json
from typing import Any

import pytest

from adapters.errors import InvalidRequest
from adapters.wire.audio import SpeechRequest, TranscriptionRequest, TranslationRequest
from adapters.wire.base import decode
from adapters.wire.chat import ChatRequest
from adapters.wire.completions import CompletionRequest
from adapters.wire.embeddings import EmbeddingRequest
from adapters.wire.images import ImageEditRequest, ImageRequest, ImageVariationRequest
from adapters.wire.moderations import ModerationRequest
from adapters.wire.responses import ResponsesRequest
from adapters.wire.videos import VideoRequest

_SHAPED = {"images"}
"""Fields whose name in JSON is another."""

HI = [{"role": "user", "content": "Hi"}]


def refused(body: bytes | dict[str, Any], kind: type[Any] = ChatRequest) -> tuple[str, str | None, str | None]:
    raw = body if isinstance(body, bytes) else json.dumps({"model": "a/b", **body}).encode()
    with pytest.raises(InvalidRequest) as wrong:
        decode(raw, kind)
    assert wrong.value.status == 400
    assert wrong.value.type == "invalid_request_error"
    return wrong.value.message, wrong.value.param, wrong.value.code


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b"NaN", b"\xff\xfe", b"[" * 100_000, b'{"model": 1e999}'])
def test_what_is_no_json_object_cannot_be_parsed(body: bytes) -> None:
    message, param, code = refused(body)
    assert message.startswith("We could not parse the JSON body of your request.")
    assert (param, code) == (None, None)


@pytest.mark.parametrize("body", [{}, {"model": None}, {"model": ""}])
def test_a_model_must_be_named(body: dict[str, Any]) -> None:
    assert refused(json.dumps({"messages": HI, **body}).encode()) == ("you must provide a model parameter", None, None)


@pytest.mark.parametrize(
    ("body", "message", "param", "code"),
    [
        ({}, "Missing required parameter: 'messages'.", "messages", "missing_required_parameter"),
        ({"messages": None}, "Missing required parameter: 'messages'.", "messages", "missing_required_parameter"),
        (
            {"messages": []},
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "messages",
            "empty_array",
        ),
        (
            {"messages": "Hi"},
            "Invalid type for 'messages': expected an array, but got a string instead.",
            "messages",
            "invalid_type",
        ),
        (
            {"messages": ["Hi"]},
            "Invalid type for 'messages[0]': expected an object, but got a string instead.",
            "messages[0]",
            "invalid_type",
        ),
        (
            {"messages": [{"role": "user", "content": {"text": "Hi"}}]},
            (
                "Invalid type for 'messages[0].content': expected one of a string or array of objects, "
                "but got an object instead."
            ),
            "messages[0].content",
            "invalid_type",
        ),
        (
            {"messages": [{"content": "Hi"}]},
            "Missing required parameter: 'messages[0].role'.",
            "messages[0].role",
            "missing_required_parameter",
        ),
        (
            {"messages": [*HI, {"role": "robot", "content": "Hi"}]},
            (
                "Invalid value: 'robot'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and "
                "'developer'."
            ),
            "messages[1].role",
            "invalid_value",
        ),
        (
            {"messages": [{"role": "user", "content": None}]},
            "Invalid value for 'content': expected a string, got null.",
            "messages[0].content",
            None,
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "Missing required parameter: 'messages[0].content[0].image_url'.",
            "messages[0].content[0].image_url",
            "missing_required_parameter",
        ),
        (
            {"messages": HI, "temperature": "hot"},
            "Invalid type for 'temperature': expected a decimal, but got a string instead.",
            "temperature",
            "invalid_type",
        ),
        (
            {"messages": HI, "temperature": 2.5},
            "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead.",
            "temperature",
            "decimal_above_max_value",
        ),
        (
            {"messages": HI, "presence_penalty": -3},
            "Invalid 'presence_penalty': decimal below minimum value. Expected a value >= -2, but got -3 instead.",
            "presence_penalty",
            "decimal_below_min_value",
        ),
        (
            {"messages": HI, "max_tokens": -1},
            "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got -1 instead.",
            "max_tokens",
            "integer_below_min_value",
        ),
        (
            {"messages": HI, "max_tokens": 6000.5},
            "Invalid type for 'max_tokens': expected an integer, but got a decimal number instead.",
            "max_tokens",
            "invalid_type",
        ),
        (
            {"messages": HI, "n": 129},
            "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 129 instead.",
            "n",
            "integer_above_max_value",
        ),
        (
            {"messages": HI, "stop": ["a"] * 5},
            (
                "Invalid 'stop': array too long. Expected an array with maximum length 4, "
                "but got an array with length 5 instead."
            ),
            "stop",
            "array_above_max_length",
        ),
        (
            {"messages": HI, "stop": 1},
            "Invalid type for 'stop': expected one of a string or array of strings, but got an integer instead.",
            "stop",
            "invalid_type",
        ),
        (
            {"messages": HI, "metadata": {"a": "x" * 513}},
            (
                "Invalid 'metadata': string too long. Expected a string with maximum length 512, "
                "but got a string with length 513 instead."
            ),
            "metadata",
            "string_above_max_length",
        ),
        (
            {"messages": HI, "metadata": {str(n): "x" for n in range(17)}},
            (
                "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, "
                "but got an object with 17 properties instead."
            ),
            "metadata",
            "object_above_max_properties",
        ),
        (
            {"messages": HI, "reasoning_effort": "huge"},
            (
                "Invalid value: 'huge'. Supported values are: 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and "
                "'max'."
            ),
            "reasoning_effort",
            "invalid_value",
        ),
        (
            {"messages": HI, "stream_options": {"include_usage": True}},
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
            None,
        ),
        (
            {"messages": [*HI, {"role": "tool", "tool_call_id": "c", "content": "x"}]},
            (
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                "'tool_calls'."
            ),
            "messages.[1].role",
            None,
        ),
    ],
)
def test_a_chat_is_refused_in_openais_words(body: dict[str, Any], message: str, param: str, code: str | None) -> None:
    assert refused(body) == (message, param, code)


@pytest.mark.parametrize(
    ("body", "message", "param", "code"),
    [
        ({}, "Missing required parameter: 'prompt'.", "prompt", "missing_required_parameter"),
        (
            {"prompt": "a cat", "n": 0},
            "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead.",
            "n",
            "integer_below_min_value",
        ),
        (
            {"prompt": "a cat", "response_format": "png"},
            "Invalid value: 'png'. Supported values are: 'url' and 'b64_json'.",
            "response_format",
            "invalid_value",
        ),
        (
            {"prompt": "x" * 32_001},
            (
                "Invalid 'prompt': string too long. Expected a string with maximum length 32000, "
                "but got a string with length 32001 instead."
            ),
            "prompt",
            "string_above_max_length",
        ),
    ],
)
def test_an_image_is_refused_in_openais_words(body: dict[str, Any], message: str, param: str, code: str) -> None:
    assert refused(body, ImageRequest) == (message, param, code)


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        (ChatRequest, {"messages": HI}),
        (CompletionRequest, {"prompt": "Hi"}),
        (ResponsesRequest, {"input": "Hi"}),
        (ImageRequest, {"prompt": "a hat"}),
        (ImageEditRequest, {"images": ["https://example.com/hat.png"]}),
        (ImageVariationRequest, {"image": "https://example.com/hat.png"}),
        (TranscriptionRequest, {"file": "https://example.com/hat.wav"}),
        (TranslationRequest, {"file": "https://example.com/hat.wav"}),
        (SpeechRequest, {"input": "Hi"}),
        (EmbeddingRequest, {"input": "Hi"}),
        (ModerationRequest, {"input": "Hi"}),
        (VideoRequest, {}),
    ],
)
def test_explicit_nulls_equal_absence(kind: type[Any], least: dict[str, Any]) -> None:
    body = {"model": "a/b", **least}
    optional = [name for name in kind.__struct_encode_fields__ if name not in body and name not in _SHAPED]
    nulls = {**body, **dict.fromkeys(optional), "unknown": None}
    assert decode(json.dumps(nulls).encode(), kind) == decode(json.dumps(body).encode(), kind)


def test_integers_serve_as_decimals() -> None:
    request = decode(json.dumps({"model": "a/b", "messages": HI, "temperature": 1, "top_p": 0}).encode(), ChatRequest)
    assert (request.temperature, request.top_p) == (1.0, 0.0)


def test_unknown_fields_are_kept_apart() -> None:
    body = {"model": "a/b", "messages": HI, "top_k": 5, "replicate": {"seed": None}}
    assert decode(json.dumps(body).encode(), ChatRequest).extra == {"top_k": 5, "replicate": {"seed": None}}


def test_unknown_keys_of_messages_do_no_harm() -> None:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "Hi",
        "reasoning_content": "Hm",
        "annotations": [],
        "refusal": None,
    }
    assert decode(json.dumps({"model": "a/b", "messages": [message]}).encode(), ChatRequest).messages[0].content == "Hi"

"""Every field of OpenAI's requests has the fate that docs/models.md says, and the document leaves none out."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from adapters.chat import ChatAdapter
from adapters.errors import Unsupported
from adapters.images import ImageAdapter
from adapters.schema import Schema
from adapters.wire.base import EXTRA, decode
from adapters.wire.chat import ChatRequest
from adapters.wire.images import ImageRequest

DOCUMENT = (Path(__file__).parents[2] / "docs" / "models.md").read_text("utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (honoured|ignored|refused) \|", re.MULTILINE)

MESSAGES = [{"role": "user", "content": "Hi"}]
CHAT: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "frequency_penalty": 1,
    "function_call": "auto",
    "functions": [{"name": "f"}],
    "logit_bias": {"1": 1},
    "logprobs": True,
    "max_completion_tokens": 5,
    "max_tokens": 5,
    "metadata": {"a": "b"},
    "modalities": ["text"],
    "moderation": {"model": "m"},
    "n": 2,
    "parallel_tool_calls": True,
    "prediction": {"type": "content", "content": "x"},
    "presence_penalty": 1,
    "prompt_cache_key": "k",
    "prompt_cache_options": {"ttl": "1h"},
    "prompt_cache_retention": "24h",
    "reasoning_effort": "low",
    "response_format": {"type": "text"},
    "safety_identifier": "s",
    "seed": 1,
    "service_tier": "flex",
    "stop": "x",
    "store": True,
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 1,
    "tool_choice": "auto",
    "tools": [{"type": "function"}],
    "top_logprobs": 1,
    "top_p": 1,
    "user": "u",
    "verbosity": "low",
    "web_search_options": {"search_context_size": "low"},
}
TOGETHER = {"stream_options": {"stream": True}, "top_logprobs": {"logprobs": True}}
IMAGE: dict[str, Any] = {
    "background": "transparent",
    "moderation": "low",
    "n": 2,
    "output_compression": 5,
    "output_format": "png",
    "partial_images": 1,
    "quality": "high",
    "response_format": "url",
    "size": "512x512",
    "stream": True,
    "style": "vivid",
    "user": "u",
}


def able(output: dict[str, Any], **inputs: str) -> Schema:
    """A model that has an input for everything."""
    properties = {name: {"type": kind} for name, kind in inputs.items()}
    return Schema.parse({"components": {"schemas": {"Input": {"properties": properties}, "Output": output}}})


TALKER = able(
    {"type": "string"},
    prompt="string",
    frequency_penalty="number",
    presence_penalty="number",
    logit_bias="object",
    max_tokens="integer",
    prompt_cache_key="string",
    safety_identifier="string",
    seed="integer",
    stop_sequences="string",
    temperature="number",
    top_p="number",
    user="string",
    verbosity="string",
    enable_web_search="boolean",
    enable_thinking="boolean",
)
PAINTER = able(
    {"type": "array", "items": {"type": "string", "format": "uri"}},
    prompt="string",
    background="string",
    moderation="string",
    num_outputs="integer",
    output_quality="integer",
    output_format="string",
    style="string",
    width="integer",
    height="integer",
    user="string",
)


def fates(title: str) -> dict[str, str]:
    section = DOCUMENT.partition(f"## {title}: every field")[2].partition("\n## ")[0]
    return dict(ROW.findall(section))


def fields(kind: type[Any]) -> set[str]:
    return set(kind.__struct_encode_fields__) - {EXTRA}


def test_the_document_names_every_field() -> None:
    assert set(fates("Chat")) == fields(ChatRequest)
    assert set(fates("Images")) == fields(ImageRequest)
    assert set(CHAT) | {"messages", "model"} == fields(ChatRequest)
    assert set(IMAGE) | {"prompt", "model"} == fields(ImageRequest)


def fate_of(adapter: ChatAdapter | ImageAdapter, request: Any, schema: Schema, field: str) -> str:
    try:
        prepared = adapter.prepare(request, schema)
    except Unsupported as refused:
        return "refused" if refused.param == field else f"refused as {refused.param}"
    return "ignored" if field in prepared.ignored else "honoured"


@pytest.mark.parametrize("field", CHAT)
def test_a_chat_field_has_the_fate_that_is_written(field: str) -> None:
    body = {"model": "m", "messages": MESSAGES, field: CHAT[field], **TOGETHER.get(field, {})}
    request = decode(json.dumps(body).encode(), ChatRequest)
    assert fate_of(ChatAdapter(), request, TALKER, field) == fates("Chat")[field]


@pytest.mark.parametrize("field", IMAGE)
def test_an_image_field_has_the_fate_that_is_written(field: str) -> None:
    schema = PAINTER
    if field == "quality":
        quality = {"quality": {"enum": ["low", "high"]}, "prompt": {"type": "string"}, "width": {"type": "integer"}}
        document = {
            "components": {
                "schemas": {"Input": {"properties": quality}, "Output": {"items": {"format": "uri", "type": "string"}}}
            }
        }
        schema = Schema.parse(document)
    request = decode(json.dumps({"model": "m", "prompt": "a cat", field: IMAGE[field]}).encode(), ImageRequest)
    assert fate_of(ImageAdapter(), request, schema, field) == fates("Images")[field]


@pytest.mark.parametrize(
    "field", ["tool_choice", "function_call", "modalities", "response_format", "web_search_options"]
)
def test_what_is_honoured_only_in_part_is_refused_beyond(field: str) -> None:
    beyond = {
        "tool_choice": "required",
        "function_call": {"name": "f"},
        "modalities": ["text", "audio"],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x"}},
        "web_search_options": {},
    }
    body = {"model": "m", "messages": MESSAGES, field: beyond[field]}
    schema = able({"type": "string"}, prompt="string")
    with pytest.raises(Unsupported) as refused:
        ChatAdapter().prepare(decode(json.dumps(body).encode(), ChatRequest), schema)
    assert refused.value.param == field


def test_parts_of_messages_without_a_place_are_named() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}}
    body = {"model": "m", "messages": [{"role": "user", "name": "Ann", "content": [picture]}]}
    schema = Schema.parse(
        {"components": {"schemas": {"Input": {"properties": {"image": {"type": "string", "format": "uri"}}}}}}
    )
    prepared = ChatAdapter().prepare(decode(json.dumps(body).encode(), ChatRequest), schema)
    assert prepared.ignored == ("messages.name", "messages.image_url.detail")


def test_files_in_messages_are_refused() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}
    with pytest.raises(Unsupported) as refused:
        ChatAdapter().prepare(decode(json.dumps(body).encode(), ChatRequest), TALKER)
    assert refused.value.param == "messages[0].content[0]"

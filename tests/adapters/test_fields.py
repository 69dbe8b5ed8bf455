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
from adapters.wire.images import ImageEditRequest, ImageRequest
from tests.docs.parameters import probes, schema
from tests.docs.probes import PICTURES

DOCUMENT = (Path(__file__).parents[2] / "docs" / "models.md").read_text("utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (honoured|ignored|refused) \|", re.MULTILINE)

MESSAGES = [{"role": "user", "content": "Hi"}]
PROBED = {probe.kind: probe for probe in probes()}
CHAT = {**PROBED["chat"].samples, "modalities": ["text"]}
IMAGE = PROBED["images"].samples
TALKER = PROBED["chat"].able
DRAFTS = schema(PICTURES, prompt="string")
"""A model that takes no count may show its progress."""


def fates(title: str) -> dict[str, str]:
    section = DOCUMENT.partition(f"## {title}: every field")[2].partition("\n## ")[0]
    return dict(ROW.findall(section))


def fields(kind: type[Any]) -> set[str]:
    return set(kind.__struct_encode_fields__) - {EXTRA}


def test_the_document_names_every_field() -> None:
    assert set(fates("Chat")) == fields(ChatRequest)
    assert set(fates("Images")) == fields(ImageRequest) | (fields(ImageEditRequest) - {"images"})
    assert set(CHAT) | {"messages", "model"} == fields(ChatRequest)
    assert set(IMAGE) | {"prompt", "model"} == fields(ImageRequest)


def fate_of(adapter: ChatAdapter | ImageAdapter, request: Any, model: Schema, field: str) -> str:
    try:
        prepared = adapter.prepare(request, model)
    except Unsupported as refused:
        return "refused" if refused.param == field else f"refused as {refused.param}"
    return "ignored" if field in prepared.ignored else "honoured"


@pytest.mark.parametrize("field", CHAT)
def test_a_chat_field_has_the_fate_that_is_written(field: str) -> None:
    body = {**PROBED["chat"].body, field: CHAT[field], **PROBED["chat"].beside.get(field, {})}
    request = decode(json.dumps(body).encode(), ChatRequest)
    assert fate_of(ChatAdapter(), request, TALKER, field) == fates("Chat")[field]


@pytest.mark.parametrize("field", IMAGE)
def test_an_image_field_has_the_fate_that_is_written(field: str) -> None:
    model = DRAFTS if field == "partial_images" else PROBED["images"].able
    request = decode(json.dumps({"model": "m", "prompt": "a cat", field: IMAGE[field]}).encode(), ImageRequest)
    assert fate_of(ImageAdapter(), request, model, field) == fates("Images")[field]


@pytest.mark.parametrize("field", ["modalities", "tools", "web_search_options"])
def test_what_is_honoured_only_in_part_is_refused_beyond(field: str) -> None:
    beyond = {
        "modalities": ["text", "audio"],
        "tools": [{"type": "custom", "custom": {"name": "f"}}],
        "web_search_options": {},
    }
    body = {"model": "m", "messages": MESSAGES, field: beyond[field]}
    model = PROBED["chat"].bare
    with pytest.raises(Unsupported) as refused:
        ChatAdapter().prepare(decode(json.dumps(body).encode(), ChatRequest), model)
    assert (refused.value.param or "").partition("[")[0] == field


def test_parts_of_messages_without_a_place_are_named() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}}
    body = {"model": "m", "messages": [{"role": "user", "name": "Ann", "content": [picture]}]}
    prepared = ChatAdapter().prepare(decode(json.dumps(body).encode(), ChatRequest), schema({}, image="image"))
    assert prepared.ignored == ("messages.name", "messages.image_url.detail")


def test_files_in_messages_are_refused() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}
    with pytest.raises(Unsupported) as refused:
        ChatAdapter().prepare(decode(json.dumps(body).encode(), ChatRequest), TALKER)
    assert refused.value.param == "messages[0].content[0]"

"""Every real record prepares for what it is good for, without code of its own; exceptions stand here with reasons."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.about import about
from adapters.catalog import shipped
from adapters.refusals import made_by
from adapters.translate import schema_of, translate
from adapters.wire.replicate import ModelRef
from tests.adapters.records import Record, records

CATALOG = shipped()
PICTURE = "https://example.com/a.png"

CHATS: dict[str, dict[str, Any]] = {
    "one turn": {"messages": [{"role": "user", "content": "Hi"}]},
    "several turns": {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": "And?"},
        ],
        "temperature": 0,
        "top_p": 1,
        "presence_penalty": -2,
        "frequency_penalty": 2,
        "seed": 2**40,
        "n": 2,
        "stop": ["END", "a,b"],
        "max_tokens": 1_000_000,
        "reasoning_effort": "high",
        "verbosity": "high",
    },
    "nothing but instructions": {"messages": [{"role": "developer", "content": "Say hi."}], "max_tokens": 1},
}
IMAGES: dict[str, dict[str, Any]] = {
    "one": {"prompt": "a cat"},
    "many, with every knob": {
        "prompt": "a cat",
        "n": 10,
        "size": "1536x1024",
        "quality": "high",
        "style": "natural",
        "background": "opaque",
        "output_format": "jpeg",
        "output_compression": 3,
        "moderation": "low",
        "user": "u",
        "seed": 2**40,
    },
    "a small one": {"prompt": "a cat", "size": "256x256", "quality": "standard"},
}

NOT_FOR_CHAT: dict[str, str] = {}
"""Text-in, text-out records that do not prepare for chat: none."""

NOT_FOR_IMAGES = {"openai/gpt-image-1": "openai_api_key"}
"""Prompt-to-image records that do not prepare, and the input that only the operator can give."""


def name_of(record: Record) -> str:
    return f"{record['owner']}/{record['name']}"


def of_class(group: str, *classes: str) -> list[Any]:
    return [
        pytest.param(each, id=f"{name_of(each)}{'+' * ('listing' in each)}")
        for each in records(group)
        if each["class"] in classes
    ]


def assert_prepared(kind: str, record: Record, request: dict[str, Any]) -> list[dict[str, Any]]:
    told = translate(kind, record, json.dumps(request).encode(), CATALOG)
    assert "error" not in told, told
    schema = schema_of(record)
    # A stub has other inputs than it says; all others are sent nothing they do not declare.
    stub = name_of(record) == "snowflake/snowflake-arctic-instruct"
    for inputs in told["inputs"]:
        assert schema.problems(inputs) == []
        assert stub or set(inputs) <= set(schema.inputs)
    return list(told["inputs"])


@pytest.mark.parametrize("request_", CHATS.values(), ids=CHATS)
@pytest.mark.parametrize("record", of_class("text", "text-generation"))
def test_every_text_model_chats(record: Record, request_: dict[str, Any]) -> None:
    inputs = assert_prepared("chat", record, request_)
    assert len(inputs) == request_.get("n", 1)
    last = request_["messages"][-1]["content"]
    assert all(last in json.dumps(each) for each in inputs)


@pytest.mark.parametrize("record", of_class("text", "vision-to-text"))
def test_every_vision_model_is_shown_its_picture(record: Record) -> None:
    film = record["name"] == "cogvlm2-video"
    part = {"video_url": {"url": PICTURE}} if film else {"image_url": {"url": PICTURE}}
    content = [{"type": "text", "text": "What is this?"}, {"type": next(iter(part)), **part}]
    inputs = assert_prepared("chat", record, {"messages": [{"role": "user", "content": content}]})
    assert PICTURE in json.dumps(inputs)


@pytest.mark.parametrize("request_", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize("record", of_class("images", "text-to-image"))
def test_every_prompt_to_image_model_draws(record: Record, request_: dict[str, Any]) -> None:
    if needed := NOT_FOR_IMAGES.get(name_of(record)):
        told = translate("images", record, json.dumps(request_).encode(), CATALOG)
        assert told["error"]["param"] == needed
        request_ = {**request_, "replicate": {needed: "k"}}
    inputs = assert_prepared("images", record, request_)
    assert made_in_all(record, inputs) >= request_.get("n", 1)
    assert len({json.dumps(each) for each in inputs}) == len(inputs) or not any("seed" in each for each in inputs)


NOT_FOR_EDITS = {"fofr/any-comfyui-workflow": "image"}
"""Records that work on pictures and do not prepare for edits, and the parameter that the refusal names."""

EDITS = ("image-to-image", "image-upscale/restore", "background-removal")
PIXEL = {"image_url": "data:image/png;base64,iVBORw0KGgo="}


@pytest.mark.parametrize("record", of_class("images", *EDITS))
def test_every_model_that_works_on_pictures_is_given_as_many_as_it_needs(record: Record) -> None:
    told = [
        translate("edits", record, json.dumps({"images": [PIXEL] * count, "prompt": "a cat"}).encode(), CATALOG)
        for count in (1, 2)
    ]
    if param := NOT_FOR_EDITS.get(name_of(record)):
        assert [each["error"]["param"] for each in told] == [param, param]
        return
    inputs = next(each["inputs"] for each in told if "inputs" in each)
    assert PIXEL["image_url"] in json.dumps(inputs)
    assert all(schema_of(record).problems(each) == [] and set(each) <= set(schema_of(record).inputs) for each in inputs)


TEXTS = [f"text {number}" for number in range(100)]
AT_ONCE = {"lucataco/snowflake-arctic-embed-l": 1, "mark3labs/embeddings-gte-base": 1}
"""Records for embeddings that take one text at a time; all others take a hundred."""


@pytest.mark.parametrize("record", of_class("others", "embeddings"))
def test_every_model_for_embeddings_takes_as_many_texts_as_it_can(record: Record) -> None:
    inputs = assert_prepared("embeddings", record, {"input": TEXTS})
    assert len(inputs) * AT_ONCE.get(name_of(record), 100) == 100
    assert all(text in json.dumps(inputs) for text in TEXTS)


SOUND = "https://example.com/a.wav"
SPEAKS_WITH = {"chenxwh/openvoice": "audio"}
"""Records for speech that cannot do without a recording of somebody's voice, and the input that takes it."""


@pytest.mark.parametrize("record", of_class("others", "text-to-speech"))
def test_every_model_that_speaks_is_given_its_text(record: Record) -> None:
    request = {"input": "Good morning"}
    if needed := SPEAKS_WITH.get(name_of(record)):
        told = translate("speech", record, json.dumps(request).encode(), CATALOG)
        assert told["error"]["param"] == needed
        request[needed] = SOUND
    assert "Good morning" in json.dumps(assert_prepared("speech", record, request))


NOT_TIMED = {"nvidia/parakeet-rnnt-1.1b"}
"""Records that hear and do not tell when."""
NOT_TRANSLATING = {"nvidia/parakeet-rnnt-1.1b", "m1guelpf/whisper-subtitles", "hnesk/whisper-wordtimestamps"}


@pytest.mark.parametrize("record", of_class("others", "speech-to-text"))
def test_every_model_that_hears_is_given_its_recording(record: Record) -> None:
    asked = {"file": SOUND, "language": "en", "prompt": "birds", "temperature": 0}
    assert SOUND in json.dumps(assert_prepared("transcriptions", record, asked))
    for kind, form, unable in (("transcriptions", "srt", NOT_TIMED), ("translations", "json", NOT_TRANSLATING)):
        told = translate(kind, record, json.dumps({"file": SOUND, "response_format": form}).encode(), CATALOG)
        assert ("error" in told) == (name_of(record) in unable)


CLASSES = {
    "text-generation": "chat",
    "vision-to-text": "chat",
    "text-to-image": "image",
    **dict.fromkeys(EDITS, "image"),
    "embeddings": "embedding",
    "text-to-speech": "speech",
    "speech-to-text": "transcription",
    "text-to-video": "video",
    "trainer": "other",
    "3d": "other",
}
OTHER_CLASSES = {
    "meta/meta-llama-guard-2-8b": "moderation",
    "fofr/prompt-classifier": "moderation",
    "meta/meta-llama-3-8b": "completion",
    "aryamansital/instant_mesh": "image",
}
"""Records whose schemas do not show their class: families know the first three; the last shows pictures of its mesh."""


@pytest.mark.parametrize(
    "record", [each for group in ("text", "images", "others") for each in of_class(group, *CLASSES)]
)
def test_every_record_says_what_it_is_and_who_serves_it(record: Record) -> None:
    told = about(schema_of(record), CATALOG, ModelRef(record["owner"], record["name"]))
    assert told.name == OTHER_CLASSES.get(name_of(record), CLASSES[record["class"]])
    assert bool(told.endpoints) == (told.name != "other")


def made_in_all(record: Record, inputs: list[dict[str, Any]]) -> int:
    counts = ("num_outputs", "num_images", "number_of_images", "batch_size")
    return sum(next((int(each[name]) for name in counts if name in each), 1) for each in inputs)


@pytest.mark.parametrize("record", of_class("others", "embeddings", "text-to-speech", "text-to-video", "trainer", "3d"))
@pytest.mark.parametrize("kind", ["chat", "images", "embeddings"])
def test_models_of_other_kinds_are_refused(record: Record, kind: str) -> None:
    request = {"messages": [{"role": "user", "content": "Hi"}], "prompt": "a cat", "input": "a cat"}
    told = translate(kind, record, json.dumps(request).encode(), CATALOG)
    if record["class"] == kind:
        assert "error" not in told
        return
    assert told["error"]["type"] == "invalid_request_error"
    assert told["error"]["code"] in {"unsupported_model", "unsupported_parameter", "missing_required_parameter"}


@pytest.mark.parametrize("kind", ["chat", "images"])
def test_a_model_without_a_version_is_refused(kind: str) -> None:
    request = {"messages": [{"role": "user", "content": "Hi"}]} if kind == "chat" else {"prompt": "a cat"}
    for version in (None, {}, {"id": "v", "openapi_schema": {}}):
        told = translate(kind, {"owner": "a", "name": "b", "latest_version": version}, json.dumps(request).encode())
        assert told["error"]["code"] == "model_not_ready"


def reference() -> Iterator[Any]:
    """The full records, where the reference material lies beside the project."""
    shared = Path(__file__).parents[2].parent / "shared" / "replicate"
    for path in sorted(shared.glob("models*/*.json")):
        yield pytest.param(path, id=f"{path.parent.name}/{path.stem}")


@pytest.mark.parametrize("path", list(reference()) or [pytest.param(None, marks=pytest.mark.skip("no reference here"))])
def test_the_full_records_prepare_or_are_refused_and_never_break(path: Path) -> None:
    record = json.loads(path.read_text("utf-8"))
    schema = schema_of(record)
    for kind, requests in (("chat", CHATS), ("images", IMAGES), ("embeddings", {"texts": {"input": TEXTS}})):
        for request in requests.values():
            told = translate(kind, record, json.dumps(request).encode(), CATALOG)
            for inputs in told.get("inputs", []):
                assert schema.problems(inputs) == []
    assert made_by(schema) in {None, "image", "audio", "video", "model3d", "archive", "file"}

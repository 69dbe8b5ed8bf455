"""What holds for every text, every cut and every schema."""

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.base import Prepared, Reading, Stamp
from adapters.catalog import shipped
from adapters.chat import ChatAdapter
from adapters.errors import ApiError
from adapters.fitting import fitted
from adapters.images import ImageAdapter
from adapters.schema import Schema
from adapters.stops import Stops
from adapters.streams import ChatStream
from adapters.templates import TEMPLATES, Said
from adapters.thoughts import Thoughts
from adapters.translate import schema_of
from adapters.wire.base import decode
from adapters.wire.chat import ChatRequest
from adapters.wire.chatted import ChatChunk
from adapters.wire.images import ImageRequest
from adapters.wire.replicate import ModelRef, Output, Prediction
from tests.adapters.records import records

STAMP = Stamp("id", 1, "m")
BITS = [
    "<think>",
    "</think>",
    "<thi",
    "nk>",
    "</",
    ">",
    "\n",
    " ",
    "a",
    "STOP",
    "ST",
    "OP",
    "é",
    "<|end|>",
    "User:",
    "<",
]

pieces = st.lists(st.sampled_from(BITS), max_size=14).map("".join)
cuts = st.lists(st.integers(0, 60), max_size=12)


def cut_up(text: str, places: list[int]) -> list[str]:
    ends = sorted({0, len(text), *(place for place in places if place < len(text))})
    return [text[start:end] for start, end in pairwise(ends)]


def split(text: str, places: list[int], *, inside: bool) -> tuple[str, str]:
    thoughts = Thoughts(inside=inside)
    told = [*map(thoughts.feed, cut_up(text, places)), thoughts.close()]
    return "".join(each.answer for each in told), "".join(each.thought for each in told)


@settings(deadline=None)
@example("<think>\n\n<think>", [8], True)
@given(pieces, cuts, st.booleans())
def test_thoughts_split_alike_wherever_the_text_is_cut(text: str, places: list[int], inside: bool) -> None:
    assert split(text, places, inside=inside) == split(text, [], inside=inside)


@settings(deadline=None)
@given(pieces.filter(lambda text: not text.lstrip().startswith("<")), cuts)
def test_a_text_without_thoughts_comes_through_whole(text: str, places: list[int]) -> None:
    assert split(text, places, inside=False) == (text, "")


@settings(deadline=None)
@given(pieces, cuts, st.lists(st.sampled_from(["STOP", "OP", "a<", "\nUser:", "éa"]), max_size=3))
def test_a_stop_never_leaks_and_cuts_alike_everywhere(text: str, places: list[int], stops: list[str]) -> None:
    def shown(parts: list[str]) -> str:
        watch = Stops(stops)
        return "".join([*map(watch.feed, parts), watch.close()])

    whole = shown([text])
    assert shown(cut_up(text, places)) == whole
    assert text.startswith(whole)
    assert not any(stop in whole for stop in stops)
    assert whole == text or any(stop in text for stop in stops)


def reply(text: str, parts: list[str], reading: Reading) -> tuple[str, str, str]:
    request = decode(json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode(), ChatRequest)
    stream = ChatStream(request, STAMP, Prepared(inputs=({},), reading=reading))
    told = [chunk for part in parts for chunk in stream.feed(Output(part))]
    told += stream.close([Prediction(id="p", status="succeeded", output=[text])])
    chunks = msgspec.json.decode(msgspec.json.encode(told), type=list[ChatChunk])
    deltas = [chunk.choices[0].delta for chunk in chunks]
    # Role once and first, an empty delta and the reason last.
    assert [delta.role for delta in deltas if delta.role] == ["assistant"]
    assert deltas[0].role == "assistant"
    assert [bool(chunk.choices[0].finish_reason) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    answer = "".join(delta.content or "" for delta in deltas)
    thought = "".join(delta.reasoning_content or "" for delta in deltas)
    return answer, thought, str(chunks[-1].choices[0].finish_reason)


@settings(deadline=None)
@given(pieces, cuts, st.sampled_from([None, 1, 3]), st.integers(0, 60))
def test_a_stream_says_what_the_whole_reply_says(text: str, places: list[int], limit: int | None, lost: int) -> None:
    reading = Reading(stops=("STOP",), limit=limit, cut=limit is not None)
    request = decode(json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode(), ChatRequest)
    whole = ChatStream(request, STAMP, Prepared(inputs=({},), reading=reading)).whole(
        [Prediction(id="p", status="succeeded", output=[text])]
    )
    said = whole.choices[0]
    # The stream may break off anywhere: closing brings what it lost.
    heard = cut_up(text[: len(text) - min(lost, len(text))], places)
    answer, thought, reason = reply(text, heard, reading)
    assert answer == said.message.content
    assert thought == (said.message.reasoning_content or "")
    assert reason == said.finish_reason


marks = st.sampled_from(sorted({mark for template in TEMPLATES.values() for mark in template.marks}))


@settings(deadline=None)
@given(st.sampled_from(sorted(TEMPLATES)), st.lists(st.one_of(marks, st.text(max_size=4)), max_size=8).map("".join))
def test_no_message_can_write_a_templates_markup(name: str, text: str) -> None:
    template = TEMPLATES[name]
    assert not any(mark in template.neutral(text) for mark in template.marks)
    spoken = template.render("", [Said("user", text)])
    plain = template.render("", [Said("user", "x")])
    assert [spoken.count(mark) for mark in template.marks] == [plain.count(mark) for mark in template.marks]


knobs = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "seed": st.integers(-(2**63), 2**63),
        "max_tokens": st.integers(1, 2**40),
        "presence_penalty": st.floats(-2, 2),
        "frequency_penalty": st.floats(-2, 2),
        "stop": st.lists(st.text(min_size=1, max_size=3), max_size=4),
        "reasoning_effort": st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
        "n": st.integers(1, 3),
        "user": st.text(max_size=5),
    },
)
turns = st.lists(
    st.builds(
        lambda role, text: {"role": role, "content": text}, st.sampled_from(["system", "user", "assistant"]), pieces
    ),
    min_size=1,
    max_size=4,
)
text_models = [each for each in records("text") if each["class"] == "text-generation"]
image_models = [each for each in records("images") if each["class"] == "text-to-image"]
CATALOG = shipped()


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(text_models), turns, knobs)
def test_every_prepared_chat_validates(record: dict[str, Any], messages: list[Any], parameters: dict[str, Any]) -> None:
    schema = schema_of(record)
    adapter = CATALOG.find(ChatAdapter, ModelRef(record["owner"], record["name"]))
    request = decode(json.dumps({"model": "m", "messages": messages, **parameters}).encode(), ChatRequest)
    prepared = adapter.prepare(request, schema)
    assert len(prepared.inputs) == parameters.get("n", 1)
    assert [schema.problems(inputs) for inputs in prepared.inputs] == [[]] * len(prepared.inputs)


pictures = st.fixed_dictionaries(
    {"prompt": st.text(min_size=1, max_size=20).filter(str.strip)},
    optional={
        "n": st.integers(1, 10),
        "size": st.one_of(
            st.sampled_from(["auto", "2K", "16:9", "nonsense", "0x0"]),
            st.builds("{}x{}".format, st.integers(1, 99999), st.integers(1, 99999)),
        ),
        "quality": st.sampled_from(["auto", "hd", "standard", "low", "high"]),
        "output_format": st.sampled_from(["png", "jpeg", "webp", "bmp"]),
        "output_compression": st.integers(0, 100),
        "style": st.sampled_from(["vivid", "natural", "Anime"]),
        "seed": st.integers(-(2**63), 2**63),
        "num_inference_steps": st.integers(-5, 5000),
    },
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(image_models), pictures)
def test_every_prepared_picture_validates(record: dict[str, Any], parameters: dict[str, Any]) -> None:
    schema = schema_of(record)
    adapter = CATALOG.find(ImageAdapter, ModelRef(record["owner"], record["name"]))
    request = decode(json.dumps({"model": "m", "openai_api_key": "k", **parameters}).encode(), ImageRequest)
    prepared = adapter.prepare(request, schema)
    assert sum(prepared.reading.counts) == parameters.get("n", 1)
    assert [schema.problems(inputs) for inputs in prepared.inputs] == [[]] * len(prepared.inputs)


scalars = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(-5, 5), st.text(max_size=4))
nodes = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(
                ["string", "integer", "number", "boolean", "array", "object", "null", "what", None]
            ),
            "enum": st.lists(scalars, max_size=3),
            "default": scalars,
            "minimum": st.integers(-3, 3),
            "maximum": st.integers(-3, 3),
            "nullable": st.booleans(),
            "format": st.sampled_from(["uri", "password", "x"]),
            "x-order": st.one_of(st.integers(0, 5), st.text(max_size=1)),
            "$ref": st.sampled_from(["#/components/schemas/other", "#/components/schemas/Input", "#/nowhere", "x"]),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "items": inner,
            "anyOf": st.lists(inner, max_size=2),
            "allOf": st.lists(inner, max_size=2),
            "properties": st.dictionaries(st.text(max_size=3), inner, max_size=2),
        },
    ),
    max_leaves=6,
)
names = st.sampled_from(
    ["prompt", "temperature", "max_tokens", "image", "seed", "messages", "stop", "width", "height", "x"]
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(names, nodes, max_size=6), nodes, nodes, st.lists(names, max_size=2), scalars)
def test_no_schema_breaks_the_translation(
    properties: dict[str, Any], output: dict[str, Any], other: dict[str, Any], required: list[str], value: Any
) -> None:
    document = {
        "components": {
            "schemas": {"Input": {"properties": properties, "required": required}, "Output": output, "other": other}
        }
    }
    schema = Schema.parse(document, {"input": {"x": value}, "output": value})
    for given_input in schema:
        fitted(given_input, value)
    chat = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0, "max_tokens": 3, "n": 2}
    image = {"model": "m", "prompt": "a cat", "size": "64x64", "n": 3}
    with suppress(ApiError):
        prepared = ChatAdapter().prepare(decode(json.dumps(chat).encode(), ChatRequest), schema)
        assert [schema.problems(inputs) for inputs in prepared.inputs] == [[], []]
    with suppress(ApiError):
        drawn = ImageAdapter().prepare(decode(json.dumps(image).encode(), ImageRequest), schema)
        assert [schema.problems(inputs) for inputs in drawn.inputs] == [[]] * len(drawn.inputs)

"""Forms: the same requests as JSON, written as text and files under names with brackets."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from adapters.errors import ApiError, InvalidRequest
from adapters.wire.base import Request, Upload
from adapters.wire.forms import decode_form

CAT = Upload("cat.png", "image/png", b"cat")
DOG = Upload("dog.png", "image/png", b"dog")


class Reference(Struct, frozen=True):
    """A field that is an object."""

    file_id: str | None = None


class Order(Request, frozen=True, kw_only=True):
    """A bit of everything."""

    image: tuple[Upload, ...] = ()
    mask: Upload | None = None
    n: Annotated[int, Meta(ge=1, le=10)] | None = None
    strength: float | None = None
    stream: bool | None = None
    granularities: tuple[str, ...] | None = None
    metadata: dict[str, str] | None = None
    reference: Reference | None = None
    prompt: str | None = None


def read(*fields: tuple[str, str | Upload]) -> Order:
    form: dict[str, list[str | Upload]] = {}
    for name, value in fields:
        form.setdefault(name, []).append(value)
    return decode_form({"model": ["m"], **form}, Order)


@pytest.mark.parametrize(
    "names", [("image[]", "image[]"), ("image", "image"), ("image[0]", "image[1]"), ("image", "image[]")]
)
def test_files_of_one_name_are_a_list_in_their_order(names: Sequence[str]) -> None:
    assert read((names[0], CAT), (names[1], DOG)).image == (CAT, DOG)


def test_one_file_is_a_list_of_one_where_a_list_is_wanted() -> None:
    assert read(("image", CAT), ("mask", DOG)) == Order(model="m", image=(CAT,), mask=DOG)


@pytest.mark.parametrize(("text", "truth"), [("false", False), ("true", True), ("False", False), ("0", False)])
def test_booleans_are_what_they_say(text: str, truth: bool) -> None:
    assert read(("stream", text)).stream is truth


def test_numbers_objects_and_lists_may_be_text() -> None:
    order = read(
        ("n", "3"),
        ("strength", "1"),
        ("granularities[]", "word"),
        ("granularities[]", "segment"),
        ("metadata[team]", "a"),
        ("metadata[cost]", "b"),
        ("reference", '{"file_id": "file-1"}'),
        ("steps", "4"),
        ("replicate", '{"go": true}'),
    )
    assert (order.n, order.strength, order.granularities) == (3, 1.0, ("word", "segment"))
    assert (order.metadata, order.reference) == ({"team": "a", "cost": "b"}, Reference("file-1"))
    assert order.extra == {"steps": "4", "replicate": {"go": True}}
    assert read(("granularities", '["word"]')).granularities == ("word",)
    assert read(("reference[file_id]", "file-1")).reference == Reference("file-1")


def test_a_text_that_looks_like_json_stays_a_text() -> None:
    assert read(("prompt", '{"a": 1}')).prompt == '{"a": 1}'


@pytest.mark.parametrize(
    ("field", "problem", "code"),
    [
        (("n", "many"), "Invalid type for 'n': expected an integer, but got a string", "invalid_type"),
        (("n", "11"), "Invalid 'n': integer above maximum value", "integer_above_max_value"),
        (("prompt", CAT), "Invalid type for 'prompt': expected a string, but got a file", "invalid_type"),
        (("mask", "x"), "Invalid type for 'mask': expected an object, but got a string", "invalid_type"),
        (("metadata[]", "x"), "Invalid type for 'metadata': expected an object, but got an array", "invalid_type"),
    ],
)
def test_a_wrong_value_is_refused_by_name(field: tuple[str, Any], problem: str, code: str) -> None:
    with pytest.raises(ApiError, match=problem) as refused:
        read(field)
    assert (refused.value.param, refused.value.code) == (field[0].rstrip("[]"), code)


def test_what_can_be_given_once_is_not_given_twice() -> None:
    with pytest.raises(ApiError, match=r"Duplicate parameter: 'prompt'") as refused:
        read(("prompt", "a"), ("prompt", "b"))
    assert refused.value.param == "prompt"


def test_a_form_without_a_model_is_refused_as_json_without_one_is() -> None:
    with pytest.raises(ApiError, match="you must provide a model parameter"):
        decode_form({"prompt": ["a"]}, Order)


@given(st.lists(st.tuples(st.text("a[]0", max_size=9), st.sampled_from(["", "1", "[", '{"a":1}', CAT])), max_size=6))
def test_any_names_are_read_or_refused(fields: list[tuple[str, str | Upload]]) -> None:
    with suppress(InvalidRequest):
        read(*fields)

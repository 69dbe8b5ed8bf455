"""The rest of an output, told from how it began."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.errors import UpstreamFailed
from gateway.upstream.delivered import Delivered

URL = "https://replicate.delivery/xezq/a.png"


@given(tokens=some.lists(some.text(max_size=6), max_size=20), heard=some.integers(0, 20))
def test_what_was_heard_and_the_rest_are_the_whole(tokens: list[str], heard: int) -> None:
    delivered = Delivered()
    for token in tokens[:heard]:
        delivered.add([token])
    assert "".join([*tokens[:heard], *delivered.rest(tokens)]) == "".join(tokens)
    assert "".join([*tokens[:heard], *delivered.rest("".join(tokens))]) == "".join(tokens)


@pytest.mark.parametrize("output", ["other", ["o", "ther"], "", []])
def test_another_beginning_is_refused(output: object) -> None:
    delivered = Delivered()
    delivered.add(["on", "ce"])
    with pytest.raises(UpstreamFailed):
        delivered.rest(output)


@pytest.mark.parametrize("output", [None, 7, {"text": "x"}, [[0.1, 0.2]], [{"a": 1}], True])
def test_other_shapes_are_no_events(output: object) -> None:
    assert Delivered().rest(output) == []


def test_files_come_one_by_one_and_text_that_holds_an_address_does_not() -> None:
    assert Delivered().rest([URL, "data:image/png;base64,aa"]) == [URL, "data:image/png;base64,aa"]
    assert Delivered().rest(URL) == [URL]
    assert Delivered().rest(["https://a.example is", " where"]) == ["https://a.example is where"]
    delivered = Delivered()
    delivered.add([URL])
    assert delivered.rest([URL, "https://replicate.delivery/b"]) == ["https://replicate.delivery/b"]

"""A text ends at the stop that is complete first, and lengths are cut between characters."""

import pytest

from adapters.stops import Length, Stops


@pytest.mark.parametrize(
    ("stops", "text", "shown"),
    [
        (["###", "STOP"], "a STOP b ### c", "a "),
        (["STOP", "###"], "a ### b STOP c", "a "),
        (["OP", "STOP"], "a STOP", "a "),
        (["abc", "b"], "abc", "a"),
        (["", "x"], "text", "te"),
        (["STOP"], "a STO", "a STO"),
    ],
)
def test_the_stop_that_is_complete_first_ends_the_text(stops: list[str], text: str, shown: str) -> None:
    at_once, by_letters = Stops(stops), Stops(stops)
    assert at_once.feed(text) + at_once.close() == shown
    assert "".join(map(by_letters.feed, text)) + by_letters.close() == shown


def test_a_length_is_counted_in_bytes_and_cut_between_characters() -> None:
    length = Length(1)
    assert length.feed("aé") + length.feed("éb") == "aé"
    assert length.met
    assert length.feed("c") == ""


def test_a_length_that_is_just_reached_is_not_exceeded() -> None:
    length = Length(1)
    assert length.feed("abcd") == "abcd"
    assert not length.met

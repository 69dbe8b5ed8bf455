"""Calls and JSON come out of a text the same however it is cut, valid, and without the marks around them."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.calling import Called, Calls
from adapters.formats import Format, JsonText
from adapters.functions import Convention, Tools
from adapters.lenient import NotJson, Unfinished, value_of
from adapters.validating import Validator
from adapters.wire.tools import Function

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = Tools(functions=(Function(name="weather", parameters=CITY), Function(name="now")))
ROME = Called("weather", '{"city":"Rome"}')
NOW = Called("now", "{}")
WRITTEN = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "of": {"type": "array"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}

Read = tuple[str, list[Called], str]


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(places)]


def calls_in(parts: list[str], tools: Tools = TOOLS) -> Read:
    reader = Calls(tools)
    heard = [*map(reader.feed, parts), reader.close()]
    return "".join(each.text for each in heard), [call for each in heard for call in each.calls], reader.fault


def json_in(parts: list[str], schema: dict[str, Any], kept: dict[str, Any] | None = None) -> tuple[str, str]:
    reader = JsonText(Format(schema=schema), kept)
    return "".join([*map(reader.feed, parts), reader.close()]), reader.fault


@pytest.mark.parametrize(
    ("text", "said", "calls"),
    [
        (WRITTEN, "", [ROME]),
        (f"I will look.\n\n{WRITTEN}\nIt is sunny there.", "I will look.", [ROME]),
        (f"{WRITTEN}\n<tool_call>{{'name': 'now'}}</tool_call>", "", [ROME, NOW]),
        (WRITTEN.removesuffix("\n</tool_call>"), "", [ROME]),
        (WRITTEN.replace("</tool_call>", "\n<tool_call>") + '{"name": "now"}', "", [ROME, NOW]),
        (f"```xml\n{WRITTEN}\n```", "", [ROME]),
        ('```json\n[{"name": "now", "arguments": {}}]\n```', "", [NOW]),
        ('<tool_call>\n```json\n{"name": "now", "arguments": "{}"}\n```\n</tool_call>', "", [NOW]),
        ('<tool_call>[{"name": "now"}, {"name": "weather", "args": {"city": "Rome",}}]</tool_call>', "", [NOW, ROME]),
        ('[TOOL_CALLS] [{"name": "now", "arguments": {}}]', "", [NOW]),
        ('{"tool_calls": [{"type": "function", "function": {"name": "now", "arguments": "{}"}}]}', "", [NOW]),
        ('<tool_call>{"name": "weather", "arguments": {"city": "Rome"}</tool_call>', "", [ROME]),
        (
            '<tool_call>{"name": "weather", "arguments": {"city": "a </tool_call> b"}}</tool_call>',
            "",
            [Called("weather", '{"city":"a </tool_call> b"}')],
        ),
        ("A <tool_ca is no mark", "A <tool_ca is no mark", []),
        ("Write <tool_call> before a call.", "Write <tool_call> before a call.", []),
        ('{"name": "Ann", "age": 4}', '{"name": "Ann", "age": 4}', []),
        ("Ends in `code` and spaces  \n", "Ends in `code` and spaces  \n", []),
        ("", "", []),
    ],
)  # fmt: skip
@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=40))
def test_a_text_cut_anywhere_holds_the_same_words_and_calls(
    text: str, said: str, calls: list[Called], cuts: list[int]
) -> None:
    assert calls_in(pieces(text, cuts)) == (said, calls, "")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from([
            "<tool_call>", "</tool_call>", "{", "}", '"name":', '"weather"', ",", '"arguments":', '{"city": "Rome"}',
            " ", "\n", "```", "json", "words", "[", "]", "'", "\\", "<", WRITTEN, "[TOOL_CALLS]",
        ]),
        max_size=14,
    ).map("".join),
    st.lists(st.integers(0, 10_000), max_size=30),
)  # fmt: skip
def test_whatever_comes_reads_the_same_in_pieces_and_makes_valid_calls_only(text: str, cuts: list[int]) -> None:
    whole = calls_in([text])
    assert calls_in(pieces(text, cuts)) == whole
    for name, arguments in whole[1]:
        assert TOOLS.problems(name, json.loads(arguments)) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('<tool_call>{"name": "weather", "arguments": {"city": 5}}</tool_call>', 'at city: 5 is not of type "string"'),
        ('<tool_call>{"name": "weather"}</tool_call>', '"city" is a required property'),
        ('<tool_call>{"name": "wether", "arguments": {}}</tool_call>', "there is no function 'wether'"),
        ('<tool_call>{"name": "wea', "no JSON object"),
        ('<tool_call>{"city": "Rome"}</tool_call>', "no JSON object"),
    ],
)
def test_a_call_that_no_function_takes_says_what_is_wrong(text: str, fault: str) -> None:
    said, calls, found = calls_in([text])
    assert (said, calls) == ("", [])
    assert fault in found


def test_where_a_call_must_come_words_are_left_out_and_arguments_alone_will_do() -> None:
    must = Tools(functions=TOOLS.functions, must=True, named="weather")
    assert calls_in(["Sure: ", '{"city":', ' "Rome"} there.'], must) == ("", [ROME], "")
    assert calls_in(["I would rather not."], must) == ("", [], "no function was called")


def test_a_family_may_speak_of_calls_in_its_own_way() -> None:
    granite = Convention(opening="<|call|>", closing="", listed=True)
    tools = Tools(functions=TOOLS.functions, convention=granite)
    said = granite.said([("weather", {"city": "Rome"}), ("now", {})])
    assert said == '<|call|>\n[{"name": "weather", "arguments": {"city": "Rome"}}, {"name": "now", "arguments": {}}]'
    assert calls_in([f"Well. {said}"], tools) == ("Well.", [ROME, NOW], "")
    assert "<|call|>" in tools.instructions
    assert granite.neutral("say <|call|> now") == "say < |call|> now"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"name": "Ann", "age": 41, "of": [1, {"x": [2.5]}]}', '{"name":"Ann","age":41,"of":[1,{"x":[2.5]}]}'),
        ('Here {it} is:\n```json\n{"name": "A", "age": 4}\n```\nMore?', '{"name":"A","age":4}'),
        ("{'name': 'it\\'s', age: 4,} // done", '{"name":"it\'s","age":4}'),
        ('{"name": "A\n\\"B\\"", "age": 4', '{"name":"A\\n\\"B\\"","age":4}'),
    ],
)
@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=40))
def test_the_json_alone_comes_out_of_a_text_cut_anywhere(text: str, shown: str, cuts: list[int]) -> None:
    assert json_in(pieces(text, cuts), PERSON) == (shown, "")


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    ),
    st.lists(st.integers(0, 10_000), max_size=20),
    st.booleans(),
)
def test_any_object_comes_through_as_it_was(value: Any, cuts: list[int], ascii_only: bool) -> None:
    text = json.dumps({"v": value, "w": [value]}, ensure_ascii=ascii_only)
    shown, fault = json_in(pieces(text, cuts), {"type": "object"})
    assert (json.loads(shown), fault) == ({"v": value, "w": [value]}, "")


def test_members_leave_when_they_are_whole_and_a_wrong_one_never_does() -> None:
    reader = JsonText(Format(schema=PERSON))
    shown = [reader.feed(piece) for piece in ('{"na', 'me": "Ann"', ', "age"', ': "old"', ', "of": []}')]
    assert shown == ["", "", '{"name":"Ann"', "", ""]
    assert reader.fault == 'at age: "old" is not of type "integer"'
    assert json_in(['{"name": "Eve", "age": 5, "of": []}'], PERSON, reader.kept) == (',"age":5,"of":[]}', "")


def test_what_is_about_the_whole_is_judged_at_the_end() -> None:
    one_of = {"anyOf": [PERSON, {"type": "object", "required": ["x"]}]}
    reader = JsonText(Format(schema=one_of))
    assert reader.feed('{"name": "Ann", "age": 41}') == ""
    assert reader.close() == '{"name":"Ann","age":41}'
    assert json_in(['{"name": "Ann"}'], PERSON) == ('{"name":"Ann"', '"age" is a required property')


def test_a_text_cut_at_its_limit_ends_where_it_was_cut() -> None:
    reader = JsonText(Format(schema=PERSON))
    shown = reader.feed('Well: {"name": "Ann", "age": 4')
    assert shown + reader.close(whole=False) == '{"name":"Ann", "age": 4'
    calls = Calls(TOOLS)
    calls.feed('Well. <tool_call>{"name": "weath')
    assert (calls.close(whole=False).calls, calls.fault) == ((), "")


@pytest.mark.parametrize("text", ["", "{", '{"a"', '{"a":', '{"a": "x', "[1, 2", '{"a": tru', "-"])
def test_what_may_yet_become_json_is_told_from_what_may_not(text: str) -> None:
    with pytest.raises(Unfinished):
        value_of(text)


@pytest.mark.parametrize("text", ["}", "{]", '{"a" 1}', "hello!", "[1 2]", '{"a": nope!}', "[" * 100_000])
def test_what_is_no_json_is_said_to_be_none(text: str) -> None:
    with pytest.raises(NotJson):
        print(value_of(text, ended=True))


def test_a_clients_schema_fetches_nothing_and_runs_no_endless_pattern() -> None:
    with pytest.raises(ValueError, match=r"http://127\.0\.0\.1:9/x"):
        Validator({"$ref": "http://127.0.0.1:9/x"})
    assert Validator({"type": "string", "pattern": "^(a|a?)+$"}).problems("a" * 60 + "b")

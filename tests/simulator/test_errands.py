"""Text models do what a competent one would with tools and schemas, and err when they are told to."""

import json
from typing import Any

import pytest

from gateway.simulator import Simulator
from gateway.simulator.filling import filled, several
from tests.simulator.calls import Api

WEATHER = {
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TOLD = f"Call what you need.\n<tools>\n{json.dumps(WEATHER)}\n</tools>"
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'


def said(api: Api, model: str = "meta/meta-llama-3-70b-instruct", **inputs: Any) -> str:
    return "".join(api.run(model, **inputs)["output"])


def test_a_tool_that_the_words_ask_for_is_called(api: Api) -> None:
    assert said(api, prompt="What is the weather in Rome?", system_prompt=TOLD) == CALL


def test_a_tool_that_nobody_asked_for_is_not(api: Api) -> None:
    assert said(api, prompt="Who wrote this?", system_prompt=TOLD).startswith('You asked: "Who wrote this?"')


def test_a_result_is_used_in_the_answer(api: Api) -> None:
    result = '<tool_response>\n{"content": "It rains."}\n</tool_response>'
    prompt = f"User: What is the weather in Rome?\n\nAssistant: {CALL}\n\nUser: {result}\n\nAssistant:"
    assert said(api, "sim/community", prompt=f"{TOLD}\n\n{prompt}") == "Here is what I found: It rains."


def test_tools_in_an_input_of_their_own_are_called_too(api: Api) -> None:
    messages = [{"role": "user", "content": "What is the weather in Rome?"}]
    tools = [{"type": "function", "function": WEATHER}]
    assert said(api, "sim/tools", messages=messages, tools=tools) == CALL


@pytest.mark.parametrize(("scene", "sign"), [
    ("broken-json", '"arguments": {"city": "Rome"}'),
    ("wrong-arguments", '"city":'),
    ("missing-end", "</tool_call>"),
    ("no-call", "<tool_call>"),
])  # fmt: skip
def test_a_scene_spoils_the_call_until_it_is_corrected(api: Api, simulator: Simulator, scene: str, sign: str) -> None:
    simulator.scene("sim/community", scene)
    asked = f"{TOLD}\n\nUser: What is the weather in Rome?\n\nAssistant:"
    spoilt = said(api, "sim/community", prompt=asked)
    assert sign not in spoilt
    corrected = f"{asked} {spoilt}\n\nUser: That is no valid call. Answer again.\n\nAssistant:"
    assert said(api, "sim/community", prompt=corrected) == CALL
    simulator.scene("sim/community", scene, stubborn=True)
    assert sign not in said(api, "sim/community", prompt=corrected)


@pytest.mark.parametrize(("schema", "words", "value"), [
    ({"type": "string"}, 'Send "hi" now', "hi"),
    ({"type": "integer", "minimum": 5}, "take 3", 5),
    ({"type": "number"}, "about 2.5 of it", 2.5),
    ({"type": "boolean"}, "it is not so", False),
    ({"enum": ["red", "blue"]}, "a blue one", "blue"),
    ({"type": "array", "items": {"type": "number"}}, "add 1, 2 and 3", [1, 2, 3]),
    ({"type": "array", "items": {"type": "string"}}, "from Rome to Oslo", ["Rome", "Oslo"]),
    ({"anyOf": [{"type": "string", "format": "email"}, {"type": "null"}]}, "write to a@b.example", "a@b.example"),
    ({"type": ["string", "null"]}, "nothing here", None),
    ({"$ref": "#/$defs/X", "$defs": {"X": {"type": "object", "properties": {"n": {"type": "integer"}},
                                           "required": ["n"]}}}, "there are 12", {"n": 12}),
    ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}, "only 1", {"a": 1}),
])  # fmt: skip
def test_a_schema_is_filled_from_the_words(schema: dict[str, Any], words: str, value: Any) -> None:
    assert filled(schema, words) == value


def test_each_name_makes_a_call_of_its_own() -> None:
    assert several(WEATHER["parameters"], "weather in Rome and in New York, please") == [
        {"city": "Rome"},
        {"city": "New York"},
    ]

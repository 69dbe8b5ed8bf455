"""Tools through the official client: asked for, called, answered; whole and streamed; and when the model errs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, InternalServerError

from gateway.simulator import Simulator
from tests.served import Served

LLAMA, LISTING, FOLDED, BARE, NATIVE = (
    "meta/meta-llama-3-70b-instruct",
    "openai/gpt-4o",
    "mistralai/mixtral-8x7b-instruct-v0.1",
    "sim/community",
    "sim/tools",
)


def tool(name: str, about: str, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    return {
        "type": "function",
        "function": {"name": name, "description": about, "parameters": schema, "strict": True},
    }


WEATHER = tool("get_weather", "Weather in a city", city={"type": "string"})
ADD = tool("add", "Sum of two numbers", a={"type": "number"}, b={"type": "number"})
ASKED = [{"role": "user", "content": "What is the weather in Paris and in Oslo? And please add 2 and 3.5"}]
MADE = [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Oslo"}), ("add", {"a": 2, "b": 3.5})]


def results(calls: Any) -> list[dict[str, Any]]:
    """What a client's own functions make of these calls."""
    known = {"get_weather": lambda city: f"It rains in {city}.", "add": lambda a, b: f"The sum is {a + b}."}
    return [
        {
            "role": "tool",
            "tool_call_id": call.id,
            "content": known[call.function.name](**json.loads(call.function.arguments)),
        }
        for call in calls
    ]


def made(calls: Any) -> list[tuple[str, Any]]:
    return [(call.function.name, json.loads(call.function.arguments)) for call in calls or ()]


@pytest.fixture
def scenes(simulator: Simulator) -> Iterator[Simulator]:
    yield simulator
    simulator.clear_scenes(LLAMA)


@pytest.mark.parametrize("model", [LLAMA, LISTING, FOLDED, BARE, NATIVE])
def test_a_loop_of_calls_and_results_ends_in_an_answer(gateway: Served, model: str) -> None:
    client = gateway.openai()
    first = client.chat.completions.create(model=model, messages=ASKED, tools=[WEATHER, ADD])
    [choice] = first.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert made(choice.message.tool_calls) == MADE
    assert len({call.id for call in choice.message.tool_calls or ()}) == 3
    history = [*ASKED, choice.message, *results(choice.message.tool_calls)]
    last = client.chat.completions.create(model=model, messages=history, tools=[WEATHER, ADD]).choices[0]
    assert last.finish_reason == "stop"
    assert last.message.tool_calls is None
    for told in ("It rains in Paris.", "It rains in Oslo.", "The sum is 5.5."):
        assert told in (last.message.content or "")


async def test_the_stream_helper_gathers_the_same_calls(gateway: Served) -> None:
    async with (
        gateway.async_openai() as client,
        client.chat.completions.stream(model=LLAMA, messages=ASKED, tools=[WEATHER, ADD]) as stream,
    ):
        done = [event async for event in stream if event.type == "tool_calls.function.arguments.done"]
        final = await stream.get_final_completion()
    assert [(event.name, json.loads(event.arguments)) for event in done] == MADE
    assert made(final.choices[0].message.tool_calls) == MADE
    assert final.choices[0].finish_reason == "tool_calls"


def test_streamed_calls_have_the_form_that_clients_join(gateway: Served) -> None:
    chunks = list(gateway.openai().chat.completions.create(model=LLAMA, messages=ASKED, tools=[WEATHER], stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert (deltas[0].role, deltas[0].content, deltas[0].tool_calls) == ("assistant", None, None)
    calls = [delta.tool_calls for delta in deltas if delta.tool_calls]
    assert all(len(each) == 1 for each in calls)
    assert [(one.index, bool(one.id), one.function and one.function.name) for [one] in calls] == [
        (0, True, "get_weather"),
        (0, False, None),
        (1, True, "get_weather"),
        (1, False, None),
    ]
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "tool_calls"
    assert not any("tool_call" in (delta.content or "") for delta in deltas)


def test_words_before_a_call_are_streamed_and_the_marks_are_not(gateway: Served, scenes: Simulator) -> None:
    scenes.scene(LLAMA, "prose-around", times=1)
    chunks = list(gateway.openai().chat.completions.create(model=LLAMA, messages=ASKED, tools=[ADD], stream=True))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert said == "Let me see what I can find."


def test_one_call_ends_the_answer_where_several_are_not_wanted(gateway: Served) -> None:
    client = gateway.openai()
    for tools, wanted in (([WEATHER, ADD], MADE[:1]), ([ADD], MADE[2:])):
        answer = client.chat.completions.create(model=LLAMA, messages=ASKED, tools=tools, parallel_tool_calls=False)
        assert made(answer.choices[0].message.tool_calls) == wanted


@pytest.mark.parametrize(
    ("choice", "names", "reason"),
    [
        ("none", [], "stop"),
        ("required", ["get_weather"], "tool_calls"),
        ({"type": "function", "function": {"name": "add"}}, ["add"], "stop"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
                {"type": "function", "function": {"name": "add"}}
            ]}},
            ["add"],
            "tool_calls",
        ),
    ],
)  # fmt: skip
def test_a_choice_is_kept(gateway: Served, choice: Any, names: list[str], reason: str) -> None:
    asked = [{"role": "user", "content": "Good evening to all 7 or 8 of you"}]
    answer = gateway.openai().chat.completions.create(
        model=LLAMA, messages=asked, tools=[WEATHER, ADD], tool_choice=choice
    )
    assert [name for name, _ in made(answer.choices[0].message.tool_calls)] == names
    assert answer.choices[0].finish_reason == reason


def test_functions_are_called_as_before_there_were_tools(gateway: Served) -> None:
    client, asked = gateway.openai(), [{"role": "user", "content": "Please add 2 and 3.5"}]
    functions = [ADD["function"]]
    [choice] = client.chat.completions.create(model=LLAMA, messages=asked, functions=functions).choices
    assert choice.finish_reason == "function_call"
    assert choice.message.function_call
    assert json.loads(choice.message.function_call.arguments) == {"a": 2, "b": 3.5}
    result = {"role": "function", "name": "add", "content": "The sum is 5.5."}
    again = client.chat.completions.create(model=LLAMA, messages=[*asked, choice.message, result], functions=functions)
    assert "The sum is 5.5." in (again.choices[0].message.content or "")


@pytest.mark.parametrize("scene", ["loose-json", "prose-around", "missing-end"])
def test_what_can_be_read_needs_no_second_prediction(gateway: Served, scenes: Simulator, scene: str) -> None:
    scenes.scene(LLAMA, scene)
    answer = gateway.openai().chat.completions.with_raw_response.create(model=LLAMA, messages=ASKED, tools=[ADD])
    assert made(answer.parse().choices[0].message.tool_calls) == MADE[2:]
    assert "," not in answer.headers["x-repligate-prediction-id"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("scene", ["broken-json", "wrong-arguments", "no-call"])
def test_a_wrong_call_is_asked_for_once_more(gateway: Served, scenes: Simulator, scene: str, stream: bool) -> None:
    scenes.scene(LLAMA, scene)
    asked: dict[str, Any] = {"model": LLAMA, "messages": ASKED, "tools": [ADD], "tool_choice": "required"}
    client = gateway.openai()
    if stream:
        with client.chat.completions.stream(**asked) as events:
            final = events.get_final_completion()
        assert made(final.choices[0].message.tool_calls) == MADE[2:]
        return
    answer = client.chat.completions.with_raw_response.create(**asked)
    assert made(answer.parse().choices[0].message.tool_calls) == MADE[2:]
    assert answer.headers["x-repligate-prediction-id"].count(",") == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_errs_twice_is_an_error(gateway: Served, scenes: Simulator, stream: bool) -> None:
    scenes.scene(LLAMA, "wrong-arguments", stubborn=True)
    before = len(scenes.predictions(LLAMA))
    with pytest.raises(InternalServerError) as failed:
        list(gateway.openai(max_retries=2).chat.completions.create(
            model=LLAMA, messages=ASKED, tools=[ADD], stream=stream
        ))  # fmt: skip
    assert (failed.value.status_code, failed.value.code, failed.value.param) == (502, "invalid_answer", "tools")
    assert len(scenes.predictions(LLAMA)) == before + 2


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [ADD], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"tools": [ADD], "tool_choice": "perhaps"}, "tool_choice"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": {"type": "object", "properties": {
                "x": {"$ref": "https://example.com/schema"}}}}}]},
            "tools[0].function.parameters",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "strict": True, "parameters": {
                "type": "object", "properties": {}}}}]},
            "tools[0].function.parameters",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_spent(
    gateway: Served, simulator: Simulator, wrong: dict[str, Any], param: str
) -> None:
    before = len(simulator.predictions(LLAMA))
    with pytest.raises(BadRequestError) as refused:
        gateway.openai().chat.completions.create(model=LLAMA, messages=ASKED, **wrong)
    assert refused.value.param == param
    assert len(simulator.predictions(LLAMA)) == before

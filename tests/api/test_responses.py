"""Responses through the official client: whole, streamed, parsed, continued, listed and deleted."""

import json
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError
from pydantic import BaseModel

from tests.served import Served

LLAMA = "meta/meta-llama-3-70b-instruct"
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


class City(BaseModel):
    name: str
    population: int


def test_a_response_has_every_field_and_is_found_again(gateway: Served) -> None:
    client = gateway.openai()
    answer = client.responses.create(
        model=LLAMA, input="Say hello", instructions="Be kind", metadata={"a": "b"}, temperature=0.5
    )
    assert (answer.object, answer.status, answer.error) == ("response", "completed", None)
    [message] = answer.output
    assert answer.output_text == message.content[0].text
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    raw = answer.model_dump()
    for field in ("incomplete_details", "instructions", "max_output_tokens", "previous_response_id", "tools", "text"):
        assert field in raw
    assert (answer.instructions, answer.metadata, answer.temperature) == ("Be kind", {"a": "b"}, 0.5)
    again = client.responses.retrieve(answer.id)
    assert again.model_dump() == raw
    assert client.responses.delete(answer.id) is None
    with pytest.raises(NotFoundError, match=answer.id):
        client.responses.retrieve(answer.id)


def test_what_is_not_to_be_stored_is_not(gateway: Served) -> None:
    client = gateway.openai()
    answer = client.responses.create(model=LLAMA, input="Say hello", store=False)
    assert answer.store is False
    with pytest.raises(NotFoundError):
        client.responses.retrieve(answer.id)
    with pytest.raises(BadRequestError) as refused:
        client.responses.create(model=LLAMA, input="And?", previous_response_id=answer.id)
    assert (refused.value.code, refused.value.param) == ("previous_response_not_found", "previous_response_id")


def test_nobody_else_sees_a_response(gateway: Served) -> None:
    answer = gateway.openai().responses.create(model=LLAMA, input="Say hello")
    other = gateway.openai().copy(api_key=gateway.command("keys", "create", "stranger").splitlines()[-1])
    with pytest.raises(NotFoundError):
        other.responses.retrieve(answer.id)
    with pytest.raises(BadRequestError):
        other.responses.create(model=LLAMA, input="And?", previous_response_id=answer.id)


async def test_the_events_of_a_text_come_in_openais_order(gateway: Served) -> None:
    async with gateway.async_openai() as client:
        stream = await client.responses.create(model=LLAMA, input="Say hello", stream=True)
        events = [event async for event in stream]
    types = [event.type for event in events]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert types == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * len(deltas),
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.completed"
    final = events[-1].response
    assert final.output_text == "".join(deltas)
    assert len(deltas) > 1
    assert final.usage
    assert gateway.openai().responses.retrieve(final.id).output_text == final.output_text


def test_calls_and_their_results_make_an_answer(gateway: Served) -> None:
    client = gateway.openai()
    question = "What is the weather in Paris and in Oslo?"
    first = client.responses.create(model=LLAMA, input=question, tools=[WEATHER])
    calls = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(call.arguments) for call in calls] == [{"city": "Paris"}, {"city": "Oslo"}]
    assert all(call.call_id != call.id for call in calls)
    results: Any = [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"It rains in {place}."}
        for call, place in zip(calls, ("Paris", "Oslo"), strict=True)
    ]
    for asked in (
        {"previous_response_id": first.id, "input": results},
        {"input": [{"role": "user", "content": question}, *first.output, *results]},
        {
            "input": [
                {"role": "user", "content": question},
                # The type of a reference may be left out.
                *({"id": call.id} for call in calls[:1]),
                *({"type": "item_reference", "id": call.id} for call in calls[1:]),
                *results,
            ]
        },
    ):
        last = client.responses.create(model=LLAMA, tools=[WEATHER], **asked)
        assert "It rains in Paris." in last.output_text
        assert "It rains in Oslo." in last.output_text


def test_the_stream_helper_gathers_calls_and_parsed_answers(gateway: Served) -> None:
    client = gateway.openai()
    with client.responses.stream(model=LLAMA, input="What is the weather in Paris?", tools=[WEATHER]) as stream:
        done = [event for event in stream if event.type == "response.function_call_arguments.done"]
        final = stream.get_final_response()
    assert [(event.name, json.loads(event.arguments)) for event in done] == [("get_weather", {"city": "Paris"})]
    assert [item.type for item in final.output] == ["function_call"]
    parsed = client.responses.parse(model=LLAMA, input="Name: Paris, population: 2100000", text_format=City)
    assert parsed.output_parsed == City(name="Paris", population=2100000)


def test_input_items_are_listed_page_by_page(gateway: Served) -> None:
    client = gateway.openai()
    given: Any = [{"role": "user", "content": f"line {n}"} for n in range(5)]
    answer = client.responses.create(model=LLAMA, input=given)
    items: Any = list(client.responses.input_items.list(answer.id, limit=2, order="asc"))
    assert [item.content[0].text for item in items] == [f"line {n}" for n in range(5)]
    newest: Any = client.responses.input_items.list(answer.id, limit=2)
    assert [item.content[0].text for item in newest.data] == ["line 4", "line 3"]
    assert newest.has_more


def test_any_item_that_is_listed_can_be_named_by_its_id(gateway: Served) -> None:
    client = gateway.openai()
    given: Any = [{"role": "user", "content": f"the heron {n}"} for n in range(3)]
    answer = client.responses.create(model=LLAMA, input=given)
    listed = list(client.responses.input_items.list(answer.id, order="asc"))
    named: Any = [{"type": "item_reference", "id": listed[1].id}, {"role": "user", "content": "And?"}]
    assert "the heron 1" in client.responses.create(model=LLAMA, input=named).output_text
    for wrong in ("msg_1", f"{listed[1].id}ff", "", "nothing"):
        with pytest.raises(BadRequestError) as refused:
            client.responses.create(model=LLAMA, input=[{"type": "item_reference", "id": wrong}])
        assert refused.value.param == "input[0].id"


def test_names_of_functions_may_be_twice_as_long_as_a_chats(gateway: Served) -> None:
    client = gateway.openai()
    asked: Any = {"model": LLAMA, "input": "What is the weather in Paris?"}
    named = {**WEATHER, "name": f"get_weather_{'x' * 116}"}
    [call] = client.responses.create(**asked, tools=[named], tool_choice="required").output
    assert (call.type, call.name) == ("function_call", named["name"])
    with pytest.raises(BadRequestError, match="maximum length 128") as refused:
        client.responses.create(**asked, tools=[{**named, "name": f"{named['name']}x"}])
    assert (refused.value.param, refused.value.code) == ("tools[0].name", "string_above_max_length")


def test_what_is_not_here_is_refused_by_name(gateway: Served) -> None:
    client = gateway.openai()
    for told, param in (
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True, "store": False}, "background"),
        ({"reasoning": {"effort": "endless"}}, "reasoning.effort"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format.type"),
        ({"truncation": "always"}, "truncation"),
        ({"include": ["everything"]}, "include[0]"),
        ({"top_logprobs": 2}, "top_logprobs"),
    ):
        with pytest.raises(BadRequestError) as refused:
            client.responses.create(**{"model": LLAMA, "input": "Hi", **told})
        assert refused.value.param == param
    for item, param in (({"content": "Hi"}, "input[0].role"), ({"role": "user"}, "input[0].content")):
        with pytest.raises(BadRequestError) as refused:
            client.responses.create(model=LLAMA, input=[item])  # type: ignore[list-item]
        assert (refused.value.param, refused.value.code) == (param, "missing_required_parameter")
    picture = {"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}]}
    with pytest.raises(BadRequestError) as refused:
        client.responses.create(model=LLAMA, input=[{"role": "user", "content": "Hi"}, picture])
    assert refused.value.param == "input[1].content[0]"


def test_one_that_fails_in_its_stream_says_that_it_is_not_kept(gateway: Served) -> None:
    client = gateway.openai()
    stream = client.responses.create(model="sim/fails-midway", input="Say hello", stream=True)
    *_, last = list(stream)
    assert last.type == "response.failed"
    assert last.response.store is False
    with pytest.raises(NotFoundError):
        client.responses.retrieve(last.response.id)


def test_a_limit_makes_a_response_incomplete(gateway: Served) -> None:
    answer = gateway.openai().responses.create(model=LLAMA, input="Tell me of whales", max_output_tokens=16)
    assert answer.status == "incomplete"
    assert answer.incomplete_details
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.output[-1].status == "incomplete"

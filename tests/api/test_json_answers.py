"""Answers in JSON through the official client's own helpers, whole and streamed, and when the model errs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import APIError, BadRequestError, InternalServerError
from pydantic import BaseModel

from gateway.simulator import Simulator
from tests.served import Served

LLAMA = "meta/meta-llama-3-70b-instruct"
MODELS = [LLAMA, "openai/gpt-4o", "mistralai/mixtral-8x7b-instruct-v0.1", "sim/community", "sim/tools", "sim/reasoning"]
SAID: Any = [{"role": "user", "content": "Her name is Ann, she is 41 years old and speaks 'French' and 'Thai'."}]


class Person(BaseModel):
    name: str
    age: int
    languages: list[str]
    nickname: str | None


ANN = {"name": "Ann", "age": 41, "languages": ["French", "Thai"], "nickname": None}


@pytest.fixture
def scenes(simulator: Simulator) -> Iterator[Simulator]:
    yield simulator
    simulator.clear_scenes(LLAMA)


@pytest.mark.parametrize("model", MODELS)
def test_a_pydantic_model_is_filled(gateway: Served, model: str) -> None:
    answer = gateway.openai().chat.completions.parse(model=model, messages=SAID, response_format=Person)
    parsed = answer.choices[0].message.parsed
    assert parsed
    assert parsed.model_dump() == ANN


async def test_the_stream_helper_sees_it_grow(gateway: Served) -> None:
    async with (
        gateway.async_openai() as client,
        client.chat.completions.stream(model=LLAMA, messages=SAID, response_format=Person) as stream,
    ):
        seen = [event.parsed async for event in stream if event.type == "content.delta"]
        final = await stream.get_final_completion()
    assert final.choices[0].message.parsed == Person(**ANN)
    assert {"name": "Ann"} in seen


def test_json_without_a_schema_is_an_object(gateway: Served) -> None:
    answer = gateway.openai().chat.completions.create(
        model=LLAMA, messages=SAID, response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


@pytest.mark.parametrize(
    "scene", ["loose-json", "prose-around", "missing-end", "broken-json", "wrong-arguments", "no-call"]
)
def test_what_is_streamed_is_the_json_alone_whatever_the_model_does(
    gateway: Served, scenes: Simulator, scene: str
) -> None:
    scenes.scene(LLAMA, scene)
    with gateway.openai().chat.completions.stream(model=LLAMA, messages=SAID, response_format=Person) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
    assert json.loads(text) == ANN


def test_a_model_that_errs_twice_is_an_error(gateway: Served, scenes: Simulator) -> None:
    scenes.scene(LLAMA, "wrong-arguments", stubborn=True)
    client = gateway.openai(max_retries=2)
    with pytest.raises(InternalServerError) as failed:
        client.chat.completions.parse(model=LLAMA, messages=SAID, response_format=Person)
    assert (failed.value.code, failed.value.param) == ("invalid_answer", "response_format")


def test_an_error_after_the_first_members_ends_the_stream_with_it(gateway: Served, scenes: Simulator) -> None:
    scenes.scene(LLAMA, "says", text='{"name": "Ann", "age": "old"}')
    with (
        pytest.raises(APIError, match="no JSON of the form"),
        gateway.openai().chat.completions.stream(model=LLAMA, messages=SAID, response_format=Person) as stream,
    ):
        stream.until_done()


def test_a_model_that_declines_gives_a_refusal(gateway: Served, scenes: Simulator) -> None:
    scenes.scene(LLAMA, "says", text="I'm sorry, I cannot tell you about people.")
    message = (
        gateway.openai().chat.completions.parse(model=LLAMA, messages=SAID, response_format=Person).choices[0].message
    )
    assert (message.content, message.parsed) == (None, None)
    assert message.refusal == "I'm sorry, I cannot tell you about people."


def test_a_schema_outside_the_strict_subset_is_refused(gateway: Served) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    with pytest.raises(BadRequestError, match="'additionalProperties' is required") as refused:
        gateway.openai().chat.completions.create(model=LLAMA, messages=SAID, response_format=form)
    assert refused.value.param == "response_format"

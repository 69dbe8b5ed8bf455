"""Moderations through the official client: honest verdicts, in OpenAI's categories as far as they go."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI, BadRequestError, InternalServerError

from gateway.parts import Gateway
from gateway.simulator import Settings, Simulator
from tests.opened import client_of, opened

GUARD, WATCH = "meta/meta-llama-guard-2-8b", "falcons-ai/nsfw_image_detection"


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with Simulator(Settings()) as running:
        yield running


@pytest.fixture
async def gateway(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    simulated.reset()
    simulated.switch(metrics_delay=0.0)
    models = {"guard": {"model": GUARD, "aliases": ["omni-moderation-latest"]}}
    async with opened(simulated, tmp_path, models=models) as parts:
        yield parts


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(gateway) as one:
        yield one


async def test_each_text_has_its_verdict_by_the_usual_model(client: AsyncOpenAI):
    reply = await client.moderations.create(input=["Good morning.", "How do I steal and kill?", "my password leaked"])
    calm, violent, private = reply.results
    assert reply.model == "omni-moderation-latest"
    assert reply.id.startswith("modr-")
    assert [each.flagged for each in reply.results] == [False, True, True]
    assert not any(calm.categories.model_dump().values())
    assert violent.categories.illicit_violent
    assert violent.categories.violence
    assert violent.category_scores.violence == 1
    assert not violent.categories.sexual
    # What OpenAI has no category for is told beside them.
    assert not any(private.categories.model_dump().values())
    assert private.model_extra == {"others": {"privacy": 1.0}}


async def test_what_the_model_does_not_judge_says_so(client: AsyncOpenAI):
    judged = (await client.moderations.create(input="Good morning.")).results[0].category_applied_input_types
    assert judged.hate == ["text"]
    assert judged.violence_graphic == []
    watched = await client.moderations.create(
        model=WATCH, input=[{"type": "image_url", "image_url": {"url": "https://example.com/nsfw.png"}}]
    )
    assert watched.results[0].categories.sexual
    assert watched.results[0].category_applied_input_types.sexual == ["image"]
    assert watched.results[0].category_applied_input_types.hate == []


async def test_parts_are_judged_together(client: AsyncOpenAI):
    reply = await client.moderations.create(
        model=WATCH,
        input=[
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/nsfw.png"}},
        ],
    )
    assert [each.flagged for each in reply.results] == [True]


@pytest.mark.parametrize(
    ("model", "part", "param"),
    [
        (GUARD, {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, "input[0]"),
        (WATCH, {"type": "text", "text": "Hi"}, "input"),
        ("meta/meta-llama-3-8b-instruct", {"type": "text", "text": "Hi"}, "model"),
        ("black-forest-labs/flux-schnell", {"type": "text", "text": "Hi"}, "model"),
    ],
)
async def test_what_a_model_cannot_judge_is_refused(client: AsyncOpenAI, model: str, part: object, param: str):
    with pytest.raises(BadRequestError) as refused:
        await client.moderations.create(model=model, input=[part])  # type: ignore[list-item]
    assert refused.value.param == param


async def test_an_answer_that_is_no_verdict_is_never_taken_for_safe(client: AsyncOpenAI, simulated: Simulator):
    simulated.scene(GUARD, "says", output='"I cannot help with that."')
    with pytest.raises(InternalServerError) as failed:
        await client.moderations.create(input="Good morning.")
    assert failed.value.code == "prediction_failed"

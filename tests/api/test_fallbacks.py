"""A model that is not to be had before its first word is stood in for by the next of its row, and never after."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.accounts.budgets import Terms
from gateway.config import ConfigError
from gateway.loading import load
from gateway.parts import Gateway
from gateway.simulator import Settings, Simulator
from tests.opened import client_of, opened, rows, settled

FIRST, SECOND = "meta/meta-llama-3-70b-instruct", "meta/meta-llama-3-8b-instruct"
ASKED: Any = [{"role": "user", "content": "Say hello"}]
MODELS: Any = {
    "main": {"model": FIRST, "fallbacks": ["gone", "spare"]},
    "hasty": {"model": FIRST, "fallbacks": ["spare"], "patience_seconds": 0.3},
    "gone": {"model": "nobody/nothing"},
    "lost": {"model": "nobody/nothing", "fallbacks": ["spare"]},
    "spare": {"model": SECOND, "price": {"per_run": 0.5}},
    "painter": {"model": "black-forest-labs/flux-dev", "fallbacks": ["black-forest-labs/flux-schnell"]},
}


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with Simulator(Settings(pace=500, picture_seconds=0.01)) as running:
        yield running


@pytest.fixture
async def gateway(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    simulated.reset()
    simulated.clear_scenes()
    simulated.switch(metrics_delay=0.0)
    async with opened(simulated, tmp_path, models=MODELS, upstream={"retry_seconds": 0.2}) as parts:
        yield parts


async def heard(stream: Any) -> tuple[str, bool]:
    """What a stream says, and whether it then fails."""
    said = ""
    try:
        async for chunk in stream:
            said += chunk.choices[0].delta.content or ""
    except openai.APIError:
        return said, True
    return said, False


@pytest.mark.parametrize("scene", ["unavailable", "throttled", "fails", "unhealthy"])
async def test_the_next_model_answers_and_the_reply_says_so(gateway: Gateway, simulated: Simulator, scene: str) -> None:
    simulated.scene(FIRST, scene)
    async with client_of(gateway) as client:
        raw = await client.chat.completions.with_raw_response.create(model="main", messages=ASKED)
        reply = raw.parse()
        assert reply.choices[0].message.content
        assert (reply.model, raw.headers["x-repligate-fallback"]) == ("spare", "spare")
        assert raw.headers["x-repligate-model"] == SECOND
        stream = await client.chat.completions.create(model="main", messages=ASKED, stream=True)
        chunks = [chunk async for chunk in stream]
        assert {chunk.model for chunk in chunks} == {"spare"}
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == reply.choices[0].message.content
    lines = await settled(gateway)
    entries = await rows(gateway)
    assert [entry["model"] for entry in entries] == ["main", "spare"] * 2
    assert len({entry["call"] for entry in entries}) == 2
    costs = {line["entry"]: line["cost"] for line in lines}
    assert [costs[entry["id"]] for entry in entries if entry["model"] == "spare"] == [500_000, 500_000]


async def test_a_model_that_is_gone_is_stood_in_for(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        reply = await client.chat.completions.create(model="lost", messages=ASKED)
        assert reply.model == "spare"
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="gone", messages=ASKED)


async def test_nothing_is_begun_again_after_the_first_word(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene(FIRST, "fails-midway")
    async with client_of(gateway) as client:
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="main", messages=ASKED)
        stream = await client.chat.completions.create(model="main", messages=ASKED, stream=True)
        said, failed = await heard(stream)
        assert said
        assert failed
    await settled(gateway)
    assert {entry["model"] for entry in await rows(gateway)} == {"main"}


async def test_what_a_filter_refused_is_not_asked_of_another(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene(FIRST, "refused")
    async with client_of(gateway) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(model="main", messages=ASKED)
    assert refused.value.code == "content_policy_violation"


async def test_a_model_that_takes_too_long_to_begin_is_given_up(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene(FIRST, "queue")
    async with client_of(gateway) as client:
        stream = await client.chat.completions.create(model="hasty", messages=ASKED, stream=True)
        assert {chunk.model async for chunk in stream} == {"spare"}
    lines = await settled(gateway)
    assert sorted(line["status"] for line in lines) == ["canceled", "succeeded"]


async def test_a_key_falls_back_on_what_it_may_use_only(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene(FIRST, "fails")
    async with client_of(gateway, models=("main",)) as client:
        with pytest.raises(openai.InternalServerError) as failed:
            await client.chat.completions.create(model="main", messages=ASKED)
    assert failed.value.code == "prediction_failed"


async def test_the_budget_of_a_model_that_stands_in_holds(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene(FIRST, "fails")
    await gateway.budgets.set(Terms(scope="model", subject="spare", period="total", hard=400_000))
    async with client_of(gateway) as client:
        with pytest.raises(openai.InternalServerError) as failed:
            await client.chat.completions.create(model="main", messages=ASKED)
    assert failed.value.code == "prediction_failed"
    await settled(gateway)
    assert [entry["model"] for entry in await rows(gateway)] == ["main"]


async def test_pictures_and_responses_fall_back_too(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene(FIRST, "fails")
    simulated.scene("black-forest-labs/flux-dev", "fails")
    async with client_of(gateway) as client:
        raw = await client.images.with_raw_response.generate(model="painter", prompt="a cat")
        assert raw.headers["x-repligate-fallback"] == "black-forest-labs/flux-schnell"
        assert raw.parse().data
        response = await client.responses.create(model="main", input="Say hello")
        assert (response.model, response.status) == ("spare", "completed")
        events = [event async for event in await client.responses.create(model="main", input="Say hello", stream=True)]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert (events[0].response.model, events[-1].type) == ("spare", "response.completed")


def test_fallbacks_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    for fallbacks, told in (('["mine"]', "itself"), ('["spear"]', "did you mean 'spare'")):
        path = tmp_path / "config.toml"
        path.write_text(
            f'[models.mine]\nmodel = "a/b"\nfallbacks = {fallbacks}\n[models.spare]\nmodel = "c/d"\n', encoding="utf-8"
        )
        with pytest.raises(ConfigError, match=told):
            load(path, {})

"""The list of models through the official client: what each is for, and Replicate's own search and collections."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError
from openai.types import Model

from gateway.parts import Gateway
from gateway.simulator import Settings, Simulator
from tests.opened import client_of, opened

ROWS = {
    "llama": {"model": "meta/meta-llama-3-8b-instruct"},
    "base": {"model": "meta/meta-llama-3-8b"},
    "guard": {"model": "meta/meta-llama-guard-2-8b"},
    "e5": {"model": "beautyyuyanli/multilingual-e5-large"},
    "whisper": {"model": "openai/whisper"},
    "kontext": {"model": "black-forest-labs/flux-kontext-pro"},
}


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with Simulator(Settings()) as running:
        yield running


@pytest.fixture
async def gateway(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    simulated.reset()
    async with opened(simulated, tmp_path, models=ROWS) as parts:
        yield parts


def told(model: Model) -> tuple[str, list[str]]:
    extra = model.model_extra or {}
    return extra["class"], extra["endpoints"]


async def found(client: AsyncOpenAI, **query: str) -> list[Model]:
    return (await client.models.list(extra_query=query)).data


def asked_for(simulated: Simulator, collection: str) -> int:
    return [each.path for each in simulated.requests()].count(f"/v1/collections/{collection}")


async def test_a_model_tells_its_class_and_the_endpoints_that_serve_it(gateway: Gateway):
    async with client_of(gateway) as client:
        cards = {name: await client.models.retrieve(name) for name in ROWS}
        listed = {each.id: each for each in (await client.models.list()).data}
    assert listed == cards
    assert {name: told(card)[0] for name, card in cards.items()} == {
        "llama": "chat",
        "base": "completion",
        "guard": "moderation",
        "e5": "embedding",
        "whisper": "transcription",
        "kontext": "image",
    }
    assert told(cards["llama"])[1] == ["/v1/chat/completions", "/v1/responses", "/v1/completions"]
    assert told(cards["kontext"])[1] == ["/v1/images/generations", "/v1/images/edits", "/v1/images/variations"]
    assert (cards["llama"].model_extra or {})["model"] == "meta/meta-llama-3-8b-instruct"
    assert (cards["llama"].model_extra or {})["official"] is True
    assert (cards["e5"].model_extra or {})["official"] is False


async def test_models_are_found_by_words_and_by_collection_and_once_a_minute(gateway: Gateway, simulated: Simulator):
    async with client_of(gateway) as client:
        by_words = await found(client, search="flux kontext")
        in_it = await found(client, collection="embedding-models")
        asked = len(simulated.requests())
        assert await found(client, search="flux kontext") == by_words
        assert await found(client, collection="embedding-models") == in_it
    assert len(simulated.requests()) == asked
    # A row's name is what this gateway calls the model.
    assert by_words[0].id == "kontext"
    assert {"e5", "andreasjansson/clip-features"} <= {each.id for each in in_it}
    assert {told(each)[0] for each in in_it} == {"embedding"}


async def test_many_who_ask_the_same_at_once_ask_replicate_once(gateway: Gateway, simulated: Simulator):
    async with client_of(gateway) as client:
        answers = await asyncio.gather(*(found(client, collection="embedding-models") for _ in range(6)))
        assert all(answers)
    assert asked_for(simulated, "embedding-models") == 1


async def test_a_collection_that_is_not_there_is_asked_for_again(gateway: Gateway, simulated: Simulator):
    async with client_of(gateway) as client:
        for _ in range(2):
            with pytest.raises(NotFoundError):
                await found(client, collection="nothing")
    assert asked_for(simulated, "nothing") == 2


async def test_only_what_the_key_may_use_is_found(gateway: Gateway):
    async with client_of(gateway, models=("andreasjansson/*",)) as client:
        assert [each.id for each in await found(client, collection="embedding-models")] == [
            "andreasjansson/clip-features"
        ]
        assert await found(client, search="llama") == []


async def test_what_is_found_can_be_used(gateway: Gateway):
    async with client_of(gateway) as client:
        clip = next(each for each in await found(client, collection="embedding-models") if "clip" in each.id)
        reply = await client.embeddings.create(model=clip.id, input="a heron")
    assert len(reply.data[0].embedding) > 0


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"search": "a", "collection": "b"}, "collection"),
        ({"search": " "}, "search"),
        ({"collection": ""}, "collection"),
        ({"search": "a" * 300}, "search"),
    ],
)
async def test_a_wrong_query_is_refused(gateway: Gateway, query: dict[str, str], param: str):
    async with client_of(gateway) as client:
        with pytest.raises(BadRequestError) as refused:
            await found(client, **query)
    assert refused.value.param == param


async def test_an_unknown_collection_is_not_found(gateway: Gateway):
    async with client_of(gateway) as client:
        with pytest.raises(NotFoundError) as refused:
            await found(client, collection="no-such/thing")
    assert (refused.value.param, refused.value.code) == ("collection", "not_found")

"""Embeddings through the official client, against models that take texts in every way there is."""

import asyncio
import base64
import math
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI, BadRequestError, OpenAI

from gateway.parts import Gateway
from gateway.simulator import Settings, Simulator
from tests.opened import client_of, holds, opened

TEXTS = ["a brown dog in the park", "a brown dog in a park", "quarterly tax returns"]
MODELS = {
    "andreasjansson/clip-features": 1,  # lines
    "beautyyuyanli/multilingual-e5-large": 1,  # JSON in a string
    "nateraw/bge-large-en-v1.5": 1,
    "replicate/all-mpnet-base-v2": 1,
}


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with Simulator(Settings()) as running:
        yield running


@pytest.fixture
async def gateway(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    simulated.reset()
    simulated.switch(metrics_delay=0.0)
    async with opened(simulated, tmp_path) as parts:
        yield parts


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(gateway) as one:
        yield one


def likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("model", "predictions"), MODELS.items())
async def test_many_texts_are_embedded_in_their_order_in_few_predictions(
    client: AsyncOpenAI, model: str, predictions: int
):
    raw = await client.embeddings.with_raw_response.create(model=model, input=TEXTS)
    reply = raw.parse()
    dog, hound, taxes = (each.embedding for each in reply.data)
    assert [each.index for each in reply.data] == [0, 1, 2]
    assert likeness(dog, hound) > 0.8
    assert likeness(dog, taxes) < 0.4
    assert math.isclose(likeness(dog, dog), 1, abs_tol=1e-5)
    assert reply.usage.prompt_tokens == reply.usage.total_tokens > 10
    assert len(raw.headers["x-repligate-prediction-id"].split(", ")) == predictions
    alone = await client.embeddings.create(model=model, input=TEXTS[1], encoding_format="float")
    assert alone.data[0].embedding == pytest.approx(hound, abs=1e-6)


async def test_the_form_asked_for_is_the_form_that_comes(client: AsyncOpenAI):
    ask = {"model": "beautyyuyanli/multilingual-e5-large", "input": ["a heron"]}
    coded = await client.embeddings.with_raw_response.create(**ask, encoding_format="base64")  # type: ignore[arg-type]
    plain = await client.embeddings.with_raw_response.create(**ask, encoding_format="float")  # type: ignore[arg-type]
    written, numbers = (raw.http_response.json()["data"][0]["embedding"] for raw in (coded, plain))
    content = base64.b64decode(written)
    assert struct.unpack(f"<{len(content) // 4}f", content) == pytest.approx(numbers, abs=1e-6)


async def test_the_blocking_client_reads_the_same(client: AsyncOpenAI):
    def ask() -> list[float]:
        with OpenAI(base_url=client.base_url, api_key=client.api_key, max_retries=0) as blocking:
            return blocking.embeddings.create(model="replicate/all-mpnet-base-v2", input="a heron").data[0].embedding

    other = await client.embeddings.create(model="replicate/all-mpnet-base-v2", input="a heron")
    assert await asyncio.to_thread(ask) == other.data[0].embedding


async def test_texts_and_addresses_of_pictures_share_a_prediction(client: AsyncOpenAI, simulated: Simulator):
    items = ["a heron", {"image": "https://example.com/heron.png"}, "a reed"]
    reply = await client.embeddings.create(model="andreasjansson/clip-features", input=items)  # type: ignore[arg-type]
    assert len(reply.data) == 3
    assert simulated.last().input == {"inputs": "a heron\nhttps://example.com/heron.png\na reed"}


async def test_token_ids_are_refused_with_what_to_switch_off(client: AsyncOpenAI, simulated: Simulator):
    with pytest.raises(BadRequestError, match="check_embedding_ctx_length=False") as refused:
        await client.embeddings.create(model="andreasjansson/clip-features", input=[[1, 2], [3]])
    assert (refused.value.param, refused.value.code) == ("input[0]", "unsupported_value")
    assert not simulated.predictions()


async def test_what_was_read_is_booked(client: AsyncOpenAI, gateway: Gateway):
    reply = await client.embeddings.create(model="beautyyuyanli/multilingual-e5-large", input=TEXTS)
    await holds(lambda: not gateway.running and not gateway.settling)
    [line] = await gateway.ledger.usage("model")
    assert line.tokens_in >= reply.usage.prompt_tokens > 0
    assert line.tokens_out == 0


@pytest.mark.parametrize(
    ("model", "endpoint"),
    [
        ("meta/meta-llama-3-8b-instruct", "/v1/chat/completions"),
        ("black-forest-labs/flux-schnell", "/v1/images/generations"),
        ("openai/whisper", "/v1/audio/transcriptions"),
    ],
)
async def test_a_model_of_another_kind_is_refused_with_its_endpoint(client: AsyncOpenAI, model: str, endpoint: str):
    with pytest.raises(BadRequestError, match=endpoint) as refused:
        await client.embeddings.create(model=model, input="a heron")
    assert (refused.value.param, refused.value.code) == ("model", "unsupported_model")

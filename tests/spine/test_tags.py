"""What a request is tagged with stands in its entries and its sums, beside the tags of its key."""

from collections.abc import AsyncIterator

import httpx
import openai
import pytest

from gateway.parts import Gateway
from gateway.simulator import Simulator
from tests.opened import listens, rows, settled


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    _, secret = await gateway.keys.create("test", tags=("crew", "eval"))
    async with (
        listens(gateway) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=secret, max_retries=0) as one,
    ):
        yield one


async def ask(client: openai.AsyncOpenAI, tags: str) -> None:
    await client.chat.completions.create(
        model="sim/echo", messages=[{"role": "user", "content": "alpha"}], extra_headers={"x-repligate-tags": tags}
    )


async def test_a_requests_tags_are_summed_beside_those_of_its_key(gateway: Gateway, client: openai.AsyncOpenAI) -> None:
    await ask(client, "nightly, eval,, nightly")
    await ask(client, "")
    await settled(gateway)
    assert [line["tags"] for line in await rows(gateway)] == ['["crew","eval","nightly"]', '["crew","eval"]']
    sums = {line.subject: line.calls for line in await gateway.ledger.usage("tag")}
    assert sums == {"crew": 2, "eval": 2, "nightly": 1}


@pytest.mark.parametrize("tags", ["x" * 65, ",".join("abcdefghi"), "caf\u00e9"])
async def test_tags_beyond_all_bounds_are_refused_before_anything_is_spent(
    gateway: Gateway, client: openai.AsyncOpenAI, simulated: Simulator, tags: str
) -> None:
    headers = {"authorization": f"Bearer {client.api_key}", "x-repligate-tags": tags.encode("latin-1")}
    async with httpx.AsyncClient(base_url=str(client.base_url)) as http:
        reply = await http.post("chat/completions", json={"model": "sim/echo", "messages": []}, headers=headers)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "x-repligate-tags")
    assert simulated.predictions() == []
    assert await rows(gateway) == []

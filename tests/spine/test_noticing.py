"""By which way the end of a prediction is noticed, and how soon."""

from typing import Any

import httpx
from msgspec.structs import replace

from gateway.parts import Gateway
from gateway.simulator import Simulator
from tests.opened import listens, settled

SEEDED = "stability-ai/stable-diffusion-3.5-large"
"""It makes one picture at a time."""


async def draw(gateway: Gateway, **fields: Any) -> httpx.Response:
    _, secret = await gateway.keys.create("test")
    headers = {"authorization": f"Bearer {secret}"}
    async with listens(gateway) as url, httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        return await client.post("/v1/images/generations", json={"model": "sim/picture", "prompt": "a kite", **fields})


async def test_a_picture_is_waited_for_in_its_create_as_long_as_may_be(gateway: Gateway, simulated: Simulator) -> None:
    simulated.switch(metrics_delay=0.0)
    reply = await draw(gateway)
    upstream = gateway.config.upstream
    assert simulated.last().prefer == f"wait={min(60, upstream.sync_wait_seconds, upstream.deadline_seconds)}"
    assert reply.headers["x-repligate-upstream-requests"] == "2", "its create and its metrics"


async def test_a_streamed_picture_is_waited_for_no_longer_than_until_the_next_heartbeat(
    gateway: Gateway, simulated: Simulator
) -> None:
    server = replace(gateway.config.server, heartbeat_seconds=2.5)
    gateway.config = replace(gateway.config, server=server)
    await draw(gateway, stream=True)
    assert simulated.last().prefer == "wait=2"


async def test_several_pictures_are_waited_for_if_one_can_be_told_from_another(
    gateway: Gateway, simulated: Simulator
) -> None:
    assert (await draw(gateway, model=SEEDED, n=2, seed=7)).status_code == 200
    assert None not in [made.prefer for made in simulated.predictions(SEEDED)]
    assert (await draw(gateway, model=SEEDED, n=2)).status_code == 200
    assert [made.prefer for made in simulated.predictions(SEEDED)].count(None) == 2
    assert len(await settled(gateway)) == 4

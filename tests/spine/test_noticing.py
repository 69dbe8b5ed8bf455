"""By which way the end of a prediction is noticed, and how soon."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
from msgspec.structs import replace

from gateway.parts import Gateway
from gateway.simulator import Simulator
from tests.opened import holds, listens, opened, settled

PAIR = "black-forest-labs/flux-schnell"
"""It makes up to four pictures in one prediction."""

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


def asked(simulated: Simulator) -> list[tuple[str, str]]:
    """Where the requests of a call went, in their order, but for those about its model."""
    return [
        (one.host, one.method) for one in simulated.requests() if "/models/" not in one.path or one.method == "POST"
    ]


def copied(gateway: Gateway) -> int:
    folder = gateway.config.folder / "outputs"
    return len(list(folder.iterdir())) if folder.exists() else 0


async def test_a_picture_is_fetched_while_its_record_cannot_be_read_yet(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene("sim/picture", "picture", reads_fail=2)
    reply = await draw(gateway)
    assert (reply.status_code, copied(gateway)) == (200, 1)
    create, *read = asked(simulated)
    assert create == ("api", "POST")
    assert sorted(read) == [("api", "GET")] * 3 + [("delivery", "GET")]
    assert read[-1] == ("api", "GET"), "the record came last, and decided"


async def test_a_picture_that_is_streamed_is_fetched_before_its_record_is_read(
    simulated: Simulator, tmp_path: Path
) -> None:
    simulated.reset()
    simulated.scene("sim/picture", "picture", reads_fail=2)
    async with opened(simulated, tmp_path, upstream={"sync_wait_seconds": 0, "retry_seconds": 2}) as parts:
        assert (await draw(parts)).status_code == 200
    assert asked(simulated)[-1] == ("api", "GET")
    assert asked(simulated).count(("delivery", "GET")) == 1


async def test_a_picture_whose_prediction_does_not_end_well_is_answered_by_its_record_and_not_kept(
    gateway: Gateway, simulated: Simulator
) -> None:
    simulated.switch(metrics_delay=1000.0)
    drawing = asyncio.create_task(draw(gateway))
    await holds(lambda: ("delivery", "GET") in asked(simulated))
    simulated.advance(6)
    reply = await drawing
    assert simulated.last().output
    assert (reply.status_code, reply.json()["error"]["code"]) == (504, "prediction_stopped")
    assert [line["status"] for line in await settled(gateway)] == ["canceled"]
    assert copied(gateway) == 0


async def test_pictures_of_which_not_all_are_there_in_time_are_answered_by_the_record(
    simulated: Simulator, tmp_path: Path
) -> None:
    simulated.reset()
    simulated.switch(metrics_delay=0.0)
    simulated.scene(PAIR, "picture", seconds=2.4)
    async with opened(simulated, tmp_path, upstream={"sync_wait_seconds": 2}) as parts:
        reply = await draw(parts, model=PAIR, n=2)
        assert (len(reply.json()["data"]), copied(parts)) == (2, 2)
    assert asked(simulated).count(("delivery", "GET")) == 2
    assert ("stream", "GET") in asked(simulated)


async def test_how_far_the_records_of_one_model_lag_is_nothing_to_another(
    gateway: Gateway, simulated: Simulator
) -> None:
    simulated.switch(metrics_delay=0.1)
    for _ in range(5):
        await draw(gateway)
    simulated.switch(metrics_delay=0.0)
    lagging = await draw(gateway)
    other = await draw(gateway, model=PAIR)
    assert lagging.headers["x-repligate-upstream-requests"] == "2", "it is read when it was seen to be whole"
    assert other.headers["x-repligate-upstream-requests"] == "2"
    assert [each.polls for each in simulated.predictions()][-2:] == [1, 1]

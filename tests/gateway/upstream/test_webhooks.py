"""Replicate's word is believed when it is signed, and once."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from standardwebhooks import Webhook

from adapters.wire.replicate import ModelRef, Prediction
from gateway.config import UpstreamConfig
from gateway.errors import Forbidden, UpstreamUnavailable
from gateway.simulator import Simulator
from gateway.upstream.client import Upstream
from gateway.upstream.schemas import Schemas
from gateway.upstream.transport import Bridged
from gateway.upstream.webhooks import Bells, Webhooks
from tests.gateway.upstream.servers import request, serving

ENDED = json.dumps({"id": "p1", "status": "succeeded", "output": "x", "unknown": {"keys": "are fine"}}).encode()


def signed(secret: str, body: bytes, id: str = "msg_1", at: datetime | None = None) -> dict[str, str]:
    at = at or datetime.now(UTC)
    return {
        "Webhook-Id": id,
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": f"v2,AAAA {Webhook(secret).sign(id, at, body.decode())}",
    }


@pytest.fixture
def bells() -> Bells:
    return Bells()


@pytest.fixture
def webhooks(upstream: Upstream, bells: Bells) -> Webhooks:
    return Webhooks(upstream, bells)


async def test_a_signed_webhook_wakes_who_waits(webhooks: Webhooks, bells: Bells, simulator: Simulator) -> None:
    with bells.of("p1") as bell:
        waiting = asyncio.create_task(bell.wait(5))
        await webhooks.receive(signed(simulator.webhook_secret, ENDED), ENDED)
        told = await waiting
    assert told is not None
    assert (told.id, told.output) == ("p1", "x")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda headers: headers | {"Webhook-Id": "msg_2"},
        lambda headers: headers | {"Webhook-Signature": "v1,AAAA"},
        lambda headers: headers | {"Webhook-Signature": "v1,é"},
        lambda headers: headers | {"Webhook-Signature": "nonsense"},
        lambda headers: headers | {"Webhook-Timestamp": "soon"},
        lambda headers: {},
    ],
)
async def test_a_forged_webhook_wakes_nobody(
    webhooks: Webhooks, bells: Bells, simulator: Simulator, spoil: object
) -> None:
    headers = signed(simulator.webhook_secret, ENDED)
    assert callable(spoil)
    with bells.of("p1") as bell:
        with pytest.raises(Forbidden):
            await webhooks.receive(spoil(headers), ENDED)
        with pytest.raises(Forbidden):
            await webhooks.receive(headers, ENDED + b" ")
        with pytest.raises(Forbidden):
            await webhooks.receive(headers, b"\xff\xfe")
        assert await bell.wait(0.01) is None


async def test_an_old_webhook_is_not_replayed(webhooks: Webhooks, simulator: Simulator) -> None:
    with pytest.raises(Forbidden):
        await webhooks.receive(
            signed(simulator.webhook_secret, ENDED, at=datetime.now(UTC) - timedelta(minutes=6)), ENDED
        )


async def test_repeated_unknown_and_unreadable_ones_are_no_error(
    webhooks: Webhooks, bells: Bells, simulator: Simulator
) -> None:
    secret = simulator.webhook_secret
    await webhooks.receive(signed(secret, ENDED), ENDED)
    with bells.of("p1") as bell:
        await webhooks.receive(signed(secret, ENDED), ENDED)
        assert await bell.wait(0.01) is None, "it was heard before"
    await webhooks.receive(signed(secret, b"[]", "msg_3"), b"[]")


async def test_an_unfinished_prediction_rings_no_bell(webhooks: Webhooks, bells: Bells, simulator: Simulator) -> None:
    body = b'{"id":"p1","status":"processing"}'
    with bells.of("p1") as bell:
        await webhooks.receive(signed(simulator.webhook_secret, body), body)
        assert await bell.wait(0.01) is None


async def test_the_secret_is_read_once_and_forgeries_do_not_change_that(
    webhooks: Webhooks, simulator: Simulator
) -> None:
    for number in range(5):
        await webhooks.receive(signed(simulator.webhook_secret, ENDED, f"msg_{number}"), ENDED)
    for _ in range(5):
        with pytest.raises(Forbidden):
            await webhooks.receive({}, ENDED)
    asked = [request for request in simulator.requests() if request.path.endswith("/webhooks/default/secret")]
    assert len(asked) == 1


async def test_a_bell_stays_for_who_comes_back_and_no_longer(bells: Bells) -> None:
    ended = Prediction("p1", "succeeded")
    with bells.of("p1", linger=0.05):
        pass
    bells.ring(ended)
    with bells.of("p1", linger=0.05) as bell:
        assert bell.told == ended
    with bells.of("p1", linger=0.01):
        pass
    with bells.of("p1") as bell:
        await asyncio.sleep(0.03)
        bells.ring(ended)
        assert bell.told == ended, "it is not taken away from who waits"
    with bells.of("p1", linger=0.01):
        pass
    await asyncio.sleep(0.03)
    bells.ring(ended)
    with bells.of("p1") as bell:
        assert bell.told is None


async def test_a_secret_that_was_changed_is_read_again(bells: Bells) -> None:
    secrets = ["whsec_b2xk", "whsec_bmV3"]
    now = [0.0]
    config = UpstreamConfig()
    upstream = Upstream(
        config,
        ["r8_one"],
        "https://replicate.example/v1",
        wires=lambda _: Bridged(
            httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, json={"key": secrets[0]})))
        ),
    )
    webhooks = Webhooks(upstream, bells, lambda: now[0])
    await webhooks.receive(signed("whsec_b2xk", ENDED, "msg_1"), ENDED)
    secrets.pop(0)
    now[0] += 61
    await webhooks.receive(signed("whsec_bmV3", ENDED, "msg_2"), ENDED)
    await upstream.aclose()


async def test_each_token_s_account_may_sign_and_one_that_is_refused_spoils_nothing(bells: Bells) -> None:
    keys = {"Bearer r8_two": "whsec_dHdv", "Bearer r8_three": "whsec_dGhyZWU="}

    def wire(request: httpx.Request) -> httpx.Response:
        key = keys.get(request.headers["authorization"])
        return httpx.Response(200, json={"key": key}) if key else httpx.Response(401, json={"detail": "no"})

    upstream = Upstream(
        UpstreamConfig(),
        ["r8_one", "r8_two", "r8_three"],
        "https://replicate.example/v1",
        wires=lambda _: Bridged(httpx.AsyncClient(transport=httpx.MockTransport(wire))),
    )
    webhooks = Webhooks(upstream, bells)
    for number, key in enumerate(keys.values()):
        await webhooks.receive(signed(key, ENDED, f"msg_{number}"), ENDED)
    await upstream.aclose()


async def test_a_replicate_that_is_away_will_send_it_again(bells: Bells) -> None:
    upstream = Upstream(UpstreamConfig(retry_seconds=0.01), ["r8_one"], "http://127.0.0.1:1/v1")
    with pytest.raises(UpstreamUnavailable):
        await Webhooks(upstream, bells).receive(signed("whsec_b2xk", ENDED), ENDED)
    await upstream.aclose()


async def test_the_simulators_own_webhooks_are_understood(
    webhooks: Webhooks, bells: Bells, simulator: Simulator, upstream: Upstream, schemas: Schemas
) -> None:
    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, _, body = (await request(reader)).partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        await webhooks.receive(headers, body)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()

    model = await schemas.get(ModelRef.parse("sim/picture"))
    simulator.scene("sim/picture", "picture", seconds=0.3)
    async with serving(receive) as url:
        made = await upstream.create(model, {"prompt": "a fox"}, deadline=60, webhook=f"{url}/webhooks/replicate")
        with bells.of(made.id) as bell:
            told: Prediction | None = await bell.wait(5)
    assert told is not None
    assert told.status == "succeeded"
    assert told.metrics is not None

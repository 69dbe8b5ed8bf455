"""Trouble at Replicate, from end to end: what the client is told, what runs on, and what is booked."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog

from gateway.parts import Gateway
from gateway.simulator import Simulator
from gateway.store.shelf import Shelf
from gateway.upstream.models import Record
from tests.opened import holds, listens, opened, settled

HELLO = [{"role": "user", "content": "alpha beta gamma delta"}]


@pytest.fixture
async def http(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with listening(gateway) as client:
        yield client


def listening(gateway: Gateway) -> Any:
    return _Listening(gateway)


class _Listening:
    """A client with a key, of a gateway served from here."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def __aenter__(self) -> httpx.AsyncClient:
        self.server = listens(self.gateway)
        url = await self.server.__aenter__()
        _, secret = await self.gateway.keys.create("test")
        self.client = httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {secret}"}, timeout=30)
        return self.client

    async def __aexit__(self, *exc: object) -> None:
        await self.client.aclose()
        await self.server.__aexit__(*exc)


async def ask(http: httpx.AsyncClient, model: str = "sim/echo", **fields: Any) -> httpx.Response:
    return await http.post("/v1/chat/completions", json={"model": model, "messages": HELLO, **fields})


async def draw(http: httpx.AsyncClient, model: str = "sim/picture", **fields: Any) -> httpx.Response:
    return await http.post("/v1/images/generations", json={"model": model, "prompt": "a kite", **fields})


def words(reply: httpx.Response) -> str:
    """What a stream said, whole."""
    frames = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: {")]
    choices = [choice for frame in frames for choice in json.loads(frame).get("choices", [])]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def error(reply: httpx.Response) -> dict[str, Any]:
    """The error of a whole reply, or of a stream's last frame before its end."""
    last = [line for line in reply.text.splitlines() if line and line != "data: [DONE]"][-1]
    return dict(json.loads(last.removeprefix("data: "))["error"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("scene", ["created-but-504", "bad-gateway-created", "dropped-created"])
async def test_a_lost_create_is_adopted_and_is_the_only_one(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator, scene: str, stream: bool
) -> None:
    simulated.scene("sim/echo", scene, times=1)
    reply = await ask(http, stream=stream)
    assert reply.status_code == 200, reply.text
    assert "gamma" in reply.text
    assert reply.headers["x-repligate-prediction-id"] == simulated.last().id
    assert [line["prediction"] for line in await settled(gateway)] == [one.id for one in simulated.predictions()]
    assert len(simulated.predictions()) == 1


@pytest.mark.parametrize(
    ("scene", "status", "code"),
    [
        ("gateway-timeout", 502, "upstream_lost"),
        ("bad-gateway", 502, "upstream_lost"),
        ("unavailable", 502, "upstream_error"),
        ("overloaded", 503, "upstream_unavailable"),
        ("insufficient-credit", 503, "upstream_unavailable"),
        ("billing-required", 503, "upstream_unavailable"),
        ("forbidden", 403, "forbidden"),
        ("throttled", 429, "rate_limit_exceeded"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_create_keeps_its_status_and_costs_nothing(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator, scene: str, status: int, code: str, stream: bool
) -> None:
    simulated.scene("sim/echo", scene, retry_after=30)
    reply = await ask(http, stream=stream)
    assert (reply.status_code, error(reply)["code"]) == (status, code)
    assert reply.headers["content-type"] == "application/json"
    assert simulated.predictions() == []
    if scene == "throttled":
        assert 0 < float(reply.headers["retry-after"]) <= 31
        assert 0 < float(reply.headers["retry-after-ms"]) <= 31_000
    if code == "upstream_lost":
        assert reply.headers["x-should-retry"] == "false"
    else:
        assert "x-should-retry" not in reply.headers
        assert [line["cost"] for line in await settled(gateway)] == [0]


async def test_a_throttled_create_is_sent_again_when_it_may_be(http: httpx.AsyncClient, simulated: Simulator) -> None:
    simulated.switch(throttle_hint="body")
    simulated.scene("sim/echo", "throttled", times=1, retry_after=0)
    assert (await ask(http)).status_code == 200
    assert len(simulated.predictions()) == 1


@pytest.mark.parametrize("token", ["r8_invalid_token_of_ours", "r8_test"])
async def test_trouble_with_our_token_is_told_to_the_operator_and_no_client(
    simulated: Simulator, tmp_path: Path, token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    simulated.reset()
    simulated.scene("sim/echo", "insufficient-credit")
    async with opened(simulated, tmp_path, token, upstream={"retry_seconds": 0.2}) as parts, listening(parts) as http:
        with structlog.testing.capture_logs() as logged:
            reply = await ask(http)
    assert (reply.status_code, error(reply)["code"]) == (503, "upstream_unavailable")
    assert token not in reply.text + str(reply.headers) + str(logged) + "".join(capsys.readouterr())
    told = [line for line in logged if line["event"] == "replicate token"]
    assert len(told) == 1
    assert "REPLICATE_API_TOKEN" in told[0]["remedy"] or "billing" in told[0]["remedy"]


async def test_a_pinned_version_that_does_not_exist_is_404(http: httpx.AsyncClient, simulated: Simulator) -> None:
    reply = await ask(http, f"sim/community:{'a' * 64}")
    assert (reply.status_code, error(reply)["code"]) == (404, "model_not_found")
    assert simulated.predictions() == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("scene", ["cut-stream", "cut-stream-always", "dropped-stream"])
async def test_a_stream_that_breaks_is_whole_for_the_client(
    http: httpx.AsyncClient, simulated: Simulator, scene: str, stream: bool
) -> None:
    simulated.scene("sim/echo", scene)
    # A stop that the model cannot be told is watched for in its stream, for whoever wants the answer whole as well.
    reply = await ask(http, stream=stream, stop="never, said")
    assert simulated.last().streams > 1
    said = words(reply) if stream else reply.json()["choices"][0]["message"]["content"]
    assert said == "".join(simulated.last().output)
    assert reply.text.count("[DONE]") == stream


async def test_a_stream_that_stalls_is_taken_up_again(simulated: Simulator, tmp_path: Path) -> None:
    simulated.reset()
    simulated.scene("sim/echo", "stalled-stream")
    async with opened(simulated, tmp_path, upstream={"read_seconds": 0.3}) as parts, listening(parts) as http:
        reply = await ask(http, stream=True)
    assert words(reply) == "".join(simulated.last().output)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("scene", "status", "code"),
    [
        ("fails", 500, "prediction_failed"),
        ("fails-midway", 500, "prediction_failed"),
        ("high-demand", 503, "model_overloaded"),
        ("timed-out", 504, "prediction_stopped"),
        ("refused", 400, "content_policy_violation"),
        ("out-of-memory", 500, "prediction_failed"),
    ],
)
async def test_a_failed_prediction_is_an_error_that_names_it(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator, scene: str, status: int, code: str, stream: bool
) -> None:
    simulated.scene("sim/echo", scene)
    reply = await ask(http, stream=stream)
    assert error(reply)["code"] == code
    if reply.status_code != 200:
        assert reply.status_code == status
        assert reply.headers["x-should-retry"] == "false"
        assert reply.headers["x-repligate-prediction-id"] == simulated.last().id
    else:
        assert stream
        assert words(reply)
    assert [(line["status"], line["error"]) for line in await settled(gateway)] == [("failed", code)]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prediction_that_somebody_else_cancels_is_an_error(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator, stream: bool
) -> None:
    asked = asyncio.create_task(ask(http, "sim/never-ends", stream=stream))
    await simulated.reached("processing")
    async with httpx.AsyncClient(headers={"authorization": "Bearer r8_x"}) as somebody:
        await somebody.post(f"{simulated.base_url}/predictions/{simulated.last().id}/cancel")
    assert error(await asked)["code"] == "prediction_stopped"
    assert [line["status"] for line in await settled(gateway)] == ["canceled"]


@pytest.mark.parametrize(("scene", "ends"), [("queue", "aborted"), ("never-ends", "canceled")])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_deadline_that_passes_is_504_and_booked_as_it_ended(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator, scene: str, ends: str, stream: bool
) -> None:
    simulated.scene("sim/echo", scene, **({"queued": 60.0} if scene == "queue" else {}))
    asked = asyncio.create_task(ask(http, stream=stream))
    await holds(simulated.predictions)
    if ends == "canceled":
        await simulated.reached("processing")
    simulated.advance(6)
    reply = await asked
    assert error(reply)["code"] == "prediction_stopped"
    assert reply.status_code in ({504} if ends == "aborted" or not stream else {200, 504})
    [line] = await settled(gateway)
    assert (line["status"], simulated.last().status) == (ends, ends)
    assert line["cost"] == (0 if ends == "aborted" else None)


async def test_of_four_choices_one_failing_ends_them_all(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator
) -> None:
    for stream in (False, True):
        simulated.scene("sim/never-ends", "fails", times=1)
        async with asyncio.timeout(2):
            reply = await ask(http, "sim/never-ends", n=4, stream=stream)
        assert error(reply)["code"] == "prediction_failed"
    booked = await settled(gateway)
    assert sorted(line["status"] for line in booked) == ["canceled"] * 6 + ["failed"] * 2


async def test_of_four_creates_one_refused_ends_them_all(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator
) -> None:
    simulated.scene("sim/never-ends", "overloaded", times=1)
    reply = await ask(http, "sim/never-ends", n=4)
    assert reply.status_code == 503
    assert reply.headers["x-should-retry"] == "false"
    assert {one.status for one in simulated.predictions()} <= {"canceled", "aborted"}
    assert "never created" in {line["status"] for line in await settled(gateway)}


@pytest.mark.parametrize(
    ("scene", "status", "code"),
    [
        ("nsfw", 400, "content_policy_violation"),
        ("picture-fails", 500, "prediction_failed"),
        ("lost-files", 502, "upstream_error"),
        ("forbidden-files", 502, "upstream_error"),
    ],
)
async def test_a_picture_that_is_none_is_an_error_that_names_its_prediction(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator, scene: str, status: int, code: str
) -> None:
    simulated.scene("sim/picture", scene)
    reply = await draw(http)
    assert (reply.status_code, error(reply)["code"]) == (status, code)
    assert reply.headers["x-should-retry"] == "false"
    assert reply.headers["x-repligate-prediction-id"] == simulated.last().id
    [line] = await settled(gateway)
    assert line["error"] == code


async def test_fewer_pictures_than_asked_for_are_an_error(http: httpx.AsyncClient, simulated: Simulator) -> None:
    simulated.scene("sim/picture", "picture", pieces=2)
    reply = await draw(http, n=4)
    assert reply.status_code >= 400, reply.text


async def believed(gateway: Gateway, simulated: Simulator, change: Any, since: float) -> None:
    """The gateway believes, since so many seconds, what `change` made of the model's record."""
    async with httpx.AsyncClient(headers={"authorization": "Bearer r8_x"}) as somebody:
        told = (await somebody.get(f"{simulated.base_url}/models/sim/echo")).json()
    schema = told["latest_version"]["openapi_schema"]
    change(schema["components"]["schemas"]["Input"])
    record = Record(owner="sim", name="echo", version="0" * 64, official=told["is_official"], openapi_schema=schema)
    clock = gateway.clock() - since
    await Shelf(gateway.ledger._store, lambda: clock).save("model:sim/echo", msgspec.json.encode(record))


def stale(inputs: dict[str, Any]) -> None:
    """It once called its prompt by another name."""
    inputs["properties"]["text"] = inputs["properties"].pop("prompt")
    inputs["required"] = ["text"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_moved_is_read_again_once(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator, stream: bool
) -> None:
    await believed(gateway, simulated, stale, since=60)
    reply = await ask(http, stream=stream)
    assert reply.status_code == 200, reply.text
    assert "gamma" in reply.text
    reads = [one for one in simulated.requests() if one.path == "/v1/models/sim/echo" and one.method == "GET"]
    assert len(reads) == 2  # one is this test's own
    assert [line["status"] for line in await settled(gateway)] == ["never created", "succeeded"]


def lenient(inputs: dict[str, Any]) -> None:
    """It once called its limit by another name."""
    inputs["properties"]["max_new_tokens"] = inputs["properties"].pop("max_tokens")


@pytest.mark.parametrize("stream", [False, True])
async def test_what_replicate_refuses_is_named_as_the_client_named_it(
    http: httpx.AsyncClient, gateway: Gateway, simulated: Simulator, stream: bool
) -> None:
    await believed(gateway, simulated, lenient, since=1)
    reply = await ask(http, max_completion_tokens=7, stream=stream)
    assert reply.status_code == 400
    assert error(reply)["param"] == "max_completion_tokens"
    assert error(reply)["code"] == "unknown_parameter"
    assert simulated.predictions() == []

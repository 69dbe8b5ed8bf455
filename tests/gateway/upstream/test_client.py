"""How Replicate is called: by which route, with which token, how often, and what is done when an answer is lost."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest
import structlog

from adapters.errors import InvalidRequest
from adapters.schema import Schema
from adapters.wire.replicate import ModelRef, Prediction
from gateway.config import UpstreamConfig
from gateway.errors import MaybeCreated, NotFound, RateLimited, UnknownModel, UpstreamFailed, UpstreamUnavailable
from gateway.simulator import Simulator
from gateway.upstream.client import Upstream, digest
from gateway.upstream.models import Model
from gateway.upstream.schemas import Schemas
from gateway.upstream.streams import Cursor, NoStream, read
from gateway.upstream.transport import Bridged
from tests.gateway.upstream.servers import request, serving

TEXT = {"prompt": "hello"}
QUICK = UpstreamConfig(retry_seconds=0.5, read_seconds=1, connect_seconds=0.5)
HEX = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"

Handler = Callable[[httpx.Request], httpx.Response]


def a_model(name: str = "acme/chat", *, official: bool | None = True, version: str | None = HEX) -> Model:
    ref = ModelRef.parse(name)
    return Model(
        ref=ref,
        owner=ref.owner or "acme",
        name=ref.name or "chat",
        version=version,
        official=official,
        created_at=None,
        schema=Schema.parse({}),
    )


def prediction(id: str = "p1", **fields: object) -> httpx.Response:
    return httpx.Response(201, json={"id": id, "status": "starting", "model": "acme/chat", "input": TEXT, **fields})


def refused(status: int, **fields: object) -> httpx.Response:
    return httpx.Response(status, json={"detail": "no", "status": status, **fields})


@asynccontextmanager
async def faking(
    handler: Handler, tokens: tuple[str, ...] = ("r8_one",), config: UpstreamConfig = QUICK
) -> AsyncIterator[Upstream]:
    """An upstream whose wire is this function."""

    def wires(_: UpstreamConfig) -> Bridged:
        return Bridged(httpx.AsyncClient(transport=httpx.MockTransport(handler)))

    upstream = Upstream(config, tokens, "https://replicate.example/v1", wires=wires)
    yield upstream
    await upstream.aclose()


class Wire:
    """Answers in order, and remembers what was asked; the last answer stays."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def lines(self) -> list[str]:
        return [f"{one.method} {one.url.raw_path.decode()}" for one in self.asked]

    def body(self, which: int = 0) -> dict[str, object]:
        return msgspec.json.decode(self.asked[which].content, type=dict[str, object])

    @property
    def tokens(self) -> list[str]:
        return [one.headers["authorization"].removeprefix("Bearer ") for one in self.asked]


# Routes


@pytest.mark.parametrize(
    ("model", "path", "version"),
    [
        (a_model(official=True), "/v1/models/acme/chat/predictions", None),
        (a_model(official=None), "/v1/models/acme/chat/predictions", None),
        (a_model(official=False), "/v1/predictions", HEX),
        (a_model(f"acme/chat:{HEX}"), "/v1/predictions", HEX),
        (a_model(HEX), "/v1/predictions", HEX),
        (a_model("deployments/acme/chat"), "/v1/deployments/acme/chat/predictions", None),
    ],
    ids=["official", "unknown", "community", "pinned", "version", "deployment"],
)
async def test_each_kind_of_ref_has_its_create_route(model: Model, path: str, version: str | None) -> None:
    wire = Wire(prediction())
    async with faking(wire) as upstream:
        await upstream.create(model, TEXT, deadline=60)
    assert wire.lines == [f"POST {path}"]
    assert wire.body() == {"input": TEXT} | ({"version": version} if version else {})


async def test_a_create_says_when_to_stop_how_long_to_wait_and_whom_to_tell() -> None:
    wire = Wire(prediction())
    async with faking(wire) as upstream:
        for deadline, wait in ((1, None), (90, 7), (10**9, 100)):
            await upstream.create(a_model(), TEXT, deadline=deadline, wait=wait, webhook="https://us.example/hook")
    assert [one.headers["cancel-after"] for one in wire.asked] == ["5s", "90s", "86400s"]
    assert [one.headers.get("prefer") for one in wire.asked] == [None, "wait=7", "wait=60"]
    assert wire.body()["webhook_events_filter"] == ["completed"]


@pytest.mark.parametrize(("before", "now"), [(True, False), (False, True), (None, None)])
async def test_a_model_that_changed_its_route_is_read_again_once_and_remembered(
    before: bool | None, now: bool | None
) -> None:
    wire = Wire(
        refused(404),
        httpx.Response(200, json={"owner": "acme", "name": "chat", "is_official": now, "latest_version": {"id": HEX}}),
        prediction(),
    )
    async with faking(wire) as upstream:
        for _ in range(2):
            await upstream.create(a_model(official=before), TEXT, deadline=60)
    ways = {True: "POST /v1/predictions", False: "POST /v1/models/acme/chat/predictions"}
    first, then = ways[before is False], ways[before is not False]
    assert wire.lines == [first, "GET /v1/models/acme/chat", then, then]


async def test_a_model_that_is_simply_gone_is_unknown() -> None:
    wire = Wire(refused(404))
    async with faking(wire) as upstream:
        with pytest.raises(UnknownModel):
            await upstream.create(a_model(), TEXT, deadline=60)
    assert wire.lines == ["POST /v1/models/acme/chat/predictions", "GET /v1/models/acme/chat"]


async def test_refused_inputs_are_the_clients_and_name_the_input(
    simulator: Simulator, schemas: Schemas, upstream: Upstream
) -> None:
    model = await schemas.get(ModelRef.parse("black-forest-labs/flux-schnell"))
    with pytest.raises(InvalidRequest) as caught:
        await upstream.create(model, {"prompt": "a fox", "num_inference_steps": 99}, deadline=60)
    assert caught.value.param == "num_inference_steps"
    assert caught.value.status == 400


async def test_a_stream_s_host_is_connected_to_while_its_create_is_on_its_way() -> None:
    connected, creates = asyncio.Event(), 0

    async def stream_host(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()

    async def api(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal creates
        while True:
            await request(reader)
            creates += 1
            if creates == 3:
                await connected.wait()
            body = msgspec.json.encode({"id": "p1", "status": "starting", "urls": {"stream": f"{host}/streams/p1"}})
            writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    async with serving(stream_host) as host, serving(api) as url:
        upstream = Upstream(QUICK, ["r8_one"], f"{url}/v1")
        await upstream.create(a_model(), TEXT, deadline=60)
        await upstream.create(a_model(), TEXT, deadline=60, wait=1)
        assert not connected.is_set(), "what is waited for is not streamed"
        await upstream.create(a_model(), TEXT, deadline=60)
        await upstream.aclose()


# Trying again


@pytest.mark.parametrize(
    "failure", [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), httpx.PoolTimeout("full")], ids=repr
)
async def test_a_create_that_never_left_is_sent_again(failure: httpx.TransportError) -> None:
    wire = Wire(failure, failure, prediction())
    async with faking(wire) as upstream:
        assert (await upstream.create(a_model(), TEXT, deadline=60)).id == "p1"
    assert len(wire.asked) == 3


async def test_a_replicate_that_cannot_be_reached_is_unavailable_after_a_while() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        upstream = Upstream(QUICK, ["r8_one"], f"http://127.0.0.1:{nobody.getsockname()[1]}/v1")
        with pytest.raises(UpstreamUnavailable):
            await upstream.create(a_model(), TEXT, deadline=60)
        await upstream.aclose()
    assert upstream.requests > 1


LOST = [
    httpx.ReadTimeout("silence"),
    httpx.RemoteProtocolError("hung up"),
    httpx.ReadError("reset"),
    httpx.WriteError("reset"),
    httpx.Response(502, text="<html>"),
    httpx.Response(504, json={"detail": "late"}),
    httpx.Response(500, text="<html>"),
    httpx.Response(201, text="{"),
    httpx.Response(200, json={"unexpected": True}),
]


@pytest.mark.parametrize("answer", LOST, ids=lambda answer: getattr(answer, "status_code", type(answer).__name__))
async def test_a_create_whose_answer_is_lost_is_never_sent_again(answer: httpx.Response | Exception) -> None:
    wire = Wire(answer)
    async with faking(wire) as upstream:
        with pytest.raises(MaybeCreated) as caught:
            await upstream.create(a_model(), TEXT, deadline=60)
    assert len(wire.asked) == 1
    assert caught.value.should_retry is False


@pytest.mark.parametrize("status", [500, 503])
async def test_a_create_that_replicate_itself_failed_made_nothing(status: int) -> None:
    wire = Wire(refused(status))
    async with faking(wire) as upstream:
        with pytest.raises((UpstreamFailed, UpstreamUnavailable)) as caught:
            await upstream.create(a_model(), TEXT, deadline=60)
    assert not isinstance(caught.value, MaybeCreated)
    assert caught.value.should_retry is None
    assert len(wire.asked) == 1


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_any_success_is_one_and_the_body_says_what_it_is(status: int) -> None:
    async with faking(Wire(httpx.Response(status, json={"id": "p1", "status": "starting"}))) as upstream:
        assert (await upstream.create(a_model(), TEXT, deadline=60)).id == "p1"


async def test_a_throttled_create_waits_as_long_as_it_is_told() -> None:
    wire = Wire(refused(429, retry_after=0.2), prediction())
    loop = asyncio.get_running_loop()
    async with faking(wire) as upstream:
        began = loop.time()
        await upstream.create(a_model(), TEXT, deadline=60)
    assert loop.time() - began >= 0.19
    assert len(wire.asked) == 2


async def test_a_throttled_create_holds_up_no_read_and_no_cancel() -> None:
    """Replicate counts creates apart: what runs must stay cancellable."""

    def wire(request: httpx.Request) -> httpx.Response:
        return refused(429, retry_after=30) if request.url.path.endswith("/acme/chat/predictions") else prediction()

    async with faking(wire) as upstream:
        with pytest.raises(RateLimited):
            await upstream.create(a_model(), TEXT, deadline=60)
        await upstream.cancel("p1")
        await upstream.get("p1")
        assert upstream.requests == 3


async def test_a_throttle_that_lasts_too_long_is_the_clients_to_wait_for() -> None:
    wire = Wire(refused(429, retry_after=30))
    async with faking(wire) as upstream:
        for _ in range(3):
            with pytest.raises(RateLimited) as caught:
                await upstream.create(a_model(), TEXT, deadline=60)
            assert 29 < (caught.value.retry_after or 0) <= 30
    assert len(wire.asked) == 1, "what is known to be throttled is not asked"


@pytest.mark.parametrize(
    "failure", [httpx.ReadTimeout("silence"), refused(500), refused(503), httpx.Response(502)], ids=str
)
async def test_reads_and_cancels_are_tried_again(failure: httpx.Response | Exception) -> None:
    for verb in ("get", "cancel"):
        wire = Wire(failure, failure, prediction())
        async with faking(wire, config=UpstreamConfig(retry_seconds=10)) as upstream:
            assert (await getattr(upstream, verb)("p1")).id == "p1"
            assert upstream.requests == 3


async def test_requests_are_counted_for_each_view() -> None:
    async with faking(Wire(prediction())) as upstream:
        one, other = upstream.counted(), upstream.counted()
        await one.create(a_model(), TEXT, deadline=60)
        await one.get("p1")
        await other.get("p1")
    assert (one.requests, other.requests, upstream.requests) == (2, 1, 0)


# Tokens


async def test_creates_are_spread_and_a_prediction_stays_with_its_maker() -> None:
    made = iter(range(100))

    def wire(request: httpx.Request) -> httpx.Response:
        token = request.headers["authorization"]
        asked.append((request.method, request.url.path, token))
        return prediction(f"p{next(made)}" if request.method == "POST" else request.url.path.rpartition("/")[2])

    asked: list[tuple[str, str, str]] = []
    async with faking(wire, ("r8_one", "r8_two", "r8_three")) as upstream:
        ids = [(await upstream.create(a_model(), TEXT, deadline=60)).id for _ in range(6)]
        for id in ids:
            await upstream.get(id)
    creates, gets = asked[:6], asked[6:]
    assert len({token for _, _, token in creates}) == 3
    assert [token for _, _, token in gets] == [token for _, _, token in creates]


@pytest.mark.parametrize("status", [401, 402, 429])
async def test_another_token_steps_in_and_nothing_is_made_twice(status: int) -> None:
    def wire(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["authorization"])
        return refused(status, retry_after=30) if "r8_one" in asked[-1] else prediction()

    asked: list[str] = []
    async with faking(wire, ("r8_one", "r8_two")) as upstream:
        for _ in range(5):
            await upstream.create(a_model(), TEXT, deadline=60)
    assert asked.count("Bearer r8_two") == 5
    assert asked.count("Bearer r8_one") == 1, "a token in trouble is left alone for a while"


@pytest.mark.parametrize(("status", "remedy"), [(401, "REPLICATE_API_TOKEN"), (402, "account/billing")])
async def test_trouble_with_our_token_is_told_to_the_operator_and_not_to_the_client(status: int, remedy: str) -> None:
    secret = "r8_very_secret"
    with structlog.testing.capture_logs() as logs:
        async with faking(Wire(refused(status, detail=f"bad token {secret}")), (secret,)) as upstream:
            for _ in range(3):
                with pytest.raises(UpstreamUnavailable) as caught:
                    await upstream.create(a_model(), TEXT, deadline=60)
    told = [line for line in logs if line["log_level"] == "error"]
    assert len(told) == 1, "once a minute is enough"
    assert remedy in told[0]["remedy"]
    assert told[0]["token"] == "token 1 of 1"
    assert caught.value.status == 503
    assert secret not in f"{logs} {caught.value.message} {caught.value!r} {vars(upstream)}"


async def test_a_token_quoted_by_upstream_is_hidden() -> None:
    async with faking(Wire(refused(400, detail="what is r8_one?"))) as upstream:
        with pytest.raises(InvalidRequest, match=r"what is \*\*\*\?"):
            await upstream.create(a_model(), TEXT, deadline=60)


async def test_low_credit_slows_us_and_tells_the_operator_why(simulator: Simulator) -> None:
    simulator.limit("low-credit")
    upstream = Upstream(QUICK, [simulator.token], simulator.base_url)
    model = Model.of(ModelRef.parse("sim/echo"), await upstream.model(ModelRef.parse("sim/echo")))
    with structlog.testing.capture_logs() as logs:
        await upstream.create(model, TEXT, deadline=60)
        with pytest.raises(RateLimited) as caught:
            await upstream.create(model, TEXT, deadline=60)
    await upstream.aclose()
    assert caught.value.retry_after
    assert any("billing" in line.get("remedy", "") for line in logs)


async def test_a_prediction_of_an_earlier_process_is_looked_for_with_every_token() -> None:
    def wire(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["authorization"][-3:])
        return prediction("old") if asked[-1] == "two" else refused(404)

    asked: list[str] = []
    async with faking(wire, ("r8_one", "r8_two")) as upstream:
        await upstream.get("old")
        await upstream.cancel("old")
    assert asked == ["one", "two", "two"]


async def test_an_unknown_prediction_is_not_found(upstream: Upstream) -> None:
    with pytest.raises(NotFound):
        await upstream.get("abcdefghjkmnpqrstvwxyz0123")


async def test_the_token_is_sent_to_our_own_path_only_whatever_an_id_says() -> None:
    wire = Wire(prediction())
    async with faking(wire) as upstream:
        await upstream.get("../../evil.example/?x=#")
    assert wire.lines == ["GET /v1/predictions/..%2F..%2Fevil.example%2F%3Fx%3D%23"]
    assert wire.asked[0].url.host == "replicate.example"


async def test_a_redirect_is_not_followed() -> None:
    wire = Wire(httpx.Response(307, headers={"location": "https://evil.example/"}))
    async with faking(wire) as upstream:
        with pytest.raises(UpstreamFailed):
            await upstream.get("p1")
    assert {one.url.host for one in wire.asked} == {"replicate.example"}


async def test_pages_are_followed_by_their_cursor_and_on_our_own_origin() -> None:
    wire = Wire(
        httpx.Response(200, json={"results": [], "next": "http://evil.example/v1/predictions?cursor=abc%3D"}),
        httpx.Response(200, json={"results": [], "next": None}),
    )
    async with faking(wire) as upstream:
        assert await upstream.find_created(a_model(), digest(TEXT), datetime.now(UTC)) is None
    assert {one.url.host for one in wire.asked} == {"replicate.example"}
    assert wire.asked[1].url.params["cursor"] == "abc="


async def test_a_prediction_of_a_minute_ago_is_found_among_as_many_as_an_account_may_have_created_since() -> None:
    model, mine = a_model(), {"id": "p1", "status": "processing", "model": "acme/chat", "input": TEXT}
    page = {
        "results": [{**mine, "id": "p2", "input": {"prompt": "other"}}] * 100,
        "next": "https://x.example/?cursor=abc",
    }
    pages = [*[httpx.Response(200, json=page)] * 6, httpx.Response(200, json={"results": [mine], "next": None})]
    async with faking(Wire(*pages)) as upstream:
        found = await upstream.find_created(model, digest(TEXT), datetime.now(UTC) - timedelta(minutes=1))
    assert found
    assert found.id == "p1"


# Lost creates


@pytest.mark.parametrize("scene", ["bad-gateway-created", "created-but-504", "dropped-created", "stalled-created"])
async def test_a_prediction_whose_create_was_lost_is_found_and_cancelled(simulator: Simulator, scene: str) -> None:
    upstream = Upstream(QUICK, [simulator.token], simulator.base_url)
    model = Model.of(ModelRef.parse("sim/never-ends"), await upstream.model(ModelRef.parse("sim/never-ends")))
    simulator.scene("sim/never-ends", scene, times=1, endless=True, pause=0.05)
    began, inputs = datetime.now(UTC), {"prompt": "count", "max_tokens": 5}
    with pytest.raises(MaybeCreated):
        await upstream.create(model, inputs, deadline=60)

    async def not_ours(found: Prediction) -> bool:
        return False

    assert await upstream.find_created(model, digest(inputs), began, not_ours) is None, "another gateway knows it"
    found = await upstream.find_created(model, digest({"max_tokens": 5.0, "prompt": "count"}), began)
    assert found is not None
    assert found.id == simulator.last().id
    await upstream.cancel(found.id)
    assert simulator.status_of_last() == "canceled"
    assert len(simulator.predictions()) == 1
    assert await upstream.find_created(model, digest(inputs), began) is None, "it is claimed now"
    await upstream.aclose()


@pytest.mark.parametrize("scene", ["bad-gateway", "gateway-timeout", "dropped", "stalled"])
async def test_a_create_that_was_lost_on_the_way_there_is_not_found(simulator: Simulator, scene: str) -> None:
    upstream = Upstream(QUICK, [simulator.token], simulator.base_url)
    model = Model.of(ModelRef.parse("sim/echo"), await upstream.model(ModelRef.parse("sim/echo")))
    simulator.scene("sim/echo", scene, times=1)
    began = datetime.now(UTC)
    with pytest.raises(MaybeCreated):
        await upstream.create(model, TEXT, deadline=60)
    assert await upstream.find_created(model, digest(TEXT), began) is None
    assert simulator.predictions() == []
    await upstream.aclose()


async def test_a_prediction_that_somebody_has_is_not_taken_for_the_lost_one(
    upstream: Upstream, schemas: Schemas
) -> None:
    model = await schemas.get(ModelRef.parse("sim/echo"))
    began = datetime.now(UTC) - timedelta(minutes=1)
    await upstream.create(model, TEXT, deadline=60)
    assert await upstream.find_created(model, digest(TEXT), began) is None


async def test_a_create_of_the_same_that_is_under_way_is_waited_for(
    simulator: Simulator, schemas: Schemas, upstream: Upstream
) -> None:
    """Its prediction exists before its answer does, and looks just like the lost one."""
    model = await schemas.get(ModelRef.parse("sim/picture-slow"))
    simulator.scene("sim/picture-slow", "picture-slow", seconds=0.3)
    began = datetime.now(UTC)
    waits = asyncio.create_task(upstream.create(model, {"prompt": "a fox"}, deadline=60, wait=10))
    await simulator.reached("processing")
    assert await upstream.find_created(model, digest({"prompt": "a fox"}), began) is None
    assert waits.done()
    await waits


async def test_a_create_that_waits_can_be_overtaken_unless_another_waits_for_the_same(
    simulator: Simulator, schemas: Schemas, upstream: Upstream
) -> None:
    model, inputs = await schemas.get(ModelRef.parse("sim/picture-slow")), {"prompt": "a fox"}
    began = datetime.now(UTC)
    first = asyncio.create_task(upstream.create(model, inputs, deadline=60, wait=20))
    await simulator.reached("processing")
    found = await upstream.find_waiting(model, digest(inputs), began)
    assert found is not None
    assert found.id == simulator.last().id
    assert await upstream.find_waiting(model, digest({"prompt": "an owl"}), began) is None
    second = asyncio.create_task(upstream.create(model, inputs, deadline=60, wait=20))
    async with asyncio.timeout(2):
        while len(simulator.predictions()) < 2:
            await asyncio.sleep(0.01)
    assert await upstream.find_waiting(model, digest(inputs), began) is None
    for made in simulator.predictions():
        await upstream.cancel(made.id)
    assert [one.status for one in await asyncio.gather(first, second)] == ["canceled", "canceled"]


async def test_creates_that_wait_take_no_connection_from_others(simulator: Simulator, schemas: Schemas) -> None:
    config = UpstreamConfig(connections=1, connect_seconds=1)
    upstream = Upstream(config, [simulator.token], simulator.base_url)
    model = await schemas.get(ModelRef.parse("sim/never-ends"))
    waits = asyncio.create_task(upstream.create(model, TEXT, deadline=60, wait=60))
    await simulator.reached("processing")
    await upstream.cancel(simulator.last().id)
    assert (await waits).status == "canceled"
    await upstream.aclose()


async def test_a_model_of_another_name_with_the_same_inputs_is_not_the_lost_one(
    simulator: Simulator, schemas: Schemas
) -> None:
    other = Upstream(QUICK, [simulator.token], simulator.base_url)
    await other.create(await schemas.get(ModelRef.parse("sim/slow")), TEXT, deadline=60)
    stranger = Upstream(QUICK, [simulator.token], simulator.base_url)
    since = datetime.now(UTC) - timedelta(minutes=1)
    assert await stranger.find_created(await schemas.get(ModelRef.parse("sim/echo")), digest(TEXT), since) is None
    assert await stranger.find_created(await schemas.get(ModelRef.parse("sim/slow")), digest(TEXT), since)
    await other.aclose()
    await stranger.aclose()


# Models


async def test_every_form_of_ref_leads_to_the_model(upstream: Upstream, simulator: Simulator) -> None:
    by_name = await upstream.model(ModelRef.parse("sim/community"))
    assert (by_name.official, by_name.path) == (False, "sim/community")
    pinned = await upstream.model(ModelRef.parse(f"sim/community:{by_name.version}"))
    assert pinned.openapi_schema == by_name.openapi_schema
    with pytest.raises(UnknownModel, match="owner/name:"):
        await upstream.model(ModelRef.parse(by_name.version or ""))
    with pytest.raises(UnknownModel):
        await upstream.model(ModelRef.parse("sim/nothing-of-the-sort"))


async def test_a_bare_version_that_the_account_has_run_is_recognised(upstream: Upstream) -> None:
    record = await upstream.model(ModelRef.parse("sim/community"))
    model = Model.of(ModelRef.parse("sim/community"), record)
    await upstream.create(model, TEXT, deadline=60)
    assert (await upstream.model(ModelRef.parse(record.version or ""))).path == "sim/community"


async def test_a_deployment_runs_the_version_of_its_release() -> None:
    replies = {
        "/v1/deployments/acme/ours": {"current_release": {"model": "acme/chat", "version": HEX}},
        "/v1/models/acme/chat": {"owner": "acme", "name": "chat", "latest_version": {"id": "f" * 64}},
        f"/v1/models/acme/chat/versions/{HEX}": {"id": HEX, "openapi_schema": {"pinned": True}},
    }
    async with faking(lambda request: httpx.Response(200, json=replies[request.url.path])) as upstream:
        record = await upstream.model(ModelRef.parse("deployments/acme/ours"))
    assert (record.path, record.version, record.openapi_schema) == ("acme/chat", HEX, {"pinned": True})


async def test_an_answer_that_cannot_be_read_is_a_failure_of_upstreams() -> None:
    async with faking(Wire(httpx.Response(200, text="<html>"))) as upstream:
        with pytest.raises(UpstreamFailed):
            await upstream.model(ModelRef.parse("acme/chat"))
        with pytest.raises(UpstreamFailed):
            await upstream.get("p1")


def test_the_digest_knows_inputs_again_in_the_form_replicate_echoes_them() -> None:
    assert digest({"a": 1, "b": [1.0, {"c": None}]}) == digest({"b": [1, {"c": None}], "a": 1.0})
    assert digest({"a": 1}) != digest({"a": "1"})
    assert digest({"a": 1.5}) != digest({"a": 1})


async def test_the_token_goes_to_the_api_alone(simulator: Simulator, upstream: Upstream) -> None:
    heard: list[bytes] = []

    async def stream_host(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await request(reader))
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    async with serving(stream_host) as url:
        with pytest.raises(NoStream):
            [batch async for batch in read(upstream, url, Cursor(), 0)]
    assert b"authorization" not in heard[0].lower()

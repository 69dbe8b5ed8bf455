"""Rate limits: their headers, and what happens when they are enforced."""

from typing import Any

import pytest

from gateway.simulator import Settings, Simulator
from gateway.simulator.limits import Bucket, Buckets
from gateway.simulator.settings import Trouble
from tests.simulator.calls import Api


@pytest.mark.parametrize(("method", "path", "remaining"), [
    ("POST", "/models/sim/echo/predictions", "599"),
    ("POST", "/predictions", "599"),
    ("POST", "/deployments/sim/deployed/predictions", "599"),
    ("GET", "/predictions/nothing", "59999"),
    ("GET", "/predictions", "2999"),
    ("POST", "/predictions/nothing/cancel", "2999"),
    ("GET", "/models/sim/echo", "2999"),
    ("GET", "/nothing", "2999"),
    ("GET", "/files", None),
])  # fmt: skip
def test_each_kind_of_route_tells_what_remains(api: Api, method: str, path: str, remaining: str | None) -> None:
    reply = api.request(method, path, json={"input": {"prompt": "x"}} if method == "POST" else None)
    assert reply.headers.get("ratelimit-remaining") == remaining
    assert reply.headers.get("ratelimit-reset") == (None if remaining is None else "1")


def test_six_hundred_creates_a_minute_and_no_more(started: Any) -> None:
    # On a slow machine 600 requests take seconds, in which the usual clock would let some more in.
    api = started(Settings(limits="normal", clock_speed=0.001))
    remaining = [api.create("sim/echo", prompt="x").headers["ratelimit-remaining"] for _ in range(3)]
    assert remaining == ["599", "598", "597"]
    statuses = [api.post("/models/sim/nothing/predictions").status_code for _ in range(640)]
    assert statuses == [404] * 597 + [429] * 43
    assert api.get("/account").status_code == 200
    assert api.post("/models/sim/nothing/predictions").json()["detail"].startswith("Request was throttled.")


@pytest.mark.parametrize(("bucket", "allowed"), [("create", 600), ("other", 3000), ("read", 60_000)])
def test_each_kind_of_route_has_an_allowance_a_minute_that_refills(bucket: Bucket, allowed: int) -> None:
    now = [1000.0]
    buckets = Buckets(lambda: now[0])
    taken = [buckets.take("r8_a", bucket, "normal") for _ in range(allowed)]
    assert (taken[0], taken[-1]) == ((allowed - 1, 0.0), (0, 0.0))
    assert buckets.take("r8_a", bucket, "normal")[1] == pytest.approx(60 / allowed, rel=1e-3)
    now[0] += 30
    assert buckets.take("r8_a", bucket, "normal") == (allowed // 2 - 1, 0.0)


def test_granted_credit_takes_six_creates_a_minute_and_any_number_of_reads(api: Api, simulator: Simulator) -> None:
    simulator.limit("granted")
    assert [api.create("sim/echo", prompt="x").status_code for _ in range(2)] == [201, 429]
    assert {api.get("/predictions").status_code for _ in range(20)} == {200}
    for _ in range(5):
        simulator.advance(10)
        assert api.create("sim/echo", prompt="x").status_code == 201


def test_with_little_credit_one_create_in_ten_seconds(api: Api, simulator: Simulator) -> None:
    simulator.limit("low-credit")
    assert api.create("sim/echo", prompt="x").status_code == 201
    refused = api.create("sim/echo", prompt="x")
    assert refused.status_code == 429
    assert "reduced to 6 requests per minute with a burst of 1" in refused.json()["detail"]
    assert 8 <= refused.json()["retry_after"] <= 10
    simulator.advance(refused.json()["retry_after"])
    assert api.create("sim/echo", prompt="x").status_code == 201
    simulator.limit("off")
    assert api.create("sim/echo", prompt="x").status_code == 201


def with_token(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_each_token_has_an_allowance_of_its_own(started: Any) -> None:
    api = started(Settings(limits="normal", creates_per_minute=3, clock_speed=0.001))
    statuses = [api.create("sim/echo", with_token(token), prompt="x").status_code for token in ("r8_a", "r8_b") * 4]
    assert statuses == [201, 201] * 3 + [429, 429]
    api.simulator.advance(20)
    again = api.create("sim/echo", with_token("r8_a"), prompt="x")
    assert (again.status_code, again.headers["ratelimit-remaining"]) == (201, "0")


@pytest.mark.parametrize(
    ("trouble", "creating", "title", "reading"),
    [
        ("refused", [401, 401], "Unauthenticated", 401),
        ("insufficient-credit", [402, 402], "Insufficient credit", 200),
        ("billing-required", [402, 402], "Billing required", 200),
        ("throttled", [429, 429], None, 200),
        ("low-credit", [201, 429], None, 200),
        ("granted", [201, 429], None, 200),
    ],
)
def test_one_token_may_be_in_trouble_alone(
    api: Api, simulator: Simulator, trouble: Trouble, creating: list[int], title: str | None, reading: int
) -> None:
    ill, well = with_token("r8_ill"), with_token("r8_well")
    simulator.trouble("r8_ill", trouble)
    replies = [api.create("sim/echo", ill, prompt="x") for _ in creating]
    assert [reply.status_code for reply in replies] == creating
    assert replies[-1].json().get("title") == title
    assert api.get("/account", headers=ill).status_code == reading
    assert api.create("sim/echo", well, prompt="x").status_code == 201
    assert {request.token for request in simulator.requests()} == {"r8_ill", "8_well"}
    simulator.trouble("r8_ill", None)
    assert api.create("sim/echo", ill, prompt="x").status_code == 201

"""Every refusal of Replicate's catalogue (api.md §7.2), word for word, and the failures of §7.4."""

from typing import Any

import httpx
import pytest

from gateway.simulator import SCENES, Settings, Simulator
from tests.simulator.calls import Api, until

PROBLEM = "application/problem+json"
CREDIT = (
    "You have insufficient credit to run this model. Go to https://replicate.com/account/billing#billing to purchase "
    "credit. Once you purchase credit, please wait a few minutes before trying again."
)
BILLING = (
    "You need to set up billing to run this model. Go to https://replicate.com/account/billing#billing to set it up. "
    "If you have recently set up billing, please wait a few minutes before trying again."
)
LOW = (
    "Request was throttled. Your rate limit for creating predictions is reduced to 6 requests per minute with a burst "
    "of 1 requests while you have less than $5.0 in credit. Your rate limit resets in ~5s."
)


def test_no_token_and_a_bad_token(web: httpx.Client, simulator: Simulator) -> None:
    for headers, detail in (
        ({}, "You did not pass an authentication token"),
        ({"Authorization": "Bearer"}, "You did not pass an authentication token"),
        ({"Authorization": "Basic abc"}, "You did not pass an authentication token"),
        ({"Authorization": "Bearer r8_invalid"}, "You did not pass a valid authentication token"),
    ):
        reply = web.get(f"{simulator.base_url}/account", headers=headers)
        assert reply.json() == {"title": "Unauthenticated", "detail": detail, "status": 401}
        assert (reply.status_code, reply.headers["content-type"]) == (401, PROBLEM)
        assert "ratelimit-remaining" not in reply.headers


def test_a_bad_token_is_refused_in_newer_words_where_switched(web: httpx.Client, simulator: Simulator) -> None:
    simulator.switch(bad_token_wording="newer")
    reply = web.get(f"{simulator.base_url}/account", headers={"Authorization": "Bearer r8_invalid"})
    assert reply.json() == {"title": "Unauthenticated", "detail": "Invalid or expired API token.", "status": 401}


@pytest.mark.parametrize(("seconds", "words"), [(1, "in 1 second."), (30, "in 30 seconds.")])
def test_a_throttled_create_can_be_refused_in_older_words(
    api: Api, simulator: Simulator, seconds: int, words: str
) -> None:
    simulator.switch(throttle_wording="expected", throttle_hint="text")
    simulator.scene("sim/echo", "throttled", retry_after=seconds)
    assert api.create("sim/echo", prompt="x").json() == {"detail": f"Request was throttled. Expected available {words}"}


def test_only_the_tokens_of_the_settings_are_accepted_where_there_are_any(started: Any) -> None:
    api = started(Settings(tokens=("r8_one", "r8_two")))
    assert api.simulator.token == "r8_one"
    for token, status in (("r8_one", 200), ("r8_two", 200), ("r8_three", 401)):
        assert api.get("/account", headers={"Authorization": f"Bearer {token}"}).status_code == status


@pytest.mark.parametrize(("scene", "status", "body"), [
    ("insufficient-credit", 402, {"title": "Insufficient credit", "detail": CREDIT, "status": 402}),
    ("billing-required", 402, {"title": "Billing required", "detail": BILLING, "status": 402}),
    ("forbidden", 403, {"title": "Forbidden", "detail": "You do not have permission to do this.", "status": 403}),
    ("low-credit", 429, {"detail": LOW, "status": 429, "retry_after": 5}),
    (
        "throttled",
        429,
        {"detail": "Request was throttled. Your rate limit resets in ~1s.", "status": 429, "retry_after": 1},
    ),
    (
        "unavailable",
        500,
        {"title": "Internal Server Error", "detail": "Something went wrong on our side.", "status": 500},
    ),
    ("overloaded", 503, {"title": "Service Unavailable", "detail": "Something went wrong on our side.", "status": 503}),
])  # fmt: skip
def test_a_create_is_refused_in_replicates_words(
    api: Api, simulator: Simulator, scene: str, status: int, body: dict[str, Any]
) -> None:
    simulator.scene("sim/echo", scene, times=1)
    reply = api.create("sim/echo", prompt="x")
    assert (reply.status_code, reply.json(), reply.headers["content-type"]) == (status, body, PROBLEM)
    assert simulator.predictions() == []
    assert api.create("sim/echo", prompt="x").status_code == 201


@pytest.mark.parametrize(("model", "status"), [("sim/throttled", 429), ("sim/unavailable", 500)])
def test_some_models_always_refuse(api: Api, model: str, status: int) -> None:
    assert [api.create(model, prompt="x").status_code for _ in range(2)] == [status] * 2


@pytest.mark.parametrize(("hint", "header", "body"), [
    ("text", None, {"detail"}),
    ("body", None, {"detail", "status", "retry_after"}),
    ("header", "1", {"detail"}),
    ("both", "1", {"detail", "status", "retry_after"}),
])  # fmt: skip
def test_a_throttled_create_hints_when_to_come_back_as_switched(
    api: Api, simulator: Simulator, hint: str, header: str | None, body: set[str]
) -> None:
    simulator.switch(throttle_hint=hint)
    reply = api.create("sim/throttled", prompt="x")
    assert (reply.headers.get("retry-after"), set(reply.json())) == (header, body)


@pytest.mark.parametrize(("scene", "status", "created"), [
    ("bad-gateway", 502, 0), ("bad-gateway-created", 502, 1), ("gateway-timeout", 504, 0), ("created-but-504", 504, 1),
])  # fmt: skip
def test_the_edge_answers_with_html_and_may_hide_a_prediction(
    api: Api, simulator: Simulator, scene: str, status: int, created: int
) -> None:
    simulator.scene("sim/echo", scene)
    reply = api.create("sim/echo", prompt="x")
    assert (reply.status_code, reply.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert reply.text.startswith("<html>")
    assert len(simulator.predictions()) == created
    assert len(api.get("/predictions").json()["results"]) == created


@pytest.mark.parametrize(("scene", "created"), [("stalled", 0), ("stalled-created", 1)])
def test_a_create_can_stall(api: Api, simulator: Simulator, scene: str, created: int) -> None:
    simulator.scene("sim/echo", scene)
    with pytest.raises(httpx.ReadTimeout):
        api.post("/models/sim/echo/predictions", json={"input": {"prompt": "x"}}, timeout=0.2)
    assert len(simulator.predictions()) == created


@pytest.mark.parametrize(("scene", "created"), [("dropped", 0), ("dropped-created", 1)])
def test_a_connection_can_be_dropped_instead_of_an_answer(
    api: Api, simulator: Simulator, scene: str, created: int
) -> None:
    simulator.scene("sim/echo", scene)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        api.create("sim/echo", prompt="x")
    assert len(simulator.predictions()) == created
    until(lambda: simulator.requests() and simulator.requests()[-1].status == 0)


def test_reads_can_fail_at_the_edge_before_one_is_answered(api: Api, simulator: Simulator) -> None:
    simulator.scene("sim/echo", "flaky-reads", reads_fail=2)
    id = api.create("sim/echo", prompt="x").json()["id"]
    replies = [api.get(f"/predictions/{id}") for _ in range(3)]
    assert [reply.status_code for reply in replies] == [502, 502, 200]
    assert replies[0].text.startswith("<html>")
    assert api.post(f"/predictions/{id}/cancel").status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unknown_paths_are_not_found(api: Api, method: str) -> None:
    reply = api.request(method, "/chat/completions")
    assert (reply.status_code, reply.headers["content-type"]) == (404, PROBLEM)
    assert reply.json() == {"detail": "The requested resource could not be found.", "status": 404}


def test_a_verb_a_path_does_not_take_is_refused(api: Api) -> None:
    assert api.put("/predictions").status_code == 405


def test_search_without_a_query_is_refused_in_its_own_shape(api: Api) -> None:
    reply = api.get("/search")
    assert (reply.status_code, reply.json()) == (400, {"detail": 'Query parameter "query" is required'})
    assert reply.headers["content-type"].startswith("application/json")


FAILURES = {
    "interrupted": "Prediction interrupted; please retry (code: PA)",
    "unhealthy": "Director: unexpected error handling prediction (E8765)",
    "out-of-memory": "CUDA out of memory (E1001)",
    "high-demand": "Service is currently unavailable due to high demand. Please try again later. (E003)",
    "timed-out": "Prediction timed out",
    "refused": "The input or output was flagged as sensitive. Please try again with different inputs. (E005)",
    "nsfw": "NSFW content detected. Try running it again, or try a different prompt.",
    "picture-nsfw": "NSFW content detected. Try running it again, or try a different prompt.",
}


@pytest.mark.parametrize("scene", FAILURES)
def test_a_prediction_fails_in_replicates_words(api: Api, simulator: Simulator, scene: str) -> None:
    simulator.scene("sim/echo", scene)
    prediction = api.run("sim/echo", prompt="one two three four five six")
    assert (prediction["status"], prediction["error"]) == ("failed", FAILURES[scene])
    assert len(prediction["output"] or ()) == SCENES[scene].fails_after


def test_a_failure_midway_keeps_its_output_and_metrics(api: Api) -> None:
    prediction = api.run("sim/fails-midway", prompt="x")
    assert prediction["status"] == "failed"
    assert len(prediction["output"]) == 5
    assert prediction["metrics"]["output_token_count"] == 5


def test_a_failure_can_say_anything(api: Api, simulator: Simulator) -> None:
    simulator.scene("*", "fails", times=1, error="ValueError: no")
    assert api.run("meta/meta-llama-3-70b-instruct", prompt="x")["error"] == "ValueError: no"
    assert api.run("meta/meta-llama-3-70b-instruct", prompt="x")["error"] is None


def test_a_cold_boot_stays_in_starting(api: Api, simulator: Simulator) -> None:
    id = api.create("sim/cold-boot", prompt="x").json()["id"]
    assert api.get(f"/predictions/{id}").json()["status"] == "starting"
    prediction = api.final(id)
    assert prediction["metrics"]["total_time"] - prediction["metrics"]["predict_time"] >= 0.14


def test_pictures_can_be_slow_and_can_fail(api: Api, simulator: Simulator) -> None:
    simulator.scene("sim/picture-slow", "picture-slow", seconds=0.3)
    assert api.run("sim/picture-slow", prompt="x")["metrics"]["predict_time"] >= 0.3
    assert api.run("sim/picture-fails", prompt="x")["status"] == "failed"
    assert "NSFW" in api.run("sim/picture-nsfw", prompt="x")["error"]


def test_low_credit_has_another_wording_where_switched(api: Api, simulator: Simulator) -> None:
    simulator.switch(low_credit_title=True)
    simulator.scene("sim/echo", "low-credit")
    body = api.create("sim/echo", prompt="x").json()
    assert set(body) == {"title", "detail", "status"}
    assert "Your rate limit for prediction creation is reduced" in body["detail"]


def test_a_prediction_can_succeed_with_an_error(api: Api, simulator: Simulator) -> None:
    simulator.scene("sim/echo", "succeeds-with-error")
    prediction = api.run("sim/echo", prompt="one two three four five six")
    assert (prediction["status"], prediction["error"]) == ("succeeded", "Prediction timed out")
    assert len(prediction["output"]) == 4


@pytest.mark.parametrize("header", [{"Prefer": "wait=0"}, {"Cancel-After": "1s"}])
def test_a_bad_header_is_refused_with_the_status_switched(
    api: Api, simulator: Simulator, header: dict[str, str]
) -> None:
    assert api.create("sim/echo", header, prompt="x").json()["status"] == 422
    simulator.switch(bad_header_code=400)
    reply = api.create("sim/echo", header, prompt="x")
    assert (reply.status_code, reply.json()["status"]) == (400, 400)

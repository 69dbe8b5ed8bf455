"""Waiting, deadlines and cancelling."""

import time

import httpx
import pytest

from gateway.simulator import Simulator
from tests.simulator.calls import Api, until

WAIT = {"Prefer": "wait"}


def test_a_sync_reply_holds_the_whole_output_and_still_says_processing(api: Api) -> None:
    reply = api.create("sim/echo", WAIT, prompt="hello you")
    prediction = reply.json()
    assert (reply.status_code, reply.headers["preference-applied"]) == (201, "wait")
    assert (prediction["status"], prediction["output"]) == ("processing", ["hello", " you", ""])
    assert "metrics" not in prediction
    assert "completed_at" not in prediction
    assert "output_token_count" in api.final(prediction["id"])["metrics"]


def test_a_sync_reply_can_say_succeeded_with_metrics_instead(api: Api, simulator: Simulator) -> None:
    simulator.switch(sync_success_status="succeeded")
    prediction = api.create("sim/echo", WAIT, prompt="hello").json()
    assert prediction["status"] == "succeeded"
    assert prediction["metrics"]["output_token_count"] == 1


def test_metrics_come_late(api: Api, simulator: Simulator) -> None:
    simulator.switch(metrics_delay=0.3)
    id = api.create("sim/echo", WAIT, prompt="hello").json()["id"]
    early = api.get(f"/predictions/{id}").json()
    assert (early["status"], early["metrics"], early["output"]) == ("processing", {}, ["hello", ""])
    assert api.final(id)["metrics"]["output_token_count"] == 1


@pytest.mark.parametrize(("status", "code"), [("starting", 201), ("processing", 202), ("starting", 200)])
def test_a_wait_that_is_over_too_soon_answers_as_switched(
    api: Api, simulator: Simulator, status: str, code: int
) -> None:
    simulator.switch(sync_timeout_status=status, sync_timeout_code=code)
    simulator.scene("sim/echo", "never-ends")
    started = time.monotonic()
    reply = api.create("sim/echo", {"Prefer": "wait=1"}, prompt="x")
    assert 0.9 < time.monotonic() - started < 1.6
    assert (reply.status_code, reply.json()["status"], reply.json()["output"]) == (code, status, None)
    assert reply.headers["preference-applied"] == "wait=1"
    assert simulator.last().status == "processing"


def test_a_failure_within_the_wait_is_told(api: Api) -> None:
    prediction = api.create("sim/fails", WAIT, prompt="x").json()
    assert (prediction["status"], prediction["error"]) == ("failed", "RuntimeError: the simulated model broke down")


@pytest.mark.parametrize("prefer", ["wait=0", "wait=61", "wait=1.5", "wait=100", "respond-async"])
def test_a_preference_that_is_none_is_refused_or_ignored_as_switched(
    api: Api, simulator: Simulator, prefer: str
) -> None:
    assert api.create("sim/echo", {"Prefer": prefer}, prompt="x").status_code == 422
    simulator.switch(bad_preference="ignore")
    reply = api.create("sim/echo", {"Prefer": prefer}, prompt="x")
    assert (reply.status_code, reply.json()["status"]) == (201, "starting")
    assert "preference-applied" not in reply.headers


def test_a_client_that_leaves_a_sync_create_cancels_it_only_where_switched(api: Api, simulator: Simulator) -> None:
    simulator.scene("sim/echo", "slow", seconds=1.0)
    for cancels, outcome in ((False, "succeeded"), (True, "canceled")):
        simulator.switch(sync_cancel_on_disconnect=cancels)
        with pytest.raises(httpx.ReadTimeout):
            api.post("/models/sim/echo/predictions", json={"input": {"prompt": "x"}}, headers=WAIT, timeout=0.2)
        until(lambda outcome=outcome: simulator.last().status == outcome)


def test_sync_replies_can_hold_files_as_data_urls(api: Api, simulator: Simulator) -> None:
    assert api.create("sim/picture", WAIT, prompt="x").json()["output"][0].startswith(simulator.delivery_url)
    simulator.switch(sync_data_urls=True)
    assert api.create("sim/picture", WAIT, prompt="x").json()["output"][0].startswith("data:image/webp;base64,")


@pytest.mark.parametrize(
    ("header", "seconds"), [("90", 90), ("5s", 5), ("2m", 120), ("1h30m45s", 5445), ("24h", 86400)]
)
def test_a_deadline_is_counted_from_creation(api: Api, simulator: Simulator, header: str, seconds: int) -> None:
    reply = api.create("sim/echo", {"Cancel-After": header}, prompt="x")
    seen = simulator.last()
    assert seen.deadline == pytest.approx(seen.created + seconds)
    assert seen.cancel_after == header
    assert reply.json()["deadline"] > reply.json()["created_at"]


@pytest.mark.parametrize("header", ["4", "4s", "25h", "soon", "", "-5", "1.5s", "5x"])
def test_a_deadline_that_is_none_is_refused(api: Api, header: str) -> None:
    assert api.create("sim/echo", {"Cancel-After": header}, prompt="x").status_code == 422


def test_a_deadline_that_passes_in_the_queue_aborts(api: Api, simulator: Simulator) -> None:
    simulator.scene("sim/echo", "queue", queued=60)
    id = api.create("sim/echo", {"Cancel-After": "30s"}, prompt="x").json()["id"]
    simulator.advance(31)
    prediction = api.get(f"/predictions/{id}").json()
    assert prediction["status"] == "aborted"
    assert "started_at" not in prediction
    assert "predict_time" not in prediction["metrics"]


def test_a_deadline_that_passes_while_running_cancels(api: Api, simulator: Simulator) -> None:
    id = api.create("sim/never-ends", {"Cancel-After": "30s"}, prompt="x").json()["id"]
    until(lambda: simulator.last().put_out > 0)
    simulator.advance(31)
    prediction = api.get(f"/predictions/{id}").json()
    assert prediction["status"] == "canceled"
    assert prediction["metrics"]["predict_time"] > 29


def test_without_a_deadline_a_prediction_runs_for_half_an_hour_at_most(api: Api, simulator: Simulator) -> None:
    id = api.create("sim/never-ends", prompt="x").json()["id"]
    until(lambda: simulator.last().put_out > 0)
    simulator.advance(1795)
    assert simulator.status(id) == "processing"
    simulator.advance(10)
    assert (simulator.last().status, simulator.last().error) == ("failed", "Prediction timed out")


def test_cancelling_answers_with_the_canceled_prediction(api: Api, simulator: Simulator) -> None:
    id = api.create("sim/never-ends", prompt="x").json()["id"]
    until(lambda: simulator.last().put_out > 1)
    reply = api.post(f"/predictions/{id}/cancel")
    assert (reply.status_code, reply.json()["status"]) == (200, "canceled")
    assert len(reply.json()["output"]) >= 2
    assert simulator.last().cancels == 1


def test_what_is_canceled_before_it_began_ran_for_three_microseconds(api: Api, simulator: Simulator) -> None:
    simulator.scene("sim/echo", "queue", queued=60)
    id = api.create("sim/echo", prompt="x").json()["id"]
    prediction = api.post(f"/predictions/{id}/cancel").json()
    assert prediction["metrics"]["predict_time"] == 3e-06
    assert prediction["output"] is None


def test_cancelling_what_has_ended_changes_nothing_or_is_refused_as_switched(api: Api, simulator: Simulator) -> None:
    id = api.create("sim/echo", prompt="x").json()["id"]
    api.final(id)
    assert api.post(f"/predictions/{id}/cancel").json()["status"] == "succeeded"
    simulator.switch(cancel_of_final="refuse")
    assert api.post(f"/predictions/{id}/cancel").status_code == 409


def test_an_unknown_prediction_is_not_found(api: Api) -> None:
    for reply in (api.get("/predictions/nothing"), api.post("/predictions/nothing/cancel")):
        assert (reply.status_code, reply.json()["detail"]) == (404, "The requested resource could not be found.")


def test_started_at_can_come_before_created_at(api: Api, simulator: Simulator) -> None:
    simulator.switch(clock_skew=5.0)
    prediction = api.final(api.create("sim/echo", prompt="x").json()["id"])
    assert prediction["started_at"] < prediction["created_at"]
    assert prediction["metrics"]["predict_time"] > prediction["metrics"]["total_time"]

"""Every setting does what its line says."""

import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gateway.simulator import Settings, Switches
from tests.simulator.calls import Api, until
from tests.simulator.hooks import Receiver

Started = Callable[[Settings], Api]


def free() -> int:
    """A port nobody has."""
    with socket.socket() as asking:
        asking.bind(("127.0.0.1", 0))
        return int(asking.getsockname()[1])


def test_each_host_listens_where_it_is_told_and_says_so_in_its_addresses(started: Started, web: httpx.Client) -> None:
    port, delivery, stream = free(), free(), free()
    api = started(Settings(port=port, delivery_port=delivery, stream_port=stream, public_host="localhost"))
    made = api.run("sim/picture", prompt="x")
    urls = made["urls"]
    assert urls["get"].startswith(f"http://localhost:{port}/v1/predictions/")
    assert urls["stream"].startswith(f"http://localhost:{stream}/v1/files/")
    assert made["output"][0].startswith(f"http://localhost:{delivery}/")
    assert web.get(made["output"][0]).status_code == 200


def test_switches_stand_as_set_at_the_start_and_again_after_a_reset(started: Started) -> None:
    api = started(Settings(switches=Switches(web_url=False)))
    assert "web" not in api.create("sim/echo", prompt="x").json()["urls"]
    api.simulator.switch(web_url=True)
    assert "web" in api.create("sim/echo", prompt="x").json()["urls"]
    api.simulator.reset()
    assert "web" not in api.create("sim/echo", prompt="x").json()["urls"]


@pytest.mark.parametrize(("setting", "status"), [("retention_seconds", 200), ("forget_seconds", 404)])
def test_what_has_ended_is_kept_for_as_long_as_set(started: Started, setting: str, status: int) -> None:
    seconds = {"retention_seconds": 10.0, "forget_seconds": 100.0}
    api = started(Settings(**seconds))
    id = api.run("sim/echo", prompt="x")["id"]
    api.simulator.advance(seconds[setting] + 1)
    kept = api.get(f"/predictions/{id}")
    assert (kept.status_code, kept.json().get("data_removed")) == (status, True if status == 200 else None)


def test_a_prediction_runs_for_as_long_as_set(started: Started) -> None:
    api = started(Settings(run_seconds=20))
    id = api.create("sim/never-ends", prompt="x").json()["id"]
    until(lambda: api.simulator.status(id) == "processing")
    api.simulator.advance(21)
    assert api.final(id)["error"] == "Prediction timed out"


def test_an_upload_is_kept_for_as_long_as_set(started: Started) -> None:
    api = started(Settings(file_seconds=20))
    file = api.post("/files", files={"content": ("x", b"x", "text/plain")}).json()
    api.simulator.advance(21)
    assert api.get(f"/files/{file['id']}").status_code == 404


def test_webhooks_are_signed_with_the_secret_set(started: Started) -> None:
    from standardwebhooks import Webhook

    secret = "whsec_b3VyIG93biBzZWNyZXQ="
    api = started(Settings(webhook_secret=secret))
    assert api.simulator.webhook_secret == secret
    with Receiver() as receiver:
        body: dict[str, Any] = {"input": {"prompt": "x"}, "webhook": receiver.url}
        api.post("/models/sim/echo/predictions", json=body | {"webhook_events_filter": ["completed"]})
        until(lambda: receiver.hooks)
    Webhook(secret).verify(receiver.hooks[0].body, receiver.hooks[0].headers)


def test_the_usual_settings_are_those_of_replicate() -> None:
    """Facts of api.md: §4.4 half an hour, §6 half a second, §5.2 thirty seconds, §4.6 an hour, §8 a day."""
    usual = Settings()
    assert (usual.run_seconds, usual.webhook_throttle_seconds, usual.stream_idle_seconds) == (1800, 0.5, 30)
    assert (usual.retention_seconds, usual.file_seconds) == (3600, 86_400)
    assert 55 <= sum(usual.webhook_retry_seconds) <= 65, "the last try comes about a minute after the end"


def test_a_quick_scene_overtakes_any_pace(started: Started) -> None:
    api = started(Settings(pace=2))
    api.simulator.scene("*", "quick")
    made = api.create("meta/meta-llama-3-8b-instruct", {"Prefer": "wait=1"}, prompt="x").json()
    assert made["output"][-1] == ""


def test_trainings_come_in_pages_of_a_hundred(started: Started) -> None:
    api = started(Settings(training_seconds=60))
    api.post("/models", json={"owner": "simulator", "name": "mine", "visibility": "private", "hardware": "cpu"})
    trainer = "/models/ostris/flux-dev-lora-trainer"
    version = api.get(trainer).json()["latest_version"]["id"]
    body = {"destination": "simulator/mine", "input": {"input_images": "https://a.example/x.zip"}}
    for _ in range(101):
        api.post(f"{trainer}/versions/{version}/trainings", json=body)
    first = api.get("/trainings").json()
    assert (len(first["results"]), len(api.get(first["next"]).json()["results"])) == (100, 1)

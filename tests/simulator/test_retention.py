"""What is kept after a prediction has ended, and for how long."""

import gc
from typing import Any

import httpx
import pytest

from gateway.simulator import Settings, Simulator
from gateway.simulator.prediction import Prediction
from tests.simulator.calls import Api, until


def test_an_hour_after_its_end_a_prediction_has_lost_its_data(
    api: Api, web: httpx.Client, simulator: Simulator
) -> None:
    prediction = api.run("sim/picture", prompt="x")
    simulator.advance(3590)
    assert web.get(prediction["output"][0]).status_code == 200
    simulator.advance(20)
    kept = api.get(f"/predictions/{prediction['id']}").json()
    assert (kept["data_removed"], kept["output"], kept["input"], kept["logs"]) == (True, None, {}, "")
    assert (kept["status"], kept["metrics"]) == ("succeeded", prediction["metrics"])
    assert web.get(prediction["output"][0]).status_code == 404


def test_a_stream_that_is_gone_ends_in_the_408_comment(started: Any, web: httpx.Client) -> None:
    api = started(Settings(stream_idle_seconds=0.1))
    prediction = api.run("sim/echo", prompt="x")
    api.simulator.advance(3610)
    assert web.get(prediction["urls"]["stream"]).text == ": hi\n\n:408: 408 Request Timeout\n\n"


def kept(api: Api) -> tuple[int, int, int]:
    """Return how many predictions, outputs and timers a simulator keeps."""
    told = api.get(api.simulator.control_url + "/").json()
    return told["predictions"], told["outputs"], told["timers"]


def test_in_the_end_a_prediction_leaves_nothing_behind(api: Api, simulator: Simulator) -> None:
    ids = [api.run("sim/picture", prompt=str(number))["id"] for number in range(5)]
    assert kept(api)[:2] == (5, 5)
    simulator.advance(3610)
    assert api.get(f"/predictions/{ids[0]}").status_code == 200
    simulator.advance(3610)
    assert api.get(f"/predictions/{ids[0]}").status_code == 404
    assert kept(api) == (0, 0, 0)
    gc.collect()
    assert [found for found in gc.get_objects() if isinstance(found, Prediction) and found.id in ids] == []


def test_the_clock_can_run_fast(started: Any) -> None:
    api = started(Settings(clock_speed=20_000))
    id = api.create("sim/echo", prompt="x").json()["id"]

    def is_forgotten() -> bool:
        return bool(api.get(f"/predictions/{id}").status_code == 404)

    assert until(is_forgotten) < 2


def test_thousands_of_predictions_leave_no_timers(api: Api, simulator: Simulator) -> None:
    for number in range(700):
        api.create("sim/echo", prompt=str(number))
    api.final(simulator.last().id)
    # One timer each, for retention; those of the thirty-minute limit are gone but for a quarter of all at most.
    assert kept(api)[2] < 1000
    simulator.advance(2 * 3600 + 60)
    assert kept(api) == (0, 0, 0)


def ended(api: Api, web: httpx.Client, count: int) -> int:
    """Let so many predictions of several kinds come and go; return how many objects there are afterwards."""
    for number in range(count):
        model = ("sim/echo", "sim/picture", "sim/fails-midway", "openai/whisper")[number % 4]
        made = api.run(model, **({"audio": "data:,x"} if "whisper" in model else {"prompt": str(number)}))
        if stream := made["urls"].get("stream"):
            web.get(stream)
    api.simulator.advance(2 * 3600 + 60)
    assert kept(api) == (0, 0, 0)
    gc.collect()
    return len(gc.get_objects())


@pytest.mark.slow
def test_the_process_grows_by_nothing_however_many_come_and_go(started: Any, web: httpx.Client) -> None:
    api = started(Settings(requests_kept=50))
    for number in range(1100):  # the framework remembers the latest 1,024 paths, whatever they led to
        api.get(f"/predictions/{number}")
    before = ended(api, web, 40)
    assert ended(api, web, 120) - before < 40, "three predictions leave less than one object"


def test_uploads_expire(api: Api, simulator: Simulator) -> None:
    file = api.post("/files", files={"content": ("x.txt", b"hello", "text/plain")}).json()
    simulator.advance(86_390)
    assert api.get(f"/files/{file['id']}").status_code == 200
    simulator.advance(20)
    assert api.get(f"/files/{file['id']}").status_code == 404

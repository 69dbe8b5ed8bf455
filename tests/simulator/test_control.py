"""The control endpoint and its counterpart in Python; several simulators at once; the end of one."""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import httpx
import pytest

from gateway.simulator import SCENES, Scene, Settings, Simulator, Switches
from gateway.simulator.records import shipped
from tests.simulator.calls import Api, until
from tests.simulator.pages import page


@pytest.fixture
def control(web: httpx.Client, simulator: Simulator) -> httpx.Client:
    web.base_url = httpx.URL(simulator.control_url)
    return web


def test_what_was_created_polled_streamed_and_canceled_is_told(
    api: Api, control: httpx.Client, simulator: Simulator
) -> None:
    headers = {"Cancel-After": "90s", "User-Agent": "me"}
    created = api.create("sim/never-ends", headers, prompt="x", max_tokens=3).json()
    for _ in range(2):
        api.get(f"/predictions/{created['id']}")
    with httpx.stream("GET", created["urls"]["stream"]) as reply:
        next(reply.iter_lines())
    api.post(f"/predictions/{created['id']}/cancel")
    told = control.get(f"/predictions/{created['id']}").json()
    assert told["input"] == {"prompt": "x", "max_tokens": 3}
    assert (told["cancel_after"], told["prefer"], told["user_agent"]) == ("90s", None, "me")
    assert told["route"] == "/v1/models/sim/never-ends/predictions"
    assert (told["polls"], told["streams"], told["cancels"], told["status"]) == (2, 1, 1, "canceled")
    assert control.get("/predictions").json() == [told]
    assert control.get("/predictions", params={"model": "sim/echo"}).json() == []
    assert simulator.prediction(created["id"]).polls == 2


def test_requests_are_noted_and_counted_by_route(api: Api, control: httpx.Client) -> None:
    api.get("/account")
    api.get("/account")
    api.get("/nothing")
    told = control.get("/requests").json()
    assert told["counts"] == {"api GET /v1/account": 2, "api GET /v1/nothing": 1}
    assert [request["status"] for request in told["requests"]] == [200, 200, 404]


def test_a_scene_is_set_over_http_for_the_next_predictions(api: Api, control: httpx.Client) -> None:
    order = {"model": "sim/echo", "scene": "fails", "times": 2, "with": {"error": "ValueError: no"}}
    assert control.post("/scenes", json=order).json()["scene"]["error"] == "ValueError: no"
    assert control.get("/scenes").json()["set"][0]["times"] == 2
    assert [api.run("sim/echo", prompt="x")["status"] for _ in range(3)] == ["failed", "failed", "succeeded"]
    control.post("/scenes", json={"scene": "fails"})
    assert api.run("sim/slow", prompt="x")["status"] == "failed"
    assert control.delete("/scenes").status_code == 204
    assert api.run("sim/echo", prompt="x")["status"] == "succeeded"


@pytest.mark.parametrize(("path", "body"), [
    ("/scenes", {"scene": "nothing"}),
    ("/scenes", {"scene": "fails", "with": {"colour": "red"}}),
    ("/scenes", {"scene": "fails", "with": {"seconds": "long"}}),
    ("/scenes", {"scenery": "fails"}),
    ("/clock", {"advance": "much"}),
    ("/limits", {"limits": "tight"}),
    ("/tokens", {"token": "r8_a", "trouble": "tired"}),
    ("/tokens", {"trouble": "refused"}),
])  # fmt: skip
def test_an_order_that_makes_no_sense_is_refused(control: httpx.Client, path: str, body: dict[str, Any]) -> None:
    assert control.post(path, json=body).status_code == 400


def test_switches_are_turned_over_http(api: Api, control: httpx.Client) -> None:
    assert control.patch("/switches", json={"web_url": False}).json()["web_url"] is False
    assert "web" not in api.create("sim/echo", prompt="x").json()["urls"]
    assert control.get("/switches").json()["web_url"] is False
    assert control.patch("/switches", json={"no_such": 1}).status_code == 400
    assert control.patch("/switches", json={"sync_timeout_code": 418}).status_code == 400


def test_clock_and_limits_are_set_over_http(control: httpx.Client, api: Api) -> None:
    before = control.get("/").json()["now"]
    assert control.post("/clock", json={"advance": 1000}).json()["now"] >= before + 1000
    control.post("/limits", json={"limits": "low-credit"})
    assert [api.create("sim/echo", prompt="x").status_code for _ in range(2)] == [201, 429]


def test_one_token_is_put_in_trouble_and_out_of_it_over_http(control: httpx.Client, api: Api) -> None:
    ill = {"authorization": "Bearer r8_ill"}
    for trouble, status in (("refused", 401), ("low-credit", 201), (None, 201)):
        assert control.post("/tokens", json={"token": "r8_ill", "trouble": trouble}).status_code == 200
        assert api.create("sim/echo", ill, prompt="x").status_code == status
    control.post("/tokens", json={"token": "r8_ill", "trouble": "refused"})
    control.post("/reset")
    assert api.create("sim/echo", ill, prompt="x").status_code == 201


def test_a_reset_forgets_everything(api: Api, control: httpx.Client, simulator: Simulator) -> None:
    simulator.scene("sim/echo", "fails")
    simulator.switch(web_url=False)
    simulator.limit("low-credit")
    api.create("sim/never-ends", prompt="x")
    assert control.post("/reset").status_code == 204
    assert simulator.predictions() == []
    assert simulator.requests() == []
    assert api.run("sim/echo", prompt="x")["status"] == "succeeded"
    assert "web" in api.create("sim/echo", prompt="x").json()["urls"]


def test_leaks_and_webhooks_are_told(api: Api, control: httpx.Client, simulator: Simulator) -> None:
    httpx.get(f"{simulator.delivery_url}/x", headers={"Authorization": "Bearer r8_x"})
    assert control.get("/leaks").json() == [{"host": "delivery", "path": "/x"}]
    assert control.get("/webhooks").json() == []


def test_every_scene_and_switch_has_its_line_in_the_docs() -> None:
    told = page("simulator.md")
    for name in (*SCENES, *Switches.__struct_fields__, *Settings.__struct_fields__, *Scene.__struct_fields__):
        assert f"`{name}`" in told, name
    for model in shipped():
        assert f"`{model.full_name}`" in told, model.full_name


async def test_a_status_can_be_waited_for(simulator: Simulator) -> None:
    async with httpx.AsyncClient(headers={"Authorization": "Bearer x"}, base_url=simulator.base_url) as client:
        await client.post("/models/sim/slow/predictions", json={"input": {"prompt": "x"}})
        assert (await simulator.reached("succeeded")).put_out == 12
        with pytest.raises(TimeoutError):
            await simulator.reached("failed", within=0.05)
    assert simulator.status_of_last() == "succeeded"


def test_several_simulators_share_nothing(started: Any) -> None:
    one, other = started(Settings()), started(Settings())
    one.create("sim/echo", prompt="x")
    one.simulator.switch(web_url=False)
    assert len(one.simulator.predictions()) == 1
    assert other.simulator.predictions() == []
    assert "web" in other.create("sim/echo", prompt="x").json()["urls"]


def test_stopping_cuts_what_runs_and_leaves_no_thread_and_no_socket(started: Any) -> None:
    before = set(threading.enumerate())
    api = started(Settings())
    url = api.create("sim/never-ends", prompt="x").json()["urls"]["stream"]
    api.simulator.scene("sim/echo", "stalled")
    stalled = threading.Thread(target=lambda: attempt(lambda: api.create("sim/echo", prompt="x")))
    stalled.start()
    with httpx.stream("GET", url) as reply:
        lines = reply.iter_lines()
        next(lines)
        begun = time.monotonic()
        api.simulator.stop()
        assert time.monotonic() - begun < 2
        attempt(lambda: list(lines))
    stalled.join()
    until(lambda: set(threading.enumerate()) <= before)
    address = api.base_url.host, api.base_url.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
    api.simulator.stop()


def attempt(action: Any) -> None:
    """Do something whose connection may break."""
    try:
        action()
    except httpx.HTTPError:
        return


def test_a_port_that_is_taken_is_said_at_once(simulator: Simulator) -> None:
    port = httpx.URL(simulator.base_url).port or 0
    with pytest.raises(OSError, match="in use"):
        Simulator(Settings(port=port)).start()


def test_a_simulator_that_does_not_run_says_so() -> None:
    with pytest.raises(RuntimeError, match="not running"):
        Simulator().predictions()


def test_the_same_seed_gives_the_same_ids(started: Any) -> None:
    ids = [started(Settings(seed=5)).create("sim/echo", prompt="x").json()["id"] for _ in range(2)]
    assert ids[0] == ids[1]


def test_nothing_of_ours_is_imported() -> None:
    code = (
        "import sys, gateway.simulator as _; names = [name.split('.') for name in sys.modules]; "
        "print([name for name in names if name[0] == 'adapters' or name[:1] == ['gateway'] and name[1:2] not in "
        "([], ['simulator'])])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_it_runs_beside_an_event_loop_of_ones_own() -> None:
    async def run() -> int:
        with Simulator() as simulator:
            async with httpx.AsyncClient(headers={"Authorization": "Bearer x"}) as client:
                return (await client.get(f"{simulator.base_url}/account")).status_code

    assert asyncio.run(run()) == 200

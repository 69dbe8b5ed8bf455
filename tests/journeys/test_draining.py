"""SIGTERM drains: running calls get their time, then an error; upstream is cancelled and the books are settled."""

import signal
import threading
from pathlib import Path

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from gateway.simulator import Simulator
from tests.journeys.test_leaving import booked, still_open, until
from tests.served import Served

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me something long"}]


def test_a_running_call_is_finished_while_no_new_one_is_taken(own_gateway: Served) -> None:
    stream = own_gateway.openai().chat.completions.create(model="sim/slow", messages=HELLO, stream=True)
    next(stream)
    own_gateway.process.send_signal(signal.SIGTERM)
    until(lambda: httpx.get(f"{own_gateway.url}/health/ready").status_code == 503)
    with pytest.raises(openai.InternalServerError) as refused:
        own_gateway.openai().chat.completions.create(model="sim/echo", messages=HELLO)
    assert (refused.value.status_code, refused.value.code) == (503, "shutting_down")
    assert [chunk.choices[0].finish_reason for chunk in stream][-1] == "stop"
    assert own_gateway.process.wait(10) == 0


def test_a_call_that_takes_too_long_gets_an_error_frame_and_is_cancelled(
    tmp_path: Path, own_simulator: Simulator
) -> None:
    with Served(tmp_path, own_simulator.base_url, "[server]\ndrain_seconds = 0.2\n") as gateway:
        stream = gateway.openai().chat.completions.create(model="sim/never-ends", messages=HELLO, stream=True)
        next(stream)
        threading.Timer(0.05, gateway.process.send_signal, (signal.SIGTERM,)).start()
        with pytest.raises(openai.APIError) as failure:
            list(stream)
        assert failure.value.code == "shutting_down"
        assert gateway.process.wait(10) == 0
        assert own_simulator.last().status == "canceled"
        assert (still_open(gateway), booked(gateway)) == (0, 1)


def test_changed_settings_are_read_whole_or_not_at_all(own_gateway: Served) -> None:
    client = own_gateway.openai()
    own_gateway.config.write_text('[models."mine"]\nmodel = "sim/echo"\n')
    own_gateway.process.send_signal(signal.SIGHUP)
    until(lambda: [card.id for card in client.models.list()] == ["mine"])
    own_gateway.config.write_text('[models."other"]\nmodle = "sim/echo"\n')
    own_gateway.process.send_signal(signal.SIGHUP)
    until(lambda: "modle" in own_gateway.output)
    assert "did you mean 'model'" in own_gateway.output
    assert [card.id for card in client.models.list()] == ["mine"]


def test_a_second_sigterm_stops_at_once_and_the_next_start_settles(
    own_gateway: Served, own_simulator: Simulator
) -> None:
    stream = own_gateway.openai().chat.completions.create(model="sim/never-ends", messages=HELLO, stream=True)
    next(stream)
    own_gateway.process.send_signal(signal.SIGTERM)
    until(lambda: httpx.get(f"{own_gateway.url}/health/ready").status_code == 503)
    own_gateway.process.send_signal(signal.SIGTERM)
    own_gateway.process.wait(3)
    own_gateway.ended()
    stream.close()
    assert "Traceback" not in own_gateway.output
    own_gateway.start()
    until(lambda: own_simulator.last().status == "canceled")
    until(lambda: (still_open(own_gateway), booked(own_gateway)) == (0, 1))

"""`serve --workers`: several processes behind one address, each that dies has a successor, all stop together."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from gateway.config import ConfigError
from gateway.serve import run
from gateway.simulator import Simulator
from tests.journeys.test_leaving import until
from tests.replicas.shared import Redis, Replica, settled, still_open

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Tell me something long"}]
SOON = 30.0


@pytest.fixture
def served(tmp_path: Path, own_simulator: Simulator, books: str, own_store: Redis) -> Iterator[Replica]:
    with Replica(tmp_path, own_simulator.base_url, books, own_store.url, options=("--workers", "2")) as running:
        yield running


def workers(of: Replica) -> list[int]:
    """The process ids of its workers."""
    children = Path(f"/proc/{of.process.pid}/task/{of.process.pid}/children").read_text().split()
    return [int(pid) for pid in children if "--multiprocessing-fork" in Path(f"/proc/{pid}/cmdline").read_text()]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def replicas(of: Replica) -> int:
    return int(httpx.get(f"{of.url}/health/ready", timeout=30).json()["replicas"])


def test_several_workers_without_what_they_must_share_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"--workers: .* Set state\.database to a postgresql:// URL and shared\.redis"
    ):
        run(None, {"REPLIGATE_DATA_DIR": str(tmp_path)}, 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_worker_that_dies_has_a_successor_and_its_call_is_booked_once(
    served: Replica, own_simulator: Simulator, books: str
) -> None:
    until(lambda: replicas(served) == 2, SOON)
    streams = [
        served.openai().chat.completions.create(model="sim/never-ends", messages=HELLO, stream=True) for _ in range(4)
    ]
    listening = [threading.Thread(target=_drained, args=(stream,)) for stream in streams]
    for thread in listening:
        thread.start()
    until(lambda: len(own_simulator.predictions()) == 4, SOON)
    before = workers(served)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    for thread in listening:
        thread.join(20)
    until(lambda: len(set(workers(served)) - set(before)) == 2, SOON)
    served.openai(max_retries=2).chat.completions.create(model="sim/echo", messages=HELLO)
    until(lambda: still_open(books) == 0, SOON)
    lines = settled(books)
    assert {line["prediction"] for line in lines} == {seen.id for seen in own_simulator.predictions()}
    assert len(lines) == 5
    assert served.process.poll() is None


def _drained(stream: openai.Stream[object]) -> None:
    with contextlib.suppress(openai.APIError, httpx.HTTPError):
        list(stream)


@pytest.mark.slow
def test_signals_reach_all_and_a_running_call_is_finished(served: Replica, own_simulator: Simulator) -> None:
    pids = workers(served)
    assert len(pids) == 2
    served.config.write_text('[models."mine"]\nmodel = "sim/echo"\n')
    served.process.send_signal(signal.SIGHUP)
    until(lambda: served.output.count("settings reloaded") == 2, SOON)
    stream = served.openai().chat.completions.create(model="sim/slow", messages=HELLO, stream=True, max_tokens=20)
    next(stream)
    served.process.send_signal(signal.SIGTERM)
    assert [chunk.choices[0].finish_reason for chunk in stream if chunk.choices][-1] in {"stop", "length"}
    assert served.process.wait(20) == 0
    assert not any(map(alive, pids))


@pytest.mark.slow
def test_workers_do_not_outlive_the_process_that_was_started(served: Replica) -> None:
    pids = workers(served)
    served.kill()
    until(lambda: not any(map(alive, pids)), SOON)

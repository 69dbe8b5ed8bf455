"""`python -m gateway simulate`: what it says, what it takes, how it ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gateway.simulator import Simulator
from tests.simulator.calls import Api
from tests.simulator.pages import DOCS

COMMAND = [sys.executable, "-u", "-m", "gateway", "simulate"]
TOKEN = {"Authorization": "Bearer r8_x"}


@contextmanager
def simulating(*options: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The command, running, and the lines it said."""
    with subprocess.Popen(
        [*COMMAND, *options], cwd=DOCS.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, [process.stdout.readline() for _ in range(4)]
        process.kill()


def address(said: list[str]) -> str:
    """Where the API is."""
    return re.findall(r"http://[\w.:]+/v1", said[0])[0]


def refused(*options: str) -> str:
    """What the command says before it gives up."""
    ended = subprocess.run([*COMMAND, *options], cwd=DOCS.parent, capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stdout) == (1, "")
    return ended.stderr


def test_what_it_prints_makes_the_official_client_find_it() -> None:
    code = 'import replicate; print("".join(replicate.run("sim/echo", input={"prompt": "hello there"})))'
    with simulating("--port", "0") as (_, said):
        given = dict(re.findall(r"(REPLICATE_API_TOKEN|REPLICATE_BASE_URL)=(\S+)", "".join(said)))
        run = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | given, capture_output=True, text=True, timeout=30
        )
    assert run.stdout == "hello there\n", run.stderr
    assert set(given) == {"REPLICATE_API_TOKEN", "REPLICATE_BASE_URL"}


@pytest.mark.parametrize(("interrupt", "codes"), [(signal.SIGINT, {0}), (signal.SIGTERM, {0, -signal.SIGTERM})])
def test_an_interrupt_ends_it_at_once_and_without_a_word(interrupt: signal.Signals, codes: set[int]) -> None:
    with simulating("--port", "0") as (process, said):
        created = httpx.post(
            f"{address(said)}/models/sim/never-ends/predictions", json={"input": {"prompt": "x"}}, headers=TOKEN
        ).json()
        with httpx.stream("GET", created["urls"]["stream"]) as stream:
            assert next(stream.iter_lines()) == ": hi"
            began = time.monotonic()
            process.send_signal(interrupt)
            _, complaints = process.communicate(timeout=10)
    assert (process.returncode in codes, complaints) == (True, "")
    assert time.monotonic() - began < 3


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert refused("--port", str(port)) == f"Error: 127.0.0.1:{port}: Address already in use\n"


def test_an_address_that_is_not_here_is_said_in_one_line() -> None:
    said = refused("--host", "nowhere.invalid")
    assert re.fullmatch(r"Error: nowhere\.invalid:0: .+\n", said), said


@pytest.mark.parametrize("record", ['{"owner": "x"}', "[1]", "{", '{"owner": "x", "name": "y", "latest_version": 3}'])
def test_a_record_that_is_none_is_named_in_one_line(tmp_path: Path, record: str) -> None:
    (tmp_path / "broken.json").write_text(record)
    said = refused("--port", "0", "--models", str(tmp_path))
    assert said.startswith("Error: broken.json is no model record")
    assert len(said.splitlines()) == 1


def test_text_comes_at_the_pace_asked_for() -> None:
    with simulating("--port", "0", "--pace", "50") as (_, said):
        url = f"{address(said)}/models/meta/meta-llama-3-8b-instruct/predictions"
        began = time.monotonic()
        made = httpx.post(
            url, json={"input": {"prompt": "x", "max_tokens": 25}}, headers=TOKEN | {"Prefer": "wait"}
        ).json()
    assert len(made["output"]) == 26
    assert 0.5 < time.monotonic() - began < 1.5


def test_records_are_taken_as_the_api_gives_them_one_by_one_or_by_the_page(
    api: Api, simulator: Simulator, tmp_path: Path
) -> None:
    one = api.get("/models/sim/echo").json() | {"owner": "mine"}
    page = api.get("/models").json()
    page["results"] = [model | {"owner": "theirs"} for model in page["results"][:3]]
    (tmp_path / "one.json").write_text(json.dumps(one))
    (tmp_path / "page.json").write_text(json.dumps(page))
    with simulating("--port", "0", "--models", str(tmp_path)) as (_, said):
        base = address(said)
        for model in (one, *page["results"]):
            shown = httpx.get(f"{base}/models/{model['owner']}/{model['name']}", headers=TOKEN).json()
            assert shown["latest_version"] == model["latest_version"]
            assert shown["run_count"] == model["run_count"]
        body = {"version": "mine/echo", "input": {"prompt": "hello"}}
        made = httpx.post(f"{base}/predictions", json=body, headers=TOKEN | {"Prefer": "wait"}).json()
    assert "".join(made["output"]).startswith('You said: "hello"')

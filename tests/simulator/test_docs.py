"""The page about the simulator does what it says."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.simulator.pages import DOCS, page

EXAMPLE = re.compile(r"<!-- example: (\w+) -->\n```\w+\n(.*?)```", re.DOTALL)


def example(name: str) -> str:
    return dict(EXAMPLE.findall(page("simulator.md")))[name]


def test_the_pytest_example_passes_as_it_is_printed(tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(example("pytest"), "utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n0",
        "-p",
        "gateway.simulator.pytest_plugin",
        "-p",
        "no:randomly",
    ]
    options = ["-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", "/dev/null", "test_app.py"]
    environment = {"PYTHONPATH": str(DOCS.parent), "PATH": ""}
    run = subprocess.run(
        [*command, *options], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "2 passed" in run.stdout


@pytest.fixture
def foreground() -> Iterator[str]:
    """The simulator as the command line runs it, with its address."""
    command = [sys.executable, "-u", "-m", "gateway", "simulate", "--port", "0"]
    with subprocess.Popen(command, cwd=DOCS.parent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield re.findall(r"http://[\w.:]+", line)[0]
        process.terminate()
        process.wait(5)


def test_the_first_examples_get_answers(foreground: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("NOT SHOWN: curl is not here")
    answered, greeted = (
        subprocess.run(
            example(name).replace("http://127.0.0.1:8801", foreground).replace("python -c", f"{sys.executable} -c"),
            shell=True,
            capture_output=True,
            text=True,
        )
        for name in ("curl", "client")
    )
    assert "".join(json.loads(answered.stdout)["output"]).startswith('You asked: "What is a heron?"')
    assert greeted.stdout == "hello\n", greeted.stderr


def test_the_shell_example_makes_the_next_prediction_fail(foreground: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("NOT SHOWN: curl is not here")
    subprocess.run(example("shell").replace("http://127.0.0.1:8801", foreground), shell=True, check=True)
    with httpx.Client(base_url=f"{foreground}/v1", headers={"Authorization": "Bearer x"}) as client:
        outcomes = []
        for _ in range(2):
            created = client.post("/models/sim/echo/predictions", json={"input": {"prompt": "x"}}).json()
            ended = created
            while ended["status"] in ("starting", "processing"):
                time.sleep(0.005)
                ended = client.get(f"/predictions/{created['id']}").json()
            outcomes.append(ended["status"])
    assert outcomes == ["failed", "succeeded"]

"""What the README says to a stranger, done in a fresh clone: one command, and the curl line it prints works."""

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not all(map(shutil.which, ("make", "git", "curl"))), reason="make, git or curl is not here"),
]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that git knows, as they are now, and nothing else."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / "repligate" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tmp_path / "repligate" / name)
    return tmp_path / "repligate"


@pytest.fixture
def served(clone: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """`make serve` and the lines it has printed, once the curl line is among them."""
    ours = ("REPLI", "OPENAI_", "VIRTUAL_ENV", "PYTHON", "MAKE", "MFLAGS")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    process = subprocess.Popen(
        ["make", "serve", "ARGS=--port 0"],
        cwd=clone,
        env=environ,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    lines: list[str] = []
    ready = threading.Event()

    def read() -> None:
        assert process.stdout
        for line in process.stdout:
            lines.append(line)
            if line.lstrip().startswith("-d "):
                ready.set()
        ready.set()

    reader = threading.Thread(target=read)
    reader.start()
    ready.wait(300)
    yield process, lines
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    reader.join()
    if process.stdout:
        process.stdout.close()


def test_one_command_and_the_curl_it_prints(clone: Path, served: tuple[subprocess.Popen[str], list[str]]) -> None:
    process, lines = served
    said = "".join(lines)
    assert process.poll() is None, said
    assert [line.split()[0] for line in lines if line.startswith((".venv", "python"))]
    curl = re.search(r"^ *(curl (?:.*\\\n)+.*)", said, re.MULTILINE)
    assert curl, said
    answer = subprocess.run(curl[1], shell=True, capture_output=True, text=True, timeout=30)
    assert '"chat.completion"' in answer.stdout, answer.stdout + answer.stderr
    assert (clone / "data" / "repligate.db").exists()
    os.killpg(process.pid, signal.SIGINT)
    process.wait(30)
    assert "Traceback" not in "".join(lines)

"""The environments that other people's clients need, made once, and how a program runs against the gateway."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.served import ROOT, Served

NODE = Path(__file__).parent / "node"
Run = Callable[..., str]


@pytest.fixture
def run(gateway: Served, tmp_path: Path) -> Run:
    """Runs a command in an empty folder, with the gateway's address and key in its environment; what it printed."""

    def run(*command: str | Path) -> str:
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "REPLI", "PYTHON"))
        }
        environ = {**clean, "OPENAI_BASE_URL": gateway.base_url, "OPENAI_API_KEY": gateway.key}
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def python() -> str:
    """The interpreter of these tests, which has OpenAI's client."""
    return sys.executable


@pytest.fixture(scope="session")
def clients_python() -> Path:
    """The interpreter that has LangChain and LlamaIndex; `make test` makes it."""
    python = ROOT / ".venv-clients" / "bin" / "python"
    stamp = ROOT / ".venv-clients" / "requirements.stamp"
    if not stamp.exists():
        told = "LangChain and LlamaIndex are not installed here: run `make .venv-clients/requirements.stamp`"
        if os.environ.get("CI"):
            pytest.fail(told)
        pytest.skip(told)
    return python


@pytest.fixture(scope="session")
def node() -> str:
    """Node, with the packages of package-lock.json beside it; installed once, by whichever test process comes first."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip(
            "there is no node or no npm here: what OpenAI's Node client and the AI SDK make of us is not tested"
        )
    digest = hashlib.sha256((NODE / "package-lock.json").read_bytes()).hexdigest()
    stamp = NODE / "node_modules" / ".lock-digest"
    with (NODE / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text("utf-8") != digest:
            subprocess.run([npm, "ci", "--silent"], cwd=NODE, check=True, stdout=subprocess.PIPE, timeout=300)
            stamp.write_text(digest, "utf-8")
    return node


@pytest.fixture
def beside_packages(tmp_path: Path) -> Callable[[Path], Path]:
    """Copies a Node program to where it finds its packages, as it would in a project of its own."""

    def beside(program: Path) -> Path:
        (tmp_path / "node_modules").symlink_to(NODE / "node_modules")
        return Path(shutil.copy(program, tmp_path))

    return beside

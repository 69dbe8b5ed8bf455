"""`make` from nothing but Python: which interpreter it takes, and what it says where none will do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(not MAKE, reason="there is no make here, which is all these tests are about")

OLD = "import sys; sys.version_info = (3, 9, 2, 'final', 0)"
NO_VENV = "import sys; sys.modules['ensurepip'] = None"
VERSION = ".".join(map(str, sys.version_info[:2]))


class Machine:
    """A checkout, and a PATH with make and such interpreters as a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.bin = folder / "checkout", folder / "bin"
        self.checkout.mkdir()
        self.bin.mkdir()
        for name in ("Makefile", "requirements.lock"):
            shutil.copy(ROOT / name, self.checkout)
        # Nothing to install: these tests are about what comes before.
        (self.checkout / "requirements.lock").write_text("# nothing\n", "utf-8")
        for tool in ("make", "sh", "sed", "touch", "rm"):
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)

    def python(self, name: str, flaw: str = "") -> None:
        """This very interpreter by another name, with a flaw."""
        flaws = self.bin / f"{name}.flaws"
        flaws.mkdir()
        (flaws / "sitecustomize.py").write_text(flaw, "utf-8")
        told = 'case "$1" in -V) echo Python 3.9.2; exit;; esac\n' if flaw == OLD else ""
        base = Path(sys.base_prefix) / "bin" / f"python{VERSION}"
        (self.bin / name).write_text(f'#!/bin/sh\n{told}PYTHONPATH="{flaws}" exec "{base}" "$@"\n', "utf-8")
        (self.bin / name).chmod(0o755)

    def make(self, *words: str) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": str(self.bin), "HOME": str(self.bin)}
        return subprocess.run(
            ["make", *words],
            cwd=self.checkout,
            env=environ,
            capture_output=True,
            text=True,
            executable=self.bin / "make",
        )

    def refusal(self, *words: str) -> str:
        """The one sentence on stderr; make's own line about the failed target follows it."""
        done = self.make(*words)
        assert done.returncode != 0
        said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
        assert len(said) == 1, done.stderr
        assert not (self.checkout / ".venv").exists()
        return said[0]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_any_python_one_sentence_says_what_to_install(machine: Machine) -> None:
    said = machine.refusal("serve")
    assert "needs Python 3.11 or newer and found no python3" in said
    assert "make PYTHON=python3.13 serve" in said


def test_an_old_python_is_told_by_its_version(machine: Machine) -> None:
    machine.python("python3", OLD)
    assert "needs Python 3.11 or newer and found Python 3.9.2" in machine.refusal("serve")


def test_a_python_without_venv_is_told_which_package_brings_it(machine: Machine) -> None:
    machine.python("python3", NO_VENV)
    said = machine.refusal("serve")
    assert "python3 has no venv module" in said
    assert f"apt install python{VERSION}-venv" in said
    assert "run make serve again" in said


def test_an_interpreter_that_was_named_is_the_one_that_is_judged(machine: Machine) -> None:
    machine.python("python3")
    machine.python("ancient", OLD)
    assert "found Python 3.9.2" in machine.refusal("serve", "PYTHON=ancient")


def test_an_interpreter_that_was_named_and_is_not_there_is_told_so(machine: Machine) -> None:
    machine.python("python3")
    assert "found no python4" in machine.refusal("serve", "PYTHON=python4")


def test_the_newest_that_can_make_an_environment_is_taken(machine: Machine) -> None:
    machine.python("python3.13", NO_VENV)
    machine.python("python3.12", OLD)
    machine.python("python3.11")
    machine.python("python3", OLD)
    assert "python3.11 -m venv --clear .venv" in machine.make("-n", "serve").stdout


def test_serve_prints_the_plain_commands(machine: Machine) -> None:
    machine.python("python3")
    printed = machine.make("-n", "serve", "ARGS=--port 9000").stdout.splitlines()
    plain = [line for line in printed if line.startswith((".venv", "python3 -m"))]
    assert plain == [
        "python3 -m venv --clear .venv",
        ".venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock",
        ".venv/bin/python -m gateway serve --port 9000",
    ]


def test_an_environment_is_made_once_and_again_when_the_lock_changes(machine: Machine) -> None:
    machine.python("python3")
    stamp = ".venv/requirements.stamp"
    first = machine.make(stamp)
    assert "-m venv" in first.stdout, first.stderr
    assert "up to date" in machine.make(stamp).stdout
    later = (machine.checkout / stamp).stat().st_mtime + 10
    os.utime(machine.checkout / "requirements.lock", (later, later))
    again = machine.make("-n", stamp).stdout
    assert "pip install" in again
    assert "-m venv" not in again


def test_a_half_made_environment_is_made_anew(machine: Machine) -> None:
    machine.python("python3")
    (machine.checkout / ".venv" / "bin").mkdir(parents=True)
    (machine.checkout / ".venv" / "bin" / "python").symlink_to("gone")
    assert "-m venv --clear .venv" in machine.make("-n", "serve").stdout


def test_make_alone_says_what_it_can_do(machine: Machine) -> None:
    said = machine.make().stdout
    assert all(f"make {target} " in said for target in ("serve", "test", "lint", "lock", "clean"))

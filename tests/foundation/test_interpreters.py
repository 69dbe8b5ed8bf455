"""Every Python that is here: those we support read our code, old and bare ones are told what to do in one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import interpreters

ROOT = Path(__file__).resolve().parents[2]
OTHERS = interpreters.others()
BARE = """
import runpy, sys
sys.path[:] = ["."] + [each for each in sys.path if "site-packages" not in each]
sys.argv = ["gateway", "keys", "create", "a b"]
"""
COMPILE = """
import pathlib
for folder in ("adapters", "gateway", "examples", "tests"):
    for file in pathlib.Path(folder).rglob("*.py"):
        compile(file.read_bytes(), str(file), "exec")
"""


def python(interpreter: str | Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([interpreter, "-I", "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("version", interpreters.SUPPORTED)
def test_every_supported_python_reads_the_code(version: str) -> None:
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version != own and version not in OTHERS:
        pytest.skip(f"there is no Python {version} here")
    done = python(sys.executable if version == own else OTHERS[version], COMPILE)
    assert done.returncode == 0, done.stderr


def test_an_old_python_is_turned_away_in_one_sentence() -> None:
    done = python(
        sys.executable, BARE + "sys.version_info = (3, 10, 4); runpy.run_module('gateway', run_name='__main__')"
    )
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert "needs Python 3.11 or newer" in said
    assert "`make serve`" in said


def test_a_really_old_python_can_read_what_turns_it_away() -> None:
    old = next(
        (found for version in ("3.6", "3.7", "3.8", "3.9", "3.10") for found in interpreters.working(version)), None
    )
    if old is None:
        pytest.skip("there is no Python older than 3.11 here")
    done = subprocess.run([old, "-m", "gateway", "serve"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert "needs Python 3.11 or newer" in said


def test_a_python_without_our_packages_is_given_the_command(tmp_path: Path) -> None:
    (tmp_path / "gateway").symlink_to(ROOT / "gateway")
    code = BARE + "runpy.run_module('gateway', run_name='__main__')"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert "The package 'click' is not installed for this Python" in said
    assert ".venv/bin/python -m gateway keys create 'a b'`" in said


def test_a_fault_of_our_own_is_not_taken_for_a_missing_package() -> None:
    code = BARE.replace("site-packages", "no such folder") + (
        "sys.modules['gateway.config'] = None; runpy.run_module('gateway', run_name='__main__')"
    )
    done = python(sys.executable, code)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "gateway.config" in done.stderr

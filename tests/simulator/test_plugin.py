"""A project that installs the wheel has the fixture in its tests, and nothing else of ours."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import gateway.simulator

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("hatchling", reason="hatchling is not installed here: `make test` brings it")

TEST = """
import replicate


def test_the_fixture_is_there(replicate_simulator):
    assert "".join(replicate.run("sim/echo", input={"prompt": "hello"})) == "hello"
    assert len(replicate_simulator.predictions()) == 1


def test_each_test_begins_anew(replicate_simulator):
    assert replicate_simulator.predictions() == []
"""
LOADED = """
import sys


def test_nobody_pays_who_does_not_ask():
    assert "gateway.simulator.pytest_plugin" in sys.modules
    assert not {"litestar", "uvicorn", "PIL", "gateway.simulator.server"} & set(sys.modules)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own with the wheel in it, which takes all other packages from this one."""
    folder = tmp_path_factory.mktemp("project")
    ran(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    ran(sys.executable, "-m", "venv", "--without-pip", str(folder / "venv"))
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    site = Path(ran(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (wheel,) = folder.glob("*.whl")
    ran(sys.executable, "-m", "zipfile", "-e", str(wheel), str(site))
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return python


def ran(*command: str, cwd: Path | None = None) -> str:
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def judged(python: Path, folder: Path, *options: str) -> str:
    """What pytest says of the tests in a folder, our own sources being out of sight."""
    return ran(str(python), "-P", "-m", "pytest", "-p", "no:cacheprovider", *options, str(folder), cwd=folder)


def test_whatever_the_package_offers_can_be_had_and_nothing_else() -> None:
    for name in gateway.simulator.__all__:
        assert getattr(gateway.simulator, name)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = gateway.simulator.nothing


@pytest.mark.slow
def test_who_installs_the_wheel_has_the_fixture(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(TEST)
    assert "2 passed" in judged(installed, tmp_path, "-n0", "-p", "no:randomly")
    assert "2 passed" in judged(installed, tmp_path, "-n2")
    assert (
        "forgotten earlier tests"
        in judged(installed, tmp_path, "--fixtures", "-n0").partition("\nreplicate_simulator")[2]
    )


@pytest.mark.slow
def test_who_does_not_use_it_does_not_pay_for_it(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_app.py").write_text(LOADED)
    assert "1 passed" in judged(installed, tmp_path, "-n0")


@pytest.mark.slow
def test_installed_it_does_not_clash_with_our_own_tests(installed: Path) -> None:
    """Ours bring a fixture `simulator` of their own, and load the plugin from the sources."""
    chosen = ["tests/simulator/test_limits.py", "tests/simulator/test_docs.py", "-k", "little_credit or pytest_example"]
    said = ran(str(installed), "-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", *chosen, cwd=ROOT)
    assert "2 passed" in said

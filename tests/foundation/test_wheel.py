"""The wheel holds both packages with their data, the command and the license, and nothing else."""

import email
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import gateway

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("hatchling", reason="hatchling is not installed here: `make test` brings it")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("*.whl")
    return zipfile.Path(file)


def test_it_holds_the_packages_with_their_data_and_nothing_else(wheel: zipfile.Path) -> None:
    names = {each.name for each in wheel.iterdir()}
    about = f"repligate-{gateway.__version__}.dist-info"
    assert names == {"adapters", "gateway", about}
    assert (wheel / "gateway" / "accounts" / "prices.toml").exists()
    assert any(each.name.endswith(".json") for each in (wheel / "gateway" / "simulator" / "samples").iterdir())


def test_it_says_its_version_its_command_and_its_license(wheel: zipfile.Path) -> None:
    about = wheel / f"repligate-{gateway.__version__}.dist-info"
    told = email.message_from_string((about / "METADATA").read_text("utf-8"))
    assert told["Version"] == gateway.__version__
    assert told["License-Expression"] == "MIT"
    assert told["Requires-Python"] == ">=3.11"
    assert set(told.get_all("Provides-Extra", [])) == {"redis", "postgres", "otel", "all"}
    assert "repligate = gateway.cli:main" in (about / "entry_points.txt").read_text("utf-8")
    assert (about / "licenses" / "LICENSE").exists()

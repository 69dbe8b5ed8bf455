"""What no file of this project may hold: hosts of package registries, paths of a machine, secrets, too many bytes."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# One letter of each stands in brackets, or this file would find itself.
REGISTRIES = re.compile(r"pypi[.]org|pythonhosted[.]org|registry[.]npmjs|registry[.]yarnpkg|npm[m]irror")
MACHINE = re.compile(r"/[w]ork/|/[r]oot/|/[h]ome/[a-z]+/|/[U]sers/[a-z]+/|/[t]mp/w/")
SECRETS = re.compile(r"\br8_(?!sim)[A-Za-z0-9]{37}|\bsk-[A-Za-z0-9_-]{40,}|-----BEGIN [A-Z ]*PRIVATE KEY")


def tracked() -> list[Path]:
    """The files that git knows."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def holding(pattern: re.Pattern[str]) -> list[str]:
    """`file:line` of each match."""
    found = []
    for file in tracked():
        text = file.read_bytes().decode("utf-8", "replace")
        found += [
            f"{file.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}" for match in pattern.finditer(text)
        ]
    return found


def test_no_file_names_a_package_registry() -> None:
    assert holding(REGISTRIES) == []


def test_no_file_names_a_path_of_a_machine() -> None:
    assert holding(MACHINE) == []


def test_no_file_holds_a_secret() -> None:
    assert holding(SECRETS) == []


def test_no_lock_names_a_host() -> None:
    locks = [file for file in tracked() if file.suffix == ".lock" or file.name == "package-lock.json"]
    assert len(locks) >= 4
    assert [file.name for file in locks if "://" in file.read_text("utf-8")] == []


def test_every_package_in_the_node_lock_has_its_hash_and_no_address() -> None:
    lock = json.loads((ROOT / "tests/clients/node/package-lock.json").read_text("utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if not package.get("integrity", "").startswith("sha512-")] == []


def test_no_file_is_larger_than_a_megabyte() -> None:
    assert [str(file.relative_to(ROOT)) for file in tracked() if file.stat().st_size > 1_000_000] == []

"""The lock files are current, hashed and name no host; and the check that says so can fail."""

import shutil
from pathlib import Path

import pytest

from tests import locks


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the check reads."""
    for name in ("pyproject.toml", *locks.LOCKS):
        shutil.copy(locks.ROOT / name, tmp_path)
    return tmp_path


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")


def test_the_locks_of_this_project_are_current() -> None:
    assert list(locks.faults()) == []


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        ('"click>=8.3,<9"', '"click>=8.2,<9"', ["requirements.lock", "requirements-all.lock", "requirements-dev.lock"]),
        ('"redis>=8,<9"', '"redis>=7,<9"', ["requirements-all.lock", "requirements-dev.lock"]),
        ('"hypothesis>=6.170"', '"hypothesis>=6.171"', ["requirements-dev.lock"]),
        ('"langchain-openai>=1,<2"', '"langchain-openai>=1.1,<2"', ["requirements-clients.lock"]),
        ('requires-python = ">=3.11"', 'requires-python = ">=3.12"', list(locks.LOCKS)),
        ('"Framework :: AsyncIO"', '"Framework :: Other"', []),
    ],
)
def test_a_changed_requirement_makes_its_locks_stale(project: Path, old: str, new: str, stale: list[str]) -> None:
    edit(project / "pyproject.toml", old, new)
    faults = list(locks.faults(project))
    assert [fault.split()[0] for fault in faults] == stale
    assert all("run `make lock`" in fault for fault in faults)


def test_a_stamp_without_new_locks_is_found_out(project: Path) -> None:
    edit(project / "pyproject.toml", '"click>=8.3,<9",', '"click>=8.3,<9",\n    "falcon>=4",')
    locks.stamp(project)
    assert [fault.split(":")[0] for fault in locks.faults(project)] == [
        "requirements.lock lacks falcon",
        "requirements-all.lock lacks falcon",
        "requirements-dev.lock lacks falcon",
    ]


def test_stamping_twice_is_stamping_once(project: Path) -> None:
    locks.stamp(project)
    once = (project / "requirements.lock").read_text("utf-8")
    locks.stamp(project)
    assert (
        (project / "requirements.lock").read_text("utf-8")
        == once
        == (locks.ROOT / "requirements.lock").read_text("utf-8")
    )


def test_a_host_in_a_lock_is_a_fault(project: Path) -> None:
    with (project / "requirements.lock").open("a") as lock:
        lock.write("--index-url https://packages.example/simple\n")
    assert "requirements.lock names a host" in locks.faults(project)


def test_a_requirement_without_a_hash_is_a_fault(project: Path) -> None:
    with (project / "requirements-clients.lock").open("a") as lock:
        lock.write("falcon==4.0.0\n")
    assert "requirements-clients.lock has no hash for falcon" in locks.faults(project)


def test_tests_run_on_the_versions_that_serve(project: Path) -> None:
    version = dict(locks.pins((project / "requirements.lock").read_text("utf-8")))["click"]
    edit(project / "requirements-dev.lock", f"click=={version}", "click==8.3.0")
    assert any("requirements-dev.lock has not the click" in fault for fault in locks.faults(project))

"""Lock files: says which part of pyproject.toml each was made from, and whether it still is.

    python tests/locks.py stamp     write into each lock the digest of what it was made from
    python tests/locks.py check     exit 1, with one sentence per fault, unless all are current

Needs no network: a lock is current when its first line carries the digest of today's requirements.
"""

import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {
    "requirements.lock": ("requires-python", "dependencies"),
    "requirements-all.lock": ("requires-python", "dependencies", "optional-dependencies"),
    "requirements-dev.lock": ("requires-python", "dependencies", "optional-dependencies", "dev"),
    "requirements-clients.lock": ("requires-python", "clients"),
    "requirements-peers.lock": ("requires-python", "peers"),
}
WITH_CORE = ("requirements-all.lock", "requirements-dev.lock")
"""Locks whose versions of the core are those that serve."""
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>\S+)(?P<rest>.*)$", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def requirements(pyproject: Path) -> dict[str, Any]:
    """What pyproject.toml requires, by the names that LOCKS uses."""
    document = tomllib.loads(pyproject.read_text("utf-8"))
    return {**document["dependency-groups"], **document["project"]}


def heading(required: dict[str, Any], parts: tuple[str, ...]) -> str:
    """The first line of a lock made from these parts."""
    text = json.dumps({part: required[part] for part in parts}, sort_keys=True)
    return f"# Made by `make lock` from pyproject.toml as of {hashlib.sha256(text.encode()).hexdigest()}\n"


def stamp(root: Path = ROOT) -> None:
    """Puts today's heading over each lock."""
    required = requirements(root / "pyproject.toml")
    for name, parts in LOCKS.items():
        lock = root / name
        body = re.sub(r"\A# Made by .*\n", "", lock.read_text("utf-8"))
        lock.write_text(heading(required, parts) + body, "utf-8")


def faults(root: Path = ROOT) -> Iterator[str]:
    """What is wrong with the locks, one sentence each."""
    required = requirements(root / "pyproject.toml")
    core = dict(pins((root / "requirements.lock").read_text("utf-8")))
    for name, parts in LOCKS.items():
        text = (root / name).read_text("utf-8")
        if not text.startswith(heading(required, parts)):
            yield f"{name} was made from other requirements than pyproject.toml has now: run `make lock`"
        if "://" in text:
            yield f"{name} names a host"
        pinned = dict(pins(text))
        yield from (f"{name} has no hash for {each}" for each in unhashed(text))
        yield from (f"{name} lacks {each}: run `make lock`" for each in direct(required, parts) - pinned.keys())
        if name in WITH_CORE:
            differing = (each for each in core if pinned.get(each) != core[each])
            yield from (f"{name} has not the {each} that requirements.lock has: run `make lock`" for each in differing)


def pins(lock: str) -> Iterator[tuple[str, str]]:
    """Name and version of each requirement; one that differs by Python version comes more than once."""
    for pin in _PIN.finditer(lock):
        yield normal(pin["name"]), pin["version"]


def unhashed(lock: str) -> Iterator[str]:
    """Requirements without a sha256."""
    starts = [pin.start() for pin in _PIN.finditer(lock)]
    for start, end in zip(starts, [*starts[1:], len(lock)], strict=True):
        if "--hash=sha256:" not in lock[start:end]:
            yield lock[start:].split("==", 1)[0]


def direct(required: dict[str, Any], parts: tuple[str, ...]) -> set[str]:
    """The names that pyproject.toml itself requires in these parts."""
    listed: list[str] = []
    for part in set(parts) - {"requires-python"}:
        value = required[part]
        listed += [each for group in value.values() for each in group] if isinstance(value, dict) else value
    return {normal(match[0]) for each in listed if (match := _NAME.match(each))} - {required["name"]}


def normal(name: str) -> str:
    """The one spelling of a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main(verb: str) -> int:
    if verb == "stamp":
        stamp()
        return 0
    wrong = list(faults())
    print("\n".join(wrong) or "The lock files are current.")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "check"))

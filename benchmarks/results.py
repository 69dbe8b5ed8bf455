"""What was measured, as it is kept: every figure of every round, and what failed."""

import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct, field

from benchmarks.stats import Figure

KEPT = Path(__file__).resolve().parent / "kept"


class Results(Struct):
    """Scenario → peer → figure by name; why a peer failed; the seconds it took, and those that its load was to last."""

    when: str = ""
    machine: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    figures: dict[str, dict[str, dict[str, Figure]]] = field(default_factory=dict)
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    loads: dict[str, float] = field(default_factory=dict)
    apart: dict[str, str] = field(default_factory=dict)

    def get(self, scenario: str, peer: str, figure: str) -> Figure:
        """Raises KeyError."""
        return self.figures[scenario][peer][figure]

    def failure(self, scenario: str, peer: str, why: str) -> None:
        self.failed.setdefault(scenario, {})[peer] = why

    def took(self, scenario: str, began: float, load: float = 0.0) -> None:
        """So long until now, of which its load was to last so long."""
        self.seconds[scenario] = self.seconds.get(scenario, 0.0) + time.monotonic() - began
        self.loads[scenario] = self.loads.get(scenario, 0.0) + load

    def joined(self, other: "Results") -> None:
        """The other's scenarios with these, in place of those of the same names; they were measured apart."""
        self.figures |= other.figures
        self.apart |= dict.fromkeys(other.figures, other.when)
        for scenario in other.figures:
            self.failed.pop(scenario, None)
        self.failed |= other.failed


def anew(versions: dict[str, str]) -> Results:
    """Results without a figure yet, of this machine and this day."""
    cores = len(os.sched_getaffinity(0))
    machine = f"{os.cpu_count() or cores} cores, {_processor()}, {platform.system()} {platform.release()}"
    return Results(datetime.now(UTC).strftime("%Y-%m-%d"), machine, versions)


def kept(name: str) -> Results | None:
    """What was last kept under this name."""
    place = KEPT / f"{name}.json"
    return msgspec.json.decode(place.read_bytes(), type=Results) if place.exists() else None


def keep(name: str, results: Results) -> None:
    """Four digits of each figure, for more are noise."""
    KEPT.mkdir(exist_ok=True)
    told = msgspec.to_builtins(results)
    text = msgspec.json.encode(_rounded(told))
    (KEPT / f"{name}.json").write_bytes(msgspec.json.format(text, indent=1) + b"\n")


def _rounded(told: object) -> object:
    match told:
        case float():
            return float(f"{told:.4g}")
        case dict():
            return {name: _rounded(value) for name, value in told.items()}
        case list() | tuple():
            return [_rounded(value) for value in told]
    return told


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())

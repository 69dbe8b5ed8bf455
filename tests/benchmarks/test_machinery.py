"""The harness works from end to end, whatever the figures are; a real run is far longer."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import growing, profiling, running, soaking
from benchmarks.aims import growth
from benchmarks.load import Failed
from benchmarks.ours import opened
from benchmarks.peers import Origin, Peer, direct
from benchmarks.plan import ASKED, CAPACITY, FIRST, MEMORY, READY, RELAYING
from benchmarks.results import Results
from benchmarks.scenarios import Figures, Scenario

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def test_the_short_form_prints_its_figures_its_aims_and_its_seconds() -> None:
    command = [sys.executable, "-m", "benchmarks", "--short", "--scale", "0.03"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout
    for scenario in (CAPACITY, FIRST, RELAYING):
        assert f"| {scenario} |" in done.stdout
    assert done.stdout.count("\n| direct |") == done.stdout.count("\n| repligate |") - len((READY, ASKED, MEMORY)) - 3
    assert "| added p50 at one client ≤ 1.6 ms |" in done.stdout
    assert "| **in all** |" in done.stdout


def test_gateways_are_filled_and_asked_at_each_size() -> None:
    results = Results()
    sizes = {"keys": (3,), "known models": (2,), "ledger entries": (50,), "open streams": (2,)}
    growing.measure(results, sizes, 1, seconds=0.05)
    assert not results.failed
    for what, (size,) in sizes.items():
        (cost,) = results.figures[growth(what)][str(size)]["cpu_us"].known
        assert cost > 0


def test_a_gateway_tells_how_many_tasks_it_has_and_where_its_cpu_goes() -> None:
    with running.before() as (origin, folder), opened(origin, folder, profiling.INSIDE) as peer:
        home = folder / profiling.INSIDE.name
        (sample, *_) = soaking.windows(peer, home, 1.0)
        assert sample.tasks >= 1
        assert sample.files > 3
        for load in (profiling.requests(peer, 0.3), profiling.tokens(peer, 0.3)):
            pieces, cpu, told = running.within(60, profiling.sampled(peer, home, load))
            assert 0 < sum(told.own.values()) < cpu * 1.5
            assert "function" in profiling.table(told, pieces)
            assert any(name.startswith("gateway/") for name in told.own)


def test_who_hangs_or_fails_is_told_so_and_stops_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []

    async def run(peer: Peer) -> Figures:
        asked.append(peer.name)
        if peer.name == "broken":
            raise Failed("500: out of order")
        return {"answers": 1.0}

    results = Results()
    with running.before() as (origin, folder), direct(origin, folder) as whole:
        broken = Peer("broken", origin, None, whole.address, {})
        running.measured(results, {"a load": Scenario(run, 0, 5)}, [broken, whole], 3)
        with running.opened(results, direct, _never_starts) as found:
            assert [peer.name for peer in found] == ["direct"]
    assert asked == ["broken", "direct", "direct", "direct"]
    assert results.failed["a load"] == {"broken": "500: out of order"}
    assert results.get("a load", "direct", "answers").rounds == (1.0, 1.0, 1.0)
    assert results.failed["starting and warming up"] == {"_never_starts": "it did not start"}


def _never_starts(origin: Origin, folder: Path) -> None:
    raise RuntimeError("it did not start")

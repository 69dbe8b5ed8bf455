"""Half an hour of the same mixed load: what is left over, and what a call costs, at its start and at its end."""

import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from benchmarks import load, peers
from benchmarks.aims import AIMS, SOAK
from benchmarks.ours import opened
from benchmarks.peers import Peer
from benchmarks.profiling import INSIDE, tasks
from benchmarks.report import write
from benchmarks.results import anew, keep
from benchmarks.running import WARM, before, within
from benchmarks.scenarios import quiet, warmed
from benchmarks.stats import Figure

CHATS, STREAMS, PICTURES = 20.0, 8.0, 1.0
"""Begun each second: whole chats of 50 ms, streams of 20 tokens, pictures of 1.5 s."""
WINDOW = 30.0


class Sample(Struct, frozen=True):
    """How it stands at the end of a window, when nothing runs: MiB, open files, tasks, and CPU per call until then."""

    memory: float
    files: float
    tasks: float
    cpu_us: float


def soak(minutes: float) -> None:
    """Prints each window; keeps what came of it, and leaves with 1 where something has grown."""
    results = anew(peers.described())
    with before() as (origin, folder), opened(origin, folder, INSIDE) as peer:
        within(WARM, warmed(peer))
        samples = windows(peer, folder / INSIDE.name, minutes * 60)
    results.figures[SOAK] = {"repligate": {name: Figure((value,)) for name, value in compared(samples).items()}}
    keep("soak", results)
    write()
    grown = [aim.says for aim in AIMS if aim.says.startswith(SOAK) and aim.holds(results) is not True]
    sys.exit("\n".join(grown) or None)


def windows(peer: Peer, folder: Path, seconds: float) -> list[Sample]:
    """The load, a window after the other, and how the gateway stood at the end of each."""
    window, until, samples = min(WINDOW, seconds / 10), time.monotonic() + seconds, []
    while time.monotonic() < until:
        samples.append(within(window + 60, _window(peer, folder, window)))
        one = samples[-1]
        left = f"{one.memory:6.1f} MiB, {one.files:.0f} files, {one.tasks:.0f} tasks"
        print(f"{len(samples) * window / 60:6.1f} min: {left}, {one.cpu_us:.0f} µs a call", flush=True)
    return samples


async def _window(peer: Peer, folder: Path, seconds: float) -> Sample:
    assert peer.process
    spent = peer.process.cpu
    streamed = peer.target("bench/tokens-20-10", stream=True)
    answers = await asyncio.gather(
        load.steady(peer.target("bench/wait-50"), CHATS, seconds),
        load.steady(streamed, STREAMS, seconds, streams=True),
        load.steady(peer.picture("bench/picture-1500"), PICTURES, seconds),
    )
    await quiet(peer)
    spent = peer.process.cpu - spent
    calls = sum(load.finished(each) for each in answers)
    return Sample(peer.process.memory, peer.process.files, tasks(peer, folder), spent / calls * 1e6)


def compared(samples: Sequence[Sample]) -> dict[str, float]:
    """The end beside the start, which is after a fifth: what is remembered for some minutes is full by then."""
    part = max(1, len(samples) // 10)
    start, end = _typical(samples[2 * part : 3 * part] or samples), _typical(samples[-part:])
    return {
        "windows": len(samples),
        "memory at start": start.memory,
        "memory at end": end.memory,
        "memory ratio": end.memory / start.memory,
        "files more": end.files - start.files,
        "tasks more": end.tasks - start.tasks,
        "cpu_us at start": start.cpu_us,
        "cpu_us at end": end.cpu_us,
        "cpu ratio": end.cpu_us / start.cpu_us,
    }


def _typical(samples: Sequence[Sample]) -> Sample:
    each = zip(*((one.memory, one.files, one.tasks, one.cpu_us) for one in samples), strict=True)
    return Sample(*map(statistics.median, each))

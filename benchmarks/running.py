"""Runs: each scenario on each peer in turn, within the seconds it has; who fails is told so, and stops nobody else."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import SubprocessError
from typing import TypeVar

import uvloop

from benchmarks import peers
from benchmarks.load import Failed
from benchmarks.peers import Opener, Origin, Peer
from benchmarks.results import Results
from benchmarks.scenarios import Figures, Scenario, quiet, warmed
from benchmarks.stats import Figure

T = TypeVar("T")

FAILURES = (Failed, TimeoutError, OSError, RuntimeError, SubprocessError)
WARM = 20.0
"""Seconds that whoever warms up may take."""


@contextmanager
def before() -> Iterator[tuple[Origin, Path]]:
    """An upstream, and a folder for whoever stands before it."""
    with tempfile.TemporaryDirectory() as folder, peers.upstream(Path(folder)) as origin:
        yield origin, Path(folder)


@contextmanager
def opened(results: Results, *openers: Opener) -> Iterator[list[Peer]]:
    """All of them before one upstream, warm; without those that fail to start."""
    with before() as (origin, folder), ExitStack() as stack:
        found = []
        for opener in openers:
            began = time.monotonic()
            try:
                found.append(stack.enter_context(opener(origin, folder)))
                within(WARM, warmed(found[-1]))
            except FAILURES as failed:
                # What has started and does not get warm is measured all the same: it may do some things.
                print(f"{opener.__name__}: {why(failed)}", flush=True)
                results.failure("starting and warming up", opener.__name__, why(failed))
            results.took("starting and warming up", began)
        yield found


def measured(results: Results, scenarios: Mapping[str, Scenario], peers: Sequence[Peer], rounds: int) -> None:
    """Each scenario on each of them, one after another in each round, so that what disturbs one disturbs all."""
    for name, scenario in scenarios.items():
        began = time.monotonic()
        told: dict[str, list[Figures | None]] = {peer.name: [] for peer in peers}
        for _ in range(rounds):
            for peer in peers:
                # One that has failed once is not waited for again.
                failed = None in told[peer.name]
                told[peer.name].append(None if failed else _tried(results, name, scenario, peer))
        results.figures[name] = {peer: figured(each) for peer, each in told.items() if any(each)}
        results.took(name, began, scenario.seconds * len(peers) * rounds)


def figured(rounds: Sequence[Figures | None]) -> dict[str, Figure]:
    """Of each name, its value in each round."""
    names = dict.fromkeys(name for each in rounds if each for name in each)
    return {name: Figure(tuple(each.get(name) if each else None for each in rounds)) for name in names}


def _tried(results: Results, name: str, scenario: Scenario, peer: Peer) -> Figures | None:
    async def run() -> Figures:
        await quiet(peer)
        return await scenario.run(peer)

    try:
        figures = within(scenario.limit + 8, run())
    except FAILURES as failed:
        print(f"{name}: {peer.name} failed: {why(failed)}", flush=True)
        results.failure(name, peer.name, why(failed))
        return None
    print(f"{name}: {peer.name} " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()), flush=True)
    return figures


def within(seconds: float, work: Awaitable[T]) -> T:
    """What the work returns. Raises TimeoutError."""

    async def limited() -> T:
        async with asyncio.timeout(seconds):
            return await work

    return uvloop.run(limited())


def why(failed: BaseException) -> str:
    """In one line."""
    if isinstance(failed, TimeoutError):
        return "not done in time"
    return (str(failed).strip().splitlines() or [type(failed).__name__])[-1][:200]

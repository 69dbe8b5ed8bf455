"""Where our CPU goes: `make profile` samples the gateway under the short load, and prints its costliest functions."""

import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from benchmarks.inside import TOLD, Profile
from benchmarks.load import closed, finished
from benchmarks.ours import Setting, opened
from benchmarks.peers import Peer
from benchmarks.running import WARM, before, within
from benchmarks.scenarios import Meter, quiet, relaying, warmed

T = TypeVar("T")

INSIDE = Setting(inside=("benchmarks.inside",))
MOST = 30


def profile(scale: float) -> None:
    """Prints what a request costs, and what a token does."""
    with before() as (origin, folder), opened(origin, folder, INSIDE) as peer:
        within(WARM, warmed(peer))
        for title, load in (("request", requests), ("relayed token", tokens)):
            within(60, quiet(peer))
            pieces, cpu, told = within(120, sampled(peer, folder / INSIDE.name, load(peer, 6 * scale)))
            print(f"\n{title}: {cpu / pieces * 1e6:.0f} µs of CPU each, {pieces} of them\n{table(told, pieces)}")


def table(told: Profile, pieces: float) -> str:
    """The costliest functions by their own time; what they call in C counts as theirs."""
    threads = ", ".join(f"{name} {spent / pieces * 1e6:.1f}" for name, spent in _costliest(told.threads, 5))
    head = f"µs by thread: {threads}\n{'own µs':>9} {'whole µs':>9}  function"
    rows = [
        f"{own / pieces * 1e6:9.2f} {told.whole[name] / pieces * 1e6:9.2f}  {name}"
        for name, own in _costliest(told.own, MOST)
    ]
    return "\n".join([head, *rows])


def _costliest(told: dict[str, float], most: int) -> list[tuple[str, float]]:
    return sorted(told.items(), key=lambda each: -each[1])[:most]


async def sampled(peer: Peer, folder: Path, load: Callable[[], Awaitable[int]]) -> tuple[int, float, Profile]:
    """How many pieces the load had, what they cost, and where."""
    assert peer.process
    place = folder / TOLD
    place.unlink(missing_ok=True)
    peer.process.signal(signal.SIGUSR2)
    meter = Meter.read(peer)
    pieces = await load()
    cpu = Meter.read(peer).peer - meter.peer
    peer.process.signal(signal.SIGUSR2)
    return pieces, cpu, msgspec.json.decode(_written(place), type=Profile)


def _written(place: Path, limit: float = 10) -> bytes:
    until = time.monotonic() + limit
    while not place.exists():
        if time.monotonic() > until:
            raise TimeoutError("the gateway tells nothing of itself")
        time.sleep(0.02)
    return place.read_bytes()


def tasks(peer: Peer, folder: Path) -> int:
    """How many tasks the gateway in this folder has now."""
    assert peer.process
    (folder / TOLD).unlink(missing_ok=True)
    peer.process.signal(signal.SIGUSR1)
    return msgspec.json.decode(_written(folder / TOLD), type=dict[str, int])["tasks"]


def requests(peer: Peer, seconds: float) -> Callable[[], Awaitable[int]]:
    """Whole chats, as many as it can answer."""

    async def load() -> int:
        return finished(await closed(peer.target("bench/wait-0"), 64, seconds))

    return load


def tokens(peer: Peer, seconds: float) -> Callable[[], Awaitable[int]]:
    """Streams of tokens, one each 5 ms."""

    async def load() -> int:
        figures = await relaying(64, seconds, 5).run(peer)
        return round(figures["per_second"] * seconds)

    return load

"""What several gateways cost: limits and the allowance in Redis, workers, and a dead one's calls until they are booked.

`python -m benchmarks.scaling [--calls N] [--seconds S] [--lease S] [--postgres URL] [--redis-server PATH]` measures all
of it, with a Redis of its own and a database of its own on that PostgreSQL server. Costs are CPU time, of the process
that asks and of Redis; rates are what this machine gave to all of it together.
"""

import argparse
import asyncio
import os
import secrets
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from benchmarks import load
from benchmarks.peers import ROOT, TOKEN
from benchmarks.processes import Process, free_port, python
from gateway.accounts.commons import Commons
from gateway.accounts.limits import Slot
from gateway.accounts.paces import Paces
from gateway.accounts.rates import Estimate, Scope
from gateway.accounts.shares import Shares
from gateway.config import LimitsConfig, SharedConfig
from gateway.store.shared import Shared
from gateway.upstream.tokens import Tokens
from gateway.upstream.turns import Place, Share, Turns

LIMITS = LimitsConfig(requests_per_minute=10**8, tokens_per_minute=10**12, calls_at_once=10**6)
SCOPES = [Scope("key", "k", LIMITS), Scope("team", "t", LIMITS)]
ASKED = Estimate(tokens=500)
LEASE = 600.0
STREAMS = 3
PER_MINUTE = 600.0
ENOUGH = {"CREATES_PER_MINUTE": "10000000", "REQUESTS_PER_MINUTE": "10000000"}
_CORES = ",".join(map(str, sorted(os.sched_getaffinity(0))))


def main() -> None:
    """Prints a line for each figure of docs/scaling.md."""
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--calls", type=int, default=5000)
    told.add_argument("--seconds", type=float, default=10.0, help="of load on workers")
    told.add_argument("--lease", type=float, default=1.5, help="seconds, of the gateway that is killed")
    told.add_argument("--chats", type=int, default=20)
    told.add_argument(
        "--postgres", default=os.environ.get("REPLIGATE_TEST_POSTGRES", "postgresql://127.0.0.1:5432/test")
    )
    told.add_argument("--redis-server", default=shutil.which("redis-server") or "valkey-server")
    asked = told.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name, _redis(asked.redis_server, Path(name)) as (url, server):
        asyncio.run(_limits(asked.calls, url, server))
        asyncio.run(_allowance(asked.calls, url, server))
        asyncio.run(_turns(asked.chats, url))
        with _database(asked.postgres) as books:
            places = _Places(Path(name), url, books)
            for workers in (1, 2):
                _worked(places, workers, asked.seconds)
            _adopted(places, asked.lease)


@contextmanager
def _redis(binary: str, folder: Path) -> Iterator[tuple[str, Process]]:
    port = free_port()
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with Process(command, folder, {}, _CORES) as server:
        yield f"redis://127.0.0.1:{port}/0", server


@contextmanager
def _database(server: str) -> Iterator[str]:
    name = f"bench_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    try:
        yield f"{server.rpartition('/')[0]}/{name}"
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]


async def _shared(url: str, name: str = "one") -> Shared:
    return await Shared.open(SharedConfig(redis=url, patience_seconds=30, lease_seconds=60), "bench", name)


async def _limits(calls: int, url: str, server: Process) -> None:
    """A call's admission and end under the limits of its key and its team."""
    for running in (0, 100):
        paces = Paces(LEASE)
        held = [await paces.admit(SCOPES, ASKED) for _ in range(running)]
        print(f"limits in memory, {running} calls running: {await _admitted(paces, calls):.0f} us CPU a call")
        _released(held)
    for running in (0, 100):
        shared = await _shared(url)
        shares = Shares(shared, LEASE, Paces(LEASE))
        held = [await shares.admit(SCOPES, ASKED) for _ in range(running)]
        before = server.cpu
        ours = await _admitted(shares, calls)
        theirs = (server.cpu - before) / calls * 1e6
        print(f"limits in Redis, {running} calls running: {ours:.0f} us CPU a call, and {theirs:.0f} us of Redis")
        _released(held)
        await shares.aclose()
        await shared.aclose()


async def _admitted(limiter: Paces | Shares, calls: int) -> float:
    """Microseconds of this process's CPU for each of these calls, one after another."""
    began = time.process_time()
    for _ in range(calls):
        slot = await limiter.admit(SCOPES, ASKED)
        slot.settle(400, 0)
        slot.release()
    if isinstance(limiter, Shares):
        await limiter.aclose()
    return (time.process_time() - began) / calls * 1e6


def _released(held: Sequence[Slot]) -> None:
    for slot in held:
        slot.release()


async def _allowance(creates: int, url: str, server: Process) -> None:
    """A create's place in what Replicate allows all gateways."""
    shared = await _shared(url)
    tokens = Tokens(["bench"], time.monotonic, 10**9)
    tokens.all[0].room.common = Commons(shared).of("bench", 10**9, 10**9)
    turns = Turns(tokens, time.monotonic)
    await turns.turn(Place(Share("a"), 60))
    began, before = time.process_time(), server.cpu
    for _ in range(creates):
        await turns.turn(Place(Share("a"), 60))
    ours, theirs = time.process_time() - began, server.cpu - before
    print(
        f"allowance in Redis: {ours / creates * 1e6:.0f} us CPU a create, and {theirs / creates * 1e6:.0f} us of Redis"
    )
    await shared.aclose()


async def _turns(chats: int, url: str) -> None:
    """A chat at one gateway, while another has a batch of a thousand in its queue."""
    queues, opened = [], []
    for name in ("one", "two"):
        shared = await _shared(url, name)
        tokens = Tokens(["bench"], time.monotonic, PER_MINUTE)
        tokens.all[0].room.common = Commons(shared).of("turns", PER_MINUTE, PER_MINUTE)
        queues.append(Turns(tokens, time.monotonic))
        opened.append(shared)
    one, two = queues
    batch = [asyncio.create_task(one.turn(Place(Share("batch"), 3600))) for _ in range(1000)]
    await asyncio.sleep(1)
    waits = []
    for _ in range(chats):
        began = time.monotonic()
        await two.turn(Place(Share("chat"), 3600))
        waits.append((time.monotonic() - began) * 1000)
        await asyncio.sleep(0.537)
    for each in batch:
        each.cancel()
    await asyncio.gather(*batch, return_exceptions=True)
    slot = 60_000 / PER_MINUTE
    print(
        f"a chat beside another gateway's batch of {len(batch)}, slots of {slot:.0f} ms: waited "
        f"{statistics.median(waits):.0f} ms (median), {max(waits):.0f} ms at most"
    )
    for shared in opened:
        await shared.aclose()


class _Places:
    """Where gateways are started, and what they share."""

    def __init__(self, folder: Path, redis: str, books: str) -> None:
        self.folder, self.books = folder, books
        self.environ = {
            "REPLICATE_API_TOKEN": TOKEN,
            "REPLIGATE__STATE__DATABASE": books,
            "REPLIGATE__SHARED__REDIS": redis,
            "REPLIGATE__SHARED__PATIENCE_SECONDS": "10",
            "REPLIGATE__LOG__FORMAT": "json",
            "PYTHONPATH": str(ROOT),
            **{f"REPLIGATE__UPSTREAM__{name}": value for name, value in ENOUGH.items()},
        }

    def key(self) -> dict[str, str]:
        """The headers of a new key."""
        told = {**os.environ, **self.environ, "REPLIGATE_DATA_DIR": str(self.folder / "keys")}
        command = python(
            "gateway", "keys", "create", f"bench {secrets.token_hex(4)}", "--requests-per-minute", "9000000"
        )
        done = subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, check=True)
        return {"authorization": f"Bearer {done.stdout.splitlines()[-1]}"}

    @contextmanager
    def gateway(self, upstream: str, name: str, *words: str, **more: str) -> Iterator[tuple[str, Process]]:
        """A running gateway."""
        port, home = free_port(), self.folder / name
        told = {**self.environ, "REPLICATE_API_BASE_URL": upstream, "REPLIGATE_DATA_DIR": str(home), **more}
        home.mkdir()
        with Process(python("gateway", "serve", "--port", str(port), *words), home, told, _CORES) as process:
            process.ready(port, "/health/ready")
            yield f"http://127.0.0.1:{port}/v1", process

    def count(self, query: str) -> int:
        with psycopg.connect(self.books) as connection:
            found = connection.execute(query).fetchone()  # type: ignore[call-overload]
            return int(found[0])


@contextmanager
def _upstream(folder: Path) -> Iterator[str]:
    port = free_port()
    with Process(python("benchmarks", "upstream", str(port)), folder, {"PYTHONPATH": str(ROOT)}, _CORES) as process:
        with suppress(RuntimeError):
            process.ready(port, "/", 2)
        yield f"http://127.0.0.1:{port}/v1"


def _worked(places: _Places, workers: int, seconds: float) -> None:
    """Short chats through one worker or several, all on the cores that there are."""
    headers = places.key()
    words = ("--workers", str(workers)) if workers > 1 else ()
    with _upstream(places.folder) as upstream, places.gateway(upstream, f"workers {workers}", *words) as (url, process):
        body = {"model": "bench/wait-20", "messages": [{"role": "user", "content": "Hello"}]}
        target = load.Target(f"{url}/chat/completions", headers, body)
        asyncio.run(load.closed(target, 50, 2))
        before = process.cpu
        answered = load.finished(asyncio.run(load.closed(target, 50, seconds)))
        spent = process.cpu - before
    print(f"{workers} workers: {answered / seconds:.0f} requests/s, {spent / max(1, answered) * 1000:.2f} ms CPU each")


def _adopted(places: _Places, lease: float) -> None:
    """Streams of a gateway that is killed, until another has ended and booked them."""
    headers, told = places.key(), {"REPLIGATE__SHARED__LEASE_SECONDS": str(lease)}
    before = places.count("SELECT count(*) FROM settlements")
    with (
        _upstream(places.folder) as upstream,
        places.gateway(upstream, "dies", **told) as (url, process),
        places.gateway(upstream, "lives", **told),
    ):
        body = {"model": "bench/tokens-100000-20", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
        target = load.Target(f"{url}/chat/completions", headers, body)

        async def killed() -> float:
            async with load.begun(target, STREAMS):
                process.signal(signal.SIGKILL)
                return time.monotonic()

        at = asyncio.run(killed())
        while places.count("SELECT count(*) FROM settlements") < before + STREAMS and time.monotonic() < at + 120:
            time.sleep(0.05)
        booked = places.count("SELECT count(*) FROM settlements") - before
        took = time.monotonic() - at
    print(
        f"{booked} of {STREAMS} streams of a killed gateway, lease {lease:g} s: booked by the other after {took:.1f} s"
    )


if __name__ == "__main__":
    main()

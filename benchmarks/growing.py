"""What a call costs as the gateway grows: in keys, in models it knows, in ledger entries, in streams that stay open."""

import hashlib
import random
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct

from benchmarks import peers
from benchmarks.aims import growth
from benchmarks.load import Target, begun, closed
from benchmarks.ours import Setting, opened
from benchmarks.peers import Origin, Peer
from benchmarks.report import write
from benchmarks.results import Results, anew, keep
from benchmarks.running import FAILURES, before, measured, why
from benchmarks.scenarios import Figures, Scenario, quiet, spent

FEW: Mapping[str, Sequence[int]] = {
    "keys": (1, 100, 10_000),
    "known models": (1, 100, 5_000),
    "ledger entries": (0, 100_000),
    "open streams": (1, 100, 1_000),
}
CLIENTS, SECONDS = 16, 1.0
DAYS, LAST = 90, 20_700
"""Days that the entries are spread over, and the last of them since 1970."""


class Sized(Struct, frozen=True):
    """A gateway of a size: what it is asked in turn, how many calls warm it, how many streams stay open meanwhile."""

    peer: Peer
    targets: Sequence[Target]
    warm: int = 500
    held: int = 0


def everything(entries: int, rounds: int) -> None:
    """The ledger's curve up to so many entries, which takes minutes; kept, and written into the page."""
    results = anew(peers.described())
    sizes = (0, *(size for size in (100_000, 1_000_000) if size < entries), entries)
    measure(results, {"ledger entries": sizes}, rounds)
    keep("growth", results)
    write()


def measure(results: Results, what: Mapping[str, Sequence[int]], rounds: int, seconds: float = SECONDS) -> None:
    """Gateways of all sizes stand side by side, and are asked in turn."""
    makers = {"keys": _keys, "known models": _models, "ledger entries": _entries, "open streams": _streams}
    for name, sizes in what.items():
        with before() as (origin, folder), ExitStack() as stack:
            began = time.monotonic()
            try:
                named = {f"{size:,}": makers[name](stack, origin, folder, size) for size in sizes}
            except FAILURES as failed:
                print(f"{growth(name)}: {failed}", flush=True)
                results.failure(growth(name), "repligate", why(failed))
                continue
            results.took("filling gateways", began)
            asked = [Peer(label, origin, each.peer.process, each.peer.address, {}) for label, each in named.items()]
            measured(results, {growth(name): _costing(named, seconds)}, asked, rounds)


def _costing(named: Mapping[str, Sized], seconds: float) -> Scenario:
    asked: set[str] = set()

    async def run(labelled: Peer) -> Figures:
        size = named[labelled.name]
        if labelled.name not in asked:
            asked.add(labelled.name)
            await _warmed(size)
        # Each time others of them come first.
        first = random.randrange(len(size.targets))
        targets = [*size.targets[first:], *size.targets[:first]]
        if not size.held:
            told = await spent(size.peer, targets, CLIENTS, seconds)
        else:
            async with begun(size.peer.target("bench/held-3-20000", stream=True), size.held):
                await quiet(size.peer)
                told = await spent(size.peer, targets, CLIENTS, seconds)
            await quiet(size.peer, 20)
        return {"cpu_us": told["cpu_us"]}

    return Scenario(run, seconds, seconds + 120)


async def _warmed(size: Sized) -> None:
    done = 0
    while done < size.warm:
        done += len(await closed(size.targets[done % len(size.targets) :], CLIENTS, 0.5))


def _keys(stack: ExitStack, origin: Origin, folder: Path, count: int) -> Sized:
    secrets = [f"sk-growth-{number:0>36}" for number in range(count)]
    setting = Setting(f"keys-{count}", prepare=lambda data: with_keys(data, secrets))
    peer = stack.enter_context(opened(origin, folder, setting))
    chat = peer.target("bench/wait-0")
    return Sized(peer, [Target(chat.url, {"authorization": f"Bearer {secret}"}, chat.body) for secret in secrets])


def _models(stack: ExitStack, origin: Origin, folder: Path, count: int) -> Sized:
    rows = "".join(f'[models.m{number}]\nmodel = "bench/wait-0-{number}"\n' for number in range(count))
    peer = stack.enter_context(opened(origin, folder, Setting(f"models-{count}", rows)))
    # Each model's schema has been read.
    return Sized(peer, [peer.target(f"m{number}") for number in range(count)], max(500, count + CLIENTS))


def _entries(stack: ExitStack, origin: Origin, folder: Path, count: int) -> Sized:
    setting = Setting(f"entries-{count}", prepare=lambda data: with_entries(data, count))
    peer = stack.enter_context(opened(origin, folder, setting))
    return Sized(peer, [peer.target("bench/wait-0")])


def _streams(stack: ExitStack, origin: Origin, folder: Path, count: int) -> Sized:
    peer = stack.enter_context(opened(origin, folder, Setting(f"streams-{count}")))
    return Sized(peer, [peer.target("bench/wait-0")], held=count)


def with_keys(data: Path, secrets: Sequence[str]) -> None:
    """Keys like the one that is there, each with a secret of these."""
    with sqlite3.connect(data / "repligate.db") as books:
        read = books.execute("SELECT * FROM keys LIMIT 1")
        names, one = [told[0] for told in read.description], read.fetchone()
        rows = [{**dict(zip(names, one, strict=True)), **_key(number, secret)} for number, secret in enumerate(secrets)]
        places = ", ".join(f":{name}" for name in names)
        books.executemany(f"INSERT INTO keys ({', '.join(names)}) VALUES ({places})", rows)
    books.close()


def _key(number: int, secret: str) -> dict[str, str]:
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    return {"id": f"key_{number:032x}", "name": f"growth-{number}", "prefix": secret[:10], "hash": hashed}


def with_entries(data: Path, count: int) -> None:
    """Settled entries that the database makes up by itself: ids in the order of time, calls and predictions in none."""
    if not count:
        return
    books = sqlite3.connect(data / "repligate.db", isolation_level=None)
    for pragma in ("synchronous = OFF", "journal_mode = MEMORY", "cache_size = -1000000"):
        books.execute(f"PRAGMA {pragma}")
    numbered = f"""
        WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1}),
        e AS (SELECT i, {LAST - DAYS} + 1 + i * {DAYS} / {count} AS day, (i * 2654435761) % 4294967296 AS any FROM n)
    """
    name, subjects = "printf('ent_%012x%020d', day * 86400000, i)", "'key_' || (any % 100), 'model-' || (any % 30)"
    books.execute("BEGIN")
    # An index is built faster once than row by row.
    (index,) = books.execute("SELECT sql FROM sqlite_master WHERE name = 'ix_entries_call_seq'").fetchone()
    books.execute("DROP INDEX ix_entries_call_seq")
    books.execute(f"""
        INSERT INTO entries (id, call, seq, key, model, kind, ref, digest, tags, reserved, deadline, created_at, day)
        {numbered} SELECT {name}, printf('%08x%024x', any, i), 0, {subjects}, '/v1/chat/completions', 'acme/model',
        '{"0" * 64}', '[]', 1000, 600, day * 86400000, day FROM e
    """)
    books.execute(f"""
        INSERT INTO settlements (entry, seq, key, model, day, prediction, status, settled_at, run_seconds, tokens_in,
        tokens_out, estimated, images, cost, basis, owner)
        {numbered} SELECT {name}, 0, {subjects}, day, printf('%08x%018x', any, i), 'succeeded', day * 86400000,
        i % 100 / 10.0, 100, 200, 0, 0, i % 1000, 'tokens', 'benchmark' FROM e
    """)
    books.execute(index)
    books.execute("COMMIT")
    books.execute("PRAGMA journal_mode = WAL")
    books.close()

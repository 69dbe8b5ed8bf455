"""What the books cost: sums over a million entries, and keys, limits, ledger and budgets on a call.

`python -m benchmarks.books [--entries N] [--calls N] [--at-once N]` prints both, on SQLite in a folder of its own and
on the loop that the gateway runs on.
"""

import argparse
import asyncio
import gc
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from datetime import date
from pathlib import Path
from typing import Any

import uvloop
from sqlalchemy import Connection

from gateway.accounts.budgets import Budgets, Terms
from gateway.accounts.entries import Opening, Settlement
from gateway.accounts.keys import Keys
from gateway.accounts.ledger import Ledger, Within
from gateway.accounts.limits import Estimate, Limits
from gateway.accounts.paces import Paces
from gateway.accounts.totals import rebuild
from gateway.accounts.windows import Period
from gateway.config import Config, LimitsConfig, State
from gateway.store.sql import Store

DAYS, KEYS, TEAMS, MODELS, TAGS = 90, 100, 20, 30, 20
"""Each key uses three of the models and bears two of the tags."""
PERIODS: tuple[Period, ...] = ("day", "month", "total")
LAST = 20_700
ENDED = Settlement(status="succeeded", cost=12, basis="tokens", tokens_in=100, tokens_out=200, run_seconds=1.5)


def main() -> None:
    """Builds books, asks them, then lets calls through."""
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--entries", type=int, default=1_000_000)
    told.add_argument("--calls", type=int, default=4_000)
    told.add_argument("--at-once", type=int, default=50)
    options = told.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = Config(state=State(folder=folder))
        uvloop.run(_sums(config, options.entries))
    for budgets in (0, 3):
        with tempfile.TemporaryDirectory() as folder:
            uvloop.run(_calls(Config(state=State(folder=folder)), options.calls, options.at_once, budgets))


async def _sums(config: Config, count: int) -> None:
    async with aclosing(Store.open(config)) as store:
        began = time.perf_counter()
        await store.write(lambda c: _fill(c, count))
        built = time.perf_counter()
        ledger = Ledger(store)
        days = await ledger.days()
        await store.write(lambda c: [rebuild(c, day) for day in days])
        summed = time.perf_counter()
        size = (Path(config.state.folder) / "repligate.db").stat().st_size / 1e6
        print(f"{count:,} entries built in {built - began:.1f} s, summed in {summed - built:.1f} s, {size:.0f} MB")
        for question, ask in _questions(ledger):
            taken = [await _timed(ask) for _ in range(5)]
            clock, cpu = (statistics.median(each) for each in zip(*taken, strict=True))
            print(f"  {question:26} {clock:7.1f} ms   ({cpu:.1f} ms CPU)")


def _questions(ledger: Ledger) -> Iterator[tuple[str, Callable[[], Any]]]:
    for by in ("key", "team", "model", "tag", "day"):
        yield f"by {by}", lambda by=by: ledger.usage(by)
    month = (date.fromordinal(date(1970, 1, 1).toordinal() + LAST - 30), None)
    yield "by key, 30 days", lambda: ledger.usage("key", *month)
    yield "by day within a key", lambda: ledger.usage("day", within=Within(key="key_7"))
    yield "by day within a tag", lambda: ledger.usage("day", within=Within(tag="tag-7"))
    yield "by model within a team", lambda: ledger.usage("model", within=Within(team="team-7"))


async def _timed(ask: Callable[[], Any]) -> tuple[float, float]:
    began, before = time.perf_counter(), _cpu()
    await ask()
    return (time.perf_counter() - began) * 1000, (_cpu() - before) * 1000


def _fill(connection: Connection, count: int) -> None:
    """Entries that the database makes up by itself: a million rows from here would take minutes."""
    numbered = f"""
        WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1}),
        e AS (SELECT i, i * 7919 % {KEYS} AS k, {LAST} - {DAYS} + 1 + i * {DAYS} / {count} AS day FROM n)
    """
    name = "printf('ent_%012x%020d', day * 86400000, i)"
    subjects = f"'key_' || k, 'team-' || (k % {TEAMS}), 'model-' || ((k + i % 3) % {MODELS})"
    tags = f"json_array('tag-' || (k % {TAGS}), 'tag-' || (k * 3 % {TAGS} + 1))"
    connection.exec_driver_sql(f"""
        INSERT INTO entries (id, call, seq, key, team, model, kind, ref, digest, tags, reserved, deadline, created_at,
        day)
        {numbered} SELECT {name}, 'call-' || i, 0, {subjects}, '/v1/chat/completions', 'acme/model',
        '{"0" * 64}', {tags}, 1000, 600, day * 86400000, day FROM e
    """)
    connection.exec_driver_sql(f"""
        INSERT INTO settlements (entry, prediction, seq, key, team, model, status, day, settled_at, run_seconds,
        tokens_in, tokens_out, estimated, images, cost, basis, owner)
        {numbered} SELECT {name}, 'p' || i, 0, {subjects}, CASE WHEN i % 50 THEN 'succeeded' ELSE 'failed' END, day,
        day * 86400000, i % 100 / 10.0, 100, 200, 0, 0, i % 1000, 'tokens', 'benchmark' FROM e
    """)


async def _calls(config: Config, count: int, at_once: int, budgets: int) -> None:
    async with aclosing(Store.open(config)) as store:
        keys, ledger = Keys(store), Ledger(store)
        wide = LimitsConfig(requests_per_minute=10**9, tokens_per_minute=10**12, calls_at_once=10**6)
        limits = Limits(wide, Paces(600))
        held = [f"Bearer {(await keys.create(f'key-{number}', tags=('nightly',)))[1]}" for number in range(10)]

        for period in PERIODS[:budgets]:
            await Budgets(store).set(Terms(scope="everyone", period=period, hard=10**12))

        settling: set[asyncio.Task[bool]] = set()

        async def one(number: int) -> None:
            key = await keys.authenticate(held[number % len(held)])
            slot = await limits.admit(key, Estimate(tokens=300, images=0))
            opening = Opening(
                call=f"call-{number}", key=key.id, team=key.team, tags=key.tags, kind="/v1/chat/completions",
                model="acme/fast", ref="acme/fast", digests=("0" * 64,), request=f"req_{number}", deadline=600,
                reserved=(1000,),
            )  # fmt: skip
            (entry,) = (await ledger.open(opening)).entries
            # As the spine does: nobody waits for what follows but the call's own tasks. A model takes longer to run
            # than a commit takes, so that what was created is on the disk before it is settled.
            await ledger.created(entry, f"p{number}", soon=True)
            task = asyncio.create_task(ledger.settle(entry, ENDED, soon=True))
            settling.add(task)
            task.add_done_callback(settling.discard)
            slot.settle(300, 0)
            slot.release()

        async def some(start: int) -> None:
            for number in range(start, count, at_once):
                await one(number)

        await asyncio.gather(*(one(-number) for number in range(1, at_once + 1)))
        # As a gateway does once it has started.
        gc.collect()
        gc.freeze()
        before, commits, began = _cpu(), store.commits, time.perf_counter()
        await asyncio.gather(*map(some, range(at_once)))
        await asyncio.gather(*settling)
        spent, took = _cpu() - before, time.perf_counter() - began
        print(
            f"keys + limits + ledger + {budgets} budgets: {spent / count * 1e6:.0f} µs CPU a call ({at_once} at once, "
            f"{count / (store.commits - commits):.1f} calls a commit of three, {count / took:.0f} calls/s)"
        )


def _cpu() -> float:
    """Seconds of this process, all threads, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()

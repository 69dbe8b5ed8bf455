"""What is measured: each scenario puts one load on one peer and gives its figures by name."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

from msgspec import Struct

from benchmarks import load
from benchmarks.load import Answer, Connection, Failed, Target
from benchmarks.peers import Peer
from benchmarks.processes import Started
from benchmarks.stats import percentile, spread

Figures = dict[str, float]

SPARE = 3.3
"""Seconds by which streams are longer than they are counted for."""


class Scenario(Struct, frozen=True):
    """A load, how many seconds it lasts, and how many it may take with all that comes before and after."""

    run: Callable[[Peer], Awaitable[Figures]]
    seconds: float
    limit: float


class Meter(Struct, frozen=True):
    """What was used by an instant: by the peer, and by the clients and the upstream beside it."""

    at: float
    peer: float
    beside: float

    @classmethod
    def read(cls, peer: Peer) -> Self:
        used = peer.process.cpu if peer.process else 0.0
        return cls(time.monotonic(), used, time.process_time() + peer.origin.process.cpu)

    def since(self, peer: Peer, pieces: int) -> Figures:
        """For so many pieces of work since then; `beside` is how much of their core clients and upstream had."""
        now = Meter.read(peer)
        took = now.at - self.at
        cost = {"cpu_us": (now.peer - self.peer) / pieces * 1e6} if peer.process and pieces else {}
        return {"per_second": pieces / took, **cost, "beside_%": (now.beside - self.beside) / took * 100}


async def warmed(peer: Peer) -> None:
    """One answer of each sort, and some more of whoever is quick. Raises Failed."""
    for target, streams in (
        (peer.target("bench/wait-0"), False),
        (peer.target("bench/tokens-20-1", stream=True), True),
    ):
        began = time.monotonic()
        await load.burst(target, 1, streams=streams)
        if time.monotonic() - began < 1:
            await load.closed(target, 16, 0.5, streams=streams)
    await load.burst(peer.target("bench/wait-50"), 1)


async def quiet(peer: Peer, limit: float = 8.0) -> None:
    """Whatever it was asked before, it has nothing more to do with."""
    until = time.monotonic() + limit
    while peer.process and time.monotonic() < until:
        before = peer.process.cpu
        await asyncio.sleep(0.1)
        if peer.process.cpu - before < 0.01:
            return


def latency(clients: int, seconds: float, model: str = "bench/wait-50", grace: float = 3.0) -> Scenario:
    """Clients that ask again as soon as they have an answer; upstream takes 50 ms."""

    async def run(peer: Peer) -> Figures:
        return spread(_seconds(await load.closed(peer.target(model), clients, seconds, grace=grace)))

    return Scenario(run, seconds, seconds + grace + 5)


def arrivals(rate: float, seconds: float, grace: float = 3.0) -> Scenario:
    """Requests at a constant rate; upstream takes 50 ms."""

    async def run(peer: Peer) -> Figures:
        return spread(_seconds(await load.steady(peer.target("bench/wait-50"), rate, seconds, grace=grace)))

    return Scenario(run, seconds, seconds + grace + 5)


def capacity(clients: int, seconds: float, grace: float = 5.0) -> Scenario:
    """As many requests as it can answer, upstream answering at once; CPU for each."""
    return Scenario(lambda peer: spent(peer, [peer.target("bench/wait-0")], clients, seconds, grace), seconds, 30)


def begun(started: Started) -> Figures:
    """How it started, as figures."""
    return {"seconds": started.seconds, "MiB when idle": started.idle}


async def spent(peer: Peer, targets: Sequence[Target], clients: int, seconds: float, grace: float = 5.0) -> Figures:
    """What so many clients cost it that ask for these targets in turn, as often as they can."""
    before = Meter.read(peer)
    answers = await load.closed(targets, clients, seconds, grace=grace)
    return before.since(peer, load.finished(answers))


def first_token(streams: int, seconds: float, pace: int = 10, grace: float = 4.0) -> Scenario:
    """Streams of twenty tokens, one each 10 ms: time to the first, and how unevenly the others come."""

    async def run(peer: Peer) -> Figures:
        target = peer.target(f"bench/tokens-20-{pace}", stream=True)
        answers = await load.closed(target, streams, seconds, streams=True, grace=grace)
        jitter = load.gaps(answers)
        return {
            **spread(load.first_tokens(answers)),
            "jitter_p50": percentile(jitter, 0.5) * 1000,
            "jitter_p99": percentile(jitter, 0.99) * 1000,
        }

    return Scenario(run, seconds, seconds + grace + 5)


def together(streams: int) -> Scenario:
    """Streams that all begin at the same instant."""

    async def run(peer: Peer) -> Figures:
        answers = await load.burst(peer.target("bench/tokens-20-10", stream=True), streams, streams=True, limit=8)
        return spread(load.first_tokens(answers))

    return Scenario(run, 0.5, 15)


def relaying(streams: int, seconds: float, pace: int) -> Scenario:
    """Long streams, a token each so many ms, once all have begun that will: CPU of a token, how many come, how late."""
    # No longer than need be: some read on for a client that has left, and are busy with it for minutes.
    model = f"bench/tokens-{round((seconds + SPARE) / pace * 1000)}-{pace}"

    async def run(peer: Peer) -> Figures:
        async with load.begun(peer.target(model, stream=True), streams, 8, 0.1) as open:
            await _level(open)
            said, before = _said(open), Meter.read(peer)
            await asyncio.sleep(seconds)
            told = before.since(peer, _said(open) - said)
            late = [got - sent for each in open for got, sent in _since(each.answer, before.at)]
        if not late:
            raise Failed(f"no token in {seconds:.0f} s")
        return {**told, "delay_p50": percentile(late, 0.5) * 1000, "delay_p99": percentile(late, 0.99) * 1000}

    return Scenario(run, seconds + 1, seconds + 40)


async def _level(open: Sequence[Connection], limit: float = 2.0) -> None:
    """What was held up while all of them began has come, or never will."""
    until = time.monotonic() + limit
    while time.monotonic() < until:
        await asyncio.sleep(0.2)
        if all(each.answer.heard and each.answer.heard[-1] - each.answer.sent[-1] < 0.05 for each in open):
            return


def _said(open: Sequence[Connection]) -> int:
    return sum(len(each.answer.heard) for each in open)


def _since(answer: Answer, at: float) -> list[tuple[float, float]]:
    return [(got, sent) for got, sent in zip(answer.heard, answer.sent, strict=True) if got >= at]


def after_burst(clients: int, seconds: float) -> Scenario:
    """CPU for a request before and after a burst."""

    async def run(peer: Peer) -> Figures:
        before = (await spent(peer, [peer.target("bench/wait-0")], 16, seconds))["cpu_us"]
        await load.burst(peer.target("bench/wait-50"), clients)
        await quiet(peer)
        after = (await spent(peer, [peer.target("bench/wait-0")], 16, seconds))["cpu_us"]
        return {"before_us": before, "after_us": after, "ratio": after / before}

    return Scenario(run, 2 * seconds + 1, 2 * seconds + 60)


def memory(requests: int, streams: int, warm: int = 1000) -> Scenario:
    """MiB after so many requests, and with so many open streams."""

    async def run(peer: Peer) -> Figures:
        assert peer.process
        done, target = 0, peer.target("bench/wait-0")
        # The first ones fill what is meant to be full: pools, caches, and what is compiled once.
        while done < warm:
            done += len(await load.closed(target, 32, 0.2))
        filled = peer.process.memory
        while done < requests:
            done += len(await load.closed(target, 32, 1))
        after = peer.process.memory
        async with load.begun(peer.target("bench/held-3-20000", stream=True), streams):
            held = peer.process.memory
        told = {f"after {warm:,}": filled, f"after {requests:,}": after, "grown": after - filled}
        return {**told, f"with {streams:,} streams": held}

    return Scenario(run, 30, 150)


def noticing(model: str, seconds: float, times: int) -> Scenario:
    """How long after its end a prediction's answer is there, its picture fetched."""

    async def run(peer: Peer) -> Figures:
        answers = await load.burst(peer.picture(model), times, limit=seconds + 30)
        late = [answer.seconds - seconds for answer in answers]
        return {"late_p50": percentile(late, 0.5) * 1000, "late_most": max(late) * 1000}

    return Scenario(run, seconds + 0.2, seconds + 35)


def upstream_requests(times: int = 5) -> Scenario:
    """What one call asks of the upstream, once its model is known."""

    async def run(peer: Peer) -> Figures:
        targets = {
            "whole chat": peer.target("bench/wait-50"),
            "streamed chat": peer.target("bench/tokens-20-10", stream=True),
        }
        if peer.name == "repligate":
            targets["picture"] = peer.picture("bench/picture-200")
        counted = {}
        for name, target in targets.items():
            streams = name == "streamed chat"
            await load.burst(target, 1, streams=streams)
            before = await _asked(peer)
            for _ in range(times):
                await load.burst(target, 1, streams=streams)
            counted[name] = (await _asked(peer) - before) / times
        return counted

    return Scenario(run, 6, 60)


async def _asked(peer: Peer) -> int:
    """Once it asks nothing more."""
    last = -1
    while (now := await asyncio.to_thread(peer.origin.asked)) != last:
        last = now
        await asyncio.sleep(0.4)
    return now


def ready() -> Scenario:
    """Seconds from its start until it answers that it is ready, and the MiB it has then."""

    async def run(peer: Peer) -> Figures:
        return begun(peer.started)

    return Scenario(run, 0, 5)


def sustained(seconds: float) -> Scenario:
    """What clients and upstream can do together on their core: the most that anybody could be measured at."""

    async def run(peer: Peer) -> Figures:
        chats = await spent(peer, [peer.target("bench/wait-0")], 64, seconds)
        body: dict[str, object] = {"input": {"prompt": "Hello, who are you and what can you do for me today?"}}
        create = Target(f"{peer.origin.url}/v1/models/bench/wait-0/predictions", {"prefer": "wait"}, body)
        creates = await spent(peer, [create], 64, seconds)
        tokens = await relaying(200, seconds, 1).run(peer)
        return {
            "requests/s": chats["per_second"],
            "predictions/s": creates["per_second"],
            "tokens/s": tokens["per_second"],
        }

    return Scenario(run, 3 * seconds + 1, 60)


def _seconds(answers: Sequence[Answer]) -> list[float]:
    return [answer.seconds for answer in answers]

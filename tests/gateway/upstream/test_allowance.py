"""The one pace of all polls: never more than allowed, and the same for everyone."""

import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as some

from gateway.config import SchemasConfig, UpstreamConfig
from gateway.simulator import Simulator
from gateway.upstream.allowance import POLL_SHARE, Allowance
from gateway.upstream.client import Upstream
from gateway.upstream.schemas import Schemas
from tests.gateway.upstream.conftest import DictShelf, model_of


class Hands:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now = max(self.now, self.now + seconds)


@given(
    per_minute=some.integers(1, 6000),
    gaps=some.lists(some.floats(0, 2), min_size=1, max_size=200),
    others=some.integers(0, 3),
)
def test_no_minute_holds_more_turns_than_allowed(per_minute: int, gaps: list[float], others: int) -> None:
    async def poll() -> list[float]:
        hands = Hands()
        allowance = Allowance(per_minute, hands, hands.sleep)
        turns = []
        for gap in gaps:
            hands.now += gap
            for _ in range(others):
                allowance.spend()
            await allowance.turn()
            turns.append(hands.now)
        return turns

    turns = asyncio.run(poll())
    burst = per_minute / 60 + 1
    for first in turns:
        assert sum(first <= turn < first + 60 for turn in turns) <= per_minute + burst + 1e-6


async def test_those_who_wait_take_turns() -> None:
    loop = asyncio.get_running_loop()
    allowance = Allowance(60 * 200, loop.time)
    turns: Counter[int] = Counter()

    async def poll(who: int) -> None:
        while True:
            await allowance.turn()
            turns[who] += 1
            await asyncio.sleep(0)  # the request itself

    polls = [asyncio.create_task(poll(who)) for who in range(40)]
    await asyncio.sleep(1)
    for task in polls:
        task.cancel()
    await asyncio.gather(*polls, return_exceptions=True)
    assert sum(turns.values()) <= 410, "a second's worth at once, then the pace"
    assert max(turns.values()) - min(turns.get(who, 0) for who in range(40)) <= 2
    assert allowance.waited > 0
    assert allowance.backlog >= 0


async def test_what_cannot_wait_slows_the_polls_but_never_stops_them() -> None:
    hands = Hands()
    allowance = Allowance(60, hands, hands.sleep)
    for _ in range(1000):
        allowance.spend()
    await allowance.turn()
    assert 0 < hands.now <= 3


async def test_one_who_leaves_the_queue_holds_up_nobody_for_long() -> None:
    loop = asyncio.get_running_loop()
    allowance = Allowance(6000, loop.time)
    waiting = [asyncio.create_task(allowance.turn()) for _ in range(120)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(1):
        await allowance.turn()


async def test_polls_of_all_calls_together_keep_to_the_share(simulator: Simulator) -> None:
    upstream = Upstream(UpstreamConfig(requests_per_minute=60 * 50), [simulator.token], simulator.base_url)
    simulator.scene("sim/slow", "slow", seconds=30)
    model = await model_of(Schemas(upstream, SchemasConfig(), DictShelf()), "sim/slow")
    made = [(await upstream.create(model, {"prompt": "x"}, deadline=60)).id for _ in range(10)]

    async def poll(id: str) -> None:
        view = upstream.counted()
        while True:
            await view.poll(id)

    polls = [asyncio.create_task(poll(id)) for id in made]
    await asyncio.sleep(2)
    for task in polls:
        task.cancel()
    await asyncio.gather(*polls, return_exceptions=True)
    await upstream.aclose()
    gets = sum(request.method == "GET" and "/predictions/" in request.path for request in simulator.requests())
    assert gets <= 50 * POLL_SHARE * (2 + 1) + 2, "a second's worth at once, then two seconds of it"
    assert gets >= 50 * POLL_SHARE * 2 * 0.7

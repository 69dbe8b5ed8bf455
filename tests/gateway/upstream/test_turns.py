"""The fair queue of creates: nobody waits behind another's batch, nobody starves, nothing is lost by who leaves."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.errors import RateLimited
from gateway.upstream.room import SLOW_SECONDS, Room
from gateway.upstream.tokens import Tokens
from gateway.upstream.turns import Place, Priority, Share, Turns

SLOT = 0.1
"""Seconds between two creates at 600 a minute."""


class Alarm:
    def __init__(self, act: Callable[[], None]) -> None:
        self.act: Callable[[], None] | None = act

    def cancel(self) -> None:
        self.act = None


class Hands:
    """A clock that the test turns; what is due on the way happens in its order."""

    def __init__(self) -> None:
        self.now, self._alarms, self._numbers = 1000.0, list[tuple[float, int, Alarm]](), count()

    def __call__(self) -> float:
        return self.now

    def later(self, seconds: float, act: Callable[[], None]) -> Alarm:
        alarm = Alarm(act)
        heapq.heappush(self._alarms, (self.now + seconds, next(self._numbers), alarm))
        return alarm

    async def turn(self, seconds: float) -> None:
        until = self.now + seconds
        while self._alarms and self._alarms[0][0] <= until:
            due, _, alarm = heapq.heappop(self._alarms)
            self.now = max(self.now, due)
            if alarm.act:
                alarm.act()
                for _ in range(4):
                    await asyncio.sleep(0)
        self.now = until


class Queue:
    """A queue with a clock, and what was created: by whom, with which token, when."""

    def __init__(self, tokens: int = 1, per_minute: float = 600, patience: float = 1000) -> None:
        self.hands, self.patience = Hands(), patience
        self.tokens = Tokens([f"r8_{number}" for number in range(tokens)], self.hands, per_minute)
        self.turns = Turns(self.tokens, self.hands, self.hands.later)
        self.made: list[tuple[str, str, float]] = []
        self.tasks: list[asyncio.Task[None]] = []

    def drain(self) -> None:
        """Other programs have used up all accounts."""
        for token in self.tokens.all:
            token.room.heard(0, self.hands.now)

    async def create(self, share: Share) -> None:
        token = await self.turns.turn(Place(share, self.patience))
        self.made.append((share.key, token.label, self.hands.now))

    async def ask(self, key: str, times: int = 1, weight: int = 10, priority: Priority = "normal") -> None:
        share = Share(key, weight, priority)
        self.tasks += [asyncio.create_task(self.create(share)) for _ in range(times)]
        await asyncio.sleep(0)

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def keys(self) -> list[str]:
        return [key for key, _, _ in self.made]


async def test_a_batch_of_a_thousand_pictures_delays_a_chat_by_no_more_than_one_slot() -> None:
    queue = Queue()
    await queue.ask("pictures", 1000)
    assert len(queue.made) == 600, "what Replicate allows at once goes at once"
    for _ in range(20):
        await queue.hands.turn(1.234)
        asked = queue.hands.now
        await queue.ask("chat")
        await queue.hands.turn(SLOT)
        assert queue.made[-1][0] == "chat" or queue.made[-2][0] == "chat"
        assert max(at for key, _, at in queue.made if key == "chat") - asked <= SLOT + 1e-6
    await queue.hands.turn(60)
    assert queue.keys().count("pictures") == 1000
    assert queue.turns.waiting == 0


async def test_where_there_is_room_nothing_is_waited_for() -> None:
    queue = Queue()
    turn = queue.turns.turn(Place(Share("a"), 0.0))
    with pytest.raises(StopIteration):
        turn.send(None)
    assert queue.turns.waiting == 0


@pytest.mark.parametrize(("weights", "shares"), [((10, 10), (50, 50)), ((30, 10), (75, 25)), ((1, 99), (1, 99))])
async def test_turns_are_shared_by_weight(weights: tuple[int, int], shares: tuple[int, int]) -> None:
    queue = Queue()
    queue.drain()
    for key, weight in zip("ab", weights, strict=True):
        await queue.ask(key, 100, weight)
    await queue.hands.turn(100 * SLOT)
    for key, share in zip("ab", shares, strict=True):
        assert abs(queue.keys()[:100].count(key) - share) <= 1
    await queue.end()


async def test_one_after_another_is_no_way_to_get_more_than_a_share() -> None:
    queue = Queue()
    queue.drain()
    await queue.ask("batch", 50)

    async def one_by_one() -> None:
        while True:
            await queue.create(Share("eager"))

    queue.tasks.append(asyncio.create_task(one_by_one()))
    await queue.hands.turn(40 * SLOT)
    assert abs(queue.keys().count("eager") - 20) <= 1
    await queue.end()


async def test_a_higher_class_goes_first_and_a_lower_one_is_never_starved() -> None:
    queue = Queue()
    queue.drain()
    await queue.ask("low", priority="low")
    await queue.ask("normal", 5)
    for second in range(20):
        await queue.ask("high", 12, priority="high")
        await queue.hands.turn(1)
        if second == 1:
            assert set(queue.keys()) == {"high"}
    assert {"low", "normal"} <= set(queue.keys())
    await queue.end()


async def test_whoever_would_wait_too_long_is_refused_at_once_and_told_when() -> None:
    queue = Queue(patience=2.05)
    queue.drain()
    await queue.ask("batch", 21)
    assert queue.turns.waiting == 20
    refused = queue.tasks[-1].exception()
    assert isinstance(refused, RateLimited)
    assert refused.retry_after == pytest.approx(21 * SLOT, abs=0.01)
    await queue.hands.turn(2)
    assert len(queue.made) == 20
    await queue.ask("batch")
    await queue.hands.turn(SLOT)
    assert len(queue.made) == 21


async def test_whoever_is_overtaken_for_too_long_is_refused_then() -> None:
    queue = Queue(patience=2.0)
    queue.drain()
    await queue.ask("low", priority="low")
    for _ in range(4):
        await queue.ask("high", 10, priority="high")
        await queue.hands.turn(0.6)
    assert isinstance(queue.tasks[0].exception(), RateLimited)
    await queue.end()


async def test_one_who_leaves_the_queue_leaves_no_trace() -> None:
    queue = Queue()
    queue.drain()
    waiting = [asyncio.ensure_future(queue.turns.turn(Place(Share("gone"), 100))) for _ in range(50)]
    await asyncio.sleep(0)
    await queue.ask("stays", 3)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await queue.hands.turn(3 * SLOT)
    assert queue.keys() == ["stays"] * 3


async def test_a_turn_that_comes_to_one_who_is_leaving_goes_to_the_next() -> None:
    queue = Queue()
    queue.drain()
    await queue.ask("leaves")
    await queue.ask("next")
    # Granted and cancelled in one tick, as it happens.
    queue.hands.now += SLOT
    queue.turns._serve()
    queue.tasks[0].cancel()
    await asyncio.gather(queue.tasks[0], return_exceptions=True)
    await queue.hands.turn(0.001)
    assert queue.keys() == ["next"]


async def test_several_tokens_serve_the_sum_of_what_they_have() -> None:
    queue = Queue(tokens=3)
    queue.drain()
    await queue.ask("a", 300)
    await queue.hands.turn(10)
    assert len(queue.made) == 300
    used = [label for _, label, _ in queue.made]
    assert all(abs(used.count(label) - 100) <= 1 for label in set(used))
    assert len(set(used)) == 3


async def test_a_slow_token_is_used_as_far_as_it_goes() -> None:
    queue = Queue(tokens=2)
    queue.drain()
    queue.tokens.all[0].room.slow(6, 1, queue.hands.now)
    queue.tokens.all[0].room.rest(5, queue.hands.now)
    await queue.ask("a", 400)
    await queue.hands.turn(30)
    used = [label for _, label, _ in queue.made]
    assert used.count("token 1 of 2") == 3
    assert used.count("token 2 of 2") == 300
    await queue.end()


async def test_a_place_that_comes_again_keeps_its_rank() -> None:
    queue = Queue()
    queue.drain()
    await queue.ask("a", 5)
    place = Place(Share("a"), 100)
    place.start = place.number = 0.0
    place.came = queue.hands.now
    again = asyncio.ensure_future(queue.turns.turn(place))
    await asyncio.sleep(0)
    await queue.hands.turn(SLOT)
    assert again.done()
    assert queue.made == []
    await queue.end()


@given(asks=some.lists(some.tuples(some.sampled_from("abc"), some.floats(0, 0.5), some.booleans()), max_size=60))
def test_whatever_happens_all_are_served_or_gone_and_never_faster_than_allowed(
    asks: list[tuple[str, float, bool]],
) -> None:
    async def holds() -> None:
        queue = Queue(per_minute=60)
        queue.drain()
        for key, pause, leaves in asks:
            await queue.ask(key)
            await queue.hands.turn(pause)
            if leaves:
                queue.tasks[-1].cancel()
        await queue.hands.turn(70)
        await asyncio.gather(*queue.tasks, return_exceptions=True)
        assert queue.turns.waiting == 0
        assert len(queue.made) == sum(not task.cancelled() for task in queue.tasks)
        moments = [at for _, _, at in queue.made]
        assert all(after - before > 0.99 for before, after in pairwise(moments))
        assert queue.turns._finishes == {}

    asyncio.run(holds())


def test_a_room_believes_no_more_than_replicate_says_is_left() -> None:
    room, now = Room(600, 0.0), 0.0
    assert room.left(now) == 600
    room.heard(40, now)
    assert room.left(now) == 40
    room.heard(300, now)
    assert room.left(now) == 40, "it may be the answer to an older request"
    assert room.left(now + 1) == 50
    room.rest(5, now)
    assert (room.left(now + 4.999), room.left(now + 5.001)) == (0, 1)


def test_a_slower_pace_holds_until_replicate_says_otherwise_or_for_a_while() -> None:
    for ends in (lambda room: room.heard(599, 10.0), lambda room: room.opens(10 + SLOW_SECONDS)):
        room = Room(600, 0.0)
        room.slow(6, 1, 10.0)
        room.rest(5, 10.0)
        assert room.opens(10.0) == pytest.approx(5)
        room.heard(0, 10.0)
        assert room.slowed
        ends(room)
        assert not room.slowed
        assert room.left(10 + SLOW_SECONDS) >= 1
        assert room.spacing == SLOT

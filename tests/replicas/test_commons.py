"""What Replicate allows one account is one for all gateways that use its token."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.accounts.commons import Commons
from gateway.simulator import Settings, Simulator
from gateway.store.shared import Shared
from gateway.upstream.allowance import Allowance
from gateway.upstream.room import Room
from gateway.upstream.tokens import Tokens
from gateway.upstream.turns import Place, Turns
from gateway.upstream.turns import Share as Line
from tests.journeys.test_leaving import until
from tests.opened import holds
from tests.replicas.shared import Redis, Replica
from tests.replicas.test_shares import CLOCK, Hand, at, reached

PER_MINUTE = 1200.0
SLOT = 60 / PER_MINUTE


class Queue:
    """One gateway's queue of creates, as `app` joins it to the others'."""

    def __init__(self, shared: Shared, made: list[tuple[str, str, float]]) -> None:
        self.shared, self.commons, self.made = shared, Commons(shared), made
        self.tokens = Tokens(["r8_test"], time.monotonic, PER_MINUTE)
        self.room = self.tokens.all[0].room
        self.room.common = self.commons.of("test", PER_MINUTE, PER_MINUTE)
        self.turns = Turns(self.tokens, time.monotonic)
        self.tasks: list[asyncio.Task[None]] = []

    async def create(self, key: str) -> None:
        await self.turns.turn(Place(Line(key), 1000))
        self.made.append((self.shared.owner, key, time.monotonic()))

    def ask(self, key: str, times: int = 1) -> None:
        self.tasks += [asyncio.create_task(self.create(key)) for _ in range(times)]


class Several:
    """Gateways on one Redis, and what they created: which of them, for whom, when."""

    def __init__(self, url: str) -> None:
        self.url, self.began, self.made = url, time.monotonic(), list[tuple[str, str, float]]()
        self.gateways: list[Queue] = []
        self._opened, self._names = AsyncExitStack(), count(1)

    async def more(self, number: int) -> None:
        for _ in range(number):
            shared = await Shared.open(at(self.url, 60, 1), "test", f"gateway {next(self._names)}")
            self._opened.push_async_callback(shared.aclose)
            self.gateways.append(Queue(shared, self.made))
        for each in self.gateways:
            await each.shared.beat()

    async def aclose(self) -> None:
        for each in self.gateways:
            for task in each.tasks:
                task.cancel()
            await asyncio.gather(*each.tasks, return_exceptions=True)
            await each.commons.aclose()
        await self._opened.aclose()

    def never_too_fast(self) -> None:
        """Nobody knew what was created before: each has to wait for what fills up."""
        for place, (_, _, instant) in enumerate(sorted(self.made, key=lambda each: each[2]), 1):
            assert place <= (instant - self.began) / SLOT + 0.1


@pytest.fixture
async def several(own_store: Redis) -> AsyncIterator[Several]:
    gateways = Several(own_store.url)
    yield gateways
    await gateways.aclose()


async def test_three_gateways_together_create_as_many_as_one_may_and_take_turns(several: Several) -> None:
    await several.more(3)
    for each in several.gateways:
        each.ask("batch", 60)
    await holds(lambda: len(several.made) >= 60, 60)
    several.never_too_fast()
    whose = [owner for owner, _, _ in several.made[:60]]
    assert all(17 <= whose.count(each.shared.owner) <= 23 for each in several.gateways)


async def test_what_filled_up_goes_to_whoever_asks_first_and_at_once(several: Several) -> None:
    await several.more(2)
    one, two = several.gateways
    await asyncio.sleep(10 * SLOT)
    one.ask("a", 30)
    two.ask("b", 30)
    await holds(lambda: len(several.made) >= 50, 60)
    several.never_too_fast()


async def test_a_batch_at_one_gateway_delays_a_chat_at_another_by_little_more_than_one_slot(several: Several) -> None:
    await several.more(2)
    one, two = several.gateways
    one.ask("pictures", 500)
    await holds(lambda: one.turns.waiting > 450 and len(several.made) > 3, 30)
    for chats in range(1, 5):
        before = len(several.made)
        two.ask("chat")
        await holds(lambda chats=chats: [key for _, key, _ in several.made].count("chat") == chats, 30)  # type: ignore[misc]
        keys = [key for _, key, _ in several.made][before:]
        # The one drawn before it came, and one that may be drawn while it asks.
        assert keys.index("chat") <= 2
    several.never_too_fast()


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_without_redis_each_keeps_to_its_part_and_together_again_they_begin_with_nothing(
    several: Several, own_store: Redis, how: str
) -> None:
    await several.more(2)
    for each in several.gateways:
        each.ask("batch", 200)
    await holds(lambda: len(several.made) >= 20, 30)
    own_store.freeze() if how == "frozen" else own_store.kill()
    await holds(lambda: all(each.room.apart for each in several.gateways), 30)
    assert [each.room.per_minute for each in several.gateways] == [PER_MINUTE / 2] * 2
    so_far = len(several.made)
    await holds(lambda: len(several.made) >= so_far + 20, 30)
    own_store.thaw() if how == "frozen" else own_store.start()
    for each in several.gateways:
        await reached(each.shared)
    await holds(lambda: not any(each.room.apart for each in several.gateways), 30)
    so_far = len(several.made)
    await holds(lambda: len(several.made) >= so_far + 20, 30)
    assert [each.room.per_minute for each in several.gateways] == [PER_MINUTE] * 2
    several.never_too_fast()


async def test_what_one_learns_the_others_keep_to(several: Several) -> None:
    await several.more(2)
    one, two = several.gateways
    one.ask("a")
    two.ask("b")
    await holds(lambda: len(several.made) == 2)
    one.room.slow(6, 1, time.monotonic())
    one.room.rest(30, time.monotonic())
    await one.commons.aclose()
    asking = asyncio.create_task(two.create("late"))
    await holds(lambda: two.room.slowed)
    assert (two.room.per_minute, two.room.burst) == (6, 1)
    assert two.turns._foretold(Place(Line("new"), 1)) > 15
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    one.room.heard(500, time.monotonic())
    await one.commons.aclose()
    two.ask("again")
    await holds(lambda: len(several.made) == 3)
    assert not two.room.slowed


async def test_whoever_leaves_while_he_asks_takes_nothing_along(several: Several, own_store: Redis) -> None:
    await several.more(1)
    gateway, probe = several.gateways[0], several.gateways[0].commons.of("test", PER_MINUTE, PER_MINUTE)
    await holds(lambda: time.monotonic() - several.began > 4 * SLOT)
    before = await probe.take(anew=True)
    assert before
    own_store.freeze()
    gateway.ask("leaves", 3)
    await asyncio.sleep(0.02)
    for task in gateway.tasks:
        task.cancel()
    await asyncio.gather(*gateway.tasks, return_exceptions=True)
    own_store.thaw()
    await gateway.commons.aclose()
    after = await probe.reserve(anew=False)
    assert after
    assert after.full_in <= before.full_in + SLOT
    assert several.made == []


async def test_how_long_it_will_take_is_told_by_how_many_gateways_take_turns(several: Several) -> None:
    await several.more(3)
    for each in several.gateways:
        each.ask("batch", 100)
    await holds(lambda: all(each.room.queues == 3 for each in several.gateways), 30)
    first = several.gateways[0]
    place = Place(Line("batch"), 1000)
    first.turns._join(place, time.monotonic())
    told, ahead = first.turns._foretold(place), first.turns.waiting
    assert (ahead - 2) * 3 * SLOT <= told <= (ahead + 3) * 3 * SLOT
    first.turns._part_with(place)


async def test_polls_of_two_gateways_are_paced_as_those_of_one(own_store: Redis) -> None:
    async with AsyncExitStack() as opened:
        allowances, began, polls = [], time.monotonic(), 0
        for name in ("one", "two"):
            shared = await Shared.open(at(own_store.url, 60, 5), "test", name)
            opened.push_async_callback(shared.aclose)
            allowance, commons = Allowance(600, time.monotonic), Commons(shared)
            opened.push_async_callback(commons.aclose)
            allowance.common = commons.of("polls", 600, 10)
            allowances.append(allowance)

        async def poll(allowance: Allowance) -> None:
            nonlocal polls
            for _ in range(10):
                await allowance.turn()
                polls += 1
                assert polls <= (time.monotonic() - began) / 0.1 + 0.1

        await asyncio.gather(*map(poll, allowances))
        for _ in range(10):
            allowances[0].spend()
        before = time.monotonic()
        await allowances[1].turn()
        assert time.monotonic() - before > 0.9, "what one sent without waiting, the other waits for"


acts = st.one_of(
    st.tuples(st.just("take"), st.just(0), st.just(0)),
    st.tuples(st.just("give"), st.just(0), st.just(0)),
    st.tuples(st.just("heard"), st.integers(0, 600), st.just(0)),
    st.tuples(st.just("slow"), st.integers(1, 700), st.integers(1, 700)),
    st.tuples(st.just("rest"), st.integers(0, 30), st.just(0)),
    st.tuples(st.just("turn"), st.integers(1, 90_000_000), st.just(0)),
)


@given(st.lists(acts, max_size=25))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_whatever_happens_redis_says_what_one_gateway_says(own_store: Redis, story: list[tuple[str, int, int]]) -> None:
    asyncio.run(tell(own_store, story))


async def tell(own_store: Redis, story: list[tuple[str, int, int]]) -> None:
    hand = Hand(own_store.url)
    hand.client.flushdb()
    hand.set(1_000_000_000)
    shared = await Shared.open(at(own_store.url), "test", "one")
    common = Commons(shared, CLOCK).of("room", 600, 600)
    begun = await common._asked("give", 0)
    assert begun
    assert begun.full_in == 60, "one that nobody knows of is empty"
    hand.set(hand.micros + 60_000_000)
    room, given = Room(600, hand.micros / 1e6), 0
    for act, first, second in story:
        now = hand.micros / 1e6
        match act:
            case "take":
                told = await common.take(anew=False)
                fits = room.opens(now) <= 1e-6
                assert told
                assert bool(told.taken) == fits
                if fits:
                    room.take(now)
                    given += 1
            case "give" if given:
                room.give_back()
                await common._asked("give", 1)
                given -= 1
            case "heard":
                room.heard(first, now)
                await common._asked("heard", first)
            case "slow":
                room.slow(first, second, now)
                await common._asked("slow", first, second, 300)
            case "rest":
                room.rest(first, now)
                await common._asked("rest", first)
            case "turn":
                hand.set(hand.micros + first)
        room.opens(hand.micros / 1e6)
        stands = await common._asked("give", 0)
        assert stands
        assert (stands.per_minute, stands.burst, stands.slow_in > 0) == (room.per_minute, room.burst, room.slowed)
        assert stands.full_in == pytest.approx(room._full_at - hand.micros / 1e6, abs=1e-4)
    await shared.aclose()
    hand.client.close()


def standing(of: Replica) -> str:
    return str(httpx.get(f"{of.url}/health/ready", timeout=30).json()["limits"])


@pytest.mark.slow
def test_replicate_never_throttles_two_gateways_that_share_its_allowance_with_redis_and_without(
    tmp_path: Path, books: str, own_store: Redis
) -> None:
    pace = {"REPLIGATE__UPSTREAM__CREATES_PER_MINUTE": "300"}
    with Simulator(Settings(limits="normal", creates_per_minute=300, pace=2000)) as upstream:
        one = Replica(tmp_path / "one", upstream.base_url, books, own_store.url, environ=pace)
        with one, Replica(tmp_path / "two", upstream.base_url, books, own_store.url, environ=pace, key=one.key) as two:
            pair = (one, two)
            until(lambda: [httpx.get(f"{each.url}/health/ready").json()["replicas"] for each in pair] == [2, 2], 30)
            with httpx.Client(base_url=upstream.base_url, headers={"authorization": "Bearer r8_test"}) as other:
                while other.post("/models/sim/no/predictions").status_code != 429:
                    pass
            clients = [each.openai(timeout=60) for each in pair]
            before = len(upstream.requests())

            def talk(number: int) -> None:
                talks = clients[number % 2].chat.completions
                talks.create(model="sim/echo", messages=[{"role": "user", "content": "Hello"}])

            def all_talk() -> None:
                with ThreadPoolExecutor(8) as threads:
                    list(threads.map(talk, range(8)))

            all_talk()
            own_store.kill()
            all_talk()
            until(lambda: {standing(each) for each in pair} == {"own share"}, 30)
            all_talk()
            own_store.start()
            until(lambda: {standing(each) for each in pair} == {"shared"}, 30)
            all_talk()
            statuses = [one.status for one in upstream.requests()[before:] if one.path.endswith("/predictions")]
            assert statuses == [201] * 32

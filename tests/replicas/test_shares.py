"""Limits in Redis decide as those in memory do, for all gateways together."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.accounts.limits import Limiter, Slot
from gateway.accounts.paces import Paces
from gateway.accounts.rates import Estimate, Scope
from gateway.accounts.shares import Shares
from gateway.config import ConfigError, LimitsConfig, SharedConfig
from gateway.errors import RateLimited
from gateway.store.shared import Shared
from tests.opened import holds
from tests.replicas.shared import Redis

LEASE = 30.0
CLOCK = "redis.call('LRANGE', 'hand', 0, 1)"


def at(url: str, lease_seconds: float = 5, patience_seconds: float = 5) -> SharedConfig:
    return SharedConfig(redis=url, lease_seconds=lease_seconds, patience_seconds=patience_seconds)


class Hand:
    """One clock for both, turned by the test: in memory it tells nanoseconds, in Redis seconds and microseconds."""

    def __init__(self, url: str) -> None:
        self.client = redis.Redis.from_url(url)
        self.micros = 0
        self.set(1_000_000_000)

    def __call__(self) -> int:
        return self.micros * 1000

    def set(self, micros: int) -> None:
        self.micros = micros
        self.client.delete("hand")
        self.client.rpush("hand", *divmod(micros, 10**6))


@pytest.fixture
async def shared(own_store: Redis) -> AsyncIterator[Shared]:
    opened = await Shared.open(at(own_store.url, 5), "test", "one")
    yield opened
    await opened.aclose()


def scope(whose: str = "key", id: str = "k", **limits: int) -> Scope:
    return Scope(whose, id, LimitsConfig(**limits))  # type: ignore[arg-type]


async def outcome(limiter: Limiter, scopes: list[Scope], estimate: Estimate) -> tuple[object, Slot | None]:
    """What a client is told, and the place if there is one."""
    try:
        slot = await limiter.admit(scopes, estimate)
    except RateLimited as refused:
        return (refused.message, refused.retry_after, dict(refused.standing)), None
    return slot.headers(), slot


async def reached(shared: Shared) -> None:
    async with asyncio.timeout(10):
        while not shared.up:
            await shared.beat()


steps = st.one_of(
    st.tuples(st.just("admit"), st.integers(0, 60), st.integers(0, 4)),
    st.tuples(st.just("leave"), st.integers(0, 80), st.integers(0, 5)),
    st.tuples(st.just("vanish"), st.just(0), st.just(0)),
    st.tuples(st.just("turn"), st.integers(0, 20_000_000), st.just(0)),
    st.tuples(st.just("change"), st.integers(0, 2), st.just(0)),
)
KEYS = (
    {"requests_per_minute": 7, "tokens_per_minute": 100, "calls_at_once": 3},
    {"requests_per_minute": 11, "tokens_per_minute": 60, "images_per_minute": 5},
    {"tokens_per_minute": 130},
)
TEAM = {"tokens_per_minute": 150, "images_per_minute": 9, "calls_at_once": 5}


@example([("admit", 40, 0), ("change", 1, 0), ("admit", 12, 0), ("turn", 600, 0), ("admit", 0, 0)])
@given(st.lists(steps, max_size=25))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_whatever_happens_redis_says_what_memory_says(own_store: Redis, story: list[tuple[str, int, int]]) -> None:
    asyncio.run(tell(own_store, story))


async def tell(own_store: Redis, story: list[tuple[str, int, int]]) -> None:
    hand = Hand(own_store.url)
    hand.client.flushdb()
    hand.set(1_000_000_000)
    shared = await Shared.open(at(own_store.url, 5), "test", "one")
    memory, store = Paces(LEASE, hand), Shares(shared, LEASE, Paces(LEASE, hand), CLOCK)
    running: list[tuple[Slot | None, Slot | None]] = []
    which = 0
    for act, amount, images in story:
        scopes = [scope(**KEYS[which]), scope("team", "t", **TEAM)]
        match act:
            case "admit":
                expected, one = await outcome(memory, scopes, Estimate(amount, images, amount % 7))
                told, other = await outcome(store, scopes, Estimate(amount, images, amount % 7))
                assert told == expected
                running.append((one, other))
            case "leave" | "vanish" if running:
                pair = running.pop(0)
                for slot in filter(None, pair):
                    if act == "leave":
                        slot.settle(amount, images)
                    slot.release()
                await store.aclose()
            case "turn":
                hand.set(hand.micros + amount)
            case "change":
                which = amount
    await shared.aclose()
    hand.client.close()


async def test_gateways_share_the_calls_at_once_and_a_dead_ones_come_back(own_store: Redis, shared: Shared) -> None:
    other = await Shared.open(at(own_store.url, 0.5), "test", "two")
    one, two = (Shares(each, LEASE, Paces(LEASE)) for each in (shared, other))
    limit = [scope(calls_at_once=2)]
    await one.admit(limit, Estimate())
    await two.admit(limit, Estimate())
    with pytest.raises(RateLimited):
        await one.admit(limit, Estimate())
    assert (await shared.beat(), shared.replicas) == (1.0, 2)
    await other.aclose()  # without giving back what it holds
    await one.admit(limit, Estimate())
    with pytest.raises(RateLimited):
        await one.admit(limit, Estimate())


async def test_a_caller_cancelled_while_it_asks_holds_no_place(own_store: Redis, shared: Shared) -> None:
    shares, limit = Shares(shared, LEASE, Paces(LEASE)), [scope(calls_at_once=1, tokens_per_minute=100)]
    own_store.freeze()
    asking = asyncio.create_task(shares.admit(limit, Estimate(tokens=80)))
    await asyncio.sleep(0.02)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    own_store.thaw()
    await shares.aclose()
    assert (await shares.admit(limit, Estimate(tokens=100))).headers()["x-ratelimit-remaining-tokens"] == "0"


@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_without_the_store_each_takes_its_share_and_nobody_hangs(own_store: Redis, how: str) -> None:
    shared = await Shared.open(at(own_store.url, 60, 0.2), "test", "one")
    other = await Shared.open(at(own_store.url, 60), "test", "two")
    await shared.beat()
    shares, limit = Shares(shared, LEASE, Paces(LEASE)), [scope(requests_per_minute=10, tokens_per_minute=1000)]
    own_store.freeze() if how == "frozen" else own_store.kill()
    loop = asyncio.get_running_loop()
    began = loop.time()
    # Larger than the share, not than the limit: it takes the whole share.
    slot = await shares.admit(limit, Estimate(tokens=900))
    assert slot.headers()["x-ratelimit-limit-tokens"] == "500"
    assert loop.time() - began < 2
    assert not shared.up
    slot.settle(100, 0)
    slot.release()
    for _ in range(4):
        await shares.admit(limit, Estimate(tokens=1))
    with pytest.raises(RateLimited, match="Limit 5, Used 5"):
        await shares.admit(limit, Estimate(tokens=1))
    own_store.thaw() if how == "frozen" else own_store.start()
    await reached(shared)
    await shares.catch_up()
    after = await shares.admit(limit, Estimate(tokens=1000))
    assert after.headers()["x-ratelimit-limit-requests"] == "10"
    await shared.aclose()
    await other.aclose()


async def test_an_end_that_could_not_be_told_is_told_later(own_store: Redis) -> None:
    shared = await Shared.open(at(own_store.url, 60, 0.2), "test", "one")
    shares, limit = Shares(shared, LEASE, Paces(LEASE)), [scope(calls_at_once=1)]
    slot = await shares.admit(limit, Estimate())
    own_store.freeze()
    slot.release()
    await holds(lambda: not shared.up)
    own_store.thaw()
    await reached(shared)
    await shares.catch_up()
    await shares.admit(limit, Estimate())
    await shared.aclose()


async def test_without_a_store_at_the_start_nobody_can_tell_how_many_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"shared\.redis: .*start only where they can find each other"):
        await Shared.open(at("redis://:hidden@127.0.0.1:9/0"), "test", "one")
    with pytest.raises(ConfigError, match=r"no redis://"):
        await Shared.open(at("http://127.0.0.1"), "test", "one")

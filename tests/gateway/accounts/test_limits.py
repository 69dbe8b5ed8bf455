"""Limits: a key never goes faster than it may, is told exactly when to come back, and its places always return."""

import asyncio
import tracemalloc
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import errors
from gateway.accounts.keys import KeyLimits, VirtualKey
from gateway.accounts.limits import Limits, Slot
from gateway.accounts.paces import Paces
from gateway.accounts.rates import Estimate, duration
from gateway.config import LimitsConfig
from gateway.errors import RateLimited

SECOND = 10**9
LEASE = 660
NOTHING = Estimate()


@dataclass
class Hand:
    """A clock that tells the nanoseconds the test has turned it to."""

    now: int = 5 * SECOND

    def __call__(self) -> int:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


@pytest.fixture
def clock() -> Hand:
    return Hand()


def limits(clock: Hand, **defaults: int) -> Limits:
    return Limits(LimitsConfig(**defaults), Paces(LEASE, clock))


def remembered(limits: Limits) -> int:
    assert isinstance(limits.limiter, Paces)
    return len(limits.limiter)


def key(name: str = "key_a", **own: int) -> VirtualKey:
    told = KeyLimits(**own) if own else None
    return VirtualKey(id=name, name=name, prefix="sk-abcdefg", state="active", created_at=0, limits=told)


async def refusal(limits: Limits, who: VirtualKey, estimate: Estimate = NOTHING) -> RateLimited:
    with pytest.raises(RateLimited) as refused:
        await limits.admit(who, estimate)
    return refused.value


async def used_up(limits: Limits, who: VirtualKey, estimate: Estimate) -> None:
    while True:
        await limits.admit(who, estimate)


def wait_of(error: RateLimited) -> float:
    assert error.retry_after is not None
    return error.retry_after


def remaining(slot: Slot, rate: str = "tokens") -> int:
    return int(slot.headers()[f"x-ratelimit-remaining-{rate}"])


async def test_a_key_without_limits_is_never_refused_and_never_remembered(clock: Hand) -> None:
    paces = limits(clock)
    slots = [await paces.admit(key(), Estimate(10**9, 10**9)) for _ in range(1000)]
    assert remembered(paces) == 0
    for slot in slots:
        slot.settle(10**9, 5)
        slot.release()
        assert slot.headers() == {}


async def test_the_request_too_many_is_refused_in_openais_words(clock: Hand) -> None:
    paces = limits(clock, requests_per_minute=3)
    for _ in range(3):
        (await paces.admit(key(), NOTHING)).release()
    error = await refusal(paces, key())
    assert (error.status, error.type, error.code, error.param) == (429, "requests", "rate_limit_exceeded", None)
    assert error.message == (
        "Rate limit reached for this key on requests per min (RPM): Limit 3, Used 3, Requested 1. "
        "Please try again in 20s."
    )
    assert errors.headers(error) == {
        "retry-after": "20",
        "retry-after-ms": "20000",
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
    }


async def test_tokens_are_refused_as_tokens(clock: Hand) -> None:
    paces = limits(clock, tokens_per_minute=100_000)
    for _ in range(2):
        await paces.admit(key(), Estimate(tokens=40_000))
    error = await refusal(paces, key(), Estimate(tokens=40_000))
    assert (error.type, error.code) == ("tokens", "rate_limit_exceeded")
    assert "tokens per min (TPM): Limit 100000, Used 80000, Requested 40000. Please try again in 12s." in error.message


@pytest.mark.parametrize(
    ("per_minute", "wanted"),
    [
        ({"requests_per_minute": 7}, NOTHING),
        ({"tokens_per_minute": 9_999}, Estimate(tokens=1_234)),
        ({"images_per_minute": 11}, Estimate(images=4)),
    ],
)
async def test_whoever_waits_as_told_is_admitted_and_a_millisecond_earlier_is_not(
    clock: Hand, per_minute: dict[str, int], wanted: Estimate
) -> None:
    paces = limits(clock, **per_minute)
    with pytest.raises(RateLimited) as refused:
        await used_up(paces, key(), wanted)
    wait = int(errors.headers(refused.value)["retry-after-ms"])
    clock.turn((wait - 1) / 1000)
    assert wait_of(await refusal(paces, key(), wanted)) == 0.001
    clock.turn(0.001)
    await paces.admit(key(), wanted)
    await refusal(paces, key(), wanted)


@pytest.mark.parametrize("wait", [0.0004, 0.9, 1.0, 1.001, 2.001, 20.0, 59.9999])
def test_no_header_sends_a_client_back_too_early(wait: float) -> None:
    told = errors.headers(RateLimited("", retry_after=wait))
    assert float(told["retry-after"]) >= wait
    assert float(told["retry-after"]) < wait + 1


async def test_a_refused_call_uses_up_nothing(clock: Hand) -> None:
    paces = limits(clock, requests_per_minute=5, tokens_per_minute=100, images_per_minute=5, calls_at_once=2)
    first = await paces.admit(key(), Estimate(tokens=90))
    for _ in range(50):
        await refusal(paces, key(), Estimate(tokens=20))
    second = await paces.admit(key(), Estimate(tokens=10, images=5))
    assert (remaining(second), remaining(second, "requests")) == (0, 3)
    second.release()
    for _ in range(50):
        await refusal(paces, key(), Estimate(images=1))
    first.settle(0, 0)
    assert remaining(await paces.admit(key(), Estimate(tokens=60)), "requests") == 2


async def test_the_longest_wait_is_told_for_then_everything_fits(clock: Hand) -> None:
    paces = limits(clock, requests_per_minute=60, tokens_per_minute=100)
    for _ in range(60):
        await paces.admit(key(), Estimate(tokens=1))
    wanted = Estimate(tokens=100)
    error = await refusal(paces, key(), wanted)
    assert (error.type, wait_of(error)) == ("tokens", 36.0)
    clock.turn(36)
    await paces.admit(key(), wanted)


async def test_what_can_never_fit_is_refused_for_good(clock: Hand) -> None:
    paces = limits(clock, tokens_per_minute=1000)
    error = await refusal(paces, key(), Estimate(tokens=1001))
    assert "Request too large for this key on tokens per min (TPM): Limit 1000, Requested 1001." in error.message
    assert (error.type, error.retry_after, error.should_retry) == ("tokens", None, False)
    assert errors.headers(error)["x-ratelimit-remaining-tokens"] == "1000"


async def test_an_estimate_moves_to_the_real_count(clock: Hand) -> None:
    paces = limits(clock, tokens_per_minute=1000, images_per_minute=10)
    slot = await paces.admit(key(), Estimate(tokens=900, images=9))
    await refusal(paces, key(), Estimate(tokens=900))
    slot.settle(tokens=40, images=2)
    assert remaining(slot) == 960
    await paces.admit(key(), Estimate(tokens=900, images=8))
    await refusal(paces, key(), Estimate(images=1))


async def test_more_than_was_estimated_is_paid_off_before_the_next_call(clock: Hand) -> None:
    paces = limits(clock, tokens_per_minute=60)
    (await paces.admit(key(), Estimate(tokens=1))).settle(tokens=180, images=0)
    assert wait_of(await refusal(paces, key(), Estimate(tokens=1))) == 121
    assert (await refusal(paces, key(), Estimate(tokens=1))).standing["x-ratelimit-reset-tokens"] == "3m0s"


async def test_an_estimate_that_nobody_settled_stands(clock: Hand) -> None:
    paces = limits(clock, tokens_per_minute=1000)
    slot = await paces.admit(key(), Estimate(tokens=900))
    slot.release()
    slot.settle(tokens=0, images=0)
    assert remaining(slot) == 100


async def test_settling_or_releasing_twice_changes_nothing(clock: Hand) -> None:
    paces = limits(clock, tokens_per_minute=1000, calls_at_once=2)
    slot, _ = await paces.admit(key(), Estimate(tokens=500)), await paces.admit(key(), NOTHING)
    for _ in range(3):
        slot.settle(tokens=100, images=0)
        slot.release()
    assert remaining(slot) == 900
    await paces.admit(key(), NOTHING)
    await refusal(paces, key())


async def test_calls_at_once_wait_for_a_place_and_any_release_makes_one(clock: Hand) -> None:
    paces = limits(clock, calls_at_once=8)
    slots = [await paces.admit(key(), NOTHING) for _ in range(8)]
    error = await refusal(paces, key())
    assert error.message.startswith("Rate limit reached for this key on calls at once: Limit 8, Used 8, Requested 1.")
    assert (error.type, error.code, wait_of(error)) == ("requests", "rate_limit_exceeded", 1.0)
    slots[3].release()
    await paces.admit(key(), NOTHING)
    await refusal(paces, key())


async def test_a_place_that_nobody_gives_back_returns_when_its_lease_ends(clock: Hand) -> None:
    paces = limits(clock, calls_at_once=1, tokens_per_minute=100)
    lost = await paces.admit(key(), Estimate(tokens=50))
    clock.turn(LEASE - 0.001)
    await refusal(paces, key())
    clock.turn(0.001)
    slot = await paces.admit(key(), Estimate(tokens=100))
    lost.settle(0, 0)
    lost.release()
    assert remaining(slot) == 0
    await refusal(paces, key())


async def test_keys_do_not_slow_each_other_down(clock: Hand) -> None:
    paces = limits(clock, requests_per_minute=1, calls_at_once=1)
    for name in "abc":
        await paces.admit(key(name), NOTHING)
    for name in "abc":
        await refusal(paces, key(name))


async def test_what_a_key_says_itself_wins_and_zero_is_without_limit(clock: Hand) -> None:
    paces = limits(clock, requests_per_minute=1, tokens_per_minute=10)
    own = key("key_own", requests_per_minute=3, tokens_per_minute=0)
    slots = [await paces.admit(own, Estimate(tokens=10**6)) for _ in range(3)]
    await refusal(paces, own)
    assert {name for name in slots[0].headers() if "limit-" in name[12:]} == {"x-ratelimit-limit-requests"}
    free = key("key_free", requests_per_minute=0, tokens_per_minute=0)
    for _ in range(50):
        await paces.admit(free, Estimate(tokens=10**6))


async def test_limits_that_change_hold_at_once_and_keep_what_was_used(clock: Hand) -> None:
    paces = limits(clock, requests_per_minute=10)
    for _ in range(10):
        await paces.admit(key(), NOTHING)
    paces.defaults = LimitsConfig(requests_per_minute=20)
    slots = [await paces.admit(key(), NOTHING) for _ in range(10)]
    await refusal(paces, key())
    paces.defaults = LimitsConfig(calls_at_once=25)
    await paces.admit(key(), NOTHING)
    assert slots[0].headers() == {}
    for slot in slots:
        slot.settle(5, 5)
        slot.release()
    paces.defaults = LimitsConfig()
    for _ in range(50):
        await paces.admit(key(), NOTHING)


async def test_keys_that_idle_are_forgotten(clock: Hand) -> None:
    paces = limits(clock, requests_per_minute=60, calls_at_once=5)
    busy = await paces.admit(key("busy"), NOTHING)
    for each in range(10_000):
        (await paces.admit(key(f"key_{each}"), NOTHING)).release()
        clock.turn(0.01)
    assert remembered(paces) < 210
    busy.release()
    clock.turn(60)
    for _ in range(210):
        (await paces.admit(key(), NOTHING)).release()
        clock.turn(1)
    assert remembered(paces) == 1


async def test_thousands_of_calls_leave_nothing_behind(clock: Hand) -> None:
    paces, who = limits(clock, requests_per_minute=10**9, tokens_per_minute=10**9, calls_at_once=9), key()

    async def calls(count: int) -> None:
        for _ in range(count):
            slot = await paces.admit(who, Estimate(tokens=50))
            slot.settle(40, 0)
            slot.release()

    tracemalloc.start()
    try:
        await calls(4_000)  # until Python's own free lists are full
        before = tracemalloc.get_traced_memory()[0]
        await calls(5_000)
        assert tracemalloc.get_traced_memory()[0] - before < 5_000
    finally:
        tracemalloc.stop()


def member(name: str, team: str = "red", own: KeyLimits | None = None, **shared: int) -> VirtualKey:
    return msgspec.structs.replace(key(name), team=team, limits=own, team_limits=KeyLimits(**shared))


async def test_a_team_shares_its_limits_and_the_refusal_says_so(clock: Hand) -> None:
    paces = limits(clock)
    ann, bob = member("ann", tokens_per_minute=1000), member("bob", tokens_per_minute=1000)
    await paces.admit(ann, Estimate(tokens=800))
    error = await refusal(paces, bob, Estimate(tokens=300))
    assert error.message.startswith("Rate limit reached for this key's team on tokens per min (TPM): Limit 1000")
    assert wait_of(error) == 6.0
    await paces.admit(member("eve", team="blue", tokens_per_minute=1000), Estimate(tokens=1000))
    clock.turn(6)
    await paces.admit(bob, Estimate(tokens=300))


async def test_what_the_team_refuses_uses_up_nothing_of_the_key_nor_the_other_way_round(clock: Hand) -> None:
    paces = limits(clock)
    own = KeyLimits(requests_per_minute=2)
    ann, bob = member("ann", own=own, images_per_minute=4), member("bob", own=own, images_per_minute=4)
    await paces.admit(bob, Estimate(images=3))
    for _ in range(5):
        assert "team on images" in (await refusal(paces, ann, Estimate(images=2))).message
    for _ in range(2):
        slot = await paces.admit(ann, NOTHING)
    for _ in range(5):
        assert "this key on requests" in (await refusal(paces, ann, Estimate(images=1))).message
    assert remaining(slot, "images") == 1


async def test_the_headers_tell_the_tighter_of_two_limits(clock: Hand) -> None:
    paces = limits(clock)
    own = KeyLimits(requests_per_minute=100, tokens_per_minute=50)
    slot = await paces.admit(member("ann", own=own, requests_per_minute=10, tokens_per_minute=5000), NOTHING)
    told = slot.headers()
    assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == ("10", "9")
    assert (told["x-ratelimit-limit-tokens"], told["x-ratelimit-remaining-tokens"]) == ("50", "50")


async def test_a_teams_places_return_with_those_of_its_keys(clock: Hand) -> None:
    paces = limits(clock)
    ann, bob = member("ann", calls_at_once=2), member("bob", calls_at_once=2)
    first, _ = await paces.admit(ann, NOTHING), await paces.admit(bob, NOTHING)
    assert "this key's team on calls at once: Limit 2, Used 2" in (await refusal(paces, ann)).message
    first.release()
    await paces.admit(bob, NOTHING)
    await refusal(paces, ann)
    clock.turn(LEASE)
    await paces.admit(ann, NOTHING)


async def test_a_key_and_its_successor_are_one_while_they_overlap(clock: Hand) -> None:
    paces = limits(clock, requests_per_minute=2)
    old, new = key("key_old"), msgspec.structs.replace(key("key_new"), rotated_from="key_old", first="key_old")
    await paces.admit(old, NOTHING)
    await paces.admit(new, NOTHING)
    await refusal(paces, old)
    await refusal(paces, new)


async def test_tokens_that_nobody_asked_for_are_held_as_far_as_they_fit(clock: Hand) -> None:
    paces = limits(clock, tokens_per_minute=1000)
    modest = await paces.admit(key(), Estimate(tokens=10, assumed=500))
    assert remaining(modest) == 490
    modest.settle(tokens=30, images=0)
    clock.turn(60)
    unbounded = await paces.admit(key(), Estimate(tokens=10, assumed=64_000))
    assert remaining(unbounded) == 0
    unbounded.settle(tokens=200, images=0)
    assert remaining(unbounded) == 800


Act = tuple[str, float, int, int]
ACTS: st.SearchStrategy[list[Act]] = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "settle", "release"]), st.floats(0, 40), st.integers(0, 60), st.integers(0, 9)
    ),
    max_size=60,
)


class Crowd:
    """Calls of one key, some of which have a place."""

    def __init__(self) -> None:
        self.clock = Hand()
        rates = {"requests_per_minute": 6, "tokens_per_minute": 100, "images_per_minute": 50}
        self.paces = limits(self.clock, **rates, calls_at_once=3)
        self.held: list[tuple[Slot, int]] = []

    @property
    def taken(self) -> int:
        """Places; one that nobody gave back within its lease is another's."""
        return sum(self.clock.now - at < LEASE * SECOND for _, at in self.held)

    async def ask(self, amount: int) -> None:
        slot = await self.paces.admit(key(), Estimate(tokens=amount, images=amount % 7))
        self.held.append((slot, self.clock.now))

    async def ask_and_wait(self, amount: int) -> None:
        try:
            await self.ask(amount)
        except RateLimited as refused:
            self.clock.turn(wait_of(refused))
            if self.taken < 3:
                await self.ask(amount)

    async def act(self, act: str, amount: int, which: int) -> None:
        if act == "ask":
            await self.ask_and_wait(amount)
        elif which < len(self.held) and act == "settle":
            self.held[which][0].settle(tokens=amount, images=amount % 7)
        elif which < len(self.held):
            self.held.pop(which)[0].release()


@given(acts=ACTS)
def test_whatever_happens_the_wait_told_is_enough_and_every_place_returns(acts: list[Act]) -> None:
    async def holds() -> None:
        crowd = Crowd()
        for act, pause, amount, which in acts:
            crowd.clock.turn(pause)
            await crowd.act(act, amount, which)
            assert crowd.taken <= 3
        for slot, _ in crowd.held:
            slot.release()
        crowd.clock.turn(300)
        full = [await crowd.paces.admit(key(), Estimate(tokens=33, images=16)) for _ in range(3)]
        assert remaining(full[0], "requests") == 3
        await refusal(crowd.paces, key())

    asyncio.run(holds())


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0s"), (20, "20ms"), (999, "999ms"), (1000, "1s"), (1200, "1.2s"), (59_999, "59.999s"), (60_000, "1m0s"),
     (360_000, "6m0s"), (61_500, "1m1.5s")],
)  # fmt: skip
def test_durations_are_written_as_openai_writes_them(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text


def test_limits_of_a_key_are_written_as_they_were_said() -> None:
    own = KeyLimits(requests_per_minute=0, calls_at_once=4)
    assert msgspec.json.encode(own) == b'{"requests_per_minute":0,"calls_at_once":4}'
    assert msgspec.json.decode(b'{"calls_at_once":4,"requests_per_minute":0}', type=KeyLimits) == own

"""Limits: a key never goes faster than it may, is told exactly when to come back, and its places always return."""

import tracemalloc
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import errors
from gateway.accounts.keys import KeyLimits, VirtualKey
from gateway.accounts.limits import Estimate, Limits, Slot, duration
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
    return Limits(LimitsConfig(**defaults), LEASE, clock)


def key(name: str = "key_a", **own: int) -> VirtualKey:
    told = KeyLimits(**own) if own else None
    return VirtualKey(id=name, name=name, prefix="sk-abcdefg", state="active", created_at=0, limits=told)


def refusal(limits: Limits, who: VirtualKey, estimate: Estimate = NOTHING) -> RateLimited:
    with pytest.raises(RateLimited) as refused:
        limits.admit(who, estimate)
    return refused.value


def used_up(limits: Limits, who: VirtualKey, estimate: Estimate) -> None:
    while True:
        limits.admit(who, estimate)


def wait_of(error: RateLimited) -> float:
    assert error.retry_after is not None
    return error.retry_after


def remaining(slot: Slot, rate: str = "tokens") -> int:
    return int(slot.headers()[f"x-ratelimit-remaining-{rate}"])


def test_a_key_without_limits_is_never_refused_and_never_remembered(clock: Hand) -> None:
    paces = limits(clock)
    slots = [paces.admit(key(), Estimate(10**9, 10**9)) for _ in range(1000)]
    assert len(paces) == 0
    for slot in slots:
        slot.settle(10**9, 5)
        slot.release()
        assert slot.headers() == {}


def test_the_request_too_many_is_refused_in_openais_words(clock: Hand) -> None:
    paces = limits(clock, requests_per_minute=3)
    for _ in range(3):
        paces.admit(key(), NOTHING).release()
    error = refusal(paces, key())
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


def test_tokens_are_refused_as_tokens(clock: Hand) -> None:
    paces = limits(clock, tokens_per_minute=100_000)
    for _ in range(2):
        paces.admit(key(), Estimate(tokens=40_000))
    error = refusal(paces, key(), Estimate(tokens=40_000))
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
def test_whoever_waits_as_told_is_admitted_and_a_millisecond_earlier_is_not(
    clock: Hand, per_minute: dict[str, int], wanted: Estimate
) -> None:
    paces = limits(clock, **per_minute)
    with pytest.raises(RateLimited) as refused:
        used_up(paces, key(), wanted)
    wait = int(errors.headers(refused.value)["retry-after-ms"])
    clock.turn((wait - 1) / 1000)
    assert wait_of(refusal(paces, key(), wanted)) == 0.001
    clock.turn(0.001)
    paces.admit(key(), wanted)
    refusal(paces, key(), wanted)


@pytest.mark.parametrize("wait", [0.0004, 0.9, 1.0, 1.001, 2.001, 20.0, 59.9999])
def test_no_header_sends_a_client_back_too_early(wait: float) -> None:
    told = errors.headers(RateLimited("", retry_after=wait))
    assert float(told["retry-after"]) >= wait
    assert float(told["retry-after"]) < wait + 1


def test_a_refused_call_uses_up_nothing(clock: Hand) -> None:
    paces = limits(clock, requests_per_minute=5, tokens_per_minute=100, images_per_minute=5, calls_at_once=2)
    first = paces.admit(key(), Estimate(tokens=90))
    for _ in range(50):
        refusal(paces, key(), Estimate(tokens=20))
    second = paces.admit(key(), Estimate(tokens=10, images=5))
    assert (remaining(second), remaining(second, "requests")) == (0, 3)
    second.release()
    for _ in range(50):
        refusal(paces, key(), Estimate(images=1))
    first.settle(0, 0)
    assert remaining(paces.admit(key(), Estimate(tokens=60)), "requests") == 2


def test_the_longest_wait_is_told_for_then_everything_fits(clock: Hand) -> None:
    paces = limits(clock, requests_per_minute=60, tokens_per_minute=100)
    for _ in range(60):
        paces.admit(key(), Estimate(tokens=1))
    wanted = Estimate(tokens=100)
    error = refusal(paces, key(), wanted)
    assert (error.type, wait_of(error)) == ("tokens", 36.0)
    clock.turn(36)
    paces.admit(key(), wanted)


def test_what_can_never_fit_is_refused_for_good(clock: Hand) -> None:
    paces = limits(clock, tokens_per_minute=1000)
    error = refusal(paces, key(), Estimate(tokens=1001))
    assert "Request too large for this key on tokens per min (TPM): Limit 1000, Requested 1001." in error.message
    assert (error.type, error.retry_after, error.should_retry) == ("tokens", None, False)
    assert errors.headers(error)["x-ratelimit-remaining-tokens"] == "1000"


def test_an_estimate_moves_to_the_real_count(clock: Hand) -> None:
    paces = limits(clock, tokens_per_minute=1000, images_per_minute=10)
    slot = paces.admit(key(), Estimate(tokens=900, images=9))
    refusal(paces, key(), Estimate(tokens=900))
    slot.settle(tokens=40, images=2)
    assert remaining(slot) == 960
    paces.admit(key(), Estimate(tokens=900, images=8))
    refusal(paces, key(), Estimate(images=1))


def test_more_than_was_estimated_is_paid_off_before_the_next_call(clock: Hand) -> None:
    paces = limits(clock, tokens_per_minute=60)
    paces.admit(key(), Estimate(tokens=1)).settle(tokens=180, images=0)
    assert wait_of(refusal(paces, key(), Estimate(tokens=1))) == 121
    assert refusal(paces, key(), Estimate(tokens=1)).standing["x-ratelimit-reset-tokens"] == "3m0s"


def test_an_estimate_that_nobody_settled_stands(clock: Hand) -> None:
    paces = limits(clock, tokens_per_minute=1000)
    slot = paces.admit(key(), Estimate(tokens=900))
    slot.release()
    slot.settle(tokens=0, images=0)
    assert remaining(slot) == 100


def test_settling_or_releasing_twice_changes_nothing(clock: Hand) -> None:
    paces = limits(clock, tokens_per_minute=1000, calls_at_once=2)
    slot, _ = paces.admit(key(), Estimate(tokens=500)), paces.admit(key(), NOTHING)
    for _ in range(3):
        slot.settle(tokens=100, images=0)
        slot.release()
    assert remaining(slot) == 900
    paces.admit(key(), NOTHING)
    refusal(paces, key())


def test_calls_at_once_wait_for_a_place_and_any_release_makes_one(clock: Hand) -> None:
    paces = limits(clock, calls_at_once=8)
    slots = [paces.admit(key(), NOTHING) for _ in range(8)]
    error = refusal(paces, key())
    assert error.message.startswith("Rate limit reached for this key on calls at once: Limit 8, Used 8, Requested 1.")
    assert (error.type, error.code, wait_of(error)) == ("requests", "rate_limit_exceeded", 1.0)
    slots[3].release()
    paces.admit(key(), NOTHING)
    refusal(paces, key())


def test_a_place_that_nobody_gives_back_returns_when_its_lease_ends(clock: Hand) -> None:
    paces = limits(clock, calls_at_once=1, tokens_per_minute=100)
    lost = paces.admit(key(), Estimate(tokens=50))
    clock.turn(LEASE - 0.001)
    refusal(paces, key())
    clock.turn(0.001)
    slot = paces.admit(key(), Estimate(tokens=100))
    lost.settle(0, 0)
    lost.release()
    assert remaining(slot) == 0
    refusal(paces, key())


def test_keys_do_not_slow_each_other_down(clock: Hand) -> None:
    paces = limits(clock, requests_per_minute=1, calls_at_once=1)
    for name in "abc":
        paces.admit(key(name), NOTHING)
    for name in "abc":
        refusal(paces, key(name))


def test_what_a_key_says_itself_wins_and_zero_is_without_limit(clock: Hand) -> None:
    paces = limits(clock, requests_per_minute=1, tokens_per_minute=10)
    own = key("key_own", requests_per_minute=3, tokens_per_minute=0)
    slots = [paces.admit(own, Estimate(tokens=10**6)) for _ in range(3)]
    refusal(paces, own)
    assert {name for name in slots[0].headers() if "limit-" in name[12:]} == {"x-ratelimit-limit-requests"}
    free = key("key_free", requests_per_minute=0, tokens_per_minute=0)
    for _ in range(50):
        paces.admit(free, Estimate(tokens=10**6))


def test_limits_that_change_hold_at_once_and_keep_what_was_used(clock: Hand) -> None:
    paces = limits(clock, requests_per_minute=10)
    for _ in range(10):
        paces.admit(key(), NOTHING)
    paces.defaults = LimitsConfig(requests_per_minute=20)
    slots = [paces.admit(key(), NOTHING) for _ in range(10)]
    refusal(paces, key())
    paces.defaults = LimitsConfig(calls_at_once=25)
    paces.admit(key(), NOTHING)
    assert slots[0].headers() == {}
    for slot in slots:
        slot.settle(5, 5)
        slot.release()
    paces.defaults = LimitsConfig()
    for _ in range(50):
        paces.admit(key(), NOTHING)


def test_keys_that_idle_are_forgotten(clock: Hand) -> None:
    paces = limits(clock, requests_per_minute=60, calls_at_once=5)
    busy = paces.admit(key("busy"), NOTHING)
    for each in range(10_000):
        paces.admit(key(f"key_{each}"), NOTHING).release()
        clock.turn(0.01)
    assert len(paces) < 210
    busy.release()
    clock.turn(60)
    for _ in range(210):
        paces.admit(key(), NOTHING).release()
        clock.turn(1)
    assert len(paces) == 1


def test_thousands_of_calls_leave_nothing_behind(clock: Hand) -> None:
    paces, who = limits(clock, requests_per_minute=10**9, tokens_per_minute=10**9, calls_at_once=9), key()

    def calls(count: int) -> None:
        for _ in range(count):
            slot = paces.admit(who, Estimate(tokens=50))
            slot.settle(40, 0)
            slot.release()

    calls(100)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        calls(5_000)
        assert tracemalloc.get_traced_memory()[0] - before < 5_000
    finally:
        tracemalloc.stop()


Act = tuple[str, float, int, int]
ACTS: st.SearchStrategy[list[Act]] = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "settle", "release"]), st.floats(0, 40), st.integers(0, 60), st.integers(0, 9)
    ),
    max_size=60,
)


@given(acts=ACTS)
def test_whatever_happens_the_wait_told_is_enough_and_every_place_returns(acts: list[Act]) -> None:
    clock = Hand()
    paces = limits(clock, requests_per_minute=6, tokens_per_minute=100, images_per_minute=50, calls_at_once=3)
    held: list[Slot] = []
    for act, pause, amount, which in acts:
        clock.turn(pause)
        if act == "ask":
            try:
                held.append(paces.admit(key(), Estimate(tokens=amount, images=amount % 7)))
            except RateLimited as refused:
                clock.turn(wait_of(refused))
                if len(held) < 3:
                    held.append(paces.admit(key(), Estimate(tokens=amount, images=amount % 7)))
        elif which < len(held):
            slot = held[which]
            if act == "settle":
                slot.settle(tokens=amount, images=amount % 7)
            else:
                held.remove(slot)
                slot.release()
        assert len(held) <= 3
    for slot in held:
        slot.release()
    clock.turn(300)
    full = [paces.admit(key(), Estimate(tokens=33, images=16)) for _ in range(3)]
    assert remaining(full[0], "requests") == 3
    refusal(paces, key())


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

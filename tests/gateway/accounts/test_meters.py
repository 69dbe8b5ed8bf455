"""Meters: never more than the limit, and an estimate that was too large leaves no trace."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.meters import MINUTE, Hold, Meter

SECOND = 10**9
LIMITS = st.sampled_from([1, 3, 7, 60, 1000])
PAUSES = st.one_of(st.just(0), st.integers(0, 100 * SECOND), st.integers(0, 30).map(lambda n: n * SECOND))
STEPS = st.lists(st.tuples(PAUSES, st.floats(0, 1), st.floats(0, 1.5), st.integers(0, 5)), max_size=40)


def level_of(charges: list[tuple[int, int]], limit: int, now: int) -> int:
    """The level of a meter that was told each charge (instant, amount) as it is here, in this order."""
    level = at = 0
    for instant, amount in [*sorted(charges, key=lambda each: each[0]), (now, 0)]:
        level = max(0, level - (instant - at) * limit) + amount * MINUTE
        at = instant
    return level


@given(limit=LIMITS, steps=STEPS)
def test_settled_holds_leave_the_level_that_their_real_counts_would_have_left(
    limit: int, steps: list[tuple[int, float, float, int]]
) -> None:
    meter, now = Meter(limit, 0), 0
    charges: list[tuple[int, int]] = []
    waiting: list[tuple[Hold, int]] = []
    for pause, share, real_share, which in steps:
        now += pause
        meter.turn(now)
        amount = int(share * limit)
        waiting.append((meter.hold(amount), len(charges)))
        charges.append((now, amount))
        if which < len(waiting):
            hold, place = waiting.pop(which)
            real = int(real_share * hold.amount)
            meter.settle(hold, real)
            charges[place] = (charges[place][0], min(real, hold.amount))
            charges.append((now, max(0, real - hold.amount)))
        assert meter.level == level_of(charges, limit, now)


@given(limit=LIMITS, steps=STEPS)
def test_never_more_fits_than_the_limit_and_what_drains_meanwhile(
    limit: int, steps: list[tuple[int, float, float, int]]
) -> None:
    meter, now = Meter(limit, 0), 0
    used: list[tuple[int, int]] = []
    waiting: list[tuple[Hold, int]] = []
    for pause, share, real_share, which in steps:
        now += pause
        meter.turn(now)
        amount = int(share * limit)
        if not meter.wait(amount):
            waiting.append((meter.hold(amount), len(used)))
            used.append((now, amount))
        if which < len(waiting):
            hold, place = waiting.pop(which)
            real = min(hold.amount, int(real_share * hold.amount))
            meter.settle(hold, real)
            used[place] = (used[place][0], real)
    for first, (begin, _) in enumerate(used):
        for last, (end, _) in enumerate(used[first:], first):
            fits = limit * (1 + Fraction(end - begin, MINUTE))
            assert sum(amount for _, amount in used[first : last + 1]) <= fits


@given(limit=LIMITS, amounts=st.lists(st.floats(0, 1), min_size=1, max_size=10), pause=PAUSES)
def test_the_wait_is_right_to_the_nanosecond(limit: int, amounts: list[float], pause: int) -> None:
    meter = Meter(limit, 0)
    for share in amounts:
        meter.add(int(share * limit))
    meter.turn(pause)
    wait = meter.wait(limit)
    if wait:
        meter.turn(pause + wait - 1)
        assert meter.wait(limit) == 1
    meter.turn(pause + wait)
    assert meter.wait(limit) == 0
    assert meter.remaining == limit


def test_time_in_which_nothing_was_used_is_not_given_back_twice() -> None:
    meter = Meter(60, 0)
    large = meter.hold(60)
    meter.turn(30 * SECOND)
    meter.add(30)
    meter.settle(large, 0)
    # Without the estimate, the 30 would stand alone in an empty meter.
    assert meter.used == 30


def test_what_was_underestimated_is_used_when_it_is_known() -> None:
    meter = Meter(100, 0)
    small = meter.hold(10)
    meter.settle(small, 250)
    assert (meter.used, meter.remaining) == (250, 0)
    assert meter.wait(1) == 151 * MINUTE // 100


def test_a_part_of_a_unit_counts_as_one() -> None:
    meter = Meter(3, 0)
    for _ in range(3):
        meter.add(1)
    meter.turn(5 * SECOND)
    assert (meter.used, meter.remaining, meter.wait(1)) == (3, 0, 15 * SECOND)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_calls_that_run_together_settle_in_any_order(order: tuple[int, ...]) -> None:
    meter = Meter(90, 0)
    holds = [meter.hold(30) for _ in range(3)]
    for which in order:
        meter.settle(holds[which], which)
    assert meter.level == 3 * MINUTE

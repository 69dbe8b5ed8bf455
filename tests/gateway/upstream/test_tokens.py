"""Several tokens before a Replicate that refuses one of them: nothing is made twice, and what is ill is asked again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.wire.replicate import ModelRef
from gateway.config import UpstreamConfig
from gateway.errors import RateLimited, UpstreamUnavailable
from gateway.simulator import Settings, Simulator
from gateway.simulator.settings import ThrottleHint, ThrottleWording, Trouble
from gateway.upstream.client import Upstream
from gateway.upstream.models import Model
from gateway.upstream.tokens import REMEMBERED, Tokens
from gateway.upstream.turns import Share

ILL, WELL = "r8_ill", "r8_wel"
"""As long as the ends of tokens that the simulator tells."""
HELLO = {"prompt": "hello"}
QUICK = UpstreamConfig(retry_seconds=1, longest_wait_seconds=1, read_seconds=2, connect_seconds=1)


class Hands:
    """A clock that the test turns."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def before(
    simulator: Simulator, *tokens: str, config: UpstreamConfig = QUICK
) -> AsyncIterator[tuple[Upstream, Model, Hands]]:
    """An upstream of these tokens whose clock stands still, and a model to create on."""
    hands = Hands()
    upstream = Upstream(config, tokens, simulator.base_url, clock=hands)
    ref = ModelRef.parse("sim/echo")
    yield upstream, Model.of(ref, await upstream.model(ref)), hands
    await upstream.aclose()


def creates(simulator: Simulator) -> list[tuple[str, int]]:
    """Who asked for a prediction, and what came of it."""
    return [(one.token, one.status) for one in simulator.requests() if one.path.endswith("/echo/predictions")]


@pytest.mark.parametrize("trouble", ["refused", "insufficient-credit", "billing-required", "throttled", "low-credit"])
async def test_a_token_in_trouble_is_stood_in_for_and_nothing_is_made_twice(
    simulator: Simulator, trouble: Trouble
) -> None:
    simulator.trouble(ILL, trouble)
    async with before(simulator, ILL, WELL) as (upstream, model, _):
        made = await asyncio.gather(*(upstream.create(model, HELLO, deadline=60) for _ in range(12)))
        later = [await upstream.create(model, HELLO, deadline=60) for _ in range(4)]
        for one in (*made, *later):
            await upstream.get(one.id)
    ids = [one.id for one in (*made, *later)]
    assert sorted(ids) == sorted(one.id for one in simulator.predictions())
    assert len(set(ids)) == 16
    asked = creates(simulator)
    assert {status for token, status in asked if token == WELL} == {201}
    by_the_well = [one for one in asked[-4:] if one == (WELL, 201)]
    assert len(by_the_well) == 4, "once it is known to be ill, it is not asked"


@pytest.mark.parametrize("trouble", ["refused", "insufficient-credit"])
async def test_an_ill_token_is_asked_again_after_a_minute_by_one_request_and_serves_when_it_is_well(
    simulator: Simulator, trouble: Trouble
) -> None:
    async with before(simulator, ILL, WELL) as (upstream, model, hands):
        ill, well = upstream.tokens

        async def created(times: int) -> dict[str, int]:
            already = len(creates(simulator))
            await asyncio.gather(*(upstream.create(model, HELLO, deadline=60) for _ in range(times)))
            tokens = [token for token, _ in creates(simulator)[already:]]
            return {token: tokens.count(token) for token in (ILL, WELL)}

        simulator.trouble(ILL, trouble)
        assert await created(2) == {ILL: 1, WELL: 2}
        assert ill.fault in {"refused", "broke"}
        assert await created(4) == {ILL: 0, WELL: 4}
        hands.now += 61
        assert await created(4) == {ILL: 1, WELL: 4}, "still ill: whoever asked went on with the other"
        hands.now += 30
        assert await created(4) == {ILL: 0, WELL: 4}
        simulator.trouble(ILL, None)
        hands.now += 31
        assert await created(2) == {ILL: 1, WELL: 1}
        assert (ill.fault, well.fault) == (None, None)
        assert await created(6) == {ILL: 3, WELL: 3}


async def test_the_only_token_is_asked_again_however_ill_it_was(simulator: Simulator) -> None:
    simulator.trouble(ILL, "insufficient-credit")
    async with before(simulator, ILL) as (upstream, model, _):
        with pytest.raises(UpstreamUnavailable):
            await upstream.create(model, HELLO, deadline=60)
        simulator.trouble(ILL, None)
        assert (await upstream.create(model, HELLO, deadline=60)).id


async def test_what_an_accounts_file_is_needed_for_waits_for_that_account_and_passes_by_no_other(
    simulator: Simulator,
) -> None:
    async with before(simulator, ILL, WELL, config=UpstreamConfig(longest_wait_seconds=30)) as (upstream, model, hands):
        view = upstream.counted(Share("pictures"))
        await view.upload("a.txt", "text/plain", b"kite")
        (uploader,) = [one.token for one in simulator.requests() if one.path == "/v1/files"]
        bound = upstream.tokens[0 if uploader == ILL else 1]
        bound.room.heard(0, hands.now)
        waits = asyncio.create_task(view.create(model, HELLO, deadline=60))
        await asyncio.sleep(0)
        assert upstream.turns.waiting == 1
        others = upstream.counted(Share("chat"))
        await others.create(model, HELLO, deadline=60)
        assert upstream.turns.waiting == 1, "the other account's room is no use to it, and it is in nobody's way"
        hands.now += 1
        await others.create(model, HELLO, deadline=60)
        assert (await waits).id
    tokens = [token for token, _ in creates(simulator)]
    assert (len(tokens), tokens[0] != uploader, uploader in tokens[1:]) == (3, True, True)


@pytest.mark.parametrize("hint", ["text", "body", "header", "both"])
@pytest.mark.parametrize("wording", ["resets", "expected"])
async def test_a_throttle_is_kept_to_wherever_it_says_how_long(hint: ThrottleHint, wording: ThrottleWording) -> None:
    with Simulator(Settings(limits="normal", creates_per_minute=1, clock_speed=0.001)) as simulator:
        simulator.switch(throttle_hint=hint, throttle_wording=wording)
        async with before(simulator, ILL) as (upstream, model, hands):
            await upstream.create(model, HELLO, deadline=60)
            (token,) = upstream.tokens
            assert token.room.left(hands.now) == 0, "as `ratelimit-remaining` said"
            hands.now += 1
            with pytest.raises(RateLimited) as refused:
                await upstream.create(model, HELLO, deadline=60)
            assert refused.value.retry_after == pytest.approx(60)
            assert token.room.opens(hands.now) == pytest.approx(60)
            with pytest.raises(RateLimited):
                await upstream.create(model, HELLO, deadline=60)
            assert [status for _, status in creates(simulator)] == [201, 429], "what is known is not asked"
            simulator.advance(60)
            hands.now += 60
            await upstream.create(model, HELLO, deadline=60)


@pytest.mark.parametrize("titled", [False, True])
async def test_little_credit_sets_the_pace_that_it_names_until_more_is_heard_of(
    simulator: Simulator, titled: bool
) -> None:
    simulator.switch(low_credit_title=titled)
    simulator.scene("sim/echo", "low-credit", times=1, retry_after=7)
    async with before(simulator, ILL) as (upstream, model, hands):
        with pytest.raises(RateLimited) as refused:
            await upstream.create(model, HELLO, deadline=60)
        (token,) = upstream.tokens
        assert refused.value.retry_after == pytest.approx(7)
        assert (token.room.per_minute, token.room.burst, token.room.slowed) == (6, 1, True)
        hands.now += 7
        await upstream.create(model, HELLO, deadline=60)
        assert not token.room.slowed, "599 are left, it said"


async def test_a_create_that_waited_longer_than_it_may_be_tried_is_tried_all_the_same() -> None:
    """However long its turn took: only from the first refusal on does the time for retries run."""
    with Simulator(Settings(limits="normal", creates_per_minute=600)) as simulator:
        simulator.scene("sim/echo", "throttled", times=1)
        config = UpstreamConfig(retry_seconds=3, longest_wait_seconds=60)
        async with before(simulator, ILL, config=config) as (upstream, model, hands):
            (token,) = upstream.tokens
            token.room.heard(0, hands.now)
            waits = asyncio.create_task(upstream.create(model, HELLO, deadline=60))
            await asyncio.sleep(0)
            hands.now += 30
            while not waits.done():
                await asyncio.sleep(0.02)
                hands.now += 0.02
            assert (await waits).id
        assert [status for _, status in creates(simulator)] == [429, 201]


def test_who_made_a_prediction_is_known_of_those_heard_of_last_and_of_not_many_more() -> None:
    tokens = Tokens(["r8_one", "r8_two"], Hands())
    for number in range(5 * REMEMBERED):
        tokens.made(f"p{number}", tokens.all[number % 2])
        tokens.made("polled", tokens.all[1])
    made = [tokens.maker(f"p{number}") for number in range(5 * REMEMBERED)]
    assert made[-REMEMBERED + 1 :] == [tokens.all[number % 2] for number in range(4 * REMEMBERED + 1, 5 * REMEMBERED)]
    assert sum(maker is not None for maker in made) < 2 * REMEMBERED
    assert tokens.maker("polled") is tokens.all[1]

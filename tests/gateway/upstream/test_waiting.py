"""The ladder: by which way a prediction's end is learned, and at what price."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from adapters.wire.replicate import Done, Event, Failure, ModelRef, Output, Prediction, Urls
from gateway.config import UpstreamConfig
from gateway.errors import TimedOut, UpstreamFailed
from gateway.simulator import Simulator
from gateway.upstream.client import Upstream
from gateway.upstream.lag import Lag
from gateway.upstream.schemas import Schemas
from gateway.upstream.waiting import Waiting
from gateway.upstream.webhooks import Bells
from tests.gateway.upstream.streaming import Played, Said, playing, tokens, told

CONFIG = UpstreamConfig(read_seconds=0.3, connect_seconds=0.3, retry_seconds=0.5, deadline_seconds=60)
PROMPT = {"prompt": "Tell me of the sea, and of the ships on it, and of the weather"}


class Hurried:
    """A clock that runs faster."""

    def __init__(self, speed: float) -> None:
        self.speed = speed

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() * self.speed


async def events_of(upstream: Upstream, played: Played, waiting: Waiting | None = None) -> list[Event]:
    waiting = waiting or Waiting(upstream.config, chance=lambda: 0.0)
    return await told(waiting, upstream, played.prediction)


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Output))


@asynccontextmanager
async def impatient(simulator: Simulator) -> AsyncIterator[Upstream]:
    """An upstream that gives a request up after its first failure."""
    upstream = Upstream(UpstreamConfig(retry_seconds=0.01), [simulator.token], simulator.base_url)
    yield upstream
    await upstream.aclose()


async def run(
    schemas: Schemas,
    upstream: Upstream,
    name: str,
    inputs: dict[str, Any] | None = None,
    patience: float = 3600,
) -> tuple[list[Event], Prediction, Upstream]:
    view, waiting = upstream.counted(), Waiting(upstream.config)
    model = await schemas.get(ModelRef.parse(name))
    plan = waiting.plan(model, patience)
    made = await view.create(model, inputs or PROMPT, deadline=60, wait=plan.sync_seconds)
    events = await told(waiting, view, made)
    return events, await waiting.finished(view, made), view


# What it costs


@pytest.mark.parametrize(
    ("name", "requests"),
    [
        ("sim/echo", 3),
        ("sim/slow", 3),
        ("sim/cold-boot", 3),
        ("meta/meta-llama-3-8b-instruct", 3),
        ("sim/community", 3),
        ("sim/fails", 3),
        ("sim/picture", 2),
        ("black-forest-labs/flux-schnell", 2),
        ("sim/cut-stream", 4),
    ],
)
async def test_a_call_takes_so_many_requests(
    schemas: Schemas, upstream: Upstream, simulator: Simulator, name: str, requests: int
) -> None:
    simulator.switch(metrics_delay=0.0)
    events, prediction, view = await run(schemas, upstream, name)
    assert isinstance(events[-1], Done)
    assert prediction.metrics is not None
    assert prediction.metrics.predict_time is not None
    assert view.requests == requests
    assert simulator.leaks() == []


@pytest.mark.parametrize(
    "name", ["sim/echo", "sim/slow", "sim/cold-boot", "sim/community", "sim/fails", "sim/cut-stream"]
)
async def test_a_text_that_is_wanted_whole_takes_two(
    schemas: Schemas, upstream: Upstream, simulator: Simulator, name: str
) -> None:
    simulator.switch(metrics_delay=0.0)
    events, prediction, view = await run(schemas, upstream, name, patience=float("inf"))
    assert isinstance(events[-1], Done)
    assert prediction.metrics is not None
    assert view.requests <= 2
    assert simulator.last().streams == 0


async def test_requests_do_not_grow_with_length(schemas: Schemas, upstream: Upstream, simulator: Simulator) -> None:
    simulator.switch(metrics_delay=0.0)
    simulator.scene("sim/echo", "slow", text="word " * 500, pieces=500, seconds=1.0)
    events, _, view = await run(schemas, upstream, "sim/echo")
    assert len(events) > 300
    assert view.requests == 3


async def test_what_ended_before_anybody_asked_takes_no_request_more() -> None:
    final = Prediction(
        "p1", "succeeded", output=["a", "b"], completed_at="x", metrics=Prediction("", "").metrics, urls=Urls()
    )
    async with playing(Played([]), CONFIG) as upstream:
        waiting = Waiting(CONFIG)
        assert await told(waiting, upstream, final) == [Output("ab"), Done()]
        assert upstream.requests == 0


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("sim/echo", None),
        ("meta/meta-llama-3-8b-instruct", None),
        ("black-forest-labs/flux-schnell", CONFIG.sync_wait_seconds),
    ],
)
async def test_only_what_comes_in_one_piece_is_waited_for_in_its_create_where_somebody_listens(
    schemas: Schemas, name: str, seconds: int | None
) -> None:
    waiting, model = Waiting(CONFIG, webhook="https://us.example/webhooks/replicate"), ModelRef.parse(name)
    plan = waiting.plan(await schemas.get(model), 3600)
    assert plan.sync_seconds == seconds
    impatient = Waiting(CONFIG).plan(await schemas.get(model), 9.5)
    assert impatient.sync_seconds == (seconds and 9)
    assert plan.webhook == "https://us.example/webhooks/replicate"
    whole = waiting.plan(await schemas.get(model), float("inf"))
    assert whole.sync_seconds == CONFIG.sync_wait_seconds


async def test_nothing_is_waited_for_longer_than_its_deadline(schemas: Schemas) -> None:
    model = await schemas.get(ModelRef.parse("sim/picture"))
    assert Waiting(UpstreamConfig(deadline_seconds=7)).plan(model, float("inf")).sync_seconds == 7


@pytest.mark.parametrize("stream_url", [True, False])
@pytest.mark.parametrize("status", ["starting", "processing"])
async def test_a_sync_wait_that_was_too_short_goes_on_down_the_ladder(
    schemas: Schemas, upstream: Upstream, simulator: Simulator, status: str, stream_url: bool
) -> None:
    simulator.switch(sync_timeout_status=status, sync_timeout_code=202, stream_url=stream_url)
    simulator.scene("sim/picture", "picture", seconds=1.3)
    waiting, view = Waiting(CONFIG), upstream.counted()
    made = await view.create(await schemas.get(ModelRef.parse("sim/picture")), {"prompt": "a fox"}, deadline=60, wait=1)
    assert made.output is None
    events = await told(waiting, view, made)
    prediction = await waiting.finished(view, made)
    assert [event for event in events if isinstance(event, Output)] == [Output(url) for url in prediction.output]
    assert events[-1] == Done()
    assert view.requests <= 5


async def test_a_prediction_adopted_in_its_middle_is_told_from_its_beginning(
    schemas: Schemas, upstream: Upstream, simulator: Simulator
) -> None:
    simulator.scene("sim/echo", "slow", seconds=1.2, pieces=30)
    made = await upstream.create(await schemas.get(ModelRef.parse("sim/echo")), PROMPT, deadline=60)
    async with asyncio.timeout(3):
        while not (adopted := await upstream.get(made.id)).output:
            await asyncio.sleep(0.05)
    assert not adopted.final
    waiting = Waiting(CONFIG)
    events = await told(waiting, upstream, adopted)
    assert text(events) == "".join((await waiting.finished(upstream, adopted)).output)


async def test_a_sync_wait_can_be_turned_off(schemas: Schemas) -> None:
    waiting = Waiting(UpstreamConfig(sync_wait_seconds=0))
    for name in ("sim/picture", "sim/echo"):
        assert waiting.plan(await schemas.get(ModelRef.parse(name)), float("inf")).sync_seconds is None


async def test_what_a_create_told_of_a_text_that_goes_on_is_not_taken_for_all_of_it() -> None:
    says = [*tokens("Once", " upon", " a", " time"), Said("done", "{}", "1:9")]
    played = Played(says, later=[{"output": ["Once", " upon", " a"]}])
    async with playing(played, CONFIG) as upstream:
        made = replace(played.prediction, status="processing", output=["Once", " upon"])
        events = await told(Waiting(CONFIG), upstream, made)
    assert [event.text for event in events if isinstance(event, Output)] == ["Once", " upon", " a", " time"]
    assert (events[-1], played.gets, played.connections) == (Done(), 1, 1)


# How it ends


@pytest.mark.parametrize(
    ("scene", "reason", "status"), [("fails", "error", "failed"), ("fails-midway", "error", "failed")]
)
async def test_a_failure_is_told_once_and_then_it_is_done(
    schemas: Schemas, upstream: Upstream, simulator: Simulator, scene: str, reason: str, status: str
) -> None:
    simulator.scene("sim/echo", scene)
    events, prediction, _ = await run(schemas, upstream, "sim/echo")
    assert [event for event in events if not isinstance(event, Output)] == [
        Failure("RuntimeError: the simulated model broke down"),
        Done(reason),
    ]
    assert prediction.status == status


@pytest.mark.parametrize("stream_url", [True, False])
async def test_what_is_cancelled_from_elsewhere_is_done(
    schemas: Schemas, upstream: Upstream, simulator: Simulator, stream_url: bool
) -> None:
    simulator.switch(stream_url=stream_url)
    calling = asyncio.create_task(run(schemas, upstream, "sim/never-ends"))
    await simulator.reached("processing")
    await upstream.cancel(simulator.last().id)
    events, prediction, _ = await calling
    assert events[-1] == Done("canceled")
    assert prediction.status == "canceled"


@pytest.mark.parametrize("stream_url", [True, False])
async def test_a_deadline_that_passes_in_the_queue_aborts_and_that_is_an_end(
    schemas: Schemas, upstream: Upstream, simulator: Simulator, stream_url: bool
) -> None:
    simulator.switch(stream_url=stream_url)
    simulator.scene("sim/echo", "queue", queued=1000)
    calling = asyncio.create_task(run(schemas, upstream, "sim/echo"))
    await simulator.reached("starting")
    simulator.advance(61)
    events, prediction, _ = await calling
    assert events == [Done("canceled")]
    assert prediction.status == "aborted"


@pytest.mark.parametrize(
    "scene",
    ["cut-stream", "cut-stream-always", "half-stream", "timed-out-stream", "dropped-stream", "stalled-stream"],
)
async def test_a_broken_stream_loses_nothing(
    schemas: Schemas, upstream: Upstream, simulator: Simulator, scene: str
) -> None:
    simulator.scene("sim/echo", scene, seconds=0.2)
    events, prediction, _ = await run(schemas, upstream, "sim/echo")
    assert text(events) == "".join(prediction.output)
    assert events[-1] == Done()


async def test_a_stream_without_an_end_is_reconciled_with_the_final_output() -> None:
    played = Played(
        tokens("Once", " upon"),
        cuts=[(2, "closed")] * 50,
        later=[{}, {"status": "succeeded", "output": ["Once", " upon", " a", " time", ""]}],
    )
    async with playing(played, CONFIG) as upstream:
        events = await events_of(upstream, played)
    assert events == [Output("Once"), Output(" upon"), Output(" a time"), Done()]


async def test_files_are_reconciled_one_by_one() -> None:
    first, second, third = (f"https://replicate.delivery/{name}.png" for name in "abc")
    played = Played(
        tokens(first), cuts=[(1, "closed")] * 9, later=[{"status": "succeeded", "output": [first, second, third]}]
    )
    async with playing(played, CONFIG) as upstream:
        assert await events_of(upstream, played) == [Output(first), Output(second), Output(third), Done()]


async def test_a_stream_that_contradicts_the_final_output_is_no_success() -> None:
    played = Played(tokens("Once"), cuts=[(1, "closed")] * 9, later=[{"status": "succeeded", "output": ["Twice"]}])
    async with playing(played, CONFIG) as upstream:
        with pytest.raises(UpstreamFailed):
            await events_of(upstream, played)


async def test_an_output_that_was_removed_is_no_empty_answer(
    schemas: Schemas, upstream: Upstream, simulator: Simulator
) -> None:
    made = await upstream.create(await schemas.get(ModelRef.parse("sim/echo")), PROMPT, deadline=60)
    await simulator.reached("succeeded")
    simulator.advance(3610)
    with pytest.raises(UpstreamFailed):
        await told(Waiting(CONFIG), upstream, made)


async def test_an_error_event_without_done_is_the_end_all_the_same() -> None:
    played = Played([*tokens("a"), Said("error", "it broke", "1:5")], cuts=[(2, "dropped")])
    async with playing(played, CONFIG) as upstream:
        assert await events_of(upstream, played) == [Output("a"), Failure("it broke"), Done("error")]


async def test_a_done_for_an_error_that_was_not_told_is_looked_up() -> None:
    played = Played(
        [*tokens("a"), Said("done", '{"reason":"error"}', "1:5")],
        later=[{"status": "failed", "output": ["a"], "error": "E9828"}],
    )
    async with playing(played, CONFIG) as upstream:
        assert await events_of(upstream, played) == [Output("a"), Failure("E9828"), Done("error")]


# Without a stream


async def test_polling_passes_on_what_a_list_gains(schemas: Schemas, upstream: Upstream, simulator: Simulator) -> None:
    simulator.switch(stream_url=False)
    simulator.scene("sim/echo", "slow", seconds=0.8, pieces=20)
    events, prediction, _ = await run(schemas, upstream, "sim/echo")
    assert len([event for event in events if isinstance(event, Output)]) > 1
    assert text(events) == "".join(prediction.output)
    assert events[-1] == Done()


async def test_a_stream_host_that_is_away_leaves_polling(
    schemas: Schemas, upstream: Upstream, simulator: Simulator
) -> None:
    made = await upstream.create(await schemas.get(ModelRef.parse("sim/echo")), PROMPT, deadline=60)
    gone = replace(made, urls=Urls(stream="http://127.0.0.1:1/stream"))
    events = await told(Waiting(CONFIG, chance=lambda: 0.0), upstream, gone)
    assert (text(events), events[-1]) == (PROMPT["prompt"], Done())
    assert simulator.last().streams == 0


async def test_an_unknown_status_is_waited_out_but_not_for_ever() -> None:
    played = Played([], streams=False, later=[{"status": "pondering"}])
    config = UpstreamConfig(deadline_seconds=5)
    async with playing(played, config) as upstream:
        with pytest.raises(TimedOut):
            await events_of(upstream, played, Waiting(config, clock=Hurried(400), chance=lambda: 0.0))
    assert played.gets


async def test_polls_become_rarer_with_age() -> None:
    moments: list[float] = []
    clock, config = Hurried(10), UpstreamConfig(deadline_seconds=6000)

    class Timed(Played):
        def _answer(self, writer: asyncio.StreamWriter) -> None:
            moments.append(clock())
            super()._answer(writer)

    played = Timed([], streams=False, later=[{}] * 3 + [{"status": "succeeded", "output": "x"}])
    async with playing(played, CONFIG) as upstream:
        await events_of(upstream, played, Waiting(config, clock=clock, chance=lambda: 0.0))
    pauses = [after - before for before, after in pairwise(moments)]
    assert len(pauses) == 3
    assert pauses[-1] > 1.5 * pauses[0]


async def test_a_poll_that_fails_does_not_end_the_call(schemas: Schemas, simulator: Simulator) -> None:
    simulator.switch(stream_url=False)
    simulator.scene("sim/echo", "flaky-reads", reads_fail=4)
    async with impatient(simulator) as upstream:
        events, prediction, _ = await run(schemas, upstream, "sim/echo")
    assert text(events) == "".join(prediction.output)
    assert simulator.last().polls > 4


async def test_a_record_that_cannot_be_read_now_does_not_end_a_call_whose_stream_goes_on(
    schemas: Schemas, simulator: Simulator
) -> None:
    simulator.scene("sim/echo", "cut-stream", stream_ends_after=0, stream_ends=2, reads_fail=1000)
    async with impatient(simulator) as upstream:
        made = await upstream.create(await schemas.get(ModelRef.parse("sim/echo")), PROMPT, deadline=60)
        events = await told(Waiting(upstream.config), upstream, made)
    assert (text(events), events[-1]) == (PROMPT["prompt"], Done())
    assert simulator.last().polls


async def test_a_webhook_ends_the_wait_at_once_and_saves_the_poll() -> None:
    bells = Bells()
    played = Played([], streams=False, later=[{}])
    waiting = Waiting(CONFIG, bells, webhook="https://us.example/webhooks/replicate")
    async with playing(played, CONFIG) as upstream:
        hearing = asyncio.create_task(events_of(upstream, played, waiting))
        await asyncio.sleep(0.05)
        bells.ring(Prediction("p1", "processing", output="par"))
        bells.ring(Prediction("another", "succeeded", output="no"))
        bells.ring(Prediction("p1", "succeeded", output="whole", completed_at="x"))
        async with asyncio.timeout(0.5):
            assert await hearing == [Output("whole"), Done()]
    assert played.gets == 0


async def test_one_who_stops_listening_leaves_nothing_open(
    schemas: Schemas, upstream: Upstream, simulator: Simulator
) -> None:
    waiting = Waiting(CONFIG)
    made = await upstream.create(await schemas.get(ModelRef.parse("sim/never-ends")), PROMPT, deadline=60)
    batches = waiting.batches(upstream, made)
    assert isinstance((await anext(batches))[0], Output)
    await batches.aclose()
    await upstream.cancel(made.id)
    assert (await waiting.finished(upstream, made)).status == "canceled"


# Finished


async def test_metrics_that_come_late_are_waited_for(
    schemas: Schemas, upstream: Upstream, simulator: Simulator
) -> None:
    simulator.switch(metrics_delay=0.25)
    _, prediction, view = await run(schemas, upstream, "sim/echo")
    assert prediction.status == "succeeded"
    assert prediction.metrics is not None
    assert view.requests <= 6


async def test_metrics_that_never_come_are_not_waited_for_long() -> None:
    played = Played([*tokens("a"), Said("done", "{}", "1:9")], later=[{"status": "succeeded", "output": ["a"]}])
    async with playing(played, CONFIG) as upstream:
        waiting = Waiting(CONFIG)
        await told(waiting, upstream, played.prediction)
        async with asyncio.timeout(2):
            assert (await waiting.finished(upstream, played.prediction)).status == "succeeded"


async def test_a_record_that_lags_is_asked_for_until_it_is_whole() -> None:
    whole = {"status": "succeeded", "output": ["a"], "completed_at": "x", "metrics": {"total_time": 1.0}}
    played = Played([*tokens("a"), Said("done", "{}", "1:9")], later=[{}, {}, whole])
    async with playing(played, CONFIG) as upstream:
        waiting, asked = Waiting(CONFIG), []
        for _ in range(3):
            view = upstream.counted()
            assert (await waiting.finished(view, played.prediction)).final
            asked.append(view.requests)
    assert asked == [4, 2, 2]


def test_records_that_were_late_make_the_others_no_later_than_they_are() -> None:
    lag = Lag()
    for _ in range(5):
        assert lag.marks()[0] == 0
        lag.whole(lag.marks()[-1])
    first = lag.marks()[0]
    assert 0 < first < 0.1
    lag.whole(first)
    assert [lag.marks()[0] for _ in range(9)] == [*[first] * 8, 0], "now and then they may be quicker"
    lag.whole(0.0)
    assert {lag.marks()[0] for _ in range(16)} == {0}


def test_a_record_that_was_late_by_chance_makes_no_other_late() -> None:
    lag = Lag()
    for mark in (0.73, 0.03, 0.03, 0.13, 0.0) * 4:
        lag.whole(mark)
        assert lag.marks()[0] == 0


async def test_whoever_wants_only_the_end_gets_it(schemas: Schemas, upstream: Upstream, simulator: Simulator) -> None:
    simulator.switch(metrics_delay=0.0)
    view, waiting = upstream.counted(), Waiting(CONFIG)
    made = await view.create(await schemas.get(ModelRef.parse("sim/slow")), PROMPT, deadline=60)
    prediction = await waiting.finished(view, made)
    assert prediction.status == "succeeded"
    assert view.requests == 3
    assert await waiting.finished(view, made) is prediction
    assert view.requests == 3

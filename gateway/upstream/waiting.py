"""When is a prediction finished: its own answer, its stream, the stream resumed, a webhook, and polls at last."""

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import structlog
from msgspec import Struct

from adapters.wire.replicate import Done, Event, Failure, Output, Prediction
from gateway.config import UpstreamConfig
from gateway.errors import NotFound, RateLimited, TimedOut, UpstreamFailed, UpstreamUnavailable
from gateway.upstream.client import Upstream
from gateway.upstream.delivered import Delivered
from gateway.upstream.lag import Lags
from gateway.upstream.models import Model
from gateway.upstream.streams import Cursor, NoStream, read
from gateway.upstream.webhooks import Bell, Bells

log = structlog.get_logger()

_GRACE_SECONDS = 30.0
"""Replicate ends a prediction at its deadline; the news of it may take this much longer."""

_CONNECTIONS, _USELESS, _HASTY = 20, 3, 6
"""So many connections a stream is worth: in all, in a row with nothing new, and that broke off at once."""

_AT_ONCE_SECONDS = 1.0
_FIRST_POLL, _LAST_POLL, _POLL_GROWTH = 0.25, 8.0, 0.15
_BELL_FACTOR, _TOLD_WITHIN = 4, 1.0
_FAILED_POLLS = 5
_PASSING = (UpstreamFailed, UpstreamUnavailable, RateLimited)
"""What may be over the next time."""


Hear = Callable[[list[str], Event], None]
"""Is told the texts of a batch, and its last event."""


def _nobody(texts: list[str], last: Event) -> None: ...


class Plan(Struct, frozen=True):
    """How a create should be made: how many seconds it waits for its output, and where Replicate tells of the end."""

    sync_seconds: int | None
    webhook: str | None


class Waiting:
    """The ladder, for all calls. `bells` ring when `webhook` (our public address for them) is told of a prediction's
    end; `clock` never goes back."""

    def __init__(
        self,
        config: UpstreamConfig,
        bells: Bells | None = None,
        webhook: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.config, self.clock, self.chance = config, clock, chance
        self.bells = bells or Bells()
        self.webhook = webhook
        self._lags = Lags()

    def plan(self, model: Model, patience: float) -> Plan:
        """The sync wait pays where the output comes in one piece: nothing is noticed sooner. It ends after `patience`
        seconds, where somebody wants to hear of the call meanwhile, or of its end. Text is waited for only where nobody
        wants anything of it before that: else its stream tells more, and sooner under which id it is to be ended."""
        waits = math.isinf(patience) or model.schema.output not in {"stream", "text"}
        config = self.config
        longest = min(patience, config.sync_wait_seconds, config.deadline_seconds) if waits else 0
        return Plan(int(longest) or None, self.webhook)

    def batches(
        self, upstream: Upstream, prediction: Prediction, index: int = 0, heard: Hear = _nobody
    ) -> AsyncGenerator[list[Event]]:
        """What it says, as much at a time as came together, none lost and none twice; ends with Done, after a Failure
        if it failed. Of each batch its texts are `heard` first.

        Raises TimedOut when it is not over by its deadline, UpstreamFailed when its end cannot be learned.
        """
        return _Watch(self, upstream, prediction, index, heard).batches()

    async def recorded(self, upstream: Upstream, prediction: Prediction) -> Prediction:
        """As `finished`, for the books alone: what Replicate will tell of an end is waited for before it is asked."""
        if self.webhook and prediction.id in upstream.over and not upstream.ended(prediction.id):
            with self.bells.of(prediction.id) as bell:
                if told := await bell.wait(_TOLD_WITHIN):
                    upstream.heard(told)
        return await self.finished(upstream, prediction)

    async def finished(self, upstream: Upstream, prediction: Prediction) -> Prediction:
        """The prediction at its end, with its metrics if Replicate gives them within a second."""
        known = upstream.ended(prediction.id) or prediction
        if not known.final and prediction.id not in upstream.over:
            await self._listened(upstream, prediction)
            known = upstream.ended(prediction.id) or prediction
        if not _measured(known):
            known = await self.measured(upstream, known)
        if known.final:
            return known
        # The stream said `done`, and still it is not over for those who ask.
        await self._listened(upstream, known)
        return upstream.ended(prediction.id) or known

    async def _listened(self, upstream: Upstream, prediction: Prediction) -> None:
        async with aclosing(self.batches(upstream, prediction)) as batches:
            async for _ in batches:
                pass

    async def measured(self, upstream: Upstream, known: Prediction) -> Prediction:
        """A prediction whose output seems to be whole, with the rest of its record if that comes within a second, and
        unless it turns out to be still going on."""
        lag, passed = self._lags.of(known.model), 0.0
        try:
            for mark in lag.marks():
                if mark > passed:
                    await asyncio.sleep(mark - passed)
                seen, known, passed = known, await upstream.get(known.id), mark
                if _measured(known):
                    lag.whole(mark)
                    break
                if _grown(seen, known):
                    break
        except _PASSING as away:
            log.info("prediction not read", prediction=known.id, reason=away.message)
        return known


class _Watch:
    """One prediction on the ladder."""

    def __init__(self, waiting: Waiting, upstream: Upstream, prediction: Prediction, index: int, heard: Hear) -> None:
        self._waiting, self._upstream, self._told = waiting, upstream, heard
        self._known, self._index = prediction, index
        self._url = prediction.urls.stream or ""  # which a record need not tell again
        self._bell: Bell
        self._delivered = Delivered()
        self._failed = self._over = False
        self._began = waiting.clock()
        self._until = self._began + waiting.config.deadline_seconds + _GRACE_SECONDS

    async def batches(self) -> AsyncGenerator[list[Event]]:
        waiting = self._waiting
        with waiting.bells.of(self._known.id, _TOLD_WITHIN if waiting.webhook else 0) as self._bell:
            # An output that is there already may be all of it, whatever the status says (api.md §4.3).
            if self._known.output is not None and not self._known.final:
                self._known = await waiting.measured(self._upstream, self._known)
            for rung in (self._ended,) if self._known.final else (self._streamed, self._polled):
                async with aclosing(rung()) as batches:
                    async for batch in batches:
                        self._heard(batch)
                        yield batch
                if self._over:
                    return

    def _heard(self, batch: list[Event]) -> None:
        texts, done = [event.text for event in batch if isinstance(event, Output)], batch[-1]
        self._delivered.add(texts)
        if isinstance(done, Done):
            self._upstream.over.add(self._known.id)
            if self._bell.told:  # a webhook may be quicker than a stream
                self._upstream.heard(self._bell.told)
        self._told(texts, done)

    async def _ended(self) -> AsyncGenerator[list[Event]]:
        yield self._ending()

    async def _streamed(self) -> AsyncGenerator[list[Event]]:
        url, cursor, useless, hasty = self._known.urls.stream or self._url, Cursor(), 0, 0
        for _ in range(_CONNECTIONS if url else 0):
            began, heard = self._waiting.clock(), False
            try:
                async with aclosing(read(self._upstream, url, cursor, self._index)) as batches:
                    async for batch in batches:
                        heard = True
                        self._in_time()
                        said, done = self._until_done(batch)
                        if said:
                            yield said
                        if done:
                            yield await self._done(done)
                            return
            except NoStream:
                pass
            if self._failed or (not heard and await self._final()):
                yield self._ending()
                return
            if self._waiting.clock() - began < _AT_ONCE_SECONDS:
                hasty, useless = hasty + 1, 0 if heard else useless + 1
                if hasty == _HASTY or useless == _USELESS:
                    return
                await asyncio.sleep(self._jittered(min(0.5, 0.02 * 2**hasty)))

    def _until_done(self, batch: list[Event]) -> tuple[list[Event], Done | None]:
        """What a stream says, and its `done`. Of a failure its `error` decides; the `done` after it says no more."""
        for place, event in enumerate(batch):
            if isinstance(event, Failure):
                self._failed = True
            elif isinstance(event, Done):
                return batch[:place], event
        return batch, None

    async def _done(self, done: Done) -> list[Event]:
        if done.reason == "error" and not self._failed and await self._final():
            return self._ending()
        self._over = True
        return [done]

    async def _polled(self) -> AsyncGenerator[list[Event]]:
        failures = 0
        while True:
            self._in_time()
            try:
                await self._asked()
                failures = 0
            except NotFound as gone:
                raise UpstreamFailed("Replicate no longer knows this prediction.") from gone
            except _PASSING:
                failures += 1
                if failures == _FAILED_POLLS:
                    raise
            if batch := self._ending() if self._known.final else self._grown():
                yield batch
            if self._over:
                return

    async def _asked(self) -> None:
        """Waits for the bell, or until it is time to ask again; the older a prediction, the less often."""
        age = self._waiting.clock() - self._began
        pause = self._jittered(min(_LAST_POLL, max(_FIRST_POLL, age * _POLL_GROWTH)))
        told = await self._bell.wait(pause * _BELL_FACTOR if self._waiting.webhook else pause)
        self._known = self._upstream.heard(told) if told else await self._upstream.poll(self._known.id)

    async def _final(self) -> bool:
        """Whether it has ended. Where that cannot be learned now, the stream may still tell."""
        try:
            self._known = self._upstream.heard(self._bell.told or await self._upstream.get(self._known.id))
        except _PASSING:
            return False
        return self._known.final

    def _grown(self) -> list[Event]:
        """What a list has gained so far; other shapes may still change as a whole."""
        if not isinstance(self._known.output, list):
            return []
        try:
            return [Output(text, self._index) for text in self._delivered.rest(self._known.output)]
        except UpstreamFailed:
            return []

    def _ending(self) -> list[Event]:
        """The rest of the output, and how it ended. A failure's partial output is not argued about."""
        self._over = True
        known, index = self._known, self._index
        if self._failed:
            return [Done("error", index)]
        if known.status == "succeeded":
            return [*self._rest(), Done(None, index)]
        if known.status == "failed":
            return [*self._grown(), Failure(known.error or "The prediction failed.", index), Done("error", index)]
        return [*self._grown(), Done("canceled", index)]

    def _rest(self) -> list[Event]:
        if self._known.data_removed and self._known.output is None:
            raise UpstreamFailed("Replicate has removed this prediction's output, as it does after an hour.")
        return [Output(text, self._index) for text in self._delivered.rest(self._known.output)]

    def _in_time(self) -> None:
        if self._waiting.clock() > self._until:
            raise TimedOut("The prediction was not over by its deadline.")

    def _jittered(self, seconds: float) -> float:
        return seconds * (0.8 + 0.4 * self._waiting.chance())


def _measured(prediction: Prediction) -> bool:
    """Nothing more is to come: one that was aborted never ran."""
    if prediction.status == "aborted":
        return True
    metrics = prediction.metrics
    return (
        prediction.final
        and prediction.completed_at is not None
        and metrics is not None
        and metrics.total_time is not None
    )


def _grown(before: Prediction, now: Prediction) -> bool:
    """It said more meanwhile, and goes on."""
    if now.final or not (isinstance(before.output, list) and isinstance(now.output, list)):
        return False
    return len(now.output) > len(before.output)

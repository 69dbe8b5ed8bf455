"""One prediction of a call: created once, listened to, ended, and booked."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from msgspec.structs import replace

from adapters.errors import ApiError
from adapters.outputs import text_of
from adapters.wire.replicate import Done, Event, Prediction
from gateway.accounts.entries import Settlement
from gateway.booking import booked, costs, gone, never_ran, spoken
from gateway.errors import InternalError, MaybeCreated, NotFound, StoreError
from gateway.parts import Gateway
from gateway.plans import Plan
from gateway.seeking import Sought
from gateway.together import ended
from gateway.upstream.client import Upstream
from gateway.upstream.origin import Crossing

log = structlog.get_logger()

TURNS_UP_WITHIN = 120.0
"""How many seconds a prediction whose create's answer was lost is looked for, before its cost is booked as unknown."""


def _nobody_asks(error: ApiError) -> None: ...


class Run:
    """One prediction: its inputs, its ledger entry, what it said, and what it cost."""

    def __init__(self, gateway: Gateway, upstream: Upstream, plan: Plan[Any, Any], index: int, entry: str) -> None:
        self.gateway, self.upstream, self.plan, self.entry = gateway, upstream, plan, entry
        self.inputs, self.digest = plan.prepared.inputs[index], plan.digests[index]
        self.prediction: Prediction | None = None
        self.settlement: Settlement | None = None
        self.closed = False
        began = datetime.fromtimestamp(gateway.clock(), UTC)
        self._sought = Sought(gateway, upstream, plan.model, self.digest, entry, began)
        self._first_said: float | None = None
        self._said: list[str] = []
        self._told: Settlement | None = None
        self._told_of: tuple[Prediction, int] | None = None
        self._error: ApiError | None = None
        self._measured = self._spoken = False
        self._creating: asyncio.Task[None] | None = None
        self._answered = asyncio.get_running_loop().create_future()
        self.disowned: Callable[[ApiError], None] = _nobody_asks
        """Told, if the ledger would not have this prediction: by then it runs, and may have spoken."""
        self._crossing = Crossing()
        self._waited = False
        self._stopping: asyncio.Task[None] | None = None

    def account(self, error: ApiError | None = None) -> Settlement:
        """What it comes to by what is known of it now."""
        if self.prediction is None:
            return never_ran(error)
        known = self.prediction, len(self._said)
        if self._told is None or self._told_of != known:
            # Headers, limits, log and books ask for the same: nothing is learned between them.
            said = "".join(self._said) or text_of(self.prediction.output)
            tokens = spoken(self.plan.model.schema, self.prediction, self.inputs, said)
            cost = costs(self.gateway.prices, self.plan.price, self.prediction, tokens)
            # What a create was waited for with came with its last word.
            first = None if self._waited and tokens else self._first_said
            self._told = booked(self.prediction, cost, tokens, None, first)
            self._told_of = known
        return replace(self._told, error=error.code) if error else self._told

    async def create(self, patience: float = 0) -> None:
        """The prediction exists, and the ledger is being told; its create may have waited `patience` seconds for the
        answer. Outlives a client that leaves: a create whose answer nobody reads cannot be cancelled, and costs money.
        """
        self._creating = self._creating or asyncio.create_task(self._create(patience))
        await asyncio.shield(self._answered)
        if self._creating.done():
            self._creating.result()

    @property
    def spoke(self) -> bool:
        """Whether anything was heard of its answer."""
        return bool(self._said)

    @property
    def likely(self) -> Prediction:
        """The prediction as it will end if it ends well, by what it has said so far."""
        assert self.prediction is not None
        if self.prediction.final:
            return self.prediction
        output = list(self._said) if self.prediction.output is None else self.prediction.output
        return replace(self.prediction, status="succeeded", error=None, output=output)

    @property
    def going(self) -> bool:
        """Whether it may still be running, and is meant to."""
        made = self.prediction
        if made is None or made.id in self.upstream.over or self._stopping:
            return False
        return not (self.upstream.ended(made.id) or made).final

    def batches(self, index: int) -> AsyncGenerator[list[Event]]:
        """What the prediction says until its end, as much at a time as came together."""
        assert self.prediction is not None
        return self.gateway.waiting.batches(self.upstream, self.prediction, index, self._hear)

    async def end(self, *, counted: bool = True) -> Prediction:
        """The prediction at its end, measured if it is to be `counted`. One that we stopped has said enough: what it
        said is its output."""
        assert self.prediction is not None
        if self._stopping:
            await asyncio.wait([self._stopping])
        elif counted or not self._spoken:
            await self._measure(self.prediction)
            return self.prediction
        return replace(self.prediction, status="succeeded", error=None, output="".join(self._said))

    def stop(self) -> None:
        """Enough was said: what still runs is cancelled, while others may still be heard."""
        self._stopping = self._stopping or asyncio.create_task(self._cut())

    @property
    def whole(self) -> bool:
        """Nothing more is to be learned of it, nor done about it."""
        told = self._measured and (self._stopping is None or self._stopping.done())
        return told and self.prediction is not None and self.prediction.final

    @property
    def said(self) -> bool:
        """It has ended well, and its answer is known, though nobody has read its record since."""
        return self._spoken and self._stopping is None

    def part(self) -> None:
        """The call is over: it is told nothing more, and nothing here keeps it."""
        self.disowned = _nobody_asks

    def book(self, error: ApiError | None, *, soon: bool) -> Awaitable[None]:
        """Hands what a whole prediction came to over to the ledger, with the first error told; to be awaited."""
        self._error = self._error or error
        self.settlement = self.account(self._error)
        return self._booked(self.gateway.ledger.settle(self.entry, self.settlement, soon=soon))

    async def settle(self, error: ApiError | None = None) -> None:
        """Nothing runs on, and the entry is booked, with the first error told; while Replicate or the store cannot be
        reached, it waits for `recovery`, which asks again."""
        self._error = self._error or error
        await self._booked(self._settle())

    async def _booked(self, settling: Awaitable[object]) -> None:
        try:
            await settling
        except ApiError as away:
            log.warning("settlement postponed", entry=self.entry, reason=away.message)
            self.gateway.postponed.add(self)
        else:
            self.closed = True

    def _hear(self, texts: list[str], last: Event) -> None:
        if texts:
            self._first_said = self._first_said or self.gateway.clock()
            self._said += texts
        self._spoken = isinstance(last, Done) and last.reason is None

    async def _create(self, patience: float) -> None:
        try:
            made = await self._made(patience)
        finally:
            self._answered.set_result(None)
        await self._note(made)

    async def _made(self, patience: float) -> Prediction:
        model, deadline = self.plan.model, self.gateway.config.upstream.deadline_seconds
        # Of several creates that wait with the same inputs, nobody could tell which one to cancel.
        alone = self.plan.digests.count(self.digest) == 1
        if self.upstream.creating(model, self.digest):
            patience = min(patience, deadline)
        plan = self.gateway.waiting.plan(model, patience)
        self._waited = alone and plan.sync_seconds is not None
        try:
            self.prediction = await self.upstream.create(
                model,
                self.inputs,
                deadline=deadline,
                digest=self.digest,
                wait=plan.sync_seconds if alone else None,
                webhook=plan.webhook,
                crossing=self._crossing,
            )
        except MaybeCreated:
            self.prediction = await self._sought.lost()
            if self.prediction is None:
                raise
        return self.prediction

    async def _note(self, made: Prediction) -> None:
        try:
            # Nobody waits for this: until it is on the disk, the entry tells enough to find the prediction by.
            ours = await self.gateway.ledger.created(self.entry, made.id, soon=True)
        except StoreError as away:
            log.warning("prediction not noted", entry=self.entry, prediction=made.id, reason=away.message)
            return
        if not ours:
            # Somebody else has settled this entry or claimed this prediction: it is not ours to run.
            log.error("the ledger would not take a prediction", entry=self.entry, prediction=made.id)
            self.disowned(InternalError("The ledger would not take this prediction; it was cancelled."))

    async def _settle(self) -> None:
        error = await self._how_creating_ended() or self._error
        if self._stopping:
            await asyncio.wait([self._stopping])
        self.settlement = await self._ending(error)
        await self.gateway.ledger.settle(self.entry, self.settlement)

    async def _ending(self, error: ApiError | None) -> Settlement:
        if self.prediction:
            try:
                await self._ended()
            except NotFound as unknown:
                return gone(error or unknown, self.prediction.id)
        return self.account(error)

    async def _how_creating_ended(self) -> ApiError | None:
        """Why there is no prediction, or None if there is one. Raises MaybeCreated while it may still turn up."""
        if self._creating is None:
            return None
        if not self._crossing.under_way:
            # It waits for its turn, or to be sent again: nothing is under way that could be lost.
            await ended(self._creating)
        elif self.prediction is None and not self._creating.done():
            await self._overtake(self._creating)
        if self.prediction:
            return None
        await asyncio.wait([self._creating])
        failure = None if self._creating.cancelled() else self._creating.exception()
        if isinstance(failure, MaybeCreated):
            self.prediction = await self._sought.lost()
            waited = self.gateway.clock() - self._sought.began.timestamp()
            if self.prediction is None and waited < TURNS_UP_WITHIN:
                raise failure
        return failure if isinstance(failure, ApiError) else None

    async def _overtake(self, creating: asyncio.Task[None]) -> None:
        if made := await self._sought.awaited(creating):
            self.prediction = self.prediction or made
            await ended(creating)

    async def _cut(self) -> None:
        try:
            await self._ended()
        except ApiError as away:
            # All that was wanted of it is there; settling tries again.
            log.info("not cancelled at once", entry=self.entry, reason=away.message)

    async def _ended(self) -> None:
        """The prediction is final, by its own end or by our cancelling it, and measured."""
        assert self.prediction is not None
        seen = self.upstream.ended(self.prediction.id) or self.prediction
        if not seen.final and seen.id in self.upstream.over:
            seen = await self.gateway.waiting.recorded(self.upstream, seen)
        if not seen.final:
            seen = await self.upstream.cancel(seen.id)
        if not self._measured:
            await self._measure(seen)

    async def _measure(self, seen: Prediction) -> None:
        self.prediction = await self.gateway.waiting.finished(self.upstream, seen)
        self._measured = True

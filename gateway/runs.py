"""One prediction of a call: created once, listened to, ended, and booked."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from msgspec.structs import replace

from adapters.errors import ApiError
from adapters.wire.replicate import Event, Output, Prediction
from gateway.accounts.entries import Settlement
from gateway.booking import booked, costs, gone, never_ran, spoken
from gateway.errors import InternalError, MaybeCreated, NotFound, StoreError
from gateway.parts import Gateway
from gateway.plans import Plan
from gateway.together import ended
from gateway.upstream.client import Upstream

log = structlog.get_logger()

TURNS_UP_WITHIN = timedelta(minutes=2)
"""How long a prediction whose create's answer was lost is looked for, before its cost is booked as unknown."""


class Run:
    """One prediction: its inputs, its ledger entry, what it said, and what it cost."""

    def __init__(self, gateway: Gateway, upstream: Upstream, plan: Plan[Any, Any], index: int, entry: str) -> None:
        self.gateway, self.upstream, self.plan, self.entry = gateway, upstream, plan, entry
        self.inputs, self.digest = plan.prepared.inputs[index], plan.digests[index]
        self.prediction: Prediction | None = None
        self.settlement: Settlement | None = None
        self._began = datetime.now(UTC)
        self._first_said: float | None = None
        self._said: list[str] = []
        self._error: ApiError | None = None
        self._measured = False
        self._creating: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None

    def account(self, error: ApiError | None = None) -> Settlement:
        """What it comes to by what is known of it now."""
        if self.prediction is None:
            return never_ran(error)
        tokens = spoken(self.plan.model.schema, self.prediction, self.inputs, "".join(self._said))
        cost = costs(self.gateway.prices, self.plan.price, self.prediction, tokens)
        return booked(self.prediction, cost, tokens, error, self._first_said)

    async def create(self) -> None:
        """The prediction exists, and the ledger knows it. Outlives a client that leaves: a create whose answer nobody
        reads cannot be cancelled, and costs money."""
        self._creating = asyncio.create_task(self._create())
        await asyncio.shield(self._creating)

    async def events(self, index: int) -> AsyncGenerator[Event]:
        """What the prediction says until its end."""
        assert self.prediction is not None
        async with aclosing(self.gateway.waiting.events(self.upstream, self.prediction, index)) as events:
            async for event in events:
                if isinstance(event, Output):
                    self._first_said = self._first_said or self.gateway.clock()
                    self._said.append(event.text)
                yield event

    async def end(self) -> Prediction:
        """The prediction at its end, measured. One that we stopped has said enough: what it said is its output."""
        assert self.prediction is not None
        if self._stopping:
            await asyncio.wait([self._stopping])
            return replace(self.prediction, status="succeeded", error=None, output="".join(self._said))
        await self._measure(self.prediction)
        return self.prediction

    def stop(self) -> None:
        """Enough was said: what still runs is cancelled, while others may still be heard."""
        self._stopping = self._stopping or asyncio.create_task(self._cut())

    async def settle(self, error: ApiError | None = None) -> None:
        """Nothing runs on, and the entry is booked, with the first error told; while Replicate or the store cannot be
        reached, it waits for `recovery`, which asks again."""
        self._error = self._error or error
        try:
            await self._settle()
        except ApiError as away:
            log.warning("settlement postponed", entry=self.entry, reason=away.message)
            self.gateway.postponed.add(self)

    async def _create(self) -> None:
        model, plan = self.plan.model, self.gateway.waiting.plan(self.plan.model)
        # Of several creates that wait with the same inputs, nobody could tell which one to cancel.
        alone = len(self.plan.prepared.inputs) == 1
        try:
            self.prediction = await self.upstream.create(
                model,
                self.inputs,
                deadline=self.gateway.config.upstream.deadline_seconds,
                wait=plan.sync_seconds if alone else None,
                webhook=plan.webhook,
            )
        except MaybeCreated:
            self.prediction = await self._found()
            if self.prediction is None:
                raise
        await self._note(self.prediction)

    async def _note(self, made: Prediction) -> None:
        try:
            ours = await self.gateway.ledger.created(self.entry, made.id)
        except StoreError as away:
            # The entry is on the disk, and tells enough to find the prediction by: the call goes on.
            log.warning("prediction not noted", entry=self.entry, prediction=made.id, reason=away.message)
            return
        if not ours:
            # Somebody else has settled this entry or claimed this prediction: it is not ours to run.
            raise InternalError("The ledger would not take this prediction; it was cancelled.")

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
        if self.prediction is None and not self._creating.done():
            await self._overtake(self._creating)
        await asyncio.wait([self._creating])
        if self.prediction:
            return None
        failure = self._creating.exception()
        if isinstance(failure, MaybeCreated):
            self.prediction = await self._found()
            if self.prediction is None and datetime.now(UTC) - self._began < TURNS_UP_WITHIN:
                raise failure
        return failure if isinstance(failure, ApiError) else None

    async def _found(self) -> Prediction | None:
        """The prediction whose create's answer was lost, looked up by what it was created with."""
        return await self.upstream.find_created(self.plan.model, self.digest, self._began)

    async def _overtake(self, creating: asyncio.Task[None]) -> None:
        """A create that waits for its output, or for ever, tells no id until then: look it up instead."""
        try:
            made = await self.upstream.find_waiting(self.plan.model, self.digest, self._began)
        except ApiError as away:
            log.info("not found before its create returned", entry=self.entry, reason=away.message)
            return
        if made:
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
        if not seen.final:
            seen = await self.upstream.cancel(seen.id)
        if not self._measured:
            await self._measure(seen)

    async def _measure(self, seen: Prediction) -> None:
        self.prediction = await self.gateway.waiting.finished(self.upstream, seen)
        self._measured = True

"""One prediction of a call: created once, listened to, ended, and booked."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from msgspec.structs import replace

from adapters.errors import ApiError
from adapters.wire.replicate import Event, Inputs, Output, Prediction
from gateway.accounts.entries import Settlement
from gateway.booking import booked, costs, never_ran, spoken
from gateway.errors import InternalError, MaybeCreated
from gateway.parts import Gateway
from gateway.plans import Plan
from gateway.upstream.client import Upstream, digest

log = structlog.get_logger()

TURNS_UP_WITHIN = timedelta(minutes=2)
"""How long a prediction whose create's answer was lost is looked for, before its cost is booked as unknown."""


class Run:
    """One prediction: its inputs, its ledger entry, what it said, and what it cost."""

    def __init__(self, gateway: Gateway, upstream: Upstream, plan: Plan[Any, Any], inputs: Inputs, entry: str) -> None:
        self.gateway, self.upstream, self.plan, self.inputs, self.entry = gateway, upstream, plan, inputs, entry
        self.prediction: Prediction | None = None
        self.settlement: Settlement | None = None
        self._began = datetime.now(UTC)
        self._first_said: float | None = None
        self._said: list[str] = []
        self._stopped = self._measured = False
        self._creating: asyncio.Task[None] | None = None

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
        if self._stopped:
            return replace(self.prediction, status="succeeded", error=None, output="".join(self._said))
        await self._measure(self.prediction)
        return self.prediction

    async def stop(self) -> None:
        """Enough was said: what still runs is cancelled."""
        self._stopped = True
        await self._ended()

    async def settle(self, error: ApiError | None) -> None:
        """Nothing runs on, and the entry is booked; while Replicate cannot be reached, it waits for `recovery`."""
        try:
            await self._settle(error)
        except ApiError as away:
            log.warning("settlement postponed", entry=self.entry, reason=away.message)
            self.gateway.postponed.append(self)

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
        if not await self.gateway.ledger.created(self.entry, self.prediction.id):
            # Somebody else has settled this entry or claimed this prediction: it is not ours to run.
            raise InternalError("The ledger would not take this prediction; it was cancelled.")

    async def _settle(self, error: ApiError | None) -> None:
        if self.prediction is None:
            error = await self._how_creating_ended() or error
        if self.prediction:
            await self._ended()
        self.settlement = self.account(error)
        await self.gateway.ledger.settle(self.entry, self.settlement)

    async def _how_creating_ended(self) -> ApiError | None:
        """Why there is no prediction, or None if there is one. Raises MaybeCreated while it may still turn up."""
        if self._creating is None:
            return None
        if not self._creating.done():
            await self._overtake()
            await asyncio.wait([self._creating])
        failure = self._creating.exception()
        if isinstance(failure, MaybeCreated):
            self.prediction = await self._found()
            if self.prediction is None and datetime.now(UTC) - self._began < TURNS_UP_WITHIN:
                raise failure
        return failure if isinstance(failure, ApiError) else None

    async def _found(self) -> Prediction | None:
        """The prediction whose create's answer was lost, looked up by what it was created with."""
        return await self.upstream.find_created(self.plan.model, digest(self.inputs), self._began)

    async def _overtake(self) -> None:
        """A create that waits for its output tells no id until then: look it up, and cancel it meanwhile."""
        try:
            made = await self.upstream.find_waiting(self.plan.model, digest(self.inputs), self._began)
            if made and not made.final:
                await self.upstream.cancel(made.id)
        except ApiError as away:
            log.info("not cancelled before its create returned", entry=self.entry, reason=away.message)

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

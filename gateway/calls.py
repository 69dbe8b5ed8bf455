"""The spine: one client request from admission to settlement.

A Call is a context manager. However it ends (done, failed, the client walked away, the gateway is stopping), what
still runs is cancelled and what it cost is booked, by a task that nobody who leaves can cancel.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from typing import Any, Generic, Self

import structlog
from anyio import CancelScope
from msgspec import Struct

from adapters.base import Stamp
from adapters.errors import ApiError, InvalidRequest
from adapters.wire.replicate import Event, Prediction
from gateway.accounts.entries import Opening, Settlement
from gateway.accounts.keys import VirtualKey
from gateway.accounts.limits import Slot
from gateway.booking import came_to, foreseen
from gateway.errors import ClientLeft, Draining, Forbidden, InternalError
from gateway.hearing import Hearing
from gateway.parts import Gateway
from gateway.plans import K, Plan, R, plan, replanned
from gateway.runs import Run
from gateway.together import together

log = structlog.get_logger()


class Caller(Struct, frozen=True):
    """Who asks, at which endpoint, and the id their request is known by."""

    key: VirtualKey
    endpoint: str
    request: str

    def may_use(self, model: str) -> None:
        """Raises Forbidden where the key's owner left this model or endpoint out."""
        if not self.key.allows_model(model):
            raise Forbidden(f"This key may not use the model `{model[:200]}`.", param="model")
        if not self.key.allows_endpoint(self.endpoint):
            raise Forbidden(f"This key may not use {self.endpoint}.")


class Call(Generic[R, K]):
    """One client request: its predictions, what they say, and the account of it."""

    def __init__(self, gateway: Gateway, caller: Caller, planned: Plan[R, K], slot: Slot) -> None:
        self.gateway, self.caller, self.plan, self.slot = gateway, caller, planned, slot
        self.id = uuid.uuid4().hex
        self.began = gateway.clock()
        self.upstream = gateway.upstream.counted()
        self.error: ApiError | None = None
        self.runs: list[Run] = []
        self.settled = asyncio.Event()
        self._hearing: Hearing | None = None
        self._beginning: asyncio.Task[object] | None = None
        self._interruption: ApiError | None = None

    @classmethod
    async def begin(cls, gateway: Gateway, caller: Caller, kind: type[K], request: R) -> Self:
        """A call whose predictions exist. Raises what refused it; then nothing of it is left running or unbooked."""
        caller.may_use(request.model)
        planned = await plan(gateway, kind, request)
        # Asked last, with nothing awaited between this and `running`, by which a shutdown finds the call.
        if gateway.draining:
            raise Draining("This gateway is shutting down.", retry_after=1)
        slot = gateway.limits.admit(caller.key, foreseen(planned.model.schema, planned.prepared))
        call = cls(gateway, caller, planned, slot)
        gateway.running.add(call)
        try:
            await call._start(kind)
        except BaseException as end:
            await call.__aexit__(type(end), end, None)
            raise
        return call

    @property
    def adapter(self) -> K:
        return self.plan.adapter

    @property
    def cost(self) -> int | None:
        """Whole micro-dollars of all predictions so far; None while one of them is not known."""
        amounts = [account.cost for account in self._accounts]
        return None if None in amounts else sum(filter(None, amounts))

    @property
    def estimated(self) -> bool:
        """Whether nobody counted the tokens of some prediction."""
        return any(account.estimated for account in self._accounts)

    @property
    def over(self) -> bool:
        """Every prediction has ended: cost and usage are final."""
        return all(run.prediction and run.prediction.final for run in self.runs)

    @property
    def predictions(self) -> list[Prediction]:
        return [run.prediction for run in self.runs if run.prediction]

    def stamp(self, prefix: str) -> Stamp:
        """The id, second and model name that every part of the reply repeats."""
        return Stamp(id=f"{prefix}{self.id}", created=int(self.began), model=self.plan.request.model)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, end: BaseException | None, trace: object) -> None:
        if end is not None and self.error is None:
            self.failed(_as_error(end))
        # A task of its own, for whoever leaves by a cancelled one may be cancelled again at every await. Behind the
        # shield, because a cancelled scope of anyio's would not even let it be waited for.
        settling = asyncio.create_task(self._settle())
        self.gateway.settling.add(settling)
        settling.add_done_callback(self.gateway.settling.discard)
        with CancelScope(shield=True):
            await asyncio.shield(settling)
        if self.error and self.predictions:
            # Sent again, the call would be paid for again.
            self.error.should_retry, self.error.predictions = False, tuple(one.id for one in self.predictions)

    def batches(self, patience: float | None) -> AsyncGenerator[list[Event]]:
        """What upstream says, as it comes; see `Hearing.batches`. Raises ApiError."""
        assert self._hearing
        return self._hearing.batches(patience)

    async def finished(self) -> list[Prediction]:
        """Every prediction at its end, measured; waits for those that still run."""
        async for _ in self.batches(None):
            pass
        return await together(*(run.end() for run in self.runs))

    def stop(self, index: int) -> None:
        """This prediction has said enough: nothing more is read of it, and it is cancelled if it still runs."""
        assert self._hearing
        self._hearing.ignore(index)
        self.runs[index].stop()

    def failed(self, error: ApiError) -> None:
        """What the books and the log shall say."""
        self.error = error

    def interrupt(self, error: ApiError) -> None:
        """Ends the call from outside: whoever reads it, or waits for it to begin, gets this error next."""
        if self._beginning:
            self._interruption = error
            self._beginning.cancel()
        elif self._hearing:
            self._hearing.interrupt(error)

    async def _start(self, kind: type[K]) -> None:
        self._beginning = asyncio.current_task()
        try:
            await self._create_or_replan(kind)
        except asyncio.CancelledError:
            if self._interruption is None or self._beginning is None:
                raise
            self._beginning.uncancel()
            raise self._interruption from None
        finally:
            self._beginning = None

    async def _create_or_replan(self, kind: type[K]) -> None:
        try:
            await self._create()
        except InvalidRequest as refused:
            # Replicate knows this model otherwise than we do: read its schema again, once.
            again = await replanned(self.gateway, kind, self.plan)
            if again is None:
                refused.param = self.plan.prepared.origins.get(refused.param or "", refused.param)
                raise
            for run in self.runs:
                await run.settle(refused)
            # For the ledger this is a call of its own: it knows a call's entries by their places.
            self.id, self.plan = uuid.uuid4().hex, again
            await self._create()

    async def _create(self) -> None:
        entries = await self._reserved()
        self.runs = [Run(self.gateway, self.upstream, self.plan, *each) for each in enumerate(entries)]
        self._hearing = Hearing(self.runs, self.gateway.config.upstream.deadline_seconds)
        await together(*(run.create() for run in self.runs))

    async def _reserved(self) -> tuple[str, ...]:
        """An entry in the ledger for each prediction, on the disk before any of them exists."""
        gateway, planned = self.gateway, self.plan
        opening = Opening(
            call=self.id,
            key=self.caller.key.id,
            team=self.caller.key.team,
            tags=self.caller.key.tags,
            request=self.caller.request,
            kind=self.caller.endpoint,
            model=planned.request.model,
            ref=str(planned.model.ref),
            version=planned.model.version,
            digests=planned.digests,
            price=planned.price,
            deadline=gateway.config.upstream.deadline_seconds,
        )
        return (await gateway.ledger.open(opening)).entries

    async def _settle(self) -> None:
        try:
            await self._end_runs()
            if real := came_to(self._accounts):
                self.slot.settle(real.tokens, real.images)
        finally:
            # The place was the predictions' as much as the client's: it is free when none of them runs.
            self.slot.release()
            self.gateway.running.discard(self)
            self.settled.set()
        self._log()

    async def _end_runs(self) -> None:
        if self._hearing:
            await self._hearing.aclose()
        settled = await asyncio.gather(*(run.settle(self.error) for run in self.runs), return_exceptions=True)
        for surprise in filter(None, settled):
            # The other predictions are booked all the same; this one's entry is left to the next start.
            log.error("not settled", call=self.id, exc_info=surprise)

    @property
    def _accounts(self) -> list[Settlement]:
        return [run.settlement or run.account(self.error) for run in self.runs]

    def _log(self) -> None:
        if self.error:
            self.error.told = True
        log.info(
            "call",
            call=self.id,
            request=self.caller.request,
            key=self.caller.key.id,
            endpoint=self.caller.endpoint,
            model=self.plan.request.model,
            ref=str(self.plan.model.ref),
            predictions=[prediction.id for prediction in self.predictions],
            outcome=self.error.code if self.error else "ok",
            cost_usd=None if self.cost is None else self.cost / 1_000_000,
            basis=next((account.basis for account in self._accounts), None),
            upstream_requests=self.upstream.requests,
            seconds=round(self.gateway.clock() - self.began, 3),
        )


AnyCall = Call[Any, Any]


def _as_error(end: BaseException) -> ApiError:
    if isinstance(end, ApiError):
        return end
    if isinstance(end, asyncio.CancelledError | GeneratorExit):
        return ClientLeft("The client left.")
    return InternalError("The gateway failed; its log says why.")

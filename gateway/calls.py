"""The spine: one client request from admission to settlement.

A Call is a context manager. However it ends (done, failed, the client walked away, the gateway is stopping), what
still runs is cancelled, drained or detached, as its policy for leaving says, and what it cost is booked, by a task that
nobody who leaves can cancel.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any, Generic, Self

import structlog

from adapters.base import Stamp
from adapters.errors import ApiError, InvalidRequest
from adapters.wire.replicate import Prediction
from gateway import ids
from gateway.accounting import Account
from gateway.accounts.limits import Slot
from gateway.accounts.virtualkeys import Leave
from gateway.callers import Caller
from gateway.config import ModelRow
from gateway.entering import Entering, late
from gateway.errors import ClientLeft, Draining
from gateway.fallbacks import Standins, away, first_plan, passes
from gateway.interrupting import Interruptible
from gateway.leaving import as_error, detached, drained
from gateway.lending import Loans
from gateway.parts import Gateway
from gateway.plans import K, Plan, R, replanned, translated
from gateway.quoting import expected
from gateway.rounds import Round

__all__ = ["AnyCall", "Call", "Caller"]

log = structlog.get_logger()


class Call(Round, Generic[R, K]):
    """One client request: its predictions, what they say, and the account of it."""

    def __init__(self, gateway: Gateway, caller: Caller, kind: type[K], planned: Plan[R, K], slot: Slot) -> None:
        super().__init__()
        self.gateway, self.caller, self.kind, self.plan, self.slot = gateway, caller, kind, planned, slot
        self.name = planned.request.model
        self._standins = Standins(gateway.config, caller.key, gateway.config.row(self.name) or planned.row)
        self.leave: Leave = caller.key.leave
        self.id = ids.fresh()
        self.began = gateway.clock()
        self.upstream = gateway.upstream.counted(caller.share)
        self.error: ApiError | None = None
        self.account = Account(gateway, self.upstream, caller, self.id)
        self.loans = Loans(self.upstream)
        self.settled = asyncio.Event()
        self.answered: str | None = None
        self._beginning = Interruptible()
        self._abandoned = self._unattended = self.detached = False

    @classmethod
    async def begin(
        cls, gateway: Gateway, caller: Caller, kind: type[K], request: R, leave: Leave | None = None
    ) -> Self:
        """A call whose predictions exist. Raises what refused it; then nothing of it is left running or unbooked.

        `leave` says what becomes of them when nobody waits any more; by default it is the key's to say. A call that is
        begun to be detached does not wait for its output.
        """
        caller.may_use(request.model)
        with Entering(gateway) as entrance:
            planned, name = await entrance.run(first_plan(gateway, caller.key, kind, request))
            slot = await gateway.limits.admit(caller.key, expected(planned))
            # Asked last, with nothing awaited between this and `running`, by which a shutdown finds the call.
            if gateway.draining:
                slot.release()
                raise late()
            call = cls(gateway, caller, kind, planned, slot)
            gateway.running.add(call)
        call.leave, call._unattended = leave or call.leave, leave == "detach"
        if name != call.name:
            call.name = name
            call._standins.begin_after(name)
        try:
            await call._start_or_instead()
        except BaseException as end:
            await call.__aexit__(type(end), end, None)
            raise
        return call

    @property
    def adapter(self) -> K:
        return self.plan.adapter

    @property
    def has_standins(self) -> bool:
        """Whether another model may run, if this one fails."""
        return bool(self._standins)

    @property
    def predictions(self) -> list[Prediction]:
        return self.account.predictions

    def stamp(self, prefix: str) -> Stamp:
        """The id, second and model name that every part of the reply repeats."""
        return Stamp(id=f"{prefix}{self.id}", created=int(self.began), model=self.name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, end: BaseException | None, trace: object) -> None:
        if end is not None and self.error is None:
            self.failed(as_error(end))
        self._abandoned = self._abandoned or isinstance(self.error, ClientLeft)
        at_leisure = self._booked_at_leisure
        settling = self._settling(at_leisure=at_leisure)
        if at_leisure:
            self.answered = self.caller.key.id
        else:
            await asyncio.shield(settling)
        if self.error and self.predictions:
            # Sent again, the call would be paid for again.
            self.error.should_retry, self.error.predictions = False, tuple(one.id for one in self.predictions)

    async def walk_away(self) -> None:
        """Nobody waits for this call any more, and that is no error: it goes on, or ends, as `leave` says."""
        self._abandoned = True
        settling = self._settling()
        if self.leave != "drain":
            await asyncio.shield(settling)

    @property
    def _booked_at_leisure(self) -> bool:
        """Whether the reply need not wait for the books: all that it tells is known. It waits where the client's next
        call might miss what this one holds: of a budget that others read, or until its metrics tell what is spent."""
        account, replicas = self.account, self.gateway.replicas
        if self._abandoned or not account.said:
            return False
        return not (replicas and account.tight) if account.whole else not (self.error or replicas or account.tight)

    def _settling(self, *, at_leisure: bool = False) -> asyncio.Task[None]:
        """What is known now is handed to the ledger now: whoever asks next finds its money and its place free."""
        if self._abandoned or not self.account.whole:
            work = self._settle()
            if at_leisure:
                self.slot.vacate()
        else:
            work = self._ended(self.account.book(self.error, soon=at_leisure))
            self._free()
        # A task of its own, for whoever leaves by a cancelled one may be cancelled again at every await.
        settling = asyncio.create_task(work)
        self.gateway.settling.add(settling)
        settling.add_done_callback(self.gateway.settling.discard)
        return settling

    async def again(self, request: R | None = None, row: ModelRow | None = None, after: ApiError | None = None) -> None:
        """A further round within this call: the request amended, or another row where the first one's model is not to
        be had. What ran before is ended and booked, with the error `after`. From now on `batches` and `finished` are
        about the new predictions; cost, headers and settlement cover all rounds. Raises what refused it."""
        await self._beginning.run(self._once_more(request or self.plan.request, row or self.plan.row, after))

    async def instead(self, error: ApiError) -> bool:
        """Whether a model that stands in runs now, because the one that failed so has said nothing, and never will.
        From then on all is about the new one, as after `again`."""
        if not away(error) or any(run.spoke for run in self.account.runs):
            return False
        was = self.name
        while self._standins:
            self.name, row = self._standins.next()
            try:
                await self.again(row=row, after=error)
            except ApiError as refused:
                if not passes(refused):
                    raise
                continue
            log.info("fell back", call=self.id, model=was, to=self.name, reason=error.code or error.type)
            return True
        self.name = was
        return False

    def failed(self, error: ApiError) -> None:
        """What the books and the log shall say."""
        self.error = error

    def interrupt(self, error: ApiError) -> None:
        """Ends the call from outside: whoever reads it, or waits for it to begin, gets this error next."""
        if not self._beginning.interrupt(error):
            self._interrupt(error)

    async def _start_or_instead(self) -> None:
        try:
            await self._beginning.run(self._create_or_replan())
        except ApiError as error:
            if not await self.instead(error):
                raise

    async def _create_or_replan(self) -> None:
        try:
            await self._create()
        except InvalidRequest as refused:
            # Replicate knows this model otherwise than we do: read its schema again, once.
            again = await replanned(self.gateway, self.kind, self.plan)
            if again is None:
                refused.param = self.plan.prepared.origins.get(refused.param or "", refused.param)
                raise
            await self._end_round(refused)
            self.plan = again
            await self._create()

    async def _once_more(self, request: R, row: ModelRow, after: ApiError | None) -> None:
        model = await self.gateway.schemas.get(row.ref)
        await self._end_round(after)
        self.plan = translated(self.gateway, self.kind, request, row, model)
        await self._create_or_replan()

    async def _create(self) -> None:
        ready = await self.loans.made(self.plan)
        runs = await self.account.open(ready, self.name, self.leave)
        for run in runs:
            run.disowned = self.interrupt
        first = self.plan.row.patience_seconds if self._standins else None
        patience = self._patience(first, alone=len(runs) == 1)
        await self._listen(runs, self.gateway.config.upstream.deadline_seconds, first, patience)

    def _patience(self, first: float | None, *, alone: bool) -> float:
        """For how many seconds nobody wants to hear anything: without end, where only the whole answer is wanted. One
        who waits for a `first` word wants that, and whoever may leave a prediction to others needs to know its id."""
        if self._unattended:
            return 0
        if self.plan.request.streams:
            return self.gateway.config.server.heartbeat_seconds
        plain = alone and self.plan.prepared.reading.plain
        wanted_whole = plain and first is None and self.leave != "detach"
        return float("inf") if wanted_whole else self.gateway.config.upstream.deadline_seconds

    async def _settle(self) -> None:
        try:
            await self._as_it_was_left()
            await self._end_round(self.error)
        finally:
            self._free()
            await self._ended(())

    def _free(self) -> None:
        """The place was the predictions' as much as the client's: it is free when none of them runs."""
        if self.detached:
            self.gateway.detached[self.id] = self.slot
            return
        if real := self.account.came_to(self.error):
            self.slot.settle(real.tokens, real.images)
        self.slot.release()

    async def _ended(self, booking: Iterable[Awaitable[None]]) -> None:
        """Nothing is left of the call once this is booked."""
        try:
            await self._hush()
            for each in booking:
                await each
        finally:
            self.gateway.running.discard(self)
            for run in self.account.runs:
                run.part()
            self.settled.set()
            self._log()
        if not self.detached:
            await self.loans.end()

    async def _as_it_was_left(self) -> None:
        """Where nobody waits any more, what its policy says is done before what then still runs is ended."""
        going = self._round and self._abandoned
        try:
            if going and self.leave == "drain":
                await self._beginning.run(drained(self.gateway, self._round, self.finished))
                self.error = None
            elif self._round and self.leave == "detach" and (going or isinstance(self.error, Draining)):
                self.detached = await self._beginning.run(detached(self.gateway, self._round))
        except ApiError as end:
            self.failed(end)
        except Exception as surprise:
            log.error("not left alone", call=self.id, exc_info=surprise)

    async def _end_round(self, error: ApiError | None) -> None:
        await self._hush()
        await self.account.close(error)

    def _log(self) -> None:
        if self.error:
            self.error.told = True
        outcome = self.error.code if self.error else "detached" if self.detached else "ok"
        seconds = round(self.gateway.clock() - self.began, 3)
        ref = str(self.plan.model.ref)
        self.account.log(self.error, model=self.name, ref=ref, outcome=outcome, left=self._abandoned, seconds=seconds)


AnyCall = Call[Any, Any]

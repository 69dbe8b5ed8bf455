"""The account of a call: an entry for each prediction, opened before it exists and booked when it is over."""

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from typing import Any

import structlog

from adapters.errors import ApiError
from adapters.wire.replicate import Prediction
from gateway.accounts.entries import Opening, Reservation, Settlement
from gateway.accounts.rates import Estimate
from gateway.accounts.virtualkeys import Leave
from gateway.booking import came_to
from gateway.callers import Caller
from gateway.parts import Gateway
from gateway.plans import Plan
from gateway.quoting import reserved
from gateway.runs import Run
from gateway.together import outcomes
from gateway.upstream.client import Upstream

log = structlog.get_logger()

CAUGHT_UP_SECONDS = 2.0
"""Longer nobody waits to be told what was used: Replicate, or the books, may be away."""


class Account:
    """What a call has opened in the ledger in all its rounds, and what that comes to."""

    def __init__(self, gateway: Gateway, upstream: Upstream, caller: Caller, call: str) -> None:
        self._gateway, self._upstream, self._caller, self._call = gateway, upstream, caller, call
        self.runs: list[Run] = []
        self.reservation: Reservation | None = None

    async def open(self, planned: Plan[Any, Any], model: str, leave: Leave) -> list[Run]:
        """The runs of a plan, whose entries are on the disk before any of their predictions exists. Raises what the
        budgets say, StoreError."""
        gateway, caller = self._gateway, self._caller
        opening = Opening(
            call=self._call,
            key=caller.key.id,
            team=caller.key.team,
            tags=(*caller.key.tags, *caller.tags),
            request=caller.request,
            kind=caller.endpoint,
            model=model,
            ref=str(planned.model.ref),
            version=planned.model.version,
            digests=planned.digests,
            first=len(self.runs),
            leave=leave,
            price=planned.price,
            reserved=reserved(gateway, planned),
            unpriced=gateway.config.budgets.unpriced,
            deadline=gateway.config.upstream.deadline_seconds,
        )
        self.reservation = await gateway.ledger.open(opening)
        opened = enumerate(self.reservation.entries)
        runs = [Run(gateway, self._upstream, planned, index, entry) for index, entry in opened]
        self.runs += runs
        return runs

    @property
    def cost(self) -> int | None:
        """Whole micro-dollars of all predictions so far; None while one of them is not known."""
        return _cost(self.settlements())

    @property
    def estimated(self) -> bool:
        """Whether nobody counted the tokens of some prediction."""
        return any(each.estimated for each in self.settlements())

    @property
    def over(self) -> bool:
        """Every prediction has ended: cost and usage are final."""
        return all(run.prediction and run.prediction.final for run in self.runs)

    @property
    def whole(self) -> bool:
        """Nothing more is to be learned of any prediction, and nothing to be done about it but to book it."""
        return all(run.closed or run.whole for run in self.runs)

    @property
    def said(self) -> bool:
        """Every prediction has said all that it will, though its record may not be read yet."""
        return all(run.closed or run.whole or run.said for run in self.runs)

    @property
    def tight(self) -> bool:
        """Whether what is held for this call may be in the way of the next that is like it."""
        if self.reservation is None:
            return False
        like = max(1, self.reservation.amount or 0)
        return any(budget.left is not None and budget.left < like for budget in self.reservation.budgets)

    @property
    def predictions(self) -> list[Prediction]:
        return [run.prediction for run in self.runs if run.prediction]

    def settlements(self, error: ApiError | None = None) -> list[Settlement]:
        """What each prediction comes to, by what is known of it now."""
        return [run.settlement or run.account(error) for run in self.runs]

    def came_to(self, error: ApiError | None) -> Estimate | None:
        """What all of them came to, in the words of the limits; None where nobody knows."""
        return came_to(self.settlements(error))

    def log(self, error: ApiError | None, **told: object) -> None:
        """The one line that every call leaves in the log."""
        held, settlements = self.reservation, self.settlements(error)
        cost = _cost(settlements)
        log.info(
            "call",
            call=self._call,
            request=self._caller.request,
            key=self._caller.key.id,
            endpoint=self._caller.endpoint,
            **told,
            predictions=[prediction.id for prediction in self.predictions],
            cost_usd=None if cost is None else cost / 1_000_000,
            reserved_usd=None if held is None or held.amount is None else held.amount / 1_000_000,
            unforeseen=held.unforeseen or None if held else None,
            basis=next((each.basis for each in settlements), None),
            upstream_requests=self._upstream.requests,
        )

    def book(self, error: ApiError | None, *, soon: bool) -> list[Awaitable[None]]:
        """Hands all that is not booked to the ledger, to be waited for; for predictions that are whole."""
        return [run.book(error, soon=soon) for run in self.runs if not run.closed]

    async def close(self, error: ApiError | None) -> None:
        """Nothing of it runs on, and all is booked that can be now."""
        left = [run for run in self.runs if not run.closed]
        settled = await outcomes(*(run.settle(error) for run in left))
        for surprise in filter(None, settled):
            # The other predictions are booked all the same; this one's entry is left to the next start.
            log.error("not settled", call=self._call, exc_info=surprise)


async def caught_up(gateway: Gateway, key: str) -> None:
    """The calls of this key whose replies have left are in the books, unless that takes long."""
    answered = [call.settled.wait() for call in gateway.running if call.answered == key]
    with suppress(TimeoutError):
        async with asyncio.timeout(CAUGHT_UP_SECONDS):
            await asyncio.gather(*answered)


def _cost(settlements: Iterable[Settlement]) -> int | None:
    amounts = [each.cost for each in settlements]
    return None if None in amounts else sum(filter(None, amounts))

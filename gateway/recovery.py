"""After a crash, and after a settlement that had to wait: what was left open is found, ended, priced and booked."""

import asyncio
from collections.abc import Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

import msgspec
import structlog

from adapters.errors import ApiError
from adapters.outputs import text_of
from adapters.wire.replicate import ModelRef, Prediction
from gateway.accounts.entries import Entry, Settlement
from gateway.booking import booked, costs, gone, never_ran, spoken
from gateway.errors import NotFound, ProcessDied, StoreError, UnknownModel, UpstreamFailed
from gateway.hearing import NEWS_SECONDS
from gateway.parts import Gateway
from gateway.upstream.models import Model, Record

log = structlog.get_logger()

T = TypeVar("T")

EVERY_SECONDS, SOON_SECONDS = 15.0, 1.0
"""Between two rounds, where there was nothing to do; and where something is left."""

TURNS_UP_SECONDS = 10.0
"""How long after its entry a prediction may yet turn up. What the dead process sent has reached Replicate or never
will: no more is needed than Replicate takes to create one."""

ANSWER_SECONDS = 5.0
"""How long the answer to a create may take beyond its sync wait, until its prediction is in the books."""

AT_ONCE = 8

DIED = ProcessDied("The gateway's process died while this ran.")


async def recover(gateway: Gateway) -> float:
    """One round over what an earlier process left and what was postponed; gives the seconds until the next."""
    if await sweep(gateway):
        return SOON_SECONDS
    return min(EVERY_SECONDS, gateway.replicas.leases.pause) if gateway.replicas else EVERY_SECONDS


async def post(gateway: Gateway) -> float:
    """Brings what the journal holds into the books, if these are back, and sees whether they still are there; gives the
    seconds until the next try."""
    try:
        if gateway.ledger.journaled:
            await gateway.ledger.replay()
        else:
            await gateway.ledger.probe()
        await gateway.intents.catch_up()
    except StoreError as away:
        log.warning("the books are still away", waiting=gateway.ledger.journaled, reason=away.reason)
    return SOON_SECONDS


async def sweep(gateway: Gateway) -> int:
    """One round. Gives how many are left for the next: Replicate or the store is away, or a prediction may turn up.

    Raises StoreError."""
    # One at a time: what one has just found would be known to this process, and for the other there would be nothing.
    async with gateway.sweeping:
        return await _swept(gateway)


async def _swept(gateway: Gateway) -> int:
    await gateway.ledger.replay()
    postponed, gateway.postponed = gateway.postponed, set()
    await _each(run.settle() for run in postponed)
    left = await (gateway.replicas.leases.adopt() if gateway.replicas else gateway.ledger.unsettled())
    told = await _each(_settled(gateway, entry) for entry in left)
    for call in set(gateway.detached) - await gateway.ledger.open_calls(list(gateway.detached)):
        gateway.detached.pop(call).release()
    return len(gateway.postponed) + told.count(False)


async def _each(work: Iterable[Coroutine[Any, Any, T]]) -> list[T | BaseException]:
    """A few at a time. What one fails of is logged, for it must not keep the others open."""
    few = asyncio.Semaphore(AT_ONCE)

    async def one(part: Coroutine[Any, Any, T]) -> T:
        async with few:
            return await part

    told = await asyncio.gather(*map(one, work), return_exceptions=True)
    for surprise in told:
        if isinstance(surprise, BaseException):
            log.error("not recovered", exc_info=surprise)
    return told


async def _settled(gateway: Gateway, entry: Entry) -> bool:
    """Whether nothing more is to be done for the entry soon: it is settled now, or goes on as it was meant to."""
    try:
        settlement = await _settlement(gateway, entry)
        if isinstance(settlement, Settlement):
            await gateway.ledger.settle(entry.id, settlement)
            log.info("recovered", entry=entry.id, prediction=settlement.prediction, status=settlement.status)
    except ApiError as away:
        log.warning("settlement postponed", entry=entry.id, reason=away.message)
        return False
    return settlement != "uncertain"


async def _settlement(gateway: Gateway, entry: Entry) -> Settlement | Literal["uncertain", "goes on"]:
    """What became of the entry's prediction. One that still runs goes on if it is detached and in time, or is ended."""
    try:
        prediction = await _found(gateway, entry)
        if prediction is None:
            old = gateway.clock() - entry.created_at >= TURNS_UP_SECONDS
            return never_ran(DIED) if old else "uncertain"
        detached = entry.leave == "detach" and not _overdue(gateway, entry)
        if detached and not prediction.final:
            await gateway.ledger.created(entry.id, prediction.id)
            return "goes on"
        if not prediction.final:
            prediction = await gateway.upstream.cancel(prediction.id)
        prediction = await gateway.waiting.finished(gateway.upstream, prediction)
    except NotFound:
        return gone(DIED, entry.prediction)
    model = await _model(gateway, entry)
    inputs = msgspec.json.decode(prediction.input) or {}
    tokens = spoken(model.schema, prediction, inputs, text_of(prediction.output))
    cost = costs(gateway.prices, entry.price, prediction, tokens)
    return booked(prediction, cost, tokens, None if detached else DIED, None)


def _overdue(gateway: Gateway, entry: Entry) -> bool:
    """Replicate has ended it by now, or has forgotten to."""
    began = entry.prediction_at or entry.created_at
    return gateway.clock() > began + entry.deadline + NEWS_SECONDS


async def _found(gateway: Gateway, entry: Entry) -> Prediction | None:
    """The prediction an entry was opened for: by its id, or by the digest of its inputs where the answer to its
    create died with the process. Raises NotFound for one that Replicate no longer knows."""
    if entry.prediction:
        return await gateway.upstream.get(entry.prediction)
    since = datetime.fromtimestamp(entry.created_at, UTC)

    async def ours(found: Prediction) -> bool:
        # Another gateway's create of just the same may still wait for its answer: then the books do not know it yet.
        waited = _age(found) >= gateway.config.upstream.sync_wait_seconds + ANSWER_SECONDS
        if gateway.replicas and not waited and await gateway.ledger.asked_alike(entry.id, entry.digest):
            raise UpstreamFailed("A prediction like the one that is looked for may be another gateway's.")
        return await gateway.ledger.created(entry.id, found.id)

    return await gateway.upstream.find_created(await _model(gateway, entry), entry.digest, since, ours)


def _age(prediction: Prediction) -> float:
    made = datetime.fromisoformat(prediction.created_at) if prediction.created_at else datetime.now(UTC)
    return (datetime.now(UTC) - made).total_seconds()


async def _model(gateway: Gateway, entry: Entry) -> Model:
    """The entry's model; one that is no longer there is known by its name, which its predictions bear."""
    ref = ModelRef.parse(entry.ref)
    try:
        return await gateway.schemas.get(ref)
    except UnknownModel:
        return Model.of(ref, Record(owner=ref.owner, name=ref.name, version=ref.version))

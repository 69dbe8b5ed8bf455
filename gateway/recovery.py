"""After a crash, and after a settlement that had to wait: what was left open is found, ended, priced and booked."""

import asyncio
from collections.abc import Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import structlog

from adapters.errors import ApiError
from adapters.outputs import text_of
from adapters.wire.replicate import ModelRef, Prediction
from gateway.accounts.entries import Entry, Settlement
from gateway.booking import booked, costs, gone, never_ran, spoken
from gateway.errors import NotFound, ProcessDied, UnknownModel
from gateway.parts import Gateway
from gateway.upstream.models import Model, Record

log = structlog.get_logger()

T = TypeVar("T")

EVERY_SECONDS, SOON_SECONDS = 15.0, 1.0
"""Between two rounds, where there was nothing to do; and where something is left."""

TURNS_UP_SECONDS = 10.0
"""How long after its entry a prediction may yet turn up. What the dead process sent has reached Replicate or never
will: no more is needed than Replicate takes to create one."""

AT_ONCE = 8

DIED = ProcessDied("The gateway's process died while this ran.")


async def recover(gateway: Gateway) -> float:
    """One round over what an earlier process left and what was postponed; gives the seconds until the next."""
    return SOON_SECONDS if await sweep(gateway) else EVERY_SECONDS


async def sweep(gateway: Gateway) -> int:
    """One round. Gives how many are left for the next: Replicate or the store is away, or a prediction may turn up.

    Raises StoreError."""
    postponed, gateway.postponed = gateway.postponed, set()
    await _each(run.settle() for run in postponed)
    left = await gateway.ledger.unsettled()
    told = await _each(_settled(gateway, entry) for entry in left)
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
    """Whether the entry is settled now."""
    try:
        settlement = await _settlement(gateway, entry)
        if settlement:
            await gateway.ledger.settle(entry.id, settlement)
            log.info("recovered", entry=entry.id, prediction=settlement.prediction, status=settlement.status)
    except ApiError as away:
        log.warning("settlement postponed", entry=entry.id, reason=away.message)
        return False
    return settlement is not None


async def _settlement(gateway: Gateway, entry: Entry) -> Settlement | None:
    """What became of the entry's prediction, which is ended if it still runs; None while that is not certain."""
    try:
        prediction = await _found(gateway, entry)
        if prediction is None:
            old = gateway.clock() - entry.created_at >= TURNS_UP_SECONDS
            return never_ran(DIED) if old else None
        if not prediction.final:
            prediction = await gateway.upstream.cancel(prediction.id)
        prediction = await gateway.waiting.finished(gateway.upstream, prediction)
    except NotFound:
        return gone(DIED, entry.prediction)
    model = await _model(gateway, entry)
    inputs = msgspec.json.decode(prediction.input) or {}
    tokens = spoken(model.schema, prediction, inputs, text_of(prediction.output))
    return booked(prediction, costs(gateway.prices, entry.price, prediction, tokens), tokens, DIED, None)


async def _found(gateway: Gateway, entry: Entry) -> Prediction | None:
    """The prediction an entry was opened for: by its id, or by the digest of its inputs where the answer to its
    create died with the process. Raises NotFound for one that Replicate no longer knows."""
    if entry.prediction:
        return await gateway.upstream.get(entry.prediction)
    since = datetime.fromtimestamp(entry.created_at, UTC)
    return await gateway.upstream.find_created(await _model(gateway, entry), entry.digest, since)


async def _model(gateway: Gateway, entry: Entry) -> Model:
    """The entry's model; one that is no longer there is known by its name, which its predictions bear."""
    ref = ModelRef.parse(entry.ref)
    try:
        return await gateway.schemas.get(ref)
    except UnknownModel:
        return Model.of(ref, Record(owner=ref.owner, name=ref.name, version=ref.version))

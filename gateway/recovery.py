"""After a crash, and after a settlement that had to wait: what was left open is found, ended, priced and booked."""

import asyncio
from datetime import UTC, datetime

import msgspec
import structlog

from adapters.errors import ApiError
from adapters.outputs import text_of
from adapters.usage import Counted
from adapters.wire.replicate import ModelRef, Prediction
from gateway.accounts.entries import Entry
from gateway.booking import booked, costs, never_ran, spoken
from gateway.errors import NotFound, ProcessDied, UnknownModel
from gateway.parts import Gateway

log = structlog.get_logger()

EVERY_SECONDS = 15.0

DIED = ProcessDied("The gateway's process died while this ran.")


async def recover(gateway: Gateway) -> None:
    """Goes on for as long as the gateway runs, over what an earlier process left and what was postponed."""
    while True:
        await sweep(gateway)
        await asyncio.sleep(EVERY_SECONDS)


async def sweep(gateway: Gateway) -> None:
    """One round. An entry that cannot be settled now (Replicate or the store is away) stays for the next."""
    postponed, gateway.postponed = gateway.postponed, set()
    for run in postponed:
        await run.settle()
    try:
        left = await gateway.ledger.unsettled()
    except ApiError as away:
        log.warning("recovery postponed", reason=away.message)
        return
    for entry in left:
        try:
            await _settle(gateway, entry)
        except ApiError as away:
            log.warning("settlement postponed", entry=entry.id, reason=away.message)


async def _settle(gateway: Gateway, entry: Entry) -> None:
    prediction = await _found(gateway, entry)
    if prediction and not prediction.final:
        prediction = await gateway.upstream.cancel(prediction.id)
    if prediction is None:
        await gateway.ledger.settle(entry.id, never_ran(DIED))
    else:
        prediction = await gateway.waiting.finished(gateway.upstream, prediction)
        tokens = await _tokens(gateway, entry, prediction)
        cost = costs(gateway.prices, entry.price, prediction, tokens)
        await gateway.ledger.settle(entry.id, booked(prediction, cost, tokens, DIED, None))
    log.info("recovered", entry=entry.id, prediction=prediction.id if prediction else None)


async def _found(gateway: Gateway, entry: Entry) -> Prediction | None:
    """The prediction an entry was opened for: by its id, or by the digest of its inputs where the answer to its
    create died with the process. None if it never was, or is long gone."""
    try:
        if entry.prediction:
            return await gateway.upstream.get(entry.prediction)
        model = await gateway.schemas.get(ModelRef.parse(entry.ref))
        return await gateway.upstream.find_created(model, entry.digest, datetime.fromtimestamp(entry.created_at, UTC))
    except (NotFound, UnknownModel):
        return None


async def _tokens(gateway: Gateway, entry: Entry, prediction: Prediction) -> Counted | None:
    try:
        model = await gateway.schemas.get(ModelRef.parse(entry.ref))
    except UnknownModel:
        return None
    inputs = msgspec.json.decode(prediction.input) if prediction.input else {}
    return spoken(model.schema, prediction, inputs, text_of(prediction.output))

"""Leaving well: running calls get their time, then an error, and every one of them is settled."""

import asyncio
from contextlib import suppress

import structlog

from gateway.errors import Draining
from gateway.parts import Gateway

log = structlog.get_logger()

SETTLE_SECONDS = 15.0
"""How long interrupted calls may take to cancel their predictions and settle."""


async def drain(gateway: Gateway) -> None:
    """Takes no more calls, waits `server.drain_seconds` for those that run, then interrupts the rest."""
    gateway.draining = True
    log.info("draining", running=len(gateway.running))
    await _idle(gateway, gateway.config.server.drain_seconds)
    for call in list(gateway.running):
        call.interrupt(Draining("This gateway is shutting down; this call could not be finished."))
    await _idle(gateway, SETTLE_SECONDS)
    log.info("drained", unsettled=len(gateway.running))


async def _idle(gateway: Gateway, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            for call in list(gateway.running):
                await call.settled.wait()

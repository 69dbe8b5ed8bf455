"""A prediction that was asked for, and whose answer is lost or yet to come: looked for by what it was created with."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from adapters.errors import ApiError
from adapters.wire.replicate import Prediction
from gateway.errors import StoreError
from gateway.parts import Gateway
from gateway.upstream.client import Upstream
from gateway.upstream.models import Model

log = structlog.get_logger()

_AFTER = (0.0, 0.3, 1.0, 4.0, 15.0)
"""Seconds between looks for one whose create still waits: it may not be there at once, or not be told from another."""


@dataclass(frozen=True, slots=True)
class Sought:
    """The prediction of an `entry`: of this model and the inputs of this digest, created since it `began`."""

    gateway: Gateway
    upstream: Upstream
    model: Model
    digest: str
    entry: str
    began: datetime

    async def lost(self) -> Prediction | None:
        """The prediction whose create's answer was lost. Raises ApiError."""
        return await self.upstream.find_created(self.model, self.digest, self.began, self._ours)

    async def awaited(self, creating: asyncio.Task[Any]) -> Prediction | None:
        """The prediction whose create waits for its output, or for ever, and tells no id until then; None where that
        is over first, or nobody can tell which one it is."""
        for pause in _AFTER:
            if pause:
                await asyncio.wait([creating], timeout=pause)
            if creating.done():
                return None
            try:
                found = await self.upstream.find_waiting(self.model, self.digest, self.began)
                if found and await self._surely_ours(found):
                    return found
            except ApiError as away:
                log.info("not found before its create returned", entry=self.entry, reason=away.message)
                return None
        return None

    async def _ours(self, found: Prediction) -> bool:
        # Where several gateways share the books, another may have asked for just the same: it has noted its own.
        try:
            return await self.gateway.ledger.created(self.entry, found.id)
        except StoreError:
            return True

    async def _surely_ours(self, found: Prediction) -> bool:
        """Where several gateways share the books, no other has asked for just the same and does not know its own."""
        if self.gateway.replicas is None:
            return True
        if await self.gateway.ledger.asked_alike(self.entry, self.digest):
            return False
        return await self.gateway.ledger.created(self.entry, found.id)

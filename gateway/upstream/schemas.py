"""Models and what they take, kept for a while: one read at a time for each, and a stale one beats none."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec
import structlog
from cachetools import LRUCache, TTLCache
from msgspec import Struct
from msgspec.structs import replace

from adapters.errors import ApiError
from adapters.wire.replicate import ModelRef
from gateway.config import SchemasConfig
from gateway.errors import UnknownModel
from gateway.upstream.client import Upstream
from gateway.upstream.models import Model, Record

__all__ = ["Model", "Schemas", "Shelf"]

log = structlog.get_logger()

_UNKNOWN_SECONDS = 30.0
_RETRY_SECONDS = 30.0
_UNKNOWN_KEPT = 1000
_WARMED_AT_ONCE = 8


class Shelf(Protocol):
    """Where copies outlive the process. One that is out of order gives None and keeps nothing; it does not raise."""

    async def load(self, key: str) -> tuple[bytes, float] | None:
        """What was saved under this key, and the unix time of it."""

    async def save(self, key: str, body: bytes) -> None: ...


class Kept(Struct):
    """A model, when it was read, and when it may be read again (unix time)."""

    model: Model
    read_at: float
    again_at: float


class Schemas:
    """By model ref: memory, then the shelf, then Replicate. `clock` gives unix time."""

    def __init__(
        self, upstream: Upstream, config: SchemasConfig, shelf: Shelf, clock: Callable[[], float] = time.time
    ) -> None:
        self._upstream, self._config, self._shelf, self._clock = upstream, config, shelf, clock
        self._kept: LRUCache[str, Kept] = LRUCache(config.capacity)
        self._unknown: TTLCache[str, str] = TTLCache(_UNKNOWN_KEPT, _UNKNOWN_SECONDS, timer=clock)
        self._flights: dict[str, asyncio.Task[Model]] = {}

    async def get(self, ref: ModelRef) -> Model:
        """The model; one that is due is read again behind the caller's back. Raises ApiError."""
        key = str(ref)
        kept = self._kept.get(key)
        if kept is None and (reason := self._unknown.get(key)):
            raise UnknownModel(reason)
        kept = kept or await self._taken_down(ref)
        if kept is None:
            return await asyncio.shield(self._flight(ref))
        if self._clock() >= kept.again_at:
            kept.again_at = self._clock() + _RETRY_SECONDS
            self._flight(ref)
        return kept.model

    def known(self, ref: ModelRef) -> Model | None:
        """The model, if it is in memory; nothing is read for it."""
        kept = self._kept.get(str(ref))
        return kept.model if kept else None

    async def refresh(self, ref: ModelRef) -> Model:
        """The model read again, because it refused what it should have taken; at most twice a minute."""
        kept = self._kept.get(str(ref))
        if kept and self._clock() - kept.read_at < _RETRY_SECONDS:
            return kept.model
        try:
            return await asyncio.shield(self._flight(ref))
        except UnknownModel:
            raise
        except ApiError:
            if kept is None:
                raise
            return kept.model

    async def warm(self, refs: Iterable[ModelRef]) -> None:
        """Has these models at hand, where they can be had; what is due is read again. For the start, and a timer."""
        few = asyncio.Semaphore(_WARMED_AT_ONCE)

        async def one(ref: ModelRef) -> None:
            async with few:
                try:
                    await self.get(ref)
                except ApiError as error:
                    log.warning("model not at hand", model=str(ref), reason=error.message)

        await asyncio.gather(*map(one, refs))

    async def aclose(self) -> None:
        """Gives up what is being read."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _flight(self, ref: ModelRef) -> asyncio.Task[Model]:
        """The one read of this model that is under way. It outlives those who wait for it."""
        key = str(ref)
        if key not in self._flights:
            flight = asyncio.create_task(self._read(ref))
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        return self._flights[key]

    def _landed(self, key: str, flight: asyncio.Task[Model]) -> None:
        del self._flights[key]
        error = None if flight.cancelled() else flight.exception()
        if error and key in self._kept:
            log.warning("model not refreshed", model=key, reason=str(error))

    async def _read(self, ref: ModelRef) -> Model:
        if known := self._by_version(ref):
            return self._keep(known)
        try:
            record = await self._upstream.counted().model(ref)
        except UnknownModel as unknown:
            await self._forget(str(ref), unknown)
            raise
        model = self._keep(Model.of(ref, record))
        await self._shelf.save(_shelved(ref), msgspec.json.encode(record))
        return model

    def _keep(self, model: Model) -> Model:
        key, now = str(model.ref), self._clock()
        old = self._kept.get(key)
        if old and old.model.version != model.version:
            log.info("model moved", model=key, before=old.model.version, now=model.version)
        self._kept[key] = Kept(model, now, now + self._config.refresh_seconds)
        return model

    def _by_version(self, ref: ModelRef) -> Model | None:
        """A bare version is told by no route of Replicate's, but it may be one that we know under its model's name."""
        if ref.path:
            return None
        kept = next((kept for kept in self._kept.values() if kept.model.version == ref.version), None)
        return replace(kept.model, ref=ref) if kept else None

    async def _taken_down(self, ref: ModelRef) -> Kept | None:
        found = await self._shelf.load(_shelved(ref))
        if found is None or not found[0]:
            return None
        try:
            record = msgspec.json.decode(found[0], type=Record)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        kept = Kept(Model.of(ref, record), found[1], found[1] + self._config.refresh_seconds)
        return self._kept.setdefault(str(ref), kept)

    async def _forget(self, key: str, unknown: UnknownModel) -> None:
        self._unknown[key] = unknown.message
        self._kept.pop(key, None)
        # The shelf has no way to take back: an empty copy is none.
        await self._shelf.save(_shelved(key), b"")


def _shelved(ref: ModelRef | str) -> str:
    return f"model:{ref}"

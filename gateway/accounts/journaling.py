"""Lines of the local journal: what was opened, created and settled while the books were away, and their way back."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy import Connection

from gateway.accounts.entries import Settlement
from gateway.errors import StoreError
from gateway.store.journal import Journal
from gateway.store.sql import Store

log = structlog.get_logger()

BATCH = 200
"""So many lines share a transaction."""


class Opened(Struct, frozen=True, tag="open"):
    """Entries of a call, as rows; `owner` is the process that looks after them, `leave` their fate without it."""

    owner: str
    rows: list[dict[str, Any]]
    leave: str = "cancel"

    @property
    def subjects(self) -> tuple[str, ...]:
        """The entries and predictions that it is about."""
        return tuple(row["id"] for row in self.rows)


class Created(Struct, frozen=True, tag="created", gc=False):
    """Which prediction was made for an entry, and when, in unix milliseconds."""

    entry: str
    prediction: str
    at: int

    @property
    def subjects(self) -> tuple[str, ...]:
        return (self.entry, self.prediction)


class Settled(Struct, frozen=True, tag="settled", gc=False):
    """How an entry's prediction ended, and when it was told, in unix seconds."""

    entry: str
    settlement: Settlement
    at: float

    @property
    def subjects(self) -> tuple[str, ...]:
        its = self.settlement.prediction
        return (self.entry, its) if its else (self.entry,)


Line = Opened | Created | Settled
Post = Callable[[Connection, Sequence[Line]], Sequence[object]]
_LINES = msgspec.json.Decoder(Line)


class UnknownEntry(LookupError):
    """No entry of this id was ever opened."""


class Journaling:
    """Keeps lines while the books are away, and posts them in their order when they are back, each once."""

    def __init__(self, store: Store, journal: Journal, post: Post) -> None:
        self._store, self._journal, self._post = store, journal, post
        self._posting = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """How many lines wait: as long as there are any, the books are taken to be away."""
        return self._journal.waiting

    @property
    def takes_new(self) -> bool:
        """Whether entries may be opened while the books are away."""
        return self._journal.takes_new

    async def keep(self, line: Line) -> None:
        """The line is on the disk. Raises StoreError where that takes none either."""
        await self._journal.add(msgspec.json.encode(line))

    async def replay(self) -> int:
        """Posts what waits here, and what processes that died left in this folder. Raises StoreError while away."""
        async with self._posting:
            posted = await self._replayed(self._journal)
            for left in self._journal.left():
                posted += await self._replayed(left)
        if posted:
            log.info("posted from the journal", lines=posted)
        return posted

    async def _replayed(self, journal: Journal) -> int:
        posted = 0
        while some := journal.lines[:BATCH]:
            await self._take(journal, some)
            await journal.drop(len(some))
            posted += len(some)
        return posted

    async def _take(self, journal: Journal, raw: list[bytes]) -> None:
        try:
            lines = [_LINES.decode(line) for line in raw]
            await self._write(lines)
        except (StoreError, UnknownEntry, msgspec.MsgspecError) as wrong:
            if isinstance(wrong, StoreError) and not wrong.lasting:
                raise
            if len(raw) > 1:
                # One of them is the cause; the others must not wait for it.
                for line in raw:
                    await self._take(journal, [line])
                return
            log.error("the books refuse a line of the journal", reason=str(wrong))
            await journal.reject(raw[0])

    async def _write(self, lines: Sequence[Line]) -> None:
        def post(connection: Connection) -> None:
            for told in self._post(connection, lines):
                if isinstance(told, Exception):
                    raise told

        await self._store.write(post)

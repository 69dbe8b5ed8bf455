"""The one writer: a thread that commits what many callers hand in together, and answers each after the commit."""

import asyncio
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from queue import SimpleQueue
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import StoreError
from gateway.store.engines import only_reads, refusal
from gateway.store.prepared import Prepared

T = TypeVar("T")
L = TypeVar("L")
_BEGIN = Prepared(text("SAVEPOINT item"))
_UNDO = Prepared(text("ROLLBACK TO SAVEPOINT item"))
_END = Prepared(text("RELEASE SAVEPOINT item"))
# Gateways that share a PostgreSQL write in turns, as SQLite makes them: each batch changes the same sums and budgets as
# others do, in an order of its own. Without turns two would end in deadlocks, or both spend what they read before.
# Any number does that no other lock here has.
_TAKE_TURN = Prepared(text("SELECT pg_advisory_xact_lock(7370617468)"))
BATCH = 256
"""At most so many items share a commit: more would make the first one wait."""

SOON_SECONDS = 0.02
"""How long an item that nobody waits for may wait for company: a commit costs more than what is in it."""

Works = Callable[[Connection, Sequence[L]], Sequence[T | Exception]]
"""Does several lines in their order, and tells of each what came of it, or why it wrote nothing."""


class Item:
    """Something to write, the future of whoever waits for it, and what came of it, an exception where it failed."""

    __slots__ = ("future", "line", "told", "works")

    def __init__(self, works: Works[Any, Any], line: Any, future: asyncio.Future[Any]) -> None:
        self.works, self.line, self.future = works, line, future
        self.told: Any = None

    def answer(self) -> None:
        """Tells who waits how it went; who was cancelled meanwhile is not told."""
        if self.future.done():
            return
        if isinstance(self.told, Exception):
            self.future.set_exception(self.told)
        else:
            self.future.set_result(self.told)


class Writer:
    """Writes in the order of asking; an item's error is its own, a failed commit is everyone's."""

    def __init__(self, engine: Engine) -> None:
        self.commits = 0
        self.away = False
        """Whether the last commit failed; set from outside, until the next one, by whoever could not even read."""
        self._engine = engine
        self._items: deque[Item] = deque()
        self._bell: SimpleQueue[Literal["write", "end"]] = SimpleQueue()
        self._rung, self._soon = False, 0.0
        self._busy = False
        self._ending = False
        """Whether the database was told to commit: only its answer says whether it did."""
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="repligate-writer", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether all that was handed in is written."""
        return not self._items and not self._busy

    def put(self, works: Works[L, T], line: L, *, soon: bool = False) -> asyncio.Future[T]:
        """What `works` makes of this line, once it is on the disk: among others' lines of the same works, in one go.

        The future raises what came of it instead, or StoreError. Cancelled before its turn, nothing is written. `soon`
        lets it wait for company.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        with self._closing:
            if self._closed:
                future.set_exception(StoreError("The books are closed."))
                return future
            self._items.append(Item(works, line, future))
        if not soon:
            self.hurry()
        elif not self._rung and time.monotonic() >= self._soon:
            self._soon = time.monotonic() + SOON_SECONDS
            loop.call_later(SOON_SECONDS, self._waited)
        return future

    async def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` returned, once it is on the disk. Raises what it raised, or StoreError."""
        return await self.put(_each, work)

    def hurry(self) -> None:
        """What was handed in is written now."""
        if not self._rung and self._items:
            self._rung = True
            self._bell.put("write")

    def _waited(self) -> None:
        self._soon = 0.0
        self.hurry()

    def close(self) -> None:
        """Writes what was handed in before, then ends."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._bell.put("end")
        self._thread.join()

    def _run(self) -> None:
        going = True
        while going:
            going = self._bell.get() == "write"
            self._rung, self._busy = False, True
            while batch := self._taken():
                self._commit(batch)
                _answer(batch)
            self._busy = False

    def _taken(self) -> list[Item]:
        return [self._items.popleft() for _ in range(min(BATCH, len(self._items)))]

    def _commit(self, batch: list[Item]) -> None:
        try:
            try:
                self._together(batch)
            except _Failed as failed:
                if only_reads(failed.__cause__):
                    # This connection leads to a standby, and would go on doing so: the next one may not.
                    self._engine.dispose()
                self._apart(batch)
            self.commits += 1
            # A server that only reads refuses each work, and commits that there was nothing.
            self.away = any(isinstance(item.told, StoreError) and not item.told.lasting for item in batch)
        except SQLAlchemyError as wrong:
            self.away = True
            for item in batch:
                item.told = item.told if isinstance(item.told, Exception) else refusal(wrong, unsure=self._ending)

    def _together(self, batch: list[Item]) -> None:
        """Without a savepoint for each: that costs as much as a work. Raises _Failed, and nothing is written."""
        with self._turn() as connection:
            for works, alike in groupby(batch, attrgetter("works")):
                items = [item for item in alike if not item.future.cancelled()]
                try:
                    told = works(connection, [item.line for item in items])
                except Exception as wrong:
                    raise _Failed from wrong
                for item, each in zip(items, told, strict=True):
                    item.told = each

    def _apart(self, batch: list[Item]) -> None:
        """All of it again, so that only those fail whose works do."""
        with self._turn() as connection:
            for item in batch:
                _do(item, connection)

    @contextmanager
    def _turn(self) -> Iterator[Connection]:
        """A transaction in which nobody else writes."""
        self._ending = False
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                _TAKE_TURN.run(connection)
            yield connection
            self._ending = True


class _Failed(Exception):
    """One of a batch's works has failed."""


def _each(connection: Connection, works: Sequence[Callable[[Connection], T]]) -> list[T | Exception]:
    """Works that have nothing in common."""
    return [work(connection) for work in works]


def _do(item: Item, connection: Connection) -> None:
    if item.future.cancelled():
        return
    _BEGIN.run(connection)
    try:
        (item.told,) = item.works(connection, [item.line])
    except SQLAlchemyError as wrong:
        item.told = refusal(wrong)
    except Exception as wrong:  # noqa: BLE001 - carried to the caller, who raises it
        item.told = wrong
    if isinstance(item.told, Exception):
        # On a full disk SQLite has rolled back everything itself: then this fails, and with it the batch.
        _UNDO.run(connection)
    _END.run(connection)


def _answer(batch: Iterable[Item]) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[Item]] = defaultdict(list)
    for item in batch:
        loops[item.future.get_loop()].append(item)
    for loop, items in loops.items():
        try:
            loop.call_soon_threadsafe(_answer_all, items)
        except RuntimeError:
            continue  # that loop is closed: nobody waits there any more


def _answer_all(items: list[Item]) -> None:
    for item in items:
        item.answer()

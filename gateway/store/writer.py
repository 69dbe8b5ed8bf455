"""The one writer: a thread that commits what many callers hand in together, and answers each after the commit."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import StoreError
from gateway.store.engines import refusal
from gateway.store.prepared import Prepared

T = TypeVar("T")
_BEGIN = Prepared(text("SAVEPOINT item"))
_UNDO = Prepared(text("ROLLBACK TO SAVEPOINT item"))
_END = Prepared(text("RELEASE SAVEPOINT item"))
BATCH = 256
"""At most so many items share a commit: more would make the first one wait."""


class Item:
    """Something to write, and the future of whoever waits for it."""

    __slots__ = ("error", "future", "loop", "value", "work")

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.value: Any = None
        self.error: Exception | None = None

    def answer(self) -> None:
        """Tells who waits how it went; who was cancelled meanwhile is not told."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.value)


class Writer:
    """Writes in the order of asking; an item's error is its own, a failed commit is everyone's."""

    def __init__(self, engine: Engine) -> None:
        self.commits = 0
        self._engine = engine
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="repligate-writer", daemon=True)
        self._thread.start()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` returned, once it is on the disk. Raises what it raised, or StoreError."""
        item = Item(work)
        with self._closing:
            if self._closed:
                raise StoreError("The books are closed.")
            self._queue.put(item)
        value: T = await item.future
        return value

    def close(self) -> None:
        """Writes what was handed in before, then ends."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first, *self._waiting()]
            self._commit(batch)
            _answer(batch)

    def _waiting(self) -> Iterator[Item]:
        for _ in range(BATCH - 1):
            try:
                item = self._queue.get_nowait()
            except Empty:
                return
            if item is None:
                self._queue.put(None)  # closing: nothing can come after it, so it is next again
                return
            yield item

    def _commit(self, batch: list[Item]) -> None:
        try:
            with self._engine.begin() as connection:
                for item in batch:
                    _do(item, connection)
            self.commits += 1
        except SQLAlchemyError as wrong:
            for item in batch:
                item.error = item.error or refusal(wrong)


def _do(item: Item, connection: Connection) -> None:
    if item.future.cancelled():
        return
    _BEGIN.run(connection)
    try:
        item.value = item.work(connection)
    except SQLAlchemyError as wrong:
        item.error = refusal(wrong)
    except Exception as wrong:  # noqa: BLE001 - carried to the caller, who raises it
        item.error = wrong
    if item.error is not None:
        # On a full disk SQLite has rolled back everything itself: then this fails, and with it the batch.
        _UNDO.run(connection)
    _END.run(connection)


def _answer(batch: Iterable[Item]) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[Item]] = defaultdict(list)
    for item in batch:
        loops[item.loop].append(item)
    for loop, items in loops.items():
        try:
            loop.call_soon_threadsafe(_answer_all, items)
        except RuntimeError:
            continue  # that loop is closed: nobody waits there any more


def _answer_all(items: list[Item]) -> None:
    for item in items:
        item.answer()

"""What the predictions of a call say, gathered for its one reader; a reader who is slow makes them wait."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from adapters.errors import ApiError
from adapters.wire.replicate import Event, Output
from gateway.alarms import Alarm
from gateway.errors import TimedOut
from gateway.together import ended

AHEAD = 256
"""How many events may wait for the reader. Beyond that upstream is not read on, and its socket holds the rest: what
comes together is taken together, and that is no more than one read from a socket holds."""

NEWS_SECONDS = 10.0
"""Replicate ends a prediction at its deadline; the news of it may take this long before we end it ourselves."""


class Speaker(Protocol):
    """A prediction that says something until it ends."""

    def batches(self, index: int) -> AsyncGenerator[list[Event]]: ...


class Hearing:
    """Listens to several predictions at once, from the first `batches` on, for `seconds` since now at most, and for
    `first` until something is said."""

    def __init__(self, speakers: Sequence[Speaker], seconds: float, first: float | None = None) -> None:
        self._speakers, self._seconds, self._first = speakers, seconds, first
        self._first_by = None if first is None else asyncio.get_running_loop().time() + first
        self._deadline = asyncio.get_running_loop().time() + seconds + NEWS_SECONDS
        self._pumps: list[asyncio.Task[None]] | None = None
        self._heard: deque[list[Event] | Exception | None] = deque()
        self._ahead = 0
        self._reader: asyncio.Future[None] | None = None
        self._room = asyncio.Event()
        self._speaking = len(speakers)

    async def batches(self, patience: float | None) -> AsyncGenerator[list[Event]]:
        """What is said, as it comes: all that is there at once; [] after `patience` seconds of silence.

        Ends when every prediction has ended, and goes on where an earlier walk was left. Raises ApiError.
        """
        if self._pumps is None:
            self._pumps = [asyncio.create_task(self._pump(*each)) for each in enumerate(self._speakers)]
        alarm = Alarm(self._wake)
        try:
            while self._speaking:
                if not self._heard and not await self._news(alarm, patience):
                    yield []
                elif batch := self._taken():
                    yield batch
        finally:
            alarm.close()

    def ignore(self, index: int) -> None:
        """Nothing more is heard of this prediction."""
        if self._pumps:
            self._pumps[index].cancel()

    def interrupt(self, error: ApiError) -> None:
        """The reader gets this error next."""
        self._tell(error)

    async def aclose(self) -> None:
        """Nothing is listened to any more."""
        if self._pumps:
            await ended(*self._pumps)
            # A cancelled task keeps where it ended, and so this: were it kept as well, both would stay until garbage
            # is collected.
            self._pumps = []

    async def _pump(self, index: int, speaker: Speaker) -> None:
        try:
            async with aclosing(speaker.batches(index)) as batches:
                async for batch in batches:
                    while self._ahead >= AHEAD:
                        self._room.clear()
                        await self._room.wait()
                    self._ahead += len(batch)
                    self._tell(batch)
        except Exception as error:  # noqa: BLE001 - carried to the reader, who raises it
            self._tell(error)
        finally:
            self._tell(None)

    def _tell(self, word: list[Event] | Exception | None) -> None:
        if self._first_by is not None and isinstance(word, list) and any(isinstance(each, Output) for each in word):
            self._first_by = None
        self._heard.append(word)
        self._wake()

    def _wake(self) -> None:
        if self._reader and not self._reader.done():
            self._reader.set_result(None)

    async def _news(self, alarm: Alarm, patience: float | None) -> bool:
        """Waits until something is said; False where nothing is for so long."""
        loop = asyncio.get_running_loop()
        ends = self._deadline if self._first_by is None else min(self._deadline, self._first_by)
        alarm.set(ends if patience is None else min(ends, loop.time() + patience))
        self._reader = loop.create_future()
        try:
            await self._reader
        finally:
            self._reader = None
        if self._heard or loop.time() < ends:
            return bool(self._heard)
        if loop.time() < self._deadline:
            raise TimedOut(f"The model said nothing within {self._first:g} seconds and was cancelled.")
        raise TimedOut(f"The model did not finish within {self._seconds:g} seconds and was cancelled.")

    def _taken(self) -> list[Event]:
        """All that is there, up to an error; the error once nothing is before it."""
        batch: list[Event] = []
        while self._heard and not (batch and isinstance(self._heard[0], Exception)):
            word = self._heard.popleft()
            if isinstance(word, Exception):
                raise word
            if word is None:
                self._speaking -= 1
            else:
                batch = [*batch, *word] if batch else word
        self._ahead -= len(batch)
        self._room.set()
        return batch

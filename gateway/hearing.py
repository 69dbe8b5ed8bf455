"""What the predictions of a call say, gathered for its one reader; a reader who is slow makes them wait."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from adapters.errors import ApiError
from adapters.wire.replicate import Event
from gateway.errors import TimedOut
from gateway.together import ended

AHEAD = 256
"""How many events may wait for the reader. Beyond that upstream is not read on, and its socket holds the rest."""

NEWS_SECONDS = 10.0
"""Replicate ends a prediction at its deadline; the news of it may take this long before we end it ourselves."""


class Speaker(Protocol):
    """A prediction that says something until it ends."""

    def events(self, index: int) -> AsyncGenerator[Event]: ...


class Hearing:
    """Listens to several predictions at once, from the first `batches` on, for `seconds` since now at most."""

    def __init__(self, speakers: Sequence[Speaker], seconds: float) -> None:
        self._speakers, self._seconds = speakers, seconds
        self._deadline = asyncio.get_running_loop().time() + seconds + NEWS_SECONDS
        self._pumps: list[asyncio.Task[None]] = []
        self._heard: deque[Event | Exception | None] = deque()
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._speaking = len(speakers)

    async def batches(self, patience: float | None) -> AsyncGenerator[list[Event]]:
        """What is said, as it comes: all that is there at once; [] after `patience` seconds of silence.

        Ends when every prediction has ended, and goes on where an earlier walk was left. Raises ApiError.
        """
        if not self._pumps:
            self._pumps = [asyncio.create_task(self._pump(*each)) for each in enumerate(self._speakers)]
        while self._speaking:
            if not await self._news_within(patience):
                yield []
            elif batch := self._taken():
                yield batch

    def ignore(self, index: int) -> None:
        """Nothing more is heard of this prediction."""
        self._pumps[index].cancel()

    def interrupt(self, error: ApiError) -> None:
        """The reader gets this error next."""
        self._tell(error)

    async def aclose(self) -> None:
        """Nothing is listened to any more."""
        await ended(*self._pumps)

    async def _pump(self, index: int, speaker: Speaker) -> None:
        try:
            async with aclosing(speaker.events(index)) as events:
                async for event in events:
                    while len(self._heard) >= AHEAD:
                        self._room.clear()
                        await self._room.wait()
                    self._tell(event)
        except Exception as error:  # noqa: BLE001 - carried to the reader, who raises it
            self._tell(error)
        finally:
            self._tell(None)

    def _tell(self, word: Event | Exception | None) -> None:
        self._heard.append(word)
        self._news.set()

    async def _news_within(self, patience: float | None) -> bool:
        now = asyncio.get_running_loop().time
        until = self._deadline if patience is None else min(self._deadline, now() + patience)
        try:
            async with asyncio.timeout_at(until):
                await self._news.wait()
        except TimeoutError:
            if now() < self._deadline:
                return False
            raise TimedOut(f"The model did not finish within {self._seconds:g} seconds and was cancelled.") from None
        return True

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
                batch.append(word)
        if not self._heard:
            self._news.clear()
        self._room.set()
        return batch

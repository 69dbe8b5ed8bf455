"""What is being made at one gateway, told to another whose client asks for it: part by part, none lost, none twice."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.store.post import Post
from gateway.store.shared import Away

FIND_SECONDS = 1.0
"""How long it may take until every gateway has said whether it has what is asked for."""

ASK_SECONDS, GONE_SECONDS = 1.0, 6.0
"""How often whoever asks says that he is still there; and after how long a silence the other one is gone."""

_KIND = "part"


class Source(Protocol):
    """What is being made here. It goes on as long as somebody has joined."""

    over: bool

    @property
    def parts(self) -> Sequence[Any]: ...
    async def news(self, seconds: float) -> None: ...
    def join(self) -> None: ...
    def leave(self, patience: float) -> None: ...


Find = Callable[[str, int], Source | None]
"""Takes a name, and the how manieth attempt it is that asks."""


class Broken(Exception):
    """Whoever told this is not heard any more, and it was not at its end."""


class Wanted(Struct, frozen=True, kw_only=True, tag="wanted"):
    """Somebody wants the parts of this from number `after` on; `again`, if he has missed some."""

    id: str
    kind: str
    name: str
    attempt: int = 0
    after: int = 0
    again: bool = False


class Answered(Struct, frozen=True, tag="answered"):
    """Whether it is being told here."""

    id: str
    here: bool


class Parts(Struct, frozen=True, tag="parts"):
    """Some parts, from this number on."""

    id: str
    number: int
    parts: list[Any]
    last: bool


class Left(Struct, frozen=True, tag="left"):
    """Nobody wants it any more, unless somebody is back within so many seconds."""

    id: str
    patience: float


Word = Wanted | Answered | Parts | Left


class Elsewhere:
    """One gateway's end. `offers` are the kinds of things that may be made here."""

    def __init__(self, post: Post) -> None:
        self.offers: dict[str, Find] = {}
        self._post = post
        self._remotes: dict[str, Remote] = {}
        self._tellings: dict[str, _Telling] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        post.on(_KIND, self._heard)

    async def find(self, kind: str, name: str, attempt: int = 0, after: int = 0) -> "Remote | None":
        """What another gateway is making, if one says in time that it is."""
        wanted = Wanted(id=uuid.uuid4().hex, kind=kind, name=name, attempt=attempt, after=after)
        remote = self._remotes[wanted.id] = Remote(self, wanted)
        found = False
        try:
            others = await self.tell(wanted) - 1
            found = await remote.found(others)
        except Away:
            return None
        finally:
            if not found:
                self.forget(wanted.id)
        return remote if found else None

    async def tell(self, word: Word, to: str = "all") -> int:
        """Raises Away."""
        return await self._post.tell(_KIND, msgspec.msgpack.encode(word), to)

    def forget(self, id: str) -> None:
        self._remotes.pop(id, None)

    def begin(self, work: Any) -> None:
        """Does it in a task of its own."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """Tells nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _heard(self, sender: str, content: bytes) -> None:
        word: Word = msgspec.msgpack.decode(content, type=Word)
        if isinstance(word, Wanted):
            self._asked(sender, word)
        elif isinstance(word, Left):
            if telling := self._tellings.get(word.id):
                telling.end(word.patience)
        elif remote := self._remotes.get(word.id):
            remote.heard(sender, word)

    def _asked(self, sender: str, wanted: Wanted) -> None:
        if telling := self._tellings.get(wanted.id):
            telling.asked(wanted)
        else:
            find = self.offers.get(wanted.kind)
            source = find(wanted.name, wanted.attempt) if find else None
            if source:
                self._tellings[wanted.id] = telling = _Telling(self, sender, wanted, source)
                self.begin(self._told(wanted.id, telling))
        self.begin(self.answer(sender, Answered(wanted.id, here=telling is not None)))

    async def answer(self, to: str, word: Word) -> None:
        """Told if that is possible."""
        with suppress(Away):
            await self.tell(word, to)

    async def _told(self, id: str, telling: "_Telling") -> None:
        try:
            await telling.run()
        finally:
            del self._tellings[id]


class Remote:
    """What another gateway is making, as it tells it."""

    dropped = False

    def __init__(self, elsewhere: Elsewhere, wanted: Wanted) -> None:
        self._elsewhere, self._wanted = elsewhere, wanted
        self._words: asyncio.Queue[Parts | Answered] = asyncio.Queue()
        self._teller, self._without = "", 0
        self._news = asyncio.Event()

    async def found(self, others: int) -> bool:
        """Whether one of so many others has it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(FIND_SECONDS):
                while self._without < others and not self._teller:
                    self._news.clear()
                    await self._news.wait()
        return bool(self._teller)

    def heard(self, sender: str, word: Parts | Answered) -> None:
        here = isinstance(word, Parts) or word.here
        if here and not self._teller:
            self._teller = sender
        self._without += not here
        self._news.set()
        if sender == self._teller:
            self._words.put_nowait(word)
        elif here:
            # Two make the same: one is enough.
            self._elsewhere.begin(self._elsewhere.answer(sender, Left(word.id, 0)))

    def join(self) -> None:
        """It was joined when it was found."""

    def leave(self, patience: float) -> None:
        """Its client has left, and may be back within so many seconds."""
        self._elsewhere.forget(self._wanted.id)
        self._elsewhere.begin(self._elsewhere.answer(self._teller, Left(self._wanted.id, patience)))

    async def follow(self) -> AsyncGenerator[Any]:
        """Every part, as it comes. Raises Broken."""
        async for parts in self.batches():
            for part in parts:
                yield part

    async def batches(self) -> AsyncGenerator[Sequence[Any]]:
        """The parts that come together; none after a second of silence. Raises Broken."""
        received, told = self._wanted.after, time.monotonic()
        heard = told
        while True:
            word, now = await self._word(), time.monotonic()
            heard = now if word else heard
            missed = word is None
            if isinstance(word, Parts):
                fresh = word.parts[max(0, received - word.number) :] if word.number <= received else []
                received, missed = received + len(fresh), word.number > received
                yield fresh
                if word.last and not missed:
                    return
            elif not word:
                yield []
            elif not word.here:
                raise Broken
            if now - heard > GONE_SECONDS:
                raise Broken
            if missed or now - told > ASK_SECONDS:
                told = now
                await self._elsewhere.answer(self._teller, replace(self._wanted, after=received, again=missed))

    async def _word(self) -> Parts | Answered | None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await self._words.get()
        except TimeoutError:
            return None


class _Telling:
    """What one other gateway is told, as long as it asks."""

    def __init__(self, elsewhere: Elsewhere, asker: str, wanted: Wanted, source: Source) -> None:
        self._elsewhere, self._asker, self._id, self._source = elsewhere, asker, wanted.id, source
        self._next, self._ended = wanted.after, False
        self._patience, self._until = 0.0, 0.0
        self.asked(wanted)

    def asked(self, wanted: Wanted) -> None:
        self._until = time.monotonic() + GONE_SECONDS
        if wanted.again:
            self._next, self._ended = min(self._next, wanted.after), False

    def end(self, patience: float) -> None:
        self._until, self._patience = 0.0, patience

    async def run(self) -> None:
        self._source.join()
        try:
            while time.monotonic() < self._until:
                if self._ended or not (self._source.over or len(self._source.parts) > self._next):
                    await self._source.news(ASK_SECONDS / 2)
                else:
                    await self._tell()
        finally:
            self._source.leave(self._patience)

    async def _tell(self) -> None:
        number, fresh, self._ended = self._next, list(self._source.parts[self._next :]), self._source.over
        self._next += len(fresh)
        await self._elsewhere.answer(self._asker, Parts(self._id, number, fresh, self._ended))

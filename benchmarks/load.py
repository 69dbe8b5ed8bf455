"""Clients that cost next to nothing: plain connections that send one prepared request again and again.

Every load ends in time: who has not answered by then is cut off, and counts as having taken as long as it was waited
for. A load to which nothing was answered at all has failed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count, cycle
from typing import Any, Self, cast
from urllib.parse import urlsplit

import httptools
import msgspec
from msgspec import Struct

NUMBER = "#######"
"""Where this stands in a request, each that is sent has another number: clients do not all ask for the very same."""


class Target(Struct, frozen=True):
    """Where one request goes, and how it is written."""

    url: str
    headers: dict[str, str]
    body: dict[str, object]

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80

    @property
    def request(self) -> bytes:
        """The whole request, as it goes over the wire."""
        parts, body = urlsplit(self.url), msgspec.json.encode(self.body)
        told = {"host": parts.netloc, "content-type": "application/json", "content-length": len(body), **self.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        return f"POST {parts.path} HTTP/1.1\r\n{head}\r\n".encode() + body

    def requests(self) -> Iterator[bytes]:
        """The request again and again, each with its number."""
        whole, mark = self.request, NUMBER.encode()
        return (whole.replace(mark, b"%07d" % number) for number in count(1))


class Failed(Exception):
    """An answer that is no answer: nothing that was measured with it counts."""


class Answer(Struct):
    """One answer: its seconds, and for a stream the instants at which pieces came with the instants they were sent.
    One that was `cut` had not come to its end."""

    seconds: float = 0.0
    heard: list[float] = []
    sent: list[float] = []
    cut: bool = False


class Connection(asyncio.Protocol):
    """One connection that asks one thing at a time."""

    transport: asyncio.Transport
    answer: Answer

    @classmethod
    async def to(cls, address: tuple[str, int]) -> Self:
        _, made = await asyncio.get_running_loop().create_connection(cls, *address)
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)
        self._over: asyncio.Future[None] | None = None
        self.begun = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._now = time.monotonic()
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body
        if self._streams:
            self._read()

    def on_message_complete(self) -> None:
        if self._over and not self._over.done():
            self._over.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if self._over and not self._over.done():
            self._over.set_exception(Failed("the connection was closed"))

    async def ask(self, request: bytes, *, streams: bool = False) -> Answer:
        """Sends it and waits for all of the answer; the instants are counted from now. Raises Failed."""
        self._body, self._streams, self.answer = b"", streams, Answer()
        self._over = asyncio.get_running_loop().create_future()
        began = time.monotonic()
        self.transport.write(request)
        try:
            await self._over
        except asyncio.CancelledError:
            self.answer.cut = True
            raise
        finally:
            self.answer.seconds = time.monotonic() - began
            self.answer.heard = [at - began for at in self.answer.heard]
            self.answer.sent = [at - began for at in self.answer.sent]
        if self._parser.get_status_code() // 100 != 2:
            raise Failed(f"{self._parser.get_status_code()}: {self._body[:300].decode('utf-8', 'replace')}")
        if streams and not self.answer.heard:
            raise Failed(f"a stream without a word: {self._body[:300].decode('utf-8', 'replace')}")
        return self.answer

    def _read(self) -> None:
        """Each piece of text is the instant it was sent at."""
        *frames, self._body = self._body.split(b"\n\n")
        for frame in frames:
            text = frame.partition(b'"content":')[2].lstrip(b' "')
            for stamp in text.partition(b'"')[0].split():
                if stamp[:1].isdigit():
                    self.answer.heard.append(self._now)
                    self.answer.sent.append(float(stamp))
                    self.begun.set()


async def closed(
    target: Target | Sequence[Target], clients: int, seconds: float, *, streams: bool = False, grace: float = 5.0
) -> list[Answer]:
    """So many clients, each asking again as soon as it has its answer; several targets are asked in turn."""
    targets = [target] if isinstance(target, Target) else target
    requests = map(next, cycle([each.requests() for each in targets]))
    async with connected(targets[0], clients) as open:
        until = time.monotonic() + seconds
        asking = [_again(each, requests, until, streams=streams) for each in open]
        told = await _ended(asking, open, seconds + grace)
        return _checked([*(answer for answers in told for answer in answers), *_cut(open)])


async def _again(connection: Connection, requests: Iterator[bytes], until: float, *, streams: bool) -> list[Answer]:
    answers = []
    try:
        while time.monotonic() < until:
            answers.append(await connection.ask(next(requests), streams=streams))
    except asyncio.CancelledError:
        pass  # what it heard until now counts
    return answers


async def steady(
    target: Target, rate: float, seconds: float, *, streams: bool = False, grace: float = 5.0
) -> list[Answer]:
    """So many requests a second at even intervals, whether answers come or not: a slow one makes no other wait, and
    its lateness counts from the instant at which it should have been sent."""
    free: list[Connection] = []
    used: list[Connection] = []
    requests, began, asked = target.requests(), time.monotonic(), []

    async def one(due: float) -> list[Answer]:
        if not free:
            free.append(await Connection.to(target.address))
            used.append(free[-1])
        connection, late = free.pop(), time.monotonic() - due
        try:
            answer = await connection.ask(next(requests), streams=streams)
        except asyncio.CancelledError:
            return []
        free.append(connection)
        answer.seconds += late
        return [answer]

    try:
        for place in range(max(1, int(rate * seconds))):
            due = began + place / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            asked.append(asyncio.create_task(one(due)))
        told = await _ended(asked, used, grace)
        return _checked([*(answer for answers in told for answer in answers), *_cut(used)])
    finally:
        _leave(asked, used)


async def burst(target: Target, clients: int, *, streams: bool = False, limit: float = 30.0) -> list[Answer]:
    """So many clients that ask at the same instant, once each."""
    async with connected(target, clients) as open:
        asking = [_once(*each, streams=streams) for each in zip(open, target.requests(), strict=False)]
        told = await _ended(asking, open, limit)
        return _checked([*(answer for answers in told for answer in answers), *_cut(open)])


async def _once(connection: Connection, request: bytes, *, streams: bool) -> list[Answer]:
    try:
        return [await connection.ask(request, streams=streams)]
    except asyncio.CancelledError:
        return []


@asynccontextmanager
async def begun(
    target: Target, streams: int, limit: float = 30.0, least: float = 1.0
) -> AsyncIterator[list[Connection]]:
    """So many streams, once each of them has said something, or at the limit so large a part of them as `least`; left,
    they are cut off. Raises Failed."""
    async with connected(target, streams) as open:
        asked = [asyncio.create_task(each.ask(target.request, streams=True)) for each in open]
        waiting = asyncio.ensure_future(_all_begun(open))
        try:
            over: asyncio.Future[Any]
            await asyncio.wait({waiting, *asked}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            for over in asked:
                if over.done() and (error := over.exception()):
                    raise error
            spoke = sum(each.begun.is_set() for each in open)
            if spoke < least * streams:
                raise Failed(f"{spoke} of {streams} streams began within {limit:.0f} s")
            yield open
        finally:
            waiting.cancel()
            _leave(asked, [])
            await asyncio.gather(waiting, *asked, return_exceptions=True)


@asynccontextmanager
async def connected(target: Target, clients: int) -> AsyncIterator[list[Connection]]:
    """So many open connections."""
    open = list(await asyncio.gather(*(Connection.to(target.address) for _ in range(clients))))
    try:
        yield open
    finally:
        _leave([], open)


async def _all_begun(open: Sequence[Connection]) -> None:
    for each in open:
        await each.begun.wait()


async def _ended(
    work: Sequence[Coroutine[Any, Any, list[Answer]] | asyncio.Task[list[Answer]]],
    open: Sequence[Connection],
    limit: float,
) -> list[list[Answer]]:
    """What each has told, those that are cut off at the limit too. Raises the first Failed."""
    tasks = [each if isinstance(each, asyncio.Task) else asyncio.create_task(each) for each in work]
    try:
        await asyncio.wait(tasks, timeout=limit, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        _leave(tasks, open)
        told = await asyncio.gather(*tasks, return_exceptions=True)
    for each in told:
        if isinstance(each, Exception):
            raise each
    return [each for each in told if isinstance(each, list)]


def _cut(open: Sequence[Connection]) -> list[Answer]:
    return [each.answer for each in open if getattr(each, "answer", None) and each.answer.cut]


def _checked(answers: list[Answer]) -> list[Answer]:
    if answers and all(answer.cut for answer in answers):
        raise Failed(f"no answer within {max(answer.seconds for answer in answers):.1f} s")
    return answers


def _leave(asked: Sequence[asyncio.Task[Any]], open: Sequence[Connection]) -> None:
    for task in asked:
        task.cancel()
    for connection in open:
        connection.transport.close()


def finished(answers: Sequence[Answer]) -> int:
    """How many answers came to their end."""
    return sum(not answer.cut for answer in answers)


def first_tokens(answers: Sequence[Answer]) -> list[float]:
    """Seconds from the request to the first piece of each stream; for one that never spoke, how long it was heard."""
    return [answer.heard[0] if answer.heard else answer.seconds for answer in answers]


def gaps(answers: Sequence[Answer]) -> list[float]:
    """Seconds by which each pause between two pieces differs from the one they were sent with."""
    return [
        abs((answer.heard[i] - answer.heard[i - 1]) - (answer.sent[i] - answer.sent[i - 1]))
        for answer in answers
        for i in range(1, len(answer.heard))
    ]


async def holding(target: Target, streams: int, look: Callable[[], float]) -> float:
    """What `look` says once each of so many streams has begun."""
    async with begun(target, streams):
        return look()

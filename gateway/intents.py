"""One answer per intent: whoever asks again for the same shares the answer that is being made, or was made."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from adapters.errors import ApiError
from gateway.accounts.replies import Intent, Replies, Reply
from gateway.config import IntentsConfig
from gateway.errors import REUSED, IntentDiffers, StoreError

log = structlog.get_logger()

Message = Mapping[str, Any]

MOST_RECENT = 10_000
"""So many answers are remembered for retries at most, however small they are."""


class Answer:
    """A reply in the making, as the ASGI messages it is sent in: those so far, then the live ones."""

    __slots__ = ("_changed", "_packed", "_until", "attempt", "begun", "digest", "dropped", "error", "left", "messages",
                 "over", "readers", "size")  # fmt: skip

    def __init__(self, digest: str, attempt: int = 0) -> None:
        self.digest, self.attempt = digest, attempt
        self.messages: list[Message] = []
        self.size = 0
        self.over = self.left = self.dropped = self.begun = False
        self.error: ApiError | None = None
        self.readers = 0
        self._until = 0.0
        self._changed: asyncio.Event | None = None
        self._packed = b""

    @property
    def unshared(self) -> bool:
        """Nobody reads it beside its own client, and nobody new may."""
        return self.dropped and not self.readers

    def add(self, message: Message) -> None:
        """One more message; nothing is remembered of an answer that was dropped."""
        if self.unshared:
            return
        self.messages.append(message)
        self.size += len(message.get("body", b""))
        self._change()

    def drop(self) -> None:
        """Nobody new may have it: it was too large, or is on its way to a client that will not ask again."""
        self.dropped = True
        if not self.readers:
            self._packed = b""
            self.messages.clear()

    def end(self, error: ApiError | None = None) -> None:
        """Nothing more comes."""
        self.over, self.error = True, error
        self._change()

    def pack(self) -> None:
        """Takes half the room until somebody joins, which hardly ever happens to one that is over."""
        if self.messages and not self.readers:
            self._packed, self.messages = msgspec.msgpack.encode(self.messages), []
            self.size = len(self._packed)

    async def follow(self) -> AsyncGenerator[Message]:
        """Every message, from the first. Raises what ended it before there was one."""
        sent = 0
        while True:
            while sent < len(self.messages):
                sent += 1
                yield self.messages[sent - 1]
            if self.over:
                break
            await self.news(None)
        if self.error and not sent:
            raise self.error

    def join(self) -> None:
        """One more reads it."""
        if self._packed:
            self.messages, self._packed = msgspec.msgpack.decode(self._packed), b""
        self.readers += 1
        self._change()

    def leave(self, patience: float) -> None:
        """A reader has left, and may be back within so many seconds."""
        self.readers -= 1
        self.expect(patience)

    def expect(self, patience: float) -> None:
        """Somebody may come for it within so many seconds."""
        self._until = max(self._until, asyncio.get_running_loop().time() + patience)
        self._change()

    async def abandoned(self) -> None:
        """Returns when nobody reads it, and nobody is expected any more."""
        now = asyncio.get_running_loop().time
        while self.readers or now() < self._until:
            await self.news(None if self.readers else self._until - now())

    def _change(self) -> None:
        if self._changed:
            self._changed.set()
            self._changed = None

    @property
    def parts(self) -> Sequence[Message]:
        """The messages so far."""
        return self.messages

    async def news(self, seconds: float | None) -> None:
        """Waits until something has changed, for so long at most."""
        changed = self._changed = self._changed or asyncio.Event()
        with suppress(TimeoutError):
            async with asyncio.timeout(None if seconds == float("inf") else seconds):
                await changed.wait()


class Intents:
    """The answers of this process by intent, and those that a client's own retry may want, for some minutes."""

    def __init__(self, replies: Replies, config: IntentsConfig, timer: Callable[[], float] = time.monotonic) -> None:
        self.replies, self.config, self._timer = replies, config, timer
        self._named: dict[str, Answer] = {}
        self._unkept: OrderedDict[str, tuple[Intent, Reply]] = OrderedDict()
        self._recent: OrderedDict[Answer, tuple[str, float]] = OrderedDict()
        self._bytes = 0
        self._alike: dict[str, list[Answer]] = {}

    def running(self, intent: Intent) -> Answer | None:
        """The answer that is being made to it here. Raises IntentDiffers."""
        answer = self._named.get(intent.id)
        if answer and answer.digest != intent.digest:
            raise IntentDiffers(REUSED)
        return answer

    def named(self, id: str, attempt: int) -> Answer | None:
        """The answer that is being made here to the intent of this id, to be told to another gateway."""
        answer = self._named.get(id)
        return answer if answer and answer.begun and not answer.dropped else None

    async def claim(self, intent: Intent, answer: Answer) -> Reply | None:
        """The reply that was given before; None makes `answer` the one that others share. Raises ApiError."""
        self._named[intent.id] = answer
        try:
            reply = self._waiting(intent) or await self.replies.claim(intent)
        except BaseException as refused:
            self.finish(intent, answer, refused if isinstance(refused, ApiError) else None)
            raise
        return reply

    async def keep(self, intent: Intent, reply: Reply) -> None:
        """This is what the intent was answered with; while the store is away it is remembered here."""
        try:
            await self.replies.keep(intent, reply)
        except StoreError as away:
            log.warning("reply not kept yet", request=intent.request, reason=away.message)
            self._unkept[intent.id] = intent, reply
            while sum(len(each.body or b"") for _, each in self._unkept.values()) > self._most_bytes:
                self._unkept.popitem(last=False)

    async def catch_up(self) -> None:
        """Keeps what could not be kept. Raises StoreError while the store is still away."""
        for intent, reply in list(self._unkept.values()):
            await self.replies.keep(intent, reply)
            self._unkept.pop(intent.id, None)

    def finish(self, intent: Intent, answer: Answer, error: ApiError | None = None) -> None:
        """The answer is whole, or never will be."""
        answer.end(error)
        self._named.pop(intent.id, None)

    def offer(self, alike: str, answer: Answer) -> None:
        """A client's own retry of the same request may have this answer."""
        self._forget()
        self._recent[answer] = alike, self._timer() + self.config.recent_minutes * 60
        self._alike.setdefault(alike, []).append(answer)

    def withdraw(self, answer: Answer) -> None:
        """No retry may have it any more; who reads it already reads on."""
        alike, _ = self._recent.pop(answer, ("", 0.0))
        if answer.over and alike:
            self._bytes -= answer.size
        if answer in (others := self._alike.get(alike, [])):
            others.remove(answer)
        if not others:
            self._alike.pop(alike, None)
        answer.drop()

    def whole(self, answer: Answer) -> None:
        """An answer that was offered is at its end."""
        answer.end()
        if answer in self._recent:
            answer.pack()
            self._bytes += answer.size

    def attach(self, alike: str, attempt: int) -> Answer | None:
        """The answer that an earlier attempt began: one whose client left, if there are several. Each attempt of a
        client takes one, so that of several clients that asked for the same none gets another's."""
        fit = [each for each in self._alike.get(alike, ()) if each.attempt < attempt]
        found = min(fit, key=lambda each: not each.left, default=None)
        if found:
            found.attempt = attempt
        return found

    @property
    def _most_bytes(self) -> int:
        return self.config.recent_mb * 1024 * 1024

    def _waiting(self, intent: Intent) -> Reply | None:
        """The reply that was given, and that the store could not take yet."""
        given, reply = self._unkept.get(intent.id, (intent, None))
        if given.digest != intent.digest:
            raise IntentDiffers(REUSED)
        return reply

    def _forget(self) -> None:
        now, most = self._timer(), self._most_bytes
        while self._recent:
            oldest, (_, until) = next(iter(self._recent.items()))
            if until > now and self._bytes <= most and len(self._recent) < MOST_RECENT:
                return
            self.withdraw(oldest)

"""What a client asks for twice is done once: an ASGI app around another, for `Idempotency-Key` and SDKs' retries."""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from typing import Any, cast

import msgspec
from litestar.types import ASGIApp, Receive, Scope, Send

from adapters.errors import ApiError, InvalidRequest
from gateway import errors
from gateway.accounts.replies import Intent, Reply
from gateway.api.asking import Asking, Line, again, asking_of, asks_once
from gateway.api.attending import Attended
from gateway.api.credentials import ask_again
from gateway.api.identity import request_id
from gateway.elsewhere import Remote
from gateway.errors import ELSEWHERE, IntentRunning, InternalError, ReplyNotKept
from gateway.intents import Answer, Message
from gateway.parts import Gateway

REPLAYED = (b"x-repligate-replayed", b"true")
ANSWER_SECONDS, AGAIN_SECONDS = 10.0, 0.5
"""How long Replicate's answer to a create may take, beyond its sync wait; and from one look at what another gateway has
begun to the next."""

_LONGEST = 255
_NOT_OURS_TO_REPLAY = (b"x-ratelimit-", b"retry-after")


class Intended:
    """Makes each answer once and gives it to all who ask for it."""

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self.app, self.gateway = app, gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = asks_once(scope)
        if not headers:
            await self.app(scope, receive, send)
            return
        read: list[Any] = []
        asking = await asking_of(self.gateway, scope, headers, receive, read)
        if asking is None:
            await self.app(scope, again(read, receive), send)
            return
        try:
            await (self._named if asking.name else self._retried)(asking, Line(scope, receive, send))
        except ApiError as refused:
            await _refuse(refused, send)

    async def _named(self, asking: Asking, line: Line) -> None:
        name = asking.name or b""
        if len(name) > _LONGEST or not name.strip() or not name.isascii():
            raise InvalidRequest(f"An Idempotency-Key has 1 to {_LONGEST} ASCII letters.", param="Idempotency-Key")
        id = hashlib.sha256(asking.key.id.encode() + b"\0" + name).hexdigest()
        intent = Intent(id, asking.key.id, asking.digest, request_id(line.scope))
        until = asyncio.get_running_loop().time() + self._patience
        while True:
            try:
                await self._answered(intent, asking, line)
                return
            except IntentRunning:
                if not self.gateway.replicas or asyncio.get_running_loop().time() > until:
                    raise
            if remote := await self.gateway.replicas.elsewhere.find("intent", intent.id):
                await self._follow(remote, asking, line)
                return
            await asyncio.sleep(AGAIN_SECONDS)
            ask_again(line.scope)

    async def _answered(self, intent: Intent, asking: Asking, line: Line) -> None:
        """As it was before, as it is being made here, or for the first time. Raises IntentRunning."""
        intents = self.gateway.intents
        if shared := intents.running(intent):
            await self._follow(shared, asking, line)
            return
        answer = Answer(asking.digest, asking.attempt)
        reply = await intents.claim(intent, answer)
        try:
            if reply:
                await self._replay(reply, answer, line.send)
            else:
                await self._make(answer, asking, line, intent)
        finally:
            intents.finish(intent, answer, InternalError("The gateway failed; its log says why."))

    @property
    def _patience(self) -> float:
        """After so many seconds a call whose gateway died was ended by another, even one that died in its create."""
        config = self.gateway.config
        return 2 * config.shared.lease_seconds + config.upstream.sync_wait_seconds + ANSWER_SECONDS

    async def _retried(self, asking: Asking, line: Line) -> None:
        intents = self.gateway.intents
        if asking.attempt and (shared := intents.attach(asking.digest, asking.attempt)):
            await self._follow(shared, asking, line)
            return
        replicas = self.gateway.replicas
        if asking.attempt and replicas:
            if remote := await replicas.elsewhere.find("retry", asking.digest, asking.attempt):
                await self._follow(remote, asking, line)
                return
            if await replicas.answered_elsewhere(asking.digest):
                raise IntentRunning(ELSEWHERE, retry_after=1)
        answer = Answer(asking.digest, asking.attempt)
        intents.offer(asking.digest, answer)
        try:
            await self._make(answer, asking, line)
        finally:
            if not _worth_keeping(answer, self.gateway):
                intents.withdraw(answer)
                if replicas and answer.left:
                    await replicas.no_answer(asking.digest)
            intents.whole(answer)

    async def _make(self, answer: Answer, asking: Asking, line: Line, intent: Intent | None = None) -> None:
        """Has it answered, for its client and for all who join; it goes on while any of them is there."""
        answer.begun = True
        unread: list[Any] = [{"type": "http.request", "body": asking.body, "more_body": False}]

        async def hear() -> Any:
            if unread:
                return unread.pop()
            if not answer.left:
                while (await line.receive())["type"] != "http.disconnect":
                    pass
                answer.left = True
                grace = self.gateway.config.intents.grace_seconds
                patience = asking.patience(grace, answered=bool(answer.messages))
                answer.expect(patience)
                if self.gateway.replicas and patience and not intent:
                    await self.gateway.replicas.expect(asking.digest, patience)
            await answer.abandoned()
            return {"type": "http.disconnect"}

        tell = partial(self._tell, answer, line, intent)
        await self.app(line.scope, cast(Receive, hear), cast(Send, tell))

    async def _tell(self, answer: Answer, line: Line, intent: Intent | None, message: Any) -> None:
        """One message, to its client and to whoever shares the answer."""
        if answer.unshared and not intent:
            await line.send(message)
            return
        # The one that is sent gets its own request id on its way.
        answer.add({**message})
        if answer.size > self.gateway.config.intents.max_mb * 1024 * 1024:
            answer.drop()
        if intent and message["type"] == "http.response.body" and not message.get("more_body"):
            await self._keep(intent, answer)
        await line.send(message)
        if not intent and message.get("more_body") and not answer.left:
            # A stream that has begun is not asked for again by any SDK.
            self.gateway.intents.withdraw(answer)

    async def _keep(self, intent: Intent, answer: Answer) -> None:
        if not _worth_keeping(answer, self.gateway) and not answer.dropped:
            return
        start: Message = answer.messages[0] if answer.messages else {"status": 200, "headers": []}
        told = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in _replayable(start)]
        body = None if answer.dropped else b"".join(each.get("body", b"") for each in answer.messages)
        await self.gateway.intents.keep(intent, Reply(start["status"], told, body))

    async def _replay(self, reply: Reply, answer: Answer, send: Send) -> None:
        if reply.body is None:
            raise ReplyNotKept("The first reply to this Idempotency-Key was too large to be kept (`intents.max_mb`).")
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
        for message in (
            {"type": "http.response.start", "status": reply.status, "headers": [*headers, REPLAYED]},
            {"type": "http.response.body", "body": reply.body, "more_body": False},
        ):
            answer.add({**message})
            await send(cast(Any, message))

    async def _follow(self, answer: Answer | Remote, asking: Asking, line: Line) -> None:
        """The same answer: what was said so far, and then what is being said."""
        if answer.dropped:
            raise ReplyNotKept("The reply to this Idempotency-Key is too large to be shared (`intents.max_mb`).")
        answer.join()
        told = False
        try:
            with Attended(line.receive):
                async with aclosing(answer.follow()) as messages:
                    async for message in messages:
                        told = True
                        await line.send(cast(Any, _marked(message)))
        finally:
            answer.leave(asking.patience(self.gateway.config.intents.grace_seconds, answered=told))


def _worth_keeping(answer: Answer, gateway: Gateway) -> bool:
    """Whether it is what this intent came to: a success, or a failure that cost something and is not our own stop."""
    if not answer.messages or answer.dropped or answer.messages[-1].get("more_body", True):
        return False
    start = answer.messages[0]
    made = any(name == b"x-repligate-prediction-id" for name, _ in start["headers"])
    last = b"".join(each.get("body", b"") for each in answer.messages[-3:])
    stopped = (gateway.draining and b'"shutting_down"' in last) or start["status"] == 499
    return bool((start["status"] < 300 or made) and not stopped)


def _replayable(start: Message) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in start["headers"] if not name.startswith(_NOT_OURS_TO_REPLAY)]


def _marked(message: Message) -> Message:
    if message["type"] != "http.response.start":
        return message
    return {**message, "headers": [*_replayable(message), REPLAYED]}


async def _refuse(error: ApiError, send: Callable[[Any], Any]) -> None:
    headers = {"content-type": "application/json", **errors.headers(error)}
    told = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": told})
    await send({"type": "http.response.body", "body": msgspec.json.encode(errors.body(error)), "more_body": False})

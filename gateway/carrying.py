"""Responses in the background, carried on without their client, followed by whoever asks, and cancelled."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from adapters.errors import ApiError, InvalidRequest
from adapters.responses import ResponseStream
from adapters.wire.responded import Response
from adapters.wire.responses import ResponsesRequest
from gateway import relay
from gateway.elsewhere import Remote
from gateway.errors import Cancelled, Draining, InternalError, NotFound
from gateway.outcomes import GOING, fresh, noted, over
from gateway.parts import Gateway
from gateway.remembering import KIND, PREFIX, Answering, Kept, at_its_end, bare, framed, read, stored
from gateway.store.objects import Stored
from gateway.together import together

log = structlog.get_logger()

EVERY_SECONDS, BEAT_SECONDS = 10.0, 1.0


class Following:
    """The events of a response that is being made in this process: those so far, then the live ones."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.over = False
        self._news = asyncio.Event()

    def add(self, event: Struct) -> bytes:
        """One more; their numbers are their places."""
        frame = framed(event)
        self.parts.append(frame)
        self._tell()
        return frame

    def end(self) -> None:
        self.over = True
        self._tell()

    async def follow(self, after: int, heartbeat: float) -> AsyncGenerator[bytes]:
        """Every event behind number `after`, with a comment after so many seconds without one."""
        sent = after + 1
        while True:
            if fresh := b"".join(self.parts[sent:]):
                sent = len(self.parts)
                yield fresh
            elif self.over:
                return
            else:
                await self.news(heartbeat)
                if sent == len(self.parts) and not self.over:
                    yield relay.BEAT

    async def news(self, seconds: float) -> None:
        """Waits until something has changed, for so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def join(self) -> None:
        """It goes on, whoever follows."""

    def leave(self, patience: float) -> None:
        """It goes on, whoever leaves."""

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


async def begin(call: Answering, asked: ResponsesRequest) -> Response:
    """The response as it is queued. From now on it is found by its id, and goes on until its own end."""
    gateway = call.gateway
    chunks: ResponseStream = relay.begun(call, PREFIX)
    response = replace(chunks.response, status="queued")
    kept = Kept(request=bare(asked), response=response, predictions=_last(call), reading=call.plan.prepared.reading)
    now = await gateway.objects.put(stored(gateway, call.caller.key, kept))
    following = gateway.followed[response.id] = Following()
    task = asyncio.create_task(_Carrying(call, chunks, now, following).heard())
    gateway.looking[response.id] = task
    gateway.settling.add(task)
    task.add_done_callback(lambda done: over(gateway, response.id, done))
    return response


async def follow(gateway: Gateway, found: Stored, after: int) -> AsyncGenerator[bytes]:
    """Its events behind number `after`: live ones where a gateway makes it; else, once it is over, those that lead to
    what is kept of it, each text in one piece."""
    heartbeat = gateway.config.server.heartbeat_seconds
    if following := gateway.followed.get(found.id):
        async with aclosing(following.follow(after, heartbeat)) as frames:
            async for frame in frames:
                yield frame
        return
    if gateway.replicas and (remote := await gateway.replicas.elsewhere.find("response", found.id, after=after + 1)):
        async with aclosing(_told(remote, heartbeat)) as frames:
            async for frame in frames:
                yield frame
        return
    while (found := await fresh(gateway, found)).status in GOING:
        yield relay.BEAT
        await asyncio.sleep(BEAT_SECONDS)
    events = read(found).events
    yield b"".join(map(framed, [*events[after + 1 : -1], events[-1]]))


async def _told(remote: Remote, heartbeat: float) -> AsyncGenerator[bytes]:
    """What another gateway makes, with a comment after so many seconds without any of it."""
    clock = asyncio.get_running_loop().time
    last = clock()
    try:
        async with aclosing(remote.batches()) as batches:
            async for batch in batches:
                if batch or clock() - last >= heartbeat:
                    last = clock()
                    yield b"".join(batch) or relay.BEAT
    finally:
        remote.leave(0)


async def cancel(gateway: Gateway, found: Stored) -> Stored:
    """Ends it; one that is over stays as it is. Raises InvalidRequest for one that was not in the background."""
    kept = read(found)
    if not kept.response.background:
        raise InvalidRequest("Cannot cancel a synchronous response.")
    while found.status in GOING:
        response = replace(read(found).response, status="cancelled")
        body = msgspec.json.encode(replace(read(found), response=response))
        if await gateway.objects.update(found, body=body, status="cancelled"):
            await stop(gateway, found)
            return replace(found, body=body, status="cancelled")
        found = await gateway.objects.get(KIND, found.id, [found.owner]) or found
    return found


async def stop(gateway: Gateway, found: Stored) -> None:
    """Its predictions are cancelled, wherever they are listened to."""
    for call in list(gateway.running):
        if PREFIX + call.id == found.id:
            call.interrupt(Cancelled("This response was cancelled."))
            return
    for id in read(found).predictions:
        with suppress(NotFound):
            await gateway.upstream.cancel(id)
    gateway.ended.set()


async def watch(gateway: Gateway) -> float:
    """Looks at all that nobody carries on here; gives the seconds until the next time. For a timer."""
    going = await gateway.objects.standing(KIND, GOING)
    await together(*(fresh(gateway, each) for each in going))
    return EVERY_SECONDS


class _Carrying:
    """A response that is being made here: heard to its end, followed, and kept."""

    def __init__(self, call: Answering, chunks: ResponseStream, now: Stored, following: Following) -> None:
        self._call, self._chunks, self._now, self._following = call, chunks, now, following
        self._gateway = call.gateway

    async def heard(self) -> Stored:
        """The response at its end, or as it was left for another to find out about."""
        call = self._call
        try:
            async with call, aclosing(relay.persisting(call, self._parts)) as frames:
                async for _ in frames:
                    if self._now.status == "queued" and any(run.spoke for run in call.account.runs):
                        self._now = await _made_by(call, self._now, "in_progress")
        except Draining:
            # Detached: whoever is there next finds out how it ends.
            pass
        except Exception as wrong:
            error = wrong if isinstance(wrong, ApiError) else InternalError("The gateway failed; its log says why.")
            if error is not wrong:
                log.error("failed", response=self._now.id, exc_info=wrong)
            await self._tell(self._chunks.failed(error), self._chunks.response)
        finally:
            self._following.end()
        return self._now

    async def _parts(self) -> AsyncGenerator[bytes]:
        self._chunks = relay.begun(self._call, PREFIX)
        announced = self._chunks.announced()
        # A model that stands in begins anew, and what was told of the response stands.
        for event in announced if not self._following.parts else ():
            self._following.add(event)
        self._now = await _made_by(self._call, self._now, self._now.status)
        heartbeat = self._gateway.config.server.heartbeat_seconds
        parts = relay.answered(self._call, self._chunks, heartbeat, self._following.add, self._ending)
        try:
            async with aclosing(parts) as frames:
                async for each in frames:
                    yield each
        except ApiError:
            await self._check_whether_cancelled()
            raise

    async def _check_whether_cancelled(self) -> None:
        """Raises Cancelled where another gateway ended it: then no model is to stand in for the one that stopped."""
        now = await self._gateway.objects.get(KIND, self._now.id, [self._now.owner])
        if now is None or now.status not in GOING:
            raise Cancelled("This response was cancelled.") from None

    async def _ending(self, last: Sequence[Struct]) -> bytes:
        done = at_its_end(self._gateway, self._chunks.response)
        await self._tell([*last[:-1], *(replace(event, response=done) for event in last[-1:])], done)
        return b""

    async def _tell(self, last: Sequence[Struct], done: Response) -> None:
        """Kept first, then told to those who follow; not, where another has ended it meanwhile."""
        self._now, ours = await noted(self._gateway, self._now, done)
        for event in last if ours else ():
            self._following.add(event)


async def _made_by(call: Answering, now: Stored, status: str) -> Stored:
    """Noted with the model and the prediction that make it now, for whoever finds out after a restart: not with those
    that another stood in for."""
    if now.status not in GOING:
        return now
    kept = read(now)
    response = replace(kept.response, status=status, model=call.name)
    told = replace(kept, response=response, predictions=_last(call), reading=call.plan.prepared.reading)
    body = msgspec.json.encode(told)
    if body == now.body:
        return now
    if await call.gateway.objects.update(now, body=body, status=status):
        return replace(now, body=body, status=status)
    return await call.gateway.objects.get(KIND, now.id, [now.owner]) or now


def _last(call: Answering) -> tuple[str, ...]:
    return tuple(each.id for each in call.predictions[-1:])

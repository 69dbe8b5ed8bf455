"""The stream host: what a prediction puts out, as server-sent events, from the start or from where a client left."""

import asyncio

from gateway.simulator.asgi import App, Receive, Scope, Send, drop, end, header, more, respond, start, until_left
from gateway.simulator.prediction import Prediction
from gateway.simulator.sse import GREETING, IDLE
from gateway.simulator.world import World

EVENT_STREAM = "text/event-stream"
_NOT_FOUND = b'{"detail":"The requested resource could not be found.","status":404}'
_NOT_ACCEPTED = b'{"detail":"Ask for text/event-stream.","status":406}'


def streams(world: World) -> App:
    """Serve the streams of a world."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        kind, _, token = scope["path"].removeprefix("/v1/").partition("/")
        prediction = world.predictions.of_stream(token) if kind in ("streams", "files") else None
        if prediction is None:
            await respond(send, 404, _NOT_FOUND, "application/problem+json")
        elif world.switches.stream_accept_required and EVENT_STREAM not in (header(scope, b"accept") or ""):
            await respond(send, 406, _NOT_ACCEPTED, "application/problem+json")
        else:
            await Connection(world, prediction, scope, receive, send).serve()

    return serve


class Connection:
    """One client following one stream."""

    def __init__(self, world: World, prediction: Prediction, scope: Scope, receive: Receive, send: Send) -> None:
        self._world = world
        self._prediction = prediction
        self._scope = scope
        self._receive = receive
        self._send = send
        self._place = self._after(header(scope, b"last-event-id"))
        prediction.stream_connections += 1
        scene = prediction.scene
        ends = scene.stream_ends_after is not None and prediction.stream_connections <= scene.stream_ends
        self._left_to_send = scene.stream_ends_after if ends else None

    def _after(self, last_id: str | None) -> int:
        ids = self._prediction.event_ids
        return ids.index(last_id) + 1 if last_id in ids else 0

    async def serve(self) -> None:
        """Send events until the stream, the client's patience, or the scene ends it."""
        await start(self._send, 200, EVENT_STREAM, [(b"cache-control", b"no-cache")])
        await more(self._send, GREETING)
        left = asyncio.ensure_future(until_left(self._receive))
        left.add_done_callback(lambda _: self._prediction.watch.ring())
        try:
            await self._follow(left)
        finally:
            left.cancel()

    async def _follow(self, left: "asyncio.Future[None]") -> None:
        prediction = self._prediction
        while not left.done() and not self._world.closing.is_set():
            if self._left_to_send == 0:
                await self._break_off(left)
                return
            if self._place < len(prediction.events):
                await self._send_some()
            elif prediction.stream_ended and not prediction.data_removed and not self._world.switches.stream_lingers:
                break
            elif not await self._changed():
                if self._world.switches.stream_idle_comment:
                    await more(self._send, IDLE)
                break
        if not left.done():
            await end(self._send)

    async def _send_some(self) -> None:
        events = self._prediction.events[self._place :]
        if self._left_to_send is not None:
            events = events[: self._left_to_send]
            self._left_to_send -= len(events)
        self._place += len(events)
        await self._send_pieces(b"".join(events))

    async def _send_pieces(self, content: bytes) -> None:
        size = self._world.switches.stream_chunk_bytes or len(content)
        for place in range(0, len(content), size):
            await more(self._send, content[place : place + size])
            if size < len(content):
                await asyncio.sleep(0.001)

    async def _changed(self) -> bool:
        """Wait for something new; tell whether it came before the stream had been idle for too long."""
        idle = self._world.clock.real(self._world.settings.stream_idle_seconds)
        try:
            async with asyncio.timeout(idle):
                await self._prediction.watch.changed()
        except TimeoutError:
            return False
        return True

    async def _break_off(self, left: "asyncio.Future[None]") -> None:
        match self._prediction.scene.stream_end:
            case "dropped":
                await drop(self._scope, self._receive)
            case "silent":
                closing = asyncio.ensure_future(self._world.closing.wait())
                await asyncio.wait((left, closing), return_when=asyncio.FIRST_COMPLETED)
                closing.cancel()
            case way:
                await more(self._send, {"half": self._half_an_event(), "timeout": IDLE}.get(way, b""))
                await end(self._send)

    def _half_an_event(self) -> bytes:
        events = self._prediction.events
        coming = events[self._place] if self._place < len(events) else b"event: output\n"
        return coming[: len(coming) // 2]

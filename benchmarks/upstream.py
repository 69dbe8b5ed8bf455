"""A Replicate, and an OpenAI, that cost next to nothing: whatever is measured against them is the other side.

The model's name says what it does: `bench/wait-50` answers after 50 ms, `bench/tokens-200-5` says a token every 5 ms,
200 in all, `bench/picture-1500` draws for 1.5 s; `bench/late-50` is as `wait`, but its record is final a little later,
as a picture's is; `bench/held-3-20000` is as `tokens`, but says the first one at once. What follows is a name
(`bench/wait-0-17`). Each token of a stream is the instant it was sent at.
"""

import asyncio
import random
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import httptools
import msgspec
import uvloop

from benchmarks.predictions import HELLO, Prediction, record

JSON, EVENTS = b"application/json", b"text/event-stream"
PIXEL = b"\x89PNG\r\n\x1a\n" + bytes(60)
APART = 0.2
"""Linux lets a sleep be late by a thousandth of it, 40 ms of 40 s: so many seconds at the end of it are slept apart."""

_encode = msgspec.json.encode


class World:
    """What was asked, and what runs."""

    def __init__(self, base_url: str) -> None:
        self.requests = 0
        self.base_url = base_url
        self.predictions: dict[str, Prediction] = {}

    def create(self, model: str, inputs: Any) -> "Prediction":
        made = Prediction(f"{random.getrandbits(104):026x}", model, inputs)
        self.predictions[made.id] = made
        if len(self.predictions) > 50_000:
            del self.predictions[next(iter(self.predictions))]
        return made


class Server(asyncio.Protocol):
    """One connection. Replies leave in order, for its clients ask one thing at a time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)
        self._anew()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"prefer":
            self._prefer = value

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.world.requests += 1
        method, path, body = self._parser.get_method(), self._url.decode().partition("?")[0], self._body
        prefer = self._prefer
        self._anew()
        self._answer(method, path, body, prefer)

    def _anew(self) -> None:
        self._url, self._body, self._prefer = b"", b"", b""

    def _answer(self, method: bytes, path: str, body: bytes, prefer: bytes) -> None:
        world = self.world
        match path.strip("/").split("/"):
            case ["v1", "models", owner, name, "predictions"]:
                self._created(world.create(f"{owner}/{name}", msgspec.json.decode(body).get("input")), prefer)
            case ["v1", "predictions", id] if id in world.predictions:
                self._reply(world.predictions[id].record(world.base_url))
            case ["v1", "predictions", id, "cancel"] if id in world.predictions:
                world.predictions[id].canceled = True
                self._reply(world.predictions[id].record(world.base_url))
            case ["v1", "models", owner, name]:
                self._reply(record(owner, name))
            case ["stream", id] if id in world.predictions:
                self._stream(world.predictions[id], _sse, b": hi\n\n")
            case ["v1", "chat", "completions"]:
                self._completion(msgspec.json.decode(body))
            case ["files", _]:
                self._send(PIXEL, b"image/png")
            case ["count"]:
                # Whoever asks is not counted.
                world.requests -= 1
                self._reply({"requests": world.requests})
            case ["v1"] | ["v1", "predictions"]:
                self._reply({"results": [], "next": None})
            case _:
                self._reply({"detail": f"no {path}", "status": 404}, b"404 Not Found")

    def _created(self, made: Prediction, prefer: bytes) -> None:
        if not prefer.startswith(b"wait"):
            self._reply(made.starting(self.world.base_url), b"201 Created")
            return
        limit = float(prefer.partition(b"=")[2] or 60)
        told = made.complete if made.left <= limit else made.starting
        self._when_over(min(limit, made.left), lambda: self._reply(told(self.world.base_url), b"201 Created"))

    def _completion(self, asked: dict[str, Any]) -> None:
        made = Prediction("direct", asked["model"].removeprefix("openai/"))
        if asked.get("stream"):
            self._stream(made, _chunk)
        else:
            self._when_over(made.left, lambda: self._reply(completion(made.model)))

    def _stream(self, made: Prediction, frame: Callable[[Prediction, str, int], bytes], hello: bytes = b"") -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncache-control: no-store\r\ntransfer-encoding: chunked\r\n\r\n"
        self.transport.write(head % EVENTS + (_piece(hello) if hello else b""))
        self._token(made, frame, 0)

    def _token(self, made: Prediction, frame: Callable[[Prediction, str, int], bytes], place: int) -> None:
        """Says what is due, a write for each token, and comes again when the next one is."""
        while not self.transport.is_closing():
            now, due = time.monotonic(), made.first_due + place * made.pause
            if now < due:
                self._later(due - now, partial(self._token, made, frame, place))
                return
            said, place = frame(made, made.word(self.world.base_url, place, now), place), place + 1
            if place >= made.tokens:
                self.transport.write(_piece(said + frame(made, "", place)) + b"0\r\n\r\n")
                return
            self.transport.write(_piece(said))

    def _when_over(self, seconds: float, work: Callable[[], None]) -> None:
        """Not before: uvloop's timers are up to half a millisecond early, and a record is read at once."""
        until = time.monotonic() + seconds

        def look() -> None:
            left = until - time.monotonic()
            if left > 0:
                self._later(left, look)
            else:
                work()

        look()

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        if seconds <= APART:
            loop.call_later(seconds, work)
        else:
            loop.call_later(seconds - APART, loop.call_at, loop.time() + seconds, work)

    def _reply(self, content: object, status: bytes = b"200 OK") -> None:
        self._send(_encode(content), JSON, status)

    def _send(self, body: bytes, kind: bytes, status: bytes = b"200 OK") -> None:
        head = b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(head % (status, kind, len(body)) + body)


def completion(model: str) -> dict[str, Any]:
    """OpenAI's whole answer."""
    message = {"role": "assistant", "content": "".join(HELLO), "refusal": None}
    usage = {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    told = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model}
    return {**told, "choices": [choice], "usage": usage}


def _sse(made: Prediction, text: str, place: int) -> bytes:
    """An event of Replicate's: its id is the second, and a number; the last output says nothing."""
    event = b"event: output\nid: %d:%d\ndata: %b\n\n" % (made.began, place, text.encode())
    return event if text else event + b"event: done\nid: %d:%d\ndata: {}\n\n" % (made.began, place + 1)


def _chunk(made: Prediction, text: str, place: int) -> bytes:
    delta = {"content": text} if text else {}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None if text else "stop"}
    told = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": made.model}
    frame = b"data: %b\n\n" % _encode({**told, "choices": [choice]})
    return frame if text else frame + b"data: [DONE]\n\n"


def _piece(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


async def serve(sock: socket.socket) -> None:
    """Answers on this socket until it is cancelled."""
    world = World(f"http://127.0.0.1:{sock.getsockname()[1]}")
    server = await asyncio.get_running_loop().create_server(lambda: Server(world), sock=sock, backlog=2048)
    await server.serve_forever()


def run(sock: socket.socket) -> None:
    """The process: ends with its parent."""
    uvloop.run(serve(sock))

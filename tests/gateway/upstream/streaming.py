"""A prediction on a real socket whose stream breaks where it is told to."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from adapters.wire.replicate import Event, Prediction, Urls
from gateway.config import UpstreamConfig
from gateway.upstream.client import Upstream
from gateway.upstream.waiting import Waiting
from tests.gateway.upstream.servers import EVENTS, chunk, request, reset, serving

Resume = Literal["after", "with", "anew"]
End = Literal["closed", "dropped", "silent", "comment", "cut"]


@dataclass
class Said:
    """An event as it goes over the wire."""

    event: str
    data: str = ""
    id: str = ""

    @property
    def wire(self) -> bytes:
        lines = [f"id: {self.id}"] if self.id else []
        lines += [f"event: {self.event}", *(f"data: {line}" for line in self.data.split("\n"))]
        return ("\n".join(lines) + "\n\n").encode()


@dataclass
class Played:
    """One prediction: what its stream says, after how many events each connection ends, and what GET tells."""

    says: Sequence[Said]
    cuts: Sequence[tuple[int, End]] = ()
    resume: Resume = "after"
    record: dict[str, Any] = field(default_factory=dict)
    later: Sequence[dict[str, Any]] = ()
    streams: bool = True
    url: str = ""
    connections: int = 0
    gets: int = 0
    resumed_after: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await request(reader)).decode()
            if head.startswith("GET /stream"):
                await self._stream(head, reader, writer)
                return
            self._answer(writer)
            await writer.drain()

    def _answer(self, writer: asyncio.StreamWriter) -> None:
        told = self.later[min(self.gets, len(self.later) - 1)] if self.later else {}
        self.gets += 1
        body = json.dumps({"id": "p1", "status": "processing", **self.record, **told}).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        )

    async def _stream(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ids = [
            line.partition(":")[2].strip() for line in head.split("\r\n") if line.lower().startswith("last-event-id")
        ]
        self.resumed_after.append(ids[0] if ids else "")
        until, end = self.cuts[self.connections] if self.connections < len(self.cuts) else (len(self.says), "closed")
        self.connections += 1
        writer.write(EVENTS + chunk(b": hi\n\n"))
        for said in self.says[self._from(ids) : until]:
            writer.write(chunk(said.wire))
            await writer.drain()
        await self._end(end, self.says[until] if until < len(self.says) else None, reader, writer)

    def _from(self, ids: list[str]) -> int:
        known = [said.id for said in self.says]
        if not ids or self.resume == "anew" or ids[0] not in known:
            return 0
        return known.index(ids[0]) + (self.resume == "after")

    async def _end(
        self, end: End, next: Said | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if end == "silent":
            await reader.read()
        elif end == "dropped":
            await asyncio.sleep(0.01)
            reset(writer)
        else:
            if end == "comment":
                writer.write(chunk(b":408: 408 Request Timeout\n\n"))
            if end == "cut" and next:
                writer.write(chunk(next.wire[: len(next.wire) // 2]))
            writer.write(chunk(b""))
            await writer.drain()

    @property
    def prediction(self) -> Prediction:
        return Prediction("p1", "starting", urls=Urls(stream=f"{self.url}/stream" if self.streams else None))


async def told(waiting: Waiting, upstream: Upstream, prediction: Prediction) -> list[Event]:
    """All that it says."""
    return [event async for batch in waiting.batches(upstream, prediction) for event in batch]


@asynccontextmanager
async def playing(played: Played, config: UpstreamConfig) -> AsyncIterator[Upstream]:
    async with serving(played.serve) as url:
        played.url = url
        upstream = Upstream(config, ["r8_one"], f"{url}/v1")
        try:
            yield upstream.counted()
        finally:
            await upstream.aclose()


def tokens(*texts: str, start: int = 0) -> list[Said]:
    return [Said("output", text, f"1690212292:{place}") for place, text in enumerate(texts, start)]

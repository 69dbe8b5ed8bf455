"""Measures the simulator on one core, for at most a few seconds: `python -m tests.simulator.measure`.

The server runs in a process of its own, bound to one core where the system allows it; the client is plain sockets on
another, so that what is measured is the simulator.
"""

import asyncio
import json
import multiprocessing
import os
import time
from multiprocessing.connection import Connection

from gateway.simulator import Settings, Simulator

SECONDS = 4.0
CONNECTIONS = 16
STREAMS, PACE = 200, 50
_BODY = json.dumps({"input": {"prompt": "How fast are you?", "max_tokens": 20}}).encode()


def _serve(pipe: Connection, pace: float) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {0})
    with Simulator(Settings(pace=pace)) as simulator:
        pipe.send((simulator.base_url, simulator.token))
        pipe.recv()
        pipe.send(sum(os.times()[:2]))


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


def _request(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def _create_and_get(address: tuple[str, int], token: str, until: float) -> int:
    reader, writer = await asyncio.open_connection(*address)
    done = 0
    create = _request("POST", "/v1/models/sim/echo/predictions", token, _BODY)
    while time.monotonic() < until:
        writer.write(create)
        prediction = json.loads(await _answer(reader))
        writer.write(_request("GET", f"/v1/predictions/{prediction['id']}", token))
        await _answer(reader)
        done += 1
    writer.close()
    return done


async def _stream(url: str, started: float) -> tuple[int, float]:
    host, _, rest = url.removeprefix("http://").partition("/")
    name, port = host.split(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(f"GET /{rest} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n".encode())
    events = 0
    async for line in reader:
        events += line.startswith(b"event: output")
        if line.startswith(b"event: done"):
            break
    writer.close()
    return events, time.monotonic() - started


async def _streams(address: tuple[str, int], token: str) -> tuple[int, float]:
    reader, writer = await asyncio.open_connection(*address)
    body = json.dumps({"input": {"prompt": "Talk.", "min_tokens": 150, "max_tokens": 150}}).encode()
    following = []
    for _ in range(STREAMS):
        writer.write(_request("POST", "/v1/models/meta/meta-llama-3-70b-instruct/predictions", token, body))
        prediction = json.loads(await _answer(reader))
        following.append(asyncio.ensure_future(_stream(prediction["urls"]["stream"], time.monotonic())))
    writer.close()
    found = await asyncio.gather(*following)
    return sum(events for events, _ in found), max(seconds for _, seconds in found)


def _address(base_url: str) -> tuple[str, int]:
    host, port = base_url.removeprefix("http://").removesuffix("/v1").split(":")
    return host, int(port)


def _measured(pace: float, work: str) -> None:
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, pace))
    server.start()
    base_url, token = ours.recv()
    started = time.monotonic()
    if work == "create":
        done = asyncio.run(_together(_address(base_url), token))
        took = time.monotonic() - started
        rate = done / took
        what = f"{rate:,.0f} create+get a second"
    else:
        events, longest = asyncio.run(_streams(_address(base_url), token))
        took = time.monotonic() - started
        what = f"{STREAMS} streams of {PACE} tokens a second: {events:,} events, the slowest took {longest:.2f} s"
    ours.send(None)
    used = ours.recv()
    server.join()
    print(f"{what}; {used:.1f} s of CPU in {took:.1f} s")


async def _together(address: tuple[str, int], token: str) -> int:
    until = time.monotonic() + SECONDS
    return sum(await asyncio.gather(*(_create_and_get(address, token, until) for _ in range(CONNECTIONS))))


if __name__ == "__main__":
    _measured(0, "create")
    _measured(PACE, "stream")

"""What the transport promises, against servers that break it on purpose."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx
import pytest

from gateway.config import UpstreamConfig
from gateway.upstream.pool import Pool
from gateway.upstream.proxied import Proxied
from gateway.upstream.transport import Client, client, patience_of, wire
from gateway.upstream.wire import Opened, header
from tests.gateway.upstream.servers import EVENTS, OK, answering, chunk, request, reset, serving

CONFIG = UpstreamConfig(connect_seconds=0.5, read_seconds=0.3, connections=4)


@pytest.fixture(params=["direct", "proxied"])
async def http(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """Our own connections, and those that are for proxies, keep the same promises."""
    proxied = Client(transport=Proxied(CONFIG.connections, None), timeout=httpx.Timeout(0.3, connect=0.5))
    async with client(CONFIG, {}) if request.param == "direct" else proxied as http:
        yield http


async def test_a_refused_connection_is_a_connect_error(http: httpx.AsyncClient) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(httpx.ConnectError):
            await http.post(f"http://127.0.0.1:{nobody.getsockname()[1]}/", json={})


async def test_an_unknown_host_is_a_connect_error(http: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.ConnectError):
        await http.get("http://nowhere.invalid/")


@pytest.mark.parametrize("end", ["closed", "reset"])
async def test_a_server_that_hangs_up_after_it_had_the_request_may_have_acted_on_it(
    http: httpx.AsyncClient, end: str
) -> None:
    heard = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await request(reader))
        if end == "reset":
            reset(writer)

    async with serving(hang_up) as url:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)) as caught:
            await http.post(url, json={"input": {}})
    assert len(heard) == 1, "it was sent twice"
    assert not isinstance(caught.value, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


async def test_a_reset_before_the_request_was_read_is_not_taken_for_never_sent(http: httpx.AsyncClient) -> None:
    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reset(writer)

    async with serving(slam) as url:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)):
            await http.post(url, content=b"x" * 10_000_000)


async def test_a_large_body_arrives_whole_and_with_its_length(http: httpx.AsyncClient) -> None:
    heard: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await request(reader))
        writer.write(OK)
        await writer.drain()

    body = bytes(range(256)) * 12_000
    async with serving(take) as url:
        assert (await http.post(url, content=body)).is_success
    head, _, received = heard[0].partition(b"\r\n\r\n")
    assert received == body
    assert b"transfer-encoding" not in head.lower()


async def test_a_server_that_says_nothing_is_a_read_timeout(http: httpx.AsyncClient) -> None:
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(stall) as url:
        with pytest.raises(httpx.ReadTimeout):
            await http.post(url, json={})


async def test_a_stream_that_falls_silent_is_a_read_timeout(http: httpx.AsyncClient) -> None:
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(EVENTS + chunk(b": hi\n\n"))
        await reader.read()

    async with serving(stall) as url, http.stream("GET", url) as reply:
        with pytest.raises(httpx.ReadTimeout):
            await reply.aread()


@pytest.mark.parametrize("end", ["closed", "reset"])
async def test_a_stream_cut_in_its_middle_is_an_error_and_no_end(http: httpx.AsyncClient, end: str) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(EVENTS + chunk(b"data: 1\n\n"))
        await writer.drain()
        if end == "reset":
            reset(writer)

    async with serving(cut) as url:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            async with http.stream("GET", url) as reply:
                await reply.aread()


async def test_an_answer_that_is_no_http_is_a_protocol_error(http: httpx.AsyncClient) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await writer.drain()
        await reader.read()

    async with serving(babble) as url:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post(url, json={})


async def test_a_full_pool_is_a_connect_timeout_for_nothing_was_sent() -> None:
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    config = UpstreamConfig(connections=1, read_seconds=5)
    async with serving(stall) as url, client(config, {}) as http:
        holding = asyncio.create_task(http.get(url))
        await asyncio.sleep(0.05)
        with pytest.raises(httpx.ConnectTimeout):
            await http.get(url, timeout=httpx.Timeout(5, pool=0.1))
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)


async def test_redirects_are_handed_back_and_cookies_forgotten(http: httpx.AsyncClient) -> None:
    heard: list[bytes] = []

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heard.append(await request(reader))
            writer.write(b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n")

    async with serving(redirect) as url:
        assert (await http.get(url)).status_code == 302
        assert (await http.get(url)).headers["location"] == "/elsewhere"
    assert len(heard) == 2
    assert b"cookie" not in heard[1].lower()


async def test_a_connection_that_the_server_closed_while_idle_is_replaced(http: httpx.AsyncClient) -> None:
    connections = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await request(reader)
        writer.write(OK)
        await writer.drain()

    async with serving(once) as url:
        for _ in range(20):
            assert (await http.post(url, json={})).is_success
            await asyncio.sleep(0.005)
    assert connections == 20


async def test_a_create_is_not_repeated_when_its_old_connection_dies_under_it(http: httpx.AsyncClient) -> None:
    """aiohttp repeats idempotent requests by itself; a create is none."""
    heard: list[bytes] = []

    async def second_is_fatal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await request(reader))
        writer.write(OK)
        await writer.drain()
        heard.append(await request(reader))

    async with serving(second_is_fatal) as url:
        await http.post(url, json={})
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await http.post(url, json={})
    assert len(heard) == 2


async def test_a_call_cancelled_at_any_instant_leaves_the_pool_whole(http: httpx.AsyncClient) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request(reader)
            for part in (OK[:20], OK[20:60], OK[60:]):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)

    async def streamed(url: str) -> None:
        async with http.stream("POST", url, json={"input": {}}) as reply, aclosing(reply.aiter_bytes()) as chunks:
            async for _ in chunks:
                await asyncio.sleep(0)

    async with serving(slow) as url:
        for ticks in range(60):
            calls = [asyncio.create_task(streamed(url)) for _ in range(2 * CONFIG.connections)]
            for _ in range(ticks):
                await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        served = await asyncio.gather(*(http.post(url, json={}) for _ in range(2 * CONFIG.connections)))
        assert all(reply.is_success for reply in served)


async def test_a_thousand_streams_are_open_at_once() -> None:
    many, opened = 1000, asyncio.Event()
    waiting = 0

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal waiting
        await request(reader)
        writer.write(EVENTS + chunk(b"data: 1\n\n"))
        waiting += 1
        if waiting == many:
            opened.set()
        await opened.wait()
        writer.write(chunk(b"data: 2\n\n") + chunk(b""))
        await writer.drain()

    async def listen(http: httpx.AsyncClient, url: str) -> bytes:
        async with http.stream("GET", url) as reply:
            return await reply.aread()

    config = UpstreamConfig(read_seconds=20, connect_seconds=20)
    async with serving(hold) as url, client(config, {}) as http:
        heard = await asyncio.gather(*(listen(http, url) for _ in range(many)))
    assert set(heard) == {b"data: 1\n\ndata: 2\n\n"}


async def test_a_proxy_of_the_environment_is_used_but_not_for_this_machine() -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await request(reader))
        writer.write(OK)
        await writer.drain()

    async with (
        serving(proxy) as url,
        serving(answering) as direct,
        client(CONFIG, {"http": url, "no": "spared.example, 10.0.0.0/8, ::1"}) as http,
    ):
        assert (await http.get("http://replicate.example/v1")).is_success
        assert (await http.get(direct)).is_success
        with pytest.raises(httpx.ConnectError):
            await http.get("http://spared.example.invalid.spared.example/")
    assert [line.split(b"\r\n")[0] for line in asked] == [b"GET http://replicate.example/v1 HTTP/1.1"]


async def test_calls_go_by_the_proxy_there_is_and_read_as_they_come_there_too() -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked.append(await request(reader))
            events = b"GET" in asked[-1][:4]
            writer.write(EVENTS + chunk(b"data: 1\n\n") if events else OK)
            if events:
                await asyncio.sleep(0.02)
                writer.write(chunk(b"data: 2\n\n") + chunk(b""))

    patience = patience_of(CONFIG)
    async with serving(proxy) as url:
        through = wire(CONFIG, {"http": url})
        reply = await through.ask(
            "POST", "http://replicate.example/v1/x", {"authorization": "Bearer a"}, b"{}", patience
        )
        assert (reply.status, reply.content, header(reply.raw_headers, b"content-type")) == (
            200, b"{}", "application/json",
        )  # fmt: skip
        async with through.open("GET", "http://stream.example/s", {"last-event-id": "1:1"}, None, patience) as stream:
            assert header(stream.raw_headers, b"content-type") == "text/event-stream"
            pieces = [piece async for piece in _pieces(stream)]
        with pytest.raises(httpx.UnsupportedProtocol):
            await through.ask("GET", "ftp://replicate.example/", {}, None, patience)
        await through.aclose()
    assert pieces == [b"data: 1\n\n", b"data: 2\n\n"]
    assert [line.split(b"\r\n")[0] for line in asked] == [
        b"POST http://replicate.example/v1/x HTTP/1.1",
        b"GET http://stream.example/s HTTP/1.1",
    ]
    assert b"Bearer a" in asked[0]
    assert b"authorization" not in asked[1].lower()


async def _pieces(stream: Opened) -> AsyncIterator[bytes]:
    while piece := await stream.read():
        yield piece


async def test_without_a_proxy_the_connections_are_our_own() -> None:
    for proxies in ({}, {"no": "a.example"}, {"http": "http://proxy.example", "no": "*"}):
        assert isinstance(wire(CONFIG, proxies), Pool)

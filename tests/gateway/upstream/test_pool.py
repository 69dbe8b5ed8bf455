"""Our own connections, where HTTP/1.1 is subtle: what is used again, what ends a reply, and who waits for whom."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.upstream.pool import Pool
from gateway.upstream.wire import Patience, Reply
from tests.gateway.upstream.servers import EVENTS, OK, Serve, answering, chunk, request, serving

AMPLE = Patience(free=10, connect=10, quiet=10)
"""No test is about how quick this machine is."""


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(4)
    yield pool
    await pool.aclose()


async def ask(pool: Pool, url: str, method: str = "GET", body: bytes | None = None) -> Reply:
    return await pool.ask(method, url, {"x-one": "1"}, body, AMPLE)


def saying(*parts: bytes, pause: float = 0.0) -> Serve:
    """Answers every request with these bytes, in so many pieces."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request(reader)
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)

    return serve


async def test_a_connection_is_used_again_and_by_one_request_at_a_time(pool: Pool) -> None:
    connections = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await answering(reader, writer)

    async with serving(count) as url:
        for _ in range(10):
            assert (await ask(pool, url)).content == b"{}"
        assert connections == 1
        await asyncio.gather(*(ask(pool, url) for _ in range(20)))
        assert connections == 4


async def test_what_is_long_in_coming_keeps_nothing_else_waiting_and_leaves_its_connection_to_it() -> None:
    pool, connections, over = Pool(1), 0, asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            if (await request(reader)).startswith(b"POST"):
                await over.wait()
            writer.write(OK)

    async with serving(serve) as url:
        slow = asyncio.create_task(pool.ask("POST", url, {}, b"{}", AMPLE._replace(slow=True)))
        async with asyncio.timeout(5):
            await ask(pool, url)
            over.set()
            await slow
            assert connections == 2
            for _ in range(3):
                await ask(pool, url)
        assert connections == 2
    await pool.aclose()


async def test_a_request_goes_over_the_wire_as_it_should(pool: Pool) -> None:
    heard: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heard.append(await request(reader))
            writer.write(OK)

    async with serving(take) as url:
        await ask(pool, f"{url}/a/b?c=d%20e#f")
        await ask(pool, f"{url}?q", "POST")
        await ask(pool, url, "POST", b"{}")
    host = url.removeprefix("http://").encode()
    assert heard == [
        b"GET /a/b?c=d%20e HTTP/1.1\r\nhost: " + host + b"\r\nx-one: 1\r\n\r\n",
        b"POST /?q HTTP/1.1\r\nhost: " + host + b"\r\nx-one: 1\r\ncontent-length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: " + host + b"\r\nx-one: 1\r\ncontent-length: 2\r\n\r\n{}",
    ]


@pytest.mark.parametrize("url", ["ftp://a.example/", "http://a b/", "http://a/\r\nx: y", "http://me@a.example/", "/v1"])
async def test_what_is_no_address_is_not_asked(pool: Pool, url: str) -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        await ask(pool, url)


@pytest.mark.parametrize("value", ["1\r\nauthorization: x", "1\n", "\r"])
async def test_no_header_smuggles_in_another(pool: Pool, value: str) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        await pool.ask("GET", "http://127.0.0.1:1/", {"last-event-id": value}, None, AMPLE)


@pytest.mark.parametrize(
    ("parts", "content"),
    [
        ((b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", chunk(b"ab"), chunk(b"c"), chunk(b"")), b"abc"),
        ((b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", OK), b"{}"),
        ((b"HTTP/1.1 100 Continue\r\n\r\n" + OK,), b"{}"),
        (tuple(bytes([byte]) for byte in OK), b"{}"),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), b""),
    ],
    ids=["chunks", "hints", "continue", "bytes", "nothing"],
)
async def test_a_reply_may_come_in_many_ways(pool: Pool, parts: tuple[bytes, ...], content: bytes) -> None:
    async with serving(saying(*parts)) as url:
        for _ in range(2):
            reply = await ask(pool, url)
            assert (reply.content, "link" in reply.headers) == (content, False)


async def test_a_reply_without_a_length_ends_with_its_connection(pool: Pool) -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    async with serving(close) as url:
        for _ in range(2):
            assert (await ask(pool, url)).content == b"all of it"


@pytest.mark.parametrize(
    "more", [OK, b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n", b"nonsense"], ids=["ok", "408", "no"]
)
@pytest.mark.parametrize("pause", [0.0, 0.02])
async def test_what_nobody_asked_for_is_no_reply_to_the_next_request(pool: Pool, more: bytes, pause: float) -> None:
    said = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal said
        await request(reader)
        said += 1
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d" % said + (b"" if pause else more))
        await asyncio.sleep(pause)
        writer.write(more)
        await reader.read()

    async with serving(talk) as url:
        for number in (b"1", b"2", b"3"):
            assert (await ask(pool, url)).content == number
            await asyncio.sleep(2 * pause)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_read_whose_old_connection_dies_under_it_is_sent_once_more_and_a_create_is_not(
    pool: Pool, method: str
) -> None:
    heard = 0

    async def second_is_fatal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        while heard != 1:
            await request(reader)
            heard += 1
            writer.write(OK)
        await request(reader)
        heard += 1

    async with serving(second_is_fatal) as url:
        await ask(pool, url, method)
        if method == "GET":
            assert (await ask(pool, url, method)).content == b"{}"
            assert heard == 3
        else:
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await ask(pool, url, method)
            assert heard == 2


async def test_a_server_that_refuses_a_large_body_early_is_heard(pool: Pool) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno!")
        await reader.read()

    async with serving(refuse) as url:
        for _ in range(2):
            reply = await ask(pool, url, "POST", bytes(30_000_000))
            assert (reply.status, reply.content) == (413, b"no!")


async def test_a_head_without_an_end_is_no_reply(pool: Pool) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nx: " + b"x" * 1_000_000)
        await reader.read()

    async with serving(endless) as url:
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(pool, url, "POST")


async def test_what_is_not_read_is_not_taken_from_the_socket(pool: Pool) -> None:
    written = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await request(reader)
        writer.write(EVENTS)
        for _ in range(600):
            writer.write(chunk(bytes(100_000)))
            await writer.drain()
            written += 100_000
        writer.write(chunk(b""))

    async with serving(pour) as url, pool.open("GET", url, {}, None, AMPLE) as reply:
        before = -1
        while before < written:
            before = written
            await asyncio.sleep(0.1)
        assert written < 40_000_000, "sockets hold some of it, and we hardly any"
        total = 0
        while piece := await reply.read():
            total += len(piece)
    assert total == 60_000_000


async def test_a_reader_who_takes_his_time_is_no_silence_of_the_server(pool: Pool) -> None:
    async def two(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(EVENTS + chunk(b"one"))
        await asyncio.sleep(0.2)
        writer.write(chunk(b"two") + chunk(b""))
        await reader.read()

    patience = AMPLE._replace(quiet=1.0)
    async with serving(two) as url, pool.open("GET", url, {}, None, patience) as reply:
        assert await reply.read() == b"one"
        await asyncio.sleep(1.3)
        assert await reply.read() == b"two"
        assert await reply.read() == b""


async def test_waiting_for_a_place_ends_when_one_is_free_and_passes_it_on_when_left() -> None:
    pool, gate = Pool(1), asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request(reader)
            await gate.wait()
            writer.write(OK)

    async with serving(hold) as url:
        first, left, last = (asyncio.create_task(ask(pool, url)) for _ in range(3))
        await asyncio.sleep(0.05)
        left.cancel()
        gate.set()
        assert (await first).status == (await last).status == 200
        assert left.cancelled()
        await pool.aclose()


async def test_a_connection_is_made_ahead_and_kept_for_who_comes(pool: Pool) -> None:
    connected, connections = asyncio.Event(), 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        connected.set()
        await answering(reader, writer)

    pool.warm("http://127.0.0.1:1/nobody", AMPLE)
    async with serving(count) as url:
        pool.warm(f"{url}/a", AMPLE)
        async with asyncio.timeout(2):
            await connected.wait()
        await ask(pool, f"{url}/b")
        pool.warm(url, AMPLE)
        await ask(pool, url)
    assert connections == 1


async def test_a_host_of_several_addresses_is_reached_at_the_one_that_answers(pool: Pool) -> None:
    async with serving(answering) as url:
        for _ in range(2):
            replies = await asyncio.gather(*(ask(pool, url.replace("127.0.0.1", "localhost")) for _ in range(8)))
            assert {reply.content for reply in replies} == {b"{}"}


async def test_a_host_that_cannot_be_found_is_asked_for_again(pool: Pool) -> None:
    for host in ("nowhere.invalid", "nowhere.invalid", "a..b", "x" * 70 + ".example"):
        with pytest.raises(httpx.ConnectError):
            await ask(pool, f"http://{host}/")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate for this machine, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    made.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return made


async def test_tls_is_spoken_and_trusted_only_with_a_certificate(
    pool: Pool, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    heard: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heard.append(await request(reader))
            writer.write(OK)

    async with serving(take, tls) as url:
        with pytest.raises(httpx.ConnectError):
            await ask(pool, url, "POST", b"{}")
        assert not heard, "nothing of a request goes to whom we do not trust"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trusting = Pool(4)
        for _ in range(2):
            assert (await ask(trusting, url, "POST", bytes(3_000_000))).content == b"{}"
        await trusting.aclose()

"""Our copies of outputs: where they are fetched from, what they are taken for, and who may see them how long."""

import asyncio
import base64
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import structlog

from gateway.config import Config, OutputsConfig, Server, State, UpstreamConfig
from gateway.errors import NotFound, StoreError, UpstreamFailed
from gateway.simulator import Simulator
from gateway.upstream.client import Upstream
from gateway.upstream.fetching import Fetching
from gateway.upstream.media import ENDINGS, OCTETS, named, sniffed
from gateway.upstream.outputs import HEADERS, Kept, Outputs, signing_key
from gateway.upstream.pool import Pool
from gateway.upstream.schemas import Schemas
from gateway.upstream.transport import Bridged, client
from gateway.upstream.wire import Patience
from tests.gateway.upstream.conftest import model_of
from tests.gateway.upstream.servers import request, serving

PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
REMOTE = "https://api.replicate.example/v1"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    return Config(
        state=State(folder=str(tmp_path)),
        server=Server(public_url="https://us.example"),
        outputs=OutputsConfig(max_mb=1, url_minutes=10, keep_hours=24),
    )


AMPLE = Patience(free=10, connect=10, quiet=10)
Make = Callable[[httpx.AsyncClient, str], Outputs]


@pytest.fixture
def make(settings: Config, clock: Clock) -> Make:
    def outputs(http: httpx.AsyncClient, base_url: str = REMOTE) -> Outputs:
        return Outputs(settings, Fetching(settings.outputs, base_url, Bridged(http), AMPLE), b"k" * 32, clock)

    return outputs


@pytest.fixture
async def outputs(make: Make) -> AsyncIterator[Outputs]:
    """With a wire on which every host serves a picture."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=PNG))
    async with httpx.AsyncClient(transport=transport) as http:
        yield make(http, REMOTE)


async def opened(outputs: Outputs, link: str) -> tuple[str, bytes]:
    query = parse_qs(urlsplit(link).query)
    name = urlsplit(link).path.removeprefix("/outputs/")
    found = await outputs.open(name, query["expires"][0], query["signature"][0])
    content = b"".join([chunk async for chunk in found.content])
    assert len(content) == found.size
    assert found.headers == HEADERS
    return found.content_type, content


# From a prediction to a link


async def test_a_picture_is_copied_and_shown_by_its_link(
    simulator: Simulator, make: Make, upstream: Upstream, schemas: Schemas
) -> None:
    model = await model_of(schemas, "sim/picture")
    url = (await upstream.create(model, {"prompt": "a fox"}, deadline=60, wait=5)).output
    url = url if isinstance(url, str) else url[0]
    async with client(UpstreamConfig(), {}) as http:
        outputs = make(http, simulator.base_url)
        kept = await outputs.keep(url)
        assert kept.content_type.startswith("image/")
        link = outputs.link(kept)
        assert link.startswith(f"https://us.example/outputs/{kept.name}?expires=")
        assert await opened(outputs, link) == (kept.content_type, kept.content)
    assert simulator.leaks() == []


async def test_a_data_uri_is_kept_like_a_file(outputs: Outputs) -> None:
    for uri in (
        "data:image/jpeg;base64," + base64.b64encode(PNG).decode(),
        "data:;base64," + base64.b64encode(PNG).decode(),
    ):
        kept = await outputs.keep(uri)
        assert (kept.content_type, kept.content) == ("image/png", PNG), "the bytes say what it is"
    assert (await outputs.keep("data:text/plain,a%20b")).content == b"a b"


@pytest.mark.parametrize("uri", ["data:image/png;base64", "data:image/png;base64,a", "data:"])
async def test_a_data_uri_that_is_broken_is_a_failure_of_upstreams(outputs: Outputs, uri: str) -> None:
    with pytest.raises(UpstreamFailed):
        await outputs.keep(uri)


async def test_a_data_uri_that_is_too_large_is_not_kept(outputs: Outputs) -> None:
    with pytest.raises(UpstreamFailed, match="1 MB"):
        await outputs.keep("data:;base64," + base64.b64encode(bytes(1024 * 1024 + 1)).decode())
    with pytest.raises(UpstreamFailed):
        await outputs.keep("data:," + "%00" * 2_000_000)


# Where they are fetched from


@pytest.mark.parametrize(
    "url",
    [
        "http://replicate.delivery/a.png",
        "https://replicate.delivery.evil.example/a.png",
        "https://evil.example/replicate.delivery/a.png",
        "https://evilreplicate.delivery/a.png",
        "https://replicate.delivery@evil.example/a.png",
        "https://user:password@replicate.delivery/a.png",
        "https://replicate.delivery:8443/a.png",
        "https://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:8000/v1/models",
        "https://[::1]/",
        "https://[broken/",
        "https://replicate.delivery:port/",
        "file:///etc/passwd",
        "ftp://replicate.delivery/a.png",
        "//replicate.delivery/a.png",
        "gopher://x",
        "not an address",
        "",
    ],
)
async def test_other_hosts_are_not_fetched_from(outputs: Outputs, url: str) -> None:
    with structlog.testing.capture_logs() as logs, pytest.raises(UpstreamFailed):
        await outputs.keep(url)
    assert all("/a.png" not in str(line) for line in logs), "an address may hold what was asked for"


@pytest.mark.parametrize(
    "host", ["replicate.delivery", "pbxt.replicate.delivery", "REPLICATE.delivery", "replicate.delivery."]
)
async def test_replicates_own_hosts_are(outputs: Outputs, host: str) -> None:
    assert (await outputs.keep(f"https://{host}/xezq/a.png")).content == PNG


async def test_a_redirect_is_followed_only_to_where_we_may_go(make: Make) -> None:
    def wire(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        where = {
            "/inner": "https://pbxt.replicate.delivery/a.png",
            "/outer": "http://169.254.169.254/",
            "/round": "/round",
        }
        if request.url.path in where:
            return httpx.Response(302, headers={"location": where[request.url.path]})
        return httpx.Response(200, content=PNG)

    asked: list[str] = []
    async with httpx.AsyncClient(transport=httpx.MockTransport(wire)) as http:
        outputs = make(http, REMOTE)
        assert (await outputs.keep("https://replicate.delivery/inner")).content == PNG
        for path in ("outer", "round"):
            with pytest.raises(UpstreamFailed):
                await outputs.keep(f"https://replicate.delivery/{path}")
    assert not any("169.254" in url for url in asked)
    assert len([url for url in asked if "round" in url]) == 3


async def test_more_than_is_kept_is_not_even_read(make: Make) -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        head = await request(reader)
        length = b"content-length: 999999999\r\n" if b"/honest" in head else b"connection: close\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n")
        while sent < 100_000_000:
            writer.write(bytes(65536))
            sent += 65536
            await writer.drain()

    async with serving(pour) as url, client(UpstreamConfig(), {}) as http:
        outputs = make(http, "http://127.0.0.1:1/v1")
        for path in ("honest", "endless"):
            with pytest.raises(UpstreamFailed, match="1 MB"):
                await outputs.keep(f"{url}/{path}")
    assert sent < 50_000_000


async def test_a_file_that_fails_once_is_tried_again_and_one_that_is_gone_is_not(make: Make) -> None:
    answers = {
        "/shaky": [httpx.Response(503), httpx.ReadError("reset"), httpx.Response(200, content=PNG)],
        "/gone": [httpx.Response(404)],
    }

    def wire(request: httpx.Request) -> httpx.Response:
        answer = answers[request.url.path].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with httpx.AsyncClient(transport=httpx.MockTransport(wire)) as http:
        outputs = make(http, REMOTE)
        assert (await outputs.keep("https://replicate.delivery/shaky")).content == PNG
        with pytest.raises(UpstreamFailed, match="404"):
            await outputs.keep("https://replicate.delivery/gone")


# What they are taken for


@pytest.mark.parametrize(
    ("begin", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"GIF89a", "image/gif"),
        (b"\x00\x00\x00\x1cftypavif", "image/avif"),
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00", "video/mp4"),
        (b"\x00\x00\x00\x14ftypqt  ", "video/quicktime"),
        (b"\x00\x00\x00\x20ftypM4A ", "audio/mp4"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", "video/webm"),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x88matroska", "video/x-matroska"),
        (b"ID3\x04\x00", "audio/mpeg"),
        (b"\xff\xfb\x90\x64", "audio/mpeg"),
        (b"\xff\xf1\x50\x80", "audio/aac"),
        (b"OggS\x00", "audio/ogg"),
        (b"fLaC\x00", "audio/flac"),
        (b"glTF\x02\x00", "model/gltf-binary"),
        (b"%PDF-1.7", "application/pdf"),
        (b"PK\x03\x04", "application/zip"),
        (bytes(257) + b"ustar\x00", "application/x-tar"),
        (SVG, "image/svg+xml"),
        (b"\xef\xbb\xbf<svg>", "image/svg+xml"),
        (b"<!-- made by --><svg width='1'>", "image/svg+xml"),
        (b"<!DOCTYPE html><html><svg>", OCTETS),
        (b"<html>", OCTETS),
        (b"", OCTETS),
        (b"plain words", OCTETS),
    ],
)
def test_bytes_say_what_they_are(begin: bytes, kind: str) -> None:
    assert sniffed(begin) == kind
    assert sniffed(begin, "https://replicate.delivery/x.html") == kind
    assert named(f"x.{ENDINGS[kind]}") == kind


def test_a_name_speaks_only_for_what_has_no_sign() -> None:
    assert (
        sniffed(b"1\n00:00:01,000 --> 00:00:02,000\n", "https://replicate.delivery/a/subtitles.srt")
        == "application/x-subrip"
    )
    assert sniffed(b"v 0 0 0", "mesh.OBJ") == "model/obj"
    assert sniffed(PNG, "words.txt") == "image/png"
    assert sniffed(b"<script>", "page.html") == OCTETS
    assert named("x.exe") == named("x") == OCTETS


def test_no_two_types_share_an_ending_and_none_is_a_page() -> None:
    assert len(set(ENDINGS.values())) == len(ENDINGS)
    assert "html" not in ENDINGS.values()


async def test_a_copy_that_could_run_scripts_is_shown_where_none_run(outputs: Outputs) -> None:
    kept = await outputs.keep("data:image/svg+xml;base64," + base64.b64encode(SVG).decode())
    assert kept.content_type == "image/svg+xml"
    assert "sandbox" in HEADERS["content-security-policy"]
    assert HEADERS["x-content-type-options"] == "nosniff"


# Who may see them, and how long


async def test_a_link_expires(outputs: Outputs, clock: Clock) -> None:
    link = outputs.link(await outputs.keep("https://replicate.delivery/a.png"))
    clock.now += 10 * 60 - 1
    await opened(outputs, link)
    clock.now += 2
    with pytest.raises(NotFound):
        await opened(outputs, link)


async def test_a_link_cannot_be_made_or_changed_by_others(outputs: Outputs, make: Make, settings: Config) -> None:
    kept = await outputs.keep("https://replicate.delivery/a.png")
    other = await outputs.keep("https://replicate.delivery/b.png")
    query = parse_qs(urlsplit(outputs.link(kept)).query)
    expires, signature = query["expires"][0], query["signature"][0]
    forged = [
        (kept.name, str(int(expires) + 1), signature),
        (other.name, expires, signature),
        (kept.name, expires, signature[:-1]),
        (kept.name, expires, ""),
        (kept.name, expires, "é\ud800"),
        (kept.name, "", signature),
        (kept.name, "٣", signature),
        ("../outputs.key", expires, signature),
        ("\ud800", expires, signature),
    ]
    for name, until, sign in forged:
        with pytest.raises(NotFound):
            await outputs.open(name, until, sign)
    stranger = Outputs(settings, Fetching(settings.outputs, REMOTE, Bridged(httpx.AsyncClient()), AMPLE), b"other" * 8)
    with pytest.raises(NotFound):
        await stranger.open(kept.name, expires, signature)


async def test_a_file_s_name_may_have_any_letters_and_its_bytes_no_encoding(settings: Config, clock: Clock) -> None:
    asked: list[bytes] = []

    async def deliver(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked.append((await request(reader)).split(b"\r\n")[0])
            packed = b"content-encoding: gzip\r\n" if b"packed" in asked[-1] else b""
            writer.write(b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (packed, len(PNG), PNG))

    async with serving(deliver) as url:
        pool = Pool(4)
        outputs = Outputs(settings, Fetching(settings.outputs, url, pool, AMPLE), b"k" * 32, clock)
        assert (await outputs.keep(f"{url}/a%20b/zwölf köpfe.png?x=1&y=%C3%A4")).content == PNG
        with pytest.raises(UpstreamFailed):
            await outputs.keep(f"{url}/packed.png")
        await pool.aclose()
    assert asked[0] == b"GET /a%20b/zw%C3%B6lf%20k%C3%B6pfe.png?x=1&y=%C3%A4 HTTP/1.1"


async def test_names_cannot_be_guessed(outputs: Outputs) -> None:
    names = {(await outputs.keep("https://replicate.delivery/a.png")).name for _ in range(20)}
    assert len(names) == 20
    assert all(len(name) >= 24 for name in names)


async def test_copies_are_deleted_when_their_time_is_over(outputs: Outputs, clock: Clock, settings: Config) -> None:
    import time

    clock.now = time.time()
    links = [outputs.link(await outputs.keep("https://replicate.delivery/a.png")) for _ in range(3)]
    assert await outputs.sweep() == 0
    clock.now += 24 * 3600 - 60
    assert await outputs.sweep() == 0
    clock.now += 120
    assert await outputs.sweep() == 3
    assert list((settings.folder / "outputs").iterdir()) == []
    clock.now = time.time()
    with pytest.raises(NotFound):
        await opened(outputs, links[0])


async def test_a_store_that_cannot_be_written_says_so(outputs: Outputs, settings: Config) -> None:
    folder = settings.folder / "outputs"
    folder.rmdir()
    folder.write_text("in the way")
    with pytest.raises(StoreError):
        await outputs.keep("https://replicate.delivery/a.png")


async def test_copies_can_live_elsewhere(tmp_path: Path) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=PNG))
    config = Config(state=State(folder=str(tmp_path), outputs="memory:///"), outputs=OutputsConfig())
    async with httpx.AsyncClient(transport=transport) as http:
        outputs = Outputs(config, Fetching(config.outputs, REMOTE, Bridged(http), AMPLE), b"k" * 32)
        kept = await outputs.keep("https://replicate.delivery/a.png")
        assert await opened(outputs, outputs.link(kept)) == ("image/png", PNG)
    assert not (tmp_path / "outputs").exists()


def test_the_signing_key_is_made_once_and_for_our_eyes_only(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    key = signing_key(folder, {})
    assert len(key) == 32
    assert signing_key(folder, {}) == key
    assert [path.name for path in folder.iterdir()] == ["outputs.key"]
    assert stat.S_IMODE((folder / "outputs.key").stat().st_mode) == 0o600


def test_replicas_share_the_key_of_their_secret(tmp_path: Path) -> None:
    one, other = (signing_key(tmp_path / name, {"REPLIGATE_SECRET": "between us"}) for name in ("one", "other"))
    assert one == other
    assert one != signing_key(tmp_path, {"REPLIGATE_SECRET": "between others"})
    assert not (tmp_path / "one").exists()


def test_a_link_keeps_a_copy_s_name(outputs: Outputs) -> None:
    kept = Kept("a name.png", "image/png", PNG)
    assert "/outputs/a%20name.png?" in outputs.link(kept)

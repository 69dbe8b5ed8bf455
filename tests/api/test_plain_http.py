"""Ordinary HTTP that occurs in the field: old clients, odd clients, and connections that go on after an error."""

import json
import socket
import struct
import sys
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pytest

from tests.served import Served

HELLO = [{"role": "user", "content": "Hello there"}]


def body(**fields: object) -> bytes:
    return json.dumps({"model": "sim/echo", "messages": HELLO, **fields}).encode()


def head(gateway: Served, line: str, *headers: str) -> bytes:
    lines = [line, "host: gateway", f"authorization: Bearer {gateway.key}", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


class Wire:
    """One connection, byte by byte."""

    def __init__(self, gateway: Served) -> None:
        parts = urlsplit(gateway.url)
        self.socket = socket.create_connection((str(parts.hostname), int(parts.port or 80)), timeout=10)
        self.file = self.socket.makefile("rb")

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.socket.sendall(piece)

    def reply(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and the whole body."""
        status = int(self.file.readline().split()[1])
        headers: dict[str, str] = {}
        while (line := self.file.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, self._body(status, headers)

    @property
    def packets(self) -> int:
        """How many segments with something in them have come so far: `tcpi_data_segs_in` of Linux."""
        told: int = struct.unpack_from("I", self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160), 152)[0]
        return told

    def _body(self, status: int, headers: dict[str, str]) -> bytes:
        if status == 100:
            return b""
        if headers.get("transfer-encoding") == "chunked":
            whole = b""
            while size := int(self.file.readline(), 16):
                whole += self.file.read(size)
                self.file.readline()
            self.file.readline()
            return whole
        length = headers.get("content-length")
        return self.file.read(int(length)) if length else self.file.read()

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.mark.parametrize("stream", [False, True])
def test_an_http_1_0_client_gets_plain_bytes_that_end_with_the_connection(gateway: Served, stream: bool) -> None:
    content = body(stream=stream)
    with closing(Wire(gateway)) as wire:
        wire.send(head(gateway, "POST /v1/chat/completions HTTP/1.0", f"content-length: {len(content)}"), content)
        status, headers, answer = wire.reply()
        assert status == 200
        assert "transfer-encoding" not in headers
        assert headers["connection"] == "close"
        assert wire.file.read() == b""
    assert answer.endswith(b"data: [DONE]\n\n") if stream else json.loads(answer)["object"] == "chat.completion"
    assert b"Hello" in answer


def test_a_connection_goes_on_after_errors_and_streams(gateway: Served) -> None:
    def post(content: bytes, path: str = "/v1/chat/completions") -> bytes:
        return head(gateway, f"POST {path} HTTP/1.1", f"content-length: {len(content)}") + content

    with closing(Wire(gateway)) as wire:
        for request, expected in (
            (post(b"{not json"), 400),
            (post(b"x" * 300_000, "/v1/nothing"), 404),
            (post(body(model="nobody/nothing")), 404),
            (post(body(model="sim/refused", stream=True)), 400),
            (post(body(model="sim/fails-midway", stream=True)), 200),
            (post(b"x" * 300_000).replace(b"Bearer sk-", b"Bearer no-"), 401),
            (post(body(stream=True)), 200),
            (post(body()), 200),
        ):
            wire.send(request)
            status, headers, _ = wire.reply()
            assert status == expected
            assert headers["x-request-id"].startswith("req_")


def test_a_client_may_ask_before_it_sends_its_body(gateway: Served) -> None:
    content = body()
    with closing(Wire(gateway)) as wire:
        length = f"content-length: {len(content)}"
        wire.send(head(gateway, "POST /v1/chat/completions HTTP/1.1", length, "expect: 100-continue"))
        assert wire.reply()[0] == 100
        wire.send(content)
        assert wire.reply()[0] == 200


def test_a_body_may_come_in_chunks(gateway: Served) -> None:
    content = body()
    with closing(Wire(gateway)) as wire:
        wire.send(head(gateway, "POST /v1/chat/completions HTTP/1.1", "transfer-encoding: chunked"))
        wire.send(*(b"%x\r\n%b\r\n" % (1, content[at : at + 1]) for at in range(len(content))), b"0\r\n\r\n")
        assert wire.reply()[0] == 200


def test_requests_sent_ahead_are_answered_in_their_order(gateway: Served) -> None:
    with closing(Wire(gateway)) as wire:
        slow = body(stream=True)
        wire.send(
            head(gateway, "POST /v1/chat/completions HTTP/1.1", f"content-length: {len(slow)}") + slow,
            head(gateway, "GET /health/live HTTP/1.1"),
            head(gateway, "GET /v1/models HTTP/1.1"),
        )
        assert wire.reply()[2].endswith(b"data: [DONE]\n\n")
        assert json.loads(wire.reply()[2]) == {"status": "live"}
        assert json.loads(wire.reply()[2])["object"] == "list"


def test_headers_without_end_are_refused(gateway: Served) -> None:
    with closing(Wire(gateway)) as wire:
        wire.send(b"GET /health/live HTTP/1.1\r\nhost: gateway\r\n")
        with pytest.raises(ConnectionError):
            wire.send(*(b"x-padding-%d: %b\r\n" % (count, b"x" * 1000) for count in range(8000)))
    with closing(Wire(gateway)) as wire:
        wire.send(head(gateway, "GET /health/live HTTP/1.1", f"x-large: {'x' * 70_000}"))
        status, headers, answer = wire.reply()
    assert status == 431
    assert headers["content-type"] == "application/json"
    assert json.loads(answer)["error"]["code"] == "headers_too_large"


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/v1/models", "/v1/models/sim/echo"])
def test_what_can_be_read_can_be_asked_about(gateway: Served, path: str) -> None:
    with gateway.http() as http:
        whole, told = http.get(path), http.head(path)
        assert (told.status_code, told.content) == (200, b"")
        assert told.headers["content-length"] == str(len(whole.content))
        assert told.headers["x-request-id"].startswith("req_")
        assert http.head("/v1/chat/completions").status_code == 405


def test_a_wrong_method_is_told_which_are_right(gateway: Served) -> None:
    with gateway.http() as http:
        assert http.get("/v1/chat/completions").headers["allow"] == "OPTIONS, POST"
        assert http.delete("/v1/models").headers["allow"] == "GET, HEAD, OPTIONS"


def test_browsers_can_read_errors_and_the_headers_of_answers(gateway: Served) -> None:
    page = {"origin": "http://app.example"}
    with gateway.http() as http:
        for reply in (
            http.post("/v1/chat/completions", content=body(), headers=page),
            http.post("/v1/chat/completions", content=body(stream=True), headers=page),
            http.post("/v1/chat/completions", content=b"{", headers=page),
            http.get("/v1/nothing", headers=page),
            http.get("/v1/chat/completions", headers=page),
            httpx.post(f"{gateway.base_url}/chat/completions", headers=page),
        ):
            assert reply.headers["access-control-allow-origin"] == "*", reply.url
            exposed = reply.headers["access-control-expose-headers"].lower()
            shown = {name for name in reply.headers if name.startswith(("x-", "openai-", "retry-"))}
            assert shown - {"x-accel-buffering"} <= set(exposed.split(", "))


@pytest.mark.parametrize("content", [body(), body(model="no/model"), body(temperature=9), b"{", b"[]", b""])
def test_the_short_way_to_a_handler_answers_as_litestars_does(gateway: Served, content: bytes) -> None:
    """Pages of another origin come by all of Litestar, others do not."""
    told = []
    with gateway.http() as http:
        for headers in ({}, {"origin": "http://app.example"}):
            reply = http.post("/v1/chat/completions", content=content, headers=headers)
            shown = {name for name in reply.headers if not name.startswith("access-control-")} - {"vary"}
            told.append((reply.status_code, shown, reply.json().get("error")))
    assert told[0] == told[1]


def test_a_host_that_is_none_is_refused_wherever_it_asks(gateway: Served) -> None:
    for path in ("/v1/chat/completions", "/v1/files"):
        with closing(Wire(gateway)) as wire:
            wire.send(f"POST {path} HTTP/1.1\r\nhost: a b\r\ncontent-length: 0\r\n\r\n".encode())
            assert wire.reply()[0] == 400


@pytest.mark.skipif(sys.platform != "linux", reason="packets are counted by Linux")
def test_the_head_of_an_answer_comes_together_with_its_body(gateway: Served) -> None:
    content = body()
    with closing(Wire(gateway)) as wire:
        wire.send(head(gateway, "POST /v1/chat/completions HTTP/1.1", f"content-length: {len(content)}"), content)
        status, _, answer = wire.reply()
        assert (status, wire.packets) == (200, 1)
        assert b"Hello" in answer
        wire.send(head(gateway, "GET /v1/nothing HTTP/1.1"))
        assert (wire.reply()[0], wire.packets) == (404, 2)

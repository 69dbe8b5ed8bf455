"""What a stranger, or a client with bad manners, may send: refused or harmless, and never an answer of 500."""

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from gateway.simulator import Simulator
from tests.api.test_plain_http import Wire, head
from tests.served import Served

HELLO = [{"role": "user", "content": "Hello there"}]
DEEP = 5000


@pytest.fixture
def http(gateway: Served) -> Iterator[httpx.Client]:
    with gateway.http() as client:
        yield client


def ask(http: httpx.Client, body: bytes | dict[str, Any]) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return http.post("/v1/chat/completions", content=content, headers={"content-type": "application/json"})


def raw(extra: str, model: str = '"sim/echo"') -> bytes:
    return f'{{"model": {model}, "messages": {json.dumps(HELLO)}, {extra}}}'.encode()


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer ' OR 1=1 --",
        "Bearer sk-' UNION SELECT * FROM keys --",
        'Bearer sk-"); DROP TABLE keys; --',
        "Bearer %00",
        "Bearer sk-" + "A" * 5000,
        "Bearer sk-%s%n{0}${jndi:ldap://x}",
        "Basic c2stOg==",
        "Bearer",
    ],
)
def test_an_authorization_that_is_none_is_401_and_is_not_repeated(gateway: Served, authorization: str) -> None:
    reply = httpx.get(f"{gateway.base_url}/models", headers={"authorization": authorization})
    assert reply.status_code == 401
    assert reply.json()["error"]["type"] == "invalid_request_error"
    secret = authorization.partition(" ")[2].strip()
    assert not secret or secret not in reply.text
    assert gateway.openai().models.list().data


def test_bytes_that_are_no_text_in_authorization_are_401(gateway: Served) -> None:
    with closing(Wire(gateway)) as wire:
        wire.send(b"GET /v1/models HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk-\xff\xfe\xc3\x28\r\n\r\n")
        assert wire.reply()[0] == 401


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\r\nset-cookie: x=1", "a%0D%0Aset-cookie: x=1"),
        ("größe", "gr%C3%B6%C3%9Fe"),
        ("\x00\x1b[31m", "%00%1B[31m"),
        ("日本", "%E6%97%A5%E6%9C%AC"),
        ("a, b", "a%2C b"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_parameters_name_is_no_header_of_its_own(http: httpx.Client, name: str, shown: str, stream: bool) -> None:
    reply = ask(http, {"model": "sim/echo", "messages": HELLO, name: 1, "stream": stream})
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-repligate-ignored"] == shown
    assert "set-cookie" not in reply.headers


def test_a_thousand_parameters_fit_into_a_header_that_proxies_let_through(http: httpx.Client) -> None:
    many = {f"parameter-{number}-{'ß' * 200}": 1 for number in range(1000)}
    reply = ask(http, {"model": "sim/echo", "messages": HELLO, **many})
    assert reply.status_code == 200
    assert reply.headers["x-repligate-ignored"].endswith("and 970 more")
    assert sum(len(name) + len(value) for name, value in reply.headers.items()) < 16_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe{}",
        b'{"model": "\xc3\x28"}',
        raw('"user": "\\ud800"'),
        raw('"temperature": 1e999'),
        raw('"temperature": NaN'),
        raw('"n": 1000000'),
        raw('"seed": 1e2'),
        raw('"stop": ["a", "b", "c", "d", "e"]'),
        raw(f'"deep": {"[" * DEEP}{"]" * DEEP}'),
        raw('"x": 1') + b"trailing",
        raw('"x": 1', model="7"),
        raw('"x": 1', model='""'),
        raw('"replicate": 3'),
        raw('"replicate": {"no_such_input": 1}'),
        raw('"messages": {"role": "user"}'),
        raw('"messages": [[[[]]]]'),
        raw('"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc"}}]}]'),
    ],
)
def test_a_body_that_makes_no_sense_is_400_and_nothing_else(http: httpx.Client, body: bytes) -> None:
    reply = ask(http, body)
    assert reply.status_code == 400, reply.text
    assert sorted(reply.json()["error"]) == ["code", "message", "param", "type"]


@pytest.mark.parametrize("depth", [100, 400, 700, 900, 990])
@pytest.mark.parametrize("where", ['"replicate": {"prompt": %s}', '"prompt": %s', '"metadata": {"a": %s}', '"x": %s'])
def test_depth_is_no_surprise(http: httpx.Client, where: str, depth: int) -> None:
    assert ask(http, raw(where % ("[" * depth + "1" + "]" * depth))).status_code in {200, 400}


def test_of_a_key_said_twice_one_counts(http: httpx.Client) -> None:
    reply = ask(http, raw('"n": 5, "n": 1'))
    assert len(reply.json()["choices"]) == 1


@pytest.mark.parametrize(
    "model",
    [
        "a\nb/c",
        "../../etc/passwd",
        "owner/na me",
        "o/n:" + "g" * 64,
        "x" * 10_000,
        "\x1b[2J",
        "日本/語",
        "a/b/c/d",
        "sk-" + "a" * 40,
    ],
)
def test_a_models_name_that_is_none_is_404_and_breaks_no_log_line(gateway: Served, model: str) -> None:
    with gateway.http() as http:
        reply = ask(http, {"model": model, "messages": HELLO})
        assert reply.status_code == 404
        assert reply.json()["error"]["code"] == "model_not_found"
        assert len(reply.text) < 1000
    assert model not in gateway.output


@pytest.mark.parametrize(
    "path", ["..%2f..%2fetc%2fpasswd", "%2e%2e/config.toml", "outputs.key", "..%5cx", "%00", "a" * 5000]
)
def test_outputs_are_found_by_signed_links_alone(gateway: Served, path: str) -> None:
    for query in (
        "",
        "?expires=99999999999&signature=",
        "?expires=x&signature=" + "0" * 64,
        "?expires=%D9%A1&signature=%F0",
    ):
        assert httpx.get(f"{gateway.url}/outputs/{path}{query}").status_code == 404


def test_a_query_said_twice_is_no_surprise(gateway: Served) -> None:
    assert httpx.get(f"{gateway.url}/outputs/x?expires=1&expires=2&signature=a&signature=b").status_code in {400, 404}


def test_addresses_that_clients_name_are_passed_on_and_never_fetched_here(gateway: Served, http: httpx.Client) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.2)

        def listen() -> None:
            try:
                with trap.accept()[0] as caught:
                    asked.append(caught.recv(100))
            except TimeoutError:
                pass

        listener = threading.Thread(target=listen)
        listener.start()
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/picture.png"
        parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
        ask(http, {"model": "llava-13b", "messages": [{"role": "user", "content": parts}]})
        extra = {"api_base": url, "base_url": url, "webhook": url, "api_key": "x", "headers": {"x": url}}
        reply = ask(http, {"model": "sim/echo", "messages": HELLO, **extra})
        assert reply.headers["x-repligate-ignored"] == ", ".join(extra)
        http.post("/v1/images/generations", json={"model": "sim/picture", "prompt": "x", "image": url, **extra})
        listener.join()
    assert asked == []


def test_a_webhook_that_nobody_signed_is_refused(gateway: Served, simulator: Simulator) -> None:
    forged = base64.b64encode(b"x" * 32).decode()
    for headers in (
        {},
        {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": f"v1,{forged}"},
        {"webhook-id": "1", "webhook-timestamp": "x", "webhook-signature": "v1,%%%"},
    ):
        reply = httpx.post(f"{gateway.url}/webhooks/replicate", headers=headers, json={"id": "x", "status": "failed"})
        assert reply.status_code == 403, reply.text


def test_a_client_that_leaves_within_its_body_is_no_failure_of_ours(gateway: Served) -> None:
    with closing(Wire(gateway)) as wire:
        wire.send(head(gateway, "POST /v1/chat/completions HTTP/1.1", "content-length: 1000") + b'{"model"')
    assert gateway.openai().models.list().data
    assert "prematurely" not in gateway.output
    assert "Traceback" not in gateway.output

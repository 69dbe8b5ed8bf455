"""Uploads: multipart in, metadata out, signed downloads."""

import hashlib
import socket
import time
from datetime import datetime
from urllib.parse import quote

import httpx
import pytest

from gateway.simulator.files import LARGEST, signature
from tests.simulator.calls import Api

HELLO = {"content": ("hello.txt", b"hello", "text/plain")}


def test_an_upload_is_described(api: Api) -> None:
    reply = api.post("/files", files=HELLO, data={"metadata": '{"for": "me"}'})
    file = reply.json()
    assert reply.status_code == 201
    assert (file["name"], file["content_type"], file["size"]) == ("hello.txt", "text/plain", 5)
    assert file["checksums"]["sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert file["metadata"] == {"for": "me"}
    created, expires = (datetime.fromisoformat(file[key]) for key in ("created_at", "expires_at"))
    assert (expires - created).total_seconds() == pytest.approx(86_400)
    assert file["urls"]["get"] == f"{api.base_url}files/{file['id']}"
    assert "ratelimit-remaining" not in reply.headers


def test_name_type_and_metadata_may_be_parts_of_their_own(api: Api) -> None:
    files = HELLO | {"metadata": ("m", b'{"n": 1}', "application/json")}
    file = api.post("/files", files=files, data={"filename": "other.bin", "type": "image/png"}).json()
    assert (file["name"], file["content_type"], file["metadata"]) == ("other.bin", "image/png", {"n": 1})


def test_files_are_listed_got_and_deleted(api: Api) -> None:
    ids = [api.post("/files", files=HELLO).json()["id"] for _ in range(2)]
    assert [file["id"] for file in api.get("/files").json()["results"]] == ids[::-1]
    assert api.get(f"/files/{ids[0]}").json()["id"] == ids[0]
    gone = api.delete(f"/files/{ids[0]}")
    assert (gone.status_code, gone.content) == (204, b"")
    assert gone.headers["content-type"].startswith("text/plain")
    for method in ("GET", "DELETE"):
        missing = api.request(method, f"/files/{ids[0]}")
        assert (missing.status_code, missing.json()["detail"]) == (404, "File not found")


def test_getting_a_file_gives_what_is_known_not_its_content(api: Api) -> None:
    file = api.post("/files", files=HELLO).json()
    assert api.get(file["urls"]["get"]).headers["content-type"].startswith("application/json")


def test_a_signed_download_needs_no_token(api: Api, web: httpx.Client) -> None:
    id = api.post("/files", files=HELLO).json()["id"]
    expiry = str(int(time.time()) + 60)
    signed = quote(signature("simulator", id, expiry), safe="")
    url = f"{api.base_url}files/{id}/download?owner=simulator&expiry={expiry}&signature={signed}"
    reply = web.get(url)
    assert (reply.status_code, reply.content) == (200, b"hello")
    assert reply.headers["content-type"] == "application/octet-stream"
    assert web.get(url.replace("owner=simulator", "owner=other")).status_code == 404


def test_a_download_that_is_too_late_or_unsigned_is_not_found(api: Api, web: httpx.Client) -> None:
    id = api.post("/files", files=HELLO).json()["id"]
    late = str(int(time.time()) - 1)
    signed = quote(signature("simulator", id, late), safe="")
    for query in (f"owner=simulator&expiry={late}&signature={signed}", "", "owner=simulator&expiry=x&signature=y"):
        reply = web.get(f"{api.base_url}files/{id}/download?{query}")
        assert (reply.status_code, reply.json()["detail"]) == (404, "File not found")


def test_a_file_of_more_than_100_mb_is_refused(api: Api) -> None:
    # The length alone decides, so that nobody has to send so much to be told.
    with socket.create_connection((api.base_url.host, api.base_url.port or 80)) as connection:
        head = (
            "POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
            f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {LARGEST + 2 * 1024 * 1024}\r\n\r\n"
        )
        connection.sendall(head.encode())
        answer = ""
        while "}" not in answer:
            answer += connection.recv(10_000).decode()
    assert answer.startswith("HTTP/1.1 413 ")
    assert '"Files must be less than 100MB in size"' in answer


@pytest.mark.parametrize(("files", "data"), [
    ({"other": ("x", b"x", "text/plain")}, {}),
    ({"content": ("x" * 256, b"x", "text/plain")}, {}),
    (HELLO, {"metadata": "not json"}),
    (HELLO, {"metadata": "[1]"}),
])  # fmt: skip
def test_an_upload_that_is_none_is_refused(
    api: Api, files: dict[str, tuple[str, bytes, str]], data: dict[str, str]
) -> None:
    assert api.post("/files", files=files, data=data).status_code == 422

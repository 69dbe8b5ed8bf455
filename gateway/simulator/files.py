"""Uploaded files: what the account put in, for as long as it is kept."""

import base64
import binascii
import hashlib
import hmac
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from gateway.simulator.clock import stored_time

LARGEST = 100 * 1024 * 1024
SIGNING_SECRET = b"simulated-files-signing-secret"


class File(Struct, frozen=True, kw_only=True):
    """One uploaded file."""

    id: str
    name: str
    content_type: str
    content: bytes
    metadata: dict[str, Any]
    created: float
    expires: float

    def shown(self, base: str) -> dict[str, Any]:
        """Return the file object of the API."""
        return {
            "id": self.id,
            "name": self.name,
            "content_type": self.content_type,
            "size": len(self.content),
            "etag": hashlib.md5(self.content, usedforsecurity=False).hexdigest(),
            "checksums": {
                "sha256": hashlib.sha256(self.content).hexdigest(),
                "md5": hashlib.md5(self.content, usedforsecurity=False).hexdigest(),
            },
            "metadata": self.metadata,
            "created_at": stored_time(self.created),
            "expires_at": stored_time(self.expires),
            "urls": {"get": f"{base}/v1/files/{self.id}"},
        }


class Files:
    """All files that have not expired."""

    def __init__(self, kept_seconds: float) -> None:
        self._kept_seconds = kept_seconds
        self._all: dict[str, File] = {}

    def __iter__(self) -> Iterator[File]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def keep(self, name: str, content_type: str, content: bytes, metadata: dict[str, Any], now: float) -> File:
        """Keep an upload under a new id: base64 of a UUID's text, as recorded ones are."""
        id = base64.urlsafe_b64encode(str(uuid.uuid4()).encode()).decode().rstrip("=")
        file = File(
            id=id,
            name=name,
            content_type=content_type,
            content=content,
            metadata=metadata,
            created=now,
            expires=now + self._kept_seconds,
        )
        self._all[id] = file
        return file

    def find(self, id: str) -> File | None:
        return self._all.get(id)

    def remove(self, id: str) -> None:
        self._all.pop(id, None)

    def clear(self) -> None:
        self._all.clear()


def signature(owner: str, id: str, expiry: str) -> str:
    """Sign a download: base64 HMAC-SHA256 over `owner id expiry`."""
    digest = hmac.digest(SIGNING_SECRET, f"{owner} {id} {expiry}".encode(), "sha256")
    return base64.b64encode(digest).decode()


def is_signed(owner: str, id: str, expiry: str, given: str) -> bool:
    """Tell whether a download was signed by `signature`."""
    return hmac.compare_digest(signature(owner, id, expiry).encode(), given.encode())


def inlined(url: str) -> bytes | None:
    """Return the content of a data URL; None when it cannot be read."""
    head, _, body = url.partition(",")
    if not head.endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        return base64.b64decode(body)
    except binascii.Error:
        return None

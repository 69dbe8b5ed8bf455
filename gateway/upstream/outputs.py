"""Our copies of the files that predictions make: fetched without a token, kept for a while, shown by signed links."""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import obstore
from msgspec import Struct
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from gateway.config import Config
from gateway.errors import NotFound, StoreError, UpstreamFailed
from gateway.upstream.fetching import Fetching
from gateway.upstream.media import ENDINGS, OCTETS, SNIFFED, named, sniffed

HEADERS = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
    "cache-control": "private, max-age=3600, immutable",
}
"""What every copy is shown with: an SVG that a model made runs no script on our origin."""

_NAME_BYTES = 18


class Kept(Struct, frozen=True):
    """Our copy of a file, with its bytes."""

    name: str
    content_type: str
    content: bytes


class Opened(Struct, frozen=True):
    """A copy on its way to a client. `size` is in bytes."""

    content_type: str
    size: int
    content: AsyncIterator[bytes]
    headers: Mapping[str, str]


class Outputs:
    """The store of copies. `clock` gives unix time; `names` makes names that nobody can guess."""

    def __init__(
        self,
        config: Config,
        fetching: Fetching,
        key: bytes,
        clock: Callable[[], float] = time.time,
        names: Callable[[], str] = lambda: secrets.token_urlsafe(_NAME_BYTES),
    ) -> None:
        self._config, self._fetching, self._key, self._clock, self._names = config, fetching, key, clock, names
        self._store = _store(config)

    async def keep(self, url: str, name: str | None = None) -> Kept:
        """A copy of what is at this address, or in this data URI; under a name of the caller's it has no link, and
        stays. Raises UpstreamFailed if it cannot be had."""
        return await self.store(url, await self.fetch(url), name)

    async def fetch(self, url: str) -> bytes:
        """What is at this address, or in this data URI. Raises UpstreamFailed if it cannot be had."""
        return _embedded(url, self._fetching.most) if url.startswith("data:") else await self._fetching.fetch(url)

    async def store(self, url: str, content: bytes, name: str | None = None) -> Kept:
        """A copy of what was fetched from there, as `keep` makes it."""
        kind = sniffed(content[:SNIFFED], "" if url.startswith("data:") else url.partition("?")[0])
        kept = Kept(name or f"{self._names()}.{ENDINGS[kind]}", kind, content)
        try:
            await obstore.put_async(self._store, kept.name, content)
        except (BaseError, OSError) as error:
            raise StoreError("The copy of the output could not be kept.") from error
        return kept

    def link(self, kept: Kept) -> str:
        """Where a client finds the copy, for `outputs.url_minutes`."""
        expires = str(int(self._clock() + self._config.outputs.url_minutes * 60))
        signature = self._signature(kept.name, expires)
        return f"{self._config.public_url}/outputs/{quote(kept.name)}?expires={expires}&signature={signature}"

    async def open(self, name: str, expires: str, signature: str) -> Opened:
        """The copy of this link. Raises NotFound, the same for a forged or expired link and for a copy that is gone."""
        signed = hmac.compare_digest(self._signature(name, expires).encode(), signature.encode("utf-8", "replace"))
        if not signed or not expires.isdecimal() or int(expires) < self._clock():
            raise NotFound("There is no such output, or its link has expired.")
        try:
            found = await obstore.get_async(self._store, name)
        except FileNotFoundError:
            raise NotFound("There is no such output, or its link has expired.") from None
        except (BaseError, OSError) as error:
            raise StoreError("The copy of the output cannot be read.") from error
        return Opened(named(name), found.meta["size"], _chunks(found), HEADERS)

    async def put(self, name: str, content: bytes | AsyncIterator[bytes]) -> None:
        """Keeps these bytes under a name of the caller's, for as long as the caller wants; they have no link."""
        try:
            await obstore.put_async(self._store, name, content)
        except (BaseError, OSError) as error:
            raise StoreError("The file could not be kept.") from error

    async def read(self, name: str, span: tuple[int, int] | None = None) -> Opened:
        """What was put under this name; of a `span`, the bytes from its first number up to its second. Raises
        NotFound."""
        try:
            found = await obstore.get_async(self._store, name, options={"range": span} if span else None)
        except FileNotFoundError:
            raise NotFound("The content of this file is gone.") from None
        except (BaseError, OSError) as error:
            raise StoreError("The file cannot be read.") from error
        return Opened(OCTETS, found.meta["size"], _chunks(found), HEADERS)

    async def remove(self, names: Sequence[str]) -> None:
        """Deletes what was put under these names; it is no error if there is nothing."""
        for name in names:
            try:
                await obstore.delete_async(self._store, name)
            except FileNotFoundError:
                continue
            except (BaseError, OSError) as error:
                raise StoreError("The file could not be deleted.") from error

    async def sweep(self) -> int:
        """Deletes the copies older than `outputs.keep_hours`; gives how many. For a timer."""
        latest = datetime.fromtimestamp(self._clock(), UTC) - timedelta(hours=self._config.outputs.keep_hours)
        deleted = 0
        try:
            async for page in obstore.list(self._store):
                old = [item["path"] for item in page if item["last_modified"] < latest and "/" not in item["path"]]
                if old:
                    await obstore.delete_async(self._store, old)
                deleted += len(old)
        except (BaseError, OSError) as error:
            raise StoreError("Old copies of outputs could not be deleted.") from error
        return deleted

    def _signature(self, name: str, expires: str) -> str:
        return hmac.digest(self._key, f"{name}\n{expires}".encode("utf-8", "replace"), hashlib.sha256).hex()


def signing_key(folder: Path, environ: Mapping[str, str]) -> bytes:
    """From REPLIGATE_SECRET, which replicas share; else from a file in the data folder, made on first use."""
    if secret := environ.get("REPLIGATE_SECRET"):
        return hashlib.sha256(b"outputs\n" + secret.encode()).digest()
    folder.mkdir(parents=True, exist_ok=True)
    path, draft = folder / "outputs.key", folder / f"outputs.key.{secrets.token_hex(8)}"
    if path.exists():
        return path.read_bytes()
    # Linked when it is whole: of several processes that start at once, all read the first one's key.
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(32))
    with suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
    return path.read_bytes()


def _store(config: Config) -> ObjectStore:
    if config.state.outputs:
        return from_url(config.state.outputs)
    return LocalStore(config.folder / "outputs", mkdir=True)


async def _chunks(found: "obstore.GetResult") -> AsyncIterator[bytes]:
    async for chunk in found.stream(min_chunk_size=256 * 1024):
        yield bytes(chunk)


def _embedded(uri: str, most: int) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma or len(body) > most * 3:
        raise UpstreamFailed("The model's output is a data URI that cannot be read, or is too large.")
    try:
        octets = unquote_to_bytes(body)
        content = base64.b64decode(octets) if head.lower().endswith(";base64") else octets
    except binascii.Error:
        raise UpstreamFailed("The model's output is a data URI that cannot be read.") from None
    if len(content) > most:
        raise UpstreamFailed(f"The model's output is larger than the {most // 1024 // 1024} MB that are kept.")
    return content

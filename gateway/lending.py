"""Files lent to Replicate for one call: what is too large for an input goes there first, and is deleted after."""

import asyncio
import hashlib
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import structlog
from msgspec.structs import replace as amended

from adapters.base import Mask
from adapters.errors import ApiError, InvalidRequest
from adapters.wire.replicate import Inputs
from gateway.plans import Plan
from gateway.upstream.client import Upstream, digest
from gateway.upstream.media import ENDINGS
from gateway.upstream.models import FileReply

log = structlog.get_logger()

P = TypeVar("P", bound=Plan[Any, Any])

INLINE_BYTES = 256 * 1024
"""Above this, Replicate asks for an address instead of the file itself."""


class Loans:
    """What one call has lent. The same file, though it stands in several inputs, is sent once."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._lent: dict[str, asyncio.Task[FileReply]] = {}

    async def made(self, plan: P) -> P:
        """The plan with inputs as Replicate is to get them: masks in the model's colours, large files by address."""
        prepared = plan.prepared
        inputs = tuple([await self._ready(each, prepared.masks) for each in prepared.inputs])
        if inputs == prepared.inputs:
            return plan
        return replace(plan, prepared=amended(prepared, inputs=inputs), digests=tuple(map(digest, inputs)))

    async def end(self) -> None:
        """Deletes what was lent. What cannot be deleted now, Replicate lets expire within a day."""
        lent, self._lent = self._lent, {}
        sent = await asyncio.gather(*lent.values(), return_exceptions=True) if lent else []
        for file in sent:
            if isinstance(file, FileReply):
                await self._take_back(file)

    async def _take_back(self, file: FileReply) -> None:
        try:
            await self._upstream.forget(file)
        except ApiError as away:
            log.info("a lent file was not deleted", file=file.id, reason=away.message)

    async def _ready(self, inputs: Inputs, masks: Mapping[str, Mask]) -> Inputs:
        painted = {name: await _painted(value, masks[name]) for name, value in inputs.items() if name in masks}
        return {name: await self._lend(painted.get(name, value)) for name, value in inputs.items()}

    async def _lend(self, value: Any) -> Any:
        if isinstance(value, list):
            return [await self._lend(each) for each in value]
        if isinstance(value, dict):
            return {name: await self._lend(each) for name, each in value.items()}
        # Four characters of base64 are three bytes.
        if isinstance(value, str) and value.startswith("data:") and len(value) * 3 > INLINE_BYTES * 4:
            return await self._address(value)
        return value

    async def _address(self, uri: str) -> str:
        name = hashlib.sha256(uri.encode()).hexdigest()
        if name not in self._lent:
            self._lent[name] = asyncio.create_task(self._send(uri))
        # Shielded: an upload whose answer nobody reads could not be deleted.
        return (await asyncio.shield(self._lent[name])).address

    async def _send(self, uri: str) -> FileReply:
        kind, content = await asyncio.to_thread(_opened, uri)
        return await self._upstream.upload(f"input.{ENDINGS.get(kind, 'bin')}", kind, content)


async def _painted(value: Any, mask: Mask) -> Any:
    if isinstance(value, list):
        return [await _painted(each, mask) for each in value]
    return await asyncio.to_thread(_repainted, value, mask)


def _repainted(uri: str, mask: Mask) -> str:
    # Imported late: most gateways never see a mask, and what reads pictures is large.
    from gateway.masks import recoloured

    return f"data:image/png;base64,{b64encode(recoloured(_opened(uri)[1], mask)).decode()}"


def _opened(uri: str) -> tuple[str, bytes]:
    """The type and the bytes of a data URI."""
    head, comma, body = uri.partition(",")
    kind, *options = head.removeprefix("data:").split(";")
    try:
        content = b64decode(body) if "base64" in options else unquote_to_bytes(body)
    except (NotBase64, ValueError):
        comma, content = "", b""
    if not comma:
        raise InvalidRequest("A data URI in this request cannot be read.", code="invalid_image_url")
    return kind or "application/octet-stream", content

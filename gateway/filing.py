"""Files that clients keep here: their bytes beside the kept outputs, without a link; their objects in the books."""

import uuid
from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec
from msgspec import Struct

from adapters.errors import InvalidRequest
from adapters.wire.base import Given, Upload
from gateway.accounts.virtualkeys import VirtualKey
from gateway.errors import NotFound
from gateway.parts import Gateway
from gateway.store.objects import Stored
from gateway.upstream.outputs import Opened

G = TypeVar("G", bound=Given)

FILE = "file"
MOST_GIVEN = 100 * 1024 * 1024
"""Bytes of a file that a model can be given: what Replicate's own files may have."""


class Filed(Struct, frozen=True, kw_only=True):
    """What is kept of a file beside its bytes."""

    name: str
    bytes: int
    purpose: str
    content_type: str


def owners(key: VirtualKey) -> list[str]:
    """Whose objects a key sees: its team's, its own, and those of the key that it was rotated from."""
    return [each for each in (key.team, key.id, key.rotated_from) if each]


def owner(key: VirtualKey) -> str:
    """Whose an object is that this key makes."""
    return key.team or key.id


async def keep(
    gateway: Gateway, key: VirtualKey, told: Filed, content: bytes | AsyncIterator[bytes], seconds: int | None
) -> Stored:
    """A new file, its bytes first: what a crash leaves is bytes that nobody finds, never a file without them."""
    id = f"file-{uuid.uuid4().hex}"
    await gateway.outputs.put(place(id), content)
    now = gateway.clock()
    return await gateway.objects.put(
        Stored(
            id=id,
            kind=FILE,
            owner=owner(key),
            body=msgspec.json.encode(told),
            status="processed",
            label=told.purpose,
            created=now,
            expires=None if seconds is None else now + seconds,
        )
    )


async def find(gateway: Gateway, key: VirtualKey, id: str, param: str = "id") -> Stored:
    """The file, if this key may see it. Raises NotFound."""
    if stored := await gateway.objects.get(FILE, id, owners(key)):
        return stored
    raise NotFound(f"No such File object: {id[:100]}", param=param)


async def opened(gateway: Gateway, stored: Stored) -> Opened:
    """Its bytes, on their way."""
    return await gateway.outputs.read(place(stored.id))


async def remove(gateway: Gateway, *stored: Stored) -> None:
    """The objects first, so that nobody finds one without its bytes."""
    await gateway.objects.delete(*stored)
    await gateway.outputs.remove([place(each.id) for each in stored])


async def sweep(gateway: Gateway) -> None:
    """Deletes what has expired, of responses too. For a timer."""
    while old := await gateway.objects.expired("response"):
        await gateway.objects.delete(*old)
    for kind in (FILE, "upload", "part"):
        while gone := await gateway.objects.expired(kind):
            await remove(gateway, *gone)


async def resolved(gateway: Gateway, key: VirtualKey, request: G) -> G:
    """The request with every file it names by an id in its place. Raises NotFound, InvalidRequest."""
    found: dict[str, Upload] = {}
    for param, id in request.references().items():
        if id not in found:
            found[id] = await _given(gateway, await find(gateway, key, id, param), param)
    return request.resolved(found) if found else request


def filed(stored: Stored) -> Filed:
    return msgspec.json.decode(stored.body, type=Filed)


def place(id: str) -> str:
    """Where in the store its bytes are: not among the outputs, which are swept by age and shown by links."""
    return f"files/{id}"


async def _given(gateway: Gateway, stored: Stored, param: str) -> Upload:
    told = filed(stored)
    if told.bytes > MOST_GIVEN:
        raise InvalidRequest(f"This file is larger than the {MOST_GIVEN >> 20} MB a model can be given.", param=param)
    content = b"".join([chunk async for chunk in (await opened(gateway, stored)).content])
    return Upload(told.name, told.content_type, content)

"""/v1/uploads: a file that comes in parts."""

import hashlib
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from litestar import Response, post
from litestar.params import FromPath
from msgspec import Struct

from adapters.errors import InvalidRequest
from adapters.wire.files import CompleteRequest, PartObject, PartRequest, UploadObject, UploadRequest
from gateway import filing
from gateway.accounts.virtualkeys import VirtualKey
from gateway.api.files import allowed, nothing_else, shown
from gateway.api.replies import reply
from gateway.api.requests import Asked, decoded, gateway_of
from gateway.errors import NotFound
from gateway.filing import Filed
from gateway.parts import Gateway
from gateway.store.objects import Listing, Stored

UPLOAD, PART = "upload", "part"
LIFE_SECONDS = 3600
LARGEST = 512 * 1024 * 1024
MOST_PARTS = 10_000


class Begun(Struct, frozen=True):
    """What is known of a file before it is there."""

    file: Filed
    seconds: int | None = None


@post("/v1/uploads", status_code=200)
async def create_upload(request: Asked) -> Response[Any]:
    """A place for the parts of a file; it lasts an hour."""
    gateway, key = gateway_of(request), await allowed(request)
    order = nothing_else(await decoded(request, UploadRequest))
    if order.bytes > LARGEST:
        raise InvalidRequest(f"Files here have {LARGEST >> 20} MB at most.", param="bytes", code="invalid_value")
    told = Filed(name=order.filename, bytes=order.bytes, purpose=order.purpose, content_type=order.mime_type)
    begun = Begun(told, order.expires_after.seconds if order.expires_after else None)
    return reply(_shown(await gateway.objects.put(_new(gateway, key, UPLOAD, msgspec.json.encode(begun)))))


@post("/v1/uploads/{upload_id:str}/parts", status_code=200)
async def add_part(request: Asked, upload_id: FromPath[str]) -> Response[Any]:
    """Keeps one part, in whatever order they come."""
    gateway, key = gateway_of(request), await allowed(request)
    await _pending(gateway, key, upload_id)
    data = nothing_else(await decoded(request, PartRequest)).data
    part = _new(gateway, key, PART, msgspec.json.encode(len(data.content)), upload_id)
    await gateway.outputs.put(filing.place(part.id), data.content)
    await gateway.objects.put(part)
    return reply(PartObject(id=part.id, created_at=int(part.created), upload_id=upload_id))


@post("/v1/uploads/{upload_id:str}/complete", status_code=200)
async def complete_upload(request: Asked, upload_id: FromPath[str]) -> Response[Any]:
    """The file, its parts joined in the order that they are named in."""
    gateway, key = gateway_of(request), await allowed(request)
    upload = await _pending(gateway, key, upload_id)
    order = nothing_else(await decoded(request, CompleteRequest))
    begun = msgspec.json.decode(upload.body, type=Begun)
    parts = await _parts(gateway, key, upload, order.part_ids)
    size = sum(msgspec.json.decode(part.body, type=int) for part in parts)
    if size != begun.file.bytes:
        raise InvalidRequest(
            f"The parts have {size} bytes together, and the upload was to have {begun.file.bytes}.", param="part_ids"
        )
    digest = hashlib.md5(usedforsecurity=False)
    file = await filing.keep(gateway, key, begun.file, _joined(gateway, parts, digest), begun.seconds)
    wrong = order.md5 is not None and order.md5.lower() != digest.hexdigest()
    if wrong or not await gateway.objects.update(upload, status="completed"):
        await filing.remove(gateway, file)
        raise InvalidRequest("The parts do not have this MD5.", param="md5") if wrong else _over(upload)
    await filing.remove(gateway, *parts)
    done = msgspec.structs.replace(_shown(upload), status="completed", file=shown(file))
    return reply(done)


@post("/v1/uploads/{upload_id:str}/cancel", status_code=200)
async def cancel_upload(request: Asked, upload_id: FromPath[str]) -> Response[Any]:
    """No further parts; those that came are deleted."""
    gateway, key = gateway_of(request), await allowed(request)
    upload = await _pending(gateway, key, upload_id)
    if not await gateway.objects.update(upload, status="cancelled"):
        raise _over(upload)
    came = await gateway.objects.list(_all_parts(key, upload_id))
    await filing.remove(gateway, *came.items)
    return reply(msgspec.structs.replace(_shown(upload), status="cancelled"))


def _new(gateway: Gateway, key: VirtualKey, kind: str, body: bytes, label: str = "") -> Stored:
    now = gateway.clock()
    return Stored(
        id=f"{kind}_{uuid.uuid4().hex}",
        kind=kind,
        owner=filing.owner(key),
        body=body,
        status="pending",
        label=label,
        created=now,
        expires=now + LIFE_SECONDS,
    )


async def _pending(gateway: Gateway, key: VirtualKey, id: str) -> Stored:
    upload = await gateway.objects.get(UPLOAD, id, filing.owners(key))
    if upload is None:
        raise NotFound(f"No such Upload object: {id[:100]}", param="upload_id")
    if upload.status != "pending":
        raise _over(upload)
    return upload


def _over(upload: Stored) -> InvalidRequest:
    return InvalidRequest(f"The upload {upload.id} is no longer pending: it was completed or cancelled.")


def _all_parts(key: VirtualKey, upload_id: str) -> Listing:
    return Listing(kind=PART, owners=filing.owners(key), label=upload_id, limit=MOST_PARTS)


async def _parts(gateway: Gateway, key: VirtualKey, upload: Stored, ids: Sequence[str]) -> list[Stored]:
    """The parts, in the order they are named in."""
    came = {part.id: part for part in (await gateway.objects.list(_all_parts(key, upload.id))).items}
    for place, id in enumerate(ids):
        if id not in came or id in ids[:place]:
            raise InvalidRequest(f"No such part of this upload: {id[:100]}", param=f"part_ids[{place}]")
    return [came[id] for id in ids]


async def _joined(gateway: Gateway, parts: Sequence[Stored], digest: "hashlib._Hash") -> AsyncIterator[bytes]:
    for part in parts:
        async for chunk in (await filing.opened(gateway, part)).content:
            digest.update(chunk)
            yield chunk


def _shown(upload: Stored) -> UploadObject:
    told = msgspec.json.decode(upload.body, type=Begun).file
    return UploadObject(
        id=upload.id,
        bytes=told.bytes,
        created_at=int(upload.created),
        expires_at=int(upload.expires or 0),
        filename=told.name,
        purpose=told.purpose,
        status=upload.status,
    )

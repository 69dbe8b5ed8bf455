"""Uploaded files: list, create, get, delete, download."""

from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.datastructures import State, UploadFile
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from gateway.simulator import problems
from gateway.simulator.files import LARGEST, File, is_signed
from gateway.simulator.problems import InvalidField
from gateway.simulator.routes.replies import empty, page, reply
from gateway.simulator.world import World

Ask = Request[Any, Any, State]

_PAGE = 100
_LONGEST_NAME = 255


@get("/files", status_code=200)
async def list_files(world: NamedDependency[World], cursor: FromQuery[str | None] = None) -> Response[bytes]:
    """List, newest first."""
    newest_first = list(world.files)[::-1]
    base = world.addresses.api
    return page(newest_first, lambda file: file.shown(base), _PAGE, cursor, f"{base}/v1/files")


@post("/files", status_code=201)
async def create_file(request: Ask, world: NamedDependency[World]) -> Response[bytes]:
    """Keep an upload: part `content`, and perhaps `metadata`, `filename` and `type`."""
    if int(request.headers.get("content-length") or 0) > LARGEST + 1024 * 1024:
        raise problems.file_too_large()
    form = await request.form()
    content = form.get("content")
    if not isinstance(content, UploadFile):
        raise problems.invalid([InvalidField("required", "(root)", "content is required")])
    body = await content.read()
    if len(body) > LARGEST:
        raise problems.file_too_large()
    name = await _text(form.get("filename")) or content.filename or "file"
    if len(name.encode()) > _LONGEST_NAME:
        text = f"String length must be less than or equal to {_LONGEST_NAME}"
        raise problems.invalid([InvalidField("string_lte", "filename", text)])
    media_type = await _text(form.get("type")) or content.content_type or "application/octet-stream"
    metadata = _metadata(await _text(form.get("metadata")))
    file = world.files.keep(name, media_type, body, metadata, world.clock.now())
    world.clock.at(file.expires, lambda: world.files.remove(file.id))
    return reply(file.shown(world.addresses.api), 201)


async def _text(part: Any) -> str:
    if isinstance(part, UploadFile):
        return (await part.read()).decode(errors="replace")
    return part if isinstance(part, str) else "" if part is None else msgspec.json.encode(part).decode()


def _metadata(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except msgspec.DecodeError as error:
        text = "Invalid type. Expected: object, given: string"
        raise problems.invalid([InvalidField("invalid_type", "metadata", text)]) from error


@get("/files/{file_id:str}", status_code=200)
async def get_file(world: NamedDependency[World], file_id: FromPath[str]) -> Response[bytes]:
    """Get what is known about one; its content is downloaded elsewhere."""
    return reply(_found(world, file_id).shown(world.addresses.api))


@delete("/files/{file_id:str}", status_code=204)
async def delete_file(world: NamedDependency[World], file_id: FromPath[str]) -> Response[None]:
    """Delete one."""
    world.files.remove(_found(world, file_id).id)
    return empty()


@get("/files/{file_id:str}/download", status_code=200)
async def download_file(
    world: NamedDependency[World],
    file_id: FromPath[str],
    owner: FromQuery[str] = "",
    expiry: FromQuery[str] = "",
    signature: FromQuery[str] = "",
) -> Response[bytes]:
    """Download one with a signature instead of a token; what is forged or too late is not found."""
    file = _found(world, file_id)
    in_time = expiry.isdigit() and int(expiry) > world.clock.now()
    if not in_time or not is_signed(owner, file_id, expiry, signature):
        raise problems.not_found("File not found")
    return Response(file.content, status_code=200, media_type="application/octet-stream")


def _found(world: World, id: str) -> File:
    file = world.files.find(id)
    if file is None:
        raise problems.not_found("File not found")
    return file


HANDLERS = (list_files, create_file, get_file, delete_file, download_file)

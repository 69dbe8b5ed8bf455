"""/v1/files: files that a client keeps here, to be used as inputs by their ids."""

from typing import Any

from litestar import Response, delete, get, post
from litestar.params import FromPath
from litestar.response import Stream

from adapters.errors import InvalidRequest
from adapters.wire.files import Deleted, FileList, FileObject, FileRequest, FilesQuery
from gateway import filing
from gateway.accounts.virtualkeys import VirtualKey
from gateway.api.replies import reply
from gateway.api.requests import Asked, asked, authenticated, decoded, gateway_of
from gateway.errors import Forbidden
from gateway.filing import Filed, G
from gateway.store.objects import Listing, Page, Stored


@post("/v1/files", status_code=200)
async def create_file(request: Asked) -> Response[Any]:
    """Keeps a file."""
    gateway, key = gateway_of(request), await allowed(request)
    order = nothing_else(await decoded(request, FileRequest))
    file = order.file
    told = Filed(name=file.name, bytes=len(file.content), purpose=order.purpose, content_type=file.content_type)
    seconds = order.expires_after.seconds if order.expires_after else None
    return reply(shown(await filing.keep(gateway, key, told, file.content, seconds)))


@get("/v1/files", status_code=200)
async def list_files(request: Asked) -> Response[Any]:
    """The files that this key may see, page by page."""
    gateway, key = gateway_of(request), await allowed(request)
    query = asked(request, FilesQuery)
    after = await filing.find(gateway, key, query.after, "after") if query.after else None
    wanted = Listing(
        kind=filing.FILE,
        owners=filing.owners(key),
        label=query.purpose,
        oldest_first=query.order == "asc",
        limit=query.limit,
    )
    page = await gateway.objects.list(wanted, after)
    return reply(FileList(data=tuple(map(shown, page.items)), **ends(page)))


@get("/v1/files/{file_id:str}", status_code=200)
async def get_file(request: Asked, file_id: FromPath[str]) -> Response[Any]:
    """What is known of a file."""
    key = await allowed(request)
    return reply(shown(await filing.find(gateway_of(request), key, file_id)))


@get("/v1/files/{file_id:str}/content", status_code=200)
async def get_file_content(request: Asked, file_id: FromPath[str]) -> Stream:
    """Its bytes."""
    gateway, key = gateway_of(request), await allowed(request)
    stored = await filing.find(gateway, key, file_id)
    content = await filing.opened(gateway, stored)
    headers = {**content.headers, "content-length": str(content.size)}
    return Stream(content.content, media_type=content.content_type, status_code=200, headers=headers)


@delete("/v1/files/{file_id:str}", status_code=200)
async def delete_file(request: Asked, file_id: FromPath[str]) -> Response[Any]:
    """Deletes it, at once and for good."""
    gateway, key = gateway_of(request), await allowed(request)
    await filing.remove(gateway, await filing.find(gateway, key, file_id))
    return reply(Deleted(id=file_id, object="file"))


async def allowed(request: Asked) -> VirtualKey:
    """Whose request it is. Raises Forbidden for a key that may not use this endpoint, and others."""
    caller = await authenticated(request)
    if not caller.key.allows_endpoint(caller.endpoint):
        raise Forbidden(f"This key may not use {caller.endpoint}.")
    return caller.key


def ends(page: Page) -> dict[str, Any]:
    """What a page of a list tells beside what is on it."""
    ids: list[str | None] = [each.id for each in page.items] or [None]
    return {"first_id": ids[0], "last_id": ids[-1], "has_more": page.more}


def nothing_else(order: G) -> G:
    """The request. Raises InvalidRequest for a field that nobody here knows: no model could take it."""
    for name in order.extra:
        raise InvalidRequest(f"Unknown parameter: '{name[:100]}'.", param=name[:100], code="unknown_parameter")
    return order


def shown(stored: Stored) -> FileObject:
    """A file as clients see it."""
    told = filing.filed(stored)
    return FileObject(
        id=stored.id,
        object="file",
        bytes=told.bytes,
        created_at=int(stored.created),
        filename=told.name,
        purpose=told.purpose,
        status=stored.status,
        expires_at=None if stored.expires is None else int(stored.expires),
    )

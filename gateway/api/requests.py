"""What every handler asks of a request: who sent it, its body, and whether the client is still there."""

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar, cast

from litestar import Request
from litestar.datastructures import State, UploadFile
from litestar.exceptions import InternalServerException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import Scope
from msgspec import Struct

from adapters.errors import InvalidRequest
from adapters.wire.base import Given, Upload, convert, decode
from adapters.wire.forms import decode_form
from gateway.api.attending import Attended
from gateway.api.credentials import key_of
from gateway.api.headers import header
from gateway.api.identity import request_id
from gateway.api.tags import HEADER, tags_of
from gateway.calls import AnyCall, Caller
from gateway.errors import ClientLeft, Forbidden
from gateway.parts import Gateway
from gateway.upstream.media import OCTETS, SNIFFED, sniffed

S = TypeVar("S", bound=Struct)
T = TypeVar("T")
W = TypeVar("W", bound=Given)
Asked = Request[Any, Any, State]


def gateway_of(request: Asked) -> Gateway:
    """The parts this app was created with."""
    gateway: Gateway = request.app.state["gateway"]
    return gateway


async def authenticated(request: Asked) -> Caller:
    """Whoever holds the key in `Authorization`, or in `x-api-key` where that is all a client sends.

    Raises MissingKey, InvalidKey, and Forbidden for an admin key, which shall not spend by accident.
    """
    caller = await _caller(request)
    if caller.key.role == "admin":
        raise Forbidden(
            f"The key {caller.key.name!r} is an admin key: it works on /admin only, not on {caller.endpoint}. "
            "Use a normal key, as `repligate keys create NAME` makes."
        )
    return caller


async def administrator(request: Asked) -> Caller:
    """Whoever holds an admin key. Raises MissingKey, InvalidKey, and Forbidden for a normal key."""
    caller = await _caller(request)
    if caller.key.role != "admin":
        raise Forbidden("This is no admin key; `repligate keys create NAME --role admin` makes one.")
    return caller


async def _caller(request: Asked) -> Caller:
    scope = request.scope
    key = await key_of(scope, gateway_of(request).keys)
    return Caller(key, scope["path"], request_id(scope), tags_of(header(scope, HEADER)))


def asked(request: Asked, kind: type[S]) -> S:
    """Its query as a struct. Raises InvalidRequest."""
    return convert(dict(request.query_params), kind, strict=False)


async def body_of(request: Asked) -> bytes:
    """All of its body. Raises ClientLeft where that ends too early, RequestEntityTooLarge."""
    told, most = header(request.scope, "content-length"), gateway_of(request).config.server.max_body_mb * 1024 * 1024
    if told.isdecimal() and int(told) > most:
        raise RequestEntityTooLarge
    read, size, more = list[bytes](), 0, True
    while more:
        event = cast(Any, await request.receive())
        if event["type"] == "http.disconnect":
            raise ClientLeft("The client left before it had sent its request.")
        read.append(event["body"])
        size, more = size + len(event["body"]), event.get("more_body", False)
        if size > most:
            raise RequestEntityTooLarge
    return b"".join(read)


async def decoded(request: Asked, kind: type[W]) -> W:
    """Its body as a struct, be it JSON or a form with files. Raises InvalidRequest, ClientLeft."""
    if not has_form(request.scope):
        return decode(await body_of(request), kind)
    form = await form_of(request)
    return decode_form({name: [await _whole(each) for each in values] for name, values in form.items()}, kind)


def has_form(scope: Scope) -> bool:
    """Whether its body says to be a form with files."""
    return header(scope, "content-type").partition(";")[0].strip().lower() == "multipart/form-data"


async def form_of(request: Asked) -> Mapping[str, Sequence[str | UploadFile]]:
    """All of its form, by name. What is larger than a megabyte of a file waits on the disk, and is gone with the
    request. Raises InvalidRequest, ClientLeft."""
    try:
        form = await request.form()
    except InternalServerException:
        raise ClientLeft("The client left before it had sent its request.") from None
    except (UnicodeDecodeError, LookupError):
        raise InvalidRequest("The form in this request has a field that is not text.") from None
    return {name: form.getall(name) for name in form}


async def _whole(value: str | UploadFile) -> str | Upload:
    if isinstance(value, str):
        return value
    content = await value.read()
    # Clients name types carelessly: what the bytes say counts, where they say anything.
    told = sniffed(content[:SNIFFED], value.filename)
    return Upload(value.filename, value.content_type if told == OCTETS else told, content)


async def attended(request: Asked, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns; it is cancelled as soon as its client hangs up, and ClientLeft raised."""
    with Attended(request.receive):
        return await work
    raise client_left()


def client_left(call: AnyCall | None = None) -> ClientLeft:
    """The error for a client that hung up; if there was a call already, the log has a line of that."""
    left = ClientLeft("The client left.")
    left.told = call is not None
    return left

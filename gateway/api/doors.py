"""The ways to a handler: a short one for what is asked most and needs nothing more, and Litestar's for all the rest."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

from litestar import Litestar, Request, Response
from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send

from gateway.api import audio, chat, completions, embeddings, failures, images, moderations, responses
from gateway.api.headers import header, headers_of
from gateway.api.requests import Asked, has_form

_SHORT = (
    audio.create_speech,
    chat.create_chat_completion,
    completions.create_completion,
    embeddings.create_embedding,
    images.create_image,
    moderations.create_moderation,
    responses.create_response,
)
"""Those take nothing but the request, and answer with what is ready to be sent."""

_HOST: Final = re.compile(r"[0-9A-Za-z\-._~:\[\]%]*")

Handle = Callable[[Asked], Awaitable[Response[Any]]]


def open_doors(app: Litestar) -> None:
    """Only requests that tell an origin come by Litestar's part for CORS, which reads every header; and those that have
    a short way by none of it: routing, signatures and responses of Litestar's are a thirtieth of a request's cost."""
    cors = cast(Any, app.asgi_handler)
    straight, short = cors.app, _short()

    async def chosen(scope: Scope, receive: Receive, send: Send) -> None:
        handle = short.get(scope["path"]) if scope["type"] == ScopeType.HTTP and scope["method"] == "POST" else None
        if b"origin" in headers_of(scope):
            await cors(scope, receive, send)
        elif handle and _plain(scope):
            await _answer(handle, scope, receive, send)
        else:
            await straight(scope, receive, send)

    app.asgi_handler = chosen


def _short() -> Mapping[str, Handle]:
    return {path: handler.fn for handler in _SHORT for path in handler.paths}


def _plain(scope: Scope) -> bool:
    """Neither a form, whose files wait on the disk until Litestar lets go of them, nor for a host that it refuses."""
    return not has_form(scope) and bool(_HOST.fullmatch(header(scope, "host")))


async def _answer(handle: Handle, scope: Scope, receive: Receive, send: Send) -> None:
    request: Asked = Request(scope, receive, send)
    try:
        response = await handle(request)
    except Exception as error:  # noqa: BLE001 - each has its face
        response = failures.shown(request, error)
    await response.to_asgi_response(None, request)(scope, receive, send)

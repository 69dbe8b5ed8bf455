"""Every failure as OpenAI's error object: ours, the framework's, and the ones nobody foresaw."""

from collections.abc import Callable
from typing import Any

import structlog
from litestar import Response
from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
)

from adapters.errors import ApiError, InvalidRequest
from gateway.api.identity import request_id
from gateway.api.replies import failure
from gateway.api.requests import Asked
from gateway.errors import BodyTooLarge, InternalError, MethodNotAllowed, UnknownPath, UnknownRoute

log = structlog.get_logger()

NOT_YET = ("batches", "fine_tuning")
NOT_HERE = (
    "assistants", "audio/voice_consents", "audio/voices", "chat/completions/", "chatkit", "containers",
    "content_provenance_checks", "conversations", "evals", "organization", "projects", "realtime", "responses/compact",
    "responses/input_tokens", "skills", "threads", "vector_stores", "videos/characters", "videos/edits",
    "videos/extensions",
)  # fmt: skip
"""What OpenAI serves below `/v1` and this gateway does not, yet or at all: whoever asks for it made no typing error."""


def on_api_error(request: Asked, error: ApiError) -> Response[bytes]:
    """One of ours: it knows its own face. What was refused before it became a call has a line of its own."""
    if not error.told:
        refused = {"request": request_id(request.scope), "path": request.scope["path"], "status": error.status}
        log.info("refused", **refused, code=error.code, param=error.param)
    return failure(error)


def on_http_error(request: Asked, error: HTTPException) -> Response[bytes]:
    """One of the framework's: the wrong path, method, size or query."""
    method, path = request.method, request.scope["path"]
    if isinstance(error, NotFoundException) or path.removeprefix("/v1/").startswith(NOT_HERE):
        return failure(_unknown_route(method, path))
    if isinstance(error, MethodNotAllowedException):
        hint = "(HINT: Perhaps you meant to use a different HTTP method?)"
        return failure(MethodNotAllowed(f"Not allowed to {method} on {path}. {hint}"), {"allow": _allowed(error)})
    if error.status_code == BodyTooLarge.status:
        return failure(BodyTooLarge("The request is larger than this gateway takes (`server.max_body_mb`)."))
    if isinstance(error, ClientException):
        return failure(InvalidRequest(error.detail))
    return on_surprise(request, error)


def on_surprise(request: Asked, error: Exception) -> Response[bytes]:
    """One that nobody foresaw: the log has its trace, the client a request id to ask with."""
    log.error("failed", path=request.scope["path"], exc_info=error)
    return failure(InternalError("The gateway had an error while processing your request."))


def shown(request: Asked, error: Exception) -> Response[bytes]:
    """Whatever it is."""
    if isinstance(error, ApiError):
        return on_api_error(request, error)
    return on_http_error(request, error) if isinstance(error, HTTPException) else on_surprise(request, error)


HANDLERS: dict[int | type[Exception], Callable[[Any, Any], Response[Any]]] = {
    ApiError: on_api_error,
    HTTPException: on_http_error,
    Exception: on_surprise,
}


def _allowed(error: HTTPException) -> str:
    right = {name.strip() for name in (error.headers or {}).get("allow", "").split(",")}
    return ", ".join(sorted(right | {"HEAD"} if "GET" in right else right))


def _unknown_route(method: str, path: str) -> ApiError:
    told = f"Invalid URL ({method} {path})"
    base = "The base URL of OpenAI's clients ends in /v1 here, once."
    if not path.startswith("/v1/"):
        return UnknownRoute(told if path.startswith("/admin") else f"{told}. {base}")
    below = path.removeprefix("/v1/")
    if below.startswith(NOT_YET):
        return UnknownPath(f"{told}. Repligate does not serve this endpoint yet.")
    if below.startswith(NOT_HERE):
        return UnknownPath(f"{told}. Repligate does not serve this endpoint.")
    return UnknownPath(f"{told}. {base}" if below.startswith("v1/") else told)

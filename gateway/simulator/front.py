"""The door of the API: who may come in, how often, and what is noted about each request."""

import math

import msgspec

from gateway.simulator.asgi import UNANSWERED, App, Header, Heard, Receive, Scope, Send, header, respond
from gateway.simulator.diary import Request
from gateway.simulator.limits import Bucket
from gateway.simulator.problems import (
    PROBLEM,
    Problem,
    bad_token,
    billing_required,
    insufficient_credit,
    low_credit,
    no_token,
    throttled,
)
from gateway.simulator.settings import Limits
from gateway.simulator.world import World

REFUSED_TOKENS = "r8_invalid"
SHOWN = 6
"""So much of a token is told, of its end: someone may have sent a real one."""


def front(world: World, app: App) -> App:
    """Put the door before the API."""

    async def opened(scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path.startswith("/control"):
            await app(scope, receive, send)
            return
        if method == "QUERY":
            _as_post(scope)
        token = _token(header(scope, b"authorization"))
        try:
            headers = _admitted(world, token, method, path)
        except Problem as problem:
            heard = Heard(send)
            await _refuse(heard, problem)
        else:
            heard = Heard(send, headers)
            await app(scope, receive, heard)
        status = 0 if UNANSWERED in scope["extensions"] else heard.status
        world.diary.requests.append(Request(method, path, status, "api", token[-SHOWN:]))

    return opened


def _as_post(scope: Scope) -> None:
    # Litestar knows no QUERY verb, so the search goes by another path inside.
    scope["method"], scope["path"] = "POST", scope["path"] + "/query"
    scope["raw_path"] = scope["path"].encode()


async def _refuse(send: Send, problem: Problem) -> None:
    headers: list[Header] = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    await respond(send, problem.status, msgspec.json.encode(problem.body), PROBLEM, headers)


def _admitted(world: World, token: str, method: str, path: str) -> list[Header]:
    if _needs_token(path):
        _check_token(world, token)
    bucket = _bucket(method, path)
    if bucket is None:
        return []
    if bucket == "create":
        _check_credit(world, token)
    return _counted(world, token, bucket)


def _needs_token(path: str) -> bool:
    is_download = path.startswith("/v1/files/") and path.endswith("/download")
    return not is_download and path != "/v1/search"


def _token(authorization: str | None) -> str:
    """Return the token of a request; empty where there is none."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() in ("bearer", "token") else ""


def _check_token(world: World, token: str) -> None:
    if not token:
        raise no_token()
    accepted = world.settings.tokens
    known = token in accepted if accepted else not token.startswith(REFUSED_TOKENS)
    if not known or world.troubles.get(token) == "refused":
        raise bad_token(world.switches.bad_token_wording)


def _check_credit(world: World, token: str) -> None:
    match world.troubles.get(token):
        case "insufficient-credit":
            raise insufficient_credit()
        case "billing-required":
            raise billing_required()
        case "throttled":
            raise throttled(1, world.switches.throttle_hint, world.switches.throttle_wording)


def _bucket(method: str, path: str) -> Bucket | None:
    """Return which allowance a request draws on; files draw on none (api.md §7.3)."""
    if path.startswith("/v1/files"):
        return None
    if method == "POST" and path.endswith("/predictions"):
        return "create"
    return "read" if method == "GET" and path.startswith("/v1/predictions/") else "other"


def _counted(world: World, token: str, bucket: Bucket) -> list[Header]:
    limits = _limits(world, token)
    if limits == "off":
        remaining, wait = world.buckets.remaining(bucket), 0.0
    else:
        remaining, wait = world.buckets.take(token, bucket, limits)
    if wait > 0:
        seconds = math.ceil(wait)
        if limits == "low-credit" and bucket == "create":
            raise low_credit(seconds)
        raise throttled(seconds, world.switches.throttle_hint, world.switches.throttle_wording)
    return [(b"ratelimit-remaining", str(remaining).encode()), (b"ratelimit-reset", b"1")]


def _limits(world: World, token: str) -> Limits:
    """Return those of the token, if it alone is short of credit, or those of all."""
    match world.troubles.get(token):
        case "granted" | "low-credit" as own:
            return own
    return world.limits

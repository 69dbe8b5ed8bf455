"""The door of the API: who may come in, how often, and what is noted about each request."""

import math

import msgspec

from gateway.simulator.asgi import UNANSWERED, App, Header, Heard, Receive, Scope, Send, header, respond
from gateway.simulator.diary import Request
from gateway.simulator.limits import Bucket
from gateway.simulator.problems import PROBLEM, Problem, bad_token, low_credit, no_token, throttled
from gateway.simulator.world import World

REFUSED_TOKENS = "r8_invalid"


def front(world: World, app: App) -> App:
    """Put the door before the API."""

    async def opened(scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path.startswith("/control"):
            await app(scope, receive, send)
            return
        if method == "QUERY":
            _as_post(scope)
        try:
            headers = _admitted(world, scope, method, path)
        except Problem as problem:
            heard = Heard(send)
            await _refuse(heard, problem)
        else:
            heard = Heard(send, headers)
            await app(scope, receive, heard)
        status = 0 if UNANSWERED in scope["extensions"] else heard.status
        world.diary.requests.append(Request(method, path, status, "api"))

    return opened


def _as_post(scope: Scope) -> None:
    # Litestar knows no QUERY verb, so the search goes by another path inside.
    scope["method"], scope["path"] = "POST", scope["path"] + "/query"
    scope["raw_path"] = scope["path"].encode()


async def _refuse(send: Send, problem: Problem) -> None:
    headers: list[Header] = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    await respond(send, problem.status, msgspec.json.encode(problem.body), PROBLEM, headers)


def _admitted(world: World, scope: Scope, method: str, path: str) -> list[Header]:
    if _needs_token(path):
        _check_token(world, header(scope, b"authorization"))
    bucket = _bucket(method, path)
    if bucket is None:
        return []
    return _counted(world, bucket)


def _needs_token(path: str) -> bool:
    is_download = path.startswith("/v1/files/") and path.endswith("/download")
    return not is_download and path != "/v1/search"


def _check_token(world: World, authorization: str | None) -> None:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() not in ("bearer", "token") or not token.strip():
        raise no_token()
    accepted = world.settings.tokens
    known = token.strip() in accepted if accepted else not token.strip().startswith(REFUSED_TOKENS)
    if not known:
        raise bad_token(world.switches.bad_token_wording)


def _bucket(method: str, path: str) -> Bucket | None:
    """Return which allowance a request draws on; files draw on none (api.md §7.3)."""
    if path.startswith("/v1/files"):
        return None
    if method == "POST" and path.endswith("/predictions"):
        return "create"
    return "read" if method == "GET" and path.startswith("/v1/predictions/") else "other"


def _counted(world: World, bucket: Bucket) -> list[Header]:
    limits = world.limits
    if limits == "off":
        remaining, wait = world.buckets.remaining(bucket), 0.0
    else:
        remaining, wait = world.buckets.take(bucket, limits)
    if wait > 0:
        seconds = math.ceil(wait)
        if limits == "low-credit" and bucket == "create":
            raise low_credit(seconds)
        raise throttled(seconds, world.switches.throttle_hint, world.switches.throttle_wording)
    return [(b"ratelimit-remaining", str(remaining).encode()), (b"ratelimit-reset", b"1")]

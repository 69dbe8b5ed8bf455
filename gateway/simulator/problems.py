"""Everything Replicate's API refuses with, in its own words and shapes (api.md §7)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Response
from msgspec import Struct

from gateway.simulator.settings import BadTokenWording, ThrottleHint, ThrottleWording

PROBLEM = "application/problem+json"
BILLING_PAGE = "https://replicate.com/account/billing#billing"


class InvalidField(Struct, frozen=True):
    """One thing wrong with a body, in the vocabulary of the validator Replicate uses."""

    type: str
    field: str
    description: str


class Problem(Exception):
    """A refusal: its HTTP status, its JSON body, and further headers."""

    def __init__(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(body.get("detail", ""))
        self.status = status
        self.body = dict(body)
        self.headers = dict(headers or {})

    def response(self) -> Response[bytes]:
        """Render the refusal as `application/problem+json`."""
        content = msgspec.json.encode(self.body)
        return Response(content, status_code=self.status, media_type=PROBLEM, headers=self.headers)


class Page(Exception):
    """A refusal that comes from the edge as an HTML page."""

    def __init__(self, status: int, title: str) -> None:
        super().__init__(title)
        self.status = status
        self.title = title

    def response(self) -> Response[bytes]:
        """Render the page."""
        text = f"<html><head><title>{self.title}</title></head><body><h1>{self.title}</h1></body></html>\n"
        return Response(text.encode(), status_code=self.status, media_type="text/html")


def not_found(detail: str = "The requested resource could not be found.") -> Problem:
    return Problem(404, {"detail": detail, "status": 404})


def no_token() -> Problem:
    return _unauthenticated("You did not pass an authentication token")


def bad_token(wording: BadTokenWording = "recorded") -> Problem:
    newer = wording == "newer"
    return _unauthenticated(
        "Invalid or expired API token." if newer else "You did not pass a valid authentication token"
    )


def _unauthenticated(detail: str) -> Problem:
    return Problem(401, {"title": "Unauthenticated", "detail": detail, "status": 401})


def insufficient_credit() -> Problem:
    detail = (
        f"You have insufficient credit to run this model. Go to {BILLING_PAGE} to purchase credit. "
        "Once you purchase credit, please wait a few minutes before trying again."
    )
    return Problem(402, {"title": "Insufficient credit", "detail": detail, "status": 402})


def billing_required() -> Problem:
    detail = (
        f"You need to set up billing to run this model. Go to {BILLING_PAGE} to set it up. "
        "If you have recently set up billing, please wait a few minutes before trying again."
    )
    return Problem(402, {"title": "Billing required", "detail": detail, "status": 402})


def forbidden() -> Problem:
    # No source records a 403 of the public API; this body is of the common shape.
    return Problem(403, {"title": "Forbidden", "detail": "You do not have permission to do this.", "status": 403})


def conflict(detail: str) -> Problem:
    return Problem(409, {"title": "Conflict", "detail": detail, "status": 409})


def bad_request(detail: str) -> Problem:
    return Problem(400, {"title": "Bad request", "detail": detail, "status": 400})


def invalid_version() -> Problem:
    detail = "The specified version does not exist (or perhaps you don't have permission to use it?)"
    return Problem(422, {"title": "Invalid version or not permitted", "detail": detail, "status": 422})


def bad_header(name: str, what_is_wrong: str, status: int) -> Problem:
    """Refuse a request header. No source records Replicate's answer; this one has the shape of its others."""
    problem = invalid([InvalidField("pattern", name, what_is_wrong)])
    problem.status = problem.body["status"] = status
    return problem


def invalid(fields: Sequence[InvalidField]) -> Problem:
    """Refuse a body, naming each field at fault."""
    detail = "".join(f"- {field.field}: {field.description}\n" for field in fields)
    body = {"detail": detail, "status": 422, "title": "Input validation failed", "invalid_fields": list(fields)}
    return Problem(422, msgspec.to_builtins(body))


def throttled(seconds: int, hint: ThrottleHint = "text", wording: ThrottleWording = "resets") -> Problem:
    """Refuse for now; `hint` says where besides the text the wait is told."""
    when = f"Your rate limit resets in ~{seconds}s."
    if wording == "expected":
        when = f"Expected available in {seconds} second{'s' if seconds > 1 else ''}."
    body: dict[str, Any] = {"detail": f"Request was throttled. {when}"}
    if hint in ("body", "both"):
        body |= {"status": 429, "retry_after": seconds}
    headers = {"Retry-After": str(seconds)} if hint in ("header", "both") else {}
    return Problem(429, body, headers)


def low_credit(seconds: int) -> Problem:
    return Problem(429, {"detail": _low_credit("creating predictions", seconds), "status": 429, "retry_after": seconds})


def titled_low_credit(seconds: int) -> Problem:
    """Refuse in the other wording that was seen, which may be a paraphrase."""
    detail = _low_credit("prediction creation", seconds)
    return Problem(429, {"title": "Request was throttled", "detail": detail, "status": 429})


def _low_credit(what: str, seconds: int) -> str:
    return (
        f"Request was throttled. Your rate limit for {what} is reduced to 6 requests per minute "
        "with a burst of 1 requests while you have less than $5.0 in credit. "
        f"Your rate limit resets in ~{seconds}s."
    )


def file_too_large() -> Problem:
    return Problem(413, {"detail": "Files must be less than 100MB in size", "status": 413})


def unavailable() -> Problem:
    return _server_error(500, "Internal Server Error")


def overloaded() -> Problem:
    return _server_error(503, "Service Unavailable")


def _server_error(status: int, title: str) -> Problem:
    # The text is ours: no source records one.
    return Problem(status, {"title": title, "detail": "Something went wrong on our side.", "status": status})


def bad_gateway() -> Page:
    return Page(502, "502 Bad Gateway")


def gateway_timeout() -> Page:
    return Page(504, "504 Gateway Time-out")

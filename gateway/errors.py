"""What admission and upstream can refuse, and the one renderer of every error.

ApiError (adapters.errors)
├── MissingKey, InvalidKey      401  who are you
├── Forbidden                   403  not with this key
├── Unforeseen                  403  nobody knows what it will cost, and the operator allows no such calls
├── UnknownModel, UnknownPath, UnknownRoute, NotFound  404
├── MethodNotAllowed            405
├── Conflict                    409  it does not fit with what there is
├── BodyTooLarge                413
├── RangeNotThere               416  no byte of what is asked for exists
├── HeadersTooLarge             431
├── RateLimited                 429
│   └── TokensLimited               the same, with OpenAI's other type
├── BudgetSpent                 429  what the call may cost is more than a budget has left
├── ClientLeft, Cancelled       499  for the books only: nobody reads it
├── ProcessDied                 500  for the books only, after a crash
├── InternalError               500  ours; the log has the reason
├── UpstreamFailed              502  Replicate did not answer as agreed
│   └── MaybeCreated                 the create's answer was lost: it may be running
├── UpstreamUnavailable         503  Replicate refuses us (token, credit) or is down
├── StoreError                  503  the books cannot be read or written now
├── Draining                    503  this gateway is shutting down
└── TimedOut                    504  not finished in the time it was given
"""

from collections.abc import Mapping
from math import ceil

from adapters.errors import ApiError


class MissingKey(ApiError):
    """No virtual key came with the request."""

    status, type = 401, "invalid_request_error"


class InvalidKey(ApiError):
    """The virtual key is unknown, revoked, blocked or expired."""

    status, type, code = 401, "invalid_request_error", "invalid_api_key"


class Forbidden(ApiError):
    """The key is good, but not for this."""

    status, type, code = 403, "invalid_request_error", "forbidden"


class Unforeseen(ApiError):
    """Nobody knows what the call will cost, and the operator allows no such calls."""

    status, type, code = 403, "invalid_request_error", "unknown_price"


class UnknownModel(ApiError):
    """Neither a row, an alias nor a model of Replicate's."""

    status, type, code = 404, "invalid_request_error", "model_not_found"


class UnknownPath(ApiError):
    """No such path below `/v1`, where OpenAI gives no code."""

    status, type = 404, "invalid_request_error"


class UnknownRoute(UnknownPath):
    """No such path."""

    code = "unknown_url"


class NotFound(ApiError):
    """The route is known, the thing is not, or no longer."""

    status, type, code = 404, "invalid_request_error", "not_found"


class MethodNotAllowed(ApiError):
    """The path is known, the method is not."""

    status, type, code = 405, "invalid_request_error", "method_not_supported"


class Conflict(ApiError):
    """The request is right, but does not fit with what there is."""

    status, type, code = 409, "invalid_request_error", "conflict"
    should_retry = False  # official clients would, for a 409


class BodyTooLarge(ApiError):
    """More bytes than `server.max_body_mb` allows."""

    status, type, code = 413, "invalid_request_error", "request_too_large"


class RangeNotThere(ApiError):
    """A range of bytes of which not one exists; `size` is how many there are."""

    status, type, code, param = 416, "invalid_request_error", "range_not_satisfiable", "Range"
    size = 0


class HeadersTooLarge(ApiError):
    """More bytes of headers than any client of ours needs."""

    status, type, code = 431, "invalid_request_error", "headers_too_large"


REUSED = "This Idempotency-Key was used before, for another request. Use a new one for each thing you want done."
ELSEWHERE = "Another gateway is still answering the first attempt of this request. Try again in a moment."
IN_USE = "What was begun under this Idempotency-Key may still be running. Try again in a moment."


class IntentDiffers(ApiError):
    """An `Idempotency-Key` that stands for another request."""

    status, type, code, param = 400, "invalid_request_error", "idempotency_key_reused", "Idempotency-Key"


class IntentRunning(ApiError):
    """Another process has begun, or had begun, what this `Idempotency-Key` stands for."""

    status, type, code = 409, "invalid_request_error", "idempotency_key_in_use"


class ReplyNotKept(ApiError):
    """The first reply to this `Idempotency-Key` was too large to be kept."""

    status, type, code = 409, "invalid_request_error", "idempotent_reply_not_kept"
    should_retry = False


class RateLimited(ApiError):
    """Too fast, for this key or for the token we all share; `standing` has the headers that tell of the key."""

    status, type, code = 429, "requests", "rate_limit_exceeded"
    standing: Mapping[str, str] = {}


class TokensLimited(RateLimited):
    """The key's tokens of this minute are used up."""

    type = "tokens"


class BudgetSpent(ApiError):
    """What the call may cost is more than a budget has left; `first` where that budget has not refused any before."""

    status, type, code = 429, "insufficient_quota", "insufficient_quota"
    should_retry = False
    budget = ""
    first = False


class ClientLeft(ApiError):
    """The client hung up. For the books: nobody reads it."""

    status, code = 499, "client_left"


class Cancelled(ApiError):
    """A response in the background that its client cancelled. For the books: nobody reads it."""

    status, code = 499, "cancelled"


class ProcessDied(ApiError):
    """The gateway's process ended before the call did. For the books of the next one."""

    code = "process_died"


class InternalError(ApiError):
    """Ours. The log has the reason, the answer has the request id."""

    code = "internal_error"


class UpstreamFailed(ApiError):
    """Replicate did not answer as agreed."""

    status, code = 502, "upstream_error"


class MaybeCreated(UpstreamFailed):
    """The create left us and its answer was lost: the prediction may exist, so nobody may send it again."""

    code = "upstream_lost"
    should_retry = False


class UpstreamUnavailable(ApiError):
    """Replicate refuses us (token, credit) or is down; never the client's fault."""

    status, code = 503, "upstream_unavailable"


class StoreError(ApiError):
    """The books cannot be read or written now; nothing is created that could not be booked.

    `reason` is what the database said. It is the operator's, and not in the answer. `lasting`: it would say so again.
    `unsure`: it may have been written all the same, for the word that it was did not arrive.
    """

    status, code = 503, "store_unavailable"
    reason, lasting, unsure = "", False, False


class Draining(ApiError):
    """This gateway is shutting down."""

    status, code = 503, "shutting_down"


class TimedOut(ApiError):
    """Not finished in the time it was given; it has been cancelled."""

    status, code = 504, "timeout"
    should_retry = False


def body(error: ApiError) -> dict[str, dict[str, str | None]]:
    """OpenAI's error object: four keys, always, and nothing beside them."""
    return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}


def headers(error: ApiError) -> dict[str, str]:
    """What official clients read before they decide to try again."""
    told: dict[str, str] = {}
    if error.retry_after is not None:
        told["retry-after"] = str(max(1, ceil(error.retry_after)))
        told["retry-after-ms"] = str(max(1, round(error.retry_after * 1000)))
    if error.should_retry is not None:
        told["x-should-retry"] = "true" if error.should_retry else "false"
    if error.predictions:
        told["x-repligate-prediction-id"] = ", ".join(error.predictions)
    if isinstance(error, RateLimited):
        told |= error.standing
    if isinstance(error, RangeNotThere):
        told["content-range"] = f"bytes */{error.size}"
    if isinstance(error, MissingKey):
        told["www-authenticate"] = 'Bearer realm="Repligate"'
    return told

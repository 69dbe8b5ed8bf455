"""What each of Replicate's refusals becomes for the client: one table, a row for each."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from adapters.errors import ApiError, InvalidRequest, MissingParameter
from gateway.errors import (
    BodyTooLarge,
    Forbidden,
    MaybeCreated,
    NotFound,
    RateLimited,
    UnknownModel,
    UpstreamFailed,
    UpstreamUnavailable,
)

Doing = Literal["create", "model", "prediction", "file"]
"""What was asked of Replicate: to start a prediction, to describe a model, or about a prediction or a file that
exists."""

Fault = Literal["refused", "broke", "poor", "limited"]
"""What is wrong with the token of ours: not accepted, without credit, slowed for little credit, too fast."""


OURS = "Replicate does not serve this gateway at present. Its operator has been told; the request was not at fault."
BUSY = "Replicate is limiting this gateway's requests; try again later."
LOST = "Replicate's answer was lost on the way: the prediction may be running, so the request was not sent again."
SILENT = "Replicate did not answer, or broke off in the middle."
UNREACHABLE = "Replicate cannot be reached."


class Unreachable(UpstreamUnavailable):
    """Nothing of the request left this machine: it may be sent again, a create too."""


class InvalidField(Struct, frozen=True):
    """One input that Replicate's validation refused."""

    type: str = ""
    field: str = ""
    description: str = ""

    @property
    def input(self) -> str | None:
        """The input's own name; for one that is missing or unknown Replicate names it in the description only."""
        if self.field.startswith("input."):
            return self.field.removeprefix("input.").split(".")[0]
        named = re.match(r"(?:Additional property )?(\S+) is (?:required|not allowed)", self.description)
        return named[1] if named else None


class Answer(Struct, frozen=True, kw_only=True):
    """A refusal of Replicate's. Without `problem` it was no JSON: an edge spoke, and its page is not passed on."""

    status: int
    doing: Doing
    problem: bool = True
    title: str = ""
    detail: str = ""
    invalid_fields: tuple[InvalidField, ...] = ()
    retry_after: float | None = None

    @property
    def reduced_to(self) -> tuple[float, float]:
        """So many creates a minute and at once; where little credit is left and no number is told, the least."""
        told = re.search(r"reduced to (\d+) requests per minute(?: with a burst of (\d+))?", self.detail)
        return (max(1.0, float(told[1])), float(told[2] or 1)) if told else (6.0, 1.0)


class Row(NamedTuple):
    """Which answers, and what they become. `again` says that reading once more may help (a create is never repeated
    for it); `fault` that our token is to blame, which the operator is told and the client is not."""

    name: str
    match: Callable[[Answer], bool]
    error: Callable[[Answer], ApiError]
    again: bool = False
    fault: Fault | None = None


def read(status: int, headers: Mapping[str, str], body: bytes, doing: Doing) -> Answer:
    """The refusal in this reply; `headers` are looked up in lower case."""
    try:
        told = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Answer(status=status, doing=doing, problem=False, retry_after=_seconds(headers, _Problem()))
    return Answer(
        status=status,
        doing=doing,
        title=_text(told.title),
        detail=_text(told.detail).strip(),
        invalid_fields=_fields(told.invalid_fields),
        retry_after=_seconds(headers, told),
    )


def row(answer: Answer) -> Row:
    """The first row that matches; the last one always does."""
    return next(row for row in ROWS if row.match(answer))


class _Problem(Struct, frozen=True):
    """The members that count, of whatever type: of a refusal at least the status is understood."""

    title: Any = None
    detail: Any = None
    retry_after: Any = None
    invalid_fields: Any = None


def _text(told: Any) -> str:
    if told is None or isinstance(told, str):
        return told or ""
    return msgspec.json.encode(told).decode()


def _fields(told: Any) -> tuple[InvalidField, ...]:
    try:
        return msgspec.convert(told or (), tuple[InvalidField, ...])
    except msgspec.ValidationError:
        return ()


def _seconds(headers: Mapping[str, str], told: _Problem) -> float | None:
    """How long to wait: the header, else the body's number, else the sentence (api.md §7.3)."""
    header = headers.get("retry-after", "")
    if re.fullmatch(r"\d+(\.\d+)?", header):
        return float(header)
    if header and (date := _date(header)):
        return max(0.0, (date - datetime.now(UTC)).total_seconds())
    if isinstance(told.retry_after, int | float):
        return max(0.0, float(told.retry_after))
    spoken = re.search(r"(?:resets in ~|available in )(\d+(?:\.\d+)?) ?s", _text(told.detail))
    return float(spoken[1]) if spoken else None


def _date(header: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _status(*statuses: int) -> Callable[[Answer], bool]:
    return lambda answer: answer.status in statuses


def _said(status: int, *words: str) -> Callable[[Answer], bool]:
    return lambda answer: answer.status == status and any(word in f"{answer.title} {answer.detail}" for word in words)


def _invalid(answer: Answer) -> ApiError:
    first = answer.invalid_fields[0] if answer.invalid_fields else InvalidField()
    if first.type == "required":
        return MissingParameter(_words(answer), param=first.input)
    code = "unknown_parameter" if first.type == "additional_property_not_allowed" else "invalid_value"
    return InvalidRequest(_words(answer), param=first.input, code=code)


def _words(answer: Answer) -> str:
    return answer.detail or answer.title or f"Replicate answered with status {answer.status} and no reason."


def _as(kind: type[ApiError], message: str | None = None) -> Callable[[Answer], ApiError]:
    return lambda answer: kind(message or _words(answer), retry_after=answer.retry_after)


ROWS: tuple[Row, ...] = (
    Row("401", _status(401), _as(UpstreamUnavailable, OURS), fault="refused"),
    Row("402", _status(402), _as(UpstreamUnavailable, OURS), fault="broke"),
    Row("429 for want of credit", _said(429, "in credit"), _as(RateLimited, BUSY), again=True, fault="poor"),
    Row("429", _status(429), _as(RateLimited, BUSY), again=True, fault="limited"),
    Row("400", lambda it: it.status == 400 and it.problem, _as(InvalidRequest)),
    Row("403", lambda it: it.status == 403 and it.problem, _as(Forbidden)),
    Row("403 from an edge", _status(403), _as(UpstreamUnavailable, UNREACHABLE)),
    Row("404 of a prediction", lambda it: it.status == 404 and it.doing in {"prediction", "file"}, _as(NotFound)),
    Row("404", _status(404), _as(UnknownModel)),
    Row("409", _status(409), _as(UpstreamUnavailable), again=True),
    Row("413", _status(413), _as(BodyTooLarge)),
    Row("422 of the version", _said(422, "version does not exist", "Invalid version"), _as(UnknownModel)),
    Row("422", lambda it: it.status == 422 and it.problem, _invalid),
    # A create that ends in 500 or 503 with Replicate's own words was never seen to have made one (api.md §7.2).
    Row("503", lambda it: it.status == 503 and it.problem, _as(UpstreamUnavailable), again=True),
    Row("500", lambda it: it.status == 500 and it.problem, _as(UpstreamFailed), again=True),
    Row(
        "other 5xx on a create, or an edge's page",
        lambda it: it.doing == "create" and (it.status >= 500 or it.status == 408),
        _as(MaybeCreated, LOST),
    ),
    Row("other 5xx", lambda it: it.status >= 500 or it.status == 408, _as(UpstreamFailed, UNREACHABLE), again=True),
    Row(
        "anything else",
        lambda _: True,
        lambda answer: UpstreamFailed(f"Replicate answered with status {answer.status}, which was not expected."),
    ),
)

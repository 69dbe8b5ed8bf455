"""The table of refusals: every row has a reply of Replicate's here, as it comes over the wire."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

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
from gateway.upstream.statuses import OURS, ROWS, Doing, read, row

CREDIT = (
    b'{"title":"Insufficient credit","detail":"You have insufficient credit to run this model. Go to '
    b"https://replicate.com/account/billing#billing to purchase credit. Once you purchase credit, please wait a few "
    b'minutes before trying again.","status":402}'
)
BILLING = (
    b'{"title":"Billing required","detail":"You need to set up billing to run this model. Go to '
    b"https://replicate.com/account/billing#billing to set it up. If you have recently set up billing, please wait a "
    b'few minutes before trying again.","status":402}'
)
POOR = (
    b'{"detail":"Request was throttled. Your rate limit for creating predictions is reduced to 6 requests per minute '
    b'with a burst of 1 requests while you have less than $5.0 in credit. Your rate limit resets in ~5s.",'
    b'"status":429,"retry_after":5}'
)
INVALID = (
    b'{"detail":"- input: prompt is required\\n- input.num_inference_steps: Must be less than or equal to 4\\n",'
    b'"status":422,"title":"Input validation failed","invalid_fields":['
    b'{"type":"required","field":"input","description":"prompt is required"},'
    b'{"type":"number_lte","field":"input.num_inference_steps","description":"Must be less than or equal to 4"}]}'
)
STEPS = (
    b'{"detail":"- input.num_inference_steps: Must be less than or equal to 4\\n","status":422,'
    b'"title":"Input validation failed","invalid_fields":[{"type":"number_lte","field":"input.num_inference_steps",'
    b'"description":"Must be less than or equal to 4"}]}'
)
EXTRA = (
    b'{"detail":"- input: Additional property wit is not allowed\\n","status":422,"title":"Input validation failed",'
    b'"invalid_fields":[{"type":"additional_property_not_allowed","field":"input",'
    b'"description":"Additional property wit is not allowed"}]}'
)
VERSION = (
    b'{"title":"Invalid version or not permitted","detail":"The specified version does not exist (or perhaps you '
    b'don\'t have permission to use it?)","status":422}'
)
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
GONE = b'{"detail":"The requested resource could not be found.","status":404}'


class Case(NamedTuple):
    row: str
    status: int
    body: bytes
    error: type[ApiError]
    says: str = ""
    doing: Doing = "create"
    param: str | None = None
    code: str | None = None
    retry_after: float | None = None


CASES = [
    Case("400", 400, b'{"detail":"This model runs on a retired runtime.","status":400}', InvalidRequest, "retired"),
    Case(
        "401", 401, b'{"title":"Unauthenticated","detail":"Invalid or expired API token."}', UpstreamUnavailable, OURS
    ),
    Case("402", 402, CREDIT, UpstreamUnavailable, OURS),
    Case("402", 402, BILLING, UpstreamUnavailable, OURS),
    Case("403", 403, b'{"detail":"You may not run this model.","status":403}', Forbidden, "You may not run this"),
    Case("403 from an edge", 403, HTML, UpstreamUnavailable),
    Case("404", 404, GONE, UnknownModel, "The requested resource could not be found."),
    Case("404", 404, GONE, UnknownModel, doing="model"),
    Case("404 of a prediction", 404, GONE, NotFound, doing="prediction"),
    Case("409", 409, b'{"detail":"Already running a prediction"}', UpstreamUnavailable, "Already running"),
    Case("413", 413, b'{"detail":"Files must be less than 100MB in size"}', BodyTooLarge, "less than 100MB"),
    Case("422", 422, INVALID, MissingParameter, "prompt is required", param="prompt"),
    Case(
        "422", 422, STEPS, InvalidRequest, "less than or equal to 4", param="num_inference_steps", code="invalid_value"
    ),
    Case("422", 422, EXTRA, InvalidRequest, param="wit", code="unknown_parameter"),
    Case("422", 422, b'{"detail":"version is required","status":422}', InvalidRequest, "version is required"),
    Case("422 of the version", 422, VERSION, UnknownModel, "The specified version does not exist"),
    Case("429 for want of credit", 429, POOR, RateLimited, retry_after=5),
    Case(
        "429", 429, b'{"detail":"Request was throttled. Your rate limit resets in ~30s."}', RateLimited, retry_after=30
    ),
    Case(
        "429", 429, b'{"detail":"Request was throttled. Expected available in 1 second."}', RateLimited, retry_after=1
    ),
    Case("429", 429, HTML, RateLimited),
    Case("500", 500, b'{"detail":"Internal server error"}', UpstreamFailed, "Internal server error"),
    Case("503", 503, b'{"detail":"Overloaded"}', UpstreamUnavailable, "Overloaded"),
    Case("other 5xx on a create, or an edge's page", 502, HTML, MaybeCreated),
    Case("other 5xx on a create, or an edge's page", 504, b'{"detail":"Gateway timeout"}', MaybeCreated),
    Case("other 5xx on a create, or an edge's page", 503, HTML, MaybeCreated),
    Case("other 5xx on a create, or an edge's page", 408, b"", MaybeCreated),
    Case("other 5xx", 502, HTML, UpstreamFailed, doing="prediction"),
    Case("other 5xx", 504, HTML, UpstreamFailed, doing="model"),
    Case("422", 422, b'{"detail":["a list",{"of":"things"}],"invalid_fields":7}', InvalidRequest, "a list"),
    Case("anything else", 302, b"", UpstreamFailed, "302"),
    Case("anything else", 418, b"[]", UpstreamFailed, "418"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.status}-{case.row}")
def test_what_replicate_refuses_becomes_the_right_error_of_ours(case: Case) -> None:
    answer = read(case.status, {}, case.body, case.doing)
    verdict = row(answer)
    error = verdict.error(answer)
    assert verdict.name == case.row
    assert type(error) is case.error
    assert case.says in error.message
    assert (error.param, error.retry_after) == (case.param, case.retry_after)
    assert case.code in {None, error.code}


def test_every_row_of_the_table_has_its_case() -> None:
    assert {case.row for case in CASES} == {row.name for row in ROWS}


@pytest.mark.parametrize("case", [case for case in CASES if case.status in {401, 402, 429}], ids=lambda case: case.row)
def test_the_state_of_our_account_is_nobody_elses_business(case: Case) -> None:
    answer = read(case.status, {}, case.body, "create")
    message = row(answer).error(answer).message
    assert not any(word in message.lower() for word in ("credit", "billing", "token", "$5"))


@pytest.mark.parametrize("status", [400, 403, 404, 422, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("doing", ["create", "model", "prediction"])
def test_an_edges_page_reaches_no_client(status: int, doing: Doing) -> None:
    answer = read(status, {}, HTML, doing)
    error = row(answer).error(answer)
    assert "<" not in error.message
    assert "cloudflare" not in error.message


def test_the_header_says_first_how_long_to_wait() -> None:
    body = b'{"detail":"Your rate limit resets in ~30s.","retry_after":20}'
    assert read(429, {"retry-after": "10"}, body, "create").retry_after == 10
    assert read(429, {}, body, "create").retry_after == 20
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 50 < (read(429, {"retry-after": soon}, body, "create").retry_after or 0) <= 60
    assert read(429, {"retry-after": "soon"}, body, "create").retry_after == 20


@given(
    status=some.integers(300, 599),
    body=some.binary(max_size=60),
    doing=some.sampled_from(["create", "model", "prediction"]),
)
def test_no_reply_is_beyond_the_table(status: int, body: bytes, doing: Doing) -> None:
    answer = read(status, {}, body, doing)
    assert isinstance(row(answer).error(answer), ApiError)


@given(
    some.recursive(some.none() | some.booleans() | some.floats(allow_nan=False) | some.text(), some.lists, max_leaves=4)
)
def test_no_json_is_beyond_reading(value: object) -> None:
    for body in (value, {"detail": value, "title": value}, {"detail": {"deep": value}, "invalid_fields": [value]}):
        answer = read(422, {}, msgspec.json.encode(body), "create")
        assert row(answer).error(answer).status in {400, 404, 502}


def test_the_table_is_documented_row_by_row() -> None:
    page = (Path(__file__).parents[3] / "docs" / "upstream.md").read_text("utf-8")
    table = page.partition("## What the client is told")[2].partition("## Tokens")[0]
    documented = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")][1:]
    assert documented == [row.name for row in ROWS]
    for case in CASES:
        line = next(line for line in table.splitlines() if line.startswith(f"| {case.row} |"))
        assert f"| {case.error.status} |" in line
        answer = read(case.status, {}, case.body, case.doing)
        code = row(answer).error(answer).code
        assert code is None or f"`{code}`" in line

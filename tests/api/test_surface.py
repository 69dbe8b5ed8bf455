"""The OpenAPI document of what clients call leaves nothing out, and no answer is one that it does not tell."""

from collections.abc import Mapping
from typing import Any

import httpx
import hypothesis
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis import CheckFunction
from schemathesis.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from gateway.api.surface import SURFACE, Operation, document
from gateway.app import HANDLERS
from tests.served import Served

CHECKS: list[CheckFunction] = [status_code_conformance, content_type_conformance, response_schema_conformance]
ABLE: Mapping[str, str] = {
    "/v1/chat/completions": "sim/echo",
    "/v1/completions": "sim/echo",
    "/v1/responses": "sim/echo",
    "/v1/images/generations": "black-forest-labs/flux-schnell",
    "/v1/images/edits": "black-forest-labs/flux-kontext-pro",
    "/v1/images/variations": "black-forest-labs/flux-kontext-pro",
    "/v1/audio/transcriptions": "openai/whisper",
    "/v1/audio/translations": "openai/whisper",
    "/v1/audio/speech": "jaaari/kokoro-82m",
    "/v1/embeddings": "beautyyuyanli/multilingual-e5-large",
    "/v1/moderations": "meta/meta-llama-guard-2-8b",
    "/v1/videos": "google/veo-3-fast",
}
QUICKLY = hypothesis.settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_every_endpoint_below_v1_is_in_the_document() -> None:
    told = {each.handler for each in SURFACE}
    served = {handler for handler in HANDLERS if any(path.startswith("/v1/") for path in handler.paths)}
    assert told == served


def test_anyone_may_read_it(gateway: Served) -> None:
    reply = httpx.get(f"{gateway.url}/openapi.json")
    assert reply.json() == msgspec.json.decode(msgspec.json.encode(document()))
    assert reply.json()["paths"]["/v1/chat/completions"]["post"]["operationId"] == "create_chat_completion"


def test_it_tells_what_each_list_may_be_asked() -> None:
    paths = document()["paths"]
    queries = {
        path: {each["name"] for each in told["get"]["parameters"]} for path, told in paths.items() if "get" in told
    }
    assert queries["/v1/models"] == {"search", "collection"}
    assert queries["/v1/videos"] == {"after", "limit", "order"}
    assert queries["/v1/files"] == {"purpose", "after", "limit", "order"}


@pytest.mark.slow
@pytest.mark.parametrize("each", SURFACE, ids=lambda each: f"{each.method} {each.path}")
def test_no_answer_is_one_that_the_document_does_not_tell(gateway: Served, each: Operation) -> None:
    schema = schemathesis.openapi.from_dict(document())
    operation = schema[each.path][each.method.upper()]

    @QUICKLY
    @hypothesis.given(case=operation.as_strategy(), known=st.booleans())
    def asked(case: Any, known: bool) -> None:
        if known and isinstance(case.body, dict) and each.path in ABLE:
            case.body["model"] = ABLE[each.path]
        reply = case.call(base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}, timeout=30)
        assert reply.status_code != 500, reply.text
        case.validate_response(reply, checks=CHECKS)

    asked()

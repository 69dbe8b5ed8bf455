"""What proxies in front of OpenAI clients get wrong most often; each is a promise here."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from gateway.config import Server
from gateway.simulator import Simulator
from tests.served import Served

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello there"}]


@pytest.fixture
def http(gateway: Served) -> Iterator[httpx.Client]:
    with gateway.http() as client:
        yield client


def ask(http: httpx.Client, **fields: Any) -> httpx.Response:
    return http.post("/v1/chat/completions", json={"model": "sim/echo", "messages": HELLO, **fields})


def chunks_of(reply: httpx.Response) -> list[dict[str, Any]]:
    """The stream's JSON, after checking that every event is one that strict clients read."""
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = [event for event in reply.text.split("\n\n") if event and not event.startswith(":")]
    assert events.pop() == "data: [DONE]"
    assert all(event.startswith("data: {") and "\n" not in event for event in events)
    return [json.loads(event.removeprefix("data: ")) for event in events]


def assert_openai_error(reply: httpx.Response, status: int, code: str | None, param: str | None = None) -> str:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"].startswith("req_")
    body = reply.json()
    assert list(body) == ["error"]
    assert sorted(body["error"]) == ["code", "message", "param", "type"]
    assert (body["error"]["code"], body["error"]["param"]) == (code, param)
    return str(body["error"]["message"])


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, None),
        ("POST", "/v1/nothing/here", 404, None),
        ("GET", "/elsewhere", 404, "unknown_url"),
        ("GET", "/v1/chat/completions", 405, "method_not_supported"),
        ("DELETE", "/v1/models", 405, "method_not_supported"),
    ],
)
def test_unknown_paths_and_methods_answer_in_openais_shape(
    http: httpx.Client, method: str, path: str, status: int, code: str | None
) -> None:
    assert path in assert_openai_error(http.request(method, path), status, code)


@pytest.mark.parametrize("path", ["/v1/batches", "/v1/fine_tuning/jobs"])
def test_an_endpoint_that_is_not_served_yet_is_said_to_be(http: httpx.Client, path: str) -> None:
    assert "not serve this endpoint yet" in assert_openai_error(http.post(path, json={}), 404, None)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/conversations",
        "/v1/vector_stores/vs_1",
        "/v1/realtime/calls",
        "/v1/responses/input_tokens",
        "/v1/videos/edits",
        "/v1/chat/completions/chatcmpl-1",
    ],
)
def test_an_endpoint_of_openais_that_is_not_served_is_said_to_be(http: httpx.Client, path: str) -> None:
    assert assert_openai_error(http.post(path, json={}), 404, None).endswith("does not serve this endpoint.")


@pytest.mark.parametrize(
    ("path", "code"), [("/chat/completions", "unknown_url"), ("/v1/v1/models", None), ("/", "unknown_url")]
)
def test_a_wrong_base_url_is_told_the_right_one(http: httpx.Client, path: str, code: str | None) -> None:
    assert "ends in /v1" in assert_openai_error(http.get(path), 404, code)


def test_a_body_that_is_not_json_is_400(http: httpx.Client) -> None:
    reply = http.post("/v1/chat/completions", content=b"{not json", headers={"content-type": "application/json"})
    assert "JSON" in assert_openai_error(reply, 400, None)


def test_a_wrong_type_names_its_parameter(http: httpx.Client) -> None:
    assert_openai_error(ask(http, temperature="hot"), 400, "invalid_type", "temperature")


def test_a_missing_parameter_is_named(http: httpx.Client) -> None:
    reply = http.post("/v1/chat/completions", json={"model": "sim/echo"})
    assert_openai_error(reply, 400, "missing_required_parameter", "messages")


def test_a_body_too_large_is_413(http: httpx.Client) -> None:
    large = b'{"model": "' + b"x" * (Server().max_body_mb * 1024 * 1024) + b'"}'
    reply = http.post("/v1/chat/completions", content=large, headers={"content-type": "application/json"})
    assert_openai_error(reply, 413, "request_too_large")


def test_no_key_and_a_wrong_key_are_401_and_no_key_is_shown_whole(http: httpx.Client) -> None:
    missing = httpx.post(http.base_url.join("/v1/chat/completions"), json={})
    assert_openai_error(missing, 401, None)
    wrong = "sk-" + "a1" * 20
    reply = http.post("/v1/chat/completions", json={}, headers={"authorization": f"Bearer {wrong}"})
    assert wrong not in assert_openai_error(reply, 401, "invalid_api_key")


def test_an_unknown_model_is_404_with_the_nearest_names(http: httpx.Client) -> None:
    message = assert_openai_error(ask(http, model="lama-3-8b"), 404, "model_not_found")
    assert "does not exist" in message
    assert "`llama-3-8b`" in message
    named = assert_openai_error(ask(http, model="nobody/nothing"), 404, "model_not_found")
    assert named.startswith("The model `nobody/nothing` does not exist")


def test_responses_alone_call_an_unknown_model_a_wrong_request(http: httpx.Client) -> None:
    for model in ("lama-3-8b", "nobody/nothing"):
        for more in ({}, {"stream": True}, {"background": True}):
            reply = http.post("/v1/responses", json={"model": model, "input": "Hello", **more})
            assert "does not exist" in assert_openai_error(reply, 400, "model_not_found", "model")


def test_an_upstream_failure_is_an_error_and_not_an_apology(http: httpx.Client) -> None:
    reply = ask(http, model="sim/fails")
    assert_openai_error(reply, 500, "prediction_failed")
    assert reply.headers["x-should-retry"] == "false"


def test_a_failure_before_the_first_token_of_a_stream_is_a_status(http: httpx.Client) -> None:
    assert_openai_error(ask(http, model="sim/fails", stream=True), 500, "prediction_failed")
    assert_openai_error(ask(http, model="nobody/nothing", stream=True), 404, "model_not_found")


def test_a_failure_after_the_first_token_is_an_error_frame_that_the_client_raises(gateway: Served) -> None:
    stream = gateway.openai().chat.completions.create(model="sim/fails-midway", messages=HELLO, stream=True)
    said = []
    with pytest.raises(openai.APIError) as failure:
        said.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert failure.value.code == "prediction_failed"


def test_a_stream_has_one_role_one_id_and_one_finish(http: httpx.Client) -> None:
    chunks = chunks_of(ask(http, stream=True))
    first, *middle, last = chunks
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert all(list(chunk["choices"][0]["delta"]) == ["content"] for chunk in middle)
    assert last["choices"][0]["delta"] == {}
    assert last["choices"][0]["finish_reason"] == "stop"
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}) == 1
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks[:-1])


def test_finish_reason_tells_length_from_stop(http: httpx.Client) -> None:
    long = [{"role": "user", "content": "one two three four five six seven eight nine ten"}]
    choice = ask(http, messages=long, max_completion_tokens=3).json()["choices"][0]
    assert choice["finish_reason"] == "length"
    assert ask(http).json()["choices"][0]["finish_reason"] == "stop"


def test_usage_comes_when_asked_for_and_only_then(http: httpx.Client) -> None:
    assert all("usage" not in chunk and chunk["choices"] for chunk in chunks_of(ask(http, stream=True)))
    *earlier, last = chunks_of(ask(http, stream=True, stream_options={"include_usage": True}))
    assert all(chunk["usage"] is None for chunk in earlier)
    assert last["choices"] == []
    for usage in (last["usage"], ask(http).json()["usage"]):
        assert usage["prompt_tokens"] > 0
        assert usage["completion_tokens"] > 0
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_there_are_no_tool_calls_where_there_are_none(http: httpx.Client) -> None:
    message = ask(http).json()["choices"][0]["message"]
    assert "tool_calls" not in message
    assert "function_call" not in message
    assert (message["role"], message["refusal"]) == ("assistant", None)


def test_tools_and_schemas_that_are_none_are_refused_by_name(http: httpx.Client) -> None:
    broken = {"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}
    error = ask(http, tools=[broken])
    assert_openai_error(error, 400, "invalid_function_parameters", "tools[0].function.parameters")
    assert_openai_error(ask(http, tools=[{"type": "custom"}]), 400, "unsupported_parameter", "tools[0].type")
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nothing"}}}
    assert_openai_error(ask(http, response_format=form), 400, None, "response_format")


def test_nulls_integers_roles_parts_and_unknown_keys_are_taken(http: httpx.Client) -> None:
    reply = ask(
        http,
        messages=[
            {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "content": [{"type": "text", "text": "Say "}, {"type": "text", "text": "marmalade"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "marmalade"}]},
            {"role": "user", "content": "Again: marmalade"},
        ],
        **dict.fromkeys(
            ("tools", "stop", "logit_bias", "seed", "response_format", "stream_options", "user", "n"), None
        ),
        temperature=1,
        top_p=1,
        some_unknown_key={"a": 1},
    )
    assert reply.status_code == 200, reply.text
    assert "some_unknown_key" in reply.headers["x-repligate-ignored"]
    assert "marmalade" in reply.json()["choices"][0]["message"]["content"]


def test_models_are_found_with_slashes_encoded_or_not_and_with_versions(http: httpx.Client) -> None:
    for path in ("sim%2Fecho", "sim/echo", "llama-3-8b"):
        card = http.get(f"/v1/models/{path}").json()
        assert card["object"] == "model"
        assert isinstance(card["created"], int)
    listed = http.get("/v1/models").json()
    assert listed["object"] == "list"
    assert {"llama-3-8b", "flux-schnell"} <= {card["id"] for card in listed["data"]}
    assert_openai_error(http.get("/v1/models/nobody/nothing"), 404, "model_not_found", "model")


def test_content_types_with_a_charset_and_without_one_are_taken(http: httpx.Client) -> None:
    body = json.dumps({"model": "sim/echo", "messages": HELLO}).encode()
    for told in ("application/json; charset=utf-8", "text/plain"):
        reply = http.post("/v1/chat/completions", content=body, headers={"content-type": told})
        assert reply.status_code == 200, reply.text
    assert_openai_error(http.post("/v1/chat/completions"), 400, None)


def test_a_stop_sequence_is_never_shown(http: httpx.Client) -> None:
    message = [{"role": "user", "content": "alpha beta gamma delta"}]
    whole = ask(http, messages=message).json()["choices"][0]["message"]["content"]
    assert "gamma" in whole
    cut = ask(http, messages=message, stop="gamma").json()["choices"][0]
    assert cut["message"]["content"] == whole[: whole.index("gamma")]
    assert cut["finish_reason"] == "stop"
    chunks = chunks_of(ask(http, messages=message, stop=["gamma"], stream=True))
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == cut["message"]["content"]


def test_n_choices_are_n_choices(http: httpx.Client) -> None:
    reply = ask(http, n=3)
    assert [choice["index"] for choice in reply.json()["choices"]] == [0, 1, 2]
    assert len(reply.headers["x-repligate-prediction-id"].split(", ")) == 3
    chunks = chunks_of(ask(http, n=2, stream=True, stream_options={"include_usage": True}))
    for index in (0, 1):
        mine = [chunk["choices"][0] for chunk in chunks if chunk["choices"] and chunk["choices"][0]["index"] == index]
        assert [choice["delta"].get("role") for choice in mine].count("assistant") == 1
        assert [choice["finish_reason"] for choice in mine].count("stop") == 1
    assert sum("usage" in chunk and chunk["usage"] is not None for chunk in chunks) == 1


def test_every_answer_has_a_request_id_and_a_throttled_one_says_when(http: httpx.Client) -> None:
    for reply in (ask(http), ask(http, stream=True), http.get("/health/live"), http.get("/v1/models")):
        assert reply.headers["x-request-id"].startswith("req_")
        assert reply.headers["openai-processing-ms"].isdigit()
    throttled = ask(http, model="sim/throttled")
    assert_openai_error(throttled, 429, "rate_limit_exceeded")
    assert 0 < float(throttled.headers["retry-after"]) < 120


def test_base64_is_base64_and_a_url_can_be_fetched(http: httpx.Client) -> None:
    order = {"model": "sim/picture", "prompt": "a red kite", "n": 2}
    drawn = http.post("/v1/images/generations", json={**order, "response_format": "b64_json"}).json()["data"]
    assert [list(entry) for entry in drawn] == [["b64_json"]] * 2
    assert base64.b64decode(drawn[0]["b64_json"], validate=True)
    linked = http.post("/v1/images/generations", json={**order, "response_format": "url"}).json()["data"]
    fetched = httpx.get(linked[1]["url"])
    assert fetched.headers["content-type"].startswith("image/")
    assert fetched.content


def test_tokens_arrive_while_the_model_still_speaks(gateway: Served, simulator: Simulator) -> None:
    with gateway.openai().chat.completions.with_streaming_response.create(
        model="sim/slow", messages=HELLO, stream=True
    ) as reply:
        prediction = reply.headers["x-repligate-prediction-id"]
        lines = reply.iter_lines()
        first = next(lines)
        assert json.loads(first.removeprefix("data: "))["choices"][0]["delta"]["role"] == "assistant"
        assert simulator.prediction(prediction).status == "processing"


def test_browsers_may_call(http: httpx.Client) -> None:
    asked = {"origin": "http://app.example", "access-control-request-method": "POST"}
    wanted = {"access-control-request-headers": "authorization,content-type,x-stainless-lang"}
    preflight = http.options("/v1/chat/completions", headers={**asked, **wanted})
    assert preflight.status_code in {200, 204}
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()

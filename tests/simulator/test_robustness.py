"""Whatever it is sent, the simulator answers as its contract allows, and never falls over."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.simulator.contract import contract
from gateway.simulator.records import Model, shipped
from tests.simulator.calls import Api
from tests.simulator.test_contract import OPERATIONS, check

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
BODIES = {operation for operation, (_, _, described) in OPERATIONS.items() if "requestBody" in described}
QUICKLY = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NAMES = st.sampled_from(
    ["sim", "echo", "slow", "deployed", "simulator", "mine", "0" * 64, "language-models"]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=8)


def fields(operation: str) -> st.SearchStrategy[Any]:
    """Bodies with the fields of an operation, filled with anything."""
    content = OPERATIONS[operation][2].get("requestBody", {}).get("content", {})
    schema = next(iter(content.values()), {}).get("schema", {})
    if "$ref" in schema:
        schema = contract()["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    likely = {"input": st.just({"prompt": "x"}) | JSON, "version": NAMES | JSON, "webhook": st.text(max_size=10)}
    known = {name: likely.get(name, JSON) for name in schema.get("properties", {"input": 0})}
    return st.fixed_dictionaries({}, optional=known) | JSON


def filled(path: str, names: list[str]) -> str:
    for name in names:
        start, end = path.find("{"), path.find("}")
        if start < 0:
            break
        path = path[:start] + quote(name, safe="") + path[end + 1 :]
    return path.partition("{")[0]


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_any_request_gets_an_answer_the_contract_allows(api: Api, operation: str) -> None:
    method, path, _ = OPERATIONS[operation]

    @QUICKLY
    @given(
        names=st.lists(NAMES, min_size=3, max_size=3),
        body=fields(operation),
        query=st.dictionaries(
            st.sampled_from(["cursor", "query", "limit", "sort_by", "created_after", "source"]),
            st.text(max_size=6),
            max_size=2,
        ),
    )
    def answered(names: list[str], body: Any, query: dict[str, str]) -> None:
        content = json.dumps(body).encode() if operation in BODIES else None
        reply = api.request(method.upper(), filled(path, names), content=content, params=query)
        if reply.status_code < 300:
            check(operation, reply)
            return
        assert 400 <= reply.status_code < 500, (reply.status_code, reply.text)
        assert reply.headers["content-type"].partition(";")[0] in ("application/problem+json", "application/json")
        assert reply.json()["detail"] is not None

    answered()


MODELS = {model.full_name: model for model in shipped() if model.ways.scene is None}
VALUES = JSON | st.sampled_from(
    ["1", "16:9", "custom", "2K", "a\nb", "data:image/png;base64,AAAA", 0, 1, 3, 10**9, -1, 0.5, True]
)


@st.composite
def tasks(draw: st.DrawFn) -> tuple[Model, dict[str, Any]]:
    """A model, and for some of its inputs a value that may or may not suit."""
    model = draw(st.sampled_from(sorted(MODELS)).map(MODELS.__getitem__))
    assert model.latest is not None
    example = (model.record["default_example"] or {}).get("input", {})
    known = model.latest.schema.properties
    given_ = {name: value for name, value in example.items() if name in known}
    name = draw(st.sampled_from(sorted(known)))
    options = known[name].get("enum")
    return model, given_ | {name: draw(st.sampled_from(options) if options else VALUES)}


@settings(parent=QUICKLY, max_examples=300)
@given(task=tasks())
def test_whatever_input_a_model_takes_it_answers(api: Api, task: tuple[Model, dict[str, Any]]) -> None:
    model, inputs = task
    assert model.latest is not None
    body = json.dumps({"version": model.latest.id, "input": inputs}).encode()
    reply = api.post("/predictions", content=body, headers={"Prefer": "wait=5"})
    if reply.status_code != 201:
        assert reply.status_code == 422, reply.text
        return
    prediction = reply.json()
    assert (prediction["error"], prediction["status"]) == (None, "processing")
    assert prediction["output"] is not None

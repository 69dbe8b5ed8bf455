"""A quote: told before anything is spent, and never outdone by what the request then costs."""

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.simulator import Simulator
from tests.served import Served

CONFIG = """
[models.timed]
model = "sim/community"
price = { hardware = "gpu-t4" }
[models.tiered]
model = "google/nano-banana"
[[models.tiered.price.tiers]]
when = { resolution_target = "1K" }
per_image = 0.01
[[models.tiered.price.tiers]]
when = { resolution_target = "2K" }
per_image = 0.02
[models.sized]
model = "stability-ai/sdxl"
price = { per_megapixel = 0.0025 }
[models.seeing]
model = "yorickvp/llava-13b"
price = { per_million_input_tokens = 1 }
[upstream]
deadline_seconds = 100
"""
LLAMA = "meta/meta-llama-3-8b-instruct"
PIXEL = "https://example.com/kite.png"


@pytest.fixture(scope="module")
def served(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("quoting"), simulator.base_url, CONFIG) as running:
        yield running


def asked(served: Served, path: str, **body: Any) -> tuple[dict[str, Any], dict[str, str]]:
    with served.http() as client:
        told = client.post(f"/v1/{path}", json=body, headers={"x-repligate-dry-run": "1"})
        assert told.status_code == 200, told.text
        assert "x-repligate-prediction-id" not in told.headers
        return told.json()["cost"], dict(told.headers)


def chat(served: Served, model: str, content: Any = "Tell me of the sea.", **body: Any) -> dict[str, Any]:
    return asked(served, "chat/completions", model=model, messages=[{"role": "user", "content": content}], **body)[0]


def picture(served: Served, model: str, **body: Any) -> dict[str, Any]:
    return asked(served, "images/generations", model=model, prompt="a kite", **body)[0]


def test_an_answer_costs_between_nothing_said_and_all_that_is_allowed(served: Served) -> None:
    quote = chat(served, LLAMA, max_tokens=1000)
    assert 0 < quote["low"] < 0.00001
    assert 0.00025 < quote["high"] < 0.0003
    assert quote["basis"] == "tokens, estimated"


def test_more_answers_cost_more_and_a_model_without_a_limit_told_uses_its_own(served: Served) -> None:
    one, three = chat(served, LLAMA, max_tokens=1000), chat(served, LLAMA, max_tokens=1000, n=3)
    assert (three["low"], three["high"]) == (pytest.approx(3 * one["low"]), pytest.approx(3 * one["high"]))
    assert chat(served, LLAMA)["high"] is not None


def test_pictures_cost_what_was_asked_for(served: Served) -> None:
    quote = picture(served, "black-forest-labs/flux-schnell", n=3)
    assert quote == {"low": 0.009, "high": 0.009, "basis": "images"}
    assert picture(served, "tiered", n=2) == {"low": 0.02, "high": 0.04, "basis": "images"}


def test_seconds_run_from_none_to_the_deadline(served: Served) -> None:
    assert chat(served, "timed") == {"low": 0.0, "high": 0.0225, "basis": "seconds x gpu-t4"}


def test_what_cannot_be_foreseen_is_null_with_its_reason(served: Served) -> None:
    assert chat(served, "meta/llama-2-70b-chat") == {"low": None, "high": None, "basis": "unknown: no price"}
    content = [{"type": "text", "text": "Why?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    seen = chat(served, "seeing", content)
    assert seen["low"] > 0
    assert (seen["high"], seen["basis"]) == (None, "unknown: no tokens counted")


def test_megapixels_are_those_of_the_size_asked_for(served: Served) -> None:
    # 2 x 1,048,576 pixels at $2.50 a thousand million
    exact = {"low": 0.005243, "high": 0.005243, "basis": "megapixels, estimated"}
    assert picture(served, "sized", size="1024x1024", n=2) == exact


def test_no_answer_costs_more_than_its_quote(served: Served) -> None:
    quote = chat(served, LLAMA, max_tokens=40)
    body = {"model": LLAMA, "messages": [{"role": "user", "content": "Tell me of the sea."}], "max_tokens": 40}
    with served.http() as client:
        cost = float(client.post("/v1/chat/completions", json=body).headers["x-repligate-cost"])
    assert quote["low"] <= cost <= quote["high"]

"""Prompts, outputs, keys and tokens appear in no log line and no error."""

import contextlib
import json
from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from gateway.simulator import Simulator
from tests.served import Served

CANARY = "canary-7f3a9"
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": f"say {CANARY}"}]
MODELS = (
    "sim/echo",
    "sim/fails",
    "sim/fails-midway",
    "sim/throttled",
    "sim/unavailable",
    "sim/refused",
    "nobody/nothing",
)


def test_no_log_line_tells_a_prompt_an_output_a_key_or_the_token(own_gateway: Served) -> None:
    client = own_gateway.openai()
    said = []
    for model in MODELS:
        for stream in (False, True):
            with contextlib.suppress(openai.APIError):
                reply = client.chat.completions.create(model=model, messages=HELLO, stream=stream)
                said += [reply] if not stream else list(reply)
    assert CANARY in str(said)
    for model in ("sim/picture", "sim/picture-nsfw", "sim/picture-fails"):
        with contextlib.suppress(openai.APIError):
            client.images.generate(model=model, prompt=CANARY)
    assert own_gateway.terminate() == 0
    for secret in (CANARY, own_gateway.key, own_gateway.key[3:], "r8_test"):
        assert secret not in own_gateway.output
    assert own_gateway.output.count('"event":"call"') >= len(MODELS)


def test_no_error_tells_a_prompt_a_key_or_the_token(own_gateway: Served, own_simulator: Simulator) -> None:
    client = own_gateway.openai()
    for model in MODELS[1:]:
        with pytest.raises(openai.APIError) as failure:
            client.chat.completions.create(model=model, messages=HELLO)
        for secret in (CANARY, own_gateway.key, "r8_test"):
            assert secret not in str(failure.value)


def test_what_is_refused_before_it_becomes_a_call_has_a_line_of_its_own(own_gateway: Served) -> None:
    with own_gateway.http() as http:
        refused = http.post("/v1/chat/completions", json={"model": CANARY, "messages": HELLO})
        failed = http.post("/v1/chat/completions", json={"model": "sim/fails", "messages": HELLO})
    own_gateway.terminate()
    lines = [json.loads(line) for line in own_gateway.logged if line.startswith("{")]
    told = {(line["event"], line["request"]) for line in lines if "request" in line}
    assert told == {("refused", refused.headers["x-request-id"]), ("call", failed.headers["x-request-id"])}
    assert CANARY not in own_gateway.output


def test_a_dry_run_does_not_tell_what_the_operator_keeps_secret(tmp_path: Path, own_simulator: Simulator) -> None:
    row = 'model = "openai/gpt-image-1"\nfixed = { openai_api_key = "${KEY}", user_id = "${TEAM}", quality = "high" }'
    environ = {"KEY": "operators-own-key", "TEAM": "operators-other-word"}
    with (
        Served(tmp_path, own_simulator.base_url, f"[models.painter]\n{row}\n", environ) as gateway,
        gateway.http() as http,
    ):
        order = {"model": "painter", "prompt": "a kite"}
        told = http.post("/v1/images/generations", json=order, headers={"x-repligate-dry-run": "1"})
        assert http.post("/v1/images/generations", json=order).status_code == 200
        assert own_simulator.last().input["openai_api_key"] == "operators-own-key"
        own_simulator.scene("openai/gpt-image-1", "fails", error="Incorrect API key provided: operators-own-key")
        for more in ({}, {"openai_api_key": "the-clients-own"}):
            failed = http.post("/v1/images/generations", json={**order, **more})
            assert failed.json()["error"]["message"] == "The model failed: Incorrect API key provided: […]"
    shown = told.json()["inputs"][0]
    assert (shown["prompt"], shown["quality"], shown["openai_api_key"]) == ("a kite", "high", "[REDACTED]")
    assert "operators" not in told.text

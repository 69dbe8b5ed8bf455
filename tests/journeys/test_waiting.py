"""However a model answers (late, in pieces, through a broken stream), the client gets it whole."""

import base64
from pathlib import Path

import httpx
import pytest
from openai.types.chat import ChatCompletionMessageParam

from gateway.simulator import Simulator
from tests.served import Served

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "alpha beta gamma"}]


def test_comments_keep_a_stream_alive_while_the_model_boots(tmp_path: Path, own_simulator: Simulator) -> None:
    with (
        Served(tmp_path, own_simulator.base_url, "[server]\nheartbeat_seconds = 0.05\n") as gateway,
        gateway.http() as http,
    ):
        body = {"model": "sim/cold-boot", "messages": HELLO, "stream": True}
        text = http.post("/v1/chat/completions", json=body).text
        beats, _, answer = text.rpartition(": waiting for the model\n\n")
        assert beats or answer
        assert text.startswith(": waiting")
        assert "\nid:" not in text
        assert answer.endswith("data: [DONE]\n\n")
        client = gateway.openai()
        said = [chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(**body)]  # type: ignore[call-overload]
        assert "gamma" in "".join(said)


@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_stream_is_resumed_and_nothing_is_lost_or_said_twice(
    own_gateway: Served, own_simulator: Simulator, stream: bool
) -> None:
    client = own_gateway.openai()
    # A stop that this model cannot be told is watched for in its stream, by whoever wants the answer whole as well.
    reply = client.chat.completions.create(model="sim/cut-stream", messages=HELLO, stream=stream, stop="never, said")
    if stream:
        said = "".join(chunk.choices[0].delta.content or "" for chunk in reply)
    else:
        said = reply.choices[0].message.content
    assert said == "".join(own_simulator.last().output)
    assert own_simulator.last().streams > 1


def test_reasoning_stands_apart_from_the_answer(own_gateway: Served) -> None:
    client = own_gateway.openai()
    message = client.chat.completions.create(model="sim/reasoning", messages=HELLO).choices[0].message
    assert "<think>" not in (message.content or "")
    assert message.model_extra is not None
    thought = message.model_extra["reasoning_content"]
    chunks = list(client.chat.completions.create(model="sim/reasoning", messages=HELLO, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.content or "" for delta in deltas) == message.content
    assert "".join((delta.model_extra or {}).get("reasoning_content") or "" for delta in deltas) == thought


def test_a_picture_outlives_its_upstream_file(own_gateway: Served, own_simulator: Simulator) -> None:
    client = own_gateway.openai()
    url = str(client.images.generate(model="sim/picture", prompt="a kite").data[0].url)  # type: ignore[index]
    own_simulator.reset()
    assert url.startswith(own_gateway.url)
    assert httpx.get(url).status_code == 200
    assert httpx.get(url.replace("signature=", "signature=0")).status_code == 404
    assert httpx.get(url.partition("?")[0]).status_code == 404


@pytest.mark.parametrize("model", ["sim/picture", "sim/picture-slow"])
def test_nine_pictures_asked_for_are_nine_sent(own_gateway: Served, model: str) -> None:
    drawn = own_gateway.openai().images.generate(model=model, prompt="a kite", n=9, response_format="b64_json").data
    assert drawn is not None
    pictures = {base64.b64decode(str(entry.b64_json)) for entry in drawn}
    assert len(drawn) == len(pictures) == 9


def test_a_refused_picture_is_a_policy_error(own_gateway: Served) -> None:
    with own_gateway.http() as http:
        reply = http.post("/v1/images/generations", json={"model": "sim/picture-nsfw", "prompt": "a kite"})
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "content_policy_violation"

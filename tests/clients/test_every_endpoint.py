"""Every endpoint once, through OpenAI's Python client with its raw replies and through its Node client."""

import base64
import io
import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.clients.conftest import NODE, Run
from tests.served import Served

# What OpenAI gives up, clients still use.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def picture(gateway: Served) -> bytes:
    drawn = gateway.openai().images.generate(model="flux-schnell", prompt="a barn", response_format="b64_json")
    return base64.b64decode(str((drawn.data or [])[0].b64_json))


@pytest.fixture(scope="module")
def sound() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setparams((1, 2, 16_000, 0, "NONE", ""))
        made.writeframes(bytes(16_000))
    return file.getvalue()


SAY: list[Any] = [{"role": "user", "content": "Hello!"}]
WHISPER, KONTEXT = "openai/whisper", "black-forest-labs/flux-kontext-pro"
ASKED: dict[str, Callable[[OpenAI, bytes, bytes], Any]] = {
    "chat": lambda o, p, s: o.chat.completions.with_raw_response.create(model="llama-3-8b", messages=SAY),
    "completions": lambda o, p, s: o.completions.with_raw_response.create(model="llama-3-8b", prompt="Once"),
    "responses": lambda o, p, s: o.responses.with_raw_response.create(model="llama-3-8b", input="Hello!"),
    "images": lambda o, p, s: o.images.with_raw_response.generate(model="flux-schnell", prompt="a barn"),
    "edits": lambda o, p, s: o.images.with_raw_response.edit(model=KONTEXT, prompt="blue", image=p),
    "variations": lambda o, p, s: o.images.with_raw_response.create_variation(model="stability-ai/sdxl", image=p),
    "speech": lambda o, p, s: o.audio.speech.with_raw_response.create(
        model="jaaari/kokoro-82m", voice="alloy", input="Hello"
    ),
    "transcriptions": lambda o, p, s: o.audio.transcriptions.with_raw_response.create(model=WHISPER, file=("a.wav", s)),
    "translations": lambda o, p, s: o.audio.translations.with_raw_response.create(model=WHISPER, file=("a.wav", s)),
    "embeddings": lambda o, p, s: o.embeddings.with_raw_response.create(model="multilingual-e5", input=["a heron"]),
    "moderations": lambda o, p, s: o.moderations.with_raw_response.create(model="llama-guard", input="Bread?"),
    "videos": lambda o, p, s: o.videos.with_raw_response.create(model="google/veo-3-fast", prompt="a heron"),
}


@pytest.mark.parametrize("kind", ASKED)
def test_raw_replies_tell_of_the_prediction_behind_them(
    gateway: Served, picture: bytes, sound: bytes, kind: str
) -> None:
    with gateway.openai() as client:
        reply = ASKED[kind](client, picture, sound)
        assert reply.status_code == 200
        assert reply.headers["x-request-id"].startswith("req_")
        assert reply.headers["x-repligate-prediction-id"]
        assert reply.parse()


@pytest.mark.slow
def test_the_node_client_reaches_every_endpoint(run: Run, node: str, beside_packages: Callable[[Path], Path]) -> None:
    told = json.loads(run(node, beside_packages(NODE / "tour.mjs")))
    events = told.pop("responseEvents")
    assert (events[0], events[-1]) == ("response.created", "response.completed")
    assert told.pop("drawnStream") == "image_generation.completed"
    assert told.pop("editedStream") == "image_edit.completed"
    assert told.pop("spokenStream") == "speech.audio.delta speech.audio.done"
    assert told.pop("heardStream") == "transcript.text.delta transcript.text.done"
    assert told.pop("flagged") is False
    assert told.pop("heard").startswith("Good")
    assert [name for name, value in told.items() if not value] == []

"""The shipped models, each through the official client: whole, streamed, drawn."""

import base64
import tomllib

import httpx
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.served import ROOT, Served

ROWS = tomllib.loads((ROOT / "config.toml").read_text("utf-8"))["models"]
PAINTERS = {"flux-schnell", "flux-dev", "flux-1.1-pro", "sdxl", "ideogram-v2", "imagen-4-ultra", "seedream-4"}
WATCHERS = {"llava-13b"}
EMBEDDERS, JUDGES = {"multilingual-e5", "clip"}, {"llama-guard"}
LISTENERS, VOICES, FILMERS = {"whisper"}, {"kokoro"}, {"veo-3-fast"}
SPEAKERS = ROWS.keys() - PAINTERS - WATCHERS - EMBEDDERS - JUDGES - LISTENERS - VOICES - FILMERS

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Er"
    "kJggg=="
)
SIGNS = {"png": b"\x89PNG", "jpg": b"\xff\xd8\xff", "webp": b"RIFF"}

TALK: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You are a lighthouse keeper."},
    {"role": "user", "content": "Good evening"},
    {"role": "assistant", "content": "Good evening to you"},
    {"role": "user", "content": "What about marmalade?"},
]
LOOK: list[ChatCompletionMessageParam] = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What about marmalade?"},
            {"type": "image_url", "image_url": {"url": PIXEL, "detail": "auto"}},
        ],
    }
]


def test_there_are_a_dozen_models_to_try() -> None:
    assert len(SPEAKERS) + len(PAINTERS) + len(WATCHERS) >= 12
    assert PAINTERS | WATCHERS <= ROWS.keys()


@pytest.mark.parametrize("model", sorted(SPEAKERS | WATCHERS))
def test_a_model_answers_the_last_question_whole_and_streamed(gateway: Served, model: str) -> None:
    client = gateway.openai()
    talk = LOOK if model in WATCHERS else TALK
    whole = client.chat.completions.create(model=model, messages=talk, temperature=0, max_tokens=2000, seed=7)
    assert "marmalade" in (whole.choices[0].message.content or "")
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage
    assert whole.usage.completion_tokens > 0
    chunks = list(client.chat.completions.create(model=model, messages=talk, temperature=0, seed=7, stream=True))
    assert "marmalade" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("model", sorted(PAINTERS))
def test_a_model_draws_as_a_link_and_as_base64(gateway: Served, model: str) -> None:
    client = gateway.openai()
    linked = client.images.generate(model=model, prompt="a lighthouse", n=2, size="1024x1024").data
    assert linked is not None
    for entry in linked:
        assert httpx.get(str(entry.url)).headers["content-type"].startswith("image/")
    drawn = client.images.generate(model=model, prompt="a lighthouse", response_format="b64_json").data
    assert drawn is not None
    assert base64.b64decode(str(drawn[0].b64_json)).startswith(tuple(SIGNS.values()))
    assert (len(linked), len(drawn)) == (2, 1)


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
def test_the_format_asked_for_is_the_format_sent(gateway: Served, form: str) -> None:
    reply = gateway.openai().images.generate(
        model="flux-schnell",
        prompt="a lighthouse",
        output_format=form,
        response_format="b64_json",  # type: ignore[call-overload]
    )
    assert base64.b64decode(reply.data[0].b64_json).startswith(SIGNS[form.replace("jpeg", "jpg")])


def test_a_models_own_inputs_can_be_sent_by_their_names(gateway: Served) -> None:
    reply = gateway.openai().images.with_raw_response.generate(
        model="flux-schnell", prompt="a lighthouse", extra_body={"num_inference_steps": 2, "go_fast": False, "moss": 1}
    )
    assert reply.headers["x-repligate-ignored"] == "moss"


def test_a_dry_run_tells_what_would_be_run_and_runs_nothing(own_gateway: Served, own_simulator: object) -> None:
    client = own_gateway.openai()
    told = client.chat.completions.with_raw_response.create(
        model="meta/meta-llama-3-8b-instruct",
        messages=TALK,
        max_tokens=9,
        temperature=0,
        logit_bias={"1": 1},
        extra_headers={"x-repligate-dry-run": "1"},
    ).http_response.json()
    assert told["model"] == "meta/meta-llama-3-8b-instruct"
    assert told["inputs"][0]["max_tokens"] == 9
    assert told["ignored"] == ["logit_bias"]
    assert own_simulator.predictions() == []  # type: ignore[attr-defined]


def test_any_model_of_replicates_is_there_by_name_version_and_deployment(own_gateway: Served) -> None:
    client = own_gateway.openai()
    with httpx.Client() as http:
        api = own_gateway.environ["REPLICATE_API_BASE_URL"]
        record = http.get(f"{api}/models/sim/community", headers={"authorization": "Bearer r8_x"}).json()
    version = record["latest_version"]["id"]
    for ref in (
        "sim/community",
        f"sim/community:{version}",
        version,
        "deployments/simulator/deployed",
        "deployments/sim/deployed",
    ):
        reply = client.chat.completions.create(model=ref, messages=TALK)
        assert "marmalade" in (reply.choices[0].message.content or ""), ref


@pytest.mark.parametrize("model", sorted(EMBEDDERS))
def test_a_model_embeds(gateway: Served, model: str) -> None:
    one, other = gateway.openai().embeddings.create(model=model, input=["marmalade", "a lighthouse"]).data
    assert len(one.embedding) == len(other.embedding) > 0
    assert one.embedding != other.embedding


def test_the_usual_model_judges(gateway: Served) -> None:
    calm, angry = gateway.openai().moderations.create(input=["marmalade", "I will kill you"]).results
    assert not calm.flagged
    assert angry.categories.violence

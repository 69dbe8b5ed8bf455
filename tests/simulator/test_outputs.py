"""The files models make: pictures, sound, films, vectors and verdicts."""

import base64
import io
import math
import wave
import zipfile
from typing import Any

import httpx
import pytest
from PIL import Image

from gateway.simulator import Settings, Simulator
from gateway.simulator.painter import Drawing, _lines
from tests.simulator.calls import Api


def fetched(web: httpx.Client, url: str) -> Image.Image:
    return Image.open(io.BytesIO(web.get(url).content))


@pytest.mark.parametrize(
    ("format_", "name", "media_type"),
    [
        ("png", "PNG", "image/png"),
        ("webp", "WEBP", "image/webp"),
        ("jpg", "JPEG", "image/jpeg"),
    ],
)
def test_a_picture_is_a_real_file_of_the_format_asked_for(
    api: Api, web: httpx.Client, format_: str, name: str, media_type: str
) -> None:
    [url] = api.run("black-forest-labs/flux-schnell", prompt="a heron", output_format=format_)["output"]
    assert url.endswith(f"/out-0.{format_}")
    reply = web.get(url)
    assert reply.headers["content-type"] == media_type
    assert int(reply.headers["content-length"]) == len(reply.content)
    assert Image.open(io.BytesIO(reply.content)).format == name


@pytest.mark.parametrize(("model", "inputs", "size"), [
    ("stability-ai/sdxl", {"width": 768, "height": 512}, (768, 512)),
    ("black-forest-labs/flux-schnell", {"aspect_ratio": "16:9"}, (1360, 768)),
    ("black-forest-labs/flux-schnell", {"aspect_ratio": "1:1", "megapixels": "0.25"}, (512, 512)),
    ("black-forest-labs/flux-1.1-pro", {"aspect_ratio": "custom", "width": 512, "height": 768}, (512, 768)),
    ("black-forest-labs/flux-1.1-pro", {"aspect_ratio": "1:1", "width": 512, "height": 768}, (1024, 1024)),
    ("recraft-ai/recraft-v3", {"size": "1820x1024"}, (1820, 1024)),
    ("ideogram-ai/ideogram-v2", {"resolution": "512x1536"}, (512, 1536)),
    ("bytedance/seedream-4", {"size": "2K", "aspect_ratio": "1:1"}, (2048, 2048)),
    ("stability-ai/stable-diffusion", {"width": 512, "height": 256}, (512, 256)),
])  # fmt: skip
def test_a_picture_has_the_size_asked_for(
    api: Api, web: httpx.Client, model: str, inputs: dict[str, Any], size: tuple[int, int]
) -> None:
    output = api.run(model, prompt="x", **inputs)["output"]
    assert fetched(web, output if isinstance(output, str) else output[0]).size == size


def test_as_many_pictures_come_as_were_asked_for_each_a_little_different(api: Api, web: httpx.Client) -> None:
    prediction = api.run("sim/picture", prompt="x", num_outputs=3, seed=7)
    assert [url.rsplit("/", 1)[1] for url in prediction["output"]] == ["out-0.webp", "out-1.webp", "out-2.webp"]
    assert len({web.get(url).content for url in prediction["output"]}) == 3
    assert prediction["metrics"]["image_count"] == 3


def test_the_same_seed_draws_the_same_picture(api: Api, web: httpx.Client) -> None:
    drawn = [web.get(api.run("sim/picture", prompt="x", seed=seed)["output"][0]).content for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_model_of_one_picture_answers_with_one_address(api: Api) -> None:
    prediction = api.run("google/imagen-4-ultra", prompt="x")
    assert isinstance(prediction["output"], str)
    assert prediction["metrics"]["image_output_count"] == 1


def test_without_a_seed_every_prediction_draws_another_picture(api: Api, web: httpx.Client) -> None:
    drawn = [web.get(api.run("sim/picture", prompt="x")["output"][0]).content for _ in range(2)]
    assert drawn[0] != drawn[1]


def written(**changes: Any) -> list[str]:
    """What is written on a picture of so many columns and rows."""
    columns, rows = changes.pop("columns", 40), changes.pop("rows", 20)
    standard: dict[str, Any] = {"width": 64, "height": 32, "format": "png", "quality": 80, "model": "a/b", "seed": 7}
    return _lines(Drawing(**{"prompt": "a heron"} | standard | changes), columns, rows)


def test_a_picture_shows_its_prompt_model_seed_and_size() -> None:
    assert written() == ["a heron", "", "a/b", "seed 7, number 1", "64 x 32 png"]
    assert written(prompt="")[0] == "a/b"


def test_what_is_written_stays_within_the_picture() -> None:
    for columns, rows in ((8, 10), (12, 12), (40, 20), (100, 6)):
        lines = written(prompt="very long " * 99, model="an-owner/a-rather-long-name", columns=columns, rows=rows)
        assert max(map(len, lines)) <= columns
        assert lines[lines.index("") - 1].endswith("...")
        assert len(lines) <= rows or columns < 40, "where nothing else goes, the model comes before the prompt"


@pytest.mark.parametrize(("prompt", "shown"), [
    ("Zürich naïve", "Zurich naive"),
    ("日本が", "<65E5><672C><304C>"),
    ("go 👍", "go <1F44D>"),
    ("ﬁne ×", "fine <D7>"),
    ("a\n\tb\0c", "a b c"),
])  # fmt: skip
def test_letters_that_cannot_be_drawn_stand_as_their_code_points(prompt: str, shown: str) -> None:
    assert written(prompt=prompt)[0] == shown


@pytest.mark.parametrize("size", [(1, 1), (8, 1024), (64, 64), (1024, 8)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    width, height = size
    drawing = Drawing(width=width, height=height, format="png", quality=80, prompt="👍 " * 500, model="a/b", seed=1)
    assert Image.open(io.BytesIO(drawing.paint())).size == size


def test_pictures_log_their_seed_and_progress(api: Api) -> None:
    logs = api.run("black-forest-labs/flux-schnell", prompt="x", seed=42)["logs"]
    assert logs.startswith("Using seed: 42\n")
    assert "100%|██████████| 4/4 [" in logs


def test_a_picture_made_from_another_keeps_its_size(api: Api, web: httpx.Client) -> None:
    file = io.BytesIO()
    Image.new("RGB", (320, 200)).save(file, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    assert fetched(web, api.run("nightmareai/real-esrgan", image=url, scale=2)["output"]).size == (640, 400)
    upload = api.post("/files", files={"content": ("x.png", file.getvalue(), "image/png")}).json()
    uploaded = api.run("851-labs/background-remover", image=upload["urls"]["get"])["output"]
    assert fetched(web, uploaded).size == (320, 200)


def test_outputs_answer_head_and_unknown_ones_are_not_found(api: Api, web: httpx.Client, simulator: Simulator) -> None:
    [url] = api.run("sim/picture", prompt="x")["output"]
    head = web.head(url)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(web.get(url).content)
    assert web.get(f"{simulator.delivery_url}/xezq/nothing/out-0.png").status_code == 404


@pytest.mark.parametrize(("scene", "status"), [("lost-files", 404), ("forbidden-files", 403)])
def test_files_can_be_lost(api: Api, web: httpx.Client, simulator: Simulator, scene: str, status: int) -> None:
    simulator.scene("sim/picture", scene)
    [url] = api.run("sim/picture", prompt="x")["output"]
    assert web.get(url).status_code == status


def test_speech_is_a_wav_as_long_as_its_words(api: Api, web: httpx.Client) -> None:
    lengths = []
    for speed in (1, 2):
        reply = web.get(api.run("jaaari/kokoro-82m", text="One two three four five", speed=speed)["output"])
        assert reply.headers["content-type"] == "audio/wav"
        with wave.open(io.BytesIO(reply.content)) as file:
            assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
            lengths.append(file.getnframes() / file.getframerate())
    assert lengths[0] == pytest.approx(2 * lengths[1], rel=0.05)


def test_voices_differ(api: Api, web: httpx.Client) -> None:
    voices = api.get("/models/jaaari/kokoro-82m").json()["latest_version"]["openapi_schema"]
    names = voices["components"]["schemas"]["voice"]["enum"][:2]
    said = [web.get(api.run("jaaari/kokoro-82m", text="hello", voice=name)["output"]).content for name in names]
    assert said[0] != said[1]


def test_a_model_with_an_object_output_puts_its_file_into_it(api: Api, web: httpx.Client) -> None:
    output = api.run("suno-ai/bark", prompt="hello")["output"]
    assert web.get(output["audio_out"]).content.startswith(b"RIFF")


def test_what_was_said_is_what_is_heard(api: Api) -> None:
    url = api.run("jaaari/kokoro-82m", text="The heron stands in the water.")["output"]
    heard = api.run("openai/whisper", audio=url)["output"]
    assert heard["transcription"] == "The heron stands in the water."
    assert heard["segments"][0]["text"] == " The heron stands in the water."
    assert heard["detected_language"] == "english"
    srt = api.run("openai/whisper", audio=url, transcription="srt")["output"]["transcription"]
    assert srt.startswith("1\n00:00:00,000 --> 00:00:")
    vtt = api.run("openai/whisper", audio=url, transcription="vtt")["output"]["transcription"]
    assert vtt.startswith("WEBVTT\n\n00:00.000 --> 00:")
    assert api.run("nvidia/parakeet-rnnt-1.1b", audio_file=url)["output"] == "The heron stands in the water."
    chunked = api.run("vaibhavs10/incredibly-fast-whisper", audio=url)["output"]
    assert chunked["chunks"][0]["timestamp"][0] == 0


def test_other_sounds_are_described(api: Api) -> None:
    sound = "data:audio/mpeg;base64," + base64.b64encode(bytes(16_000)).decode()
    assert "1.0 seconds" in api.run("openai/whisper", audio=sound)["output"]["transcription"]
    elsewhere = api.run("openai/whisper", audio="https://a.example/x.mp3")["output"]["transcription"]
    assert elsewhere.startswith("A sound from elsewhere")


def test_music_lasts_as_long_as_asked(api: Api, web: httpx.Client) -> None:
    content = web.get(api.run("meta/musicgen", prompt="calm", duration=3)["output"]).content
    with wave.open(io.BytesIO(content)) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(3, abs=0.01)


def distance(one: list[float], other: list[float]) -> float:
    return math.dist(one, other)


def test_vectors_have_length_one_and_similar_texts_are_nearer(api: Api) -> None:
    texts = '["a grey heron in the water", "grey herons in water", "the price of copper in 1923"]'
    heron, herons, copper = api.run("beautyyuyanli/multilingual-e5-large", texts=texts)["output"]
    for vector in (heron, herons, copper):
        assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)
    assert distance(heron, herons) < distance(heron, copper)
    assert api.run("beautyyuyanli/multilingual-e5-large", texts=texts)["output"][0] == heron


@pytest.mark.parametrize(
    ("model", "inputs", "shape"),
    [
        ("andreasjansson/clip-features", {"inputs": "one\ntwo"}, ["embedding", "input"]),
        ("replicate/all-mpnet-base-v2", {"text_batch": '["one", "two"]'}, ["embedding"]),
        ("replicate/all-mpnet-base-v2", {"text": "one"}, ["embedding"]),
        ("nateraw/bge-large-en-v1.5", {"texts": '["one", "two"]'}, None),
    ],
)
def test_vectors_come_in_the_shape_of_their_model(
    api: Api, model: str, inputs: dict[str, str], shape: list[str] | None
) -> None:
    output = api.run(model, **inputs)["output"]
    assert len(output) == (1 if inputs.get("text") else 2)
    assert [sorted(one) if isinstance(one, dict) else None for one in output] == [shape] * len(output)


def test_a_film_is_an_mp4_of_the_length_and_shape_asked_for(api: Api, web: httpx.Client) -> None:
    prediction = api.run("kwaivgi/kling-v2.1", prompt="x", start_image="https://a.example/x.png", duration=5)
    assert prediction["metrics"]["video_output_duration_seconds"] == 5
    reply = web.get(prediction["output"])
    assert reply.headers["content-type"] == "video/mp4"
    boxes, place = {}, 0
    while place < len(reply.content):
        size = int.from_bytes(reply.content[place : place + 4])
        boxes[reply.content[place + 4 : place + 8]] = reply.content[place + 8 : place + size]
        place += size
    assert list(boxes) == [b"ftyp", b"mdat", b"moov"]
    assert Image.open(io.BytesIO(boxes[b"mdat"])).size == (1280, 720)
    assert boxes[b"moov"].count(b"jpeg") == 1


def test_verdicts_are_those_of_the_example(api: Api) -> None:
    assert api.run("falcons-ai/nsfw_image_detection", image="https://a.example/x.png")["output"] == "normal"
    assert api.run("pengdaqian2020/image-tagger", image="https://a.example/x.png")["output"][0]["tag"] == "bird"


def test_a_trainer_answers_with_an_archive(api: Api, web: httpx.Client) -> None:
    schema = api.get("/models/replicate/dreambooth").json()["latest_version"]["openapi_schema"]["components"]["schemas"]
    inputs = dict.fromkeys(schema["Input"]["required"], "https://a.example/x.zip")
    content = web.get(api.run("replicate/dreambooth", **inputs)["output"]).content
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["trained-on.txt"]


def test_every_shipped_model_runs_its_own_example(started: Any) -> None:
    api = started(Settings())
    for model in models(api):
        example = model["default_example"]
        if model["owner"] == "sim" or not example:
            continue
        known = model["latest_version"]["openapi_schema"]["components"]["schemas"]["Input"]["properties"]
        inputs = {name: value for name, value in example["input"].items() if name in known}
        prediction = api.run(f"{model['owner']}/{model['name']}", **inputs)
        assert prediction["status"] == "succeeded", (model["name"], prediction["error"])
        assert type(prediction["output"]) is type(example["output"]), model["name"]


def models(api: Api) -> list[dict[str, Any]]:
    """Return all models, page by page."""
    found, url = [], "/models"
    while url:
        page = api.get(url).json()
        found += page["results"]
        url = page["next"]
    return found

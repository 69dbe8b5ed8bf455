"""Pictures made of pictures, through the official client: what is sent reaches the model as the model wants it."""

import base64
import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from openai import BadRequestError
from PIL import Image

from gateway.parts import Gateway
from gateway.simulator import Settings, Simulator
from tests.opened import client_of, opened, settled

RED, SIZE = (200, 0, 0), (96, 64)


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def red(size: tuple[int, int] = SIZE) -> bytes:
    return png(Image.new("RGB", size, RED))


def hole() -> Image.Image:
    """Opaque on the left, transparent on the right: the right half is to be redrawn."""
    mask = Image.new("RGBA", SIZE, (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (SIZE[0] // 2, 0, *SIZE))
    return mask


def large() -> bytes:
    """More than an input may hold: noise does not compress."""
    return png(Image.effect_noise((800, 600), 90).convert("RGB"))


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with Simulator(Settings(picture_seconds=0.01)) as running:
        yield running


@pytest.fixture
async def gateway(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    simulated.reset()
    simulated.switch(metrics_delay=0.0)
    async with opened(simulated, tmp_path, upstream={"retry_seconds": 0.3}) as parts:
        yield parts


def shown(b64: str | None) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(b64 or ""))).convert("RGB")


@pytest.mark.parametrize("model", ["black-forest-labs/flux-fill-pro", "ideogram-ai/ideogram-v2"])
async def test_what_is_transparent_in_the_mask_is_redrawn_whatever_the_models_colour(gateway: Gateway, model: str):
    async with client_of(gateway) as client:
        reply = await client.images.edit(
            model=model,
            image=("a.png", red(), "application/octet-stream"),
            mask=("m.png", png(hole())),
            prompt="a lake",
            response_format="b64_json",
            extra_body={"output_format": "png"},
        )
    picture = shown(reply.data[0].b64_json if reply.data else None)
    width, height = picture.size
    near = [abs(a - b) < 12 for a, b in zip(picture.getpixel((width // 8, height // 2)), RED, strict=True)]
    assert all(near)
    assert picture.getpixel((width * 7 // 8, height // 2)) != picture.getpixel((width // 8, height // 2))


async def test_a_large_picture_is_lent_to_replicate_and_taken_back(gateway: Gateway, simulated: Simulator):
    async with client_of(gateway) as client:
        await client.images.edit(model="black-forest-labs/flux-kontext-pro", image=large(), prompt="a lake")
    await settled(gateway)
    (prediction,) = simulated.predictions()
    assert prediction.input["input_image"].startswith(f"{simulated.base_url}/files/")
    assert files(simulated) == []


async def test_a_prediction_that_is_refused_leaves_no_file_behind(gateway: Gateway, simulated: Simulator):
    simulated.scene("black-forest-labs/flux-kontext-pro", "unavailable")
    async with client_of(gateway) as client:
        with pytest.raises(Exception, match="502"):
            await client.images.edit(model="black-forest-labs/flux-kontext-pro", image=large(), prompt="a lake")
    await settled(gateway)
    assert files(simulated) == []


async def test_several_pictures_go_to_the_models_list_and_too_many_nowhere(gateway: Gateway, simulated: Simulator):
    async with client_of(gateway) as client:
        await client.images.edit(model="google/nano-banana", image=[red(), red((32, 32))], prompt="both")
        with pytest.raises(BadRequestError, match="1 image at most") as refused:
            await client.images.edit(model="nightmareai/real-esrgan", image=[red(), red()], prompt="both")
    assert refused.value.param == "image"
    (prediction,) = simulated.predictions()
    assert [each[:22] for each in prediction.input["image_input"]] == ["data:image/png;base64,"] * 2


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_a_variation_is_made_without_words(gateway: Gateway):
    async with client_of(gateway) as client:
        reply = await client.images.create_variation(
            model="nightmareai/real-esrgan", image=red(), response_format="b64_json"
        )
    assert reply.data
    assert shown(reply.data[0].b64_json).size == (SIZE[0] * 4, SIZE[1] * 4)


async def test_json_takes_addresses_and_data_uris(gateway: Gateway, simulated: Simulator):
    uri = f"data:image/png;base64,{base64.b64encode(red()).decode()}"
    async with client_of(gateway) as client:
        http = client.with_options()._client
        headers = {"authorization": f"Bearer {client.api_key}"}
        for pictures in ({"images": [{"image_url": uri}]}, {"image": uri}, {"image": [uri]}):
            asked = {"model": "timothybrooks/instruct-pix2pix", "prompt": "x", **pictures}
            reply = await http.post(f"{client.base_url}images/edits", json=asked, headers=headers)
            assert reply.status_code == 200, reply.text
    assert [each.input["image"] for each in simulated.predictions()] == [uri] * 3


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"image": ("a.txt", b"words", "text/plain")}, "image", "unsupported_file_mimetype"),
        ({"mask": ("m.png", red())}, "mask", "unsupported_parameter"),
        ({"model": "meta/meta-llama-3-8b-instruct"}, "model", "unsupported_model"),
        ({"n": 11}, "n", "integer_above_max_value"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(gateway: Gateway, fields: dict[str, object], param: str, code: str):
    asked = {"model": "black-forest-labs/flux-kontext-pro", "image": red(), "prompt": "a lake", **fields}
    async with client_of(gateway) as client:
        with pytest.raises(BadRequestError) as refused:
            await client.images.edit(**asked)  # type: ignore[call-overload]
    assert (refused.value.param, refused.value.code) == (param, code)


async def test_a_stream_tells_of_each_picture_by_name_and_has_no_done(gateway: Gateway):
    async with client_of(gateway) as client:
        asked = {"model": "sim/picture", "prompt": "a lake", "n": 2}
        async with await client.images.generate(**asked, stream=True, partial_images=2) as stream:  # type: ignore[call-overload]
            told = [event async for event in stream]
        reply = await client._client.post(
            f"{client.base_url}images/edits",
            data={"model": "timothybrooks/instruct-pix2pix", "prompt": "a lake", "stream": "true"},
            files={"image": ("a.png", red())},
            headers={"authorization": f"Bearer {client.api_key}"},
        )
    assert [event.type for event in told] == ["image_generation.completed"] * 2
    assert shown(told[0].b64_json).width > 1
    text = reply.text
    assert text.startswith("event: image_edit.completed\ndata: {")
    assert "[DONE]" not in text


async def test_drafts_are_told_of_before_the_picture(gateway: Gateway, simulated: Simulator):
    links = [f"data:image/png;base64,{base64.b64encode(red((side, side))).decode()}" for side in (1, 2, 3, 4)]
    simulated.scene("stability-ai/stable-diffusion-3.5-large", "says", output=json.dumps(links))
    asked = {
        "model": "stability-ai/stable-diffusion-3.5-large",
        "prompt": "a lake",
        "stream": True,
        "partial_images": 2,
    }
    async with client_of(gateway) as client, await client.images.generate(**asked) as stream:  # type: ignore[call-overload]
        told = [event async for event in stream]
    assert [event.type.rpartition(".")[2] for event in told] == ["partial_image", "partial_image", "completed"]
    assert [shown(event.b64_json).width for event in told] == [1, 2, 4]


def files(simulator: Simulator) -> list[object]:
    """What the account still has at Replicate."""
    found = httpx.get(f"{simulator.base_url}/files", headers={"authorization": "Bearer r8_test"})
    return list(found.json()["results"])

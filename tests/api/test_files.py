"""Files and uploads through the official client, and as inputs by their ids."""

import hashlib
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai.resources.uploads.uploads import DEFAULT_PART_SIZE
from PIL import Image

from gateway import filing
from gateway.errors import NotFound
from gateway.parts import Gateway
from gateway.simulator import Settings, Simulator
from tests.opened import clients_of, opened


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with Simulator(Settings(picture_seconds=0.01)) as running:
        yield running


@pytest.fixture
async def gateway(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    simulated.reset()
    simulated.switch(metrics_delay=0.0)
    async with opened(simulated, tmp_path) as parts:
        yield parts


def red() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 0, 0)).save(file, "PNG")
    return file.getvalue()


async def test_a_file_is_kept_listed_read_and_deleted_by_its_owner_only(gateway: Gateway):
    async with clients_of(gateway, "one", "two") as (one, two):
        made = [await one.files.create(file=(f"{n}.txt", b"%d" % n), purpose="user_data") for n in range(3)]
        assert (made[0].object, made[0].bytes, made[0].filename, made[0].status) == ("file", 1, "0.txt", "processed")
        newest = [file.id async for file in one.files.list(limit=2, purpose="user_data")]
        assert newest == [file.id for file in reversed(made)]
        assert [file.id async for file in one.files.list(order="asc", after=made[0].id)] == [f.id for f in made[1:]]
        assert (await one.files.list(purpose="vision")).data == []
        assert (await one.files.retrieve(made[1].id)) == made[1]
        assert (await one.files.content(made[1].id)).content == b"1"
        assert (await two.files.list()).data == []
        for refused in (two.files.retrieve, two.files.content, two.files.delete):
            with pytest.raises(openai.NotFoundError, match=f"No such File object: {made[1].id}") as unknown:
                await refused(made[1].id)
            assert unknown.value.param == "id"
        assert (await one.files.delete(made[1].id)).deleted
        with pytest.raises(openai.NotFoundError):
            await one.files.content(made[1].id)


async def test_a_file_that_has_expired_is_gone_with_its_bytes(gateway: Gateway):
    now = gateway.clock()
    async with clients_of(gateway, "one") as (one,):
        lasting = {"anchor": "created_at", "seconds": 3600}
        made = await one.files.create(file=("a.txt", b"a"), purpose="vision", expires_after=lasting)  # type: ignore[arg-type]
        assert made.expires_at is not None
        assert 3590 < made.expires_at - now < 3610
        gateway.objects._clock = lambda: now + 4000
        with pytest.raises(openai.NotFoundError):
            await one.files.retrieve(made.id)
        await filing.sweep(gateway)
        with pytest.raises(NotFound):
            await gateway.outputs.read(filing.place(made.id))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"purpose": "fun"}, "purpose"),
        ({"purpose": "vision", "expires_after": {"anchor": "created_at", "seconds": 1}}, "expires_after.seconds"),
    ],
)
async def test_a_file_for_nothing_known_is_refused(gateway: Gateway, fields: dict[str, Any], param: str):
    async with clients_of(gateway, "one") as (one,):
        with pytest.raises(openai.BadRequestError) as refused:
            await one.files.create(file=("a.txt", b"a"), **fields)
    assert refused.value.param == param


async def test_parts_are_joined_in_the_order_they_are_named_in(gateway: Gateway):
    async with clients_of(gateway, "one") as (one,):
        upload = await one.uploads.create(bytes=6, filename="a.txt", mime_type="text/plain", purpose="user_data")  # type: ignore[arg-type]
        late = await one.uploads.parts.create(upload.id, data=b"def")
        early = await one.uploads.parts.create(upload.id, data=b"abc")
        with pytest.raises(openai.BadRequestError, match="3 bytes together"):
            await one.uploads.complete(upload.id, part_ids=[early.id])
        with pytest.raises(openai.BadRequestError, match="MD5"):
            await one.uploads.complete(upload.id, part_ids=[early.id, late.id], md5="0" * 32)
        told = hashlib.md5(b"abcdef").hexdigest()
        done = await one.uploads.complete(upload.id, part_ids=[early.id, late.id], md5=told)
        assert (done.status, done.file and done.file.bytes) == ("completed", 6)
        assert done.file
        assert (await one.files.content(done.file.id)).content == b"abcdef"
        with pytest.raises(openai.BadRequestError, match="no longer pending"):
            await one.uploads.cancel(upload.id)
        other = await one.uploads.create(bytes=6, filename="a.txt", mime_type="text/plain", purpose="vision")
        assert (await one.uploads.cancel(other.id)).status == "cancelled"
        with pytest.raises(openai.BadRequestError, match="no longer pending"):
            await one.uploads.parts.create(other.id, data=b"x")


@pytest.mark.slow
async def test_the_clients_own_parts_are_taken(gateway: Gateway) -> None:
    content = bytes(DEFAULT_PART_SIZE + 1)
    async with clients_of(gateway) as (client,):
        done = await client.uploads.upload_file_chunked(
            file=content,
            filename="a.bin",
            bytes=len(content),
            mime_type="application/octet-stream",
            purpose="user_data",
        )
        assert (done.status, done.file and done.file.bytes) == ("completed", len(content))


async def test_a_picture_is_edited_by_its_files_id_and_not_by_anothers(gateway: Gateway, simulated: Simulator):
    async with clients_of(gateway, "one", "two") as (one, two):
        file = await one.files.create(file=("a.png", red()), purpose="vision")
        asked = {"model": "black-forest-labs/flux-kontext-pro", "images": [{"file_id": file.id}], "prompt": "a lake"}
        assert (await one.post("/images/edits", body=asked, cast_to=httpx.Response)).status_code == 200
        with pytest.raises(openai.NotFoundError) as refused:
            await two.post("/images/edits", body=asked, cast_to=httpx.Response)
    assert refused.value.param == "images[0].file_id"
    (prediction,) = simulated.predictions()
    assert prediction.input["input_image"].startswith("data:image/png;base64,")


async def test_a_chat_shows_a_file_by_its_id_and_not_anothers(gateway: Gateway, simulated: Simulator):
    async with clients_of(gateway, "one", "two") as (one, two):
        file = await one.files.create(file=("a.png", red()), purpose="vision")
        parts = [{"type": "text", "text": "What is this?"}, {"type": "file", "file": {"file_id": file.id}}]
        asked: Any = {"model": "yorickvp/llava-13b", "messages": [{"role": "user", "content": parts}]}
        assert (await one.chat.completions.create(**asked)).choices[0].message.content
        with pytest.raises(openai.NotFoundError) as refused:
            await two.chat.completions.create(**asked)
        with pytest.raises(openai.BadRequestError):
            await one.chat.completions.create(**{**asked, "model": "sim/echo"})
    assert refused.value.param == "messages[0].content[1].file.file_id"
    (prediction,) = simulated.predictions()
    assert prediction.input["image"].startswith("data:image/png;base64,")


async def test_pictures_of_earlier_responses_are_all_shown_again(gateway: Gateway, simulated: Simulator) -> None:
    async with clients_of(gateway) as (client,):
        id = None
        for colour in ("red", "blue"):
            file = await client.files.create(file=("a.png", red()), purpose="vision")
            parts: Any = [{"type": "input_text", "text": colour}, {"type": "input_image", "file_id": file.id}]
            told: Any = [{"role": "user", "content": parts}]
            id = (await client.responses.create(model="openai/gpt-4o", input=told, previous_response_id=id)).id
        await client.responses.create(model="openai/gpt-4o", input="Which came first?", previous_response_id=id)
    assert str(simulated.last().input).count("data:image/png;base64,") == 2

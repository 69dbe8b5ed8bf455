"""Videos through the official client: begun, watched, kept, listed, remixed and deleted; across restarts and keys."""

import asyncio
import io
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import Video
from PIL import Image

from gateway import filming
from gateway.accounts.budgets import Budgets, Terms
from gateway.accounts.keys import KeyLimits
from gateway.errors import NotFound
from gateway.parts import Gateway
from gateway.recovery import sweep
from gateway.simulator import Settings, Simulator
from tests.adapters.records import record
from tests.opened import clients_of, holds, listens, opened, settled

# The service whose shapes these are is to be closed; its client says so.
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")

VEO = "google/veo-3-fast"
KLING = "kwaivgi/kling-v2.1"
# Its clock runs fast: no deadline shall be over for it.
PATIENT = {"deadline_seconds": 80_000}
ZEROSCOPE = "anotherjesse/zeroscope-v2-xl"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    models = tmp_path_factory.mktemp("models") / "zeroscope.json"
    film = record(ZEROSCOPE)
    models.write_text(json.dumps({**film, "latest_version": {**film["latest_version"], "id": "5" * 64}}), "utf-8")
    with Simulator(Settings(models=models)) as running:
        yield running


@pytest.fixture
async def gateway(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    simulated.reset()
    simulated.clear_scenes()
    simulated.switch(metrics_delay=0.0)
    async with opened(simulated, tmp_path, upstream=PATIENT) as parts:
        yield hasty(parts)


def hasty(parts: Gateway) -> Gateway:
    """Six seconds pass whenever it looks at its clock: nothing that it saw is believed when it is asked again."""
    ticks = itertools.count()
    parts.clock = lambda: time.time() + 6 * next(ticks)
    return parts


async def booked(gateway: Gateway) -> list[Mapping[str, Any]]:
    """Every settlement, once all videos have ended."""
    while await gateway.objects.standing(filming.VIDEO, filming.GOING):
        await filming.watch(gateway)
    return await settled(gateway)


def red() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 0, 0)).save(file, "PNG")
    return file.getvalue()


async def ended(client: AsyncOpenAI, id: str) -> Video:
    async with asyncio.timeout(20):
        while (video := await client.videos.retrieve(id)).status in {"queued", "in_progress"}:
            await asyncio.sleep(0.01)
    return video


async def seen(client: AsyncOpenAI, id: str, progress: int) -> None:
    """It gets as far as this, and was never further."""
    async with asyncio.timeout(20):
        while (video := await client.videos.retrieve(id)).progress < progress:
            await asyncio.sleep(0.01)
    assert (video.progress, video.status) == (progress, "in_progress")


async def test_a_video_is_begun_watched_and_fetched(gateway: Gateway, simulated: Simulator) -> None:
    async with clients_of(gateway) as (client,):
        begun = await client.videos.create(model=VEO, prompt="a kite", seconds="8", size="1280x720")
        assert (begun.object, begun.status, begun.progress, begun.model) == ("video", "queued", 0, VEO)
        assert (begun.seconds, begun.size, begun.prompt, begun.error) == ("8", "1280x720", "a kite", None)
        done = await ended(client, begun.id)
        assert (done.id, done.status, done.progress, done.completed_at is None) == (begun.id, "completed", 100, False)
        assert done.expires_at
        whole = await client.videos.download_content(begun.id)
        assert whole.content[4:8] == b"ftyp"
        assert whole.response.headers["content-type"] == "video/mp4"
        assert whole.response.headers["content-length"] == str(len(whole.content))
        [made] = simulated.predictions()
        told = {name: made.input[name] for name in ("duration", "aspect_ratio", "resolution")}
        assert told == {"duration": 8, "aspect_ratio": "16:9", "resolution": "720p"}
    [line] = await booked(gateway)
    assert (line["prediction"], line["status"], line["error"]) == (made.id, "succeeded", None)


async def test_progress_is_what_the_model_prints_and_asks_upstream_once_a_second(
    gateway: Gateway, simulated: Simulator
) -> None:
    simulated.scene(VEO, "film-stuck")
    async with clients_of(gateway) as (client,):
        begun = await client.videos.create(model=VEO, prompt="a kite")
        await seen(client, begun.id, 30)
        now = gateway.clock()
        gateway.clock = lambda: now
        looks = len(simulated.requests())
        assert [(await client.videos.retrieve(begun.id)).progress for _ in range(5)] == [30] * 5
        assert len(simulated.requests()) <= looks + 1
        await client.videos.delete(begun.id)
    await booked(gateway)


async def test_progress_never_goes_back(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene(VEO, "slow", seconds=0.5)
    async with clients_of(gateway) as (client,):
        id, told = (await client.videos.create(model=VEO, prompt="a kite")).id, [0]
        while told[-1] < 100:
            told.append((await client.videos.retrieve(id)).progress)
    assert told == sorted(told)
    assert set(told) <= set(range(0, 101, 10))


async def test_a_failed_video_says_why(gateway: Gateway, simulated: Simulator) -> None:
    async with clients_of(gateway) as (client,):
        for scene, code, end in (
            ("film-fails", "prediction_failed", "failed"),
            ("nsfw", "content_policy_violation", "failed"),
            ("lost-files", "upstream_error", "succeeded"),
        ):
            simulated.scene(VEO, scene)
            done = await ended(client, (await client.videos.create(model=VEO, prompt="a kite")).id)
            assert (done.status, done.error and done.error.code, done.progress < 100) == ("failed", code, True)
            assert (await booked(gateway))[-1]["status"] == end
            with pytest.raises(openai.BadRequestError, match="There is no video"):
                await client.videos.download_content(done.id)


async def test_ranges_of_a_video_are_sent(gateway: Gateway) -> None:
    async with clients_of(gateway) as (client,):
        id = (await client.videos.create(model=VEO, prompt="a kite")).id
        await ended(client, id)
        whole = (await client.videos.download_content(id)).content

        async def part(wanted: str, **headers: str) -> tuple[int, str | None, bytes]:
            got = await client.videos.download_content(id, extra_headers={"range": wanted, **headers})
            return got.response.status_code, got.response.headers.get("content-range"), got.content

        size = len(whole)
        assert await part("bytes=0-9") == (206, f"bytes 0-9/{size}", whole[:10])
        assert await part("bytes=10-") == (206, f"bytes 10-{size - 1}/{size}", whole[10:])
        assert await part("bytes=-7") == (206, f"bytes {size - 7}-{size - 1}/{size}", whole[-7:])
        assert await part(f"bytes=5-{size + 99}") == (206, f"bytes 5-{size - 1}/{size}", whole[5:])
        for unheeded in ("bytes=0-1,4-5", "lines=1-2", "bytes=9-2", "bytes=-"):
            assert await part(unheeded) == (200, None, whole)
        assert await part("bytes=0-9", **{"if-range": '"another"'}) == (200, None, whole)
        for outside in (f"bytes={size}-", "bytes=-0"):
            with pytest.raises(openai.APIStatusError) as refused:
                await part(outside)
            assert (refused.value.status_code, refused.value.code) == (416, "range_not_satisfiable")
            assert refused.value.response.headers["content-range"] == f"bytes */{size}"
        with pytest.raises(openai.BadRequestError) as refused:
            await client.videos.download_content(id, variant="thumbnail")
        assert (refused.value.param, refused.value.code) == ("variant", "unsupported_parameter")


async def test_a_video_is_its_owners_only_and_found_by_its_team(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene(VEO, "film-stuck")
    await gateway.teams.create("red")
    async with (
        clients_of(gateway, "one", "two") as (one, two),
        clients_of(gateway, "three", "four", team="red") as (a, b),
    ):
        id = (await one.videos.create(model=VEO, prompt="a kite")).id
        for theirs in (two.videos.retrieve, two.videos.download_content, two.videos.delete):
            with pytest.raises(openai.NotFoundError, match=f"No such Video object: {id}"):
                await theirs(id)
        with pytest.raises(openai.NotFoundError):
            await two.videos.remix(id, prompt="another")
        assert (await two.videos.list()).data == []
        for early in (one.videos.download_content(id), one.videos.remix(id, prompt="another")):
            with pytest.raises(openai.BadRequestError) as refused:
                await early
            assert refused.value.code == "video_not_ready"
        assert simulated.last().status != "canceled"
        shared = (await a.videos.create(model=VEO, prompt="a kite")).id
        assert (await b.videos.delete(shared)).deleted
        assert (await one.videos.delete(id)).id == id
        with pytest.raises(openai.NotFoundError):
            await one.videos.retrieve(id)
    ends = [(line["status"], line["error"]) for line in await booked(gateway)]
    assert len(ends) == 2
    assert {status for status, _ in ends} <= {"canceled", "aborted"}
    assert [error for _, error in ends] == [None, None]


async def test_videos_are_listed_page_by_page(gateway: Gateway) -> None:
    async with clients_of(gateway) as (client,):
        made = [(await client.videos.create(model=VEO, prompt=f"kite {n}")).id for n in range(3)]
        assert [video.id async for video in client.videos.list(limit=2)] == made[::-1]
        assert [video.id async for video in client.videos.list(order="asc", after=made[0])] == made[1:]
        page = await client.videos.list(limit=2)
        assert (page.has_more, page.last_id) == (True, made[1])
        with pytest.raises(openai.BadRequestError):
            await client.videos.list(limit=101)
    await booked(gateway)


async def test_a_picture_goes_along_as_a_file_an_id_or_an_address(gateway: Gateway, simulated: Simulator) -> None:
    async with clients_of(gateway) as (client,):
        file = await client.files.create(file=("a.png", red()), purpose="vision")
        await client.videos.create(model=KLING, prompt="wind", input_reference=("a.png", red()))
        for reference in ({"file_id": file.id}, {"image_url": "https://example.com/a"}, "https://example.com/a"):
            asked = {"model": KLING, "prompt": "wind", "input_reference": reference}
            await client.post("/videos", body=asked, cast_to=Video)
        formed = {"input_reference": {"file_id": file.id}}
        await client.videos.create(model=KLING, prompt="wind", extra_body=formed)
        starts = sorted(str(each.input["start_image"])[:22] for each in simulated.predictions())
        assert starts == ["data:image/png;base64,"] * 3 + ["https://example.com/a"] * 2
        with pytest.raises(openai.BadRequestError) as missing:
            await client.videos.create(model=KLING, prompt="wind")
        assert missing.value.param == "input_reference"
        with pytest.raises(openai.BadRequestError) as unknown:
            await client.videos.create(model="black-forest-labs/flux-schnell", prompt="wind")
        assert (unknown.value.code, "/v1/images/generations" in unknown.value.message) == ("unsupported_model", True)
    await booked(gateway)


async def test_a_video_is_remixed_by_a_model_that_takes_one(gateway: Gateway, simulated: Simulator) -> None:
    async with clients_of(gateway) as (client,):
        source = await client.videos.create(model=ZEROSCOPE, prompt="a kite", seconds="4")
        await ended(client, source.id)
        remix = await client.videos.remix(source.id, prompt="at night")
        assert (remix.remixed_from_video_id, remix.prompt, remix.model) == (source.id, "at night", ZEROSCOPE)
        assert (await ended(client, remix.id)).status == "completed"
        given = simulated.last().input["init_video"]
        assert given.startswith(("data:video/mp4;base64,", "http"))
        plain = await client.videos.create(model=VEO, prompt="a kite")
        await ended(client, plain.id)
        with pytest.raises(openai.BadRequestError, match="takes no video"):
            await client.videos.remix(plain.id, prompt="at night")
    await booked(gateway)


@pytest.mark.parametrize("scene", ["unavailable", "throttled"])
async def test_a_model_that_stands_in_is_the_videos_own(simulated: Simulator, tmp_path: Path, scene: str) -> None:
    simulated.reset()
    simulated.clear_scenes()
    simulated.scene(VEO, scene)
    secret = "the operator's own words"
    models = {
        "film": {"model": VEO, "fallbacks": ["gone", "reel"]},
        "gone": {"model": "nobody/nothing"},
        "reel": {"model": ZEROSCOPE, "fixed": {"negative_prompt": secret}},
    }
    hurried: Any = {**PATIENT, "retry_seconds": 0.2}
    async with opened(simulated, tmp_path, upstream=hurried, models=models) as parts:
        async with clients_of(hasty(parts)) as (client,):
            raw = await client.videos.with_raw_response.create(model="film", prompt="a kite")
            begun = raw.parse()
            assert (begun.model, raw.headers["x-repligate-fallback"]) == ("reel", "reel")
            assert (await ended(client, begun.id)).model == "reel"
            remix = await client.videos.remix(begun.id, prompt="at night")
            assert (remix.model, (await ended(client, remix.id)).status) == ("reel", "completed")
            simulated.scene(ZEROSCOPE, "film-fails", error=f"Cannot film without {secret}")
            lost = await ended(client, (await client.videos.create(model="film", prompt="a kite")).id)
            assert lost.error
            assert secret not in lost.error.message
        assert [line["status"] for line in await booked(parts) if line["prediction"]] == [
            *["succeeded"] * 2, "failed",
        ]  # fmt: skip


async def test_a_video_that_fails_once_it_is_begun_is_not_begun_again(simulated: Simulator, tmp_path: Path) -> None:
    simulated.reset()
    simulated.clear_scenes()
    simulated.scene(VEO, "film-fails")
    models = {"film": {"model": VEO, "fallbacks": [ZEROSCOPE]}}
    async with opened(simulated, tmp_path, upstream=PATIENT, models=models) as parts:
        async with clients_of(hasty(parts)) as (client,):
            done = await ended(client, (await client.videos.create(model="film", prompt="a kite")).id)
            assert (done.model, done.status) == ("film", "failed")
        [line] = await booked(parts)
    assert line["status"] == "failed"


async def test_a_video_that_nobody_asks_for_is_kept_before_replicate_deletes_it_and_until_it_expires(
    gateway: Gateway, simulated: Simulator
) -> None:
    async with clients_of(gateway) as (client,):
        id = (await client.videos.create(model=VEO, prompt="a kite")).id
        await simulated.reached("succeeded")
        await filming.watch(gateway)
        late = (await client.videos.create(model=VEO, prompt="a kite")).id
        await simulated.reached("succeeded", simulated.last().id)
        simulated.advance(3601)
        done = await client.videos.retrieve(id)
        assert done.status == "completed"
        assert (await client.videos.download_content(id)).content[4:8] == b"ftyp"
        lost = await ended(client, late)
        assert (lost.status, "gone" in str(lost.error)) == ("failed", True)
        gateway.objects._clock = lambda: float(done.expires_at or 0) + 1
        with pytest.raises(openai.NotFoundError):
            await client.videos.retrieve(id)
        await filming.sweep(gateway)
        with pytest.raises(NotFound):
            await gateway.outputs.read(filming.place(id))


async def test_a_video_outlives_its_gateway_and_is_booked_once(simulated: Simulator, tmp_path: Path) -> None:
    simulated.reset()
    simulated.scene(VEO, "film-slow")
    async with opened(simulated, tmp_path, upstream=PATIENT) as parts:
        _, secret = await parts.keys.create("one")
        async with listens(hasty(parts)) as url, AsyncOpenAI(base_url=f"{url}/v1", api_key=secret) as client:
            id = (await client.videos.create(model=VEO, prompt="a kite", seconds="4")).id
            await simulated.reached("processing")
            before = (await client.videos.retrieve(id)).progress
    async with opened(simulated, tmp_path, upstream=PATIENT) as parts:
        async with listens(hasty(parts)) as url, AsyncOpenAI(base_url=f"{url}/v1", api_key=secret) as client:
            assert (await client.videos.retrieve(id)).progress >= before
            assert (await ended(client, id)).seconds == "4"
            assert (await client.videos.download_content(id)).content[4:8] == b"ftyp"
        await sweep(parts)
        [line] = await booked(parts)
    assert (line["status"], line["error"], line["prediction"]) == ("succeeded", None, simulated.last().id)


async def test_a_video_holds_its_place_until_it_has_ended(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene(VEO, "film-stuck")
    async with clients_of(gateway, limits=KeyLimits(calls_at_once=1)) as (client,):
        id = (await client.videos.create(model=VEO, prompt="a kite")).id
        with pytest.raises(openai.RateLimitError):
            await client.videos.create(model=VEO, prompt="a kite")
        await client.videos.delete(id)
        await booked(gateway)
        await holds(lambda: not gateway.detached)
        await client.videos.delete((await client.videos.create(model=VEO, prompt="a kite")).id)
    await booked(gateway)


async def test_a_video_paid_by_its_seconds_is_held_and_booked_by_them(simulated: Simulator, tmp_path: Path) -> None:
    simulated.reset()
    simulated.clear_scenes()
    row = {"model": VEO, "price": {"per_output_second": 0.1}}
    async with opened(simulated, tmp_path, upstream=PATIENT, models={"film": row}) as parts:
        budgets = Budgets(parts.ledger._store)
        await budgets.set(Terms(scope="everyone", period="total", hard=1_300_000))
        async with clients_of(hasty(parts)) as (client,):
            told = await client.videos.with_raw_response.create(
                model="film", prompt="a kite", seconds="8", extra_headers={"x-repligate-dry-run": "1"}
            )
            assert told.http_response.json()["cost"] == {"low": 0.8, "high": 0.8, "basis": "output seconds"}
            await ended(client, (await client.videos.create(model="film", prompt="a kite", seconds="8")).id)
            with pytest.raises(openai.RateLimitError) as refused:
                await client.videos.create(model="film", prompt="a kite", seconds="6")
            assert refused.value.code == "insufficient_quota"
        [line] = await booked(parts)
        assert (line["cost"], line["basis"]) == (800_000, "output seconds")


async def test_both_clients_poll_to_the_end(gateway: Gateway) -> None:
    async with clients_of(gateway) as (client,):
        done = await client.videos.create_and_poll(model=VEO, prompt="a kite", seconds="4", poll_interval_ms=20)
        assert done.status == "completed"

        def whole() -> bytes:
            with OpenAI(base_url=str(client.base_url), api_key=client.api_key, max_retries=0) as sync:
                video = sync.videos.create_and_poll(model=VEO, prompt="a kite", poll_interval_ms=20)
                assert [each.id for each in sync.videos.list()] == [video.id, done.id]
                content = sync.videos.download_content(video.id).read()
                assert sync.videos.delete(video.id).deleted
                return content

        assert (await asyncio.to_thread(whole))[4:8] == b"ftyp"

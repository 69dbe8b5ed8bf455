"""Responses in the background: queued at once, followed, cancelled, and finished after a restart."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from msgspec.structs import replace
from openai import AsyncOpenAI

from gateway import outcomes
from gateway.draining import drain
from gateway.parts import Gateway
from gateway.remembering import KIND, read
from gateway.simulator import Settings, Simulator
from tests.opened import client_of, holds, opened, settled

LLAMA = "meta/meta-llama-3-70b-instruct"
SPARE = "meta/meta-llama-3-8b-instruct"
STOOD_IN: Any = {"main": {"model": LLAMA, "fallbacks": ["spare"]}, "spare": {"model": SPARE}}
HASTY: Any = {"server": {"drain_seconds": 0.0}, "upstream": {"retry_seconds": 0.3}}


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with Simulator(Settings()) as running:
        yield running


@pytest.fixture(autouse=True)
def anew(simulated: Simulator) -> None:
    simulated.reset()
    simulated.clear_scenes()
    simulated.switch(metrics_delay=0.0)


@pytest.fixture
async def gateway(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with opened(simulated, tmp_path) as parts:
        yield parts


async def over(client: AsyncOpenAI, id: str) -> Any:
    async with asyncio.timeout(30):
        while (response := await client.responses.retrieve(id)).status in {"queued", "in_progress"}:
            await asyncio.sleep(0.02)
    return response


async def test_a_response_is_queued_at_once_and_found_when_it_is_over(gateway: Gateway) -> None:
    async with client_of(gateway) as client:
        queued = await client.responses.create(model=LLAMA, input="Say hello", background=True)
        assert (queued.status, queued.background, queued.output, queued.usage) == ("queued", True, [], None)
        done = await over(client, queued.id)
        assert (done.id, done.status, done.background) == (queued.id, "completed", True)
        assert done.output_text
        assert done.usage
        assert done.completed_at
        again = await client.responses.create(model=LLAMA, input="And?", previous_response_id=done.id)
        assert again.status == "completed"
    lines = await settled(gateway)
    assert [line["status"] for line in lines] == ["succeeded", "succeeded"]


async def test_its_events_can_be_followed_from_anywhere(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene(LLAMA, "slow", times=1)
    async with client_of(gateway) as client:
        seen = []
        stream = await client.responses.create(model=LLAMA, input="Say hello", background=True, stream=True)
        async for event in stream:
            seen.append(event)
            if event.type == "response.output_text.delta":
                break
        await stream.close()
        assert [event.type for event in seen[:3]] == ["response.created", "response.queued", "response.in_progress"]
        id = seen[0].response.id
        rest = await client.responses.retrieve(id, stream=True, starting_after=seen[-1].sequence_number)
        seen += [event async for event in rest]
        assert [event.sequence_number for event in seen] == list(range(len(seen)))
        final = seen[-1].response
        said = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
        assert (seen[-1].type, final.output_text) == ("response.completed", said)
        await settled(gateway)
        gateway.followed.clear()
        replayed = [event async for event in await client.responses.retrieve(id, stream=True)]
        assert replayed[-1].response == final
        assert [event.delta for event in replayed if event.type == "response.output_text.delta"] == [said]


async def test_its_id_is_told_before_its_model_says_anything(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene(LLAMA, "queue", queued=60.0, times=1)
    async with client_of(gateway) as client:
        stream = aiter(await client.responses.create(model=LLAMA, input="Say hello", background=True, stream=True))
        created: Any = await anext(stream)
        queued: Any = await anext(stream)
        assert (created.type, queued.type) == ("response.created", "response.queued")
        assert (queued.response.status, queued.response.output) == ("queued", [])
        assert simulated.last().status == "starting"
        await client.responses.cancel(created.response.id)
        assert [event.type async for event in stream][-1:] != ["response.completed"]
        await settled(gateway)


async def test_cancelling_ends_the_prediction(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene(LLAMA, "never-ends", times=1)
    async with client_of(gateway) as client:
        queued = await client.responses.create(model=LLAMA, input="Say hello", background=True)
        ended = await client.responses.cancel(queued.id)
        assert (ended.id, ended.status) == (queued.id, "cancelled")
        assert (await client.responses.retrieve(queued.id)).status == "cancelled"
        assert (await client.responses.cancel(queued.id)).status == "cancelled"
        [line] = await settled(gateway)
        assert line["status"] == "canceled"
        whole = await client.responses.create(model=LLAMA, input="Say hello")
        with pytest.raises(openai.BadRequestError, match="synchronous"):
            await client.responses.cancel(whole.id)


async def test_deleting_one_that_is_being_made_stops_it(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene(LLAMA, "never-ends", times=1)
    async with client_of(gateway) as client:
        queued = await client.responses.create(model=LLAMA, input="Say hello", background=True)
        await client.responses.delete(queued.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(queued.id)
    [line] = await settled(gateway)
    assert line["status"] == "canceled"


async def test_a_failed_prediction_is_a_failed_response(gateway: Gateway, simulated: Simulator) -> None:
    simulated.scene(LLAMA, "fails", times=1)
    async with client_of(gateway) as client:
        queued = await client.responses.create(model=LLAMA, input="Say hello", background=True)
        done = await over(client, queued.id)
        assert (done.status, done.error and done.error.code) == ("failed", "server_error")
        replayed = [event async for event in await client.responses.retrieve(queued.id, stream=True)]
        assert replayed[-1].type == "response.failed"


@pytest.mark.parametrize("scene", ["unavailable", "fails"])
async def test_a_model_that_stands_in_answers_in_the_background_too(
    simulated: Simulator, tmp_path: Path, scene: str
) -> None:
    simulated.scene(LLAMA, scene)
    async with opened(simulated, tmp_path, models=STOOD_IN, **HASTY) as parts, client_of(parts) as client:
        queued = await client.responses.create(model="main", input="Say hello", background=True)
        done = await over(client, queued.id)
        assert (done.model, done.status) == ("spare", "completed")
        assert done.output_text
        events = [event async for event in await client.responses.retrieve(queued.id, stream=True)]
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert events[-1].response == done
        lines = await settled(parts)
        assert [line["status"] for line in lines if line["prediction"]][-1] == "succeeded"


async def test_a_restart_finds_the_model_that_stands_in(simulated: Simulator, tmp_path: Path) -> None:
    simulated.scene(LLAMA, "fails")
    simulated.scene(SPARE, "queue", queued=1.0)
    async with opened(simulated, tmp_path, models=STOOD_IN, **HASTY) as first:
        _, secret = await first.keys.create("one")
        async with client_of(first, secret) as client:
            queued = await client.responses.create(model="main", input="Say hello", background=True)
            await holds(lambda: {each.model for each in simulated.predictions()} == {LLAMA, SPARE})
        await drain(first)
    async with opened(simulated, tmp_path, models=STOOD_IN, **HASTY) as second:
        async with client_of(second, secret) as client:
            done = await over(client, queued.id)
        assert (done.model, done.status) == ("spare", "completed")
        lines = await settled(second)
        assert sorted(line["status"] for line in lines) == ["failed", "succeeded"]


async def test_inputs_that_a_client_gave_by_their_own_names_are_not_kept(gateway: Gateway) -> None:
    key, secret = await gateway.keys.create("one")
    async with client_of(gateway, secret) as client:
        for asked in ({"background": True}, {"background": False}):
            own = {"replicate": {"prompt_template": "the client's own secret {prompt}"}}
            made = await client.responses.create(model=LLAMA, input="Say hello", extra_body=own, **asked)
            assert (await over(client, made.id)).status == "completed"
            found = await gateway.objects.get(KIND, made.id, [key.id])
            assert found
            assert b"own secret" not in found.body
        await settled(gateway)


async def test_what_another_gateway_notes_meanwhile_takes_no_end_from_it(
    gateway: Gateway, simulated: Simulator
) -> None:
    # What is judged as a whole is told as a whole: no word tells this gateway to look at what is noted.
    whole = {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "not": {"required": ["x"]},
    }
    text: Any = {"format": {"type": "json_schema", "name": "person", "schema": whole}}
    simulated.scene(LLAMA, "queue", queued=1.0, times=1)
    key, secret = await gateway.keys.create("one")
    async with client_of(gateway, secret) as client:
        events: Any = await client.responses.create(
            model=LLAMA, input="My name is Alice", text=text, background=True, stream=True
        )
        id = (await anext(aiter(events))).response.id
        found = await gateway.objects.get(KIND, id, [key.id])
        assert found
        print("STATUS", found.status, simulated.predictions())
        _, noted = await outcomes.noted(gateway, found, replace(read(found).response, status="in_progress"))
        assert noted
        *_, last = [event async for event in events]
        assert last.type == "response.completed"
        assert (await client.responses.retrieve(id)).output_text == last.response.output_text != ""
        await settled(gateway)


async def test_what_another_gateway_cancels_is_not_asked_of_another_model(simulated: Simulator, tmp_path: Path) -> None:
    simulated.scene(LLAMA, "queue", queued=60.0)
    async with opened(simulated, tmp_path, models=STOOD_IN, **HASTY) as parts:
        key, secret = await parts.keys.create("one")
        async with client_of(parts, secret) as client:
            queued = await client.responses.create(model="main", input="Say hello", background=True)
            found = await parts.objects.get(KIND, queued.id, [key.id])
            assert found
            assert await parts.objects.update(found, status="cancelled")
            await parts.upstream.counted().cancel(simulated.last().id)
            [line] = await settled(parts)
            assert (line["status"], line["error"]) == ("canceled", "cancelled")
    assert {each.model for each in simulated.predictions()} == {LLAMA}


async def test_one_cut_at_its_limit_is_not_completed(gateway: Gateway, simulated: Simulator) -> None:
    async with client_of(gateway) as client:
        asked: Any = {"model": LLAMA, "input": "Count to a hundred", "max_output_tokens": 16}
        whole = await client.responses.create(**asked)
        queued = await client.responses.create(**asked, background=True)
        done = await over(client, queued.id)
        assert (done.status, done.completed_at) == (whole.status, whole.completed_at) == ("incomplete", None)
        await settled(gateway)


async def test_it_survives_a_restart_and_is_booked_once(simulated: Simulator, tmp_path: Path) -> None:
    simulated.scene(LLAMA, "slow", times=1)
    async with opened(simulated, tmp_path, **HASTY) as first:
        _, secret = await first.keys.create("one")
        async with client_of(first, secret) as client:
            queued = await client.responses.create(
                model=LLAMA, input="Say hello", instructions="Be kind", background=True, metadata={"a": "b"}
            )
        await drain(first)
    async with opened(simulated, tmp_path, **HASTY) as second:
        async with client_of(second, secret) as client:
            done = await over(client, queued.id)
        assert (done.status, done.instructions, done.metadata) == ("completed", "Be kind", {"a": "b"})
        assert done.output_text
        assert done.usage
        [line] = await settled(second)
        assert line["status"] == "succeeded"
        assert line["tokens_out"] == done.usage.output_tokens

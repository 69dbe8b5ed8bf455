"""A tour with Replicate's own Python client, which takes the simulator for the real thing."""

import io
from collections.abc import Iterator

import pytest
import replicate
from replicate.exceptions import ModelError, ReplicateError
from replicate.webhook import Webhooks

from gateway.simulator import Simulator
from tests.simulator.calls import until
from tests.simulator.hooks import Receiver


@pytest.fixture
def client(simulator: Simulator) -> Iterator[replicate.Client]:
    client = replicate.Client(api_token=simulator.token, base_url=simulator.base_url.removesuffix("/v1"))
    yield client
    client._client.close()


def test_run_answers_text(client: replicate.Client) -> None:
    output = client.run("sim/echo", input={"prompt": "hello you"})
    assert "".join(output) == "hello you"


def test_run_by_version_answers_piece_by_piece(client: replicate.Client) -> None:
    version = client.models.get("sim/community").latest_version
    assert version is not None
    output = client.run(f"sim/community:{version.id}", input={"prompt": "hello"})
    assert "".join(output).startswith('You said: "hello"')


def test_run_answers_files(client: replicate.Client, simulator: Simulator) -> None:
    # The client makes file objects of https and data addresses only; the simulator speaks plain http.
    [url] = client.run("sim/picture", input={"prompt": "a heron"})
    assert url.startswith(simulator.delivery_url)
    simulator.switch(sync_data_urls=True)
    [file] = client.run("sim/picture", input={"prompt": "a heron"})
    assert file.read()[8:12] == b"WEBP"


def test_run_without_blocking_polls(client: replicate.Client, simulator: Simulator) -> None:
    assert "".join(client.run("sim/echo", input={"prompt": "hello"}, wait=False)) == "hello"
    assert simulator.last().polls > 0
    assert simulator.last().prefer is None


def test_stream(client: replicate.Client) -> None:
    events = list(client.stream("sim/echo", input={"prompt": "hello\nyou  there"}))
    assert "".join(str(event) for event in events if event.event.value == "output") == "hello\nyou  there"
    assert events[-1].event.value == "done"


def test_a_failed_stream_raises(client: replicate.Client) -> None:
    said = []
    with pytest.raises(RuntimeError, match="broke down"):
        said.extend(str(event) for event in client.stream("sim/fails-midway", input={"prompt": "hello"}))


async def test_async_run_and_stream(client: replicate.Client) -> None:
    assert "".join(await client.async_run("sim/echo", input={"prompt": "hello"})) == "hello"
    streamed = [str(event) async for event in await client.async_stream("sim/echo", input={"prompt": "hello"})]
    assert "".join(streamed).startswith("hello")
    await client._async_client.aclose()


def test_predictions_are_created_reloaded_waited_for_and_canceled(client: replicate.Client) -> None:
    prediction = client.predictions.create(model="sim/slow", input={"prompt": "x"})
    assert prediction.status == "starting"
    prediction.wait()
    assert (prediction.status, len(prediction.output)) == ("succeeded", 13)
    assert client.predictions.get(prediction.id).metrics["output_token_count"] == 12
    endless = client.predictions.create(model="sim/never-ends", input={"prompt": "x"})
    endless.cancel()
    assert endless.status == "canceled"


async def test_predictions_are_created_listed_waited_for_and_canceled_in_async_code(client: replicate.Client) -> None:
    prediction = await client.predictions.async_create(model="sim/slow", input={"prompt": "x"})
    await prediction.async_wait()
    assert (prediction.status, len(prediction.output)) == ("succeeded", 13)
    endless = await client.predictions.async_create(model="sim/never-ends", input={"prompt": "x"})
    await endless.async_cancel()
    assert (await client.predictions.async_get(endless.id)).status == "canceled"
    assert {one.id for one in await client.predictions.async_list()} == {prediction.id, endless.id}
    assert [model async for page in replicate.async_paginate(client.models.async_list) for model in page.results]
    file = await client.files.async_create(io.BytesIO(b"hello"))
    await client.files.async_delete(file.id)
    await client._async_client.aclose()


def test_output_comes_piece_by_piece_while_it_is_made(client: replicate.Client) -> None:
    prediction = client.predictions.create(model="sim/slow", input={"prompt": "x"})
    pieces = list(prediction.output_iterator())
    assert "".join(pieces) == "".join(client.predictions.get(prediction.id).output)


def test_progress_is_read_from_the_logs(client: replicate.Client) -> None:
    prediction = client.predictions.create(model="black-forest-labs/flux-schnell", input={"prompt": "x"})
    prediction.wait()
    assert prediction.progress is not None
    assert (prediction.progress.percentage, prediction.progress.current, prediction.progress.total) == (1.0, 4, 4)


def test_errors_are_raised_as_the_client_knows_them(client: replicate.Client) -> None:
    with pytest.raises(ModelError, match="broke down"):
        client.run("sim/fails", input={"prompt": "x"})
    with pytest.raises(ReplicateError) as refused:
        client.run("sim/echo", input={"prompt": "x", "max_tokens": 0})
    assert (refused.value.status, refused.value.title) == (422, "Input validation failed")
    with pytest.raises(ReplicateError) as missing:
        client.models.get("no/such")
    assert missing.value.status == 404
    with pytest.raises(ReplicateError) as throttled:
        client.run("sim/throttled", input={"prompt": "x"})
    assert throttled.value.status == 429


def test_an_invalid_token(simulator: Simulator) -> None:
    client = replicate.Client(api_token="r8_invalid", base_url=simulator.base_url.removesuffix("/v1"))
    with pytest.raises(ReplicateError, match="Unauthenticated"):
        client.run("sim/echo", input={"prompt": "x"})
    client._client.close()


def test_files_are_uploaded_as_inputs(client: replicate.Client, simulator: Simulator) -> None:
    picture = client.run("sim/picture", input={"prompt": "x", "image": io.BytesIO(b"not really a picture")})
    assert picture
    assert simulator.last().input["image"].startswith(f"{simulator.base_url}/files/")
    file = client.files.create(io.BytesIO(b"hello"))
    assert client.files.get(file.id).size == 5
    assert file.id in {one.id for one in client.files.list()}
    client.files.delete(file.id)


def test_lists_are_paged(client: replicate.Client) -> None:
    for number in range(101):
        client.predictions.create(model="sim/echo", input={"prompt": str(number)})
    page = client.predictions.list()
    assert (len(page.results), page.previous) == (100, None)
    assert len(client.predictions.list(page.next).results) == 1
    every = [model for page in replicate.paginate(client.models.list) for model in page.results]
    assert len({f"{model.owner}/{model.name}" for model in every}) == len(every) > 40
    assert client.models.search("flux").results[0].name.startswith("flux")


def test_deployments(client: replicate.Client, simulator: Simulator) -> None:
    version = client.models.get("sim/echo").latest_version
    assert version is not None
    created = client.deployments.create(
        name="app", model="sim/echo", version=version.id, hardware="gpu-t4", min_instances=0, max_instances=1
    )
    assert created.current_release.number == 1
    updated = client.deployments.update("simulator", "app", max_instances=2)
    assert updated.current_release.number == 2
    prediction = client.deployments.predictions.create("simulator/app", input={"prompt": "hello"})
    prediction.wait()
    assert "".join(prediction.output) == "hello"
    assert client.deployments.get("simulator/app").current_release.configuration.max_instances == 2
    assert "app" in {deployment.name for deployment in client.deployments.list()}
    simulator.advance(16 * 60)
    assert client.deployments.delete("simulator", "app") is True


def test_trainings(client: replicate.Client) -> None:
    client.models.create("simulator", "mine", visibility="private", hardware="cpu")
    version = client.models.get("ostris/flux-dev-lora-trainer").latest_version
    assert version is not None
    training = client.trainings.create(
        version=f"ostris/flux-dev-lora-trainer:{version.id}",
        input={"input_images": "https://a.example/x.zip"},
        destination="simulator/mine",
    )
    until(lambda: client.trainings.get(training.id).status == "succeeded")
    assert client.trainings.get(training.id).output["version"].startswith("simulator/mine:")
    assert training.id in {one.id for one in client.trainings.list().results}
    training.reload()
    training.cancel()
    assert training.status == "succeeded", "what has ended stays as it is"
    assert len(client.models.get("simulator/mine").versions.list().results) == 1


def test_collections_hardware_and_versions(client: replicate.Client) -> None:
    assert client.collections.get(client.collections.list().results[0].slug).models
    assert client.hardware.list()
    assert client.accounts.current().username == "simulator"
    assert client.models.get("sim/echo").versions.list()


def test_webhooks_are_validated(client: replicate.Client) -> None:
    secret = client.webhooks.default.secret()
    with Receiver() as receiver:
        client.predictions.create(
            model="sim/echo", input={"prompt": "x"}, webhook=receiver.url, webhook_events_filter=["completed"]
        )
        until(lambda: receiver.hooks)
    hook = receiver.hooks[0]
    Webhooks.validate(headers=hook.headers, body=hook.body.decode(), secret=secret)

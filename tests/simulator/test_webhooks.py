"""Webhooks: which are sent, how they are signed, which are tried again."""

from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from gateway.simulator import Simulator
from gateway.simulator.webhooks import signed
from tests.simulator.calls import Api, until
from tests.simulator.hooks import Receiver


def create(api: Api, model: str, url: str, events: list[str] | None = None) -> str:
    body: dict[str, Any] = {"input": {"prompt": "one two three four five"}, "webhook": url}
    if events is not None:
        body["webhook_events_filter"] = events
    reply = api.post(f"/models/{model}/predictions", json=body)
    assert reply.json()["webhook"] == url
    return str(reply.json()["id"])


def test_without_a_filter_outputs_and_the_end_are_told(api: Api) -> None:
    with Receiver() as receiver:
        id = create(api, "sim/slow", receiver.url)
        api.final(id)
        until(lambda: "succeeded" in receiver.statuses)
    assert receiver.hooks[-1].prediction == api.get(f"/predictions/{id}").json()
    assert receiver.hooks[0].path == "/hook?for=me"
    assert receiver.statuses.count("processing") >= 2


def test_outputs_are_told_only_so_often_and_start_and_end_always(api: Api) -> None:
    with Receiver() as receiver:
        api.final(create(api, "sim/slow", receiver.url, ["start", "output", "completed"]))
        until(lambda: "succeeded" in receiver.statuses)
    assert receiver.statuses.count("succeeded") == 1
    # thirteen outputs in a second, at most one in 200 ms
    assert 4 <= len(receiver.hooks) <= 8


@pytest.mark.parametrize(("events", "model", "told"), [
    (["start"], "sim/slow", ["processing"]),
    (["completed"], "sim/slow", ["succeeded"]),
    (["completed"], "sim/fails", ["failed"]),
    (["logs"], "sim/picture", ["processing"]),
    ([], "sim/echo", []),
])  # fmt: skip
def test_only_the_events_asked_for_are_told(
    api: Api, simulator: Simulator, events: list[str], model: str, told: list[str]
) -> None:
    with Receiver() as receiver:
        api.final(create(api, model, receiver.url, events))
        until(lambda: len(simulator.deliveries()) >= len(told))
    assert receiver.statuses == told


def test_a_webhook_is_signed_with_the_accounts_secret(api: Api) -> None:
    secret = api.get("/webhooks/default/secret").json()["key"]
    with Receiver() as receiver:
        create(api, "sim/echo", receiver.url, ["completed"])
        until(lambda: receiver.hooks)
    hook = receiver.hooks[0]
    Webhook(secret).verify(hook.body, hook.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(hook.body + b" ", hook.headers)


def test_the_published_test_vector_is_signed_right() -> None:
    headers = signed(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_end_is_told_again_until_it_is_taken_under_the_same_id(api: Api, simulator: Simulator) -> None:
    with Receiver(500, 404, 200) as receiver:
        create(api, "sim/echo", receiver.url, ["completed"])
        until(lambda: len(receiver.hooks) == 3)
        until(lambda: len(simulator.deliveries()) == 3)
    assert len({hook.headers["webhook-id"] for hook in receiver.hooks}) == 1
    assert [delivery.status for delivery in simulator.deliveries()] == [500, 404, 200]


def test_after_its_last_try_the_end_is_given_up(api: Api, simulator: Simulator) -> None:
    with Receiver(500) as receiver:
        create(api, "sim/echo", receiver.url, ["completed"])
        until(lambda: len(simulator.deliveries()) == 3)
        api.final(create(api, "sim/echo", receiver.url, []))
    assert len(receiver.hooks) == 3


def test_other_events_are_never_told_again(api: Api, simulator: Simulator) -> None:
    with Receiver(500) as receiver:
        api.final(create(api, "sim/echo", receiver.url, ["start"]))
        until(lambda: len(simulator.deliveries()) == 1)
    assert len(receiver.hooks) == 1


def test_a_receiver_that_is_not_there_is_tried_and_noted(api: Api, simulator: Simulator) -> None:
    with Receiver() as receiver:
        url = receiver.url
    create(api, "sim/echo", url, ["completed"])
    until(lambda: len(simulator.deliveries()) == 3)
    assert {delivery.status for delivery in simulator.deliveries()} == {0}


def test_redirects_are_not_followed(api: Api, simulator: Simulator) -> None:
    with Receiver(302) as receiver:
        create(api, "sim/echo", receiver.url, ["completed"])
        until(simulator.deliveries)
    assert [hook.path for hook in receiver.hooks] == ["/hook?for=me"]


def test_webhooks_can_come_twice(api: Api, simulator: Simulator) -> None:
    simulator.switch(duplicate_webhooks=True)
    with Receiver() as receiver:
        create(api, "sim/echo", receiver.url, ["completed"])
        until(lambda: len(receiver.hooks) == 2)
    assert len({hook.headers["webhook-id"] for hook in receiver.hooks}) == 1


@pytest.mark.parametrize(("told", "count"), [(True, 1), (False, 0)])
def test_an_aborted_prediction_tells_its_end_as_switched(
    api: Api, simulator: Simulator, told: bool, count: int
) -> None:
    simulator.switch(aborted_webhook=told)
    simulator.scene("sim/echo", "queue", queued=60)
    with Receiver() as receiver:
        body = {"input": {"prompt": "x"}, "webhook": receiver.url}
        api.post("/models/sim/echo/predictions", json=body, headers={"Cancel-After": "10s"})
        simulator.advance(11)
        until(lambda: len(simulator.deliveries()) == count)
    assert receiver.statuses == ["aborted"] * count


def test_a_training_tells_its_end(api: Api, simulator: Simulator) -> None:
    api.post("/models", json={"owner": "simulator", "name": "mine", "visibility": "private", "hardware": "cpu"})
    version = api.get("/models/ostris/flux-dev-lora-trainer").json()["latest_version"]["id"]
    with Receiver() as receiver:
        api.post(
            f"/models/ostris/flux-dev-lora-trainer/versions/{version}/trainings",
            json={
                "destination": "simulator/mine",
                "input": {"input_images": "https://a.example/x.zip"},
                "webhook": receiver.url,
            },
        )
        until(lambda: "succeeded" in receiver.statuses)
    assert receiver.hooks[-1].prediction["output"]["version"].startswith("simulator/mine:")

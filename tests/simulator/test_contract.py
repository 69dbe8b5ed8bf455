"""Every operation of Replicate's published contract, its answer held to the contract's schema."""

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema_rs
import pytest

from gateway.simulator import Simulator
from gateway.simulator.contract import contract
from gateway.simulator.files import signature
from gateway.simulator.schemas import resolve
from tests.simulator.calls import Api, until

MINE = {"owner": "simulator", "name": "mine", "visibility": "private", "hardware": "cpu"}
TRAINER = "/models/ostris/flux-dev-lora-trainer"

OPERATIONS = {
    described["operationId"]: (method, path, described)
    for path, methods in contract()["paths"].items()
    for method, described in methods.items()
}


def check(operation: str, reply: httpx.Response) -> Any:
    """Hold an answer to what the contract says about its operation; return its JSON."""
    method, path, described = OPERATIONS[operation]
    assert reply.request.method == method.upper()
    pattern = re.sub(r"\{\w+\}", "[^/]+", path)
    assert re.fullmatch(f"/v1{pattern}", reply.request.url.path), reply.request.url
    answers = described["responses"]
    assert str(reply.status_code) in answers, (operation, reply.status_code, reply.text)
    contents = answers[str(reply.status_code)].get("content", {})
    if not contents:
        assert reply.status_code >= 400 or reply.content == b""
        return None
    media_type = reply.headers["content-type"].partition(";")[0]
    assert media_type in contents, (operation, media_type)
    if not media_type.endswith("json"):
        return reply.text
    schema = _sound(resolve(contents[media_type]["schema"], contract()["components"]["schemas"]))
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    problems = [
        f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(reply.json())
    ]
    assert problems == [], operation
    return reply.json()


def _sound(schema: Any) -> Any:
    """Mend the document's one contradiction: `hidden` is a string, so it can never be one of the two *only*."""
    if isinstance(schema, list):
        return [_sound(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {"anyOf" if key == "oneOf" else key: _sound(value) for key, value in schema.items()}


class Tour:
    """Walks through the whole API, remembering which operations were seen."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.seen: set[str] = set()

    def __call__(self, operation: str, path: str, **options: Any) -> Any:
        self.seen.add(operation)
        method = OPERATIONS[operation][0].upper()
        return check(operation, self.api.request(method, path, **options))

    def account(self) -> None:
        self("account.get", "/account")
        self("hardware.list", "/hardware")
        self("webhooks.default.secret.get", "/webhooks/default/secret")

    def discovery(self) -> None:
        slug = self("collections.list", "/collections")["results"][0]["slug"]
        self("collections.get", f"/collections/{slug}")
        self("search", "/search?query=flux")
        self("search", "/search")
        self("models.search", "/models", content="flux", headers={"Content-Type": "text/plain"})

    def models(self) -> None:
        page = self("models.list", "/models")
        self("models.list", page["next"])
        self("models.get", "/models/black-forest-labs/flux-schnell")
        self("models.examples.list", "/models/black-forest-labs/flux-schnell/examples")
        assert "sim/echo" in self("models.readme.get", "/models/sim/echo/readme")
        self("models.create", "/models", json=MINE)
        self("models.readme.get", "/models/simulator/mine/readme")
        self("models.update", "/models/simulator/mine", json={"readme": "# Mine"})
        assert self("models.readme.get", "/models/simulator/mine/readme") == "# Mine"
        version = self("models.versions.list", "/models/sim/echo/versions")["results"][0]["id"]
        self("models.versions.get", f"/models/sim/echo/versions/{version}")

    def predictions(self) -> None:
        inputs = {"input": {"prompt": "hello"}}
        for wait in ({}, {"Prefer": "wait"}, {"Cancel-After": "1m"}):
            self("models.predictions.create", "/models/sim/echo/predictions", json=inputs, headers=wait)
            self("deployments.predictions.create", "/deployments/sim/deployed/predictions", json=inputs, headers=wait)
            made = self("predictions.create", "/predictions", json={"version": "sim/slow", **inputs}, headers=wait)
            self("predictions.get", f"/predictions/{made['id']}")
        hooked = {**inputs, "webhook": "https://a.example/", "webhook_events_filter": ["start"]}
        self("models.predictions.create", "/models/sim/echo/predictions", json=hooked)
        for model in ("sim/picture", "sim/fails", "sim/never-ends"):
            made = self("predictions.create", "/predictions", json={"version": model, **inputs})
            self("predictions.cancel", f"/predictions/{made['id']}/cancel")
            self("predictions.get", f"/predictions/{made['id']}")
        self("predictions.list", "/predictions")

    def deployments(self) -> None:
        version = self.api.get("/models/sim/echo").json()["latest_version"]["id"]
        sizes = {"hardware": "gpu-t4", "min_instances": 0, "max_instances": 1}
        self(
            "deployments.create", "/deployments", json={"name": "app", "model": "sim/echo", "version": version} | sizes
        )
        self("deployments.list", "/deployments")
        self("deployments.get", "/deployments/simulator/app")
        self("deployments.update", "/deployments/simulator/app", json={"max_instances": 2})
        self("deployments.delete", "/deployments/simulator/app")

    def files(self) -> None:
        id = self("files.create", "/files", files={"content": ("x.txt", b"hello", "text/plain")})["id"]
        self("files.list", "/files")
        self("files.get", f"/files/{id}")
        expiry = str(int(time.time()) + 60)
        query = f"owner=simulator&expiry={expiry}&signature={quote(signature('simulator', id, expiry), safe='')}"
        self("files.download", f"/files/{id}/download?{query}")
        self("files.download", f"/files/{id}/download?owner=x&expiry=1&signature=x")
        self("files.delete", f"/files/{id}")
        self("files.delete", f"/files/{id}")
        self("files.get", f"/files/{id}")

    def trainings(self) -> None:
        version = self.api.get(TRAINER).json()["latest_version"]["id"]
        body = {"destination": "simulator/mine", "input": {"input_images": "https://a.example/x.zip"}}
        made = [self("trainings.create", f"{TRAINER}/versions/{version}/trainings", json=body) for _ in range(2)]
        self("trainings.cancel", f"/trainings/{made[0]['id']}/cancel")
        until(lambda: self("trainings.get", f"/trainings/{made[1]['id']}")["status"] == "succeeded")
        self("trainings.list", "/trainings")
        for training in made:
            self("predictions.get", training["urls"]["get"])
            self("predictions.cancel", training["urls"]["cancel"])
        trained = self.api.get("/models/simulator/mine").json()["latest_version"]["id"]
        self("models.versions.delete", f"/models/simulator/mine/versions/{trained}")
        self("models.delete", "/models/simulator/mine")


def test_every_operation_answers_as_the_contract_says(api: Api) -> None:
    tour = Tour(api)
    tour.account()
    tour.discovery()
    tour.models()
    tour.predictions()
    tour.deployments()
    tour.files()
    tour.trainings()
    assert tour.seen == set(OPERATIONS)
    assert len(OPERATIONS) == 37  # thirty-six of the usual verbs, and the search by QUERY


STATES = ["starting", "processing", "succeeded", "failed", "canceled", "aborted", "removed"]


@pytest.fixture
def in_state(api: Api, simulator: Simulator) -> Callable[[str], str]:
    """Bring a prediction into a state and return its id."""

    def bring(state: str) -> str:
        model = {"failed": "sim/fails-midway", "succeeded": "sim/echo", "removed": "sim/picture"}.get(
            state, "sim/never-ends"
        )
        if state in ("starting", "aborted"):
            simulator.scene(model, "queue", queued=100, times=1)
        id = str(api.create(model, {"Cancel-After": "60s"}, prompt="x").json()["id"])
        if state == "aborted":
            simulator.advance(61)
        elif state == "canceled":
            api.post(f"/predictions/{id}/cancel")
        elif state == "removed":
            api.final(id)
            simulator.advance(3700)
        until(lambda: simulator.status(id) == state or state == "removed")
        return id

    return bring


@pytest.mark.parametrize("state", STATES)
def test_a_prediction_keeps_to_the_contract_in_every_state(api: Api, in_state: Any, state: str) -> None:
    shown = check("predictions.get", api.get(f"/predictions/{in_state(state)}"))
    assert shown["status"] == ("succeeded" if state == "removed" else state)
    assert shown["data_removed"] is (state == "removed")


@pytest.mark.parametrize("body", [
    {"webhook": 1}, {"webhook_events_filter": "start"}, {"extra": 1}, {"input": "x"}, {"stream": 1}, {"input": None},
])  # fmt: skip
@pytest.mark.parametrize(
    "path", ["/models/sim/echo/predictions", "/deployments/sim/deployed/predictions", "/predictions"]
)
def test_what_the_contract_forbids_is_refused(api: Api, path: str, body: dict[str, Any]) -> None:
    allowed: dict[str, Any] = {"input": {"prompt": "x"}} | ({"version": "sim/echo"} if path == "/predictions" else {})
    assert api.post(path, json=allowed).status_code == 201
    reply = api.post(path, json=allowed | body)
    assert reply.status_code == 422
    assert reply.json()["title"] == "Input validation failed"
    assert api.post(path, json={}).status_code == 422

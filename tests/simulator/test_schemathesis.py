"""Schemathesis holds the simulator to Replicate's own document, and finds no answer that the document forbids."""

import copy
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import Case, CheckFunction, GenerationMode
from schemathesis.checks import negative_data_rejection, positive_data_acceptance

from gateway.simulator import Settings, Simulator
from gateway.simulator.contract import contract
from gateway.simulator.files import signature
from tests.simulator.calls import Api, until
from tests.simulator.test_contract import MINE, OPERATIONS, TRAINER

Json = dict[str, Any]

TOKEN = "r8_the_only_one"
LATE = "4000000000"
NAMING = ("model_owner", "model_name", "version_id")
QUICKLY = hypothesis.settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
REFUSAL = {
    "description": "What refuses: the document describes three of them, api.md §7.1 the shape of all.",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["detail", "status"],
                "properties": {
                    "title": {"type": "string"},
                    "detail": {"type": "string"},
                    "status": {"type": "integer", "minimum": 400, "maximum": 499},
                    "invalid_fields": {"type": "array", "items": {"required": ["type", "field", "description"]}},
                },
            }
        }
    },
}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Simulator]:
    """A simulator that knows one token, so that it can be seen to ask for it."""
    with Simulator(Settings(tokens=(TOKEN,), training_seconds=0.02, seed=1)) as simulator:
        yield simulator


def mended(document: Json) -> Json:
    """Replicate's document without its two contradictions.

    `version` is said to be *one of* any text and the text `hidden`. Hidden is any text too, so it is never one of the
    two alone; yet it is what Replicate answers for official models. *Any of* the two is what can be meant.

    A download is said to want a token, as everything does by default, and described as signed in place of one.
    """
    sound: Json = _any_of(copy.deepcopy(document))
    sound["paths"]["/files/{file_id}/download"]["get"]["security"] = []
    return sound


def _any_of(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_any_of(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {"anyOf" if key == "oneOf" else key: _any_of(value) for key, value in schema.items()}


class Furnished:
    """A simulator with something of every kind in it, and what one may say to name it."""

    def __init__(self, api: Api) -> None:
        self.api = api
        for name in ("mine", "empty"):
            api.post("/models", json=MINE | {"name": name})
        trainer = self._version(TRAINER)
        training = {"destination": "simulator/mine", "input": {"input_images": "https://a.example/x.zip"}}
        made = api.post(f"{TRAINER}/versions/{trainer}/trainings", json=training).json()["id"]
        until(lambda: api.get(f"/trainings/{made}").json()["status"] == "succeeded")
        file = api.post("/files", files={"content": ("x.txt", b"hello", "text/plain")}).json()["id"]
        models = ("sim/never-ends", "sim/fails-midway", "sim/picture")
        predictions = [api.create(model, prompt="hello").json()["id"] for model in models]
        api.final(predictions[-1])
        echo, mine = self._version("/models/sim/echo"), self._version("/models/simulator/mine")
        self.places = {
            "collection_slug": ["language-models", "nothing"],
            "deployment_owner": ["sim", "simulator"],
            "deployment_name": ["deployed", "nothing"],
            "model_owner": ["sim", "simulator", *TRAINER.split("/")[2:3]],
            "model_name": ["echo", "mine", "empty", *TRAINER.split("/")[3:]],
            "version_id": [echo, mine, trainer],
            "prediction_id": [*predictions, "0" * 26],
            "training_id": [made, "0" * 26],
            "file_id": [file, "nothing"],
            "owner": ["simulator"],
            "expiry": [LATE, "1"],
            "signature": [signature("simulator", file, LATE)],
        }
        deployment = {"model": "sim/echo", "version": echo, "hardware": "cpu", "min_instances": 0, "max_instances": 1}
        said = {"input": {"prompt": "hello"}}
        self.bodies: dict[str, list[Json]] = {
            "deployments.create": [deployment | {"name": name} for name in ("one", "another")],
            "models.create": [MINE | {"name": "other"}, MINE | {"owner": "else"}],
            "predictions.create": [said | {"version": which} for which in ("sim/echo", echo, f"sim/echo:{echo}")],
            "models.predictions.create": [said],
            "deployments.predictions.create": [said, said | {"webhook_events_filter": []}],
            "trainings.create": [training],
        }
        self.only: dict[str, dict[str, str]] = {
            "models.delete": {"model_owner": "simulator", "model_name": "empty"},
            "trainings.create": dict(zip(NAMING, (*TRAINER.split("/")[2:], trainer), strict=True)),
        }

    def _version(self, model: str) -> str:
        return str(self.api.get(model).json()["latest_version"]["id"])

    def document(self) -> Json:
        """The document, with refusals described, and the names of what exists in the place of any text in paths."""
        document = mended(contract()) | {"info": {"title": "Replicate", "version": "1"}}
        for operation in (operation for methods in document["paths"].values() for operation in methods.values()):
            operation["responses"].setdefault("4XX", REFUSAL)
            for parameter in operation.get("parameters", ()):
                if parameter.get("name") in self.places:
                    parameter["schema"] = {"enum": self.places[parameter["name"]]}
        return document

    def sensible(self, operation: str) -> Json:
        """The same, with nothing but requests that mean something for one operation."""
        document = self.document()
        method, path, _ = OPERATIONS[operation]
        described = document["paths"][path][method]
        if operation in self.bodies:
            described["requestBody"]["content"]["application/json"]["schema"] = {"enum": self.bodies[operation]}
        for parameter in described.get("parameters", ()) if operation in self.only else ():
            parameter["schema"] = {"enum": [self.only[operation][parameter["name"]]]}
        return document


@pytest.mark.slow
@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_schemathesis_finds_nothing_that_the_document_forbids(guarded: Simulator, operation: str) -> None:
    guarded.reset()
    with Api(guarded) as api:
        furnished = Furnished(api)
    sound = sent(guarded, furnished.sensible(operation), operation, GenerationMode.POSITIVE)
    allowed = sent(guarded, furnished.document(), operation, GenerationMode.POSITIVE)
    sent(guarded, furnished.document(), operation, GenerationMode.NEGATIVE)
    succeeded = {int(status) for status in OPERATIONS[operation][2]["responses"] if status.startswith("2")}
    assert (sound | allowed) & succeeded, "it was never seen to succeed"


def sent(simulator: Simulator, document: Json, operation: str, mode: GenerationMode) -> set[int]:
    """Send what schemathesis makes up, hold the answers to its checks, and return their statuses."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=simulator.base_url)
    schema.config.generation.allow_extra_parameters = False  # the document forbids none
    statuses: set[int] = set()

    @QUICKLY
    @hypothesis.given(case=schema.find_operation_by_id(operation).as_strategy(generation_mode=mode))
    def answered(case: Case) -> None:
        token = {"Authorization": f"Bearer {TOKEN}"}
        reply = case.call_and_validate(headers=token, excluded_checks=unasked(operation))
        statuses.add(reply.status_code)

    try:
        answered()
    except hypothesis.errors.Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "only where nothing is said can nothing be said wrongly"
    return statuses


def unasked(operation: str) -> list[CheckFunction]:
    """The checks that are not meant for this.

    Not everything the document allows can be accepted: it allows any text for the name of a model. And not every wrong
    request can be refused: an empty list in the place of an upload's `metadata` has no parts, so that nothing arrives,
    and whatever is searched for arrives as text.
    """
    harmless = [negative_data_rejection] if operation in ("files.create", "models.search") else []
    return [positive_data_acceptance, *harmless]

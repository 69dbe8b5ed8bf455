"""Models, versions, collections, search, deployments and trainings."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.simulator import Settings, Simulator
from gateway.simulator.records import UnreadableRecord, shipped
from tests.simulator.calls import Api, until

MINE = {"owner": "simulator", "name": "mine", "visibility": "private", "hardware": "cpu", "description": "My own"}
TRAINER = "ostris/flux-dev-lora-trainer"


def version_of(api: Api, model: str) -> str:
    return str(api.get(f"/models/{model}").json()["latest_version"]["id"])


def test_models_are_listed_in_pages_of_twenty_five(api: Api) -> None:
    seen, url = [], "/models"
    while url:
        page = api.get(url).json()
        seen.append(len(page["results"]))
        url = page["next"]
    assert seen[:-1] == [25] * (len(seen) - 1)
    assert sum(seen) >= 40


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_models_are_sorted_as_asked(api: Api, direction: str) -> None:
    page = api.get("/models", params={"sort_direction": direction}).json()["results"]
    dates = [model["latest_version"]["created_at"] for model in page]
    assert dates == sorted(dates, reverse=direction == "desc")
    assert api.get("/models", params={"sort_by": "popularity"}).status_code == 400


def test_every_class_of_model_is_there() -> None:
    classes: dict[str, int] = {}
    for model in shipped():
        classes[model.ways.plays] = classes.get(model.ways.plays, 0) + 1
    assert sum(classes.values()) >= 40
    assert set(classes) == {
        "text", "picture", "speech", "music", "transcription", "vectors", "video", "value", "verdict",
        "hello", "weights",
    }  # fmt: skip


def test_records_hold_facts_and_no_prose() -> None:
    def texts(value: Any, name: str = "") -> list[tuple[str, str]]:
        if isinstance(value, dict):
            return [found for key, item in value.items() for found in texts(item, key)]
        if isinstance(value, list):
            return [found for item in value for found in texts(item, name)]
        return [(name, value)] if isinstance(value, str) else []

    for model in shipped():
        assert model.latest is not None
        names = {name for name, _ in texts(model.latest.document)}
        assert not names & {"summary", "description"}
        prose = [text for name, text in texts(model.latest.document) if name == "default" and len(text.split()) > 4]
        assert all("{prompt}" in text for text in prose)


def test_a_model_is_found_whatever_its_case(api: Api) -> None:
    model = api.get("/models/Black-Forest-Labs/FLUX-schnell").json()
    assert (model["owner"], model["name"], model["is_official"]) == ("black-forest-labs", "flux-schnell", True)
    assert "simulator" not in model
    assert len(model["latest_version"]["id"]) == 64


def test_examples_point_to_our_own_delivery_host(api: Api, simulator: Simulator) -> None:
    [example] = api.get("/models/black-forest-labs/flux-schnell/examples").json()["results"]
    assert example["output"][0].startswith(simulator.delivery_url)
    assert example == api.get("/models/black-forest-labs/flux-schnell").json()["default_example"]


def test_an_own_model_is_created_changed_and_deleted(api: Api) -> None:
    created = api.post("/models", json=MINE)
    assert (created.status_code, created.json()["latest_version"]) == (201, None)
    assert api.post("/models", json=MINE).status_code == 409
    assert api.get("/models/simulator/mine/readme").status_code == 404
    changed = api.patch("/models/simulator/mine", json={"readme": "# Mine", "description": "Changed"})
    assert changed.json()["description"] == "Changed"
    readme = api.get("/models/simulator/mine/readme")
    assert (readme.text, readme.headers["content-type"]) == ("# Mine", "text/plain; charset=utf-8")
    assert api.delete("/models/simulator/mine").status_code == 204
    assert api.get("/models/simulator/mine").status_code == 404


def test_private_models_are_not_listed(api: Api) -> None:
    api.post("/models", json=MINE)
    assert "mine" not in {model["name"] for model in api.get("/models").json()["results"]}


def test_what_is_not_ones_own_or_is_public_cannot_be_deleted(api: Api) -> None:
    assert api.delete("/models/sim/echo").status_code == 403
    assert api.delete(f"/models/sim/echo/versions/{version_of(api, 'sim/echo')}").status_code == 403
    api.post("/models", json=MINE | {"name": "open", "visibility": "public"})
    assert api.delete("/models/simulator/open").status_code == 400


@pytest.mark.parametrize(
    "body", [{}, MINE | {"name": "a b"}, MINE | {"owner": ""}, MINE | {"visibility": "secret"}, {**MINE, "name": 3}]
)
def test_a_model_that_is_none_is_refused(api: Api, body: dict[str, object]) -> None:
    assert api.post("/models", json=body).status_code == 422


def test_an_address_of_a_model_is_an_address_or_none(api: Api) -> None:
    assert api.post("/models", json=MINE | {"github_url": "__main__"}).json()["invalid_fields"][0]["type"] == "format"
    assert api.post("/models", json=MINE | {"github_url": ""}).json()["github_url"] is None
    assert api.patch("/models/simulator/mine", json={"paper_url": "no"}).status_code == 422


def test_versions_are_listed_and_got(api: Api) -> None:
    id = version_of(api, "sim/echo")
    assert [version["id"] for version in api.get("/models/sim/echo/versions").json()["results"]] == [id]
    version = api.get(f"/models/sim/echo/versions/{id}").json()
    assert set(version) == {"id", "created_at", "cog_version", "openapi_schema"}
    assert api.get(f"/models/sim/echo/versions/{'0' * 64}").status_code == 404


def test_models_are_searched_with_the_query_verb(api: Api, simulator: Simulator) -> None:
    found = api.request("QUERY", "/models", content="flux schnell", headers={"Content-Type": "text/plain"}).json()
    assert found["results"][0]["name"] == "flux-schnell"
    assert found["next"] is None
    assert simulator.requests()[-1].method == "QUERY"
    assert api.request("QUERY", "/models", content="").json()["results"] == []


def test_search_finds_models_without_their_schemas(api: Api) -> None:
    found = api.get("/search", params={"query": "whisper speech", "limit": 3}).json()
    assert found["query"] == "whisper speech"
    assert len(found["models"]) <= 3
    first = found["models"][0]
    assert first["model"]["name"] == "whisper"
    assert first["model"]["default_example"] is None
    assert first["model"]["latest_version"]["openapi_schema"] == {}
    assert 0 < first["metadata"]["score"] <= 1
    assert "speech-to-text" in {collection["slug"] for collection in found["collections"]}


def test_search_wants_no_token_as_the_contract_says(web: httpx.Client, simulator: Simulator) -> None:
    assert web.get(f"{simulator.base_url}/search", params={"query": "flux"}).status_code == 200
    assert web.request("QUERY", f"{simulator.base_url}/models", content="flux").status_code == 401


@pytest.mark.parametrize("limit", ["0", "51", "-1", "many", "", "1.5", "²"])
def test_a_search_for_fewer_than_one_or_more_than_fifty_is_refused(api: Api, limit: str) -> None:
    refused = api.get("/search", params={"query": "flux", "limit": limit})
    assert (refused.status_code, refused.json()) == (400, {"detail": 'Query parameter "limit" must be from 1 to 50'})


def test_collections_hold_models(api: Api) -> None:
    listed = api.get("/collections").json()["results"]
    assert {"name", "slug", "description"} == set(listed[0])
    collection = api.get(f"/collections/{listed[0]['slug']}").json()
    assert collection["models"][0]["latest_version"]
    assert api.get("/collections/nothing").status_code == 404


def test_a_deployment_is_created_changed_used_and_deleted(api: Api, simulator: Simulator) -> None:
    version = version_of(api, "sim/echo")
    body = {
        "name": "app",
        "model": "sim/echo",
        "version": version,
        "hardware": "gpu-t4",
        "min_instances": 0,
        "max_instances": 2,
    }
    created = api.post("/deployments", json=body)
    assert (created.status_code, created.json()["current_release"]["number"]) == (200, 1)
    assert api.post("/deployments", json=body).status_code == 409
    changed = api.patch("/deployments/simulator/app", json={"min_instances": 1}).json()["current_release"]
    assert (changed["number"], changed["configuration"]["min_instances"]) == (2, 1)
    assert api.get("/deployments/simulator/app").json()["current_release"] == changed
    assert "app" in {one["name"] for one in api.get("/deployments").json()["results"]}
    used = api.post("/deployments/simulator/app/predictions", json={"input": {"prompt": "x"}})
    assert used.json()["deployment"] == "simulator/app"
    assert api.delete("/deployments/simulator/app").status_code == 400
    api.patch("/deployments/simulator/app", json={"min_instances": 0})
    simulator.advance(16 * 60)
    assert api.delete("/deployments/simulator/app").status_code == 204
    assert api.get("/deployments/simulator/app").status_code == 404


@pytest.mark.parametrize(
    "change",
    [{"version": "0" * 64}, {"version": "latest"}, {"model": "sim/slow"}, {"min_instances": 6}, {"max_instances": 21}],
)
def test_a_deployment_that_is_none_is_refused(api: Api, change: dict[str, object]) -> None:
    body = {
        "name": "app",
        "model": "sim/echo",
        "version": version_of(api, "sim/echo"),
        "hardware": "gpu-t4",
        "min_instances": 0,
        "max_instances": 2,
    }
    assert api.post("/deployments", json=body | change).status_code == 422


def train(api: Api, destination: str = "simulator/mine", **inputs: object) -> Any:
    version = version_of(api, TRAINER)
    body = {"destination": destination, "input": {"input_images": "https://a.example/x.zip"} | inputs}
    return api.post(f"/models/{TRAINER}/versions/{version}/trainings", json=body)


def test_a_training_ends_in_a_new_version_that_runs(api: Api) -> None:
    api.post("/models", json=MINE)
    created = train(api)
    training = created.json()
    assert (created.status_code, training["status"]) == (201, "starting")
    assert training["urls"]["get"].endswith(f"/v1/predictions/{training['id']}")
    until(lambda: api.get(f"/trainings/{training['id']}").json()["status"] == "succeeded")
    ended = api.get(f"/trainings/{training['id']}").json()
    assert ended["urls"]["get"].endswith(f"/v1/trainings/{training['id']}")
    assert "100%|" in ended["logs"]
    name, _, version = ended["output"]["version"].partition(":")
    assert (name, version) == ("simulator/mine", version_of(api, "simulator/mine"))
    assert api.run("simulator/mine", prompt="x")["status"] == "succeeded"
    assert [one["id"] for one in api.get("/trainings").json()["results"]] == [training["id"]]
    assert api.delete("/models/simulator/mine").status_code == 400
    assert api.delete(f"/models/simulator/mine/versions/{version}").status_code == 202
    assert api.get("/models/simulator/mine").json()["latest_version"] is None


def test_a_training_is_canceled(started: Any) -> None:
    api = started(Settings(training_seconds=30))
    api.post("/models", json=MINE)
    id = train(api).json()["id"]
    canceled = api.post(f"/trainings/{id}/cancel").json()
    assert (canceled["status"], canceled["urls"]["get"].rsplit("/", 2)[1]) == ("canceled", "predictions")
    assert api.get(f"/trainings/{id}").json()["status"] == "canceled"


def test_a_training_is_found_and_canceled_where_its_creation_says(started: Any) -> None:
    api = started(Settings(training_seconds=30))
    api.post("/models", json=MINE)
    urls = train(api).json()["urls"]
    assert api.get(urls["get"]).json()["status"] == "processing"
    assert api.post(urls["cancel"]).json()["status"] == "canceled"
    assert (api.get(urls["get"]).json()["status"], api.get(urls["get"]).json()["output"]) == ("canceled", None)


def test_a_training_needs_an_own_destination_and_a_good_input(api: Api) -> None:
    for destination in ("simulator/nothing", "sim/echo"):
        refused = train(api, destination)
        assert (refused.status_code, refused.json()) == (
            404,
            {"detail": "The specified training destination does not exist", "status": 404},
        )
    api.post("/models", json=MINE)
    assert train(api, steps=1).json()["invalid_fields"][0]["type"] == "number_gte"
    assert api.get("/trainings/nothing").status_code == 404


def test_account_hardware_and_secret(api: Api) -> None:
    assert api.get("/account").json()["username"] == "simulator"
    hardware = api.get("/hardware").json()
    assert {"sku": "gpu-t4", "name": "Nvidia T4 GPU"} in hardware
    assert api.get("/webhooks/default/secret").json()["key"].startswith("whsec_")


def record(name: str, output: dict[str, Any], **properties: Any) -> dict[str, Any]:
    schemas = {"Input": {"type": "object", "properties": properties}, "Output": output}
    version = {
        "id": f"{abs(hash(name)):064x}"[:64],
        "created_at": "2025-01-01T00:00:00Z",
        "cog_version": "0.9",
        "openapi_schema": {"components": {"schemas": schemas}},
    }
    return {"owner": "mine", "name": name, "latest_version": version}


def test_further_records_are_loaded_from_folders_and_lines(tmp_path: Path, started: Any) -> None:
    text = record("talker", {"type": "array", "items": {"type": "string"}}, prompt={"type": "string"})
    picture = record("painter", {"type": "string", "format": "uri"}, prompt={"type": "string"})
    picture["default_example"] = {"output": "https://replicate.delivery/x/out.png", "input": {}}
    (tmp_path / "one.json").write_text(json.dumps(text))
    lines = tmp_path / "more.jsonl"
    lines.write_text(json.dumps(picture) + "\n")
    (tmp_path / "notes.md").write_text("not a record")
    api = started(Settings(models=tmp_path))
    assert "".join(api.run("mine/talker", prompt="hello")["output"]).startswith('You said: "hello"')
    assert api.run("mine/painter", prompt="x")["output"].endswith(".png")


def test_vectors_come_under_the_name_their_example_has(tmp_path: Path, started: Any) -> None:
    embedder = record("embedder", {"type": "object"}, text={"type": "string"})
    embedder["default_example"] = {"input": {}, "output": {"text": "one", "vectors": [0.5] * 16}}
    (tmp_path / "one.json").write_text(json.dumps(embedder))
    output = started(Settings(models=tmp_path)).run("mine/embedder", text="two")["output"]
    assert set(output) == {"text", "vectors"}
    assert (output["text"], len(output["vectors"])) == ("two", 384)


def test_a_file_that_is_no_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{"owner": "x"}')
    with pytest.raises(UnreadableRecord, match=r"broken\.json"):
        Simulator(Settings(models=tmp_path)).start()

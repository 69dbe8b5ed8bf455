"""Creating predictions: routes, the forms of `version`, validation, and the shapes of replies."""

import re
from datetime import datetime

import pytest

from gateway.simulator import Simulator, Switches
from tests.simulator.calls import Api

INVALID_VERSION = {
    "title": "Invalid version or not permitted",
    "detail": "The specified version does not exist (or perhaps you don't have permission to use it?)",
    "status": 422,
}
FRESH_KEYS = [
    "id",
    "model",
    "version",
    "input",
    "logs",
    "output",
    "data_removed",
    "error",
    "status",
    "created_at",
    "urls",
]


def test_a_fresh_prediction_is_starting_and_has_its_keys_in_the_order_of_the_create_service(api: Api) -> None:
    reply = api.create("sim/echo", prompt="hello")
    prediction = reply.json()
    assert reply.status_code == 201
    assert list(prediction) == FRESH_KEYS
    assert (prediction["status"], prediction["output"], prediction["logs"], prediction["error"]) == (
        "starting",
        None,
        "",
        None,
    )
    assert prediction["version"] == "hidden"
    assert re.fullmatch(r"[0-9a-hjkmnp-tv-z]{26}", prediction["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", prediction["created_at"])


def test_recorded_shapes_leave_out_what_is_not_there_yet(api: Api, simulator: Simulator) -> None:
    recorded = Switches.recorded()
    simulator.switch(fresh_output=recorded.fresh_output, null_logs=recorded.null_logs, web_url=recorded.web_url)
    prediction = api.create("sim/echo", prompt="hello").json()
    assert list(prediction) == [key for key in FRESH_KEYS if key not in ("output", "data_removed")]
    assert "web" not in prediction["urls"]
    assert api.final(prediction["id"])["logs"] is None


def test_keys_without_a_value_are_left_out_of_stored_predictions_where_switched(api: Api, simulator: Simulator) -> None:
    ended, begun = api.run("sim/echo", prompt="x"), api.create("sim/never-ends", prompt="x").json()
    assert {key for key, value in ended.items() if value is None} == {"error", "webhook_completed"}
    simulator.switch(omit_nulls=True)
    for one in (ended, begun):
        stored = api.get(f"/predictions/{one['id']}").json()
        assert None not in stored.values()
        assert "error" not in stored
    assert set(ended) - set(api.get(f"/predictions/{ended['id']}").json()) == {"error", "webhook_completed"}


def test_a_stored_prediction_has_microseconds_metrics_and_everything_else(api: Api) -> None:
    prediction = api.final(api.create("sim/echo", prompt="hello you").json()["id"])
    assert prediction["status"] == "succeeded"
    assert prediction["output"] == ["hello", " you", ""]
    assert prediction["metrics"]["input_token_count"] == 2
    assert prediction["metrics"]["output_token_count"] == 2
    assert re.fullmatch(r".*\.\d{6}Z", prediction["completed_at"])
    created, completed = (datetime.fromisoformat(prediction[key]) for key in ("created_at", "completed_at"))
    assert prediction["metrics"]["total_time"] == pytest.approx((completed - created).total_seconds(), abs=2e-6)
    assert prediction["source"] == "api"
    assert "deadline" not in prediction
    assert prediction["webhook_completed"] is None


def test_input_comes_back_sorted_and_without_defaults(api: Api) -> None:
    created = api.create("sim/echo", temperature=0.5, prompt="x").json()
    assert list(created["input"].items()) == [("prompt", "x"), ("temperature", 0.5)]


def test_the_three_forms_of_version_run_official_models(api: Api) -> None:
    version = api.get("/models/sim/echo").json()["latest_version"]["id"]
    for form in ("sim/echo", f"sim/echo:{version}", version):
        reply = api.post("/predictions", json={"version": form, "input": {"prompt": "x"}})
        assert (reply.status_code, reply.json()["model"]) == (201, "sim/echo")


def test_a_community_model_runs_by_version_only(api: Api) -> None:
    version = api.get("/models/sim/community").json()["latest_version"]["id"]
    by_version = api.post("/predictions", json={"version": version, "input": {"prompt": "x"}})
    assert (by_version.status_code, by_version.json()["version"]) == (201, version)
    by_route = api.create("sim/community", prompt="x")
    assert by_route.status_code == 404
    assert by_route.json() == {"detail": "The requested resource could not be found.", "status": 404}
    assert api.post("/predictions", json={"version": "sim/community", "input": {"prompt": "x"}}).status_code == 422


@pytest.mark.parametrize("version", ["sim/echo:latest", "0" * 64, "sim/slow:{id}", "nonsense", "", "no/such"])
def test_a_version_that_does_not_exist_is_refused_with_422(api: Api, version: str) -> None:
    id = api.get("/models/sim/echo").json()["latest_version"]["id"]
    reply = api.post("/predictions", json={"version": version.replace("{id}", id), "input": {"prompt": "x"}})
    assert (reply.status_code, reply.json()) == (422, INVALID_VERSION)


def test_a_model_with_its_version_in_the_path_is_not_found(api: Api) -> None:
    version = api.get("/models/sim/echo").json()["latest_version"]["id"]
    assert api.post(f"/models/sim/echo:{version}/predictions", json={"input": {"prompt": "x"}}).status_code == 404


def test_a_deployment_runs_its_version_and_is_named_in_the_prediction(api: Api) -> None:
    reply = api.post("/deployments/sim/deployed/predictions", json={"input": {"prompt": "x"}})
    assert (reply.status_code, reply.json()["deployment"], reply.json()["model"]) == (201, "sim/deployed", "sim/echo")
    assert api.post("/deployments/sim/nothing/predictions", json={"input": {"prompt": "x"}}).status_code == 404


def test_a_body_is_held_to_the_published_contract(api: Api) -> None:
    reply = api.post("/predictions", json={"model": "sim/echo", "input": {"prompt": "x"}})
    assert reply.status_code == 422
    assert reply.headers["content-type"].startswith("application/problem+json")
    assert reply.json()["detail"] == (
        "- (root): version is required\n- (root): Additional property model is not allowed\n"
    )


@pytest.mark.parametrize(
    "field", [{"webhook": 3}, {"webhook_events_filter": ["finished"]}, {"stream": "yes"}, {"input": []}]
)
def test_every_field_of_a_body_has_its_type(api: Api, field: dict[str, object]) -> None:
    body = {"input": {"prompt": "x"}} | field
    assert api.post("/models/sim/echo/predictions", json=body).status_code == 422


def test_the_obsolete_stream_field_is_taken_and_changes_nothing(api: Api) -> None:
    reply = api.post("/models/sim/echo/predictions", json={"input": {"prompt": "x"}, "stream": True})
    assert reply.status_code == 201


def test_a_body_that_is_no_json_is_refused(api: Api) -> None:
    assert api.post("/models/sim/echo/predictions", content=b"{").status_code == 400


def test_input_is_held_to_the_models_schema_problem_by_problem(api: Api) -> None:
    reply = api.create(
        "black-forest-labs/flux-schnell", num_inference_steps=9, aspect_ratio="7:1", seed="one", num_outputs=0
    )
    assert reply.json() == {
        "detail": (
            "- input: prompt is required\n"
            "- input.aspect_ratio: input.aspect_ratio must be one of the following: "
            '"1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21"\n'
            "- input.num_inference_steps: Must be less than or equal to 4\n"
            "- input.num_outputs: Must be greater than or equal to 1\n"
            "- input.seed: Invalid type. Expected: integer, given: string\n"
        ),
        "status": 422,
        "title": "Input validation failed",
        "invalid_fields": reply.json()["invalid_fields"],
    }
    kinds = [field["type"] for field in reply.json()["invalid_fields"]]
    assert kinds == ["required", "enum", "number_lte", "number_gte", "invalid_type"]


def test_a_file_input_must_be_an_address(api: Api) -> None:
    reply = api.create("sim/picture", prompt="x", image="not an address")
    assert reply.json()["invalid_fields"][0]["type"] == "format"
    assert api.create("sim/picture", prompt="x", image="data:image/png;base64,AAAA").status_code == 201


def test_inputs_the_schema_does_not_know_are_refused_or_ignored_as_switched(api: Api, simulator: Simulator) -> None:
    assert api.create("sim/echo", prompt="x", wit=3).json()["invalid_fields"][0] == {
        "type": "additional_property_not_allowed",
        "field": "input",
        "description": "Additional property wit is not allowed",
    }
    simulator.switch(unknown_inputs="ignore")
    assert api.create("sim/echo", prompt="x", wit=3).status_code == 201


def test_secrets_are_redacted_in_replies(api: Api) -> None:
    reply = api.create("openai/gpt-image-1", prompt="x", openai_api_key="sk-secret")
    assert reply.json()["input"]["openai_api_key"] == "[REDACTED]"
    assert "sk-secret" not in api.get(f"/predictions/{reply.json()['id']}").text


def test_a_location_header_is_sent_where_switched(api: Api, simulator: Simulator) -> None:
    assert "location" not in api.create("sim/echo", prompt="x").headers
    simulator.switch(location_header=True)
    reply = api.create("sim/echo", prompt="x")
    assert reply.headers["location"] == reply.json()["urls"]["get"]


def test_predictions_are_listed_newest_first_in_pages_of_a_hundred(api: Api) -> None:
    ids = [api.create("sim/echo", prompt=str(number)).json()["id"] for number in range(103)]
    first = api.get("/predictions").json()
    assert [one["id"] for one in first["results"]] == ids[:2:-1]
    assert first["previous"] is None
    second = api.get(first["next"]).json()
    assert [one["id"] for one in second["results"]] == ids[2::-1]
    assert second["next"] is None
    assert api.get(second["previous"]).json()["results"][0]["id"] == ids[-1]


@pytest.mark.parametrize("cursor", ["", "x", "cD0tNQ==", "cD14", "é"])  # the middle two say p=-5 and p=x
def test_a_cursor_that_is_none_is_refused(api: Api, cursor: str) -> None:
    refused = api.get("/predictions", params={"cursor": cursor})
    assert (refused.status_code, refused.json()["detail"]) == (400, "Invalid cursor")


def test_the_list_can_be_cut_by_time_and_source(api: Api) -> None:
    first = api.final(api.create("sim/echo", prompt="1").json()["id"])
    second = api.final(api.create("sim/echo", prompt="2").json()["id"])
    after = api.get("/predictions", params={"created_after": first["created_at"]}).json()["results"]
    assert [one["id"] for one in after] == [second["id"]]
    before = api.get("/predictions", params={"created_before": second["created_at"]}).json()["results"]
    assert [one["id"] for one in before] == [first["id"]]
    assert api.get("/predictions", params={"source": "web"}).json()["results"] == []
    assert api.get("/predictions", params={"created_after": "yesterday"}).status_code == 400


def test_secrets_and_schemes_of_the_token_header(api: Api, simulator: Simulator) -> None:
    for scheme in ("Bearer", "bearer", "Token", "TOKEN"):
        assert api.get("/account", headers={"Authorization": f"{scheme} anything"}).status_code == 200


def test_the_version_of_official_models_is_shown_as_switched(api: Api, simulator: Simulator) -> None:
    version = api.get("/models/sim/echo").json()["latest_version"]["id"]
    for shown, expected in (("hidden", "hidden"), ("internal", f"dp-{version[:32]}"), ("real", version)):
        simulator.switch(official_version=shown)
        assert api.create("sim/echo", prompt="x").json()["version"] == expected

"""What users of other gateways complain of where money is concerned: each complaint, and the test that fails on it."""

import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from gateway.accounts.budgets import Terms
from gateway.app import HANDLERS
from gateway.parts import Gateway
from gateway.simulator import Simulator
from tests.opened import listens, opened, settled

TESTS = Path(__file__).parents[1]
COMPLAINTS = {
    "a model goes on, and is paid for, when its client has left": (
        "journeys/test_leaving.py::test_a_client_that_leaves_mid_stream_has_its_prediction_cancelled_within_a_second",
        "journeys/test_leaving.py::test_a_client_that_leaves_a_whole_reply_has_its_prediction_cancelled",
    ),
    "nobody can choose to let it end": (
        "spine/test_leaving.py::test_a_drained_call_goes_on_to_its_end_and_keeps_its_place_until_then",
        "spine/test_leaving.py::test_a_detached_call_is_booked_by_whoever_finds_its_end",
    ),
    "who leaves is not booked, or holds something for ever": (
        "spine/test_leaving_at_every_await.py::test_a_call_left_at_any_await_leaves_nothing_behind",
        "gateway/accounts/test_budgets.py::test_whoever_leaves_while_money_is_being_held_gets_it_back",
    ),
    "a fallback is paid twice, or not at all": (
        "spine/test_rounds.py::test_another_model_answers_where_the_first_is_not_to_be_had",
    ),
    "calls at once are counted up and never down": (
        "spine/test_places_return.py::test_a_call_left_at_any_await_gives_its_place_back",
    ),
    "a budget is stale, and refuses who has money left": (
        "gateway/accounts/test_histories.py::test_after_any_history_budgets_say_what_is_settled_and_what_is_held",
        "gateway/accounts/test_budgets.py::test_a_window_that_ended_is_shown_as_new_before_anyone_spends_in_it",
        "gateway/accounts/test_budgets.py::test_a_gateway_whose_clock_is_far_ahead_ends_no_budget_for_ever",
    ),
    "requests that come together pass a budget together": (
        "gateway/accounts/test_budgets.py::test_two_hundred_calls_that_race_for_the_money_of_ten_get_ten",
    ),
    "as many gateways, as many budgets": (
        (
            "gateway/accounts/test_budgets.py::"
            "test_several_processes_never_spend_more_than_there_is_and_never_stand_in_each_others_way"
        ),
        "replicas/test_trouble.py::test_racing_through_two_gateways_spends_no_more_than_the_budget",
    ),
    "some endpoints know no budgets": (
        "spine/test_what_gateways_get_wrong_with_money.py::test_no_endpoint_spends_what_a_budget_has_not",
    ),
    "a stream, or an alias, costs nothing or something else": (
        "spine/test_budgets.py::test_streams_and_whole_answers_count_alike_and_the_call_too_many_is_never_created",
        "spine/test_what_gateways_get_wrong_with_money.py::test_an_alias_costs_what_its_model_costs_streamed_or_not",
    ),
    "budgets of single models do not hold": (
        "gateway/accounts/test_budgets.py::test_a_model_is_meant_by_the_clients_name_and_by_its_ref",
    ),
    "prices are wrong, and an unknown one is zero": (
        "gateway/accounts/test_prices.py::test_what_a_finished_prediction_costs",
        "gateway/accounts/test_prices.py::test_replicates_own_billing_example_is_exact",
        "spine/test_budgets.py::test_a_cost_nobody_foresees_is_never_in_silence",
    ),
    "an admin key spends past every budget": (
        "spine/test_roles.py::test_an_admin_key_cannot_spend_by_accident_on_any_endpoint",
    ),
    "a rolling restart loses what was spent": (
        "replicas/test_trouble.py::test_a_rolling_restart_under_load_loses_nothing",
        "gateway/accounts/test_ledger.py::test_a_killed_process_loses_nothing_it_was_told_is_written",
    ),
    "a database that is away stops everything, or loses what was spent": (
        (
            "gateway/accounts/test_journaling.py::"
            "test_what_is_spent_while_the_books_are_away_is_in_them_once_when_they_are_back"
        ),
        "replicas/test_trouble.py::test_calls_go_on_while_every_connection_to_postgresql_is_cut_again_and_again",
    ),
    "sums grow slower with every call": (
        "gateway/accounts/test_exports.py::test_a_large_ledger_is_never_in_memory_whole",
    ),
    "keys are seen in logs and errors": (
        "journeys/test_secrets.py::test_no_log_line_tells_a_prompt_an_output_a_key_or_the_token",
        "journeys/test_secrets.py::test_no_error_tells_a_prompt_a_key_or_the_token",
        "gateway/accounts/test_keys.py::test_a_refusal_never_shows_the_whole_key",
    ),
    "a key's header reaches the database as a statement": (
        "gateway/accounts/test_keys.py::test_no_garbage_gets_in_or_breaks_anything",
    ),
    "a retry is paid for again": (
        "api/test_intents.py::test_an_official_client_that_gives_up_and_tries_again_pays_once",
    ),
}
"""Tests below `tests/`."""

HELLO = [{"role": "user", "content": "Hello"}]


def _png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 0, 0)).save(file, "PNG")
    return file.getvalue()


FILE, SOUND = {"image": ("a.png", _png(), "image/png")}, {"file": ("a.wav", b"RIFF\0\0\0\0WAVEfmt ", "audio/wav")}
CALLS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"json": {"model": "sim/echo", "messages": HELLO}},
    "/v1/completions": {"json": {"model": "sim/echo", "prompt": "Hello"}},
    "/v1/responses": {"json": {"model": "sim/echo", "input": "Hello"}},
    "/v1/embeddings": {"json": {"model": "replicate/all-mpnet-base-v2", "input": "Hello"}},
    "/v1/moderations": {"json": {"model": "meta/meta-llama-guard-2-8b", "input": "Hello"}},
    "/v1/images/generations": {"json": {"model": "sim/picture", "prompt": "a kite"}},
    "/v1/images/edits": {
        "data": {"model": "black-forest-labs/flux-kontext-pro", "prompt": "a kite"},
        "files": FILE,
    },
    "/v1/images/variations": {"data": {"model": "nightmareai/real-esrgan"}, "files": FILE},
    "/v1/audio/speech": {"json": {"model": "jaaari/kokoro-82m", "input": "Hello", "voice": "alloy"}},
    "/v1/audio/transcriptions": {"data": {"model": "openai/whisper"}, "files": SOUND},
    "/v1/audio/translations": {"data": {"model": "openai/whisper"}, "files": SOUND},
    "/v1/videos": {"json": {"model": "google/veo-3-fast", "prompt": "a kite"}},
}
"""A request to each endpoint that makes predictions."""
FREE = ("/v1/files", "/v1/uploads", "/v1/videos/{", "/v1/responses/", "/v1/chat/completions/")
"""What makes none, but for another video's remix, whose first one was paid for in the same way."""


@pytest.fixture
async def gateway(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Gateway]:
    simulated.reset()
    models = {"nick": {"model": "sim/echo", "aliases": ["gpt-4o"], "price": {"per_run": 0.01}}}
    async with opened(simulated, tmp_path, models=models) as parts:
        yield parts


async def asked(gateway: Gateway, path: str, **request: Any) -> httpx.Response:
    _, secret = await gateway.keys.create("test")
    headers = {"authorization": f"Bearer {secret}"}
    async with listens(gateway) as url, httpx.AsyncClient(base_url=url, timeout=30, headers=headers) as client:
        return await client.post(path, **request)


@pytest.mark.parametrize("path", CALLS)
async def test_no_endpoint_spends_what_a_budget_has_not(gateway: Gateway, simulated: Simulator, path: str) -> None:
    await gateway.budgets.set(Terms(scope="everyone", period="total", hard=0))
    reply = await asked(gateway, path, **CALLS[path])
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "insufficient_quota"), reply.text
    assert simulated.predictions() == []
    assert await settled(gateway) == []


def test_every_endpoint_that_makes_predictions_is_asked() -> None:
    posts = {path for each in HANDLERS if "POST" in each.http_methods for path in each.paths if path.startswith("/v1/")}
    assert {path for path in posts if not path.startswith(FREE)} == set(CALLS)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["nick", "gpt-4o", "sim/echo"])
async def test_an_alias_costs_what_its_model_costs_streamed_or_not(gateway: Gateway, model: str, stream: bool) -> None:
    reply = await asked(gateway, "/v1/chat/completions", json={"model": model, "messages": HELLO, "stream": stream})
    assert reply.status_code == 200
    assert [line["cost"] for line in await settled(gateway)] == [10_000]


@pytest.mark.parametrize("complaint", COMPLAINTS)
def test_every_complaint_has_its_test(complaint: str) -> None:
    for told in COMPLAINTS[complaint]:
        path, name = told.split("::")
        assert re.search(rf"def {name}\(", (TESTS / path).read_text("utf-8")), told

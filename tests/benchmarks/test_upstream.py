"""The upstream that everything is measured against is no kinder than Replicate was recorded."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks import peers
from benchmarks.peers import Origin

INPUT = {"input": {"prompt": "Hi"}}


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    with peers.upstream(Path(tmp_path_factory.mktemp("upstream"))) as origin:
        yield origin


@pytest.fixture
def replicate(origin: Origin) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=origin.url) as client:
        yield client


def test_a_create_that_does_not_wait_knows_no_output(replicate: httpx.Client) -> None:
    made = replicate.post("/v1/models/bench/tokens-3-1/predictions", json=INPUT)
    assert made.status_code == 201
    assert made.json()["status"] == "starting"
    assert "output" not in made.json()
    assert made.json()["input"] == {"prompt": "Hi"}


def test_a_create_that_waits_has_the_output_but_no_end_and_no_metrics(replicate: httpx.Client) -> None:
    made = replicate.post("/v1/models/bench/wait-5/predictions", json=INPUT, headers={"prefer": "wait"}).json()
    assert made["status"] == "processing"
    assert "".join(made["output"]) == "Hello there, how are you today?"
    assert not {"completed_at", "metrics"} & made.keys()
    record = replicate.get(made["urls"]["get"]).json()
    assert record["status"] == "succeeded"
    assert record["metrics"]["output_token_count"] == 8


def test_a_create_that_waits_too_short_knows_no_output(replicate: httpx.Client) -> None:
    made = replicate.post("/v1/models/bench/picture-9000/predictions", json=INPUT, headers={"prefer": "wait=1"}).json()
    assert made["status"] == "starting"
    assert "output" not in made


def test_a_late_record_is_final_after_its_output(replicate: httpx.Client) -> None:
    made = replicate.post("/v1/models/bench/late-5/predictions", json=INPUT, headers={"prefer": "wait"}).json()
    record = replicate.get(made["urls"]["get"]).json()
    while record["status"] == "processing":
        assert record["output"]
        assert not record["metrics"]
        record = replicate.get(made["urls"]["get"]).json()
    assert record["metrics"]


def test_every_token_of_a_stream_is_an_event_with_its_id(replicate: httpx.Client) -> None:
    made = replicate.post("/v1/models/bench/tokens-3-1/predictions", json=INPUT).json()
    hello, *events, rest = replicate.get(made["urls"]["stream"]).text.split("\n\n")
    assert hello == ": hi"
    assert not rest
    named = [dict(line.split(": ", 1) for line in event.splitlines()) for event in events]
    assert [event["event"] for event in named] == ["output"] * 4 + ["done"]
    assert [event["id"].partition(":")[2] for event in named] == ["0", "1", "2", "3", "4"]
    assert [bool(event["data"]) for event in named] == [True, True, True, False, True]


def test_it_counts_what_it_is_asked_and_not_who_asks_for_the_count(origin: Origin, replicate: httpx.Client) -> None:
    before = origin.asked()
    replicate.get("/v1/models/bench/wait-0")
    assert (origin.asked(), origin.asked()) == (before + 1, before + 1)

"""What scripts may rely on of the command line."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.translate import KINDS
from gateway import cli
from tests.served import ROOT, Served

RECORD = {
    "owner": "acme",
    "name": "talker",
    "latest_version": {
        "id": "a" * 64,
        "openapi_schema": {
            "components": {
                "schemas": {
                    "Input": {
                        "type": "object",
                        "required": ["prompt"],
                        "properties": {
                            "prompt": {"type": "string", "x-order": 0},
                            "max_new_tokens": {"type": "integer", "minimum": 1, "maximum": 100, "x-order": 1},
                        },
                    },
                    "Output": {
                        "type": "array",
                        "items": {"type": "string"},
                        "x-cog-array-type": "iterator",
                        "x-cog-array-display": "concatenate",
                    },
                }
            }
        },
    },
}
CHAT = {"model": "x", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 500, "logit_bias": {"1": 1}}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def command(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        told = {**os.environ, "REPLIGATE_DATA_DIR": str(tmp_path / "data"), **environ}
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *words], cwd=ROOT, env=told, text=True, capture_output=True, timeout=60
        )
        assert "Traceback" not in done.stderr
        return done

    return command


def test_a_key_stands_alone_on_the_last_line(run: Run) -> None:
    made = run("keys", "create", "ada")
    secret = made.stdout.splitlines()[-1]
    assert made.returncode == 0
    assert secret.startswith("sk-")
    told = json.loads(run("keys", "create", "bob", "--json").stdout)
    assert told["key"].startswith(told["prefix"])
    listed = json.loads(run("keys", "list", "--json").stdout)
    assert [key["name"] for key in listed] == ["ada", "bob"]
    assert secret not in run("keys", "list").stdout


def test_a_key_is_revoked_by_name_and_an_unknown_one_is_one_clear_line(run: Run) -> None:
    run("keys", "create", "ada")
    assert "ada" in run("keys", "revoke", "ada").stdout
    assert json.loads(run("keys", "list", "--json").stdout)[0]["state"] == "revoked"
    unknown = run("keys", "revoke", "bob")
    assert unknown.returncode == 1
    assert len(unknown.stderr.splitlines()) == 1


def test_a_key_is_made_with_a_policy_and_shown_with_it(run: Run) -> None:
    words = (
        "--owner",
        "Ada",
        "--team",
        "red",
        "--tag",
        "a",
        "--tag",
        "b",
        "--model",
        "sim/*",
        "--endpoint",
        "/v1/chat/*",
    )
    run("teams", "create", "red")
    made = json.loads(run("keys", "create", "ada", *words, "--expires", "2099-01-31T12:00", "--json").stdout)
    shown = json.loads(run("keys", "show", "ada", "--json").stdout)
    assert shown == {name: value for name, value in made.items() if name != "key"}
    assert (shown["owner"], shown["team"], shown["tags"]) == ("Ada", "red", ["a", "b"])
    assert (shown["models"], shown["endpoints"]) == (["sim/*"], ["/v1/chat/*"])
    assert shown["expires_at"] == "2099-01-31T12:00:00+00:00"
    table = run("keys", "show", made["key"]).stdout
    assert "2099-01-31" in table
    assert made["key"] not in table


def test_a_key_is_made_with_limits_of_its_own(run: Run) -> None:
    words = ("--requests-per-minute", "3", "--tokens-per-minute", "0")
    run("keys", "create", "ada", *words, "--json")
    shown = json.loads(run("keys", "show", "ada", "--json").stdout)
    assert shown["limits"] == {"requests_per_minute": 3, "tokens_per_minute": 0}
    run("keys", "create", "bob", "--json")
    assert json.loads(run("keys", "show", "bob", "--json").stdout)["limits"] is None
    assert "-1 is not in the range" in run("keys", "create", "eve", "--calls-at-once", "-1").stderr


def test_a_team_is_made_changed_blocked_and_forgotten(run: Run) -> None:
    made = json.loads(run("teams", "create", "red", "--name", "Rot", "--requests-per-minute", "3", "--json").stdout)
    assert (made["id"], made["name"], made["limits"]) == ("red", "Rot", {"requests_per_minute": 3})
    run("teams", "update", "red", "--tokens-per-minute", "9", "--requests-per-minute", "default")
    shown = json.loads(run("teams", "show", "red", "--json").stdout)
    assert (shown["name"], shown["limits"]) == ("Rot", {"tokens_per_minute": 9})
    assert "Blocked the team 'red'" in run("teams", "block", "red").stdout
    assert "blocked" in run("teams", "list").stdout
    assert json.loads(run("teams", "unblock", "red", "--json").stdout)["state"] == "active"
    assert "did you mean 'red'" in run("teams", "show", "rde").stderr
    assert run("teams", "delete", "red").returncode == 0
    assert json.loads(run("teams", "list", "--json").stdout) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("keys", "create", "x", "--expires", "soon"), "is no time"),
        (("keys", "create", "x", "--expires", "2020-01-01"), "is in the past"),
        (("keys", "create", "x", "--team", "red"), "There is no team 'red'"),
        (("keys", "rotate", "x", "--overlap", "1 hour"), "is no duration"),
        (("keys", "rotate", "x"), "There is no key 'x'"),
        (("keys", "show", "x"), "There is no key 'x'"),
    ],
)
def test_what_a_key_cannot_be_told_is_refused(run: Run, words: tuple[str, ...], says: str) -> None:
    refused = run(*words)
    assert refused.returncode != 0
    assert says in refused.stderr
    assert json.loads(run("keys", "list", "--json").stdout) == []


def test_a_duration_is_counted_from_now(run: Run) -> None:
    made = json.loads(run("keys", "create", "ada", "--expires", "30d", "--json").stdout)
    created, expires = (datetime.fromisoformat(made[name]) for name in ("created_at", "expires_at"))
    assert abs(expires - created - timedelta(days=30)) < timedelta(minutes=1)


def test_what_is_done_to_a_key_holds_while_the_server_runs(own_gateway: Served) -> None:
    def status(secret: str) -> int:
        return httpx.get(f"{own_gateway.base_url}/models", headers={"authorization": f"Bearer {secret}"}).status_code

    def becomes(secret: str, wanted: int) -> None:
        deadline = time.monotonic() + 2
        while status(secret) != wanted:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def told(*words: str) -> dict[str, str]:
        return json.loads(own_gateway.command("keys", *words, "--json"))

    first = told("create", "ada")["key"]
    assert status(first) == 200
    told("block", "ada")
    becomes(first, 401)
    told("unblock", "ada")
    becomes(first, 200)
    second = told("rotate", "ada", "--overlap", "1h")["key"]
    assert (status(first), status(second)) == (200, 200)
    third = told("rotate", "ada")["key"]
    becomes(second, 401)
    assert (status(first), status(third)) == (200, 200)
    assert told("revoke", "ada")["state"] == "revoked"
    becomes(first, 401)
    becomes(third, 401)


def test_a_key_is_kept_to_the_models_and_endpoints_it_was_made_with(own_gateway: Served, own_simulator: Any) -> None:
    words = ("keys", "create", "ada", "--model", "sim/e*", "--endpoint", "/v1/chat/*", "--json")
    secret = json.loads(own_gateway.command(*words))["key"]
    talk = {"messages": [{"role": "user", "content": "Hi"}]}
    with httpx.Client(
        base_url=own_gateway.base_url, headers={"authorization": f"Bearer {secret}"}, timeout=30
    ) as client:
        for path, body in (
            ("/chat/completions", {"model": "sim/slow", **talk}),
            ("/images/generations", {"model": "sim/echo", "prompt": "a kite"}),
        ):
            refused = client.post(path, json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
        assert own_simulator.predictions() == []
        assert client.post("/chat/completions", json={"model": "sim/echo", **talk}).status_code == 200


def test_translate_knows_every_kind() -> None:
    assert set(cli.KINDS) == set(KINDS)


def test_translate_prints_one_json_line_a_record(run: Run, tmp_path: Path) -> None:
    request, single, many = tmp_path / "request.json", tmp_path / "one.json", tmp_path / "many.jsonl"
    request.write_text(json.dumps(CHAT))
    single.write_text(json.dumps(RECORD))
    many.write_text("\n".join(json.dumps({**RECORD, "name": name}) for name in ("one", "two")))
    done = run("translate", "chat", "--models", str(single), "--request", str(request))
    told = json.loads(done.stdout)
    assert (told["model"], told["ignored"], told["adjusted"]) == ("acme/talker", ["logit_bias"], ["max_tokens"])
    assert [prepared["max_new_tokens"] for prepared in told["inputs"]] == [100]
    lines = run("translate", "chat", "--models", str(many), "--request", str(request)).stdout.splitlines()
    assert [json.loads(line)["model"] for line in lines] == ["acme/one", "acme/two"]
    folder = run("translate", "images", "--models", str(tmp_path / "."), "--request", str(request)).stdout
    assert all("error" in json.loads(line) for line in folder.splitlines())


PRICED = """
[models.own]
model = "acme/own"
price = { per_run = 0.01, tiers = [{ when = { with_audio = true }, per_output_second = 0.000225 }] }
"""
UNPRICED = """
[models.free]
model = "acme/free"
[models.dated]
model = "recraft-ai/recraft-v3"
"""


def test_the_price_check_names_what_cannot_be_relied_on(run: Run, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(PRICED)
    bad.write_text(PRICED + UNPRICED)
    passed = run("prices", "check", "--config", str(good))
    assert (passed.returncode, passed.stdout) == (0, "All 1 configured models have a price to rely on.\n")
    failed = run("prices", "check", "--config", str(bad), "--json")
    assert failed.returncode == 1
    assert {line["model"]: line["problems"] for line in json.loads(failed.stdout)} == {
        "free": ["no price"],
        "dated": ["uncertain", "older than a year"],
    }
    table = run("prices", "check", "--config", str(bad), COLUMNS="200").stdout
    assert "no price" in table
    assert "own" not in table


def test_prices_are_listed_with_who_says_so(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(PRICED + UNPRICED)
    lines = {
        line["model"]: line for line in json.loads(run("prices", "list", "--config", str(config), "--json").stdout)
    }
    assert list(lines)[:3] == ["own", "free", "dated"]
    assert (lines["own"]["source"], lines["own"]["price"]["per_run"]) == ("config.toml", 0.01)
    assert (lines["dated"]["confidence"], lines["dated"]["date"]) == ("uncertain", "2025")
    assert lines["free"]["price"] is None
    assert "openai/whisper" in lines
    assert "recraft-ai/recraft-v3" not in lines
    table = run("prices", "list", "--config", str(config), COLUMNS="300").stdout
    assert "$0.01 per run; $0.000225 per output second where with_audio is true" in table


def test_what_the_operator_must_mend_is_one_line(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[server]\nprot = 1\n")
    for words in (("serve",), ("check",), ("keys", "list"), ("usage",), ("prices", "check")):
        done = run(*words, "--config", str(config))
        assert done.returncode == 1
        assert "did you mean 'port'" in done.stderr
    assert run("check", "--config", str(tmp_path / "none.toml")).returncode == 1
    alone = run("serve", "--port", "0", REPLICATE_API_BASE_URL="http://127.0.0.1:9/v1", REPLICATE_API_TOKEN="")
    assert "REPLICATE_API_TOKEN" in alone.stderr


def test_help_and_version_are_there(run: Run) -> None:
    for words in (
        (),
        ("serve",),
        ("simulate",),
        ("keys",),
        ("keys", "create"),
        ("usage",),
        ("prices", "check"),
        ("translate",),
        ("check",),
    ):
        assert "Usage:" in run(*words, "--help").stdout
    assert run("--version").stdout.startswith("repligate ")


def test_a_table_in_a_pipe_is_not_cut(run: Run) -> None:
    run(
        "keys",
        "create",
        "a-name-that-is-longer-than-most-people-would-choose",
        "--owner",
        "an-owner-with-a-long-name-too",
    )
    heading, row = run("keys", "list").stdout.splitlines()
    assert "…" not in heading + row
    assert "a-name-that-is-longer-than-most-people-would-choose" in row
    assert "an-owner-with-a-long-name-too" in row

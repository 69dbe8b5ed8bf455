"""What scripts may rely on of the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.served import ROOT

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

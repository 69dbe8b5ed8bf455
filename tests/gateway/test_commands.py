"""What the command line owes whoever runs it: a line in the audit log, a start without the server, words completed."""

import json
import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from gateway.cli import main
from tests.served import ROOT

Told = Callable[..., Any]

CHANGES: Mapping[str, tuple[str, ...]] = {
    "teams create": ("red", "--metadata", "place=Oslo"),
    "teams update": ("red", "--name", "Rot", "--metadata", "place=Bergen", "--metadata", "floor=2"),
    "teams block": ("red",),
    "teams unblock": ("red",),
    "keys create": ("ada", "--team", "red", "--weight", "30", "--priority", "high"),
    "keys update": ("ada", "--owner", "Ada", "--weight", "default"),
    "keys block": ("ada",),
    "keys unblock": ("ada",),
    "keys rotate": ("ada", "--overlap", "1h"),
    "keys revoke": ("ada",),
    "budgets set": ("--everyone", "--hard", "5"),
    "budgets remove": ("BUDGET",),
    "teams delete": ("blue",),
    "ledger prune": ("--before", "2020-01-01", "--yes"),
}
"""Each command that changes who may do what, in an order in which all of them can."""
READS = {
    "audit", "budgets list", "check", "completion", "db status", "keys list", "keys show", "ledger export",
    "prices check", "prices list", "serve", "simulate", "teams list", "teams show", "translate", "usage",
}  # fmt: skip
MENDS = {"budgets check", "db upgrade", "ledger check"}
"""These bring sums and tables to what the books say; what they find wrong and mend is in the audit log."""


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """What a command of ours printed in JSON."""

    def run(*words: str) -> Any:
        environ = {"REPLIGATE_DATA_DIR": str(tmp_path / "data")}
        done = CliRunner().invoke(main, [*words, "--json"], env=environ, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return run


def commands(group: click.Group = main, words: tuple[str, ...] = ()) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield " ".join((*words, name))


def test_every_command_that_changes_something_leaves_its_line_in_the_audit_log(told: Told) -> None:
    assert set(commands()) == CHANGES.keys() | READS | MENDS, "a new command is told of here"
    told("teams", "create", "blue")
    for command, words in CHANGES.items():
        thing, act = command.split()
        before = len(told("audit", "--limit", "1000"))
        budget = told("budgets", "list")[0]["id"] if "BUDGET" in words else ""
        told(thing, act, *(budget if word == "BUDGET" else word for word in words))
        done = told("audit", "--limit", "1000")[: -before or None]
        named = f"{thing.removesuffix('s')}.{act}"
        assert {(line["act"], line["actor"]) for line in done} == {(named, "operator")}, command


def test_what_is_mended_is_told_and_in_the_audit_log(told: Told, tmp_path: Path) -> None:
    told("budgets", "set", "--everyone", "--hard", "5")
    with closing(sqlite3.connect(tmp_path / "data" / "repligate.db")) as books, books:
        books.execute("UPDATE budgets SET spent = 7")
        books.execute("INSERT INTO totals VALUES (20000, 'key_1', '', 'fast', 1, 1, 0, 0, 1, 2, 3, 0, 4, 5)")
    (sums,) = told("ledger", "check", "--repair")["differences"]
    assert (sums["day"], sums["missing"]["cost"]) == ("2024-10-04", -5)
    assert len(told("budgets", "check", "--repair")) == 1
    assert told("ledger", "check", "--repair") == {"differences": [], "repaired": False}
    assert told("budgets", "check", "--repair") == []
    assert [line["act"] for line in told("audit")] == ["budget.repair", "ledger.repair", "budget.set"]


def test_a_teams_facts_are_set_and_stay_until_they_are_set_again(told: Told) -> None:
    assert told("teams", "create", "red", "--metadata", "place=Oslo")["metadata"] == {"place": "Oslo"}
    assert told("teams", "update", "red", "--name", "Rot")["metadata"] == {"place": "Oslo"}
    assert told("teams", "update", "red", "--metadata", "floor=2")["metadata"] == {"floor": "2"}


def test_weight_and_priority_are_said_of_keys_and_teams_and_taken_back(told: Told) -> None:
    share = {"weight": 30, "priority": "high"}
    said = ("--weight", "30", "--priority", "high")
    assert told("teams", "create", "red", *said)["limits"] == share
    assert told("keys", "create", "ada", "--team", "red", *said)["limits"] == share
    assert told("keys", "update", "ada", "--weight", "default")["limits"] == {"priority": "high"}
    assert told("teams", "update", "red", "--priority", "low")["limits"] == {"weight": 30, "priority": "low"}
    assert told("keys", "show", "ada")["team_limits"] == {"weight": 30, "priority": "low"}


def test_keys_are_listed_without_starting_what_the_server_needs(tmp_path: Path) -> None:
    script = (
        "import sys; from gateway.cli import main\n"
        "try: main(['keys', 'list'])\n"
        "finally: print(sorted({'litestar', 'aiohttp', 'httpx', 'uvicorn', 'PIL', 'obstore'} & set(sys.modules)))"
    )
    environ = {**os.environ, "REPLIGATE_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environ, text=True, capture_output=True)
    assert done.stdout.splitlines() == ["There are no keys yet.", "[]"], done.stderr


@pytest.mark.parametrize(
    ("line", "found"),
    [("te", ["teams"]), ("keys ro", ["rotate"]), ("ledger export --format ", ["csv", "jsonl"])],
)
def test_a_shell_completes_commands_options_and_choices(tmp_path: Path, line: str, found: list[str]) -> None:
    ours = tmp_path / "repligate"
    ours.write_text(f"#!{sys.executable}\nfrom gateway.__main__ import main\nmain()\n")
    ours.chmod(0o755)
    words = ["repligate", *line.split(" ")]
    script = (
        'eval "$(repligate completion bash)"; '
        f"COMP_WORDS=({' '.join(words)} ''); COMP_CWORD={len(words) - 1}; "
        '_repligate_completion repligate; echo "${COMPREPLY[@]}"'
    )
    path = f"{tmp_path}:{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", script], env=environ, text=True, capture_output=True, cwd=tmp_path)
    assert done.stdout.split() == found, done.stderr


def _all_of(terminal: int) -> str:
    """What was written to a terminal until nobody had it open any more."""
    written = bytearray()
    with suppress(OSError):
        while piece := os.read(terminal, 65_536):
            written += piece
    os.close(terminal)
    return written.decode(errors="replace")


@pytest.mark.parametrize("words", [("db", "upgrade"), ("ledger", "export")])
def test_how_far_it_is_shows_on_a_terminal_alone_and_never_in_what_is_printed(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    environ = {**os.environ, "REPLIGATE_DATA_DIR": str(tmp_path / "data"), "TERM": "xterm", "COLUMNS": "80"}
    command = [sys.executable, "-m", "gateway", *words]
    reader, terminal = pty.openpty()
    shown = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=terminal)
    os.close(terminal)
    bar = _all_of(reader)
    printed, _ = shown.communicate()
    quiet = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True)
    assert (shown.returncode, quiet.returncode, quiet.stderr) == (0, 0, b"")
    assert "━" in bar
    assert b"\x1b" not in printed + quiet.stdout

"""The log tells where things went wrong, and nothing that a client wrote."""

import json
import subprocess
import sys

import pytest
import structlog

from gateway.config import LogConfig
from gateway.log import configure
from tests.served import ROOT

PROMPT = "canary-7f3a9"


def failing() -> None:
    try:
        raise KeyError(PROMPT)
    except KeyError as first:
        raise ValueError(PROMPT) from first


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_trace_tells_places_and_types_and_no_words(capsys: pytest.CaptureFixture[str], form: str) -> None:
    configure(LogConfig(format=form))  # type: ignore[arg-type]
    try:
        failing()
    except ValueError as wrong:
        structlog.get_logger().error("failed", exc_info=wrong)
    structlog.reset_defaults()
    told = capsys.readouterr().err
    assert PROMPT not in told
    assert "KeyError" in told
    assert "ValueError" in told
    assert "test_log.py" in told


def test_what_looks_like_a_secret_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogConfig(format="json"))
    structlog.get_logger().info("odd", reason="sk-abcdefghijk was sent with r8_abcdefghijk")
    structlog.reset_defaults()
    assert json.loads(capsys.readouterr().err)["reason"] == "sk-*** was sent with r8_***"


def test_loggers_may_have_names(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogConfig(format="json"))
    structlog.get_logger("stamina").warning("again")
    structlog.reset_defaults()
    assert json.loads(capsys.readouterr().err)["event"] == "again", "a library that sends again says so by its own"


def test_a_log_that_nobody_reads_any_more_fails_no_call() -> None:
    program = """
import os
import structlog
from gateway.config import LogConfig
from gateway.log import configure
configure(LogConfig(format="json"))
read, write = os.pipe()
os.close(read)
os.dup2(write, 2)
for _ in range(3):
    structlog.get_logger().info("call")
print("answered")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "answered\n"

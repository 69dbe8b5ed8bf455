"""One line per call, for people or machines; prompts, outputs, keys and tokens never."""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, Self, TextIO

import msgspec
import structlog

from gateway.config import LogConfig

_SECRET = re.compile(r"\b(sk-|r8_|whsec_)[A-Za-z0-9_\-+/=]{6,}")

Event = MutableMapping[str, Any]


def configure(config: LogConfig) -> None:
    """Sets the level and the form for this process; `auto` is for people on a terminal and JSON elsewhere."""
    people = config.format == "console" or (config.format == "auto" and sys.stderr.isatty())
    level = getattr(logging, config.level.upper())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _traced,
            *((_masked, structlog.dev.ConsoleRenderer()) if people else (_rendered,)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Lines(sys.stderr).itself,
        cache_logger_on_first_use=False,
    )
    for name in ("uvicorn.error", "aiohttp", "httpx", "stamina", "alembic"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


class _Lines:
    """A stream of lines that may end: a log that nobody reads any more, or that finds no room, fails no call."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def itself(self, *names: object) -> Self:
        """For each event, and that of one stream for all of them."""
        return self

    def write(self, line: str) -> None:
        try:
            # In one piece, for threads write, too.
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass

    debug = info = warning = error = critical = write


def _traced(logger: object, method: str, event: Event) -> Event:
    """Where a surprise came from and of what type it is; what it says may quote a client, and stays out."""
    wrong, told = event.pop("exc_info", None), list[str]()
    while isinstance(wrong, BaseException):
        told = ["".join(traceback.format_tb(wrong.__traceback__)) + type(wrong).__qualname__, *told]
        wrong = wrong.__cause__ or (None if wrong.__suppress_context__ else wrong.__context__)
    return {**event, "exception": "\n\n".join(told)} if told else event


def _masked(logger: object, method: str, event: Event) -> Event:
    """The second line of defence: whatever looks like a secret is cut to its prefix."""
    return {key: _SECRET.sub(r"\1***", value) if isinstance(value, str) else value for key, value in event.items()}


def _rendered(logger: object, method: str, event: Event) -> str:
    """The event in JSON. Few have anything in them that begins as a secret does: only those are looked through."""
    line = _json(event)
    if b"sk-" in line or b"r8_" in line or b"whsec_" in line:
        line = _json(_masked(logger, method, event))
    return line.decode()


_json = msgspec.json.Encoder(enc_hook=str).encode

"""One line per call, for people or machines; prompts, outputs, keys and tokens never."""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog

from gateway.config import LogConfig

_SECRET = re.compile(r"\b(sk-|r8_|whsec_)[A-Za-z0-9_\-+/=]{6,}")


def configure(config: LogConfig) -> None:
    """Sets the level and the form for this process; `auto` is for people on a terminal and JSON elsewhere."""
    people = config.format == "console" or (config.format == "auto" and sys.stderr.isatty())
    level = getattr(logging, config.level.upper())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _traced,
            _masked,
            structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    for name in ("uvicorn.error", "aiohttp", "httpx", "stamina", "alembic"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _traced(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Where a surprise came from and of what type it is; what it says may quote a client, and stays out."""
    wrong, told = event.pop("exc_info", None), list[str]()
    while isinstance(wrong, BaseException):
        told = ["".join(traceback.format_tb(wrong.__traceback__)) + type(wrong).__qualname__, *told]
        wrong = wrong.__cause__ or (None if wrong.__suppress_context__ else wrong.__context__)
    return {**event, "exception": "\n\n".join(told)} if told else event


def _masked(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The second line of defence: whatever looks like a secret is cut to its prefix."""
    return {key: _SECRET.sub(r"\1***", value) if isinstance(value, str) else value for key, value in event.items()}


def _json(event: object, **options: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()

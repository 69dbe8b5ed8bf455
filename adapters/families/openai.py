"""OpenAI's structured model: its schema stands in a wrapper, and its tools are those of another endpoint."""

from typing import Any

from adapters.base import Adapter
from adapters.chat import ChatAdapter
from adapters.schema import Schema
from adapters.wire.replicate import Inputs
from adapters.wire.tools import ResponseFormat


def _wrapped(value: Any, schema: Schema) -> Inputs:
    wanted: ResponseFormat = value
    named = wanted.json_schema
    if named is None or "json_schema" not in schema:
        return {}
    return {"json_schema": {"format": {"type": "json_schema", "name": named.name, "schema": named.schema or {}}}}


FAMILY: tuple[Adapter, ...] = (
    ChatAdapter(models=("openai/gpt-5-structured",), table={"response_format": _wrapped}, native=False),
)

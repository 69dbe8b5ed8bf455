"""Writes docs/parameters.md from the code: `python -m tests.docs.parameters`.

Every field of a request is given to two models, one that has an input for everything and one that has only what it
cannot do without; what the adapter then prepares is what the page says.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from adapters.base import Prepared
from adapters.errors import InvalidRequest
from adapters.schema import Schema
from adapters.translate import KINDS
from adapters.wire.base import decode

PAGE = Path(__file__).parents[2] / "docs" / "parameters.md"
OPENAI: Mapping[str, list[str]] = msgspec.json.decode((Path(__file__).parent / "openai_fields.json").read_bytes())
"""The fields of each endpoint's request in OpenAI's document."""

HEAD = """# Parameters

What becomes of every field of OpenAI's requests, written from the code by `python -m tests.docs.parameters` and held
to it by a test. *able* is a model that has an input for everything, *bare* one that has only what it cannot do without.
→ names the inputs that a field goes to; *ignored* is named in `x-repligate-ignored`; *refused* is status 400 that names
it; *here* is done by the gateway for any model; *required* goes to the model's own input for it. The rules behind it
are in [models.md](models.md).
"""


class Probe(NamedTuple):
    """A kind's least request, a value for each further field that asks for something, and what must stand beside it."""

    endpoint: str
    kind: str
    body: Mapping[str, Any]
    samples: Mapping[str, Any]
    able: Schema
    bare: Schema
    beside: Mapping[str, Mapping[str, Any]] = {}
    here: frozenset[str] = frozenset()
    """Fields that the gateway answers for before any adapter is asked."""


def schema(output: Mapping[str, Any], required: tuple[str, ...] = (), **inputs: str | Mapping[str, Any]) -> Schema:
    """A model's schema of inputs by name: a JSON type, `image` or `file` for an address of one, or a whole property."""
    properties = {name: _property(kind) for name, kind in inputs.items()}
    document = {"Input": {"properties": properties, "required": list(required)}, "Output": output}
    return Schema.parse({"components": {"schemas": document}})


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(_table(probe) for probe in probes())])


def probes() -> list[Probe]:
    """One for each endpoint that runs a model."""
    from tests.docs.probes import PROBES

    return list(PROBES)


def fate(probe: Probe, field: str, model: Schema) -> str:
    """What becomes of a field that asks for something."""
    if field in probe.body:
        return "required"
    if field in probe.here:
        return "here"
    without = {**probe.body, **probe.beside.get(field, {})}
    try:
        base = _prepared(probe, without, model)
    except InvalidRequest:
        return "refused"
    try:
        told = _prepared(probe, {**without, field: probe.samples[field]}, model)
    except InvalidRequest:
        return "refused"
    if any(name.split(".")[0] == field for name in told.ignored):
        return "ignored"
    changed = _changed(base, told)
    return f"→ {', '.join(f'`{name}`' for name in changed)}" if changed else "here"


def _table(probe: Probe) -> str:
    rows = [
        f"| `{field}` | {fate(probe, field, probe.able)} | {fate(probe, field, probe.bare)} |"
        for field in OPENAI[probe.endpoint]
    ]
    return "\n".join([f"## `POST {probe.endpoint}`", "", "| field | able | bare |", "|---|---|---|", *rows, ""])


def _prepared(probe: Probe, body: Mapping[str, Any], model: Schema) -> Prepared:
    chosen = KINDS[probe.kind]
    request = decode(msgspec.json.encode(body), chosen.request)
    adapter: Any = chosen.adapter()
    prepared: Prepared = adapter.prepare(request, model)
    return prepared


def _changed(base: Prepared, told: Prepared) -> list[str]:
    """The inputs that differ, in the model's order; none where only the number of predictions does."""
    first, second = base.inputs[0], told.inputs[0]
    return [name for name in {**second, **first} if first.get(name) != second.get(name)]


def _property(kind: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(kind, str):
        return {"type": "string", "format": "uri"} if kind in ("image", "file") else {"type": kind}
    return kind


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")

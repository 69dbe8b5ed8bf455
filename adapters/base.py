"""What all adapters share: which models, which rules, and what preparing yields."""

from collections.abc import Callable, Mapping
from typing import Any, Self

from msgspec import Struct, field
from msgspec.structs import replace

from adapters.schema import Schema
from adapters.wire.replicate import Inputs

Rule = Callable[[Any, Schema], Inputs]
"""The inputs a value becomes in this model; {} if it has no place there."""

Table = Mapping[str, Rule]
"""Client parameter → rule."""


class Prepared(Struct, frozen=True):
    """One input per prediction to run, and what the client should know of the way there."""

    inputs: tuple[Inputs, ...]
    ignored: tuple[str, ...] = ()
    adjusted: tuple[str, ...] = ()


class Stamp(Struct, frozen=True):
    """What a pure adapter must be told: the reply's id, its unix second, and the model name to echo."""

    id: str
    created: int
    model: str


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator may say of one model, without code."""

    model: str
    aliases: tuple[str, ...] = ()
    rename: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    template: str | None = None


class Adapter(Struct, frozen=True, kw_only=True):
    """Which models (globs over owner/name), and what differs from the kind's standard table.

    Precedence of inputs, lowest first: `defaults`, the row's defaults, the client, the row's fixed inputs.
    """

    models: tuple[str, ...] = ("*",)
    table: Table = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    row: Row | None = None

    def amended(self, row: Row | None) -> Self:
        """This adapter, with what the operator's row says on top."""
        return replace(self, row=row) if row else self

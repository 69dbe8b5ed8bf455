"""What all adapters share: which models, which rules, and what preparing yields."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

from msgspec import Struct, field
from msgspec.structs import replace

from adapters.formats import Format
from adapters.functions import Tools
from adapters.schema import Schema
from adapters.wire.replicate import Inputs

Rule = Callable[[Any, Schema], Inputs]
"""The inputs a value becomes in this model; {} if it has no place there."""

Table = Mapping[str, Rule]
"""Client parameter → rule."""


class Adjusted(dict[str, Any]):
    """Inputs that a rule returns when they come close to what was asked, and no closer."""


class Reading(Struct, frozen=True, kw_only=True):
    """What preparing knows and reading the answers needs.

    `stops` end a text and are not part of it. `limit` is in completion tokens; `cut` says that the model was not
    told of it, so the text is cut here. `counts` are the images wanted of each prediction; `last` takes them from
    the end of what came. `thinking` says that the text begins inside the model's thoughts. `tools` may be called in
    the text, and `format` is what it must have. `places` are the client's items that each prediction is about.
    `seconds` is how long what comes will play.
    """

    stops: tuple[str, ...] = ()
    limit: int | None = None
    cut: bool = False
    counts: tuple[int, ...] = ()
    last: bool = False
    thinking: bool = False
    tools: Tools | None = None
    format: Format | None = None
    places: tuple[tuple[int, ...], ...] = ()
    seconds: float | None = None

    @property
    def plain(self) -> bool:
        """Whatever comes is the answer, to its own end: nothing in it is watched for, and nothing ends it here."""
        return not (self.stops or self.cut or self.tools or self.format)


class Mask(Struct, frozen=True):
    """An input that is a mask: the colour that this model redraws, and whether only the transparency of what stands
    there counts, because it is the picture itself."""

    redrawn: Literal["white", "black"]
    transparent: bool = False


class Prepared(Struct, frozen=True):
    """One input per prediction to run, and what the client should know of the way there. `origins` says which of the
    client's parameters an input came from."""

    inputs: tuple[Inputs, ...]
    ignored: tuple[str, ...] = ()
    adjusted: tuple[str, ...] = ()
    reading: Reading = Reading()
    origins: Mapping[str, str] = field(default_factory=dict)
    masks: Mapping[str, Mask] = field(default_factory=dict)

    @property
    def unsaid(self) -> list[str]:
        """Texts in the inputs that no client wrote: the operator's secrets may be among them."""
        return [
            value
            for inputs in self.inputs
            for name, value in inputs.items()
            if isinstance(value, str) and name not in self.origins
        ]


class Stamp(Struct, frozen=True):
    """What a pure adapter must be told: the reply's id, its unix second, and the model name to echo."""

    id: str
    created: int
    model: str


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator may say of one model, without code.

    `rename` gives a client parameter (or `prompt`, `system`, `image`) the input it goes to; `defaults` are sent
    unless the client says otherwise, `fixed` whatever it says; `drop` names parameters and inputs that are never
    sent; `template` is the name of a chat template, or one.
    """

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
    `instead` is for models whose published schema is a stub: the inputs they really have.
    """

    models: tuple[str, ...] = ("*",)
    table: Table = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    instead: Schema | None = None
    row: Row | None = None

    def amended(self, row: Row | None) -> Self:
        """This adapter, with what the operator's row says on top."""
        return replace(self, row=row) if row else self

    def renamed(self, name: str) -> tuple[str, ...]:
        """The input the operator's row gives a parameter, if it does."""
        return (self.row.rename[name],) if self.row and name in self.row.rename else ()

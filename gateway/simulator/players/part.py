"""What a model plays from: its record, the input, the scene."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from gateway.simulator.records import Model, Version
from gateway.simulator.scenes import Scene
from gateway.simulator.settings import Settings, TokenCounts


class Part(Struct, frozen=True, kw_only=True):
    """What there is to play from."""

    model: Model
    version: Version
    inputs: Mapping[str, Any]
    """The input with the schema's defaults."""
    scene: Scene
    settings: Settings
    token_counts: TokenCounts
    seed: int
    """What a picture takes for its seed where none was given: another at each prediction."""
    open: Callable[[Any], bytes | None]
    """The content of a file input: a data URL, an upload, or an output of ours; None for what lies elsewhere."""

    @property
    def name(self) -> str:
        return self.model.full_name

    @property
    def example(self) -> Any:
        """The output of the record's example; None where it has none."""
        return (self.model.record.get("default_example") or {}).get("output")

    def extension(self, otherwise: str) -> str:
        """Return the file name extension of the example's output."""
        output = self.example
        first = output[0] if isinstance(output, list) and output else output
        if not isinstance(first, str) or "." not in first:
            return otherwise
        return first.rsplit(".", 1)[-1].lower()

"""What a prediction will do: the pieces it puts out, what it logs on the way, what it counts at the end."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from gateway.simulator.painter import Drawing

Numbers = Mapping[str, Any]


class Made(Struct, frozen=True, kw_only=True):
    """A file a prediction puts out; its content is made when somebody fetches it."""

    name: str
    media_type: str
    content: Callable[[], bytes]

    @classmethod
    def drawn(cls, drawing: Drawing, name: str) -> "Made":
        """Return the file of a picture."""
        return cls(name=name, media_type=drawing.media_type, content=drawing.paint)


class Piece(Struct, frozen=True):
    """One step: something put out, something logged, or both."""

    output: Any = None
    log: str = ""


class Performance(Struct, frozen=True, kw_only=True):
    """The whole of it. `listed` outputs grow piece by piece; others are there at once."""

    pieces: tuple[Piece, ...]
    listed: bool
    log: str = ""
    counts: Callable[[int], Numbers] = lambda put_out: {}
    """What is counted, given how many pieces were put out."""
    streams: bool = True
    files: bool = False
    seconds: float = 0.0
    """How long the output takes when neither scene nor pace says."""
    closing: tuple[Any, ...] = ()
    """What ends a listed output that was not cut short; token lists end in an empty string."""

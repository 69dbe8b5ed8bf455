"""A transcript while it is made: what a model says in, deltas out, which joined are the whole text."""

from collections.abc import Sequence

from msgspec import UNSET, Struct

from adapters.heard import Reply
from adapters.outputs import is_address
from adapters.schema import Schema
from adapters.wire.audio import DiarizedTranscription, TextDelta, TextDone, Transcription
from adapters.wire.replicate import Event, Output


class Dictation:
    """The deltas of one streamed transcription. No I/O."""

    def __init__(self, schema: Schema) -> None:
        self._live = schema.output == "stream"
        self._heard = ""
        self._told = 0

    def feed(self, event: Event) -> list[TextDelta]:
        """What an event adds, of a model that speaks its text as it hears it. Blanks wait for what follows: no text
        begins or ends with one."""
        if not (self._live and isinstance(event, Output)):
            return []
        self._heard = (self._heard + event.text).lstrip()
        # An address, JSON or subtitles are not the words themselves: they are read when they are whole.
        if self._heard[:1] in ("{", "[") or is_address(self._heard) or "-->" in self._heard:
            self._live = False
            return []
        return self._until(len(self._heard.rstrip()))

    def close(self, reply: Reply) -> Sequence[Struct]:
        """What is still untold of the reply, and its end."""
        if isinstance(reply, str):
            reply = Transcription(text=reply.strip())
        if isinstance(reply, DiarizedTranscription):
            return [*reply.segments, TextDone(reply.text, reply.usage)]
        rest = reply.text[self._told :] if reply.text.startswith(self._heard[: self._told]) else ""
        usage = reply.usage if isinstance(reply, Transcription) else UNSET
        return [*([TextDelta(rest)] if rest else []), TextDone(reply.text, usage)]

    def _until(self, end: int) -> list[TextDelta]:
        new = self._heard[self._told : end]
        self._told = max(self._told, end)
        return [TextDelta(new)] if new else []

"""Server-sent events out of bytes, as the HTML standard reads them, as many at a time as came together."""

import re

from httpx_sse import ServerSentEvent

_USUAL = re.compile(r"event: (\w+)\nid: ([^\n\0]*)\ndata: ([^\n]*)")
"""How Replicate writes nearly all of them: read at a third of what reading line by line takes."""


class Parser:
    """For one connection. What is cut off in the middle was not said."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._id = ""
        self._begun = self._after_cr = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that are whole now, each with the last id seen, its own or an earlier one's. A comment is an empty
        `message`."""
        rest = self._rest
        seen = max(0, len(rest) - 1)
        rest += self._plain(chunk)
        end = rest.rfind(b"\n\n", seen)
        if end < 0:
            return []
        text = rest[:end].decode("utf-8", "replace")
        del rest[: end + 2]
        if not self._begun:
            # The mark that may begin a text is none of it.
            self._begun, text = True, text.removeprefix("\ufeff")
        return [self._said(block) for block in text.split("\n\n")]

    def _plain(self, chunk: bytes) -> bytes:
        """With line ends of one kind."""
        if chunk and (self._after_cr or b"\r" in chunk):
            if self._after_cr:
                chunk = chunk.removeprefix(b"\n")
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk

    def _said(self, block: str) -> ServerSentEvent:
        if usual := _USUAL.fullmatch(block):
            name, self._id, text = usual.groups()
            return ServerSentEvent(name, text, self._id)
        name, data = "", []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                data.append(value)
            elif field == "event":
                name = value
            elif field == "id" and "\0" not in value:
                self._id = value
        return ServerSentEvent(name, data[0] if len(data) == 1 else "\n".join(data), self._id)

"""Server-sent events as Replicate writes them."""

import re

GREETING = b": hi\n\n"
IDLE = b":408: 408 Request Timeout\n\n"

_LINE_END = re.compile("\r\n|\r|\n")


def frame(event: str, id: str, data: str) -> bytes:
    """Write one event. Data of several lines becomes several `data:` lines; a leading space stays, as a second one."""
    lines = "".join(f"data: {line}\n" for line in _LINE_END.split(data))
    return f"event: {event}\nid: {id}\n{lines}\n".encode()


class Numbering:
    """Gives events their ids: unix second, colon, place within that second."""

    def __init__(self) -> None:
        self._second = -1
        self._place = 0

    def next(self, now: float) -> str:
        second = int(now)
        self._place = self._place + 1 if second == self._second else 0
        self._second = second
        return f"{second}:{self._place}"

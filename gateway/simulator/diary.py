"""The control log: what was asked of the simulator, and what should not have been."""

from collections import deque
from typing import Literal

from msgspec import Struct

Host = Literal["api", "delivery", "stream"]


class Request(Struct, frozen=True):
    """One request that was answered, `token` being the end of what it carried. `status` 0 means the connection ended
    without an answer."""

    method: str
    path: str
    status: int
    host: Host
    token: str = ""


class Leak(Struct, frozen=True):
    """A token that was sent where none belongs."""

    host: Host
    path: str


class Delivery(Struct, frozen=True):
    """One try of a webhook; status 0 means no answer came."""

    prediction: str
    event: str
    url: str
    webhook_id: str
    attempt: int
    status: int


class Diary:
    """Remembers the latest requests, leaks and webhook deliveries."""

    def __init__(self, kept: int) -> None:
        self.requests: deque[Request] = deque(maxlen=kept)
        self.leaks: deque[Leak] = deque(maxlen=kept)
        self.deliveries: deque[Delivery] = deque(maxlen=kept)

    def clear(self) -> None:
        """Forget everything."""
        self.requests.clear()
        self.leaks.clear()
        self.deliveries.clear()

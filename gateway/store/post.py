"""What gateways tell each other, one or all of them, through the store that they share."""

from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import msgspec
import structlog

from gateway.store.shared import Away, Shared

log = structlog.get_logger()

_AGAIN_SECONDS = 1.0

PULSE_SECONDS = 5.0
"""After so long a silence the line is asked whether it still is one: a broken one may never say so itself."""

Hear = Callable[[str, bytes], None]
"""Takes who told it, and what was told."""


class Post:
    """Words arrive at most once, and in their order; those that were told while nobody listened are lost."""

    def __init__(self, shared: Shared, pulse: float = PULSE_SECONDS) -> None:
        self._shared, self._pulse = shared, pulse
        self._hear: dict[str, Hear] = {}
        self._silent = False

    def on(self, kind: str, hear: Hear) -> None:
        """Words of this kind are for `hear`."""
        self._hear[kind] = hear

    async def tell(self, kind: str, content: bytes, to: str = "all") -> int:
        """Gives how many gateways that reaches, this one among them where it is for all. Raises Away."""
        letter = msgspec.msgpack.encode((self._shared.owner, kind, content))
        return await self._shared.publish(self._shared.key("post", to), letter)

    async def listen(self) -> float:
        """Hears what is told, until the line breaks; gives the seconds after which to try again. For a timer."""
        addresses = [self._shared.key("post", to) for to in ("all", self._shared.owner)]
        try:
            async with aclosing(self._shared.published(*addresses, pulse=self._pulse)) as letters:
                async for letter in letters:
                    self._silent = False
                    self._heard(letter)
        except Away as away:
            if not self._silent:
                log.warning("other gateways are not heard", reason=str(away))
            self._silent = True
        return _AGAIN_SECONDS

    def _heard(self, letter: bytes) -> None:
        sender, kind, content = msgspec.msgpack.decode(letter, type=tuple[str, str, bytes])
        hear: Any = self._hear.get(kind)
        if hear and sender != self._shared.owner:
            hear(sender, content)

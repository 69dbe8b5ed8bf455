"""Work that ends with its client: whoever hangs up is not worked for any more."""

import asyncio
from types import TracebackType
from typing import Self

from litestar.types import Receive


class Attended:
    """A block that is cancelled as soon as its client hangs up, and then ends without an exception; `left` tells.

    The cancellation comes once, as that of any task: what cleans up behind it may take its time.
    """

    def __init__(self, receive: Receive) -> None:
        self.left = False
        self._receive = receive
        self._inside: asyncio.Task[object] | None = None

    def __enter__(self) -> Self:
        self._inside = asyncio.current_task()
        self._watching = asyncio.create_task(self._watch())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, end: BaseException | None, trace: TracebackType | None
    ) -> bool:
        inside, self._inside = self._inside, None
        self._watching.cancel()
        # A cancelled task keeps where it ended, and so this: were the task kept as well, all of the request would stay
        # until garbage is collected.
        del self._watching
        if not self.left or inside is None:
            return False
        # Whoever else cancelled this task wants more than the block to end.
        return not inside.uncancel() and kind is asyncio.CancelledError

    def leave(self) -> None:
        """Ends the block as if the client had hung up."""
        if self._inside and not self.left:
            self.left = True
            self._inside.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.leave()

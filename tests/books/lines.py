"""A line that a test cuts and mends from outside any event loop: bytes are passed on by a thread of its own."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.cable import Cable, laid


class Line:
    """A port of this machine that leads to an address, as long as it is whole."""

    def __init__(self, loop: asyncio.AbstractEventLoop, cable: Cable) -> None:
        self._loop, self._cable, self.port = loop, cable, cable.port

    @property
    def base_url(self) -> str:
        return self._cable.base_url

    def cut(self) -> None:
        """What was sent and not passed on is lost; returns when it is."""
        self._done(self._cable.cut)

    def mend(self) -> None:
        """New connections are passed on again."""
        self._done(self._cable.mend)

    def _done(self, act: Callable[[], None]) -> None:
        async def do() -> None:
            act()

        asyncio.run_coroutine_threadsafe(do(), self._loop).result(5)


@contextmanager
def line(address: str) -> Iterator[Line]:
    """A line to this address, in a thread of its own."""
    ready, lines, over = threading.Event(), list[Line](), list[asyncio.Event]()

    async def pass_on() -> None:
        async with laid(address) as cable:
            over.append(asyncio.Event())
            lines.append(Line(asyncio.get_running_loop(), cable))
            ready.set()
            await over[0].wait()

    thread = threading.Thread(target=lambda: asyncio.run(pass_on()), name="line", daemon=True)
    thread.start()
    ready.wait(5)
    try:
        yield lines[0]
    finally:
        lines[0]._loop.call_soon_threadsafe(over[0].set)
        thread.join(5)

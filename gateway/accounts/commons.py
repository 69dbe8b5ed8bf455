"""What all gateways may do together with one account of Replicate's, decided in Redis."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, NamedTuple

from gateway.accounts.luarooms import ROOM
from gateway.store.shared import Away, Script, Shared


class Standing(NamedTuple):
    """How a room stands, in seconds: `taken` is how many are the asker's, `wait` the time until these may be used, or
    until one fits. `queues` are the gateways that wait in turn."""

    taken: int
    wait: float
    full_in: float
    per_minute: float
    burst: float
    slow_in: float
    queues: int


class Commons:
    """The rooms of all accounts. `clock`, in Lua, gives seconds and microseconds."""

    def __init__(self, shared: Shared, clock: str = "redis.call('TIME')") -> None:
        self._shared, self._script = shared, shared.script(ROOM.replace("CLOCK", clock))
        self._telling: set[asyncio.Task[Any]] = set()

    def of(self, name: str, per_minute: float, burst: float) -> "Common":
        """The one room of this name, which so many fit into a minute, and so many at once."""
        return Common(self, self._shared, self._script, self._shared.key("rooms", name), (per_minute, burst))

    def begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Does it in a task of its own, which closing waits for."""
        task = asyncio.create_task(work)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
        return task

    async def aclose(self) -> None:
        """Waits until all is told that can be."""
        while self._telling:
            await asyncio.wait(self._telling)


class Common:
    """One room of all gateways'. Those who take at the same time ask together."""

    def __init__(self, commons: Commons, shared: Shared, script: Script, key: str, usual: tuple[float, float]) -> None:
        self._commons, self._shared, self._script = commons, shared, script
        self._key, self._usual = key, usual
        self._takers: list[asyncio.Future[Standing | None]] = []
        self._asking = False

    @property
    def up(self) -> bool:
        """Whether the others can be asked."""
        return self._shared.up

    @property
    def gateways(self) -> int:
        """How many there were when last seen."""
        return self._shared.replicas

    async def take(self, *, anew: bool) -> Standing | None:
        """One of what all may do, if one fits now. None where nobody can be asked: what was taken without an answer is
        lost, and fills up again. So begins with nothing whoever was apart, and comes `anew`."""
        mine: asyncio.Future[Standing | None] = asyncio.get_running_loop().create_future()
        self._takers.append(mine)
        if not self._asking:
            self._asking = True
            self._commons.begin(self._taken(anew=anew))
        return await mine

    async def reserve(self, *, anew: bool) -> Standing | None:
        """The next one that all may do, and nobody else's, once its time has come. None where nobody can be asked."""
        asking = self._commons.begin(self._asked("reserve", 1, int(anew), self._shared.owner))
        try:
            told: Standing | None = await asyncio.shield(asking)
        except asyncio.CancelledError:
            asking.add_done_callback(lambda done: self.tell("give", 1) if done.result() else None)
            raise
        return told

    def tell(self, lesson: str, *numbers: float) -> None:
        """What the others should know, too; while they cannot be told, they learn it themselves."""
        if self._shared.up:
            self._commons.begin(self._asked(lesson, *numbers))

    async def _taken(self, *, anew: bool) -> None:
        try:
            while self._takers:
                takers, self._takers = self._takers, []
                told = await self._asked("take", len(takers), int(anew))
                left = told.taken if told else 0
                for mine in takers:
                    if not mine.cancelled():
                        mine.set_result(told and told._replace(taken=min(1, left)))
                        left = max(0, left - 1)
                if left:
                    self.tell("give", left)
                anew = False
        finally:
            self._asking = False

    async def _asked(self, act: str, *told: float | str) -> Standing | None:
        with suppress(Away):
            answer = await self._script.run([self._key], [act, *map(str, (*self._usual, *told))])
            taken, wait, full_in, per_minute, burst, slow_in, queues = map(float, answer)
            return Standing(int(taken), wait / 1e6, full_in / 1e6, per_minute, burst, slow_in / 1e6, int(queues))
        return None

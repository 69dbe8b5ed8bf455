"""Gateways that live on the same books one after another, each until it is stopped or drops dead.

A life has an event loop of its own. When it drops dead, that loop never turns again: no task runs its `finally`, no
call is settled, what was not yet handed to the database never will be, and Replicate sees its connections end.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from litestar.types import ASGIApp

from adapters.errors import ApiError
from gateway.app import create_app, open_gateway
from gateway.config import Config, State
from gateway.draining import drain
from gateway.parts import Gateway, Replicate
from gateway.recovery import TURNS_UP_SECONDS, sweep
from gateway.runs import TURNS_UP_WITHIN
from gateway.simulator import Simulator

T = TypeVar("T")

_DEAD: list["Life"] = []
"""Kept, for Python would run the `finally` of a coroutine that nobody holds any more."""

PATIENT = TURNS_UP_WITHIN + TURNS_UP_SECONDS
QUICK: Mapping[str, Any] = {
    "upstream": {"retry_seconds": 0.1, "deadline_seconds": 5, "sync_wait_seconds": 1, "read_seconds": 0.5},
    "server": {"drain_seconds": 0.0, "heartbeat_seconds": 0.05},
    "intents": {"grace_seconds": 0.02},
}
"""Nothing is tried, or waited for, for long."""


class Asked:
    """A client's request, put to the app as a server would."""

    def __init__(self, app: ASGIApp, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self.body, self.said, self.status, self.whole = body, b"", 0, False
        self._left = asyncio.Event()
        self._unread = [{"type": "http.request", "body": msgspec.json.encode(body), "more_body": False}]
        told = {"content-type": "application/json", **headers}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in told.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "state": {},
        }
        receive: Any = self._receive
        self.answering = asyncio.ensure_future(app(scope, receive, self._send))  # type: ignore[arg-type]

    @property
    def over(self) -> bool:
        return self.answering.done()

    def leave(self) -> None:
        """Its client hangs up."""
        self._left.set()

    async def _receive(self) -> Mapping[str, Any]:
        if self._unread:
            return self._unread.pop()
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.said += message.get("body", b"")
            if not message.get("more_body"):
                self.whole = True
                self._left.set()


class Life:
    """One gateway from its start to its end."""

    def __init__(self, simulator: Simulator, config: Config) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self.simulator, self.asked = simulator, list[Asked]()
        self._opened = open_gateway(config, {}, Replicate(simulator.base_url, ("r8_test",)))
        self.gateway: Gateway = self.do(self._opened.__aenter__())
        self.app = create_app(self.gateway)
        self._recovering: asyncio.Task[int] | None = None
        # What timers do is told when to be done, and one round at a time.
        for task in asyncio.all_tasks(self.loop):
            task.cancel()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def turn(self, times: int) -> None:
        """So many turns of its loop, each with a moment for the network."""

        async def turns() -> None:
            for _ in range(times):
                await asyncio.sleep(0.001)

        self.do(turns())

    def wait(self, claim: Callable[[], object], seconds: float) -> bool:
        """Lets it go on until the claim is true, for so long at most; whether it became so."""

        async def until() -> bool:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not claim():
                        await asyncio.sleep(0.002)
            return bool(claim())

        return self.do(until())

    def ask(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Asked:
        async def ask() -> Asked:
            return Asked(self.app, path, body, headers)

        self.asked.append(self.do(ask()))
        return self.asked[-1]

    def recover(self) -> None:
        """Begins a round of recovery, unless one is under way."""
        if self._recovering is None or self._recovering.done():
            self._recovering = self.loop.create_task(sweep(self.gateway))

    def drop_dead(self) -> None:
        """As `kill -9` would have it, seen from the disk and from the network."""
        _DEAD.append(self)
        store, journal = self.gateway.ledger._store, self.gateway.ledger._journaling._journal  # type: ignore[union-attr]
        store._writer._items.clear()
        for transport in list(self.loop._transports.values()):  # type: ignore[attr-defined]
            if transport._sock:
                transport._sock.close()
        for own in (self.loop._selector, self.loop._ssock, self.loop._csock):  # type: ignore[attr-defined]
            own.close()
        store.close()
        journal._lines.append(b"")  # so that closing it does not tidy up behind it
        journal.close()

    def stop(self) -> None:
        """As an orchestrator would have it."""
        self.do(drain(self.gateway))
        self._end()

    def settle(self) -> None:
        """Every client leaves, every prediction ends, and all that may be booked is."""
        for each in self.asked:
            each.leave()
        parts = self.gateway
        # Predictions that were being created when this began have a deadline too.
        for _ in range(200):
            self.simulator.advance(6)
            if self.wait(lambda: not (parts.running or parts.settling) and all(a.over for a in self.asked), 0.05):
                break
        assert not parts.running, "a call goes on although everything has ended"
        parts.clock = lambda: time.time() + PATIENT
        for _ in range(200):
            self.recover()
            if self._round_is_done() and not self.do(parts.ledger.held()).entries:
                break
            self.wait(lambda: False, 0.02)
        parts.clock = time.time

    def _round_is_done(self) -> bool:
        """Waits for the round of recovery; whether it left nothing."""

        async def done() -> bool:
            assert self._recovering
            with suppress(ApiError):
                return await self._recovering == 0
            return False

        return self.do(done())

    def _end(self) -> None:
        self.do(self._opened.__aexit__(None, None, None))
        self.do(self.loop.shutdown_default_executor())
        self.loop.close()


def configured(folder: Path, database: str = "", **sections: Mapping[str, Any]) -> Config:
    """Impatient settings with these sections, and their books here."""
    config = msgspec.convert({**QUICK, **sections}, Config)
    when_down = config.state.when_down
    return msgspec.structs.replace(config, state=State(folder=str(folder), database=database, when_down=when_down))

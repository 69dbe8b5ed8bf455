"""Running a simulator: in a thread of its own for tests, or in the foreground for people."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from gateway.simulator.diary import Delivery, Leak, Request
from gateway.simulator.listening import Running, Sockets, loop_factory, running
from gateway.simulator.seen import Seen, seen
from gateway.simulator.settings import Limits, Settings, Switches, Trouble
from gateway.simulator.world import World

TOKEN = "r8_simulatedsimulatedsimulatedsimulated0"

Told = TypeVar("Told")


class Simulator:
    """A small Replicate in a thread of its own.

    Start it with `with Simulator() as simulator:` or `start()` and `stop()`. Its methods may be called from any
    thread; what they return are snapshots.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.token = token_of(self.settings)
        self._thread: threading.Thread | None = None
        self._now: Running | None = None

    def start(self) -> Self:
        """Return once it listens."""
        sockets = Sockets.open(self.settings)
        listening, failed = threading.Event(), list[BaseException]()
        self._thread = threading.Thread(
            target=self._run, args=(sockets, listening, failed), name="simulator", daemon=True
        )
        self._thread.start()
        listening.wait()
        if failed:
            raise failed[0]
        return self

    def _run(self, sockets: Sockets, listening: threading.Event, failed: list[BaseException]) -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self._serve(sockets, listening))
        except BaseException as error:
            if listening.is_set():
                raise
            failed.append(error)
        finally:
            for opened in sockets.all():
                opened.close()
            listening.set()

    async def _serve(self, sockets: Sockets, listening: threading.Event) -> None:
        async with running(self.settings, sockets) as now:
            self._now = now
            now.server.listening = listening.set
            await now.server.serve(sockets=sockets.all())

    def stop(self) -> None:
        """End it, cutting what still runs, and return when its thread is gone. Stopping twice does no harm."""
        thread, now = self._thread, self._now
        if thread is None:
            return
        if now is not None and thread.is_alive():
            with contextlib.suppress(RuntimeError):
                now.loop.call_soon_threadsafe(_end, now)
        thread.join()
        self._thread = self._now = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """Where the API is: `http://127.0.0.1:PORT/v1`."""
        return f"{self._world.addresses.api}/v1"

    @property
    def control_url(self) -> str:
        """Where the control endpoint is."""
        return f"{self._world.addresses.api}/control"

    @property
    def delivery_url(self) -> str:
        """Where outputs are fetched from."""
        return self._world.addresses.delivery

    @property
    def stream_url(self) -> str:
        """Where streams are found."""
        return self._world.addresses.stream

    @property
    def webhook_secret(self) -> str:
        """What webhooks are signed with."""
        return self.settings.webhook_secret

    @property
    def _world(self) -> World:
        if self._now is None:
            raise RuntimeError("the simulator is not running: start() it first")
        return self._now.world

    def _ask(self, question: Callable[[World], Told]) -> Told:
        if self._now is None:
            raise RuntimeError("the simulator is not running: start() it first")

        async def answer() -> Told:
            return question(self._world)

        return asyncio.run_coroutine_threadsafe(answer(), self._now.loop).result()

    def predictions(self, model: str | None = None) -> list[Seen]:
        """Return what was created, oldest first; of one model if named."""
        return self._ask(
            lambda world: [
                seen(prediction)
                for prediction in reversed(world.predictions.newest_first())
                if model in (None, prediction.model)
            ]
        )

    def prediction(self, id: str) -> Seen:
        """Return one prediction; raise LookupError when there is none of that id."""
        found = self._ask(lambda world: world.predictions.find(id))
        if found is None:
            raise LookupError(id)
        return self._ask(lambda _: seen(found))

    def status(self, id: str) -> str:
        """Return the status of one prediction."""
        return self.prediction(id).status

    def last(self) -> Seen:
        """Return the prediction created last; raise LookupError when there is none."""
        found = self.predictions()
        if not found:
            raise LookupError("no prediction was created")
        return found[-1]

    def status_of_last(self) -> str:
        """Return the status of the prediction created last."""
        return self.last().status

    async def reached(self, status: str, id: str | None = None, within: float = 5.0) -> Seen:
        """Wait until a prediction, by default the last, has a status; raise TimeoutError after so many real seconds."""
        async with asyncio.timeout(within):
            while True:
                found = [one for one in self.predictions() if id in (None, one.id)]
                if found and found[-1].status == status:
                    return found[-1]
                await asyncio.sleep(0.005)

    def requests(self) -> list[Request]:
        """Return the requests that were answered by any of the three hosts, oldest first."""
        return self._ask(lambda world: list(world.diary.requests))

    def leaks(self) -> list[Leak]:
        """Return the tokens that were sent to the delivery or stream host."""
        return self._ask(lambda world: list(world.diary.leaks))

    def deliveries(self) -> list[Delivery]:
        """Return the webhooks that were tried."""
        return self._ask(lambda world: list(world.diary.deliveries))

    def scene(self, model: str, scene: str, times: int | None = None, **changes: Any) -> None:
        """Let a model's next `times` predictions (all, when None) show a scene; `changes` replace its properties."""
        self._ask(lambda world: world.stage.cue(model, scene, times, changes))

    def clear_scenes(self, model: str | None = None) -> None:
        """Take back what `scene` set, for one model or for all."""
        self._ask(lambda world: world.stage.clear(model))

    def switch(self, **changes: Any) -> Switches:
        """Turn some switches; see `Switches`."""
        return self._ask(lambda world: world.turn(changes))

    def limit(self, limits: Limits) -> None:
        """Enforce other rate limits, with full buckets."""

        def change(world: World) -> None:
            world.limits = limits
            world.buckets.clear()

        self._ask(change)

    def trouble(self, token: str, trouble: Trouble | None) -> None:
        """Let a token be in trouble alone, whatever the others may do; with None, no more."""
        self._ask(lambda world: world.trouble(token, trouble))

    def advance(self, seconds: float) -> None:
        """Turn the clock forward; deadlines and retention that come due happen before this returns."""
        self._ask(lambda world: world.clock.turn(seconds))

    def reset(self) -> None:
        """Forget everything that was created, set and noted."""
        self._ask(lambda world: world.reset())


def token_of(settings: Settings) -> str:
    """Return a token that is accepted."""
    return settings.tokens[0] if settings.tokens else TOKEN


def _end(now: Running) -> None:
    now.server.should_exit = True
    now.world.wake()


def serve(settings: Settings, say: Callable[[str], None] = print) -> None:
    """Run in the foreground until interrupted, having said where it listens.

    Raises OSError where it cannot listen, and `UnreadableRecord` for models that are none.
    """
    sockets = Sockets.open(settings)
    try:
        with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(settings, sockets, say))
    finally:
        for opened in sockets.all():
            opened.close()


async def _serve(settings: Settings, sockets: Sockets, say: Callable[[str], None]) -> None:
    async with running(settings, sockets) as now:
        addresses = now.world.addresses
        say(f"Simulated Replicate with {len(now.world.records)} models: REPLICATE_API_BASE_URL={addresses.api}/v1")
        say(f"{'Only its own tokens' if settings.tokens else 'Any token'} will do. For Replicate's Python client:")
        say(f"  export REPLICATE_API_TOKEN={token_of(settings)} REPLICATE_BASE_URL={addresses.api}")
        say(f"Outputs at {addresses.delivery}, streams at {addresses.stream}, control at {addresses.api}/control/")
        await now.server.serve(sockets=sockets.all())

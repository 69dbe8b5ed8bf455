"""Everything one simulator holds, so that several can live in one process."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from gateway.simulator.clock import Clock
from gateway.simulator.deployments import Deployments
from gateway.simulator.diary import Diary
from gateway.simulator.files import Files, inlined
from gateway.simulator.ids import Ids
from gateway.simulator.limits import Buckets
from gateway.simulator.outputs import Outputs
from gateway.simulator.prediction import Predictions
from gateway.simulator.records import Model, Records, loaded, shipped
from gateway.simulator.settings import Limits, Settings, Switches, Trouble
from gateway.simulator.stage import Stage
from gateway.simulator.trainings import Trainings

DELIVERY = "https://replicate.delivery"


class Addresses(Struct, frozen=True):
    """Where the three hosts are found, each `http://host:port`."""

    api: str
    delivery: str
    stream: str


class World:
    """One simulated Replicate. Used on its own event loop only."""

    def __init__(self, settings: Settings, addresses: Addresses) -> None:
        self.settings = settings
        self.addresses = addresses
        self.switches: Switches = settings.switches
        self.limits: Limits = settings.limits
        self.clock = Clock(settings.clock_speed)
        self.ids = Ids(settings.seed)
        self.diary = Diary(settings.requests_kept)
        self.stage = Stage()
        self.predictions = Predictions()
        self.trainings = Trainings()
        self.outputs = Outputs(addresses.delivery)
        self.files = Files(settings.file_seconds)
        self.buckets = Buckets(self.clock.now, settings.creates_per_minute)
        self.troubles: dict[str, Trouble] = {}
        self.closing = asyncio.Event()
        self.web = httpx.AsyncClient(follow_redirects=False, timeout=5.0, trust_env=False)
        self._tasks: set[asyncio.Task[None]] = set()
        self._furnish()

    def _furnish(self) -> None:
        self.records = Records([*shipped(), *loaded(_paths(self.settings.models))])
        self.deployments = Deployments.furnished(self.settings.owner, self.records, self.clock.now())

    def opened(self, value: Any) -> bytes | None:
        """Return the content of a file input: a data URL, an upload, or an output; None for what lies elsewhere."""
        if not isinstance(value, str):
            return None
        if value.startswith("data:"):
            return inlined(value)
        file = self.files.find(value.removeprefix(f"{self.addresses.api}/v1/files/"))
        return file.content if file else self.outputs.content(value)

    def shown_model(self, model: Model) -> dict[str, Any]:
        """Return the model object of the API; the files of its example are served by our own delivery host."""
        shown = model.shown()
        example = shown.get("default_example")
        return shown | {"default_example": _moved(example, self.addresses.delivery)} if example else shown

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that ends by itself, or with the simulator."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def turn(self, changes: dict[str, Any]) -> Switches:
        """Turn some switches; raise `msgspec.ValidationError` for one that does not exist or cannot stand so."""
        self.switches = msgspec.convert(
            msgspec.to_builtins(self.switches) | changes, type=_StrictSwitches, strict=False
        )
        return self.switches

    def trouble(self, token: str, trouble: Trouble | None) -> None:
        """Let a token be in trouble alone, or no more; what it may create is full again."""
        self.troubles.pop(token, None)
        if trouble is not None:
            self.troubles[token] = trouble
        self.buckets.clear(token)

    def reset(self) -> None:
        """Go back to how everything was at the start, but for the clock."""
        for task in self._tasks:
            task.cancel()
        self.switches = self.settings.switches
        self.limits = self.settings.limits
        self.stage.clear()
        self.predictions.clear()
        self.trainings.clear()
        self.outputs.clear()
        self.files.clear()
        self.buckets.clear()
        self.troubles.clear()
        self.diary.clear()
        self.clock.stop()
        self._furnish()

    def wake(self) -> None:
        """Let everybody who waits for something see that it is over."""
        self.closing.set()
        for prediction in self.predictions.newest_first():
            prediction.watch.ring()

    async def close(self) -> None:
        """End everything that still runs."""
        self.wake()
        self.clock.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.web.aclose()


def _paths(models: Path | tuple[Path, ...] | None) -> tuple[Path, ...]:
    if models is None:
        return ()
    return (models,) if isinstance(models, Path) else models


def _moved(value: Any, delivery: str) -> Any:
    match value:
        case str() if value.startswith(DELIVERY):
            return delivery + value.removeprefix(DELIVERY)
        case list():
            return [_moved(item, delivery) for item in value]
        case dict():
            return {key: _moved(item, delivery) for key, item in value.items()}
    return value


class _StrictSwitches(Switches, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The switches, refusing any that does not exist."""

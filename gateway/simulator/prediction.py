"""One prediction: everything known about it, and how those who watch it are woken."""

import asyncio
from typing import Any, Literal

from msgspec import Struct, field

from gateway.simulator.clock import Timer
from gateway.simulator.performance import Performance
from gateway.simulator.scenes import Scene
from gateway.simulator.sse import Numbering, frame

Status = Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
FINAL: frozenset[Status] = frozenset({"succeeded", "failed", "canceled", "aborted"})


class Asked(Struct, frozen=True, kw_only=True):
    """What a create asked for, besides the model."""

    input: dict[str, Any]
    route: str
    prefer: str | None = None
    cancel_after: str | None = None
    webhook: str | None = None
    events_filter: tuple[str, ...] | None = None
    user_agent: str | None = None


class Watch:
    """Wakes whoever waits for the next change."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def ring(self) -> None:
        """Wake everybody."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def changed(self) -> None:
        """Wait for the next ring."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future


class Prediction(Struct, kw_only=True, eq=False):
    """A run of a model. Times are unix seconds of the simulator's clock."""

    id: str
    model: str
    version: str
    asked: Asked
    input: dict[str, Any]
    scene: Scene
    performance: Performance | None
    created: float
    deployment: str | None = None
    deadline: float | None = None
    stream_token: str | None = None

    status: Status = "starting"
    started: float | None = None
    completed: float | None = None
    output: Any = None
    put_out: int = 0
    complete: bool = False
    """Whether the output is whole; the final status may come a moment later."""
    logs: str = ""
    error: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    first_output: float | None = None
    data_removed: bool = False

    events: list[bytes] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)
    stream_ended: bool = False
    stream_connections: int = 0
    polls: int = 0
    cancels: int = 0
    files: list[str] = field(default_factory=list)

    watch: Watch = field(default_factory=Watch)
    timers: list[Timer] = field(default_factory=list)
    task: asyncio.Task[None] | None = None
    announced: dict[str, float] = field(default_factory=dict)
    """When its webhook last heard of each kind of event."""
    numbering: Numbering = field(default_factory=Numbering)

    @property
    def final(self) -> bool:
        return self.status in FINAL

    def say(self, event: str, data: str, now: float) -> None:
        """Add an event to the stream."""
        if self.stream_token is None:
            return
        id = self.numbering.next(now)
        self.event_ids.append(id)
        self.events.append(frame(event, id, data))

    def forget_data(self) -> None:
        """Let go of everything that is not kept past retention."""
        self.input = {}
        self.output = None
        self.logs = ""
        self.performance = None
        self.asked = Asked(input={}, route=self.asked.route)
        self.events, self.event_ids = [], []
        self.files = []
        self.data_removed = True


class Predictions:
    """All predictions, in the order they were created."""

    def __init__(self) -> None:
        self._all: dict[str, Prediction] = {}
        self._streams: dict[str, Prediction] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, prediction: Prediction) -> None:
        self._all[prediction.id] = prediction
        if prediction.stream_token:
            self._streams[prediction.stream_token] = prediction

    def find(self, id: str) -> Prediction | None:
        return self._all.get(id)

    def of_stream(self, token: str) -> Prediction | None:
        return self._streams.get(token)

    def newest_first(self) -> list[Prediction]:
        return list(reversed(self._all.values()))

    def forget(self, prediction: Prediction) -> None:
        """Let a prediction go altogether."""
        self._all.pop(prediction.id, None)
        if prediction.stream_token:
            self._streams.pop(prediction.stream_token, None)

    def clear(self) -> None:
        self._all.clear()
        self._streams.clear()

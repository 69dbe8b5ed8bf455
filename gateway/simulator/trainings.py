"""Trainings: runs that end in a new version of a model."""

import asyncio
from typing import Any, Literal

from msgspec import Struct, field

from gateway.simulator.clock import fresh_time, stored_time

TrainingStatus = Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]


class Training(Struct, kw_only=True, eq=False):
    """A training. Times are unix seconds of the simulator's clock."""

    id: str
    model: str
    version: str
    destination: str
    input: dict[str, Any]
    created: float
    webhook: str | None = None
    events_filter: tuple[str, ...] | None = None
    status: TrainingStatus = "starting"
    started: float | None = None
    completed: float | None = None
    output: dict[str, str] | None = None
    logs: str = ""
    error: str | None = None
    task: asyncio.Task[None] | None = None
    announced: dict[str, float] = field(default_factory=dict)
    """When its webhook last heard of each kind of event."""

    @property
    def final(self) -> bool:
        return self.status in ("succeeded", "failed", "canceled", "aborted")

    def fresh(self, base: str) -> dict[str, Any]:
        """Return what create and cancel reply, whose URLs are those of a prediction."""
        return self._shown(base, "predictions", fresh_time)

    def stored(self, base: str) -> dict[str, Any]:
        """Return what get and list reply."""
        return self._shown(base, "trainings", stored_time)

    def as_prediction(self, base: str) -> dict[str, Any]:
        """Return what is found where create and cancel say it is: the same, with what a prediction always has."""
        return {"output": None, "data_removed": False} | self.fresh(base)

    def _shown(self, base: str, kind: str, written: Any) -> dict[str, Any]:
        place = f"{base}/v1/{kind}/{self.id}"
        shape: dict[str, Any] = {
            "id": self.id,
            "model": self.model,
            "version": self.version,
            "input": self.input,
            "logs": self.logs,
            "error": self.error,
            "status": self.status,
            "created_at": written(self.created),
            "source": "api",
            "urls": {"get": place, "cancel": f"{place}/cancel", "web": f"https://replicate.com/p/{self.id}"},
        }
        if self.started is not None:
            shape["started_at"] = written(self.started)
        if self.output is not None:
            shape["output"] = self.output
        if self.completed is not None:
            shape["completed_at"] = written(self.completed)
            shape["metrics"] = self._metrics(self.completed)
        return shape

    def _metrics(self, completed: float) -> dict[str, float]:
        metrics = {"total_time": round(completed - self.created, 6)}
        if self.started is not None:
            metrics["predict_time"] = round(completed - self.started, 6)
        return metrics


class Trainings:
    """All trainings, in the order they were created."""

    def __init__(self) -> None:
        self._all: dict[str, Training] = {}

    def add(self, training: Training) -> None:
        self._all[training.id] = training

    def find(self, id: str) -> Training | None:
        return self._all.get(id)

    def newest_first(self) -> list[Training]:
        return list(reversed(self._all.values()))

    def clear(self) -> None:
        self._all.clear()

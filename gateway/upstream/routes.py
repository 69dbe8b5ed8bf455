"""Which of Replicate's create routes a model is called by, and what was learned when it was the wrong one."""

from typing import Any

from cachetools import LRUCache
from msgspec import Struct

from adapters.wire.replicate import ModelRef
from gateway.upstream.models import Model, Record

_LEARNED = 10_000


class Route(Struct, frozen=True):
    """A create's path, and the version its body names there."""

    path: str
    version: str | None = None

    @property
    def fields(self) -> dict[str, Any]:
        return {"version": self.version} if self.version else {}


class Routes:
    """By ref: deployments and pinned versions have one route each; a model's depends on whether it is official."""

    def __init__(self) -> None:
        # Keyed by what the schema cache believed: once it has read the model again, it is believed instead.
        self._learned: LRUCache[tuple[str, bool | None, str | None], Route] = LRUCache(_LEARNED)

    def of(self, model: Model) -> Route:
        ref = model.ref
        if ref.deployment:
            return Route(f"/deployments/{ref.path}/predictions")
        if ref.version:
            return Route("/predictions", ref.version)
        return self._learned.get(_belief(model)) or choose(model)

    def learn(self, model: Model, route: Route) -> None:
        """This route worked where another was believed right."""
        self._learned[_belief(model)] = route


def choose(model: Model | Record) -> Route:
    """Where Replicate does not say whether a model is official, its own route is tried: for a community model that
    is a 404 and costs nothing (api.md §4.1)."""
    if model.official is False and model.version:
        return Route("/predictions", model.version)
    return Route(f"/models/{model.path}/predictions")


def fixed(ref: ModelRef) -> bool:
    """Only one route can be meant."""
    return ref.deployment or ref.version is not None


def _belief(model: Model) -> tuple[str, bool | None, str | None]:
    return model.path, model.official, model.version

"""Which models stand in for one that is not to be had, and which failures say that it is not."""

from collections.abc import Iterator

from adapters.errors import ApiError, InvalidAnswer, InvalidRequest, PredictionFailed
from gateway.accounts.virtualkeys import VirtualKey
from gateway.config import Config, ModelRow
from gateway.errors import (
    BudgetSpent,
    MaybeCreated,
    RateLimited,
    TimedOut,
    Unforeseen,
    UnknownModel,
    UpstreamFailed,
    UpstreamUnavailable,
)
from gateway.parts import Gateway
from gateway.plans import K, Plan, R, plan, resolve, translated

_AWAY = (PredictionFailed, RateLimited, TimedOut, UnknownModel, UpstreamFailed, UpstreamUnavailable)
_THERE = (InvalidAnswer, MaybeCreated)
"""Of these, one has answered, and the other may be running and be paid for."""

_NOT_THIS_ONE = (BudgetSpent, InvalidRequest, Unforeseen)


def away(error: ApiError) -> bool:
    """The failure is the model's own, or Replicate's, and another model may do better."""
    return isinstance(error, _AWAY) and not isinstance(error, _THERE)


def passes(error: ApiError) -> bool:
    """A stand-in that is refused like this is passed over."""
    return away(error) or isinstance(error, _NOT_THIS_ONE)


def standins(config: Config, key: VirtualKey, row: ModelRow) -> Iterator[tuple[str, ModelRow]]:
    """The models that a row falls back on, in order, as far as this key may use them. Their fallbacks are not its."""
    for name in row.fallbacks:
        if key.allows_model(name):
            yield name, resolve(config, name)


class Standins:
    """Those of a call, as long as any are left."""

    def __init__(self, config: Config, key: VirtualKey, row: ModelRow) -> None:
        self._left = list(standins(config, key, row))

    def __bool__(self) -> bool:
        return bool(self._left)

    def next(self) -> tuple[str, ModelRow]:
        """The next one's name and row."""
        return self._left.pop(0)

    def begin_after(self, name: str) -> None:
        """The model of this name is asked, and none of those before it."""
        while self.next()[0] != name:
            pass


async def first_plan(gateway: Gateway, key: VirtualKey, kind: type[K], request: R) -> tuple[Plan[R, K], str]:
    """The plan for the model that was asked for, or for the first to stand in where its schema is not to be had; and
    that one's name."""
    try:
        return await plan(gateway, kind, request), request.model
    except ApiError as error:
        row = gateway.config.row(request.model)
        for name, other in standins(gateway.config, key, row) if row and away(error) else ():
            try:
                planned = translated(gateway, kind, request, other, await gateway.schemas.get(other.ref))
            except ApiError as refused:
                if not passes(refused):
                    raise
                continue
            return planned, name
        raise

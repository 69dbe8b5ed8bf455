"""The parts that calls are made with, joined once by `app`."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from adapters.catalog import Catalog
from adapters.errors import ApiError
from gateway.accounts.keys import Keys
from gateway.accounts.ledger import Ledger
from gateway.accounts.limits import Limits
from gateway.accounts.prices import Prices
from gateway.config import Config
from gateway.upstream.client import Upstream
from gateway.upstream.outputs import Outputs
from gateway.upstream.schemas import Schemas
from gateway.upstream.waiting import Waiting
from gateway.upstream.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class Replicate:
    """Where Replicate is, and the tokens that open it; `simulated` when it is only our own stand-in."""

    base_url: str
    tokens: tuple[str, ...]
    simulated: bool = False


class Running(Protocol):
    """A call that can be ended from outside, and says when it is settled."""

    settled: asyncio.Event

    def interrupt(self, error: ApiError) -> None: ...


class Unsettled(Protocol):
    """A prediction that has ended for its call, and not yet in the books."""

    async def settle(self, error: ApiError | None = None) -> None: ...


@dataclass(slots=True)
class Gateway:
    """Everything a call needs. `config` is swapped whole on a reload; `running` holds the calls that are not settled,
    `settling` the tasks that do it, `postponed` the predictions whose settlement waits for Replicate or the store."""

    config: Config
    keys: Keys
    limits: Limits
    ledger: Ledger
    prices: Prices
    catalog: Catalog
    upstream: Upstream
    schemas: Schemas
    waiting: Waiting
    outputs: Outputs
    webhooks: Webhooks
    clock: Callable[[], float] = time.time
    running: set[Running] = field(default_factory=set)
    settling: set[asyncio.Task[None]] = field(default_factory=set)
    postponed: set[Unsettled] = field(default_factory=set)
    draining: bool = False

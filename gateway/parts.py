"""The parts that calls are made with, joined once by `app`."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from adapters.catalog import Catalog
from adapters.errors import ApiError
from gateway.accounts.audit import Audit
from gateway.accounts.budgets import Budgets
from gateway.accounts.keys import Keys
from gateway.accounts.ledger import Ledger
from gateway.accounts.limits import Limits, Slot
from gateway.accounts.prices import Prices
from gateway.accounts.pruning import Pruning
from gateway.accounts.teams import Teams
from gateway.config import Config
from gateway.elsewhere import Source
from gateway.intents import Intents
from gateway.replicas import Replicas
from gateway.store.objects import Objects, Stored
from gateway.upstream.client import Upstream
from gateway.upstream.finding import Finding
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

    id: str
    settled: asyncio.Event

    @property
    def answered(self) -> str | None:
        """The id of the key it was for, once its reply has left."""

    def interrupt(self, error: ApiError) -> None: ...


class Followed(Source, Protocol):
    """What is being made here, and can be followed by several."""

    def follow(self, after: int, heartbeat: float) -> AsyncGenerator[bytes]: ...


class Unsettled(Protocol):
    """A prediction that has ended for its call, and not yet in the books."""

    async def settle(self, error: ApiError | None = None) -> None: ...


@dataclass(slots=True)
class Gateway:
    """Everything a call needs. `config` is swapped whole on a reload; `running` holds the calls that are not settled,
    `settling` the tasks that do it, `postponed` the predictions whose settlement waits for Replicate or the store,
    `detached` the places of calls whose predictions go on without anybody who listens, `looking` who finds out how
    such a one stands, `followed` what is made of such a one here meanwhile; `ended` is set when one was seen to be
    over, and is to be booked; `sweeping` is held by who looks for what was left.
    There are `replicas` where other gateways share the books."""

    config: Config
    keys: Keys
    teams: Teams
    audit: Audit
    budgets: Budgets
    pruning: Pruning
    limits: Limits
    ledger: Ledger
    prices: Prices
    catalog: Catalog
    upstream: Upstream
    schemas: Schemas
    finding: Finding
    waiting: Waiting
    outputs: Outputs
    webhooks: Webhooks
    intents: Intents
    objects: Objects
    replicas: Replicas | None = None
    clock: Callable[[], float] = time.time
    running: set[Running] = field(default_factory=set)
    settling: set[asyncio.Task[Any]] = field(default_factory=set)
    postponed: set[Unsettled] = field(default_factory=set)
    detached: dict[str, Slot] = field(default_factory=dict)
    followed: dict[str, Followed] = field(default_factory=dict)
    looking: dict[str, asyncio.Task[Stored]] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    sweeping: asyncio.Lock = field(default_factory=asyncio.Lock)
    draining: bool = False

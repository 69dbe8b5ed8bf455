"""This gateway among others that serve from the same books: what they share, and the signs of life that it gives."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Self

from gateway.accounts.commons import Commons
from gateway.accounts.leases import Leases
from gateway.accounts.ledger import Ledger
from gateway.accounts.paces import Paces
from gateway.accounts.shares import Shares
from gateway.config import Config
from gateway.elsewhere import Elsewhere
from gateway.store.post import Post
from gateway.store.secrets import secret_of
from gateway.store.shared import Away, Shared
from gateway.store.sql import Store

LONGEST_SECONDS = 600.0
"""For so long a client that left is believed to come back, at most."""


class Replicas:
    """What several gateways share. There is none of it where one serves alone."""

    def __init__(self, shared: Shared, leases: Leases, limiter: Shares) -> None:
        self.shared, self.leases, self.limiter = shared, leases, limiter
        self.commons, self.post = Commons(shared), Post(shared)
        self.elsewhere = Elsewhere(self.post)

    @classmethod
    async def open(cls, config: Config, store: Store, ledger: Ledger, place_seconds: float) -> Self:
        """Raises ConfigError where the others cannot be found, StoreError. A place in the limits that nobody gave back
        is free after `place_seconds`."""
        seconds = config.shared.lease_seconds
        name = (await secret_of(store, "name")).hex()[:12]
        shared = await Shared.open(config.shared, name, ledger.owner)
        return cls(shared, Leases(store, ledger, seconds), Shares(shared, place_seconds, Paces(place_seconds)))

    @property
    def timers(self) -> list[Callable[[], Awaitable[float]]]:
        """What is to be done again and again, each after the seconds that it gives."""
        return [self.leases.renew, self.beat, self.post.listen]

    @property
    def standing(self) -> Mapping[str, object]:
        """For the operator: how many there are, and whether limits hold for all of them together."""
        return {"replicas": self.shared.replicas, "limits": "shared" if self.shared.up else "own share"}

    async def expect(self, digest: str, seconds: float) -> None:
        """A client may ask for this again within so many seconds, and would find the answer here."""
        with suppress(Away):
            await self.shared.note(self.shared.key("answers", digest), min(seconds, LONGEST_SECONDS))

    async def answered_elsewhere(self, digest: str) -> bool:
        """Whether another gateway that lives has the answer to this, or is making it; not known without the store."""
        try:
            return await self.shared.noted(self.shared.key("answers", digest))
        except Away:
            return False

    async def no_answer(self, digest: str) -> None:
        """There is none to be found after all."""
        with suppress(Away):
            await self.shared.forget(self.shared.key("answers", digest))

    async def beat(self) -> float:
        """A sign of life, and what could not be told before."""
        pause = await self.shared.beat()
        await self.limiter.catch_up()
        return pause

    async def aclose(self) -> None:
        """Gives back what it can, and takes leave."""
        await self.elsewhere.aclose()
        await self.limiter.aclose()
        await self.commons.aclose()
        await self.shared.aclose()

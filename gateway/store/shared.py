"""What several gateways share beside their books: one Redis or Valkey, asked with little patience."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import structlog

from gateway.config import ConfigError, SharedConfig

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript

log = structlog.get_logger()

FIRST_SECONDS = 5.0
"""How long the first question may take, which opens the first connection."""

BEAT_SECONDS = 1.0
"""From one sign of life to the next, and from one attempt to reach it again to the next."""

_BEAT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
return redis.call('ZCARD', KEYS[1])
"""


class Away(Exception):
    """It did not answer in time, or not as it should."""


class Script:
    """A Lua script, run whole or not at all."""

    def __init__(self, shared: "Shared", script: "AsyncScript") -> None:
        self._shared, self._script = shared, script

    async def run(self, keys: Sequence[str], told: Sequence[str | int]) -> Any:
        """What it gave. Raises Away."""
        return await self._shared.asked(lambda: self.ask(keys, told))

    def ask(self, keys: Sequence[str], told: Sequence[str | int]) -> Awaitable[Any]:
        """The same with whatever patience the caller has."""
        return self._script(keys=keys, args=told)


class Shared:
    """One store for the gateways of one set of books, whose `name` all its keys begin with.

    A question may take `patience_seconds`: a call that asks in vain goes on without, and the next ones do not even ask.
    """

    def __init__(self, client: "Redis", name: str, owner: str, config: SharedConfig) -> None:
        self.owner = owner
        self.up = True
        self.replicas = 1
        """How many gateways there were when last seen, this one among them."""
        self._client, self._patience, self._lease = client, config.patience_seconds, round(config.lease_seconds * 1000)
        # The braces keep all of it on one node of a cluster: a script may only touch what is together.
        self._prefix = f"{{repligate:{name}}}"
        self._beat = self.script(_BEAT)

    @classmethod
    async def open(cls, config: SharedConfig, name: str, owner: str) -> Self:
        """Raises ConfigError when there is none: nobody could tell then how many gateways there are."""
        shared = cls(_client(config.redis), name, owner, config)
        try:
            await shared._count(FIRST_SECONDS)
        except Away as away:
            await shared._client.aclose()
            raise ConfigError(
                f"shared.redis: {away}. Gateways that share limits start only where they can find each other"
            ) from None
        return shared

    @property
    def living(self) -> str:
        """The key of the sorted set of gateways, by when they last gave a sign of life."""
        return self.key("replicas")

    def key(self, *parts: str) -> str:
        return ":".join((self._prefix, *parts))

    def script(self, lua: str) -> Script:
        return Script(self, self._client.register_script(lua))

    async def note(self, key: str, seconds: float) -> None:
        """Everyone can see for so long who noted this. Raises Away."""
        await self.asked(lambda: self._client.set(key, self.owner, px=max(1, round(seconds * 1000))))

    async def noted(self, key: str) -> bool:
        """Whether somebody noted it who is still alive. Raises Away."""
        owner = await self.asked(lambda: self._client.get(key))
        return bool(owner) and await self.asked(lambda: self._client.zscore(self.living, owner)) is not None

    async def publish(self, channel: str, letter: bytes) -> int:
        """Gives how many listen to it. Raises Away."""
        return int(await self.asked(lambda: self._client.publish(channel, letter)))

    async def published(self, *channels: str, pulse: float) -> AsyncGenerator[bytes]:
        """What is published from now on. Raises Away when the line breaks, or nothing comes back on it for two
        pulses."""
        from redis.exceptions import RedisError

        try:
            async with self._client.pubsub() as line:
                await line.subscribe(*channels)
                asked = False
                while True:
                    told = await line.get_message(timeout=pulse)
                    if told and told["type"] == "message":
                        yield told["data"]
                    elif told is None and asked:
                        raise Away("no answer in time")
                    elif told is None:
                        await line.ping()
                    asked = told is None
        except (RedisError, OSError) as broken:
            raise Away(str(broken) or type(broken).__name__) from None

    async def forget(self, key: str) -> None:
        """Raises Away."""
        await self.asked(lambda: self._client.delete(key))

    async def asked(self, question: Callable[[], Awaitable[Any]]) -> Any:
        """The answer. Raises Away, at once while it is known to be."""
        if not self.up:
            raise Away("Redis was away a moment ago")
        return await self._answered(question, self._patience)

    async def beat(self) -> float:
        """Gives a sign of life and counts the others; finds out when it is back. Gives the seconds until the next."""
        was_up = self.up
        try:
            await self._count(self._patience)
        except Away:
            return BEAT_SECONDS
        self.up = True
        if not was_up:
            log.info("shared store is back: limits are shared again", replicas=self.replicas)
        return BEAT_SECONDS

    async def aclose(self) -> None:
        """Tells the others that there is one less."""
        try:
            await self.asked(lambda: self._client.zrem(self.living, self.owner))
        except Away:
            log.info("left without a word: the shared store is away")
        await self._client.aclose()

    async def _count(self, patience: float) -> None:
        beat: list[str | int] = [self.owner, self._lease]
        self.replicas = int(await self._answered(lambda: self._beat.ask([self.living], beat), patience))

    async def _answered(self, question: Callable[[], Awaitable[Any]], patience: float) -> Any:
        from redis.exceptions import RedisError

        began = time.monotonic()
        try:
            async with asyncio.timeout(patience):
                return await question()
        except (RedisError, OSError) as wrong:
            reason = "no answer in time" if isinstance(wrong, TimeoutError) else str(wrong) or type(wrong).__name__
            if self.up:
                self.up = False
                log.warning(
                    "shared store is away: limits are each gateway's own share",
                    reason=reason,
                    replicas=self.replicas,
                    seconds=round(time.monotonic() - began, 3),
                )
            raise Away(reason) from None


def _client(url: str) -> "Redis":
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ModuleNotFoundError:
        raise ConfigError('shared.redis: this needs a driver: pip install "repligate[redis]"') from None
    try:
        return Redis.from_url(url, retry=Retry(NoBackoff(), 0))
    except ValueError:
        raise ConfigError("shared.redis: this is no redis://, rediss:// or unix:// URL") from None

"""Replicate's webhooks: verified, counted once, and rung at whoever waits for that prediction."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

import msgspec
from cachetools import TTLCache
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from adapters.wire.replicate import Prediction
from gateway.errors import Forbidden
from gateway.upstream.client import Upstream

_SEEN_SECONDS = 3600
_SEEN = 100_000
_SECRETS_SECONDS = 60.0


class Bell:
    """Rings once, when a webhook brings a prediction's end."""

    def __init__(self) -> None:
        self.told: Prediction | None = None
        self.heeded = 0
        self._rung = asyncio.Event()

    def ring(self, prediction: Prediction) -> None:
        if prediction.final:
            self.told = prediction
            self._rung.set()

    async def wait(self, seconds: float) -> Prediction | None:
        """The prediction at its end, or None if no webhook brought it in time."""
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            return None
        return self.told


class Bells:
    """Who waits for which prediction, in this process."""

    def __init__(self) -> None:
        self._bells: dict[str, Bell] = {}

    @contextmanager
    def of(self, prediction: str, linger: float = 0) -> Iterator[Bell]:
        """The prediction's bell, for as long as someone waits; one that has not rung stays for `linger` seconds more,
        for who comes back."""
        bell = self._bells[prediction] = self._bells.get(prediction) or Bell()
        bell.heeded += 1
        try:
            yield bell
        finally:
            bell.heeded -= 1
            if linger and not bell.told:
                asyncio.get_running_loop().call_later(linger, self._forget, prediction)
            else:
                self._forget(prediction)

    def _forget(self, prediction: str) -> None:
        bell = self._bells.get(prediction)
        if bell and not bell.heeded:
            del self._bells[prediction]

    def ring(self, prediction: Prediction) -> bool:
        """Whether somebody waits here: if not, the call is over, or another process has it."""
        bell = self._bells.get(prediction.id)
        if bell:
            bell.ring(prediction)
        return bell is not None

    def heard(self, sender: str, body: bytes) -> None:
        """Another gateway has received this webhook, and nobody waits there."""
        self.ring(msgspec.json.decode(body, type=Prediction))


class Webhooks:
    """The receiving end of one gateway. `clock` never goes back."""

    def __init__(self, upstream: Upstream, bells: Bells, clock: Callable[[], float] = time.monotonic) -> None:
        self._upstream, self._bells, self._clock = upstream, bells, clock
        self._seen: TTLCache[str, None] = TTLCache(_SEEN, _SEEN_SECONDS, timer=clock)
        self._secrets: list[str] = []
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self.pass_on: Callable[[bytes], Awaitable[object]] | None = None
        """Where other gateways may wait for what nobody waits for here."""

    async def receive(self, headers: Mapping[str, str], body: bytes) -> None:
        """Rings the bell of the prediction in this webhook. A repeated one, or one that nobody waits for, is no error.

        Raises Forbidden if Replicate did not sign it, UpstreamFailed and its kin if its secret cannot be read.
        """
        told = {name.lower(): value for name, value in headers.items()}
        if not await self._signed(told, body):
            raise Forbidden("This webhook is not signed by Replicate.")
        if told["webhook-id"] in self._seen:
            return
        self._seen[told["webhook-id"]] = None
        try:
            prediction = msgspec.json.decode(body, type=Prediction)
        except msgspec.DecodeError:
            return
        if not self._bells.ring(prediction) and self.pass_on:
            await self.pass_on(body)

    async def _signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        if any(_verified(secret, headers, body) for secret in self._secrets):
            return True
        # The secret may have been changed; forgeries must not make us ask for it more than once a minute.
        return any(_verified(secret, headers, body) for secret in await self._read_again())

    async def _read_again(self) -> list[str]:
        async with self._reading:
            if self._clock() - self._read_at < _SECRETS_SECONDS:
                return self._secrets
            self._secrets = await self._upstream.counted().webhook_secrets()
            self._read_at = self._clock()
        return self._secrets


def _verified(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):
        # ValueError: a signature that is no base64, a body that is no UTF-8.
        return False
    return True

"""Virtual keys: issued once, kept as hashes, recognised within microseconds, revoked within a second."""

import asyncio
import hmac
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Final, Unpack

from cachetools import TTLCache
from msgspec.structs import replace
from sqlalchemy import Connection, select

from gateway.accounts.virtualkeys import (
    PREFIX,
    KeyLimits,
    Policy,
    UnknownKey,
    VirtualKey,
    add,
    digest,
    found,
    key_of,
    masked,
    meant,
    milliseconds,
    new_secret,
    note,
    with_predecessors,
)
from gateway.errors import InvalidKey, MissingKey
from gateway.store.sql import Store
from gateway.store.tables import keys

__all__ = ["CannotRotate", "KeyLimits", "Keys", "Policy", "UnknownKey", "VirtualKey", "masked", "new_secret"]

CACHED_SECONDS = 1.0
"""How long a key is believed without asking the store: what a revocation takes at most."""

_LONGEST = 256
_HOW = "send it as 'Authorization: Bearer sk-…'; `repligate keys create NAME` makes one."


class _Unasked:
    """Stands for what the cache does not hold: None there means a key that does not exist."""


_UNASKED: Final = _Unasked()


class CannotRotate(LookupError):
    """Only a key that works can have a successor; the message is for the operator."""


class Keys:
    """Issues, shows, changes and authenticates virtual keys; every change is a line in the audit log."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
        secret: Callable[[], str] = new_secret,
    ) -> None:
        self._store, self._clock, self._secret = store, clock, secret
        self._known: TTLCache[str, VirtualKey | None] = TTLCache(10_000, CACHED_SECONDS, timer=timer)
        self._asking: dict[str, asyncio.Task[VirtualKey | None]] = {}

    async def create(self, name: str, **policy: Unpack[Policy]) -> tuple[VirtualKey, str]:
        """A new key and its secret, which is returned here and never again. Raises StoreError."""
        secret, now = self._secret(), self._clock()
        key = VirtualKey(id=_new_id(), name=name, prefix=secret[:PREFIX], state="active", created_at=now, **policy)

        def create(connection: Connection) -> None:
            add(connection, key, secret)
            note(connection, now, "key.create", key, **policy)

        await self._store.write(create)
        return key, secret

    async def list(self) -> Sequence[VirtualKey]:
        """All keys, oldest first, the revoked ones too."""
        now, every = self._clock(), keys.c.id.is_not(None)
        return await self._store.read(lambda connection: found(connection, every, now))

    async def show(self, which: str) -> VirtualKey:
        """The key of this id, name or prefix, or the key itself. Raises UnknownKey when none or several are meant."""
        now = self._clock()
        return await self._store.read(lambda connection: meant(connection, which, now))

    async def revoke(self, which: str) -> VirtualKey:
        """Ends a key for ever, and what it was rotated from; revoking twice changes nothing. Raises UnknownKey."""
        return await self._change(which, "key.revoke", "revoked_at", self._clock())

    async def block(self, which: str) -> VirtualKey:
        """Refuses a key, and what it was rotated from, until it is unblocked. Raises UnknownKey."""
        return await self._change(which, "key.block", "blocked_at", self._clock())

    async def unblock(self, which: str) -> VirtualKey:
        """Lets a blocked key in again. Raises UnknownKey."""
        return await self._change(which, "key.unblock", "blocked_at", None)

    async def rotate(self, which: str, overlap: float = 0.0) -> tuple[VirtualKey, str]:
        """A new key of the same name and policy, and its secret; the old one ends after `overlap` seconds.

        Raises UnknownKey, and CannotRotate for a key that does not work or was rotated before.
        """
        secret, now = self._secret(), self._clock()

        def rotate(connection: Connection) -> VirtualKey:
            old = meant(connection, which, now)
            if found(connection, keys.c.rotated_from == old.id, now):
                raise CannotRotate(f"The key {old.name!r} ({old.prefix}…) was rotated before; rotate the newer one.")
            if old.state != "active":
                raise CannotRotate(f"The key {old.name!r} ({old.prefix}…) is {old.state}.")
            new = replace(old, id=_new_id(), prefix=secret[:PREFIX], created_at=now, rotated_from=old.id)
            ends = now + overlap if old.expires_at is None else min(now + overlap, old.expires_at)
            connection.execute(keys.update().where(keys.c.id == old.id).values(expires_at=milliseconds(ends)))
            add(connection, new, secret)
            note(connection, now, "key.rotate", new, rotated_from=old.id, old_ends_at=ends)
            return new

        new = await self._store.write(rotate)
        self._known.clear()
        return new, secret

    async def authenticate(self, authorization: str | None) -> VirtualKey:
        """The key that an `Authorization` header carries. Raises MissingKey, InvalidKey, StoreError."""
        scheme, _, rest = (authorization or "").strip().partition(" ")
        secret = rest.strip()
        if scheme.lower() != "bearer" or not secret:
            raise MissingKey(f"You did not provide an API key: {_HOW}")
        if len(secret) > _LONGEST or not secret.isascii():
            raise InvalidKey(f"Incorrect API key provided: {masked(secret)}. A key is {_HOW}")
        key = await self._found(digest(secret))
        if key is None:
            raise InvalidKey(
                f"Incorrect API key provided: {masked(secret)}. Ask the gateway's operator for one, and {_HOW}"
            )
        if key.state != "active" or self._expired(key.expires_at):
            state = "expired" if key.state == "active" else key.state
            raise InvalidKey(f"The API key {masked(secret)} is {state}. Ask the gateway's operator for another.")
        return key

    async def _found(self, hashed: str) -> VirtualKey | None:
        known = self._known.get(hashed, _UNASKED)
        if not isinstance(known, _Unasked):
            return known
        # One question per key at a time, which outlives whoever asked first.
        asking = self._asking.get(hashed)
        if asking is None:
            asking = self._asking[hashed] = asyncio.create_task(self._ask(hashed))
            asking.add_done_callback(lambda _: self._asking.pop(hashed, None))
        return await asyncio.shield(asking)

    async def _ask(self, hashed: str) -> VirtualKey | None:
        asked, now = select(keys).where(keys.c.hash == hashed), self._clock()
        row = await self._store.read(lambda connection: connection.execute(asked).mappings().first())
        same = row is not None and hmac.compare_digest(row["hash"], hashed)
        self._known[hashed] = key = key_of(row, now) if row is not None and same else None
        return key

    async def _change(self, which: str, act: str, column: str, moment: float | None) -> VirtualKey:
        """Sets or takes back a moment of a key and its predecessors, where that changes something; the key then."""
        now = self._clock()

        def change(connection: Connection) -> VirtualKey:
            chain = with_predecessors(connection, meant(connection, which, now), now)
            for key in chain:
                if (getattr(key, column) is None) != (moment is None):
                    connection.execute(keys.update().where(keys.c.id == key.id).values({column: milliseconds(moment)}))
                    note(connection, now, act, key)
            return found(connection, keys.c.id == chain[0].id, now)[0]

        changed = await self._store.write(change)
        self._known.clear()
        return changed

    def _expired(self, at: float | None) -> bool:
        return at is not None and at <= self._clock()


def _new_id() -> str:
    return f"key_{uuid.uuid4().hex}"

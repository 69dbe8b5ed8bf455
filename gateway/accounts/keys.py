"""Virtual keys: issued once, kept as hashes, recognised within microseconds, revoked within a second."""

import asyncio
import hmac
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Unpack

from cachetools import TTLCache
from msgspec.structs import replace
from sqlalchemy import Connection

from gateway.accounts.audit import OPERATOR, note
from gateway.accounts.moments import milliseconds
from gateway.accounts.teams import team_of
from gateway.accounts.virtualkeys import (
    PREFIX,
    WITH_TEAM,
    KeyChange,
    KeyLimits,
    Policy,
    UnknownKey,
    VirtualKey,
    add,
    columns,
    differing,
    digest,
    first_of,
    found,
    key_of,
    masked,
    meant,
    new_secret,
    with_predecessors,
)
from gateway.errors import Conflict, InvalidKey, MissingKey, StoreError
from gateway.store.sql import Store
from gateway.store.tables import keys

__all__ = ["CannotRotate", "KeyLimits", "Keys", "Policy", "UnknownKey", "VirtualKey", "masked", "new_secret"]

CACHED_SECONDS = 1.0
"""How long a key is believed without asking the store: what a revocation takes at most."""

_LONGEST = 256
_HOW = "send it as 'Authorization: Bearer sk-…'; `repligate keys create NAME` makes one."


class CannotRotate(Conflict):
    """Only a key that works can have a successor; the message is for the operator."""


class Keys:
    """Issues, shows, changes and authenticates virtual keys; every change is a line in the audit log."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
        secret: Callable[[], str] = new_secret,
        away_seconds: float = 0.0,
    ) -> None:
        self._store, self._clock, self._secret = store, clock, secret
        self._known: TTLCache[str, VirtualKey | None] = TTLCache(10_000, CACHED_SECONDS, timer=timer)
        # Believed only where the store cannot be asked.
        self._remembered: TTLCache[str, VirtualKey | None] = TTLCache(10_000, away_seconds, timer=timer)
        self._asking: dict[str, asyncio.Task[VirtualKey | None]] = {}

    async def create(self, name: str, *, by: str = OPERATOR, **policy: Unpack[Policy]) -> tuple[VirtualKey, str]:
        """A new key and its secret, which is returned here and never again. Raises UnknownTeam, StoreError."""
        secret, now = self._secret(), self._clock()
        key = VirtualKey(id=_new_id(), name=name, prefix=secret[:PREFIX], state="active", created_at=now, **policy)

        def create(connection: Connection) -> VirtualKey:
            if key.team is not None:
                team_of(connection, key.team)
            add(connection, key, secret)
            note(connection, now, by, "key.create", key.id, **_known_by(key), **policy)
            return found(connection, keys.c.id == key.id, now)[0]

        return await self._store.write(create), secret

    async def list(self) -> Sequence[VirtualKey]:
        """All keys, oldest first, the revoked ones too."""
        now, every = self._clock(), keys.c.id.is_not(None)
        return await self._store.read(lambda connection: found(connection, every, now))

    async def show(self, which: str) -> VirtualKey:
        """The key of this id, name or prefix, or the key itself. Raises UnknownKey when none or several are meant."""
        now = self._clock()
        return await self._store.read(lambda connection: meant(connection, which, now))

    async def update(self, which: str, *, by: str = OPERATOR, **change: Unpack[KeyChange]) -> VirtualKey:
        """Changes what is named here and nothing else, also of what the key was rotated from, which lives no longer
        for it. Raises UnknownKey, UnknownTeam."""
        now = self._clock()

        def update(connection: Connection) -> VirtualKey:
            if (team := change.get("team")) is not None:
                team_of(connection, team)
            chain = with_predecessors(connection, meant(connection, which, now), now)
            for key in chain:
                said = {name: value for name, value in change.items() if key is chain[0] or name != "expires_at"}
                changed = differing(key, said)
                if changed:
                    before = {name: getattr(key, name) for name in changed}
                    connection.execute(keys.update().where(keys.c.id == key.id).values(columns(changed)))
                    note(connection, now, by, "key.update", key.id, **_known_by(key), before=before, after=changed)
            return found(connection, keys.c.id == chain[0].id, now)[0]

        updated = await self._store.write(update)
        self._known.clear()
        return updated

    async def revoke(self, which: str, *, by: str = OPERATOR) -> VirtualKey:
        """Ends a key for ever, and what it was rotated from; revoking twice changes nothing. Raises UnknownKey."""
        return await self._change(which, "revoked_at", self._clock(), by, "key.revoke")

    async def block(self, which: str, *, by: str = OPERATOR) -> VirtualKey:
        """Refuses a key, and what it was rotated from, until it is unblocked. Raises UnknownKey."""
        return await self._change(which, "blocked_at", self._clock(), by, "key.block")

    async def unblock(self, which: str, *, by: str = OPERATOR) -> VirtualKey:
        """Lets a blocked key in again. Raises UnknownKey."""
        return await self._change(which, "blocked_at", None, by, "key.unblock")

    async def rotate(self, which: str, overlap: float = 0.0, *, by: str = OPERATOR) -> tuple[VirtualKey, str]:
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
            note(connection, now, by, "key.rotate", new.id, **_known_by(new), rotated_from=old.id, old_ends_at=ends)
            return new

        new = await self._store.write(rotate)
        self._known.clear()
        self._remembered.clear()
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
        if key.team_blocked_at is not None and key.revoked_at is None:
            raise InvalidKey(f"The API key {masked(secret)} belongs to the team {key.team!r}, which is blocked.")
        if key.state != "active" or self._expired(key.expires_at):
            state = "expired" if key.state == "active" else key.state
            raise InvalidKey(f"The API key {masked(secret)} is {state}. Ask the gateway's operator for another.")
        return key

    async def _found(self, hashed: str) -> VirtualKey | None:
        try:
            return self._known[hashed]  # None is a key that does not exist
        except KeyError:
            asking = self._asking.get(hashed)
        if asking is None:
            # One question per key at a time, which outlives whoever asked first.
            asking = self._asking[hashed] = asyncio.create_task(self._ask(hashed))
            asking.add_done_callback(lambda _: self._asking.pop(hashed, None))
        return await asyncio.shield(asking)

    async def _ask(self, hashed: str) -> VirtualKey | None:
        asked, now = WITH_TEAM.where(keys.c.hash == hashed), self._clock()

        def ask(connection: Connection) -> VirtualKey | None:
            row = connection.execute(asked).mappings().first()
            if row is None or not hmac.compare_digest(row["hash"], hashed):
                return None
            key = key_of(row, now)
            return replace(key, first=first_of(connection, key.rotated_from)) if key.rotated_from else key

        try:
            key = await self._store.read(ask)
        except StoreError:
            if hashed not in self._remembered:
                raise
            key = self._remembered[hashed]
        else:
            self._remembered[hashed] = key
        self._known[hashed] = key
        return key

    async def _change(self, which: str, column: str, moment: float | None, by: str, act: str) -> VirtualKey:
        """Sets or takes back a moment of a key and its predecessors, where that changes something; the key then."""
        now = self._clock()

        def change(connection: Connection) -> VirtualKey:
            chain = with_predecessors(connection, meant(connection, which, now), now)
            for key in chain:
                if (getattr(key, column) is None) != (moment is None):
                    connection.execute(keys.update().where(keys.c.id == key.id).values({column: milliseconds(moment)}))
                    note(connection, now, by, act, key.id, **_known_by(key))
            return found(connection, keys.c.id == chain[0].id, now)[0]

        changed = await self._store.write(change)
        self._known.clear()
        self._remembered.clear()
        return changed

    def _expired(self, at: float | None) -> bool:
        return at is not None and at <= self._clock()


def _known_by(key: VirtualKey) -> dict[str, str]:
    """What people recognise a key by, for the audit log."""
    return {"name": key.name, "prefix": key.prefix}


def _new_id() -> str:
    return f"key_{uuid.uuid4().hex}"

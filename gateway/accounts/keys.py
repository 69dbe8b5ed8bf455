"""Virtual keys: issued once, kept as hashes, recognised within microseconds, revoked within a second."""

import asyncio
import hashlib
import hmac
import secrets
import string
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, TypedDict, Unpack

import msgspec
from cachetools import TTLCache
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, RowMapping, or_, select

from gateway.errors import InvalidKey, MissingKey
from gateway.store.sql import Store
from gateway.store.tables import audit, keys

Leave = Literal["cancel", "drain", "detach"]
Role = Literal["user", "admin"]
KeyState = Literal["active", "blocked", "expired", "revoked"]

CACHED_SECONDS = 1.0
"""How long a key is believed without asking the store: what a revocation takes at most."""

_ALPHABET = string.ascii_letters + string.digits
_RANDOM = 43  # letters of 62: a little more than 256 bits
_PREFIX = len("sk-") + 7
_LONGEST = 256
_HOW = "send it as 'Authorization: Bearer sk-…'; `repligate keys create NAME` makes one."


class KeyLimits(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How fast a key may go: 0 is without limit, None what `[limits]` of the settings says."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    images_per_minute: int | None = None
    calls_at_once: int | None = None


class Policy(TypedDict, total=False):
    """What may be said of a key when it is made; globs for models and endpoints, unix seconds for the expiry."""

    owner: str
    team: str | None
    tags: tuple[str, ...]
    models: tuple[str, ...]
    endpoints: tuple[str, ...]
    leave: Leave
    metadata: Mapping[str, str]
    limits: KeyLimits | None
    role: Role
    expires_at: float | None
    rotated_from: str | None


class VirtualKey(Struct, frozen=True, kw_only=True):
    """Whom we serve. Times are unix seconds; `state` is as of the moment the key was read. The secret is not in it."""

    id: str
    name: str
    prefix: str
    state: KeyState
    created_at: float
    owner: str = ""
    team: str | None = None
    tags: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    leave: Leave = "cancel"
    metadata: Mapping[str, str] = {}
    limits: KeyLimits | None = None
    role: Role = "user"
    expires_at: float | None = None
    blocked_at: float | None = None
    revoked_at: float | None = None
    rotated_from: str | None = None

    def allows_model(self, name: str) -> bool:
        """Whether a model of this name may be used; a key that names none may use all."""
        return not self.models or any(fnmatchcase(name, glob) for glob in self.models)

    def allows_endpoint(self, endpoint: str) -> bool:
        """Whether this endpoint may be used; a key that names none may use all."""
        return not self.endpoints or any(fnmatchcase(endpoint, glob) for glob in self.endpoints)


class _Unasked:
    """Stands for what the cache does not hold: None there means a key that does not exist."""


_UNASKED: Final = _Unasked()


class UnknownKey(LookupError):
    """No key, or more than one, is meant; the message is for the operator."""


def new_secret() -> str:
    """`sk-` and 256 random bits in letters and digits."""
    return "sk-" + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))


def masked(secret: str) -> str:
    """Enough of a key to recognise it, too little to use it: three characters at the front, four at the end."""
    printable = "".join(letter if letter in _ALPHABET + "-_" else "?" for letter in secret)
    return f"{printable[:3]}***{printable[-4:]}" if len(secret) >= 16 else "***"


class Keys:
    """Issues, lists, revokes and authenticates virtual keys."""

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
        key = VirtualKey(
            id=f"key_{uuid.uuid4().hex}", name=name, prefix=secret[:_PREFIX], state="active", created_at=now, **policy
        )

        def add(connection: Connection) -> None:
            connection.execute(keys.insert(), {**_columns(key), "hash": _digest(secret)})
            _note(connection, now, "key.create", key)

        await self._store.write(add)
        return key, secret

    async def list(self) -> Sequence[VirtualKey]:
        """All keys, oldest first, the revoked ones too."""
        rows = select(keys).order_by(keys.c.created_at, keys.c.id)
        return [self._key(row) for row in await self._store.read(lambda c: c.execute(rows).mappings().all())]

    async def revoke(self, which: str) -> VirtualKey:
        """Ends a key for ever, named by its id, its name, its prefix or itself; revoking twice changes nothing.

        Raises UnknownKey when none or several are meant.
        """
        now = self._clock()

        def end(connection: Connection) -> VirtualKey:
            key = self._meant(connection, which)
            if key.revoked_at is None:
                connection.execute(keys.update().where(keys.c.id == key.id).values(revoked_at=_ms(now)))
                _note(connection, now, "key.revoke", key)
            return self._read(connection, keys.c.id == key.id)[0]

        revoked = await self._store.write(end)
        self._known.clear()
        return revoked

    async def authenticate(self, authorization: str | None) -> VirtualKey:
        """The key that an `Authorization` header carries. Raises MissingKey, InvalidKey, StoreError."""
        scheme, _, rest = (authorization or "").strip().partition(" ")
        secret = rest.strip()
        if scheme.lower() != "bearer" or not secret:
            raise MissingKey(f"You did not provide an API key: {_HOW}")
        if len(secret) > _LONGEST or not secret.isascii():
            raise InvalidKey(f"Incorrect API key provided: {masked(secret)}. A key is {_HOW}")
        key = await self._found(_digest(secret))
        if key is None:
            raise InvalidKey(
                f"Incorrect API key provided: {masked(secret)}. Ask the gateway's operator for one, and {_HOW}"
            )
        if key.state != "active" or self._expired(key.expires_at):
            state = "expired" if key.state == "active" else key.state
            raise InvalidKey(f"The API key {masked(secret)} is {state}. Ask the gateway's operator for another.")
        return key

    async def _found(self, digest: str) -> VirtualKey | None:
        known = self._known.get(digest, _UNASKED)
        if not isinstance(known, _Unasked):
            return known
        # One question per key at a time, which outlives whoever asked first.
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._asking[digest] = asyncio.create_task(self._ask(digest))
            asking.add_done_callback(lambda _: self._asking.pop(digest, None))
        return await asyncio.shield(asking)

    async def _ask(self, digest: str) -> VirtualKey | None:
        row = await self._store.read(lambda c: c.execute(select(keys).where(keys.c.hash == digest)).mappings().first())
        same = row is not None and hmac.compare_digest(row["hash"], digest)
        self._known[digest] = key = self._key(row) if row is not None and same else None
        return key

    def _meant(self, connection: Connection, which: str) -> VirtualKey:
        exact = or_(keys.c.id == which, keys.c.hash == _digest(which))
        found = self._read(connection, exact) or self._read(
            connection, or_(keys.c.name == which, keys.c.prefix == which.removesuffix("…"))
        )
        living = [key for key in found if key.revoked_at is None] or found[-1:]
        if not living:
            raise UnknownKey(f"There is no key {masked(which) if which.startswith('sk-') else repr(which)}.")
        if len(living) > 1:
            raise UnknownKey(f"Several keys are called {which!r}; say which: {', '.join(key.id for key in living)}.")
        return living[0]

    def _read(self, connection: Connection, condition: ColumnElement[bool]) -> Sequence[VirtualKey]:
        rows = select(keys).where(condition).order_by(keys.c.created_at)
        return [self._key(row) for row in connection.execute(rows).mappings()]

    def _key(self, row: RowMapping) -> VirtualKey:
        told: dict[str, Any] = {name: row[name] for name in VirtualKey.__struct_fields__ if name != "state"}
        told |= {name: msgspec.json.decode(told[name]) for name in ("tags", "models", "endpoints", "metadata")}
        told["limits"] = msgspec.json.decode(told["limits"] or "null")
        told |= {name: told[name] and told[name] / 1000 for name in told if name.endswith("_at")}
        return msgspec.convert({**told, "state": self._state(told)}, VirtualKey)

    def _state(self, told: Mapping[str, Any]) -> KeyState:
        if told["revoked_at"]:
            return "revoked"
        if told["blocked_at"]:
            return "blocked"
        return "expired" if self._expired(told["expires_at"]) else "active"

    def _expired(self, at: float | None) -> bool:
        return at is not None and at <= self._clock()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _columns(key: VirtualKey) -> dict[str, Any]:
    told = msgspec.structs.asdict(key)
    del told["state"]
    told |= {name: msgspec.json.encode(told[name]).decode() for name in ("tags", "models", "endpoints", "metadata")}
    told["limits"] = msgspec.json.encode(key.limits).decode() if key.limits else None
    return told | {name: _ms(told[name]) for name in told if name.endswith("_at")}


def _note(connection: Connection, now: float, act: str, key: VirtualKey) -> None:
    detail = msgspec.json.encode({"name": key.name, "prefix": key.prefix}).decode()
    line = {"id": uuid.uuid4().hex, "at": _ms(now), "actor": "operator", "act": act, "subject": key.id}
    connection.execute(audit.insert(), {**line, "detail": detail})


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)

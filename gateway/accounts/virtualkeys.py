"""What a virtual key is, and how it stands in the books."""

import hashlib
import secrets
import string
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, TypedDict

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import ColumnElement, Connection, RowMapping, or_, select

from gateway.accounts.moments import milliseconds
from gateway.errors import NotFound
from gateway.store.tables import keys, teams

Leave = Literal["cancel", "drain", "detach"]
Role = Literal["user", "admin"]
Priority = Literal["high", "normal", "low"]
KeyState = Literal["active", "blocked", "expired", "revoked"]

PREFIX = len("sk-") + 7
"""So much of a key is kept, to recognise it by."""

_ALPHABET = string.ascii_letters + string.digits
_RANDOM = 43  # letters of 62: a little more than 256 bits
_DERIVED = ("state", "first")
"""What no row has."""
_LISTS = ("tags", "models", "endpoints", "metadata")
_LIMITS = ("limits", "team_limits")
WITH_TEAM = select(keys, teams.c.limits.label("team_limits"), teams.c.blocked_at.label("team_blocked_at")).select_from(
    keys.outerjoin(teams, teams.c.id == keys.c.team)
)
"""Keys, each with what its team is held to: one question, so that both are of the same moment."""


class KeyLimits(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How fast a key may go: 0 is without limit, None what `[limits]` of the settings says. `weight` and `priority`
    tell its share of Replicate's allowance, where that is too small for all."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    images_per_minute: int | None = None
    calls_at_once: int | None = None
    weight: Annotated[int, Meta(ge=1, le=100)] | None = None
    priority: Priority | None = None


def amended(limits: KeyLimits | None, changes: Mapping[str, Any] | None) -> KeyLimits | None:
    """These limits with some of them changed; None takes one back to its default, or all of them."""
    told = {**msgspec.to_builtins(limits or KeyLimits()), **(changes or {})}
    new = msgspec.convert(told, KeyLimits)
    return None if changes is None or new == KeyLimits() else new


def differing(old: Struct, change: Mapping[str, Any]) -> dict[str, Any]:
    """Of what is to change, what is not so already; limits are `amended`."""
    said = dict(change)
    if "limits" in said:
        said["limits"] = amended(getattr(old, "limits", None), said["limits"])
    return {name: value for name, value in said.items() if getattr(old, name) != value}


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


class KeyChange(TypedDict, total=False):
    """What may be changed of a key; of limits those that are named, None takes them back."""

    name: str
    owner: str
    team: str | None
    tags: tuple[str, ...]
    models: tuple[str, ...]
    endpoints: tuple[str, ...]
    leave: Leave
    metadata: Mapping[str, str]
    limits: Mapping[str, Any] | None
    expires_at: float | None


class VirtualKey(Struct, frozen=True, kw_only=True):
    """Whom we serve. Times are unix seconds; `state` is as of the moment the key was read. The secret is not in it.

    `team_limits` and `team_blocked_at` are its team's as of then: all keys of a team share those, beside their own.
    `first` is the id of the key that a chain of rotations began with, and told to those who authenticate.
    """

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
    first: str | None = None
    team_limits: KeyLimits | None = None
    team_blocked_at: float | None = None

    def allows_model(self, name: str) -> bool:
        """Whether a model of this name may be used; a key that names none may use all."""
        return not self.models or any(fnmatchcase(name, glob) for glob in self.models)

    def allows_endpoint(self, endpoint: str) -> bool:
        """Whether this endpoint may be used; a key that names none may use all."""
        return not self.endpoints or any(fnmatchcase(endpoint, glob) for glob in self.endpoints)


class UnknownKey(NotFound):
    """No key, or more than one, is meant; the message is for the operator."""


def new_secret() -> str:
    """`sk-` and 256 random bits in letters and digits."""
    return "sk-" + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))


def masked(secret: str) -> str:
    """Enough of a key to recognise it, too little to use it: three characters at the front, four at the end."""
    printable = "".join(letter if letter in _ALPHABET + "-_" else "?" for letter in secret)
    return f"{printable[:3]}***{printable[-4:]}" if len(secret) >= 16 else "***"


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def add(connection: Connection, key: VirtualKey, secret: str) -> None:
    """A new row for a key, and the hash of its secret."""
    told = columns({name: value for name, value in msgspec.structs.asdict(key).items() if name in keys.c})
    connection.execute(keys.insert(), {**told, "hash": digest(secret)})


def columns(told: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of a key, as its row keeps it."""
    kept = dict(told)
    kept |= {name: msgspec.json.encode(kept[name]).decode() for name in _LISTS if name in kept}
    if "limits" in kept:
        kept["limits"] = msgspec.json.encode(kept["limits"]).decode() if kept["limits"] else None
    return kept | {name: milliseconds(kept[name]) for name in kept if name.endswith("_at")}


def key_of(row: RowMapping, now: float) -> VirtualKey:
    """The key in a row, in the state that it has now."""
    told: dict[str, Any] = {name: row[name] for name in VirtualKey.__struct_fields__ if name not in _DERIVED}
    told |= {name: msgspec.json.decode(told[name]) for name in _LISTS}
    told |= {name: msgspec.json.decode(told[name] or "null") for name in _LIMITS}
    told |= {name: told[name] and told[name] / 1000 for name in told if name.endswith("_at")}
    return msgspec.convert({**told, "state": _state(told, now)}, VirtualKey)


def found(connection: Connection, condition: ColumnElement[bool], now: float) -> Sequence[VirtualKey]:
    """The keys for which this holds, oldest first."""
    rows = WITH_TEAM.where(condition).order_by(keys.c.created_at, keys.c.id)
    return [key_of(row, now) for row in connection.execute(rows).mappings()]


def meant(connection: Connection, which: str, now: float) -> VirtualKey:
    """The one key of this id, name, prefix or secret. Of keys with the same name, those that are revoked or were
    rotated are not meant. Raises UnknownKey when there is none, or several."""
    exact = or_(keys.c.id == which, keys.c.hash == digest(which))
    several = found(connection, exact, now) or found(
        connection, or_(keys.c.name == which, keys.c.prefix == which.removesuffix("…")), now
    )
    rotated = {key.rotated_from for key in several}
    newest = [key for key in several if key.id not in rotated]
    living = [key for key in newest if key.revoked_at is None] or newest[-1:]
    if not living:
        raise UnknownKey(f"There is no key {masked(which) if which.startswith('sk-') else repr(which)}.")
    if len(living) > 1:
        raise UnknownKey(f"Several keys are called {which!r}; say which: {', '.join(key.id for key in living)}.")
    return living[0]


def with_predecessors(connection: Connection, key: VirtualKey, now: float) -> Sequence[VirtualKey]:
    """A key and all that it was rotated from, which may still be in their overlap; the newest first."""
    chain = [key]
    while chain[-1].rotated_from and (older := found(connection, keys.c.id == chain[-1].rotated_from, now)):
        chain.append(older[0])
    return chain


def first_of(connection: Connection, rotated_from: str) -> str | None:
    """The key that this chain of rotations began with."""
    step = select(keys.c.id, keys.c.rotated_from)
    chain = step.where(keys.c.id == rotated_from).cte("chain", recursive=True)
    chain = chain.union_all(step.join(chain, keys.c.id == chain.c.rotated_from))
    return connection.execute(select(chain.c.id).where(chain.c.rotated_from.is_(None))).scalar()


def _state(told: Mapping[str, Any], now: float) -> KeyState:
    if told["revoked_at"]:
        return "revoked"
    if told["blocked_at"] or told["team_blocked_at"]:
        return "blocked"
    return "expired" if told["expires_at"] is not None and told["expires_at"] <= now else "active"

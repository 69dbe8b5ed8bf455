"""Teams: they hold keys, which share the team's limits and budgets."""

import difflib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict, Unpack

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, RowMapping, func, select

from adapters.errors import InvalidRequest
from gateway.accounts.audit import OPERATOR, note
from gateway.accounts.moments import milliseconds
from gateway.accounts.virtualkeys import KeyLimits, differing
from gateway.errors import Conflict, NotFound
from gateway.store.sql import Store
from gateway.store.tables import keys, teams

_SLUG = re.compile(r"[A-Za-z0-9._-]{1,40}")


class Team(Struct, frozen=True, kw_only=True):
    """Some keys that share limits and budgets. `id` is the word it was created with; `keys` is how many it holds.

    Times are unix seconds.
    """

    id: str
    name: str
    state: Literal["active", "blocked"]
    created_at: float
    keys: int = 0
    limits: KeyLimits | None = None
    metadata: Mapping[str, str] = {}
    blocked_at: float | None = None


class TeamPolicy(TypedDict, total=False):
    """What may be said of a team when it is made."""

    name: str
    limits: KeyLimits | None
    metadata: Mapping[str, str]


class TeamChange(TypedDict, total=False):
    """What may be changed of a team; of limits those that are named, None takes them back."""

    name: str
    limits: Mapping[str, Any] | None
    metadata: Mapping[str, str]


class UnknownTeam(NotFound):
    """There is no such team; the message names those that are spelt alike."""


class TeamTaken(Conflict):
    """There is such a team already."""


class TeamHasKeys(Conflict):
    """Only an empty team may go: a key's lines in the books name it."""


class Teams:
    """Creates, shows and changes teams; every change is a line in the audit log."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock

    async def create(self, id: str, *, by: str = OPERATOR, **policy: Unpack[TeamPolicy]) -> Team:
        """A new team; its name is its id unless it is told another. Raises InvalidRequest, TeamTaken."""
        if not _SLUG.fullmatch(id):
            raise InvalidRequest(f"{id!r} is no team: write 1 to 40 letters, digits, '-', '_' or '.'.", param="id")
        now = self._clock()

        def create(connection: Connection) -> Team:
            if _found(connection, teams.c.id == id):
                raise TeamTaken(f"There is a team {id!r} already.", param="id")
            row = {"id": id, "name": id, "created_at": milliseconds(now), "metadata": "{}"} | _columns(policy)
            _name_is_free(connection, str(row["name"]), id)
            connection.execute(teams.insert(), row)
            note(connection, now, by, "team.create", id, **policy)
            return team_of(connection, id)

        return await self._store.write(create)

    async def list(self) -> Sequence[Team]:
        """All teams by their ids, the blocked ones too."""
        return await self._store.read(lambda connection: _found(connection, teams.c.id.is_not(None)))

    async def show(self, id: str) -> Team:
        """The team of this id. Raises UnknownTeam."""
        return await self._store.read(lambda connection: team_of(connection, id))

    async def update(self, id: str, *, by: str = OPERATOR, **change: Unpack[TeamChange]) -> Team:
        """Changes what is named here and nothing else. Raises UnknownTeam, TeamTaken."""
        now = self._clock()

        def update(connection: Connection) -> Team:
            old = team_of(connection, id)
            changed = differing(old, change)
            if not changed:
                return old
            _name_is_free(connection, changed.get("name", old.name), id)
            connection.execute(teams.update().where(teams.c.id == id).values(_columns(changed)))
            before = {name: getattr(old, name) for name in changed}
            note(connection, now, by, "team.update", id, before=before, after=changed)
            return team_of(connection, id)

        return await self._store.write(update)

    async def block(self, id: str, *, by: str = OPERATOR) -> Team:
        """Refuses all keys of a team until it is unblocked. Raises UnknownTeam."""
        return await self._set_blocked(id, self._clock(), by, "team.block")

    async def unblock(self, id: str, *, by: str = OPERATOR) -> Team:
        """Lets the keys of a blocked team in again. Raises UnknownTeam."""
        return await self._set_blocked(id, None, by, "team.unblock")

    async def delete(self, id: str, *, by: str = OPERATOR) -> Team:
        """Forgets a team that holds no keys, not even ended ones. Raises UnknownTeam, TeamHasKeys."""
        now = self._clock()

        def delete(connection: Connection) -> Team:
            team = team_of(connection, id)
            if team.keys:
                raise TeamHasKeys(f"The team {id!r} holds {team.keys} keys; block it, or move them to another first.")
            connection.execute(teams.delete().where(teams.c.id == id))
            note(connection, now, by, "team.delete", id, name=team.name)
            return team

        return await self._store.write(delete)

    async def _set_blocked(self, id: str, moment: float | None, by: str, act: str) -> Team:
        now = self._clock()

        def change(connection: Connection) -> Team:
            if (team_of(connection, id).blocked_at is None) != (moment is None):
                connection.execute(teams.update().where(teams.c.id == id).values(blocked_at=milliseconds(moment)))
                note(connection, now, by, act, id)
            return team_of(connection, id)

        return await self._store.write(change)


def team_of(connection: Connection, id: str) -> Team:
    """The team of this id. Raises UnknownTeam, with the nearest ids."""
    if found := _found(connection, teams.c.id == id):
        return found[0]
    known = list(connection.execute(select(teams.c.id)).scalars())
    near = " or ".join(map(repr, difflib.get_close_matches(id, known, n=3, cutoff=0.5)))
    hint = f"did you mean {near}?" if near else "`repligate teams list` shows those that there are."
    raise UnknownTeam(f"There is no team {id[:80]!r}; {hint}", param="team")


def _found(connection: Connection, condition: ColumnElement[bool]) -> Sequence[Team]:
    held = select(func.count()).select_from(keys).where(keys.c.team == teams.c.id).scalar_subquery()
    rows = select(teams, held.label("keys")).where(condition).order_by(teams.c.id)
    return [_team(row) for row in connection.execute(rows).mappings()]


def _team(row: RowMapping) -> Team:
    told: dict[str, Any] = {name: row[name] for name in Team.__struct_fields__ if name != "state"}
    told |= {name: told[name] and told[name] / 1000 for name in ("created_at", "blocked_at")}
    told |= {name: msgspec.json.decode(told[name] or "null") for name in ("limits", "metadata")}
    return msgspec.convert({**told, "state": "blocked" if row["blocked_at"] else "active"}, Team)


def _columns(policy: Mapping[str, Any]) -> dict[str, Any]:
    told = dict(policy)
    told |= {name: msgspec.json.encode(told[name]).decode() for name in ("limits", "metadata") if name in told}
    return told


def _name_is_free(connection: Connection, name: str, id: str) -> None:
    if others := _found(connection, (teams.c.name == name) & (teams.c.id != id)):
        raise TeamTaken(f"The team {others[0].id!r} is called {name!r} already.", param="name")

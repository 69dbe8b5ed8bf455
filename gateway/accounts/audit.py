"""The audit log: who did what to whom, in lines that nobody can change."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, RowMapping, select, tuple_

from gateway.accounts.moments import milliseconds
from gateway.store.sql import Store
from gateway.store.tables import audit

OPERATOR = "operator"
"""Whoever sits at the command line, or the gateway itself; others act by the id of their admin key."""


class Act(Struct, frozen=True, kw_only=True):
    """A line of the audit log; `at` is in unix seconds, `actor` the id of an admin key or `operator`."""

    id: str
    at: float
    actor: str
    act: str
    subject: str
    detail: Mapping[str, Any]


class Audit:
    """Reads the audit log."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def acts(self, limit: int, before: str | None = None, **like: str | None) -> Sequence[Act]:
        """The newest lines first, those before the line of this id, held to an `actor`, `act` or `subject`."""
        chosen = select(audit).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
        for name, value in like.items():
            if value is not None:
                chosen = chosen.where(audit.c[name] == value)
        if before is not None:
            at = select(audit.c.at).where(audit.c.id == before).scalar_subquery()
            chosen = chosen.where(tuple_(audit.c.at, audit.c.id) < tuple_(at, before))
        rows = await self._store.read(lambda connection: connection.execute(chosen).mappings().all())
        return [_act(row) for row in rows]


def note(connection: Connection, now: float, by: str, act: str, subject: str, **detail: object) -> None:
    """A line in the audit log, in the transaction of the act itself. Secrets have no place in it."""
    line = {"id": f"act_{uuid.uuid4().hex}", "at": milliseconds(now), "actor": by, "act": act, "subject": subject}
    connection.execute(audit.insert(), {**line, "detail": msgspec.json.encode(detail).decode()})


def _act(row: RowMapping) -> Act:
    told = {name: row[name] for name in Act.__struct_fields__}
    return Act(**{**told, "at": row["at"] / 1000, "detail": msgspec.json.decode(row["detail"])})

"""Notices: that a budget has passed a mark, written with what passed it, and sent by one of the gateways."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy import Connection, and_, exists, or_, select

from gateway.accounts.spending import Budget, Mark
from gateway.store.clocks import now_ms
from gateway.store.sql import Store
from gateway.store.tables import notices

log = structlog.get_logger()

KEPT_SECONDS = 90 * 86_400
"""Then the next notice takes an old one's place."""

TRIED_SECONDS = 3 * 86_400
"""For so long a notice is sent again and again; after that it is no news."""

LEASE_SECONDS, LONGEST_PAUSE = 60.0, 3600.0
AT_MOST = 20

_DUE = and_(
    notices.c.told_at.is_(None),
    or_(notices.c.lease_until.is_(None), notices.c.lease_until < now_ms()),
    notices.c.at > now_ms() - TRIED_SECONDS * 1000,
)


class Notice(Struct, frozen=True):
    """What is to be sent; `at` is the unix time it is about."""

    id: str
    at: float
    body: str


class Notices:
    """Those that nobody was told of yet. Each is given to one gateway at a time, by the database's clock; one that died
    with it is given to another, under the same id."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def take(self) -> list[Notice]:
        """Some that are due, oldest first, for this gateway to send. Raises StoreError."""
        # Looked at first: whoever writes makes all others wait.
        if not await self._store.read(lambda connection: connection.execute(select(exists().where(_DUE))).scalar()):
            return []
        taken = await self._store.write(self._take)
        return sorted(taken, key=lambda notice: notice.at)

    async def told(self, notice: Notice) -> None:
        """It has arrived. Raises StoreError."""
        told = notices.update().where(notices.c.id == notice.id).values(told_at=now_ms())
        await self._store.write(lambda connection: connection.execute(told))

    async def postpone(self, notice: Notice, now: float) -> None:
        """It has not: the pause until it is tried again grows with its age. Raises StoreError."""
        pause = min(max(now - notice.at, LEASE_SECONDS / 4), LONGEST_PAUSE)
        later = notices.update().where(notices.c.id == notice.id).values(lease_until=now_ms() + round(pause * 1000))
        await self._store.write(lambda connection: connection.execute(later))

    def _take(self, connection: Connection) -> list[Notice]:
        few = select(notices.c.id).where(_DUE).order_by(notices.c.at).limit(AT_MOST)
        taken = notices.update().where(notices.c.id.in_(few)).values(lease_until=now_ms() + round(LEASE_SECONDS * 1000))
        rows = connection.execute(taken.returning(notices.c.id, notices.c.at, notices.c.body))
        return [Notice(identity, at / 1000, body) for identity, at, body in rows]


def write_notices(connection: Connection, crossed: Sequence[tuple[Budget, Mark]], now: float) -> None:
    """A notice for each mark that was passed, to be sent by whichever gateway gets to it."""
    at = round(now * 1000)
    rows = [
        {
            "id": f"msg_{uuid.uuid4().hex}",
            "budget": budget.id,
            "event": event(mark),
            "at": at,
            "body": body(budget, mark, now),
        }
        for budget, mark in crossed
    ]
    if rows:
        connection.execute(notices.delete().where(notices.c.at < at - KEPT_SECONDS * 1000))
        connection.execute(notices.insert(), rows)
    for budget, mark in crossed:
        # Before the commit: a line too many is better than none.
        log.warning("budget", mark=mark, **shown(budget))


def event(mark: Mark) -> str:
    """What a mark is called in notices."""
    return f"budget.{mark}"


def shown(budget: Budget) -> dict[str, Any]:
    """A budget in plain values, amounts in US dollars."""
    told: dict[str, Any] = {name: getattr(budget, name) for name in ("id", "scope", "subject", "period")}
    amounts = {f"{name}_usd": getattr(budget, name) for name in ("soft", "hard", "spent", "reserved", "left")}
    told |= {name: None if amount is None else amount / 1_000_000 for name, amount in amounts.items()}
    return {**told, "renews_at": budget.renews.isoformat() if budget.renews else None}


def body(budget: Budget, mark: Mark, now: float) -> str:
    """What is sent, in the form of Standard Webhooks."""
    said = {"type": event(mark), "timestamp": _instant(now), "data": shown(budget)}
    return msgspec.json.encode(said).decode()


def _instant(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""The tables of the books; money is whole micro-dollars, instants are unix milliseconds, durations are seconds.

`entries` and `settlements` are the ledger: rows are added and never changed (the database refuses it). `reservations`
is the journal: an entry stands there from the moment it is opened until it is settled, with what is known of it so far.
`totals` and `tag_totals` are the settlements summed, in the transaction that settles; they can be rebuilt from these.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

NEWEST = "0008"
"""The migration these tables correspond to; a test holds it to the newest file in `migrations/versions`."""

metadata = MetaData(
    # The first migration told the names of checks whole, and Alembic put this before them once more: all books have it.
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

teams = Table(
    "teams",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("limits", Text),
    Column("blocked_at", BigInteger),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", Text, nullable=False, index=True),
    Column("prefix", String(16), nullable=False, index=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("owner", Text, nullable=False),
    Column("team", String(40), index=True),
    Column("tags", Text, nullable=False),
    Column("models", Text, nullable=False),
    Column("endpoints", Text, nullable=False),
    Column("leave", String(16), nullable=False),
    Column("metadata", Text, nullable=False),
    Column("limits", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("blocked_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("rotated_from", String(40)),
)

entries = Table(
    "entries",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("call", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("key", String(40), nullable=False),
    Column("team", String(40)),
    Column("kind", String(32), nullable=False),
    Column("model", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("version", Text),
    Column("digest", Text, nullable=False),
    Column("request", Text),
    Column("tags", Text, nullable=False),
    Column("price", Text),
    Column("reserved", BigInteger),
    Column("deadline", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("day", Integer, nullable=False),
    CheckConstraint("reserved >= 0", name="ck_entries_reserved"),
    Index(None, "call", "seq", unique=True),
    sqlite_with_rowid=False,
)

reservations = Table(
    "reservations",
    metadata,
    Column("entry", String(40), ForeignKey("entries.id"), primary_key=True),
    Column("key", String(40), nullable=False),
    Column("team", String(40)),
    Column("amount", BigInteger),
    Column("owner", String(40), nullable=False),
    Column("lease_until", BigInteger),
    Column("prediction", Text, unique=True),
    Column("prediction_at", BigInteger),
    Column("leave", String(16), nullable=False, server_default="cancel"),
    CheckConstraint("amount >= 0", name="ck_reservations_amount"),
    sqlite_with_rowid=False,
)

settlements = Table(
    "settlements",
    metadata,
    Column("entry", String(40), ForeignKey("entries.id"), primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("key", String(40), nullable=False),
    Column("team", String(40)),
    Column("model", Text, nullable=False),
    Column("day", Integer, nullable=False),
    Column("prediction", Text, unique=True),
    Column("status", Text, nullable=False),
    Column("error", Text),
    Column("prediction_at", BigInteger),
    Column("settled_at", BigInteger, nullable=False),
    Column("queue_seconds", Double),
    Column("run_seconds", Double),
    Column("first_token_seconds", Double),
    Column("tokens_in", BigInteger),
    Column("tokens_out", BigInteger),
    Column("estimated", Boolean, nullable=False),
    Column("images", BigInteger),
    Column("cost", BigInteger),
    Column("basis", Text, nullable=False),
    Column("owner", String(40), nullable=False),
    CheckConstraint("cost >= 0", name="ck_settlements_cost"),
    CheckConstraint("tokens_in >= 0 AND tokens_out >= 0 AND images >= 0", name="ck_settlements_counts"),
    Index(None, "day", "key", "model"),
    sqlite_with_rowid=False,
)


def _summed() -> list[Column[int]]:
    """What both rollups sum of settlements; run time in microseconds, for integers add up the same in any order."""
    names = ("calls", "predictions", "failed", "estimated", "priced", "tokens_in", "tokens_out", "images")
    return [Column(name, BigInteger, nullable=False) for name in (*names, "run_micros", "cost")]


totals = Table(
    "totals",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("key", String(40), primary_key=True),
    Column("team", String(40), primary_key=True),  # empty where there is none
    Column("model", Text, primary_key=True),
    *_summed(),
    Index(None, "key", "day"),
    Index(None, "team", "day"),
    Index(None, "model", "day"),
    sqlite_with_rowid=False,
)

tag_totals = Table(
    "tag_totals",
    metadata,
    Column("tag", Text, primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    *_summed(),
    Index(None, "day"),
    sqlite_with_rowid=False,
)

budgets = Table(
    "budgets",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("scope", String(16), nullable=False),
    Column("subject", Text, nullable=False),
    Column("period", String(16), nullable=False),
    Column("soft", BigInteger),
    Column("hard", BigInteger),
    Column("unpriced", Text, nullable=False),
    Column("day", Integer, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("told", Integer, nullable=False, server_default="0"),
    CheckConstraint("reserved >= 0 AND spent >= 0", name="ck_budgets_amounts"),
    Index(None, "scope", "subject", "period", unique=True),
)

notices = Table(
    "notices",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("budget", String(40), nullable=False),
    Column("event", String(32), nullable=False),
    Column("at", BigInteger, nullable=False, index=True),
    Column("body", Text, nullable=False),
    Column("told_at", BigInteger),
    Column("lease_until", BigInteger),
)

audit = Table(
    "audit",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("at", BigInteger, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("act", String(40), nullable=False),
    Column("subject", String(40), nullable=False),
    Column("detail", Text, nullable=False),
)

intents = Table(
    "intents",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("key", String(40), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("request", Text, nullable=False),
    Column("owner", String(40), nullable=False),
    Column("at", BigInteger, nullable=False, index=True),
    Column("status", Integer),
    Column("headers", Text),
    Column("body", LargeBinary),
)

objects = Table(
    "objects",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("owner", String(40), nullable=False),
    Column("status", String(24), nullable=False),
    Column("label", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Index(None, "owner", "kind", "created_at"),
    Index(None, "kind", "expires_at"),
)

schemas = Table(
    "schemas",
    metadata,
    Column("id", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("saved_at", BigInteger, nullable=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

"""The first form of the books."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None


def upgrade() -> None:
    """Makes every table, and lets nobody change a line of the ledger or of the audit log."""
    _teams()
    _keys()
    _entries()
    _reservations()
    _settlements()
    _budgets()
    _audit()
    _schemas()
    for table in ("entries", "settlements", "audit"):
        _protect(table)


def _teams() -> None:
    op.create_table(
        "teams",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("limits", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_teams"),
        sa.UniqueConstraint("name", name="uq_teams_name"),
    )


def _keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("team", sa.String(40)),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("models", sa.Text, nullable=False),
        sa.Column("endpoints", sa.Text, nullable=False),
        sa.Column("leave", sa.String(16), nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("limits", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("blocked_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("rotated_from", sa.String(40)),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("hash", name="uq_keys_hash"),
    )
    op.create_index("ix_keys_name", "keys", ["name"])
    op.create_index("ix_keys_prefix", "keys", ["prefix"])
    op.create_index("ix_keys_team", "keys", ["team"])


def _entries() -> None:
    op.create_table(
        "entries",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("call", sa.Text, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("key", sa.String(40), nullable=False),
        sa.Column("team", sa.String(40)),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("ref", sa.Text, nullable=False),
        sa.Column("version", sa.Text),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("request", sa.Text),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("price", sa.Text),
        sa.Column("reserved", sa.BigInteger),
        sa.Column("deadline", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.CheckConstraint("reserved >= 0", name="ck_entries_reserved"),
        sa.PrimaryKeyConstraint("id", name="pk_entries"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_entries_call_seq", "entries", ["call", "seq"], unique=True)


def _reservations() -> None:
    op.create_table(
        "reservations",
        sa.Column("entry", sa.String(40), nullable=False),
        sa.Column("key", sa.String(40), nullable=False),
        sa.Column("team", sa.String(40)),
        sa.Column("amount", sa.BigInteger),
        sa.Column("owner", sa.String(40), nullable=False),
        sa.Column("lease_until", sa.BigInteger),
        sa.Column("prediction", sa.Text),
        sa.Column("prediction_at", sa.BigInteger),
        sa.CheckConstraint("amount >= 0", name="ck_reservations_amount"),
        sa.ForeignKeyConstraint(["entry"], ["entries.id"], name="fk_reservations_entry"),
        sa.PrimaryKeyConstraint("entry", name="pk_reservations"),
        sa.UniqueConstraint("prediction", name="uq_reservations_prediction"),
        sqlite_with_rowid=False,
    )


def _settlements() -> None:
    op.create_table(
        "settlements",
        sa.Column("entry", sa.String(40), nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("key", sa.String(40), nullable=False),
        sa.Column("team", sa.String(40)),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("prediction", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("prediction_at", sa.BigInteger),
        sa.Column("settled_at", sa.BigInteger, nullable=False),
        sa.Column("queue_seconds", sa.Double),
        sa.Column("boot_seconds", sa.Double),
        sa.Column("run_seconds", sa.Double),
        sa.Column("first_token_seconds", sa.Double),
        sa.Column("tokens_in", sa.BigInteger),
        sa.Column("tokens_out", sa.BigInteger),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("images", sa.BigInteger),
        sa.Column("cost", sa.BigInteger),
        sa.Column("basis", sa.Text, nullable=False),
        sa.Column("owner", sa.String(40), nullable=False),
        sa.CheckConstraint("cost >= 0", name="ck_settlements_cost"),
        sa.CheckConstraint("tokens_in >= 0 AND tokens_out >= 0 AND images >= 0", name="ck_settlements_counts"),
        sa.ForeignKeyConstraint(["entry"], ["entries.id"], name="fk_settlements_entry"),
        sa.PrimaryKeyConstraint("entry", name="pk_settlements"),
        sa.UniqueConstraint("prediction", name="uq_settlements_prediction"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_settlements_day_key_model", "settlements", ["day", "key", "model"])


def _budgets() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("period", sa.String(16), nullable=False),
        sa.Column("soft", sa.BigInteger),
        sa.Column("hard", sa.BigInteger),
        sa.Column("unpriced", sa.Text, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        sa.Column("spent", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("reserved >= 0 AND spent >= 0", name="ck_budgets_amounts"),
        sa.PrimaryKeyConstraint("id", name="pk_budgets"),
    )
    op.create_index("ix_budgets_scope_subject_period", "budgets", ["scope", "subject", "period"], unique=True)


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("act", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(40), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"])


def _schemas() -> None:
    op.create_table(
        "schemas",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("saved_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_schemas"),
    )


def _protect(table: str) -> None:
    raised = f"{table} only gains lines"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {table}_only_gain BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, '{raised}'); END"
        )
        return
    op.execute(
        f"CREATE FUNCTION {table}_only_gain() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{raised}'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_only_gain BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_only_gain()"
    )

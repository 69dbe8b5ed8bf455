"""Settlements summed by day, key, team and model, and by tag and day, filled from what is settled."""

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"

SUMMED = ("calls", "predictions", "failed", "estimated", "priced", "tokens_in", "tokens_out", "images")
SUMS = """
    SUM(CASE WHEN s.seq = 0 THEN 1 ELSE 0 END), COUNT(*), SUM(CASE WHEN s.status <> 'succeeded' THEN 1 ELSE 0 END),
    SUM(CASE WHEN s.estimated THEN 1 ELSE 0 END), COUNT(s.cost), COALESCE(SUM(s.tokens_in), 0),
    COALESCE(SUM(s.tokens_out), 0), COALESCE(SUM(s.images), 0),
    COALESCE(SUM(CAST({floor}(s.run_seconds * 1000000 + 0.5) AS BIGINT)), 0), COALESCE(SUM(s.cost), 0)
"""
FLOOR = {"sqlite": "", "postgresql": "FLOOR"}  # SQLite's CAST cuts off, PostgreSQL's rounds
TAGS = {
    "sqlite": "json_each(e.tags)",
    "postgresql": "json_array_elements_text(CAST(e.tags AS json)) AS t(value)",
}


def upgrade() -> None:
    """Makes both tables and fills them a day at a time."""
    columns = (*SUMMED, "run_micros", "cost")
    op.create_table(
        "totals",
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("key", sa.String(40), nullable=False),
        sa.Column("team", sa.String(40), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in columns),
        sa.PrimaryKeyConstraint("day", "key", "team", "model", name="pk_totals"),
        sqlite_with_rowid=False,
    )
    for subject in ("key", "team", "model"):
        op.create_index(f"ix_totals_{subject}_day", "totals", [subject, "day"])
    op.create_table(
        "tag_totals",
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in columns),
        sa.PrimaryKeyConstraint("tag", "day", name="pk_tag_totals"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_tag_totals_day", "tag_totals", ["day"])
    context = op.get_context()
    _fill(op.get_bind(), context.config.attributes.get("progress") if context.config else None)


def _fill(connection: sa.Connection, progress: Callable[[str, int, int], None] | None) -> None:
    dialect = connection.dialect.name
    sums, each_tag = SUMS.format(floor=FLOOR[dialect]), TAGS[dialect]
    totals = (
        f"INSERT INTO totals SELECT s.day, s.key, COALESCE(s.team, ''), s.model, {sums} "  # noqa: S608 - ours alone
        "FROM settlements AS s WHERE s.day = :day GROUP BY s.day, s.key, COALESCE(s.team, ''), s.model"
    )
    # A tag that a key was given twice counts once.
    tagged = (
        f"INSERT INTO tag_totals SELECT d.value, s.day, {sums} FROM settlements AS s JOIN ("  # noqa: S608 - ours alone
        f"SELECT DISTINCT e.id, value FROM settlements AS o JOIN entries AS e ON e.id = o.entry CROSS JOIN {each_tag} "
        "WHERE o.day = :day AND e.tags <> '[]') AS d ON d.id = s.entry WHERE s.day = :day GROUP BY d.value, s.day"
    )
    days = connection.execute(sa.text("SELECT DISTINCT day FROM settlements ORDER BY day")).scalars().all()
    for done, day in enumerate(days, 1):
        connection.execute(sa.text(totals), {"day": day})
        connection.execute(sa.text(tagged), {"day": day})
        if progress:
            progress("days summed", done, len(days))

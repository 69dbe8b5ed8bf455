"""Teams become entities: what keys were told of a team in free text gets a row, and a team can be blocked."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0004", "0003"


def upgrade() -> None:
    """A row for every team that a key names, under the very text, for ledger lines keep it."""
    op.add_column("teams", sa.Column("blocked_at", sa.BigInteger))
    op.execute(
        "INSERT INTO teams (id, name, created_at, metadata) "
        "SELECT team, team, MIN(created_at), '{}' FROM keys "
        "WHERE team IS NOT NULL AND team NOT IN (SELECT id FROM teams) GROUP BY team"
    )

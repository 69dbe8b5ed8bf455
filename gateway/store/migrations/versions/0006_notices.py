"""What budgets have told already, and the notices of it that are still to be sent."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0006", "0005"


def upgrade() -> None:
    """Budgets remember which of their marks was passed; notices wait to be sent."""
    op.add_column("budgets", sa.Column("told", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "notices",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("budget", sa.String(40), nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("told_at", sa.BigInteger),
        sa.Column("lease_until", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_notices"),
    )
    op.create_index("ix_notices_at", "notices", ["at"])

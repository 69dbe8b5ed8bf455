"""OpenAI's objects that outlive their request: files, uploads and what comes after them."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    """Makes their table."""
    op.create_table(
        "objects",
        sa.Column("id", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("owner", sa.String(40), nullable=False),
        sa.Column("status", sa.String(24), nullable=False),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_objects"),
    )
    op.create_index("ix_objects_owner_kind_created_at", "objects", ["owner", "kind", "created_at"])
    op.create_index("ix_objects_kind_expires_at", "objects", ["kind", "expires_at"])

"""No column for what nobody can know."""

from alembic import op

revision, down_revision = "0008", "0007"


def upgrade() -> None:
    """Replicate does not tell booting from waiting: the column was always empty."""
    op.drop_column("settlements", "boot_seconds")

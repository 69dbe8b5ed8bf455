"""The books' form, version by version; Alembic reads this folder."""

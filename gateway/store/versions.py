"""Brings the tables up to date when the store is opened, one process at a time."""

from sqlalchemy import Connection, Engine, inspect, text

from gateway.store.tables import NEWEST

# PostgreSQL's locks are named by a number: any will do that nothing else in the database uses.
_LOCK = 7_370_617_465


def bring_up(engine: Engine) -> None:
    """Runs the migrations that are due, in one transaction that others wait for.

    Raises ConfigError when the books are of a newer form than this program knows.
    """
    with engine.connect() as connection:
        if version(connection) == NEWEST:
            return
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if version(connection) != NEWEST:
            # Imported late: a start that finds its tables up to date should not pay for it.
            from gateway.store.upgrading import upgrade  # noqa: PLC0415

            upgrade(connection)


def version(connection: Connection) -> str | None:
    """The migration the books are at; None for empty ones."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

"""Makes the tables of empty books at once, as all migrations together leave them."""

from collections.abc import Iterator

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, text

from gateway.store.tables import NEWEST, audit, entries, metadata, settlements

# Alembic's own, where it looks for the form that books have.
_form = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def make(connection: Connection) -> None:
    """Empty books become books of the newest form, in the transaction that the connection is in."""
    # Unchecked: what stands in the way is another's, and is told of.
    metadata.create_all(connection, checkfirst=False)
    for table in (entries, settlements, audit):
        for statement in _protecting(table.name, connection.dialect.name):
            connection.execute(text(statement))
    _form.create(connection, checkfirst=True)
    connection.execute(_form.insert(), {"version_num": NEWEST})


def _protecting(table: str, dialect: str) -> Iterator[str]:
    """Nobody may change a line of this table."""
    raised = f"{table} only gains lines"
    if dialect == "sqlite":
        yield f"CREATE TRIGGER {table}_only_gain BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, '{raised}'); END"
        return
    yield (
        f"CREATE FUNCTION {table}_only_gain() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{raised}'; END $$"
    )
    yield (
        f"CREATE TRIGGER {table}_only_gain BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_only_gain()"
    )

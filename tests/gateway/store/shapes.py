"""What a database itself says of the tables in it: everything that the order of making them does not decide."""

from typing import Any

from sqlalchemy import Connection, inspect, text

Shape = dict[str, Any]

_COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
        pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.relname, a.attnum
"""
_CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = current_schema()::regnamespace ORDER BY 1, 2
"""
_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1"
_TRIGGERS = """
    SELECT t.tgname, pg_get_triggerdef(t.oid) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal ORDER BY 1
"""
_FUNCTIONS = """
    SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = current_schema()::regnamespace ORDER BY 1
"""
_SEQUENCES = "SELECT sequencename FROM pg_sequences WHERE schemaname = current_schema() ORDER BY 1"


def shape(connection: Connection) -> Shape:
    """Columns in their order, with types, defaults and nulls; constraints and indexes with their names; triggers; and
    all rows."""
    if connection.dialect.name == "sqlite":
        told = {name: _sqlite(connection, name) for name in inspect(connection).get_table_names()}
        triggers = "SELECT name, sql FROM sqlite_master WHERE type NOT IN ('table', 'index') ORDER BY name"
        return {**told, "triggers": _rows(connection, triggers), "rows": rows(connection)}
    asked = (_COLUMNS, _CONSTRAINTS, _INDEXES, _TRIGGERS, _FUNCTIONS, _SEQUENCES)
    here = connection.execute(text("SELECT current_schema()")).scalar()
    return {
        "catalog": repr([_rows(connection, each) for each in asked]).replace(str(here), "here"),
        "rows": rows(connection),
    }


def rows(connection: Connection) -> dict[str, list[Any]]:
    return {name: _rows(connection, f"SELECT * FROM {name}") for name in inspect(connection).get_table_names()}


def _sqlite(connection: Connection, table: str) -> Shape:
    asked = inspect(connection)
    indexes = [tuple(row)[1:] for row in _rows(connection, f"PRAGMA index_list({table})")]
    return {
        "columns": _rows(connection, f"PRAGMA table_xinfo({table})"),
        "kind": [tuple(row)[2:] for row in _rows(connection, f"PRAGMA table_list({table})")],
        "indexes": sorted((*each, _rows(connection, f"PRAGMA index_xinfo({each[0]})")) for each in indexes),
        "key": asked.get_pk_constraint(table),
        "unique": _sorted(asked.get_unique_constraints(table)),
        "foreign": _sorted(asked.get_foreign_keys(table)),
        "checks": _sorted(asked.get_check_constraints(table)),
    }


def _sorted(constraints: Any) -> list[Any]:
    return sorted(constraints, key=repr)


def _rows(connection: Connection, asked: str) -> list[Any]:
    return [tuple(row) for row in connection.execute(text(asked))]

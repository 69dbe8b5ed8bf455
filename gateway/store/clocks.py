"""The database's own clock: what several gateways measure leases by."""

from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class now_ms(FunctionElement[int]):  # noqa: N801 - a function, to whoever writes a statement
    """Unix milliseconds, at the moment it is evaluated."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_ms, "postgresql")
def _in_postgresql(element: now_ms, compiler: SQLCompiler, **options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(now_ms, "sqlite")
def _in_sqlite(element: now_ms, compiler: SQLCompiler, **options: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"

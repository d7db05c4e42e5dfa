"""Rows and a checksum of each table, which does not depend on the order of the rows.

`CHECKSUM_AGG(BINARY_CHECKSUM(*))` leaves out texts and images, and two equal rows cancel out in it. So each row is written as
JSON, hashed with SHA-256, and 64 bits of the hashes are added up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from changeover.drivers.databases.compare import Sum
from changeover.drivers.databases.sqlserver_line import Look
from changeover.drivers.databases.sqlserver_session import Connection, Row
from changeover.drivers.databases.sqlserver_text import quoted

COLUMNS = (
    "SELECT s.name, o.name, c.name, t.name FROM sys.columns c JOIN sys.tables o ON o.object_id = c.object_id "
    "JOIN sys.schemas s ON s.schema_id = o.schema_id JOIN sys.types u ON u.user_type_id = c.user_type_id "
    "JOIN sys.types t ON t.user_type_id = CASE WHEN u.is_assembly_type = 1 THEN u.user_type_id ELSE u.system_type_id END "
    "WHERE o.is_ms_shipped = 0 AND o.is_external = 0 AND c.is_computed = 0 ORDER BY s.name, o.name, c.column_id;"
)
_AS_TEXT = frozenset({"xml", "text", "ntext", "json", "vector"})
_VARIANT = "sql_variant"  # holds 8000 bytes at most, and becomes nothing longer
_STANDARD = frozenset(
    {
        *("bigint", "int", "smallint", "tinyint", "bit", "decimal", "numeric", "money", "smallmoney", "float", "real"),
        *("date", "time", "datetime", "datetime2", "smalldatetime", "datetimeoffset", "uniqueidentifier", "timestamp"),
        *("char", "varchar", "nchar", "nvarchar", "binary", "varbinary"),
    }
)


def tables(db: Connection) -> dict[str, str]:
    """The tables that hold rows, by quoted name with schema, and the query that sums each. Computed columns are left out."""
    found: dict[str, list[str]] = {}
    for schema, table, column, kind in db.execute(COLUMNS):
        found.setdefault(f"{quoted(schema)}.{quoted(table)}", []).append(_value(column, kind))
    return {table: sum_of(table, columns) for table, columns in found.items()}


def sum_of(table: str, columns: Iterable[str]) -> str:
    """The query for rows and checksum of a table whose columns are written as `columns`."""
    row = ", ".join(f"{text} AS c{n}" for n, text in enumerate(columns))
    return (
        "SELECT COUNT_BIG(*), CONVERT(nvarchar(40), COALESCE(SUM(CONVERT(decimal(38, 0), CONVERT(bigint, "
        "SUBSTRING(HASHBYTES('SHA2_256', j.line), 1, 8)))), 0)) FROM "
        f"{table} t CROSS APPLY (SELECT (SELECT {row} FOR JSON PATH, INCLUDE_NULL_VALUES) AS line) j;"
    )


def _value(column: str, kind: str) -> str:
    """Types that FOR JSON does not know are written as text, or (images, places, types of assemblies) as bytes."""
    name = f"t.{quoted(column)}"
    if kind in _AS_TEXT:
        return f"CONVERT(nvarchar(max), {name})"
    if kind == _VARIANT:
        return f"CONVERT(varbinary(8000), {name})"
    return name if kind in _STANDARD else f"CONVERT(varbinary(max), {name})"


def sums(db: Connection, look: Look, asked: Callable[[Connection], dict[str, str]] = tables) -> dict[str, Sum]:
    """The sums of all tables. `look` is called while the server counts; counting has no timeout."""
    return {table: _sum(db.execute(sql, timeout=0.0, look=look)) for table, sql in asked(db).items()}


def _sum(rows: list[Row]) -> Sum:
    assert rows, "an aggregate returns a row"
    return Sum(int(rows[0][0]), int(rows[0][1]))

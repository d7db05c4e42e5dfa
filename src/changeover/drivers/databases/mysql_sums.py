"""Rows and checksum of each table, to compare a restored copy with what was backed up.

Texts and binary values count byte by byte, everything else as the server writes it (a FLOAT with six digits: a dump
writes no more of it, either). Generated columns are computed and count, too.
"""

from __future__ import annotations

from changeover.drivers.databases.compare import Sum
from changeover.drivers.databases.mysql_probe import quoted
from changeover.drivers.databases.mysql_session import Connection

MARK = "changeover_scratch"  # the table that marks a database as ours to overwrite
_TABLES = (
    f"SELECT table_name, engine FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name <> '{MARK}' "
    "AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY table_name"
)
_COLUMNS = (
    "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = %s "
    "ORDER BY ordinal_position"
)
_WRITTEN = (
    "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "date", "time", "datetime", "timestamp",
    "year", "uuid", "inet4", "inet6",
)  # fmt: skip


def alike(db: Connection) -> None:
    """Two sessions after this write the same row as the same text, and are never in a hurry."""
    db.execute("SET SESSION time_zone = '+00:00', group_concat_max_len = 1048576, lock_wait_timeout = 86400")


def tables(db: Connection) -> dict[str, bool]:
    """The tables that hold rows, and whether their engine has transactions: only then a snapshot holds still."""
    return {str(name): str(engine).upper() == "INNODB" for name, engine in db.execute(_TABLES)}


def table_sum(db: Connection, table: str) -> Sum:
    """Rows and the sum of the rows' 64-bit hashes, in a session after `alike`."""
    columns = [(str(name), str(kind).lower()) for name, kind in db.execute(_COLUMNS, (table,))]
    row = ", ".join(_value(quoted(name), kind) for name, kind in columns)
    hashed = f"CAST(CONV(LEFT(MD5(CONCAT_WS('|', {row})), 16), 16, 10) AS UNSIGNED)"
    rows = db.execute(f"SELECT COUNT(*), COALESCE(SUM({hashed}), 0) FROM {quoted(table)}")
    return Sum(int(rows[0][0]), int(rows[0][1]))


def _value(column: str, kind: str) -> str:
    """A text that no other value of the column has; `-` is NULL, which no hash and no number is."""
    if kind in _WRITTEN:
        return f"COALESCE(CAST({column} AS CHAR), '-')"
    if kind == "bit":
        return f"COALESCE(HEX({column}), '-')"
    return f"COALESCE(MD5({column}), '-')"

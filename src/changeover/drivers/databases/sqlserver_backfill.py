"""Backfills in batches: keys travel as text and compare as their own type, which variables of that type see to.

A text compared with an nvarchar parameter would be converted row by row, past its index and perhaps past its order.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from changeover.core.errors import StatementFailed, Where
from changeover.core.model import BackfillStatement
from changeover.core.ports import Batch, Gap
from changeover.drivers.databases import sqlserver_types as types
from changeover.drivers.databases.limits import Wanted
from changeover.drivers.databases.sqlserver_apply import Acting
from changeover.drivers.databases.sqlserver_session import Connection
from changeover.drivers.databases.sqlserver_text import bare, count_of, fill, last_part

MOST = 4_000  # rows of one batch: from about 5000 locks on, the server locks the whole table instead
_NUMBERS = ("tinyint", "smallint", "int", "bigint")
_TEXTS = ("char", "varchar", "nchar", "nvarchar")
_LEAST_UUID = "00000000-0000-0000-0000-000000000000"

KEY = (
    "SELECT t.name, c.max_length, c.[precision], c.scale, CONVERT(int, COLLATIONPROPERTY(c.collation_name, 'CodePage')), "
    "CONVERT(int, COLLATIONPROPERTY(CONVERT(nvarchar(128), DATABASEPROPERTYEX(DB_NAME(), 'Collation')), 'CodePage')) "
    "FROM sys.columns c JOIN sys.types t ON t.user_type_id = c.system_type_id "
    "WHERE c.object_id = OBJECT_ID(@table) AND c.name = @name;"
)
TOTAL = "SELECT SUM(rows) FROM sys.partitions WHERE object_id = OBJECT_ID(@table) AND index_id IN (0, 1);"


@dataclass(frozen=True, slots=True)
class Key:
    """The key's type as variables are declared, and a value below the first key (None: the table is empty)."""

    declared: str
    below: str | None


@dataclass(frozen=True, slots=True)
class Backfilling:
    """One backfill statement and its key."""

    statement: BackfillStatement

    def edge(self, db: Connection, order: str) -> str | None:
        """The first (ASC) or last (DESC) key as text, None for an empty table."""
        row = db.one(edge_sql(self.statement, order))
        return None if row is None else str(row[0])

    def key(self, db: Connection) -> Key:
        """Raises StatementFailed for a key whose rows cannot be counted off."""
        statement = self.statement
        row = db.one(KEY, {"table": statement.table, "name": last_part(statement.key)})
        first = self.edge(db, "ASC")
        if row is None:
            raise self._no_key("is not in the catalogue, or this login does not see it")
        kind, length, precision, scale, page, database_page = row
        if kind in ("char", "varchar") and page != database_page:
            raise self._no_key("has a code page that is not the database's, so its values cannot travel unchanged")
        declared = "bigint" if kind in _NUMBERS else types.of_column(kind, length, precision, scale)
        return Key(declared, None if first is None else self._below(kind, scale, first))

    def _below(self, kind: str, scale: int, first: str) -> str:
        if (kind in _NUMBERS or (kind in ("decimal", "numeric") and scale == 0)) and int(first) > -(2**63):
            return str(int(first) - 1)
        if kind in _TEXTS and first.strip(" "):  # a text of blanks alone equals the empty one
            return ""
        if kind == "uniqueidentifier" and first.lower() != _LEAST_UUID:
            return _LEAST_UUID
        raise self._no_key("has a key that is none of them")

    def _no_key(self, why: str) -> StatementFailed:
        return StatementFailed(
            f"{self.statement.title}: a backfill counts rows off by whole numbers, uniqueidentifiers or texts that are not "
            f"empty; {self.statement.table}.{self.statement.key} {why}",
            next=("name another key:  -- changeover: key=COLUMN", "or fill these rows by hand"),
            where=(Where(self.statement.file, self.statement.line),),
        )

    def gap(self, db: Connection) -> Gap:
        """Rows left, counted; the total from the server's own counters."""
        key = self.key(db)
        high = self.edge(db, "DESC")
        if key.below is None or high is None:
            return Gap(0, 0)
        remaining = db.number(gap_sql(self.statement, key.declared), {"low": key.below, "high": high}, timeout=0.0)
        return Gap(remaining, max(db.number(TOTAL, {"table": self.statement.table}), remaining))

    def fill(self, acting: Acting, after: str | None, upto: str, size: int) -> Batch:
        """One batch. When its locks are not got, the next attempt takes half as many keys."""
        rows = [min(size, MOST)]

        def act(db: Connection, _: object) -> Batch:
            keys = rows[0]
            rows[0] = max(1, keys // 2)
            return self._batch(db, acting, after, upto, keys)

        return acting.write(Wanted(self.statement.title, (Where(self.statement.file, self.statement.line),)), act)[0]

    def _batch(self, db: Connection, acting: Acting, after: str | None, upto: str, size: int) -> Batch:
        began = time.monotonic()
        key = self.key(db)
        low = key.below if after is None else after
        if low is None:
            return Batch(None, 0, time.monotonic() - began)
        bounds = {"low": low, "upto": upto, "size": size}
        found = db.execute(slice_sql(self.statement, key.declared), bounds, timeout=0.0, look=acting.fence.check)
        if not found:
            return Batch(None, 0, time.monotonic() - began)
        high, count, at_end = found[0]
        rows = db.execute(
            update_sql(self.statement, key.declared),
            {"low": low, "high": high},
            timeout=0.0,  # how long a batch takes is the table's business
            look=acting.fence.check,
        )
        last = bool(at_end) or count < size
        return Batch(None if last else str(high), int(rows[-1][0]), time.monotonic() - began)


def edge_sql(statement: BackfillStatement, order: str) -> str:
    """The first or last key as text. In ORDER BY a bare name could mean the text of the SELECT list."""
    key, table = statement.key, statement.table
    return f"SELECT TOP (1) CONVERT(nvarchar(4000), k.{key}) FROM {table} AS k ORDER BY k.{key} {order};"


def slice_sql(statement: BackfillStatement, declared: str) -> str:
    """The last of the next @size keys, how many they are, and whether it is the last of all."""
    key, table = statement.key, statement.table
    return (
        f"DECLARE @changeover_low {declared} = @low, @changeover_upto {declared} = @upto; "
        "SELECT TOP (1) CONVERT(nvarchar(4000), b.k), b.n, CASE WHEN b.k = @changeover_upto THEN 1 ELSE 0 END FROM "
        f"(SELECT TOP (@size) t.{key} AS k, ROW_NUMBER() OVER (ORDER BY t.{key}) AS n FROM {table} AS t "
        f"WHERE t.{key} > @changeover_low AND t.{key} <= @changeover_upto ORDER BY t.{key}) AS b ORDER BY b.n DESC;"
    )


def update_sql(statement: BackfillStatement, declared: str) -> str:
    """The UPDATE of one range, and how many rows it changed: not the rows that triggers changed."""
    update = fill(bare(statement.sql), {"lo": "@changeover_low", "hi": "@changeover_high"})
    return (
        f"DECLARE @changeover_low {declared} = @low, @changeover_high {declared} = @high; {update}; SELECT @@ROWCOUNT;"
    )


def gap_sql(statement: BackfillStatement, declared: str) -> str:
    """The rows that are left in a range."""
    count = fill(count_of(statement.sql), {"lo": "@changeover_low", "hi": "@changeover_high"})
    return f"DECLARE @changeover_low {declared} = @low, @changeover_high {declared} = @high; {count};"

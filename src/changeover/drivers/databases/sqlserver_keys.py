"""Backfills over keys of any type that can be ordered and any number of columns: they travel as JSON, and compare as their own types."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from changeover.core.errors import StatementFailed, Where
from changeover.core.model import RANGE, BackfillStatement
from changeover.core.ports import Batch, Gap
from changeover.drivers.databases import sqlserver_types as types
from changeover.drivers.databases.backfill_sql import where_of
from changeover.drivers.databases.limits import Wanted
from changeover.drivers.databases.sqlserver_apply import Acting
from changeover.drivers.databases.sqlserver_backfill import KEY, MOST, TOTAL
from changeover.drivers.databases.sqlserver_session import Connection
from changeover.drivers.databases.sqlserver_text import last_part

_NUMBERS = ("tinyint", "smallint", "int", "bigint")
_STYLES = {  # how a value becomes a text from which the same value comes back, whatever the session's language
    **dict.fromkeys(("datetime", "smalldatetime"), 126),
    **dict.fromkeys(("date", "time", "datetime2", "datetimeoffset"), 121),
    **dict.fromkeys(("float", "real"), 3),
    **dict.fromkeys(("money", "smallmoney"), 2),
    **dict.fromkeys(("binary", "varbinary"), 1),
}
_PLAIN = (*_NUMBERS, "bit", "decimal", "numeric", "uniqueidentifier", "char", "varchar", "nchar", "nvarchar")


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """One column of a key: its name as SQL, the type of variables for it, the style of its text (0: none)."""

    name: str
    declared: str
    style: int = 0

    def text(self, value: str) -> str:
        """The value as text, so that it can travel."""
        return f"CONVERT(nvarchar(4000), {value}{self._style})"

    def variable(self, name: str) -> str:
        """`@changeover_low_1 bigint = @low_1`: a parameter as the column's own type."""
        given = f"CONVERT({self.declared}, @{name}{self._style})" if self.style else f"@{name}"
        return f"@changeover_{name} {self.declared} = {given}"

    @property
    def _style(self) -> str:
        return f", {self.style}" if self.style else ""


def key_column(name: str, type_: str) -> KeyColumn:
    """`type_` as the catalogue writes it; whole numbers are all of the largest kind."""
    kind = type_.partition("(")[0]
    return KeyColumn(name, "bigint" if kind in _NUMBERS else type_, _STYLES.get(kind, 0))


@dataclass(frozen=True, slots=True)
class Keyed:
    """One backfill with `keys`. A checkpoint is the JSON list of the key's columns as text."""

    statement: BackfillStatement

    def columns(self, db: Connection) -> tuple[KeyColumn, ...]:
        """The columns of the key. Raises StatementFailed for one whose values cannot travel unchanged."""
        return tuple(self._column(db, name) for name in self.statement.keys)

    def _column(self, db: Connection, name: str) -> KeyColumn:
        row = db.one(KEY, {"table": self.statement.table, "name": last_part(name)})
        if row is None:
            raise self._no_key(name, "is not in the catalogue, or this login does not see it")
        kind, length, precision, scale, page, database_page = row
        if kind in ("char", "varchar") and page != database_page:
            raise self._no_key(
                name, "has a code page that is not the database's, so its values cannot travel unchanged"
            )
        if kind not in _STYLES and kind not in _PLAIN:
            raise self._no_key(name, f"is {kind}, which is no type that rows are counted off by")
        return key_column(name, types.of_column(kind, length, precision, scale))

    def _no_key(self, name: str, why: str) -> StatementFailed:
        return StatementFailed(
            f"{self.statement.title}: {self.statement.table}.{name} {why}",
            next=("fill these rows by hand",),
            where=(Where(self.statement.file, self.statement.line),),
        )

    def last(self, db: Connection) -> str | None:
        """The largest key; None for an empty table."""
        row = db.one(last_sql(self.statement, self.columns(db)))
        return None if row is None else json.dumps(list(row))

    def gap(self, db: Connection) -> Gap:
        """Rows left, counted; the total from the server's own counters."""
        left = db.number(left_sql(self.statement), timeout=0.0)
        return Gap(left, max(db.number(TOTAL, {"table": self.statement.table}), left))

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
        columns = self.columns(db)
        low = None if after is None else _values("low", json.loads(after))
        look, high = acting.fence.check, _values("high", json.loads(upto))
        asked = slice_sql(self.statement, columns, bounded=low is not None)
        found = db.execute(asked, {**(low or {}), **high, "size": size}, timeout=0.0, look=look)
        if not found:
            return Batch(None, 0, time.monotonic() - began)
        *key, count, at_end = found[0]
        update = update_sql(self.statement, columns, bounded=low is not None)
        # How long a batch takes is the table's business.
        rows = db.execute(update, {**(low or {}), **_values("high", key)}, timeout=0.0, look=look)
        last = bool(at_end) or count < size
        return Batch(None if last else json.dumps(key), int(rows[-1][0]), time.monotonic() - began)


def _values(end: str, key: Sequence[str]) -> dict[str, str]:
    return {f"{end}_{n}": value for n, value in enumerate(key, 1)}


def last_sql(statement: BackfillStatement, columns: Sequence[KeyColumn]) -> str:
    texts = ", ".join(c.text(f"k.{c.name}") for c in columns)
    order = ", ".join(f"k.{c.name} DESC" for c in columns)
    return f"SELECT TOP (1) {texts} FROM {statement.table} AS k ORDER BY {order};"


def left_sql(statement: BackfillStatement) -> str:
    return f"SELECT COUNT_BIG(*) FROM {statement.table} WHERE {where_of(statement)};"


def slice_sql(statement: BackfillStatement, columns: Sequence[KeyColumn], *, bounded: bool) -> str:
    """The last of the next @size keys, how many they are, and whether it is the last of all. `bounded`: after @low_…"""
    keys = ", ".join(f"t.{c.name} AS k{n}" for n, c in enumerate(columns, 1))
    order = ", ".join(f"t.{c.name}" for c in columns)
    texts = ", ".join(c.text(f"b.k{n}") for n, c in enumerate(columns, 1))
    at_end = " AND ".join(f"b.k{n} = @changeover_high_{n}" for n, _ in enumerate(columns, 1))
    within = _range([f"t.{c.name}" for c in columns], bounded=bounded)
    return (
        f"{_declared(columns, bounded=bounded)} SELECT TOP (1) {texts}, b.n, CASE WHEN {at_end} THEN 1 ELSE 0 END FROM "
        f"(SELECT TOP (@size) {keys}, ROW_NUMBER() OVER (ORDER BY {order}) AS n FROM {statement.table} AS t "
        f"WHERE {within} ORDER BY {order}) AS b ORDER BY b.n DESC;"
    )


def update_sql(statement: BackfillStatement, columns: Sequence[KeyColumn], *, bounded: bool) -> str:
    """The UPDATE of one range, and how many rows it changed: not the rows that triggers changed."""
    update = statement.sql.replace(RANGE, _range([c.name for c in columns], bounded=bounded))
    return f"{_declared(columns, bounded=bounded)} {update}; SELECT @@ROWCOUNT;"


def _declared(columns: Sequence[KeyColumn], *, bounded: bool) -> str:
    ends = ("low", "high") if bounded else ("high",)
    return f"DECLARE {', '.join(c.variable(f'{end}_{n}') for end in ends for n, c in enumerate(columns, 1))};"


def _range(names: Sequence[str], *, bounded: bool) -> str:
    """After the low key and up to the high one, column by column. The first column alone comes first: an index can be sought by it."""
    upper = _beyond(names, "<", "high", equal=True)
    if not bounded:
        return upper
    if len(names) == 1:
        return f"{names[0]} > @changeover_low_1 AND {upper}"
    sought = f"{names[0]} >= @changeover_low_1 AND {names[0]} <= @changeover_high_1"
    return f"{sought} AND {_beyond(names, '>', 'low', equal=False)} AND {upper}"


def _beyond(names: Sequence[str], mark: str, end: str, *, equal: bool) -> str:
    """`(a < @h1 OR (a = @h1 AND b <= @h2))`: SQL Server compares no rows."""
    *before, last = names
    here = f"{last} {mark}{'=' if equal else ''} @changeover_{end}_{len(names)}"
    for n, name in reversed(list(enumerate(before, 1))):
        bound = f"@changeover_{end}_{n}"
        here = f"({name} {mark} {bound} OR ({name} = {bound} AND {here}))"
    return here

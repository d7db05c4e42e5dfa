"""Backfills in batches, each one statement in its own transaction."""

from __future__ import annotations

import time
from dataclasses import dataclass

from changeover.core.errors import Where
from changeover.core.model import BackfillStatement
from changeover.core.ports import Batch, Gap
from changeover.drivers.databases.backfill_sql import count_of
from changeover.drivers.databases.limits import Wanted
from changeover.drivers.databases.mysql_apply import Acting
from changeover.drivers.databases.mysql_keys import Key
from changeover.drivers.databases.mysql_probe import parts_of
from changeover.drivers.databases.mysql_session import Connection
from changeover.schema.binding import fill

_ESTIMATE = (
    "SELECT table_rows FROM information_schema.tables WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s"
)
_COUNTED = 10_000  # rows: below this the estimate of InnoDB is worth nothing, and counting costs nothing


@dataclass(frozen=True, slots=True)
class Backfilling:
    """One backfill statement."""

    statement: BackfillStatement

    def last_key(self, db: Connection) -> str | None:
        return Key.of(db, self.statement).edge(db, "DESC")

    def gap(self, db: Connection) -> Gap:
        """Rows left, counted; the total estimated from the statistics, counted where it is small."""
        key = Key.of(db, self.statement)
        low, high = key.below(db), key.edge(db, "DESC")
        if low is None or high is None:
            return Gap(0, 0)
        remaining = _number(db, self._filled(count_of(self.statement.sql, "mysql"), key, low, high))
        return Gap(remaining, max(rows_of(db, self.statement.table), remaining))

    def fill(self, acting: Acting, after: str | None, upto: str, size: int) -> Batch:
        """One batch. When its locks are not got, the next attempt takes half as many keys."""
        rows = [size]

        def act(db: Connection, _: object) -> Batch:
            keys = rows[0]
            rows[0] = max(1, keys // 2)
            return self._batch(db, after, upto, keys)

        wanted = Wanted(self.statement.title, (Where(self.statement.file, self.statement.line),))
        return acting.write(wanted, act, timeout=0.0)[0]  # how long a batch takes is the table's business

    def _batch(self, db: Connection, after: str | None, upto: str, size: int) -> Batch:
        began = time.monotonic()
        key = Key.of(db, self.statement)
        low = key.below(db) if after is None else after
        if low is None:
            return Batch(None, 0, time.monotonic() - began)
        column, table = self.statement.key, self.statement.table
        found = db.execute(  # only the end of the range travels, not every key of it
            f"SELECT {key.text}, {column} = {key.sql(upto)} FROM {table} WHERE {column} > {key.sql(low)} "
            f"AND {column} <= {key.sql(upto)} ORDER BY {table}.{column} LIMIT 1 OFFSET {size - 1:d}"
        )
        high, at_end = (str(found[0][0]), bool(found[0][1])) if found else (upto, True)
        changed = db.change(self._filled(self.statement.sql, key, low, high))
        return Batch(None if at_end else high, max(changed, 0), time.monotonic() - began)

    @staticmethod
    def _filled(sql: str, key: Key, low: str, high: str) -> str:
        return fill(sql, {"lo": key.sql(low), "hi": key.sql(high)}, "mysql")


def rows_of(db: Connection, named: str) -> int:
    """How many rows a table has: estimated, counted where it is small."""
    table = parts_of(named)
    rows = db.execute(_ESTIMATE, (table[-2] if len(table) > 1 else None, table[-1]))
    total = int(rows[0][0] or 0) if rows else 0
    return total if total >= _COUNTED else _number(db, f"SELECT COUNT(*) FROM {named}")


def _number(db: Connection, sql: str) -> int:
    return int(db.execute(sql)[0][0])

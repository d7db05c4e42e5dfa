"""Backfills over keys of any type and number of columns: the keys travel as JSON, and compare as their own types."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from changeover.core.errors import Where
from changeover.core.model import RANGE, BackfillStatement
from changeover.core.ports import Batch, Gap
from changeover.drivers.databases.backfill_sql import left_of
from changeover.drivers.databases.limits import Wanted
from changeover.drivers.databases.postgresql_apply import Acting
from changeover.drivers.databases.postgresql_session import Connection


@dataclass(frozen=True, slots=True)
class Keyed:
    """One backfill with `keys`. A checkpoint is the JSON list of the key's columns as text."""

    statement: BackfillStatement

    @property
    def _keys(self) -> str:
        return ", ".join(self.statement.keys)

    def _ordered(self, order: str) -> str:
        return ", ".join(f"{self.statement.table}.{key} {order}" for key in self.statement.keys)

    def _texts(self) -> str:
        return ", ".join(f"{key}::text" for key in self.statement.keys)

    def last(self, db: Connection) -> str | None:
        """The largest key; None for an empty table."""
        row = db.execute(
            f"SELECT {self._texts()} FROM {self.statement.table} ORDER BY {self._ordered('DESC')} LIMIT 1"
        ).fetchone()
        return None if row is None else json.dumps(row)

    def gap(self, db: Connection) -> Gap:
        """Rows left, counted; the total estimated where there are statistics."""
        rows = db.execute(left_of(self.statement, "postgresql")).fetchone()
        known = db.execute(
            "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", (self.statement.table,)
        ).fetchone()
        left, total = (int(rows[0]) if rows else 0), (int(known[0]) if known else 0)
        if total <= 0:
            counted = db.execute(f"SELECT count(*) FROM {self.statement.table}").fetchone()
            total = int(counted[0]) if counted else 0
        return Gap(left, max(left, total))

    def fill(self, acting: Acting, after: str | None, upto: str, size: int) -> Batch:
        """One batch. When its locks are not got, the next attempt takes half as many keys."""
        rows = [size]

        def act(db: Connection, _: object) -> Batch:
            keys = rows[0]
            rows[0] = max(1, keys // 2)
            return self._batch(db, after, upto, keys)

        wanted = Wanted(self.statement.title, (Where(self.statement.file, self.statement.line),))
        return acting.write(wanted, act, timeout=0.0)[0]

    def _batch(self, db: Connection, after: str | None, upto: str, size: int) -> Batch:
        began = time.monotonic()
        low, high = (() if after is None else json.loads(after)), json.loads(upto)
        within, values = self._range(low, high)
        table = self.statement.table.replace("%", "%%")
        row = db.execute(
            f"SELECT {self._texts()} FROM {table} WHERE {within} ORDER BY {self._ordered('ASC')} LIMIT 1 OFFSET {size - 1}",
            values,
        ).fetchone()
        end = high if row is None else list(row)
        within, values = self._range(low, end)
        cursor = db.execute(self.statement.sql.replace("%", "%%").replace(RANGE.replace("%", "%%"), within), values)
        rows = max(cursor.rowcount, 0)
        last = row is None or end == high
        return Batch(None if last else json.dumps(end), rows, time.monotonic() - began)

    def _range(self, low: Sequence[str], high: Sequence[str]) -> tuple[str, tuple[str, ...]]:
        """The condition between two keys, and its values. Literals without a type take that of the column beside them."""
        marks, keys = ", ".join(["%s"] * len(self.statement.keys)), self._keys.replace("%", "%%")
        upper = f"({keys}) <= ({marks})"
        return (f"({keys}) > ({marks}) AND {upper}", (*low, *high)) if low else (upper, tuple(high))

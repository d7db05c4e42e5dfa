"""Backfills over keys of any type and number of columns in SQLite: the keys travel as JSON; and the answer of a check."""

from __future__ import annotations

import base64
import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from changeover.core.model import RANGE, BackfillStatement, Check
from changeover.core.ports import Batch, Count, Gap
from changeover.drivers.databases.backfill_sql import left_of
from changeover.drivers.databases.checks import row_words


def counted(db: sqlite3.Connection, check: Check) -> Count:
    """The answer of a check, with a sample when there are such rows."""
    rows = int(db.execute(check.sql).fetchone()[0])
    shown = db.execute(check.sample).fetchall() if rows and check.sample else []
    return Count(rows, tuple(row_words(r) for r in shown))


@dataclass(frozen=True, slots=True)
class Keyed:
    """One backfill with `keys`. A checkpoint is the JSON list of the key's values; a blob is {"blob": base64}."""

    statement: BackfillStatement

    def _ordered(self, order: str) -> str:
        return ", ".join(f"{key} {order}" for key in self.statement.keys)

    @property
    def _keys(self) -> str:
        return ", ".join(self.statement.keys)

    def last(self, db: sqlite3.Connection) -> str | None:
        """The largest key; None for an empty table."""
        row = db.execute(
            f"SELECT {self._keys} FROM {self.statement.table} ORDER BY {self._ordered('DESC')} LIMIT 1"
        ).fetchone()
        return None if row is None else _text(row)

    def gap(self, db: sqlite3.Connection) -> Gap:
        """Rows left and rows in all, counted."""
        left = int(db.execute(left_of(self.statement, "sqlite")).fetchone()[0])
        return Gap(left, int(db.execute(f"SELECT count(*) FROM {self.statement.table}").fetchone()[0]))

    def fill(self, db: sqlite3.Connection, after: str | None, upto: str, size: int) -> Batch:
        """One batch of the transaction that is under way."""
        began = time.monotonic()
        low, high = (() if after is None else _values(after)), _values(upto)
        within, values = self._range(low, high)
        row = db.execute(
            f"SELECT {self._keys} FROM {self.statement.table} WHERE {within} ORDER BY {self._ordered('ASC')} LIMIT 1 OFFSET {size - 1}",
            values,
        ).fetchone()
        end = high if row is None else tuple(row)
        within, values = self._range(low, end)
        rows = db.execute(self.statement.sql.replace(RANGE, within), values).rowcount
        last = row is None or end == high
        return Batch(None if last else _text(end), max(rows, 0), time.monotonic() - began)

    def _range(self, low: Sequence[Any], high: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
        marks = ", ".join("?" * len(self.statement.keys))
        if len(self.statement.keys) == 1:
            upper = f"{self._keys} <= ?"
            return (f"{self._keys} > ? AND {upper}", (*low, *high)) if low else (upper, tuple(high))
        upper = f"({self._keys}) <= ({marks})"
        return (f"({self._keys}) > ({marks}) AND {upper}", (*low, *high)) if low else (upper, tuple(high))


def _text(row: Sequence[Any]) -> str:
    return json.dumps([{"blob": base64.b64encode(v).decode()} if isinstance(v, bytes) else v for v in row])


def _values(text: str) -> tuple[Any, ...]:
    return tuple(base64.b64decode(v["blob"]) if isinstance(v, dict) else v for v in json.loads(text))

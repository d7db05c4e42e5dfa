"""Backfills in batches: keys travel as text and compare as their own type, which the server infers."""

from __future__ import annotations

import time
from dataclasses import dataclass

from changeover.core.errors import StatementFailed, Where
from changeover.core.model import BackfillStatement
from changeover.core.ports import Batch, Gap
from changeover.drivers.databases.backfill_sql import count_of
from changeover.drivers.databases.limits import Wanted
from changeover.drivers.databases.postgresql_apply import Acting
from changeover.drivers.databases.postgresql_session import Connection
from changeover.schema.binding import Style, bind

_NUMBERS = {20, 21, 23, 1700}  # type oids: int8, int2, int4, numeric
_TEXTS = {25, 1042, 1043}  # text, bpchar, varchar
_UUID = 2950
_LEAST_UUID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Backfilling:
    """One backfill statement and its key."""

    statement: BackfillStatement

    def edge(self, db: Connection, order: str) -> str | None:
        """The first (ASC) or last (DESC) key as text, None for an empty table."""
        key, table = self.statement.key, self.statement.table
        row = db.execute(
            f"SELECT {key}::text FROM {table} ORDER BY {table_key(self.statement)} {order} LIMIT 1"
        ).fetchone()
        return None if row is None else str(row[0])

    def below(self, db: Connection) -> str | None:
        """A value below the first key, None for an empty table. Raises StatementFailed where there is none."""
        first = self.edge(db, "ASC")
        if first is None:
            return None
        described = db.execute(f"SELECT {self.statement.key} FROM {self.statement.table} LIMIT 0").description
        kind = described[0].type_code if described else 0
        if kind in _NUMBERS and first.lstrip("-").isdigit():
            return str(int(first) - 1)
        if kind in _TEXTS and first:
            return ""
        if kind == _UUID and first != _LEAST_UUID:
            return _LEAST_UUID
        raise StatementFailed(
            f"{self.statement.title}: a backfill counts rows off by whole numbers, uuids or texts that are not empty; "
            f"{self.statement.table}.{self.statement.key} has a key that is none of them",
            next=("name another key:  -- changeover: key=COLUMN", "or fill these rows by hand"),
            where=(Where(self.statement.file, self.statement.line),),
        )

    def gap(self, db: Connection) -> Gap:
        """Rows left, counted; the total estimated from the statistics, counted where there are none."""
        low, high = self.below(db), self.edge(db, "DESC")
        if low is None:
            return Gap(0, 0)
        count = bind(count_of(self.statement.sql, "postgresql"), Style.PYFORMAT, "postgresql")
        remaining = _number(db, count, {"lo": low, "hi": high})
        total = _number(
            db, "SELECT reltuples::bigint FROM pg_class WHERE oid = %(t)s::regclass", {"t": self.statement.table}
        )
        return Gap(
            remaining,
            max(total, remaining) if total > 0 else _number(db, f"SELECT count(*) FROM {self.statement.table}"),
        )

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
        low = self.below(db) if after is None else after
        if low is None:
            return Batch(None, 0, time.monotonic() - began)
        key, table = self.statement.key, self.statement.table.replace("%", "%%")
        key = key.replace("%", "%%")
        row = db.execute(
            f"SELECT {key}::text, {key} = %(upto)s FROM {table} WHERE {key} > %(low)s AND {key} <= %(upto)s "
            f"ORDER BY {table}.{key} LIMIT 1 OFFSET %(before)s",
            {"low": low, "upto": upto, "before": size - 1},
        ).fetchone()
        high, at_end = (upto, True) if row is None else row
        cursor = db.execute(bind(self.statement.sql, Style.PYFORMAT, "postgresql"), {"lo": low, "hi": high})
        return Batch(None if at_end else high, max(cursor.rowcount, 0), time.monotonic() - began)


def table_key(statement: BackfillStatement) -> str:
    """The key as the table's column: in ORDER BY a bare name could mean the text of the SELECT list."""
    return f"{statement.table}.{statement.key}"


def _number(db: Connection, sql: str, values: dict[str, object] | None = None) -> int:
    row = db.execute(sql, values).fetchone()
    return 0 if row is None else int(row[0])

"""Backfills over keys of any number of columns and of any type that a text can stand for: the keys travel as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from changeover.core.errors import StatementFailed, Where
from changeover.core.model import RANGE, BackfillStatement
from changeover.core.ports import Batch, Gap
from changeover.drivers.databases.backfill_sql import left_of
from changeover.drivers.databases.limits import Wanted
from changeover.drivers.databases.mysql_apply import Acting
from changeover.drivers.databases.mysql_backfill import rows_of
from changeover.drivers.databases.mysql_probe import parts_of
from changeover.drivers.databases.mysql_session import Connection

_COLUMNS = "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s"


class Kind(Enum):
    """What a column of a key is to a comparison with a literal."""

    NUMBER = ("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "year")
    BYTES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
    TEXT = (
        "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "date", "time", "datetime", "timestamp", "uuid",
        "inet4", "inet6",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Keyed:
    """One backfill with `keys`, and the kind of each. A checkpoint is the JSON list of the key's columns as text."""

    statement: BackfillStatement
    kinds: tuple[Kind, ...]

    @classmethod
    def of(cls, db: Connection, statement: BackfillStatement) -> Keyed:
        """Raises StatementFailed for a key that is sorted otherwise than it is compared: an enum, or a float."""
        table = parts_of(statement.table)
        rows = db.execute(_COLUMNS, (table[-2] if len(table) > 1 else None, table[-1]))
        told = {str(name).lower(): str(kind).lower() for name, kind in rows}
        kinds = [_kind(told.get(parts_of(key)[-1].lower(), "")) for key in statement.keys]
        if None in kinds:
            raise StatementFailed(
                f"{statement.title}: rows of {statement.table} cannot be counted off by ({', '.join(statement.keys)})",
                next=("fill these rows by hand", "or give the table a key of whole numbers, texts, times or uuids"),
                where=(Where(statement.file, statement.line),),
            )
        return cls(statement, tuple(kind for kind in kinds if kind is not None))

    @property
    def _texts(self) -> str:
        """SQL that gives the key as it travels."""
        shown = zip(self.statement.keys, self.kinds, strict=True)
        return ", ".join(f"HEX({key})" if kind is Kind.BYTES else f"CAST({key} AS CHAR)" for key, kind in shown)

    def _ordered(self, order: str) -> str:
        return ", ".join(f"{self.statement.table}.{key} {order}" for key in self.statement.keys)

    def last(self, db: Connection) -> str | None:
        """The largest key; None for an empty table."""
        rows = db.execute(f"SELECT {self._texts} FROM {self.statement.table} ORDER BY {self._ordered('DESC')} LIMIT 1")
        return _travelling(rows[0]) if rows else None

    def gap(self, db: Connection) -> Gap:
        """Rows left, counted; the total estimated from the statistics, counted where it is small."""
        left = int(db.execute(left_of(self.statement, "mysql"))[0][0])
        return Gap(left, max(left, rows_of(db, self.statement.table)))

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
        low: Sequence[str] = () if after is None else json.loads(after)
        high: Sequence[str] = json.loads(upto)
        rows = db.execute(
            f"SELECT {self._texts} FROM {self.statement.table} WHERE {self._range(low, high)} "
            f"ORDER BY {self._ordered('ASC')} LIMIT 1 OFFSET {size - 1:d}"
        )
        end = [str(value) for value in rows[0]] if rows else list(high)
        changed = db.change(self.statement.sql.replace(RANGE, self._range(low, end)))
        last = not rows or end == list(high)
        return Batch(None if last else _travelling(end), max(changed, 0), time.monotonic() - began)

    def _range(self, low: Sequence[str], high: Sequence[str]) -> str:
        """Above one key, up to and with another. Column by column: a comparison of rows finds no place in an index here."""
        upper = self._beside(high, "<", "<=")
        return f"{self._beside(low, '>', '>')} AND {upper}" if low else upper

    def _beside(self, key: Sequence[str], beyond: str, last: str) -> str:
        columns = [(k, self._sql(n, v)) for n, (k, v) in enumerate(zip(self.statement.keys, key, strict=True))]
        found = ""
        for number, (column, value) in reversed(list(enumerate(columns))):
            mark = last if number == len(columns) - 1 else beyond
            found = f"{column} {mark} {value}" + (f" OR ({column} = {value} AND ({found}))" if found else "")
        return f"({found})"

    def _sql(self, number: int, travelled: str) -> str:
        """One column of a key as a literal of its own type."""
        match self.kinds[number]:
            case Kind.NUMBER:
                return _number(travelled)
            case Kind.BYTES:
                return f"X'{bytes.fromhex(travelled).hex()}'"
            case Kind.TEXT:
                return "'" + travelled.replace("\\", "\\\\").replace("'", "''") + "'"


def _kind(data_type: str) -> Kind | None:
    return next((kind for kind in Kind if data_type in kind.value), None)


def _number(travelled: str) -> str:
    """A number as it stands, and nothing else."""
    if not travelled.lstrip("-").replace(".", "", 1).isdigit():
        raise ValueError(f"not a number: {travelled!r}")
    return travelled


def _travelling(key: Sequence[object]) -> str:
    return json.dumps([str(value) for value in key])

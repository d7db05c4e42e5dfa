"""Keys of backfills: they travel as text and are compared as their own type, so their SQL is written for that type."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from changeover.core.errors import StatementFailed, Where
from changeover.core.model import BackfillStatement
from changeover.drivers.databases.mysql_probe import parts_of
from changeover.drivers.databases.mysql_session import Connection

_LEAST_UUID = "00000000-0000-0000-0000-000000000000"
_KIND = (
    "SELECT data_type FROM information_schema.columns WHERE table_schema = COALESCE(%s, DATABASE()) "
    "AND table_name = %s AND column_name = %s"
)


class Kind(Enum):
    """What a key is to a comparison."""

    NUMBER = ("tinyint", "smallint", "mediumint", "int", "bigint", "decimal")
    TEXT = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext")
    BYTES = ("binary", "varbinary")
    UUID = ("uuid",)


@dataclass(frozen=True, slots=True)
class Key:
    """The key column of one backfill."""

    statement: BackfillStatement
    kind: Kind

    @classmethod
    def of(cls, db: Connection, statement: BackfillStatement) -> Key:
        """Raises StatementFailed for a column whose values cannot be counted off."""
        table, column = parts_of(statement.table), parts_of(statement.key)[-1]
        rows = db.execute(_KIND, (table[-2] if len(table) > 1 else None, table[-1], column))
        told = str(rows[0][0]).lower() if rows else ""
        kind = next((k for k in Kind if told in k.value), None)
        if kind is None:
            raise uncountable(statement)
        return cls(statement, kind)

    @property
    def text(self) -> str:
        """SQL that gives the key as it travels."""
        column = self.statement.key
        return f"HEX({column})" if self.kind is Kind.BYTES else f"CAST({column} AS CHAR)"

    def sql(self, travelled: str) -> str:
        """The key as an SQL literal of its own type."""
        match self.kind:
            case Kind.NUMBER:
                if not travelled.lstrip("-").isdigit():
                    raise uncountable(self.statement)
                return travelled
            case Kind.BYTES:
                return f"X'{bytes.fromhex(travelled).hex()}'"
            case Kind.TEXT | Kind.UUID:
                return "'" + travelled.replace("\\", "\\\\").replace("'", "''") + "'"

    def edge(self, db: Connection, order: str) -> str | None:
        """The first (ASC) or last (DESC) key, None for an empty table."""
        table, key = self.statement.table, self.statement.key
        rows = db.execute(f"SELECT {self.text} FROM {table} ORDER BY {table}.{key} {order} LIMIT 1")
        return str(rows[0][0]) if rows else None

    def below(self, db: Connection) -> str | None:
        """A value below the first key, None for an empty table. Raises StatementFailed where there is none."""
        first = self.edge(db, "ASC")
        if first is None:
            return None
        if self.kind is Kind.NUMBER:
            if not first.lstrip("-").isdigit():
                raise uncountable(self.statement)
            return str(int(first) - 1)
        least = _LEAST_UUID if self.kind is Kind.UUID else ""
        table, key = self.statement.table, self.statement.key
        rows = db.execute(f"SELECT 1 FROM {table} WHERE NOT {key} > {self.sql(least)} LIMIT 1")
        if rows:  # '' itself, or what sorts before it: under PAD SPACE a control character does
            raise uncountable(self.statement)
        return least


def uncountable(statement: BackfillStatement) -> StatementFailed:
    """The refusal of a key."""
    return StatementFailed(
        f"{statement.title}: a backfill counts rows off by whole numbers, uuids, or texts and binary values that are not empty; "
        f"{statement.table}.{statement.key} has a key that is none of them",
        next=("name another key:  -- changeover: key=COLUMN", "or fill these rows by hand"),
        where=(Where(statement.file, statement.line),),
    )

"""changeover's own tables in a SQL Server database, in the schema dbo. Names compare byte by byte, whatever the collation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from changeover.core.model import Claim
from changeover.drivers.databases.ledger_sql import APPLIED, CHANGE, CLAIM, STATE, Ledger
from changeover.drivers.databases.sqlserver_session import Connection

_TEXT = "COLLATE Latin1_General_100_BIN2 NOT NULL"

CREATE: Mapping[str, str] = {
    CLAIM: f"IF OBJECT_ID(N'dbo.{CLAIM}', N'U') IS NULL CREATE TABLE dbo.{CLAIM} ("
    f"environment nvarchar(200) {_TEXT} PRIMARY KEY, store nvarchar(200) {_TEXT}, fence bigint NOT NULL, "
    f"holder nvarchar(400) {_TEXT}, at float NOT NULL);",
    APPLIED: f"IF OBJECT_ID(N'dbo.{APPLIED}', N'U') IS NULL CREATE TABLE dbo.{APPLIED} ("
    f"version nvarchar(200) {_TEXT}, phase nvarchar(20) {_TEXT}, idx int NOT NULL, digest nvarchar(200) {_TEXT}, "
    f"at float NOT NULL, run nvarchar(200) {_TEXT}, fence bigint NOT NULL, PRIMARY KEY (version, phase, idx));",
    STATE: f"IF OBJECT_ID(N'dbo.{STATE}', N'U') IS NULL CREATE TABLE dbo.{STATE} ("
    "one int NOT NULL PRIMARY KEY CHECK (one = 1), revision bigint NOT NULL);",
    CHANGE: f"IF OBJECT_ID(N'dbo.{CHANGE}', N'U') IS NULL CREATE TABLE dbo.{CHANGE} ("
    f"version nvarchar(200) {_TEXT} PRIMARY KEY, digest nvarchar(200) {_TEXT}, body nvarchar(max) {_TEXT});",
}
BEGIN_AT_ZERO = (
    f"INSERT INTO dbo.{STATE} (one, revision) SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM dbo.{STATE} WHERE one = 1);"
)
CREATE_ALL = (*CREATE.values(), BEGIN_AT_ZERO)

HAS_LEDGER = (
    f"SELECT CASE WHEN OBJECT_ID(N'dbo.{CLAIM}', N'U') IS NOT NULL AND OBJECT_ID(N'dbo.{APPLIED}', N'U') IS NOT NULL "
    f"AND OBJECT_ID(N'dbo.{STATE}', N'U') IS NOT NULL THEN 1 ELSE 0 END;"
)
HAS_KEPT = f"SELECT CASE WHEN OBJECT_ID(N'dbo.{CHANGE}', N'U') IS NOT NULL THEN 1 ELSE 0 END;"
LOCKED_CLAIMS = (
    f"SELECT environment, store, fence, holder, at FROM dbo.{CLAIM} WITH (UPDLOCK, HOLDLOCK) ORDER BY environment"
)
"""Nobody else writes the claim, nor puts one where there is none, before this transaction ends; everybody may read it."""

_MARKER = re.compile(r":([a-z]+)")
_TABLE = re.compile(rf"\b({CLAIM}|{APPLIED}|{STATE}|{CHANGE})\b")


class SqlServerLedger(Ledger):
    """The ledger on one connection, in T-SQL."""

    __slots__ = ()

    def create(self) -> None:
        for sql in CREATE_ALL:
            self.query(sql, {})

    def claims(self, *, lock: bool = False) -> tuple[Claim, ...]:
        return tuple(Claim(*row) for row in self.query(LOCKED_CLAIMS, {})) if lock else Ledger.claims(self)


def ledger_on(db: Connection) -> SqlServerLedger:
    """The ledger in this database; its tables may be missing."""

    def query(sql: str, values: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        return db.execute(tsql(sql), values or None)

    return SqlServerLedger(query)


def tsql(sql: str) -> str:
    """The ledger's SQL as SQL Server takes it: `:name` is `@name`, and the tables are those of dbo, whoever logs in."""
    return _MARKER.sub(r"@\1", of_dbo(sql)) if "dbo." not in sql else sql


def of_dbo(sql: str) -> str:
    """SQL without parameters, with the ledger's tables as those of dbo."""
    return _TABLE.sub(r"dbo.\1", sql)


def has_ledger(db: Connection) -> bool:
    """Whether the three tables are there that every ledger has."""
    return db.number(HAS_LEDGER) == 1


def has_kept(db: Connection) -> bool:
    """Whether there is a table for what was compiled of operations; older ledgers have none."""
    return db.number(HAS_KEPT) == 1

"""`database:` — the schema that is changed with the application, and its restore point."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, PlainValidator, Tag, WithJsonSchema

from changeover.config import placeholders, references
from changeover.config.kinds import (
    Argv,
    HerePath,
    Or,
    Referring,
    Seconds,
    Section,
    Words,
    refuse,
    text_of,
    variants,
)
from changeover.config.references import shown

_SQLITE = "sqlite:///"


class ChangeFiles(Section):
    """Plain SQL files, one for each version and phase: `1.1.0.expand.sql`."""

    source: Literal["changeover"] = Field(description="SQL files named VERSION.PHASE.sql")
    path: HerePath = Field(description="their directory")


# Rows of one batch, at the most, and how long it is rested after it, in times that it took. By `bench backfill`, on two cores: at full
# pace the commits of batches of 5000 cost as much again as the rows. Beside gentle batches of 5000 with a rest as long as the batch the
# p99 of others was four times and more of the steady one, of 1000 with four times the rest three times; of 100, below 1.5 times.
BATCH = {"gentle": 100, "full": 50_000}
REST = {"gentle": 4.0, "full": 0.0}


class Limits(Section):
    """What a schema change may cost the application."""

    lock: Annotated[float, Seconds("1ms", "10s")] = Field(
        default=0.1, description="how long one attempt waits for a lock; others queue behind it"
    )
    lock_deadline: Annotated[float, Seconds("1s", "1h")] = Field(
        default=60.0, description="how long attempts are repeated"
    )
    pace: Literal["gentle", "full"] = Field(
        default="gentle",
        description="gentle: a backfill rests four times as long as each batch took, and waits while replicas lag, writers wait for locks or more than `sessions` are at work; "
        "full: it does neither",
    )
    replica_lag: Annotated[float, Seconds("100ms", "1h")] = Field(
        default=5.0, description="a gentle backfill waits while a replica lags more than this"
    )
    sessions: Annotated[int, Ge(0), Le(100_000)] | None = Field(
        default=None,
        description="a gentle backfill waits while more sessions of others than this are at work in the database; left out: not looked at",
    )
    read_within: Annotated[float, Seconds("1s", "24h")] = Field(
        default=60.0,
        description="how long an endpoint of `read` may take to show what was added; then the release fails",
    )
    batch: Annotated[int, Ge(1), Le(1_000_000)] | None = Field(
        default=None,
        description="rows of one batch of a backfill, at the most; left out: 100, at full pace 50000",
    )

    @property
    def largest(self) -> int:
        """Rows of one batch of a backfill, at the most."""
        return self.batch or BATCH[self.pace]

    @property
    def rest(self) -> float:
        """How long a backfill rests between two batches, in times that the batch took."""
        return REST[self.pace]


class Backup(Section):
    """The restore point before the first schema change; it is restored and compared."""

    directory: HerePath = Field(default=Path(".changeover/backups"), description="where restore points are kept")
    max_age: Annotated[float, Seconds("1m", "30d")] = Field(
        default=14_400.0, description="an older restore point is taken again"
    )


class PostgresqlBackup(Backup):
    """The restore point before the first schema change, taken with PostgreSQL's own means or with a command of yours."""

    command: Annotated[tuple[str, ...], Argv()] | None = Field(
        default=None, description="your own backup command, instead of pg_dump"
    )
    restore_into: Referring | None = Field(
        default=None, description="URL of a database that may be overwritten, to prove the restore point"
    )


class SqlServerBackup(Backup):
    """The restore point before the first schema change, taken by BACKUP DATABASE or with a command of yours."""

    command: Annotated[tuple[str, ...], Argv()] | None = Field(
        default=None, description="your own backup command, instead of BACKUP DATABASE"
    )
    server_directory: str = Field(
        default="", description="where the database's machine keeps the backups; left out: the server's default"
    )


class MysqlBackup(Backup):
    """The restore point before the first schema change, taken with MariaDB's or MySQL's own means or with a command of yours."""

    command: Annotated[tuple[str, ...], Argv()] | None = Field(
        default=None, description="your own backup command, instead of mariadb-dump or mysqldump"
    )
    restore_into: Referring | None = Field(
        default=None, description="URL of a database that may be overwritten, to prove the restore point"
    )


def _or_none(value: Any) -> Any:
    if isinstance(value, str):
        if value != "none":
            raise refuse(f"{shown(value)} is not a backup; write its keys, or none")
        return None
    return value


_NONE = Or(_or_none, {"const": "none"}, "keys, or `none`")


def _login(value: object) -> str:
    text = text_of(value)
    if problem := placeholders.problem_of(text, ("version",)):
        raise refuse(problem)
    if "version" not in placeholders.names_in([text]):
        raise refuse(
            f'{shown(text)} is the same for every version; write it with {{version}}, such as "shop_{{version}}"'
        )
    rest = text.replace("{version}", "")
    if len(text) > 50 or not all(c.isascii() and (c.isalnum() or c in "_.-") for c in rest):
        raise refuse(f"{shown(text)} is not the name of a login; letters, digits, _, . and -, at most 50")
    return text


Login = Annotated[
    str, PlainValidator(_login), WithJsonSchema({"type": "string"}), Words("text; placeholder `{version}`")
]


def _postgresql_url(value: str) -> str:
    if not value.startswith(("postgresql://", "postgres://", "${")):
        raise refuse(
            f"{shown(value)} is not the URL of a PostgreSQL database; write postgresql://user@host/name or a reference"
        )
    return value


def _sqlserver_url(value: str) -> str:
    if not value.startswith(("mssql://", "${")):
        raise refuse(
            f"{shown(value)} is not the URL of a SQL Server database; write mssql://user@host/name or a reference"
        )
    return value


def _mysql_url(value: str) -> str:
    if not value.startswith(("mysql://", "mariadb://", "${")):
        raise refuse(
            f"{shown(value)} is not the URL of a MariaDB or MySQL database; write mysql://user@host/name or a reference"
        )
    return value


def _sqlite_url(value: str) -> str:
    if references.has_reference(value):
        return value
    path = value.removeprefix(_SQLITE)
    if path == value or not path or path.startswith((":memory:", "?")):
        raise refuse(f"{shown(value)} is not the URL of a SQLite file; write sqlite:///path/to/file.db")
    return value


class Postgresql(Section):
    """A PostgreSQL database."""

    type: Literal["postgresql"] = Field(description="PostgreSQL")
    url: Annotated[Referring, AfterValidator(_postgresql_url)] = Field(
        description="its URL; the password by reference only"
    )
    read: tuple[Annotated[Referring, AfterValidator(_postgresql_url)], ...] = Field(
        default=(), description="URLs of the replicas that versions read: expand ends when each of them shows it"
    )
    changes: ChangeFiles = Field(description="where the schema changes come from")
    limits: Limits = Field(default_factory=Limits, description="what a change may cost")
    backup: Annotated[PostgresqlBackup | None, _NONE] = Field(
        default_factory=PostgresqlBackup, description="the restore point; `none`: every release needs `--ack no-backup`"
    )
    login: Login | None = Field(
        default=None, description="one login role per version, so that a retired version cannot write any more"
    )


class SqlServer(Section):
    """A SQL Server database."""

    type: Literal["sqlserver"] = Field(description="SQL Server, Azure SQL")
    url: Annotated[Referring, AfterValidator(_sqlserver_url)] = Field(
        description="its URL; the password by reference only"
    )
    changes: ChangeFiles = Field(description="where the schema changes come from")
    limits: Limits = Field(default_factory=Limits, description="what a change may cost")
    backup: Annotated[SqlServerBackup | None, _NONE] = Field(
        default_factory=SqlServerBackup, description="the restore point; `none`: every release needs `--ack no-backup`"
    )
    login: Login | None = Field(
        default=None, description="one login per version, so that a retired version cannot write any more"
    )


class Mysql(Section):
    """A MariaDB or MySQL database."""

    type: Literal["mysql"] = Field(description="MariaDB or MySQL")
    url: Annotated[Referring, AfterValidator(_mysql_url)] = Field(
        description="its URL, or that of a socket: `mysql://user@/name?unix_socket=PATH`; the password by reference only"
    )
    read: tuple[Annotated[Referring, AfterValidator(_mysql_url)], ...] = Field(
        default=(), description="URLs of the replicas that versions read: expand ends when each of them shows it"
    )
    changes: ChangeFiles = Field(description="where the schema changes come from")
    limits: Limits = Field(
        default_factory=Limits, description="what a change may cost; `lock` counts in whole seconds here, at least one"
    )
    backup: Annotated[MysqlBackup | None, _NONE] = Field(
        default_factory=MysqlBackup, description="the restore point; `none`: every release needs `--ack no-backup`"
    )
    login: Login | None = Field(
        default=None, description="one login per version, so that a retired version cannot write any more"
    )


class Sqlite(Section):
    """A SQLite file on this machine."""

    type: Literal["sqlite"] = Field(description="SQLite")
    url: Annotated[Referring, AfterValidator(_sqlite_url)] = Field(
        description="sqlite:///path, relative to this file; or a reference"
    )
    changes: ChangeFiles = Field(description="where the schema changes come from")
    limits: Limits = Field(default_factory=Limits, description="what a change may cost")
    backup: Annotated[Backup | None, _NONE] = Field(
        default_factory=Backup, description="the restore point; `none`: every release needs `--ack no-backup`"
    )

    def anchored(self, directory: Path) -> Self:
        """The file of a literal URL starts in `directory`, too; what a reference holds is used as it is."""
        anchored = super().anchored(directory)
        if not self.url.startswith(_SQLITE):
            return anchored
        return anchored.model_copy(update={"url": f"{_SQLITE}{directory / self.url.removeprefix(_SQLITE)}"})


Database = Annotated[
    Annotated[Postgresql, Tag("(postgresql)")]
    | Annotated[Mysql, Tag("(mysql)")]
    | Annotated[SqlServer, Tag("(sqlserver)")]
    | Annotated[Sqlite, Tag("(sqlite)")],
    variants("type", "postgresql", "mysql", "sqlserver", "sqlite"),
]

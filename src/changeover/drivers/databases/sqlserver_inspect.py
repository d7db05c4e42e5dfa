"""What `doctor` looks at in a SQL Server database, and the GRANTs that the login needs. Read-only."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from changeover.core.errors import ChangeoverError
from changeover.core.ports import Finding
from changeover.drivers.databases.ledger_sql import age
from changeover.drivers.databases.sqlserver_alone import HAS_RESUMABLE
from changeover.drivers.databases.sqlserver_backup import BackupSettings
from changeover.drivers.databases.sqlserver_blocker import described
from changeover.drivers.databases.sqlserver_errors import Doing, translated
from changeover.drivers.databases.sqlserver_ledger import has_ledger, ledger_on
from changeover.drivers.databases.sqlserver_session import Connection, Sessions
from changeover.drivers.databases.sqlserver_text import quoted
from changeover.schema.engines.sqlserver_editions import ONLINE

OLDEST = 13  # SQL Server 2016: the oldest whose catalogue has the columns that are asked here
LONG = 60  # seconds: an older transaction would hold up schema changes
AZURE = 5  # EngineEdition of Azure SQL Database

SERVER = (
    "SELECT CONVERT(int, SERVERPROPERTY('ProductMajorVersion')), CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')), "
    "CONVERT(int, SERVERPROPERTY('EngineEdition')), CONVERT(nvarchar(128), SERVERPROPERTY('Edition'));"
)
DATABASE = (
    "SELECT CONVERT(nvarchar(60), DATABASEPROPERTYEX(name, 'Updateability')), snapshot_isolation_state, "
    "is_read_committed_snapshot_on, compatibility_level FROM sys.databases WHERE database_id = DB_ID();"
)
PRIVILEGES = """
SELECT SUSER_SNAME(), USER_NAME(), DB_NAME(),
  HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'CREATE TABLE'), HAS_PERMS_BY_NAME(N'dbo', N'SCHEMA', N'ALTER'),
  HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'VIEW DEFINITION'), HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER STATE'),
  HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY CONNECTION'), HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER ANY LOGIN'),
  HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'BACKUP DATABASE'), HAS_PERMS_BY_NAME(NULL, NULL, N'CREATE ANY DATABASE');
"""
SCHEMAS = """
SELECT s.name FROM sys.schemas s WHERE EXISTS (SELECT 1 FROM sys.tables t WHERE t.schema_id = s.schema_id AND t.is_ms_shipped = 0)
  AND COALESCE(HAS_PERMS_BY_NAME(QUOTENAME(s.name), N'SCHEMA', N'ALTER'), 0) = 0 ORDER BY s.name;
"""
OLD_TRANSACTIONS = """
SELECT TOP (3) s.session_id, s.login_name, s.program_name, s.host_name, s.status,
  DATEDIFF(SECOND, t.transaction_begin_time, GETDATE()), CONVERT(nvarchar(200), LEFT(q.text, 200))
FROM sys.dm_tran_active_transactions t
JOIN sys.dm_tran_session_transactions x ON x.transaction_id = t.transaction_id
JOIN sys.dm_exec_sessions s ON s.session_id = x.session_id
LEFT JOIN sys.dm_exec_connections c ON c.session_id = s.session_id
OUTER APPLY sys.dm_exec_sql_text(c.most_recent_sql_handle) q
WHERE s.database_id = DB_ID() AND s.session_id <> @@SPID
  AND t.transaction_begin_time < DATEADD(SECOND, -@seconds, GETDATE())
ORDER BY t.transaction_begin_time;
"""
BACKUPS = (
    "SELECT command, CONVERT(int, percent_complete) FROM sys.dm_exec_requests WHERE database_id = DB_ID() "
    "AND command IN (N'BACKUP DATABASE', N'BACKUP LOG', N'RESTORE DATABASE');"
)
DISABLED = (
    "SELECT TOP (3) o.name, i.name FROM sys.indexes i JOIN sys.objects o ON o.object_id = i.object_id "
    "WHERE i.is_disabled = 1 AND o.is_ms_shipped = 0 ORDER BY o.name, i.name;"
)
PAUSED = "SELECT OBJECT_NAME(object_id), name FROM sys.index_resumable_operations WHERE state = 1 ORDER BY name;"


@dataclass(frozen=True, slots=True)
class Privileges:
    """What the login is and may."""

    login: str
    user: str
    database: str
    creates: bool
    alters: bool
    defines: bool
    sees: bool
    ends: bool
    alters_logins: bool
    backs_up: bool
    createdb: bool
    schemas: tuple[str, ...]  # schemas with tables that the login may not change

    @classmethod
    def of(cls, db: Connection) -> Privileges:
        row = db.one(PRIVILEGES)
        assert row is not None, "a SELECT without FROM returns a row"
        creates, alters, defines, sees, ends, alters_logins, backs_up, createdb = (may == 1 for may in row[3:])
        schemas = tuple(s for (s,) in db.execute(SCHEMAS))
        login, user, database = row[:3]
        return cls(
            login, user, database, creates, alters, defines, sees, ends, alters_logins, backs_up, createdb, schemas
        )


@dataclass(frozen=True, slots=True)
class Doctor:
    """Looks at one database."""

    sessions: Sessions
    backup: BackupSettings | None
    login: bool  # a login per version is configured

    def findings(self) -> Iterator[Finding]:
        """Never raises for what it can report."""
        try:
            with translated(self.sessions, Doing("connecting")), self.sessions.session() as db:
                yield from self._look(db)
        except ChangeoverError as error:
            yield Finding("database", ok=False, detail=error.what, fix="; ".join(error.next))

    def _look(self, db: Connection) -> Iterator[Finding]:
        row = db.one(SERVER)
        assert row is not None, "a SELECT without FROM returns a row"
        major, version, engine, edition = row
        yield Finding("database", ok=True, detail=f"SQL Server {version}, {edition}, answers")
        if major < OLDEST and engine != AZURE:
            fix = f"upgrade it to SQL Server 2016 ({OLDEST}.0) or newer"
            yield Finding("version", ok=False, detail=f"SQL Server {version}", fix=fix)
        yield from self._wire()
        yield from _state(db)
        online = engine in ONLINE
        detail = "WITH (ONLINE = ON) is there" if online else f"{edition} builds indexes offline only: writers wait"
        yield Finding("online builds", ok=online, detail=detail, fix="" if online else _OFFLINE, fatal=False)
        may = Privileges.of(db)
        yield from self._may(db, may, engine)
        yield from _in_the_way(db, may)
        yield from self._claimed(db)
        yield from self._restore_points(engine)

    def _wire(self) -> Iterator[Finding]:
        address = self.sessions.address()
        if not address.encrypt and not address.alone:
            fix = "take encrypt=no out of the URL; name the authority: cafile=/path/to/ca.pem"
            yield Finding("wire", ok=False, detail="passwords and rows cross the wire in clear", fix=fix, fatal=False)

    def _may(self, db: Connection, may: Privileges, engine: int) -> Iterator[Finding]:
        fix, user = "changeover doctor --grants", may.user
        ledger = (may.creates and may.alters) or has_ledger(db)
        wants = [
            ("create tables", ledger, f"{user} may not create tables in schema dbo", True),
            ("see definitions", may.defines, f"{user} does not see every definition", True),
            ("change the tables", not may.schemas, f"{user} may not ALTER schema {', '.join(may.schemas)}", True),
            ("end older owners", may.sees and may.ends, f"{may.login} may not see and end sessions: it waits", False),
        ]
        if self.backup is not None and self.backup.command is None and engine != AZURE:
            restores = may.backs_up and may.createdb
            wants.append(("restore into scratch", restores, f"{may.login} may not back up and restore", True))
        if self.login:
            retires = may.alters_logins and may.sees and may.ends
            wants.append(("retire versions", retires, f"{may.login} may not alter logins and end sessions", True))
        for subject, ok, detail, fatal in wants:
            yield Finding(subject, ok=ok, detail="yes" if ok else detail, fix="" if ok else fix, fatal=fatal)

    def _claimed(self, db: Connection) -> Iterator[Finding]:
        for claim in ledger_on(db).claims() if has_ledger(db) else ():
            ours = claim.environment == self.sessions.environment
            held = f"claimed for {claim.environment}, by {claim.holder}, since {age(time.time() - claim.at)}"
            yield Finding("claim", ok=ours, detail=held, fix="" if ours else "changeover lock --adopt")

    def _restore_points(self, engine: int) -> Iterator[Finding]:
        backup = self.backup
        if backup is None or backup.command is not None:
            return
        if engine == AZURE:
            fix = "give a backup command of your own, or backup: none"
            yield Finding("restore points", ok=False, detail="Azure SQL Database takes no BACKUP", fix=fix)
        directory = next(p for p in (backup.directory, *backup.directory.absolute().parents) if p.exists())
        ok = os.access(directory, os.W_OK)
        detail = f"their cards in {backup.directory}, the backups on the database's machine"
        fix = "" if ok else f"let this user write in {directory}"
        yield Finding("restore points", ok=ok, detail=detail, fix=fix)

    def grants(self) -> Iterator[str]:
        """The statements for an administrator, with the names filled in. Raises DatabaseUnreachable."""
        with translated(self.sessions, Doing("looking at the privileges")), self.sessions.session() as db:
            may = Privileges.of(db)
            yield from grants_for(may, self.backup is not None and self.backup.command is None, self.login)


_OFFLINE = "release when few write, or use an edition with online builds"


def grants_for(may: Privileges, backs_up: bool, logins: bool) -> Iterator[str]:
    """As text. Server permissions are granted in master, to the login; those of the database to its user."""
    login, user, database = quoted(may.login), quoted(may.user), quoted(may.database)
    yield "USE [master];"
    yield f"GRANT VIEW SERVER STATE, ALTER ANY CONNECTION TO {login};"
    if logins:
        yield f"GRANT ALTER ANY LOGIN TO {login};"
    if backs_up:
        yield f"GRANT CREATE ANY DATABASE TO {login};"
    yield f"USE {database};"
    yield f"GRANT CREATE TABLE, CREATE VIEW, CREATE PROCEDURE, CREATE FUNCTION, CREATE SYNONYM, VIEW DEFINITION TO {user};"
    for schema in sorted({"dbo", *may.schemas}):
        yield f"GRANT ALTER, REFERENCES, SELECT, INSERT, UPDATE, DELETE, EXECUTE ON SCHEMA::{quoted(schema)} TO {user};"
    if backs_up:
        yield f"GRANT BACKUP DATABASE TO {user};"


def _state(db: Connection) -> Iterator[Finding]:
    row = db.one(DATABASE)
    if row is None:
        return
    updateability, snapshots, versioned, _ = row
    if updateability != "READ_WRITE":
        detail = "the database takes no writes: read-only, or a secondary of an availability group"
        yield Finding("primary", ok=False, detail=detail, fix="point the URL at the primary or its listener")
    on = snapshots == 1
    detail = "allowed: restore points can be compared" if on else "off: a restore point is restored, not compared"
    fix = "" if on else "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON"
    yield Finding("snapshot isolation", ok=on, detail=detail, fix=fix, fatal=False)
    detail = "on: readers do not wait for writers" if versioned else "off: readers and backfills wait for each other"
    yield Finding("read committed snapshot", ok=True, detail=detail, fatal=False)


def _in_the_way(db: Connection, may: Privileges) -> Iterator[Finding]:
    if not may.sees:
        detail = f"{may.login} sees no session but its own (VIEW SERVER STATE)"
        yield Finding("in the way", ok=False, detail=detail, fix="changeover doctor --grants", fatal=False)
    else:
        old = db.execute(OLD_TRANSACTIONS, {"seconds": LONG})
        for row in old:
            fix = "let it finish, or end it"
            yield Finding("long transaction", ok=False, detail=described(row), fix=fix, fatal=False)
        if not old:
            yield Finding("in the way", ok=True, detail=f"no transaction older than {LONG} s", fatal=False)
        for command, percent in db.execute(BACKUPS):
            detail = f"{command}, {percent} % done"
            yield Finding("running backup", ok=False, detail=detail, fix="wait until it has ended", fatal=False)
    for table, index in db.execute(DISABLED):
        fix = f"ALTER INDEX {quoted(index)} ON {quoted(table)} REBUILD"
        yield Finding("index", ok=False, detail=f"{index} of {table} is disabled", fix=fix, fatal=False)
    for table, index in db.execute(PAUSED) if db.number(HAS_RESUMABLE) else ():
        fix = f"ALTER INDEX {quoted(index)} ON {quoted(table)} RESUME, or ABORT"
        yield Finding("index", ok=False, detail=f"the build of {index} is paused", fix=fix, fatal=False)

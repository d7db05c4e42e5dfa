"""What `doctor` looks at in a PostgreSQL database, and the GRANTs that the login needs. Read-only."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from changeover.core.errors import ChangeoverError, ToolMissing
from changeover.core.ports import Finding
from changeover.drivers.databases.ledger_sql import age
from changeover.drivers.databases.postgresql_backup import BackupSettings
from changeover.drivers.databases.postgresql_blocker import described
from changeover.drivers.databases.postgresql_errors import Doing, translated
from changeover.drivers.databases.postgresql_room import room
from changeover.drivers.databases.postgresql_session import Connection, Sessions, has_ledger, ledger_on
from changeover.drivers.databases.postgresql_tools import Tools

OLDEST = 13  # the oldest major version of the server that the statements here are valid on
LONG = 60.0  # seconds: an older transaction would hold up schema changes

_PRIVILEGES = """
SELECT current_user::text, current_database()::text, current_schema()::text,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), r.rolcreatedb OR r.rolsuper,
       r.rolcreaterole OR r.rolsuper, r.rolsuper OR pg_has_role('pg_signal_backend', 'MEMBER')
FROM pg_roles r WHERE r.rolname = current_user
"""
_OWNERS = """
SELECT DISTINCT pg_get_userbyid(c.relowner)::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
  AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1
"""
_LONG = """
SELECT pid, usename, application_name, client_addr::text, state, extract(epoch FROM now() - xact_start)::float8, left(query, 200)
FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
  AND application_name !~ '^pg_(dump|basebackup)' AND pid <> pg_backend_pid()
  AND xact_start < now() - make_interval(secs => %s) ORDER BY xact_start LIMIT 3
"""
_BACKUPS = """
SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ '^pg_(dump|basebackup)'
GROUP BY 1
UNION ALL SELECT 'base backup of the server, ' || min(phase), count(*) FROM pg_stat_progress_basebackup HAVING count(*) > 0
"""
_PREPARED = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared LIMIT 1"
_INVALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1 LIMIT 3"


@dataclass(frozen=True, slots=True)
class Privileges:
    """What the login is and may."""

    login: str
    database: str
    schema: str | None
    creates: bool
    createdb: bool
    createrole: bool
    signals: bool
    owners: tuple[str, ...]  # owners of tables that the login is not a member of

    @classmethod
    def of(cls, db: Connection) -> Privileges:
        row = db.execute(_PRIVILEGES).fetchone()
        if row is None:
            raise psycopg.InterfaceError("the login is not in pg_roles")
        login, database, schema, creates, createdb, createrole, signals = row
        owners = tuple(o for (o,) in db.execute(_OWNERS))
        return cls(login, database, schema, creates, createdb, createrole, signals, owners)


@dataclass(frozen=True, slots=True)
class Doctor:
    """Looks at one database."""

    sessions: Sessions
    backup: BackupSettings | None
    login: bool  # a login per version is configured
    replica_lag: float = 5.0  # seconds: a backfill waits while a replica lags more

    def findings(self) -> Iterator[Finding]:
        """Never raises for what it can report."""
        try:
            with translated(self.sessions, Doing("connecting")), self.sessions.session() as db:
                yield from self._look(db)
        except ChangeoverError as error:
            yield Finding("database", ok=False, detail=error.what, fix="; ".join(error.next))

    def _look(self, db: Connection) -> Iterator[Finding]:
        major = db.info.server_version // 10_000
        yield Finding("database", ok=True, detail=f"PostgreSQL {major} answers")
        if major < OLDEST:
            yield Finding("version", ok=False, detail=f"PostgreSQL {major}", fix=f"upgrade it to {OLDEST} or newer")
        row = db.execute("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean").fetchone()
        if row is not None and row[0]:
            yield Finding(
                "primary", ok=False, detail="the database takes no writes", fix="point the URL at the primary"
            )
        yield from self._may(db)
        yield from _in_the_way(db)
        yield from room(db, self.replica_lag)
        yield from self._claimed(db)
        yield from self._restore_points(db, major)

    def _may(self, db: Connection) -> Iterator[Finding]:
        may = Privileges.of(db)
        fix = "changeover doctor --grants"
        schema = may.schema or "any schema of its search_path"
        wants = [
            ("create tables", may.creates or has_ledger(db), f"{may.login} may not create tables in {schema}"),
            ("own the tables", not may.owners, f"tables belong to {', '.join(may.owners)}, not to {may.login}"),
        ]
        if self.backup is not None and self.backup.command is None and self.backup.restore_into is None:
            wants.append(("restore into scratch", may.createdb, f"{may.login} may not create a scratch database"))
        if self.login:
            ends = may.createrole and may.signals
            wants.append(("retire versions", ends, f"{may.login} may not alter logins and end their connections"))
        for subject, ok, detail in wants:
            yield Finding(subject, ok=ok, detail="yes" if ok else detail, fix="" if ok else fix)

    def _claimed(self, db: Connection) -> Iterator[Finding]:
        for claim in ledger_on(db).claims() if has_ledger(db) else ():
            ours = claim.environment == self.sessions.environment
            held = f"claimed for {claim.environment}, by {claim.holder}, since {age(time.time() - claim.at)}"
            yield Finding("claim", ok=ours, detail=held, fix="" if ours else "changeover lock --adopt")

    def _restore_points(self, db: Connection, major: int) -> Iterator[Finding]:
        backup = self.backup
        if backup is None or backup.command is not None:
            return
        try:
            for program in ("pg_dump", "pg_restore"):
                (backup.tools or Tools.installed()).find(program, major)
            yield Finding("pg_dump, pg_restore", ok=True, detail="installed")
        except ToolMissing as error:
            yield Finding("pg_dump, pg_restore", ok=False, detail=error.what, fix="; ".join(error.next))
        row = db.execute("SELECT pg_database_size(current_database())").fetchone()
        need = int(row[0]) if row is not None else 0
        directory = next(p for p in (backup.directory, *backup.directory.absolute().parents) if p.exists())
        free = shutil.disk_usage(directory).free
        ok = free > need and os.access(directory, os.W_OK)
        yield Finding(
            "room for a restore point",
            ok=ok,
            detail=f"{free // 2**20} MiB free in {directory}, the database has {need // 2**20} MiB",
            fix="" if ok else f"make room in {directory}, or let this user write there",
        )

    def grants(self) -> Iterator[str]:
        """The statements for an administrator, with the names filled in. Raises DatabaseUnreachable."""
        with translated(self.sessions, Doing("looking at the privileges")), self.sessions.session() as db:
            may = Privileges.of(db)

            def line(text: str, **names: str) -> str:
                composed = sql.SQL(text).format(**{k: sql.Identifier(v) for k, v in names.items()})
                return composed.as_string(db)

            schema = may.schema or "public"
            yield line("GRANT CONNECT ON DATABASE {d} TO {u};", d=may.database, u=may.login)
            yield line("GRANT USAGE, CREATE ON SCHEMA {s} TO {u};", s=schema, u=may.login)
            for owner in may.owners:
                yield line("GRANT {o} TO {u};", o=owner, u=may.login)
            if self.backup is not None and self.backup.restore_into is None and self.backup.command is None:
                yield line("ALTER ROLE {u} CREATEDB;", u=may.login)
            if self.login:
                yield line("ALTER ROLE {u} CREATEROLE;", u=may.login)
                yield "GRANT pg_signal_backend TO " + line("{u};", u=may.login)
            yield "GRANT pg_read_all_stats TO " + line("{u};", u=may.login)


def _in_the_way(db: Connection) -> Iterator[Finding]:
    old = db.execute(_LONG, (LONG,)).fetchall()
    for row in old:
        yield Finding("long transaction", ok=False, detail=described(row), fix="let it finish, or end it", fatal=False)
    for name, number in db.execute(_BACKUPS).fetchall():
        yield Finding(
            "running backup", ok=False, detail=f"{number} × {name}", fix="wait until it has ended", fatal=False
        )
    prepared = db.execute(_PREPARED).fetchone()
    if prepared is not None:
        fix = "COMMIT PREPARED or ROLLBACK PREPARED it"
        yield Finding("prepared transaction", ok=False, detail=str(prepared[0]), fix=fix, fatal=False)
    for (index,) in db.execute(_INVALID).fetchall():
        yield Finding(
            "index", ok=False, detail=f"{index} is INVALID", fix=f"DROP INDEX CONCURRENTLY {index}", fatal=False
        )
    if not old and prepared is None:
        yield Finding("in the way", ok=True, detail=f"no transaction older than {LONG:g} s", fatal=False)

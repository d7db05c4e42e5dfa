"""What `doctor` looks at in a MariaDB or MySQL database. Read-only."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass

from changeover.core.errors import ChangeoverError, ToolMissing
from changeover.core.ports import Finding
from changeover.drivers.databases.ledger_sql import age
from changeover.drivers.databases.mysql_backup import BackupSettings
from changeover.drivers.databases.mysql_blocker import described, shows_locks
from changeover.drivers.databases.mysql_errors import Doing, translated
from changeover.drivers.databases.mysql_ledger import has_ledger, ledger_on
from changeover.drivers.databases.mysql_library import pymysql
from changeover.drivers.databases.mysql_privileges import ON_DATABASE, Needs, Privileges, may_read, missing
from changeover.drivers.databases.mysql_room import room
from changeover.drivers.databases.mysql_scratch import PREFIX
from changeover.drivers.databases.mysql_session import Connection, Sessions
from changeover.drivers.databases.mysql_tools import CLIENTS, DUMPS, Tools

OLDEST = {True: (10, 6), False: (8, 0)}  # the first with atomic DDL: MariaDB, MySQL
LONG = 60.0  # seconds: an older transaction would hold up schema changes
_QUOTES = ("ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ORACLE")
_DOCTOR = "changeover doctor --grants"

_LONG = """
SELECT p.id, p.user, p.host, p.command, TRUE, TIMESTAMPDIFF(SECOND, x.trx_started, NOW()), p.info
FROM information_schema.innodb_trx x JOIN information_schema.processlist p ON p.id = x.trx_mysql_thread_id
WHERE p.db = DATABASE() AND p.id <> CONNECTION_ID() AND x.trx_started < NOW() - INTERVAL %s SECOND
  AND COALESCE(p.info, '') NOT LIKE 'SELECT /*!40001 SQL_NO_CACHE */%%' ORDER BY x.trx_started LIMIT 3
"""
_BACKUPS = """
SELECT COUNT(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND (info LIKE 'SELECT /*!40001 SQL_NO_CACHE */%'
  OR info LIKE 'BACKUP STAGE%' OR info LIKE 'FLUSH TABLES WITH READ LOCK%' OR state IN ('Waiting for backup lock', 'Waiting for global read lock'))
"""
_TABLES = (
    "SELECT table_name, engine, row_format FROM information_schema.tables WHERE table_schema = DATABASE() "
    "AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY table_name"
)
_SIZE = "SELECT COALESCE(SUM(data_length), 0) FROM information_schema.tables WHERE table_schema = DATABASE()"


@dataclass(frozen=True, slots=True)
class Doctor:
    """Looks at one database."""

    sessions: Sessions
    backup: BackupSettings | None
    login: bool  # a login per version is configured
    readers: int = 0  # replicas that are named in the configuration

    @property
    def _needs(self) -> Needs:
        dumps = self.backup is not None and self.backup.command is None
        beside = self.backup is not None and self.backup.restore_into is None and dumps
        return Needs(self.sessions.address.database, beside, dumps, self.login)

    def findings(self) -> Iterator[Finding]:
        """Never raises for what it can report."""
        try:
            with translated(self.sessions, Doing("connecting")), self.sessions.session() as db:
                yield from self._look(db)
        except ChangeoverError as error:
            yield Finding("database", ok=False, detail=error.what, fix="; ".join(error.next))

    def _look(self, db: Connection) -> Iterator[Finding]:
        product = db.product
        yield Finding("database", ok=True, detail=f"{product} answers")
        oldest = OLDEST[product.mariadb]
        if product.version < oldest:
            fix = f"upgrade it to {'.'.join(map(str, oldest))} or newer"
            yield Finding(
                "version", ok=False, detail=f"{product} changes a schema in steps that a crash tears apart", fix=fix
            )
        if db.execute("SELECT @@GLOBAL.read_only")[0][0]:
            yield Finding(
                "primary", ok=False, detail="the database takes no writes", fix="point the URL at the primary"
            )
        may = Privileges.read(db)
        yield from self._may(db, may)
        yield from _binary_log(db, may)
        yield from _settings(db)
        yield from _tables(db)
        yield from _in_the_way(db)
        yield from room(db, self.readers)
        yield from self._claimed(db)
        yield from self._restore_points(db)

    def _may(self, db: Connection, may: Privileges) -> Iterator[Finding]:
        needs = self._needs
        lacks = missing(ON_DATABASE, may, needs.database)
        yield _whether("privileges", lacks, f"{may.login} lacks {', '.join(lacks)} on {needs.database}")
        process = missing(["PROCESS"], may)
        yield _whether("see others", process, f"{may.login} cannot see who holds a lock", fatal=self.login)
        if needs.scratch:
            ok = may.may("CREATE", f"{PREFIX}x")
            yield _whether(
                "restore into scratch", [] if ok else ["CREATE"], f"{may.login} may not create a scratch database"
            )
        if needs.dumps:
            why = f"{may.login} may not make commits stand still, so tables that are written meanwhile are restored, not compared"
            yield _whether("compare restore points", missing(["RELOAD"], may), why, fatal=False)
        if needs.logins:
            ends = "CONNECTION ADMIN" if db.product.mariadb else "CONNECTION_ADMIN"
            lacks = missing(["CREATE USER", ends], may)
            if not may_read(db, "mysql", "user"):
                lacks.append("SELECT on mysql.user")
            yield _whether("retire versions", lacks, f"{may.login} lacks {', '.join(lacks)}")

    def _claimed(self, db: Connection) -> Iterator[Finding]:
        for claim in ledger_on(db).claims() if has_ledger(db) else ():
            ours = claim.environment == self.sessions.environment
            held = f"claimed for {claim.environment}, by {claim.holder}, since {age(time.time() - claim.at)}"
            yield Finding("claim", ok=ours, detail=held, fix="" if ours else "changeover lock --adopt")

    def _restore_points(self, db: Connection) -> Iterator[Finding]:
        backup = self.backup
        if backup is None or backup.command is not None:
            return
        try:
            tools = backup.tools or Tools.installed()
            found = [tools.find(programs, db.product).name for programs in (DUMPS, CLIENTS)]
            yield Finding("programs for a dump", ok=True, detail=f"{', '.join(found)} are installed")
        except ToolMissing as error:
            yield Finding("programs for a dump", ok=False, detail=error.what, fix="; ".join(error.next))
        need = int(db.execute(_SIZE)[0][0])
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
            yield from self._needs.grants(Privileges.read(db), db.product)


def _whether(subject: str, lacks: list[str], detail: str, *, fatal: bool = True) -> Finding:
    ok = not lacks
    return Finding(subject, ok=ok, detail="yes" if ok else detail, fix="" if ok else _DOCTOR, fatal=fatal)


def _binary_log(db: Connection, may: Privileges) -> Iterator[Finding]:
    logged, form, trusted = db.execute(
        "SELECT @@GLOBAL.log_bin, @@GLOBAL.binlog_format, @@GLOBAL.log_bin_trust_function_creators"
    )[0]
    if not logged:
        return
    if str(form).upper() == "STATEMENT":
        yield Finding(
            "binary log",
            ok=False,
            detail="binlog_format is STATEMENT, which refuses writes under READ COMMITTED",
            fix="SET GLOBAL binlog_format = MIXED, or ROW",
        )
    if not (trusted or may.may("SUPER") or (db.product.mariadb and may.may("BINLOG ADMIN"))):
        yield Finding(
            "create triggers",
            ok=False,
            detail=f"with the binary log on, {may.login} may not create triggers and functions",
            fix="SET GLOBAL log_bin_trust_function_creators = 1, and in the server's configuration",
            fatal=False,
        )


def _settings(db: Connection) -> Iterator[Finding]:
    mode = str(db.execute("SELECT @@GLOBAL.sql_mode")[0][0]).split(",")
    odd = [m for m in _QUOTES if m in mode]
    if odd:
        yield Finding(
            "sql_mode",
            ok=False,
            detail=f"the server's sql_mode has {', '.join(odd)}; changeover runs change files without it",
            fix="write change files with backticks for names and single quotes for texts",
            fatal=False,
        )
    cluster = [str(value).upper() for _, value in db.execute("SHOW VARIABLES LIKE 'wsrep_on'")]
    if cluster == ["ON"]:
        yield Finding(
            "cluster",
            ok=False,
            detail="this is a node of a Galera cluster, where a named lock is one node's own",
            fix="let every changeover use the same node; Galera was not tried",
            fatal=False,
        )
    if not shows_locks(db):
        maria = "INSTALL SONAME 'metadata_lock_info'" if db.product.mariadb else ""
        instrument = (
            "UPDATE performance_schema.setup_instruments SET enabled = 'YES' WHERE name = 'wait/lock/metadata/sql/mdl'"
        )
        yield Finding(
            "who holds a table",
            ok=False,
            detail="the server does not show it, so who is in the way can only be suspected",
            fix=maria or instrument,
            fatal=False,
        )


def _tables(db: Connection) -> Iterator[Finding]:
    found = db.execute(_TABLES)
    other = [str(name) for name, engine, _ in found if str(engine).upper() != "INNODB"]
    if other:
        yield Finding(
            "engine",
            ok=False,
            detail=f"not InnoDB, so neither rolled back nor held still by a snapshot: {', '.join(other[:5])}",
            fix="ALTER TABLE … ENGINE=InnoDB",
            fatal=False,
        )
    packed = [str(name) for name, _, form in found if str(form).upper() == "COMPRESSED"]
    if packed:
        yield Finding(
            "row format",
            ok=False,
            detail=f"ROW_FORMAT=COMPRESSED, so no column is added instantly: {', '.join(packed[:5])}",
            fix="expect a copy of the table, or change its row format first",
            fatal=False,
        )


def _in_the_way(db: Connection) -> Iterator[Finding]:
    try:
        old = db.execute(_LONG, (round(LONG),))
        backups = int(db.execute(_BACKUPS)[0][0])
    except pymysql.err.OperationalError:
        return  # without PROCESS; told above
    for row in old:
        yield Finding("long transaction", ok=False, detail=described(row), fix="let it finish, or end it", fatal=False)
    if backups:
        yield Finding(
            "running backup", ok=False, detail=f"{backups} sessions", fix="wait until it has ended", fatal=False
        )
    if not old:
        yield Finding("in the way", ok=True, detail=f"no transaction older than {LONG:g} s", fatal=False)

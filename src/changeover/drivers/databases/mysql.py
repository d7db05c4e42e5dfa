"""MariaDB and MySQL as a Database: DDL commits by itself, so a named lock fences it and the catalogue says whether it was done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from shlex import join, quote

from changeover.core.catalogue import Catalogue
from changeover.core.errors import RestorePointFailed, StatementFailed, Where
from changeover.core.model import (
    COMPLETE,
    FORWARD,
    Applied,
    BackfillStatement,
    ChangeSet,
    Check,
    Claim,
    Probe,
    RestorePoint,
    SchemaReading,
    Statement,
    Version,
)
from changeover.core.ports import Batch, Capabilities, CopyByHand, Count, Fence, Finding, Gap, Lockwait
from changeover.drivers.databases import mysql_by_hand as hand
from changeover.drivers.databases import mysql_probe as probes
from changeover.drivers.databases.kept import Kept
from changeover.drivers.databases.ledger_sql import Owner, forget_sql, unkeep_sql
from changeover.drivers.databases.limits import Limits, Wanted
from changeover.drivers.databases.mysql_alone import Alone
from changeover.drivers.databases.mysql_apply import Acting, Line, is_about_rows
from changeover.drivers.databases.mysql_backfill import Backfilling
from changeover.drivers.databases.mysql_backup import (
    COMMAND_DIRECTORY,
    COMMAND_ID,
    COMMAND_URL,
    BackupSettings,
    MysqlBackup,
)
from changeover.drivers.databases.mysql_catalogue import catalogue_hash
from changeover.drivers.databases.mysql_claim import Claiming
from changeover.drivers.databases.mysql_clone import accepted, fills_before
from changeover.drivers.databases.mysql_counted import counted
from changeover.drivers.databases.mysql_errors import Doing, translated
from changeover.drivers.databases.mysql_inspect import Doctor
from changeover.drivers.databases.mysql_ledger import has_kept, has_ledger, ledger_on
from changeover.drivers.databases.mysql_logins import Logins
from changeover.drivers.databases.mysql_pressure import pressure
from changeover.drivers.databases.mysql_ranges import Keyed
from changeover.drivers.databases.mysql_reader import MysqlReader
from changeover.drivers.databases.mysql_scratch import ScratchDatabase
from changeover.drivers.databases.mysql_session import READ, Connection, Sessions, limit_statements
from changeover.drivers.databases.mysql_shell import ask, demanded, there
from changeover.drivers.databases.mysql_tables import catalogue


@dataclass(frozen=True, slots=True)
class MysqlSettings:
    """One MariaDB or MySQL database. `url` is asked at each use. `backup` None: no restore points.

    `login`: the pattern of one login per version, `shop_{version}`; None: versions share a login. `words` is how commands
    for people name the database, as shell words. `read`: URLs of replicas, asked at each use, for which a backfill waits.
    """

    url: Callable[[], str]
    environment: str
    backup: BackupSettings | None = None
    limits: Limits = field(default_factory=Limits)
    login: str | None = None
    words: str = '"$DATABASE_URL"'
    read: tuple[Callable[[], str], ...] = ()


class MysqlDatabase:
    """The Database port on MariaDB 10.6 or newer, and on MySQL 8."""

    dialect = "mysql"
    capabilities = Capabilities(compares=True)  # under a named lock that a take-over breaks first; see docs/limits.md

    def __init__(self, settings: MysqlSettings) -> None:
        self._settings = settings
        self._sessions = Sessions(settings.url, settings.environment)
        self._store = ""  # the state store whose claim this process has written
        self._filling: Kept[Line] = Kept(self)
        self._keyed: Keyed | None = None  # of the backfill that is under way
        self._fills_before: bool | None = None  # what was tried on this server

    def url(self) -> str:
        return self._settings.url()

    # reading ---------------------------------------------------------------------------------------------------

    def inspect(self) -> Sequence[Finding]:
        return tuple(self._doctor().findings())

    def grants(self) -> Sequence[str]:
        return tuple(self._doctor().grants())

    def _doctor(self) -> Doctor:
        settings = self._settings
        return Doctor(self._sessions, settings.backup, settings.login is not None, len(settings.read))

    def read(self) -> SchemaReading:
        with translated(self._sessions, Doing("reading the schema")), self._sessions.session(timeout=READ) as db:
            if not has_ledger(db):
                return SchemaReading(0, catalogue_hash(db))
            db.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            ledger = ledger_on(db)
            revision, applied, claims = ledger.revision(), ledger.applied(), ledger.claims()
            kept = ledger.kept() if has_kept(db) else ()
            return SchemaReading(revision, catalogue_hash(db), applied, next(iter(claims), None), kept)

    def done(self, probe: Probe) -> bool:
        with translated(self._sessions, Doing("looking at the catalogue")), self._sessions.session() as db:
            return probes.done(db, probe)

    def tables(self, names: Sequence[str]) -> Catalogue:
        with translated(self._sessions, Doing("reading the tables")):
            if self._fills_before is None:
                with self._sessions.session(timeout=READ) as db:
                    self._fills_before = fills_before(db)
            with self._sessions.session(timeout=READ) as db:
                return catalogue(db, names, fills_before=self._fills_before)

    def count(self, check: Check) -> Count:
        with translated(self._sessions, Doing(f"counting {check.title}")), self._sessions.connect() as db:
            limit_statements(db, 0.0)  # it may look at every row
            db.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            return counted(db, check)

    def algorithm(self, table: str, alter: str, given: Mapping[str, str]) -> str:
        doing = Doing(f"trying ALTER TABLE {table} {alter} on an empty copy")
        with translated(self._sessions, doing), self._sessions.session(timeout=READ) as db:
            if not probes.done(db, Probe("table", probes.quoted(table))):
                raise StatementFailed(
                    f"there is no table {table} yet: say it in create_table, or do it in the next release"
                )
            return accepted(db, table, alter, given)

    # acting ------------------------------------------------------------------------------------------------------

    def _acting(self, fence: Fence) -> Acting:
        owner = Owner(self._settings.environment, self._store, fence.token)
        return Acting(self._sessions, self._settings.limits, owner, fence)

    def claim(self, claim: Claim, fence: Fence) -> None:
        self._claim(claim, fence, adopt=False)

    def adopt(self, claim: Claim) -> None:
        self._claim(claim, _Person(claim.fence), adopt=True)

    def _claim(self, claim: Claim, fence: Fence, *, adopt: bool) -> None:
        with translated(self._sessions, Doing("claiming the database")):
            Claiming(self._sessions, self._settings.limits).take(claim, fence, adopt=adopt)
        self._store = claim.store

    def apply(self, statement: Statement, marker: Applied, fence: Fence) -> Lockwait:
        acting = self._acting(fence)
        if is_about_rows(statement):
            return acting.apply(statement, marker)
        return Alone(acting, statement, marker).run()

    def complete(self, marker: Applied, fence: Fence) -> int:
        whole = replace(marker, index=COMPLETE)
        wanted = Wanted(f"completing {marker.version}.{marker.phase}")
        return self._acting(fence).write(wanted, lambda _, ledger: ledger.complete(whole))[0]

    def keep(self, changes: ChangeSet, fence: Fence) -> None:
        wanted = Wanted(f"keeping what v{changes.version} is compiled to")
        self._acting(fence).write(wanted, lambda _, ledger: ledger.keep(changes))

    def forget(self, version: Version, fence: Fence) -> None:
        self._acting(fence).write(Wanted(f"undoing v{version}"), lambda _, ledger: ledger.forget(version, FORWARD))

    def unkeep(self, version: Version, fence: Fence) -> None:
        self._acting(fence).write(Wanted(f"undoing v{version}"), lambda _, ledger: ledger.unkeep(version))

    # backfill ------------------------------------------------------------------------------------------------------

    def gap(self, statement: BackfillStatement) -> Gap:
        with self._looking(statement) as db:
            limit_statements(db, 0.0)  # it counts every row
            return Keyed.of(db, statement).gap(db) if statement.keys else Backfilling(statement).gap(db)

    def pressure(self, statement: BackfillStatement) -> str:
        with self._looking(statement) as db:
            found = pressure(db, self._settings.limits)
        return found or next((p for p in (reader.pressure() for reader in self.readers()) if p), "")

    def readers(self) -> Sequence[MysqlReader]:
        """The replicas that versions read."""
        settings = self._settings
        return [MysqlReader(url, settings.environment, settings.limits.replica_lag) for url in settings.read]

    def last_key(self, statement: BackfillStatement) -> str | None:
        with self._looking(statement) as db:
            return Keyed.of(db, statement).last(db) if statement.keys else Backfilling(statement).last_key(db)

    @contextmanager
    def _looking(self, statement: BackfillStatement) -> Iterator[Connection]:
        doing = Doing(statement.title, (Where(statement.file, statement.line),))
        with translated(self._sessions, doing), self._sessions.connect() as db:
            yield db

    def fill(self, statement: BackfillStatement, after: str | None, upto: str, size: int, fence: Fence) -> Batch:
        fills, acting = self._fills(statement), self._acting(fence)
        doing = Doing(statement.title)
        with self._filling.line(acting.owner, lambda: Line(self._sessions, acting.lock, acting.owner, doing)) as line:
            batch = fills.fill(replace(acting, line=line), after, upto, size)
        if batch.hi is None:
            self._filling.close()
        return batch

    def _fills(self, statement: BackfillStatement) -> Keyed | Backfilling:
        """What the key's columns are is asked once for all batches."""
        if not statement.keys:
            return Backfilling(statement)
        if self._keyed is None or self._keyed.statement != statement:
            with self._looking(statement) as db:
                self._keyed = Keyed.of(db, statement)
        return self._keyed

    # restore points ----------------------------------------------------------------------------------------------

    def backups(self) -> bool:
        return self._settings.backup is not None

    def _backup(self) -> MysqlBackup:
        if self._settings.backup is None:
            raise RestorePointFailed("no backup is configured", next=("configure database.backup",))
        return MysqlBackup(self._sessions, self._settings.backup)

    def backup(self, id: str, fence: Fence) -> RestorePoint:
        return self._backup().take(id, fence)

    def rehearse(self, statements: Sequence[Statement]) -> ScratchDatabase:
        return self._backup().rehearse(statements)

    # versions ------------------------------------------------------------------------------------------------------

    def retire(self, version: Version, fence: Fence) -> int | None:
        acting = self._acting(fence)
        if self._settings.login is not None:
            return Logins(self._settings.login).retire(version, acting)
        acting.write(Wanted(f"retiring v{version}"), lambda _db, _ledger: None)
        return None

    def admit(self, version: Version, fence: Fence) -> None:
        acting = self._acting(fence)
        if self._settings.login is not None:
            Logins(self._settings.login).admit(version, acting)
        else:
            acting.write(Wanted(f"admitting v{version}"), lambda _db, _ledger: None)

    # by hand -------------------------------------------------------------------------------------------------------

    def by_hand(self, statement: Statement | BackfillStatement, marker: Applied) -> Sequence[str]:
        if isinstance(statement, BackfillStatement):
            return (*there(self._settings.words), hand.backfill(statement))
        return (*there(self._settings.words), hand.apply(statement, marker, self._settings.limits))

    def by_hand_complete(self, marker: Applied) -> Sequence[str]:
        return (*there(self._settings.words), hand.complete(replace(marker, index=COMPLETE)))

    def by_hand_backup(self, id: str) -> Sequence[str]:
        backup = self._settings.backup
        if backup is None:
            return ("# no backup is configured",)
        words, directory = self._settings.words, quote(str(backup.directory))
        if backup.command is not None:
            told = f"{COMMAND_ID}={quote(id)} {COMMAND_DIRECTORY}={quote(str(backup.directory.absolute()))}"
            return (*demanded(words), f"{COMMAND_URL}={words} {told} {join(backup.command)}")
        target = str(backup.directory / f"{id}.sql")
        return (f"mkdir -p -m 700 {directory}", *there(words), *hand.backup(target))

    def by_hand_copy(self, id: str, statements: Sequence[tuple[Statement, Applied]]) -> CopyByHand | None:
        """None: where a scratch database may be made is not for a printed command to guess."""
        del id, statements
        return None

    def by_hand_count(self, check: Check) -> Sequence[str]:
        return (*there(self._settings.words), hand.count(check))

    def by_hand_keep(self, changes: ChangeSet) -> Sequence[str]:
        return (*there(self._settings.words), hand.keep(changes))

    def by_hand_forget(self, version: Version) -> Sequence[str]:
        return (*there(self._settings.words), ask(*forget_sql(version)))

    def by_hand_unkeep(self, version: Version) -> Sequence[str]:
        return (*there(self._settings.words), ask("START TRANSACTION;", *unkeep_sql(version), "COMMIT;"))

    def by_hand_retire(self, version: Version) -> Sequence[str]:
        login = self._settings.login
        return () if login is None else (*there(self._settings.words), *hand.retire(Logins(login).login(version)))

    def by_hand_admit(self, version: Version) -> Sequence[str]:
        login = self._settings.login
        return () if login is None else (*there(self._settings.words), *hand.admit(Logins(login).login(version)))


@dataclass(frozen=True, slots=True)
class _Person:
    """The right of a person who orders `lock --adopt`: nothing to compare with."""

    token: int
    run: str = ""

    def check(self) -> None:
        """A person decided."""

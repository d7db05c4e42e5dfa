"""SQL Server as a Database: one statement, one transaction, with its marker; locks are asked for, never queued for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from shlex import join, quote

from changeover.core.catalogue import Catalogue
from changeover.core.errors import LockNotObtained, RestorePointFailed, Where
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
from changeover.drivers.argv import shell_value
from changeover.drivers.databases import sqlserver_by_hand as hand
from changeover.drivers.databases import sqlserver_catalogue as catalogue
from changeover.drivers.databases import sqlserver_probes as probes
from changeover.drivers.databases.ledger_sql import Owner
from changeover.drivers.databases.limits import Limits, Wanted
from changeover.drivers.databases.sqlserver_alone import Alone
from changeover.drivers.databases.sqlserver_apply import Acting, counted
from changeover.drivers.databases.sqlserver_backfill import Backfilling
from changeover.drivers.databases.sqlserver_backup import (
    COMMAND_DIRECTORY,
    COMMAND_ID,
    COMMAND_URL,
    BackupSettings,
    SqlServerBackup,
    in_snapshot,
)
from changeover.drivers.databases.sqlserver_claim import Claiming
from changeover.drivers.databases.sqlserver_errors import Doing, translated
from changeover.drivers.databases.sqlserver_faults import Fault, is_busy
from changeover.drivers.databases.sqlserver_inspect import Doctor
from changeover.drivers.databases.sqlserver_keys import Keyed
from changeover.drivers.databases.sqlserver_ledger import has_kept, has_ledger, ledger_on
from changeover.drivers.databases.sqlserver_logins import Logins
from changeover.drivers.databases.sqlserver_pressure import pressure
from changeover.drivers.databases.sqlserver_scratch import ScratchDatabase
from changeover.drivers.databases.sqlserver_session import Connection, Sessions
from changeover.drivers.databases.sqlserver_sqlcmd import Sqlcmd
from changeover.drivers.databases.sqlserver_tables import catalogue as catalogue_of

_TRIES = 3  # reading the ledger meets a phase that is completed at that moment


@dataclass(frozen=True, slots=True)
class SqlServerSettings:
    """One SQL Server database. `url` is asked at each use. `backup` None: no restore points.

    `login`: the pattern of one login per version, `shop_{version}`; None: versions share a login. `written` is the URL as the
    configuration has it, with its references: commands for people are made of it.
    """

    url: Callable[[], str]
    environment: str
    backup: BackupSettings | None = None
    limits: Limits = field(default_factory=Limits)
    login: str | None = None
    written: str = "${env:DATABASE_URL}"


class SqlServerDatabase:
    """The Database port on SQL Server 2016 or newer, and on Azure SQL."""

    dialect = "sqlserver"
    capabilities = Capabilities(compares=True)

    def __init__(self, settings: SqlServerSettings) -> None:
        self._settings = settings
        self._sessions = Sessions(settings.url, settings.environment)
        self._sqlcmd = Sqlcmd.of(settings.written)
        self._store = ""  # the state store whose claim this process has written

    def url(self) -> str:
        return self._settings.url()

    # reading ---------------------------------------------------------------------------------------------------

    def inspect(self) -> Sequence[Finding]:
        return tuple(self._doctor().findings())

    def grants(self) -> Sequence[str]:
        return tuple(self._doctor().grants())

    def _doctor(self) -> Doctor:
        return Doctor(self._sessions, self._settings.backup, self._settings.login is not None)

    def read(self) -> SchemaReading:
        with self._reading(Doing("reading the schema")) as db:
            if not has_ledger(db):
                return SchemaReading(0, catalogue.catalogue_hash(db))
            ledger = ledger_on(db)
            for _ in range(_TRIES):
                revision, applied, claims = ledger.revision(), ledger.applied(), ledger.claims()
                kept = ledger.kept() if has_kept(db) else ()
                if ledger.revision() == revision:
                    break
            return SchemaReading(revision, catalogue.catalogue_hash(db), applied, next(iter(claims), None), kept)

    def done(self, probe: Probe) -> bool:
        with self._reading(Doing("looking at the catalogue")) as db:
            return probes.done(db, probe)

    def tables(self, names: Sequence[str]) -> Catalogue:
        with self._reading(Doing("reading the tables")) as db:
            return catalogue_of(db, names)

    def count(self, check: Check) -> Count:
        """As of one moment, where the database allows snapshots; else row by row as each is committed."""
        with self._reading(Doing(f"counting {check.title}")) as db:
            found = in_snapshot(db, lambda: counted(db, check))
            return counted(db, check) if found is None else found

    def algorithm(self, table: str, alter: str, given: Mapping[str, str]) -> str:
        """Nothing has to be said here."""
        del table, alter, given
        return ""

    @contextmanager
    def _reading(self, doing: Doing) -> Iterator[Connection]:
        """The catalogue is locked, for readers too, by whoever is changing it."""
        with translated(self._sessions, doing):
            try:
                with self._sessions.session() as db:
                    yield db
            except Fault as fault:
                if not is_busy(fault):
                    raise
                raise LockNotObtained(
                    f"{doing.title}: somebody is changing the schema right now, and has locked what is to be read",
                    now="Unknown: the schema was not seen. Nothing was changed by this look.",
                    next=("let that change finish", "changeover status"),
                    where=doing.where,
                ) from None

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
        return Alone(acting, statement, marker).run() if statement.alone else acting.apply(statement, marker)

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
        with self._reading(_doing(statement)) as db:
            return Keyed(statement).gap(db) if statement.keys else Backfilling(statement).gap(db)

    def pressure(self, statement: BackfillStatement) -> str:
        with self._reading(_doing(statement)) as db:
            return pressure(db, statement.table, self._settings.limits)

    def last_key(self, statement: BackfillStatement) -> str | None:
        with self._reading(_doing(statement)) as db:
            return Keyed(statement).last(db) if statement.keys else Backfilling(statement).edge(db, "DESC")

    def fill(self, statement: BackfillStatement, after: str | None, upto: str, size: int, fence: Fence) -> Batch:
        kind = Keyed if statement.keys else Backfilling
        return kind(statement).fill(self._acting(fence), after, upto, size)

    # restore points ----------------------------------------------------------------------------------------------

    def backups(self) -> bool:
        return self._settings.backup is not None

    def _backup(self) -> SqlServerBackup:
        if self._settings.backup is None:
            raise RestorePointFailed("no backup is configured", next=("configure database.backup",))
        return SqlServerBackup(self._sessions, self._settings.backup)

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
            return (hand.backfill(self._sqlcmd, statement),)
        return (hand.apply(self._sqlcmd, statement, marker, self._settings.limits),)

    def by_hand_complete(self, marker: Applied) -> Sequence[str]:
        return (hand.complete(self._sqlcmd, replace(marker, index=COMPLETE)),)

    def by_hand_backup(self, id: str) -> Sequence[str]:
        backup = self._settings.backup
        if backup is None:
            return ("# no backup is configured",)
        if backup.command is not None:
            told = f"{COMMAND_ID}={quote(id)} {COMMAND_DIRECTORY}={quote(str(backup.directory.absolute()))}"
            return (f"{COMMAND_URL}={shell_value(self._settings.written)} {told} {join(backup.command)}",)
        return hand.backup(self._sqlcmd, backup.file(id, self._sessions.plain))

    def by_hand_copy(self, id: str, statements: Sequence[tuple[Statement, Applied]]) -> CopyByHand | None:
        """None: where the files of a restored copy belong is not for a printed command to guess."""
        del id, statements
        return None

    def by_hand_count(self, check: Check) -> Sequence[str]:
        return (hand.count(self._sqlcmd, check),)

    def by_hand_keep(self, changes: ChangeSet) -> Sequence[str]:
        return (hand.keep(self._sqlcmd, changes),)

    def by_hand_forget(self, version: Version) -> Sequence[str]:
        return (hand.forget(self._sqlcmd, version),)

    def by_hand_unkeep(self, version: Version) -> Sequence[str]:
        return (hand.unkeep(self._sqlcmd, version),)

    def by_hand_retire(self, version: Version) -> Sequence[str]:
        login = self._settings.login
        return () if login is None else hand.retire(self._sqlcmd, Logins(login).login(version))

    def by_hand_admit(self, version: Version) -> Sequence[str]:
        login = self._settings.login
        return () if login is None else hand.admit(self._sqlcmd, Logins(login).login(version))


def _doing(statement: BackfillStatement) -> Doing:
    return Doing(statement.title, (Where(statement.file, statement.line),))


@dataclass(frozen=True, slots=True)
class _Person:
    """The right of a person who orders `lock --adopt`: nothing to compare with."""

    token: int
    run: str = ""

    def check(self) -> None:
        """A person decided."""

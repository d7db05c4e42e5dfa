"""PostgreSQL as a Database: one statement, one transaction, with its marker; locks are asked for, never queued for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from shlex import join, quote

import psycopg

from changeover.core.catalogue import Catalogue
from changeover.core.errors import RestorePointFailed, Where
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
from changeover.drivers.databases import postgresql_by_hand as hand
from changeover.drivers.databases import postgresql_catalogue as catalogue
from changeover.drivers.databases.kept import Kept
from changeover.drivers.databases.ledger_sql import CREATE_ALL, Owner, forget_sql, keep_sql, unkeep_sql
from changeover.drivers.databases.limits import Limits, Wanted
from changeover.drivers.databases.postgresql_alone import Alone
from changeover.drivers.databases.postgresql_apply import Acting, Line, counted
from changeover.drivers.databases.postgresql_backfill import Backfilling
from changeover.drivers.databases.postgresql_backup import (
    COMMAND_DIRECTORY,
    COMMAND_ID,
    COMMAND_URL,
    BackupSettings,
    PostgresqlBackup,
)
from changeover.drivers.databases.postgresql_claim import Claiming
from changeover.drivers.databases.postgresql_errors import Doing, translated
from changeover.drivers.databases.postgresql_inspect import Doctor
from changeover.drivers.databases.postgresql_keys import Keyed
from changeover.drivers.databases.postgresql_logins import Logins
from changeover.drivers.databases.postgresql_pressure import pressure
from changeover.drivers.databases.postgresql_reader import PostgresqlReader
from changeover.drivers.databases.postgresql_scratch import ScratchDatabase
from changeover.drivers.databases.postgresql_session import READ, Connection, Sessions, has_kept, has_ledger, ledger_on
from changeover.drivers.databases.postgresql_tables import catalogue as catalogue_of

_TRIES = 3  # reading the catalogue meets an object that is dropped at that moment


@dataclass(frozen=True, slots=True)
class PostgresqlSettings:
    """One PostgreSQL database. `url` is asked at each use. `backup` None: no restore points.

    `login`: the pattern of one login per version, `shop_{version}`; None: versions share a login. `words` is how commands
    for people name the database, as shell words. `read`: the replicas that versions read.
    """

    url: Callable[[], str]
    environment: str
    backup: BackupSettings | None = None
    limits: Limits = field(default_factory=Limits)
    login: str | None = None
    words: str = '"$DATABASE_URL"'
    read: tuple[Callable[[], str], ...] = ()


class PostgresqlDatabase:
    """The Database port on PostgreSQL 13 or newer."""

    dialect = "postgresql"
    capabilities = Capabilities(compares=True)

    def __init__(self, settings: PostgresqlSettings) -> None:
        self._settings = settings
        self._sessions = Sessions(settings.url, settings.environment)
        self._store = ""  # the state store whose claim this process has written
        self._filling: Kept[Line] = Kept(self)

    def url(self) -> str:
        return self._settings.url()

    # reading ---------------------------------------------------------------------------------------------------

    def inspect(self) -> Sequence[Finding]:
        return tuple(self._doctor().findings())

    def grants(self) -> Sequence[str]:
        return tuple(self._doctor().grants())

    def _doctor(self) -> Doctor:
        return Doctor(
            self._sessions, self._settings.backup, self._settings.login is not None, self._settings.limits.replica_lag
        )

    def read(self) -> SchemaReading:
        with translated(self._sessions, Doing("reading the schema")):
            for _ in range(_TRIES - 1):
                try:
                    return self._read()
                except (psycopg.errors.InternalError_, psycopg.errors.UndefinedTable):
                    continue
            return self._read()

    def _read(self) -> SchemaReading:
        with self._sessions.session(timeout=READ) as db:
            db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if not has_ledger(db):
                return SchemaReading(0, catalogue.catalogue_hash(db))
            ledger = ledger_on(db)
            revision, applied, claims = ledger.revision(), ledger.applied(), ledger.claims()
            kept = ledger.kept() if has_kept(db) else ()
            return SchemaReading(revision, catalogue.catalogue_hash(db), applied, next(iter(claims), None), kept)

    def done(self, probe: Probe) -> bool:
        with translated(self._sessions, Doing("looking at the catalogue")), self._sessions.session() as db:
            return catalogue.done(db, probe)

    def tables(self, names: Sequence[str]) -> Catalogue:
        with translated(self._sessions, Doing("reading the tables")), self._sessions.session(timeout=READ) as db:
            return catalogue_of(db, names)

    def count(self, check: Check) -> Count:
        with translated(self._sessions, Doing(f"counting {check.title}")), self._sessions.connect() as db:
            db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            db.execute("SELECT set_config('statement_timeout', '0', true)")  # it may look at every row
            found = counted(db, check)
            db.execute("ROLLBACK")
            return found

    def algorithm(self, table: str, alter: str, given: Mapping[str, str]) -> str:
        """Nothing has to be said here."""
        del table, alter, given
        return ""

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
        with self._looking(statement) as db:
            db.execute("SELECT set_config('statement_timeout', '0', false)")  # it counts every row
            return Keyed(statement).gap(db) if statement.keys else Backfilling(statement).gap(db)

    def pressure(self, statement: BackfillStatement) -> str:
        with self._looking(statement) as db:
            found = pressure(db, statement.table, self._settings.limits)
        return found or next((p for p in (reader.pressure() for reader in self.readers()) if p), "")

    def readers(self) -> Sequence[PostgresqlReader]:
        """The replicas that versions read."""
        settings = self._settings
        return [PostgresqlReader(url, settings.environment, settings.limits.replica_lag) for url in settings.read]

    def last_key(self, statement: BackfillStatement) -> str | None:
        with self._looking(statement) as db:
            return Keyed(statement).last(db) if statement.keys else Backfilling(statement).edge(db, "DESC")

    @contextmanager
    def _looking(self, statement: BackfillStatement) -> Iterator[Connection]:
        doing = Doing(statement.title, (Where(statement.file, statement.line),))
        with translated(self._sessions, doing), self._sessions.connect() as db:
            yield db

    def fill(self, statement: BackfillStatement, after: str | None, upto: str, size: int, fence: Fence) -> Batch:
        kind, acting = Keyed if statement.keys else Backfilling, self._acting(fence)
        with self._filling.line(
            acting.owner, lambda: Line(self._sessions, fence.token, Doing(statement.title))
        ) as line:
            batch = kind(statement).fill(replace(acting, line=line), after, upto, size)
        if batch.hi is None:
            self._filling.close()
        return batch

    # restore points ----------------------------------------------------------------------------------------------

    def backups(self) -> bool:
        return self._settings.backup is not None

    def _backup(self) -> PostgresqlBackup:
        if self._settings.backup is None:
            raise RestorePointFailed("no backup is configured", next=("configure database.backup",))
        return PostgresqlBackup(self._sessions, self._settings.backup)

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
        words = self._settings.words
        if isinstance(statement, BackfillStatement):
            return (*hand.there(words), hand.backfill(words, statement))
        return (*hand.there(words), hand.apply(words, statement, marker, self._settings.limits))

    def by_hand_complete(self, marker: Applied) -> Sequence[str]:
        words = self._settings.words
        return (*hand.there(words), hand.complete(words, replace(marker, index=COMPLETE)))

    def by_hand_backup(self, id: str) -> Sequence[str]:
        backup = self._settings.backup
        if backup is None:
            return ("# no backup is configured",)
        if backup.command is not None:
            there = hand.there(self._settings.words)
            told = f"{COMMAND_ID}={quote(id)} {COMMAND_DIRECTORY}={quote(str(backup.directory.absolute()))}"
            return (*there, f"{COMMAND_URL}={self._settings.words} {told} {join(backup.command)}")
        directory = quote(str(backup.directory))
        return (
            f"mkdir -p -m 700 {directory}",
            *hand.backup(self._settings.words, str(backup.directory / f"{id}.dump")),
        )

    def by_hand_copy(self, id: str, statements: Sequence[tuple[Statement, Applied]]) -> CopyByHand | None:
        """None: where a scratch database may be made is not for a printed command to guess."""
        del id, statements
        return None

    def by_hand_count(self, check: Check) -> Sequence[str]:
        return (*hand.there(self._settings.words), hand.count(self._settings.words, check))

    def by_hand_keep(self, changes: ChangeSet) -> Sequence[str]:
        return (*hand.there(self._settings.words), hand.shell(self._settings.words, *CREATE_ALL, keep_sql(changes)))

    def by_hand_forget(self, version: Version) -> Sequence[str]:
        return (*hand.there(self._settings.words), hand.shell(self._settings.words, *forget_sql(version)))

    def by_hand_unkeep(self, version: Version) -> Sequence[str]:
        return (
            *hand.there(self._settings.words),
            hand.shell(self._settings.words, "BEGIN;", *unkeep_sql(version), "COMMIT;"),
        )

    def by_hand_retire(self, version: Version) -> Sequence[str]:
        login = self._settings.login
        return () if login is None else hand.retire(self._settings.words, Logins(login).role(version))

    def by_hand_admit(self, version: Version) -> Sequence[str]:
        login = self._settings.login
        return () if login is None else hand.admit(self._settings.words, Logins(login).role(version))


@dataclass(frozen=True, slots=True)
class _Person:
    """The right of a person who orders `lock --adopt`: nothing to compare with."""

    token: int
    run: str = ""

    def check(self) -> None:
        """A person decided."""

"""SQLite as a Database: one file, DDL inside transactions, `BEGIN IMMEDIATE` in place of row locks."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar

from changeover.core.catalogue import Catalogue
from changeover.core.errors import ChangeoverError, RestorePointFailed, StatementFailed, Where
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
from changeover.drivers.databases import sqlite_by_hand as hand
from changeover.drivers.databases import sqlite_catalogue as catalogue
from changeover.drivers.databases.backfill_sql import count_of
from changeover.drivers.databases.ledger_sql import CREATE_ALL, Ledger, Owner, age, forget_sql, keep_sql, unkeep_sql
from changeover.drivers.databases.limits import Busy, Limits, Wanted, until_locked
from changeover.drivers.databases.restore_files import RestoreFiles
from changeover.drivers.databases.sqlite_apply import run
from changeover.drivers.databases.sqlite_backup import SqliteBackup, SqliteScratch
from changeover.drivers.databases.sqlite_keys import Keyed, counted
from changeover.drivers.databases.sqlite_session import (
    has_kept,
    has_ledger,
    holder_of,
    is_busy,
    ledger_on,
    opened,
    path_of,
    translated,
)
from changeover.drivers.databases.sqlite_tables import catalogue as catalogue_of
from changeover.schema.engines.engine import Cannot
from changeover.schema.engines.sqlite_foresight import as_it_is, objects, texts

T = TypeVar("T")

ATTEMPT = (
    1.0  # seconds that one attempt waits; nobody queues behind a waiter in SQLite, so it may be longer than `lock`
)
_LEAST = -(2**63)  # the least integer of SQLite
READ = 5.0  # seconds that a read waits


@dataclass(frozen=True, slots=True)
class SqliteSettings:
    """One SQLite file. `url` is asked at each use. `backups` None: no restore points.

    `words` is how commands for people name the file, as shell words: `data/shop.db`, `"$SHOP_DATABASE"`.
    """

    url: Callable[[], str]
    environment: str
    backups: Path | None = None
    limits: Limits = field(default_factory=Limits)
    words: str = '"$DATABASE_FILE"'


class SqliteDatabase:
    """The Database port on a SQLite file that the application shares."""

    dialect = "sqlite"
    capabilities = Capabilities(compares=True)

    def __init__(self, settings: SqliteSettings) -> None:
        self._settings = settings
        self._store = ""  # the state store whose claim this process has written

    @property
    def _path(self) -> Path:
        return path_of(self._settings.url())

    def url(self) -> str:
        return self._settings.url()

    # reading ---------------------------------------------------------------------------------------------------

    def read(self) -> SchemaReading:
        path = self._path
        with translated(path, "reading the schema"), opened(path, READ) as db:
            db.execute("BEGIN")
            hashed = catalogue.catalogue_hash(db)
            if not has_ledger(db):
                return SchemaReading(0, hashed)
            ledger = ledger_on(db)
            kept = ledger.kept() if has_kept(db) else ()
            return SchemaReading(ledger.revision(), hashed, ledger.applied(), next(iter(ledger.claims()), None), kept)

    def tables(self, names: Sequence[str]) -> Catalogue:
        path = self._path
        with translated(path, "reading the tables"), opened(path, READ) as db:
            return catalogue_of(db, names)

    def count(self, check: Check) -> Count:
        path = self._path
        with translated(path, f"counting {check.title}"), opened(path, READ) as db:
            db.execute("BEGIN")
            return counted(db, check)

    def algorithm(self, table: str, alter: str, given: Mapping[str, str]) -> str:
        """Nothing has to be said here."""
        del table, alter, given
        return ""

    def done(self, probe: Probe) -> bool:
        path = self._path
        with translated(path, "looking at the catalogue"), opened(path, READ) as db:
            return catalogue.done(db, probe)

    def inspect(self) -> Sequence[Finding]:
        return tuple(self._findings())

    def _findings(self) -> Iterator[Finding]:
        try:
            path = self._path
            reading = self.read()
            with translated(path, "looking at the file"), opened(path, READ) as db:
                mode = str(db.execute("PRAGMA journal_mode").fetchone()[0])
        except ChangeoverError as error:
            yield Finding("database", ok=False, detail=error.what, fix="; ".join(error.next))
            return
        yield Finding("database", ok=True, detail=f"{path} answers, schema {reading.revision}")
        writable = os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK)
        yield Finding(
            "database is writable",
            ok=writable,
            detail=f"{path} and its directory can be written"
            if writable
            else f"{path} or its directory cannot be written",
            fix="" if writable else f"give this user write access to {path} and its directory",
        )
        yield Finding(
            "journal mode",
            ok=mode == "wal",
            detail=f"journal_mode is {mode}"
            + ("" if mode == "wal" else ": writers wait while a restore point is taken"),
            fix="" if mode == "wal" else f"sqlite3 {self._settings.words} 'PRAGMA journal_mode=WAL'",
            fatal=False,
        )
        if reading.claim is not None:
            claim = reading.claim
            ours = claim.environment == self._settings.environment
            held = f"{claim.environment}, by {claim.holder}, since {age(time.time() - claim.at)}"
            yield Finding("claim", ok=ours, detail=f"claimed for {held}", fix="" if ours else "changeover lock --adopt")
        yield from self._room(path)

    def _room(self, path: Path) -> Iterator[Finding]:
        if self._settings.backups is None:
            return
        directory = next(p for p in (self._settings.backups, *self._settings.backups.absolute().parents) if p.exists())
        need, free = 2 * path.stat().st_size, shutil.disk_usage(directory).free
        ok = free > need and os.access(directory, os.W_OK)
        yield Finding(
            "room for a restore point",
            ok=ok,
            detail=f"{free // 2**20} MiB free in {directory}, {need // 2**20} MiB needed",
            fix="" if ok else f"make room in {directory}, or let this user write there",
        )

    def grants(self) -> Sequence[str]:
        return ()

    # acting ------------------------------------------------------------------------------------------------------

    def _write(
        self, wanted: Wanted, fence: Fence, act: Callable[[sqlite3.Connection, Ledger], T], *, claimed: bool = True
    ) -> tuple[T, Lockwait]:
        """`act` in one transaction, after the claim was compared; the fence is checked right before the commit."""
        path, limits = self._path, self._settings.limits
        owner = Owner(self._settings.environment, self._store, fence.token)

        def attempt() -> T:
            began = time.monotonic()
            try:
                with opened(path, min(ATTEMPT, limits.lock_deadline)) as db:
                    db.execute("PRAGMA foreign_keys = OFF")  # inside a transaction it could not be said any more
                    db.execute("BEGIN IMMEDIATE")
                    ledger = ledger_on(db)
                    if claimed:
                        owner.must_hold(ledger.claims() if has_ledger(db) else (), time.time())
                    result = act(db, ledger)
                    fence.check()
                    db.execute("COMMIT")
                    return result
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise
                raise Busy(time.monotonic() - began, holder_of(path) or "another writer of the file") from error

        with translated(path, wanted.title, wanted.where):
            return until_locked(attempt, wanted, limits, fence)

    def claim(self, claim: Claim, fence: Fence) -> None:
        owner = Owner(claim.environment, claim.store, claim.fence)

        def take(_: sqlite3.Connection, ledger: Ledger) -> None:
            ledger.create()
            owner.judge(ledger.claims(), claim.at)
            ledger.put_claim(claim)

        self._write(Wanted("claiming the database"), fence, take, claimed=False)
        self._store = claim.store

    def adopt(self, claim: Claim) -> None:
        def replace_(_: sqlite3.Connection, ledger: Ledger) -> None:
            ledger.create()
            ledger.put_claim(claim)

        self._write(Wanted("adopting the database"), _Person(claim.fence), replace_, claimed=False)
        self._store = claim.store

    def apply(self, statement: Statement, marker: Applied, fence: Fence) -> Lockwait:
        def act(db: sqlite3.Connection, ledger: Ledger) -> bool:
            if ledger.is_marked(marker):
                return False
            ledger.mark(marker)
            if statement.probe is not None and catalogue.done(db, statement.probe):
                return False
            run(db, statement)
            return True

        wanted = Wanted(statement.title, (Where(statement.file, statement.line),))
        ran, waited = self._write(wanted, fence, act)
        return waited if ran else Lockwait(0)

    def complete(self, marker: Applied, fence: Fence) -> int:
        whole = replace(marker, index=COMPLETE)
        wanted = Wanted(f"completing {marker.version}.{marker.phase}")
        return self._write(wanted, fence, lambda _, ledger: ledger.complete(whole))[0]

    def keep(self, changes: ChangeSet, fence: Fence) -> None:
        wanted = Wanted(f"keeping what v{changes.version} is compiled to")
        self._write(wanted, fence, lambda _, ledger: ledger.keep(changes))

    def forget(self, version: Version, fence: Fence) -> None:
        self._write(Wanted(f"undoing v{version}"), fence, lambda _, ledger: ledger.forget(version, FORWARD))

    def unkeep(self, version: Version, fence: Fence) -> None:
        self._write(Wanted(f"undoing v{version}"), fence, lambda _, ledger: ledger.unkeep(version))

    # backfill ------------------------------------------------------------------------------------------------------

    def pressure(self, statement: BackfillStatement) -> str:
        """Nothing can be seen of others here; the rest between two batches lets them in."""
        del statement
        return ""

    def last_key(self, statement: BackfillStatement) -> str | None:
        path = self._path
        with translated(path, statement.title), opened(path, READ) as db:
            if statement.keys:
                return Keyed(statement).last(db)
            key = _edge(db, statement, "DESC")
            return None if key is None else str(key)

    def gap(self, statement: BackfillStatement) -> Gap:
        path = self._path
        with translated(path, statement.title), opened(path, READ) as db:
            db.execute("BEGIN")
            if statement.keys:
                return Keyed(statement).gap(db)
            first, last = _edge(db, statement, "ASC"), _edge(db, statement, "DESC")
            if first is None:
                return Gap(0, 0)
            values = {"lo": _below(first, statement), "hi": last}
            remaining = db.execute(count_of(statement.sql, "sqlite"), values).fetchone()[0]
            return Gap(remaining, db.execute(f"SELECT count(*) FROM {statement.table}").fetchone()[0])

    def fill(self, statement: BackfillStatement, after: str | None, upto: str, size: int, fence: Fence) -> Batch:
        def act(db: sqlite3.Connection, _: Ledger) -> Batch:
            if statement.keys:
                return Keyed(statement).fill(db, after, upto, size)
            began = time.monotonic()
            sample = _edge(db, statement, "ASC")
            if sample is None:
                return Batch(None, 0, 0.0)
            low = _below(sample, statement) if after is None else _typed(after, sample)
            high, last = _slice(db, statement, low, _typed(upto, sample), size)
            if high is None:
                return Batch(None, 0, time.monotonic() - began)
            rows = db.execute(statement.sql, {"lo": low, "hi": high}).rowcount
            return Batch(None if last else str(high), rows, time.monotonic() - began)

        wanted = Wanted(statement.title, (Where(statement.file, statement.line),))
        return self._write(wanted, fence, act)[0]

    # restore points ----------------------------------------------------------------------------------------------

    def backups(self) -> bool:
        return self._settings.backups is not None

    def _backup(self) -> SqliteBackup:
        if self._settings.backups is None:
            raise RestorePointFailed("no backup is configured", next=("configure database.backup",))
        return SqliteBackup(self._path, RestoreFiles(self._settings.backups, "db"), READ)

    def backup(self, id: str, fence: Fence) -> RestorePoint:
        return self._backup().take(id, fence)

    def rehearse(self, statements: Sequence[Statement]) -> SqliteScratch:
        return self._backup().rehearse(statements)

    # versions ------------------------------------------------------------------------------------------------------

    def retire(self, version: Version, fence: Fence) -> int | None:
        """None: a file has no logins, so only the end of the processes retires a version."""
        self._write(Wanted(f"retiring v{version}"), fence, lambda _db, _ledger: None)
        return None

    def admit(self, version: Version, fence: Fence) -> None:
        self._write(Wanted(f"admitting v{version}"), fence, lambda _db, _ledger: None)

    # by hand -------------------------------------------------------------------------------------------------------

    def by_hand(self, statement: Statement | BackfillStatement, marker: Applied) -> Sequence[str]:
        words = self._settings.words
        if isinstance(statement, BackfillStatement):
            return (hand.there(words), hand.backfill(words, statement))
        return (hand.there(words), hand.apply(words, self._as_it_is(statement), marker))

    def _as_it_is(self, statement: Statement) -> Statement:
        """What takes away is printed long after it was planned: then a table that has changed since is written from its new text."""
        if statement.rewrite is None or statement.phase in FORWARD:
            return statement
        path = self._path
        with translated(path, "reading the tables"), opened(path, READ) as db:
            found = objects(db)
        try:
            return as_it_is(statement, texts(found))
        except Cannot:
            return statement

    def by_hand_complete(self, marker: Applied) -> Sequence[str]:
        words = self._settings.words
        return (hand.there(words), hand.complete(words, replace(marker, index=COMPLETE)))

    def by_hand_backup(self, id: str) -> Sequence[str]:
        if self._settings.backups is None:
            return ("# no backup is configured",)
        words, target = self._settings.words, self._settings.backups / f"{id}.db"
        directory = f"mkdir -p -m 700 {quote(str(target.parent))}"
        return (hand.there(words), directory, *hand.backup(words, str(target)))

    def by_hand_copy(self, id: str, statements: Sequence[tuple[Statement, Applied]]) -> CopyByHand | None:
        if self._settings.backups is None:
            return None
        backup, scratch = (str(self._settings.backups / f"{name}.db") for name in (id, "rehearsal-by-hand"))
        made = hand.copy(backup, scratch, statements)
        return CopyByHand(made, f"sqlite:///{scratch}", hand.drop(scratch))

    def by_hand_count(self, check: Check) -> Sequence[str]:
        words = self._settings.words
        return (hand.there(words), hand.count(words, check))

    def by_hand_keep(self, changes: ChangeSet) -> Sequence[str]:
        words = self._settings.words
        return (hand.there(words), hand.transaction(words, *CREATE_ALL, keep_sql(changes)))

    def by_hand_forget(self, version: Version) -> Sequence[str]:
        words = self._settings.words
        return (hand.there(words), hand.transaction(words, *forget_sql(version)))

    def by_hand_unkeep(self, version: Version) -> Sequence[str]:
        words = self._settings.words
        return (hand.there(words), hand.transaction(words, *unkeep_sql(version)))

    def by_hand_retire(self, version: Version) -> Sequence[str]:
        del version
        return ()

    def by_hand_admit(self, version: Version) -> Sequence[str]:
        del version
        return ()


@dataclass(frozen=True, slots=True)
class _Person:
    """The right of a person who orders `lock --adopt`: nothing to compare with."""

    token: int
    run: str = ""

    def check(self) -> None:
        """A person decided."""


def _edge(db: sqlite3.Connection, statement: BackfillStatement, order: str) -> Any:
    """The first or last key, None for an empty table."""
    row = db.execute(
        f"SELECT {statement.key} FROM {statement.table} ORDER BY {statement.key} {order} LIMIT 1"
    ).fetchone()
    return None if row is None else row[0]


def _typed(text: str, sample: Any) -> Any:
    """A key that travelled as text, as its own type again: they compare differently."""
    return int(text) if isinstance(sample, int) else text


def _below(first: Any, statement: BackfillStatement) -> Any:
    """A value below the first key."""
    if isinstance(first, int) and first > _LEAST:
        return first - 1
    if isinstance(first, str) and first:
        return ""
    raise StatementFailed(
        f"{statement.title}: {statement.table}.{statement.key} has the key {first!r}; a backfill counts rows off by whole numbers "
        "or by texts that are not empty",
        next=("name another key:  -- changeover: key=COLUMN", "or fill these rows by hand"),
        where=(Where(statement.file, statement.line),),
    )


def _slice(db: sqlite3.Connection, statement: BackfillStatement, low: Any, upto: Any, size: int) -> tuple[Any, bool]:
    """(the last key of the next `size` keys, whether the range ends with it); None: there are none."""
    key = statement.key
    row = db.execute(
        f"SELECT max({key}), count(*) FROM (SELECT {key} FROM {statement.table} "
        f"WHERE {key} > :low AND {key} <= :upto ORDER BY {key} LIMIT :size)",
        {"low": low, "upto": upto, "size": size},
    ).fetchone()
    return row[0], row[1] < size or row[0] == upto

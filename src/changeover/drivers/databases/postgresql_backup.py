"""A restore point of a PostgreSQL database: dumped from one snapshot, restored into scratch, compared inside that snapshot."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from changeover.core.errors import StatementFailed, Where
from changeover.core.model import RestorePoint, Statement
from changeover.core.ports import Fence
from changeover.drivers.databases import postgresql_catalogue as catalogue
from changeover.drivers.databases.compare import Sum, differences, in_short
from changeover.drivers.databases.ledger_sql import digest_of
from changeover.drivers.databases.postgresql_scratch import ScratchDatabase, ScratchMaker
from changeover.drivers.databases.postgresql_session import Connection, Sessions, has_ledger, ledger_on
from changeover.drivers.databases.postgresql_tools import Look, Target, Tools, run
from changeover.drivers.databases.restore_files import RestoreFiles, failed, sha256

COMMAND_URL = "CHANGEOVER_DATABASE_URL"  # how a command of the user's own gets the address
COMMAND_ID = "CHANGEOVER_BACKUP_ID"
COMMAND_DIRECTORY = "CHANGEOVER_BACKUP_DIRECTORY"


@dataclass(frozen=True, slots=True)
class BackupSettings:
    """Where restore points are kept. `command`: the user's own, None: pg_dump. `restore_into`: see `ScratchMaker`."""

    directory: Path
    command: tuple[str, ...] | None = None
    restore_into: Callable[[], str] | None = None
    tools: Tools | None = None  # None: what is installed


@dataclass(frozen=True, slots=True)
class PostgresqlBackup:
    """Backups of one database."""

    sessions: Sessions
    settings: BackupSettings

    @property
    def files(self) -> RestoreFiles:
        return RestoreFiles(self.settings.directory, "dump")

    @property
    def _scratches(self) -> ScratchMaker:
        return ScratchMaker(self.sessions, self.settings.restore_into)

    def take(self, id: str, fence: Fence) -> RestorePoint:
        """Take, restore, compare. Raises RestorePointFailed; done twice, the second returns what the first took."""
        known = self.files.known(id)
        if known is not None:
            return known
        fence.check()
        with self._failing(id):
            if self.settings.command is not None:
                return self._by_command(id, fence, self.settings.command)
            with self.files.writing(id) as part, self._snapshot(fence.token) as snapshot:
                return self._compared(id, part, snapshot, fence)

    @contextmanager
    def _failing(self, id: str) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            said = error.diag.message_primary or str(error).splitlines()[0]
            raise failed(f"{id}: {self.sessions.redact(said)}", disk=error.sqlstate == "53100") from None

    def _by_command(self, id: str, fence: Fence, command: tuple[str, ...]) -> RestorePoint:
        """The user's own command: what it made is not ours to read, so it is taken, no more."""
        with self.sessions.session() as db:
            revision = _revision(db)
        at = time.time()
        self.settings.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        told = {
            COMMAND_URL: self.sessions.url(),
            COMMAND_ID: id,
            COMMAND_DIRECTORY: str(self.settings.directory.absolute()),
        }
        said = run(command, told, fence.check, self.sessions.redact).strip().splitlines()
        return RestorePoint(id, at, fence.run, said[-1] if said else " ".join(command), "taken", revision)

    @contextmanager
    def _snapshot(self, fence: int | None) -> Iterator[_Snapshot]:
        with self.sessions.connect(fence) as live:
            live.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            revision = _revision(live)
            live.execute(catalogue.ALIKE)
            row = live.execute("SELECT pg_export_snapshot()").fetchone()
            assert row is not None, "a function returns a row"
            yield _Snapshot(live, str(row[0]), revision, time.time())

    def _compared(self, id: str, part: Path, snapshot: _Snapshot, fence: Fence) -> RestorePoint:
        live = snapshot.session
        self._dump(part, snapshot, fence.check, fence.token)
        scratch = self._scratches.make()
        try:
            self._restore(part, scratch, live.info.server_version // 10_000, fence.check)
            sums = _same(live, scratch, self.sessions.environment, fence.check)
        finally:
            scratch.close()
        fence.check()
        rows = sum(s.rows for s in sums.values())
        path = str(self.files.path(id))
        size = part.stat().st_size
        point = RestorePoint(id, snapshot.at, fence.run, path, "compared", snapshot.revision, len(sums), rows, size)
        self.files.keep(part, point, sha256(part))
        return point

    def _dump(self, part: Path, snapshot: _Snapshot, look: Look, fence: int | None) -> None:
        program = self._tools().find("pg_dump", snapshot.session.info.server_version // 10_000)
        target = Target.of(self.sessions.words(), self.sessions.name(fence))
        argv: list[str | Path] = [
            program,
            "--no-password",
            "--format=custom",
            f"--snapshot={snapshot.name}",
            f"--file={part}",
        ]
        run([*argv, f"--dbname={target.dbname}"], target.environment, look, self.sessions.redact)

    def _restore(self, dump: Path, scratch: ScratchDatabase, server: int, look: Look) -> None:
        """Rows and definitions; owners, grants, publications and the like need roles and servers that scratch has not."""
        program = self._tools().find("pg_restore", server)
        there = Sessions(scratch.url, self.sessions.environment)
        target = Target.of(there.words(), there.name(None))
        without = ("owner", "acl", "comments", "publications", "subscriptions", "security-labels", "tablespaces")
        argv: list[str | Path] = [
            program,
            "--no-password",
            "--exit-on-error",
            *(f"--no-{w}" for w in without),
            f"--dbname={target.dbname}",
        ]
        run([*argv, dump], target.environment, look, there.redact)

    def _tools(self) -> Tools:
        return self.settings.tools or Tools.installed()

    # rehearsal ---------------------------------------------------------------------------------------------------

    def rehearse(self, statements: Sequence[Statement]) -> ScratchDatabase:
        """The newest restore point in a scratch database, with the statements applied.

        Where the user's own command takes the backups, there is no dump to restore: a fresh one is made for this.
        """
        with self._failing("rehearsal"):
            with self._newest() as (dump, server):
                scratch = self._scratches.make()
                try:
                    self._restore(dump, scratch, server, _nothing)
                    _apply(Sessions(scratch.url, self.sessions.environment), statements)
                except BaseException:
                    scratch.close()
                    raise
            return scratch

    @contextmanager
    def _newest(self) -> Iterator[tuple[Path, int]]:
        point = self.files.newest() if self.settings.command is None else None
        with self.sessions.session() as db:
            server = db.info.server_version // 10_000
        if point is not None:
            yield self.files.verified(point), server
            return
        if self.settings.command is None:
            raise failed("there is no restore point to rehearse on")
        with self.files.writing("rehearsal") as part:
            with self._snapshot(None) as snapshot:
                self._dump(part, snapshot, _nothing, None)
            yield part, server


def _nothing() -> None:
    """A rehearsal changes nothing that a fence guards."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A session whose transaction holds one snapshot open; its exported `name`, and the schema `revision` in it."""

    session: Connection
    name: str
    revision: int
    at: float


def _revision(db: Connection) -> int:
    return ledger_on(db).revision() if has_ledger(db) else 0


def _same(live: Connection, scratch: ScratchDatabase, environment: str, look: Look) -> dict[str, Sum]:
    """The sums of the live tables, in the snapshot. Raises RestorePointFailed when the restored ones differ."""
    with Sessions(scratch.url, environment).connect() as copy:
        copy.execute(catalogue.ALIKE)
        here: dict[str, Sum] = {}
        there: dict[str, Sum] = {}
        for db, found in ((live, here), (copy, there)):
            for table in catalogue.tables(db):
                look()
                found[table] = catalogue.table_sum(db, table)
    different = differences(here, there)
    if different:
        raise failed(f"the restored copy is not what was backed up: {in_short(different)}")
    return here


def _apply(there: Sessions, statements: Sequence[Statement]) -> None:
    """What a half-applied phase has done already is left out."""
    with there.connect() as db:
        ledger = ledger_on(db) if has_ledger(db) else None
        for statement in statements:
            if statement.probe is not None and catalogue.done(db, statement.probe):
                continue
            if ledger is not None and digest_of(statement) in ledger.half_applied(statement.phase):
                continue
            try:
                db.execute(statement.sql)
            except psycopg.Error as error:
                raise StatementFailed(
                    f"{statement.title}: {error.diag.message_primary or 'the connection was lost'} (SQLSTATE {error.sqlstate})",
                    now="It was tried on a copy; the database is as it was.",
                    next=("mend the statement",),
                    where=(Where(statement.file, statement.line),),
                ) from None

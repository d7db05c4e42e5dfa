"""A restore point of a SQL Server database: backed up by the server, restored into scratch, compared.

A backup shows the database as it was when the backup ended, which no snapshot of ours can be made to hit. So the live tables are
summed before it and after it, each time inside one SNAPSHOT transaction: a table that is the same both times was not changed in
between, and the restored one must be the same. Only if that is so for every table, the restore point is called compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from changeover.core.errors import StatementFailed, Where
from changeover.core.model import RestorePoint, Statement
from changeover.core.ports import Fence
from changeover.drivers.databases import sqlserver_probes as probes
from changeover.drivers.databases.compare import Sum, differences, in_short
from changeover.drivers.databases.ledger_sql import CLAIM, digest_of
from changeover.drivers.databases.postgresql_tools import run
from changeover.drivers.databases.restore_files import failed
from changeover.drivers.databases.sqlserver_errors import FULL, masked
from changeover.drivers.databases.sqlserver_faults import Fault, Refused
from changeover.drivers.databases.sqlserver_ledger import has_ledger, ledger_on
from changeover.drivers.databases.sqlserver_line import Look
from changeover.drivers.databases.sqlserver_points import Card, Points
from changeover.drivers.databases.sqlserver_scratch import ScratchDatabase, ScratchMaker
from changeover.drivers.databases.sqlserver_session import BEGIN, COMMIT, Connection, Sessions
from changeover.drivers.databases.sqlserver_sums import sums
from changeover.drivers.databases.sqlserver_text import literal, quoted

COMMAND_URL = "CHANGEOVER_DATABASE_URL"  # how a command of the user's own gets the address
COMMAND_ID = "CHANGEOVER_BACKUP_ID"
COMMAND_DIRECTORY = "CHANGEOVER_BACKUP_DIRECTORY"

_AZURE = 5  # EngineEdition of Azure SQL Database
_LONG = 3_600.0  # seconds: reading a whole backup
T = TypeVar("T")
_CLAIM = f"[dbo].[{CLAIM}]"  # written by whoever renews the claim meanwhile: not compared

ENGINE = "SELECT CONVERT(int, SERVERPROPERTY('EngineEdition'));"
SNAPSHOTS = "SELECT snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID();"
_ON = 1
IN_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL SNAPSHOT;"


@dataclass(frozen=True, slots=True)
class BackupSettings:
    """`directory`: here, for what is known of restore points. `server_directory`: on the database's machine, for the backups
    themselves; "" is the server's default. `command`: the user's own, None: BACKUP DATABASE.
    """

    directory: Path
    command: tuple[str, ...] | None = None
    server_directory: str = ""

    def file(self, id: str, environment: str) -> str:
        """The name of the backup as the server takes it; relative names are in its default directory."""
        name = f"changeover-{environment}-{id}.bak"
        if not self.server_directory:
            return name
        slash = "\\" if "\\" in self.server_directory else "/"
        return f"{self.server_directory.rstrip(slash)}{slash}{name}"


@dataclass(frozen=True, slots=True)
class SqlServerBackup:
    """Backups of one database."""

    sessions: Sessions
    settings: BackupSettings

    @property
    def _points(self) -> Points:
        return Points(self.settings.directory)

    @property
    def _scratches(self) -> ScratchMaker:
        return ScratchMaker(self.sessions)

    def take(self, id: str, fence: Fence) -> RestorePoint:
        """Take, restore, compare. Raises RestorePointFailed; done twice, the second returns what the first took."""
        known = self._points.known(id)
        if known is not None:
            return known.point
        fence.check()
        with self._failing(id):
            if self.settings.command is not None:
                return self._by_command(id, fence, self.settings.command)
            with self.sessions.connect(fence.token) as db:
                return self._proved(id, db, fence)

    @contextmanager
    def _failing(self, id: str) -> Iterator[None]:
        try:
            yield
        except Refused as refused:
            said = "; ".join(dict.fromkeys(masked(m) for m in refused.said))
            raise failed(f"{id}: {self.sessions.redact(said)}", disk=bool(refused.numbers & FULL)) from None
        except Fault as fault:
            raise failed(f"{id}: {self.sessions.redact(str(fault))}") from None

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

    def _proved(self, id: str, db: Connection, fence: Fence) -> RestorePoint:
        self._points.card(id)  # a name that is none is refused before anything is written
        file = self.settings.file(id, self.sessions.plain)
        before = _snapshot_sums(db, fence.check)
        at = time.time()
        backup_set, size = self._back_up(db, file, fence.check)
        after = _snapshot_sums(db, fence.check)
        scratch = self._scratches.restore(file, fence.check)
        try:
            with Sessions(scratch.url, self.sessions.environment).connect() as copy:
                restored, revision = sums(copy, fence.check), _revision(copy)
        finally:
            scratch.close()
        fence.check()
        rows = sum(s.rows for s in restored.values())
        proof = judge(before, after, restored)
        point = RestorePoint(id, at, fence.run, file, proof, revision, len(restored), rows, size)
        self._points.keep(Card(point, backup_set))
        return point

    def _back_up(self, db: Connection, file: str, look: Look) -> tuple[str, int]:
        """The id of the backup set, and its size in bytes."""
        if db.number(ENGINE) == _AZURE:
            raise failed("Azure SQL Database takes no BACKUP; give a backup command of your own, or backup: none")
        db.execute(backup_sql(quoted(self.sessions.address().database), file), timeout=0.0, look=look)
        return _header(db, file)

    # rehearsal ---------------------------------------------------------------------------------------------------

    def rehearse(self, statements: Sequence[Statement]) -> ScratchDatabase:
        """The newest restore point in a scratch database, with the statements applied.

        Where the user's own command takes the backups, there is none to restore: a fresh one is made for this.
        """
        with self._failing("rehearsal"):
            scratch = self._scratches.restore(self._newest(), _nothing)
            try:
                _apply(Sessions(scratch.url, self.sessions.environment), statements)
            except BaseException:
                scratch.close()
                raise
            return scratch

    def _newest(self) -> str:
        with self.sessions.session() as db:
            if self.settings.command is not None:
                file = self.settings.file("rehearsal", self.sessions.plain)
                self._back_up(db, file, _nothing)
                return file
            card = self._points.newest()
            if card is None:
                raise failed("there is no restore point to rehearse on")
            point = card.point
            try:
                backup_set, _ = _header(db, point.location)
                db.execute(verify_sql(point.location), timeout=_LONG)
            except Refused as refused:
                said = masked(refused.said[0])
                raise failed(
                    f"the restore point {point.id} was changed after it was taken, or is gone: {point.location}: {said}"
                ) from None
            if backup_set != card.backup_set:
                raise failed(f"the restore point {point.id} was changed after it was taken: {point.location}")
            return point.location


def judge(before: Mapping[str, Sum] | None, after: Mapping[str, Sum] | None, restored: Mapping[str, Sum]) -> str:
    """`compared` or `restored`. Raises RestorePointFailed when a table that nobody has changed came back different."""
    if before is None or after is None:
        return "restored"
    every = (before.keys() | after.keys() | restored.keys()) - {_CLAIM}
    still = {table for table in every if before.get(table) == after.get(table)}
    different = differences(
        {t: s for t, s in after.items() if t in still}, {t: s for t, s in restored.items() if t in still}
    )
    if different:
        raise failed(f"the restored copy is not what was backed up: {in_short(different)}")
    return "compared" if still == every else "restored"


def _snapshot_sums(db: Connection, look: Look) -> dict[str, Sum] | None:
    """The sums of the live tables, all as of one moment; None where the database does not allow snapshots."""
    return in_snapshot(db, lambda: sums(db, look))


def in_snapshot(db: Connection, act: Callable[[], T]) -> T | None:
    """What is read by `act`, all as of one moment; None, and nothing was read, where the database does not allow snapshots."""
    if db.number(SNAPSHOTS) != _ON:
        return None
    db.execute(IN_SNAPSHOT)
    db.execute(BEGIN)
    try:
        found = act()
        db.execute(COMMIT)
    finally:
        db.settle()
        if not db.lost:
            db.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED;")
    return found


def _header(db: Connection, file: str) -> tuple[str, int]:
    rows = db.records(f"RESTORE HEADERONLY FROM DISK = {literal(file)};", timeout=60.0)
    if not rows:
        raise failed(f"there is no backup in {file}")
    return str(rows[-1]["BackupSetGUID"]), int(rows[-1]["BackupSize"])


def backup_sql(database: str, file: str) -> str:
    """`database`: its quoted name, or a variable. COPY_ONLY: backups that are somebody's routine go on as if this one had
    not been.
    """
    return f"BACKUP DATABASE {database} TO DISK = {literal(file)} WITH COPY_ONLY, CHECKSUM, FORMAT, INIT;"


def verify_sql(file: str) -> str:
    """Read all of it and compare its checksums."""
    return f"RESTORE VERIFYONLY FROM DISK = {literal(file)} WITH CHECKSUM;"


def _nothing() -> None:
    """A rehearsal changes nothing that a fence guards."""


def _revision(db: Connection) -> int:
    return ledger_on(db).revision() if has_ledger(db) else 0


def _apply(there: Sessions, statements: Sequence[Statement]) -> None:
    """What a half-applied phase has done already is left out."""
    with there.connect() as db:
        ledger = ledger_on(db) if has_ledger(db) else None
        for statement in statements:
            if statement.probe is not None and probes.done(db, statement.probe):
                continue
            if ledger is not None and digest_of(statement) in ledger.half_applied(statement.phase):
                continue
            try:
                for part in statement.parts:
                    db.execute(part, timeout=0.0)
            except Fault as fault:
                said = (
                    f"{masked(fault.said[0])} (error {fault.number})"
                    if isinstance(fault, Refused)
                    else "the connection was lost"
                )
                raise StatementFailed(
                    f"{statement.title}: {said}",
                    now="It was tried on a copy; the database is as it was.",
                    next=("mend the statement",),
                    where=(Where(statement.file, statement.line),),
                ) from None

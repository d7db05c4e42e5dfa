"""A restore point of a SQLite file: copied inside one snapshot, restored beside it, compared table by table."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from changeover.core.errors import ChangeoverError, StatementFailed, Where
from changeover.core.model import RestorePoint, Statement
from changeover.core.ports import Fence
from changeover.drivers.databases import sqlite_catalogue as catalogue
from changeover.drivers.databases.compare import Sum, differences, in_short
from changeover.drivers.databases.ledger_sql import digest_of
from changeover.drivers.databases.restore_files import RestoreFiles, failed, sha256
from changeover.drivers.databases.sqlite_apply import run
from changeover.drivers.databases.sqlite_session import has_ledger, ledger_on, opened, url_of

_STEP = 2_000  # pages copied between two looks at the fence
_SCRATCH = "changeover-scratch-"


@dataclass(frozen=True, slots=True)
class SqliteBackup:
    """Backups of one file into `files`. A WAL file can be written meanwhile; in the other journal modes writers wait."""

    path: Path
    files: RestoreFiles
    busy: float

    def take(self, id: str, fence: Fence) -> RestorePoint:
        """Copy, restore, compare. Raises RestorePointFailed; done twice, the second returns what the first took."""
        known = self.files.known(id)
        if known is not None:
            return known
        fence.check()
        self.clear()
        try:
            with self.files.writing(id) as part, opened(self.path, self.busy) as live:
                return self._compared(id, part, live, fence)
        except sqlite3.Error as error:
            full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            raise failed(f"the restore point {id} could not be taken: {error}", disk=full) from error

    def _compared(self, id: str, part: Path, live: sqlite3.Connection, fence: Fence) -> RestorePoint:
        live.text_factory = _text
        live.execute("BEGIN")
        before = catalogue.sums(live)  # the first read pins the snapshot; the copy is made inside it
        revision = ledger_on(live).revision() if has_ledger(live) else 0
        at = time.time()
        with opened(part, self.busy, create=True) as copy:
            live.backup(copy, pages=_STEP, progress=lambda *_: fence.check(), sleep=0)
        digest = sha256(part)
        with self._restored(part) as scratch:
            _same(before, scratch)
        fence.check()
        rows = sum(s.rows for s in before.values())
        point = RestorePoint(
            id, at, fence.run, str(self.files.path(id)), "compared", revision, len(before), rows, part.stat().st_size
        )
        self.files.keep(part, point, digest)
        return point

    @contextmanager
    def _restored(self, backup: Path) -> Iterator[Path]:
        scratch = self.scratch_path()
        try:
            shutil.copyfile(backup, scratch)
            yield scratch
        finally:
            remove(scratch)

    def scratch_path(self) -> Path:
        return self.files.directory / f"{_SCRATCH}{secrets.token_hex(6)}.db"

    def clear(self) -> None:
        """Remove scratch files that a killed run has left."""
        for left in self.files.directory.glob(f"{_SCRATCH}*"):
            left.unlink(missing_ok=True)

    def rehearse(self, statements: Sequence[Statement]) -> SqliteScratch:
        """The newest restore point as a file of its own, with the statements applied."""
        point = self.files.newest()
        if point is None:
            raise failed("there is no restore point to rehearse on")
        source = self.files.verified(point)
        scratch = self.scratch_path()
        try:
            shutil.copyfile(source, scratch)
            with opened(scratch, self.busy) as db:
                _apply(db, statements)
        except OSError as error:
            remove(scratch)
            raise failed(f"the scratch copy cannot be written: {error.strerror}") from error
        except BaseException:
            remove(scratch)
            raise
        return SqliteScratch(scratch)


def _same(before: dict[str, Sum], scratch: Path) -> None:
    with opened(scratch, 0) as db:
        db.text_factory = _text
        said = db.execute("PRAGMA integrity_check").fetchone()[0]
        if said != "ok":
            raise failed(f"the restored copy is damaged: {said}")
        found = differences(before, catalogue.sums(db))
    if found:
        raise failed(f"the restored copy is not what was backed up: {in_short(found)}")


def _apply(db: sqlite3.Connection, statements: Sequence[Statement]) -> None:
    """What a half-applied phase has done already is left out."""
    ledger = ledger_on(db) if has_ledger(db) else None
    for statement in statements:
        if statement.probe is not None and catalogue.done(db, statement.probe):
            continue
        if ledger is not None and digest_of(statement) in ledger.half_applied(statement.phase):
            continue
        try:
            run(db, statement)
        except sqlite3.Error as error:
            raise _rehearsed(statement, str(error)) from error


def _rehearsed(statement: Statement, said: str) -> ChangeoverError:
    return StatementFailed(
        f"{statement.title}: {said}",
        now="It was tried on a copy; the database is as it was.",
        next=("mend the statement",),
        where=(Where(statement.file, statement.line),),
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def remove(path: Path) -> None:
    """The file and what SQLite keeps beside it."""
    for left in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))):
        left.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class SqliteScratch:
    """A scratch copy; `close` deletes it."""

    path: Path

    def url(self) -> str:
        return url_of(self.path)

    def close(self) -> None:
        remove(self.path)

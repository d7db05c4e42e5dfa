"""A SQLite file: opened for one act, closed after it; its errors in changeover's words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from changeover.core.errors import (
    NOTHING_CHANGED,
    ChangeoverError,
    DatabaseDenied,
    DatabaseUnreachable,
    StatementFailed,
    Where,
)
from changeover.drivers.databases.ledger_sql import APPLIED, CHANGE, CLAIM, STATE, Ledger

_SCHEME = "sqlite:///"
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_UNREACHABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR}
_DENIED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}


def path_of(url: str) -> Path:
    """`sqlite:///shop.db` -> shop.db, `sqlite:////srv/shop.db` -> /srv/shop.db."""
    path = url.removeprefix(_SCHEME).partition("?")[0]
    if path == url or not path or path == ":memory:":
        raise DatabaseUnreachable(
            "the URL is not that of a SQLite file",
            next=("write it as sqlite:///path/to/file.db, or four slashes for /path",),
        )
    return Path(path)


def url_of(path: Path) -> str:
    """The inverse of `path_of`."""
    return f"{_SCHEME}{path.absolute()}"


@contextmanager
def opened(path: Path, busy: float, *, create: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection that begins no transaction by itself and waits `busy` seconds for a lock."""
    mode = "rwc" if create else "rw"
    with closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=busy)
    ) as db:
        yield db


def ledger_on(db: sqlite3.Connection) -> Ledger:
    """The ledger in this database; its tables may be missing."""

    def query(sql: str, values: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        return db.execute(sql, values).fetchall()

    return Ledger(query)


def has_ledger(db: sqlite3.Connection) -> bool:
    """Whether all three tables are there."""
    found = db.execute(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN (?, ?, ?)", (CLAIM, APPLIED, STATE)
    ).fetchone()
    return bool(found[0] == 3)


def has_kept(db: sqlite3.Connection) -> bool:
    """Whether there is a table for what was compiled of operations; older ledgers have none."""
    return db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (CHANGE,)).fetchone() is not None


def is_busy(error: sqlite3.Error) -> bool:
    """Somebody else holds the lock."""
    return _primary(error) in _BUSY


@contextmanager
def translated(path: Path, title: str, where: tuple[Where, ...] = (), now: str = NOTHING_CHANGED) -> Iterator[None]:
    """Errors of SQLite as changeover's."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path, title, where, now) from error


def translate(
    error: sqlite3.Error, path: Path, title: str, where: tuple[Where, ...] = (), now: str = NOTHING_CHANGED
) -> ChangeoverError:
    """What happened, in words. Messages of SQLite name tables and columns, never values."""
    code = _primary(error)
    if code == sqlite3.SQLITE_CANTOPEN and not path.exists():
        return DatabaseUnreachable(
            f"there is no database file {path}", now=now, next=("start the application once, or correct the URL",)
        )
    if code in _DENIED:
        return DatabaseDenied(
            f"{title}: {path} cannot be written by this user ({error})",
            now=now,
            next=(f"give this user write access to {path} and its directory",),
        )
    if code in _UNREACHABLE or code in _BUSY:
        return DatabaseUnreachable(f"{title}: {path} cannot be used ({error})", now=now, next=("changeover doctor",))
    if code == sqlite3.SQLITE_FULL:
        return StatementFailed(
            f"{title}: the disk is full", now=now, next=(f"make room beside {path}", "changeover resume"), where=where
        )
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    return StatementFailed(
        f"{title}: {error} ({name})", now=now, next=("mend the statement", "changeover status"), where=where
    )


def _primary(error: sqlite3.Error) -> int:
    code = getattr(error, "sqlite_errorcode", None)
    return int(code) & 0xFF if code is not None else -1


def holder_of(path: Path) -> str:
    """Who holds a write lock on the file or its WAL, by the kernel's list; "" where it cannot be seen."""
    try:
        inodes = {p.stat().st_ino for p in (path, path.with_name(path.name + "-shm")) if p.exists()}
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return ""
    pids = {
        fields[-4]
        for fields in (line.split() for line in lines)
        if "WRITE" in fields and "->" not in fields and int(fields[-3].rpartition(":")[2]) in inodes
    }
    return ", ".join(f"process {pid} ({_program(pid)})" for pid in sorted(pids))


def _program(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "unknown"

"""Scratch databases: a backup restored beside the live database, under a name that says whose it is; gone afterwards."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from changeover.drivers.databases.sqlserver_line import Look
from changeover.drivers.databases.sqlserver_session import Connection, Sessions
from changeover.drivers.databases.sqlserver_text import literal, quoted

_LONG = 60.0  # seconds: DROP DATABASE deletes files

PATHS = (
    "SELECT CONVERT(nvarchar(400), SERVERPROPERTY('InstanceDefaultDataPath')), "
    "CONVERT(nvarchar(400), SERVERPROPERTY('InstanceDefaultLogPath'));"
)
LEFT = "SELECT name FROM sys.databases WHERE LEFT(name, LEN(@prefix)) = @prefix;"


@dataclass(frozen=True, slots=True)
class ScratchDatabase:
    """A database that nobody else uses; gone after `close`."""

    address: str
    end: Callable[[], None]

    def url(self) -> str:
        return self.address

    def close(self) -> None:
        self.end()


@dataclass(frozen=True, slots=True)
class ScratchMaker:
    """Makes scratch databases for one live database and environment."""

    live: Sessions

    @property
    def prefix(self) -> str:
        """`changeover_scratch_1a2b3c4d5e6f_`: another environment or database on the server has another one."""
        whose = f"{self.live.address().database}\0{self.live.environment}"
        return f"changeover_scratch_{hashlib.sha256(whose.encode()).hexdigest()[:12]}_"

    def restore(self, file: str, look: Look) -> ScratchDatabase:
        """The backup in a database of its own. What killed runs have left is dropped first. Raises Faults."""
        name = self.prefix + secrets.token_hex(6)
        with self.live.connect() as db:
            for (left,) in db.execute(LEFT, {"prefix": self.prefix}):
                drop(db, left)
            paths = db.one(PATHS)
            assert paths is not None, "a SELECT without FROM returns a row"
            parts = db.records(f"RESTORE FILELISTONLY FROM DISK = {literal(file)};", timeout=_LONG)
            try:
                db.execute(restore_sql(name, file, parts, paths), timeout=0.0, look=look)
            except BaseException:
                self._drop(name)
                raise
        return ScratchDatabase(self.live.other(name), lambda: self._drop(name))

    def _drop(self, name: str) -> None:
        with self.live.connect() as db:
            drop(db, name)


def restore_sql(name: str, file: str, parts: Sequence[Mapping[str, Any]], paths: Sequence[str]) -> str:
    """RESTORE under a new name, each file moved beside the server's other ones. `paths`: for data, for logs."""
    moves = []
    for number, part in enumerate(parts):
        log = part["Type"] == "L"
        end = {"L": ".ldf", "S": "", "D": ".mdf" if number == 0 else ".ndf"}.get(part["Type"], ".dat")
        target = f"{paths[1] if log else paths[0]}{name}_{number}{end}"
        moves.append(f"MOVE {literal(part['LogicalName'])} TO {literal(target)}")
    return f"RESTORE DATABASE {quoted(name)} FROM DISK = {literal(file)} WITH {', '.join(moves)}, CHECKSUM, RECOVERY;"


def drop_sql(name: str) -> Sequence[str]:
    """Two batches: one that is half restored can be dropped, not altered."""
    online = f"DATABASEPROPERTYEX({literal(name)}, 'Status') = N'ONLINE'"
    return (
        f"IF {online} ALTER DATABASE {quoted(name)} SET SINGLE_USER WITH ROLLBACK IMMEDIATE;",
        f"DROP DATABASE IF EXISTS {quoted(name)};",
    )


def drop(db: Connection, name: str) -> None:
    """Whoever is connected to it is thrown out."""
    for sql in drop_sql(name):
        db.execute(sql, timeout=_LONG)

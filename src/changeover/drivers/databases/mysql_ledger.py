"""The ledger in MariaDB and MySQL, where a schema change and its marker cannot be one transaction.

A row of `changeover_applied` may therefore say that a statement was *begun* (`done` = 0). Only rows with `done` = 1 count
as applied; the other kind tells *not begun* from *unknown* after a crash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from changeover.core.model import COMPLETE, Applied, Phase, Version
from changeover.drivers.databases.ledger_sql import APPLIED, CHANGE, CLAIM, STATE, Ledger, edited
from changeover.drivers.databases.mysql_session import Connection

_OPTIONS = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
CREATE: Mapping[str, str] = {
    CLAIM: f"CREATE TABLE IF NOT EXISTS {CLAIM} (environment varchar(190) NOT NULL PRIMARY KEY, store varchar(190) NOT NULL, "
    f"fence bigint NOT NULL, holder varchar(500) NOT NULL, at double NOT NULL) {_OPTIONS}",
    APPLIED: f"CREATE TABLE IF NOT EXISTS {APPLIED} (version varchar(100) NOT NULL, phase varchar(20) NOT NULL, "
    "idx int NOT NULL, digest varchar(64) NOT NULL, at double NOT NULL, run varchar(100) NOT NULL, fence bigint NOT NULL, "
    f"done tinyint NOT NULL DEFAULT 1, PRIMARY KEY (version, phase, idx)) {_OPTIONS}",
    STATE: f"CREATE TABLE IF NOT EXISTS {STATE} (one int NOT NULL PRIMARY KEY, revision bigint NOT NULL) {_OPTIONS}",
    CHANGE: f"CREATE TABLE IF NOT EXISTS {CHANGE} (version varchar(100) NOT NULL PRIMARY KEY, digest varchar(64) NOT NULL, "
    f"body longtext NOT NULL) {_OPTIONS}",
}
BEGIN_AT_ZERO = f"INSERT IGNORE INTO {STATE} (one, revision) VALUES (1, 0)"
CREATE_ALL = tuple(f"{sql};" for sql in (*CREATE.values(), BEGIN_AT_ZERO))
_COLUMNS = "version, phase, idx, digest, at, run, fence"
_VALUES = ":version, :phase, :idx, :digest, :at, :run, :fence"
_THIS = "version = :version AND phase = :phase AND idx = :idx"
_NAME = re.compile(r":([a-z]+)")


@dataclass(frozen=True, slots=True)
class MysqlLedger(Ledger):
    """The ledger on one connection."""

    def create(self) -> None:
        for sql in (*CREATE.values(), BEGIN_AT_ZERO):
            self.query(sql, {})

    def applied(self) -> tuple[Applied, ...]:
        rows = self.query(f"SELECT {_COLUMNS} FROM {APPLIED} WHERE done = 1 ORDER BY at, version, phase DESC, idx", {})
        return tuple(Applied(Version(v), Phase(p), i, d, at, run, f) for v, p, i, d, at, run, f in rows)

    def is_marked(self, marker: Applied) -> bool:
        digest, done = self._row(marker) or ("", False)
        if done and marker.index != COMPLETE and digest != marker.digest:
            raise edited(marker)
        return done

    def is_begun(self, marker: Applied) -> bool:
        """Somebody began it, and nobody has said how it ended."""
        found = self._row(marker)
        return found is not None and not found[1]

    def begin(self, marker: Applied) -> None:
        """Say that it is about to be done."""
        self.query(f"INSERT INTO {APPLIED} ({_COLUMNS}, done) VALUES ({_VALUES}, 0)", _values(marker))

    def not_begun(self, marker: Applied) -> None:
        """Say that nothing of it was done."""
        self.query(f"DELETE FROM {APPLIED} WHERE {_THIS} AND done = 0", _values(marker))

    def mark(self, marker: Applied) -> None:
        changed = "digest = :digest, at = :at, run = :run, fence = :fence, done = 1"
        self.query(
            f"INSERT INTO {APPLIED} ({_COLUMNS}) VALUES ({_VALUES}) ON DUPLICATE KEY UPDATE {changed}", _values(marker)
        )

    def _row(self, marker: Applied) -> tuple[str, bool] | None:
        """Its digest, and whether it is done."""
        rows = self.query(f"SELECT digest, done FROM {APPLIED} WHERE {_THIS}", _values(marker))
        return (str(rows[0][0]), bool(rows[0][1])) if rows else None


def _values(marker: Applied) -> dict[str, str | int | float]:
    return {
        "version": marker.version.text,
        "phase": marker.phase.value,
        "idx": marker.index,
        "digest": marker.digest,
        "at": marker.at,
        "run": marker.run,
        "fence": marker.fence,
    }


def ledger_on(db: Connection) -> MysqlLedger:
    """The ledger in this database; its tables may be missing."""
    return MysqlLedger(
        lambda sql, values: (
            db.execute(_NAME.sub(r"%(\1)s", sql.replace("%", "%%")), values) if values else db.execute(sql)
        ),
        for_update=" FOR UPDATE",
    )


def has_ledger(db: Connection) -> bool:
    """Whether the three tables are there that every ledger has."""
    rows = db.execute(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN (%s, %s, %s)",
        (CLAIM, APPLIED, STATE),
    )
    return int(rows[0][0]) == 3


def has_kept(db: Connection) -> bool:
    """Whether there is a table for what was compiled of operations; older ledgers have none."""
    sql = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = %s"
    return bool(db.execute(sql, (CHANGE,))[0][0])

"""The same state of the database twice: once for the dump, once for the checksums.

MariaDB and MySQL cannot hand a snapshot from one session to another. So commits stand still for the moment in which both
snapshots are taken (`BACKUP STAGE BLOCK_COMMIT`, MySQL: `FLUSH TABLES WITH READ LOCK`): some hundredths of a second, two at the
very most, because the server itself ends the session that holds them up. Where the login may not do that, or the server is busy
with another backup, a second snapshot is taken after the dump has begun: a table that is the same in both was the same
in the dump.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from changeover.drivers.databases.compare import Sum, differences
from changeover.drivers.databases.mysql_blocker import old_holder
from changeover.drivers.databases.mysql_ledger import has_ledger, ledger_on
from changeover.drivers.databases.mysql_library import pymysql
from changeover.drivers.databases.mysql_session import Connection, Sessions
from changeover.drivers.databases.mysql_sums import alike

_STILL_FOR = 1.5  # seconds that commits stand still for a dump to begin
_ENDED_AFTER = 2  # seconds of silence after which the server ends the session that holds them up
_HOLD = {
    True: ("BACKUP STAGE START", "BACKUP STAGE BLOCK_COMMIT"),
    False: ("FLUSH TABLES WITH READ LOCK",),
}
_HELD_FOR = 7 * 86_400  # seconds that a snapshot may wait for its dump and the restore
_LET_GO = {True: "BACKUP STAGE END", False: "UNLOCK TABLES"}


@dataclass(slots=True)
class Standstill:
    """A moment in which nothing is committed. `holds` until `end`, unless it was refused."""

    db: Connection
    holds: bool = False
    until: float = 0.0

    @classmethod
    def begin(cls, sessions: Sessions, stack: ExitStack) -> Standstill:
        db = stack.enter_context(sessions.connect())
        db.execute("SET SESSION lock_wait_timeout = 1, wait_timeout = %s", (_ENDED_AFTER,))
        still = cls(db, until=time.monotonic() + _STILL_FOR)
        if not db.product.mariadb and old_holder(db, ()) is not None:
            return still  # FLUSH TABLES would wait for it, and everybody behind
        try:
            for sql in _HOLD[db.product.mariadb]:
                db.execute(sql)
            still.holds = True
        except pymysql.err.Error:
            db.close()  # what it has got of it goes with the session
        return still

    def end(self) -> bool:
        """Whether nothing was committed from `begin` until now."""
        if not self.holds:
            return False
        self.holds = False
        try:
            self.db.execute(_LET_GO[self.db.product.mariadb])
        except pymysql.err.Error:
            return False  # the server has ended the session before
        finally:
            self.db.close()
        return True


@contextmanager
def looking(sessions: Sessions, fence: int | None) -> Iterator[Connection]:
    """A session that can be frozen."""
    with sessions.connect(fence) as db:
        alike(db)
        db.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        db.execute("SET SESSION wait_timeout = %s", (_HELD_FOR,))
        yield db


def freeze(db: Connection) -> None:
    """From now on the session sees the database as it is now."""
    db.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")


def revision_in(db: Connection) -> int:
    """The schema's revision in the snapshot."""
    return ledger_on(db).revision() if has_ledger(db) else 0


@dataclass(frozen=True, slots=True)
class Seen:
    """The sums of the live tables: `before` the dump had begun, and `after`. `after` is None where the dump saw `before`.

    `moving`: tables whose engine has no transactions, so no snapshot holds them still.
    """

    before: Mapping[str, Sum]
    after: Mapping[str, Sum] | None = None
    moving: frozenset[str] = field(default_factory=frozenset)

    def judge(self, restored: Mapping[str, Sum]) -> tuple[bool, tuple[str, ...]]:
        """(the restored copy is proved to be what was dumped, what in it is certainly wrong)."""
        known = [self.before] if self.after is None else [self.before, self.after]
        if any(not differences(seen, restored) for seen in known):
            return True, ()
        after = self.before if self.after is None else self.after
        still = {
            table
            for table in self.before.keys() | after.keys() | restored.keys()
            if table not in self.moving and self.before.get(table) == after.get(table)
        }
        wrong = differences(_of(self.before, still), _of(restored, still))
        return False, wrong


def _of(sums: Mapping[str, Sum], tables: set[str]) -> dict[str, Sum]:
    return {table: found for table, found in sums.items() if table in tables}

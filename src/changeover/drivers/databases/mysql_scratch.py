"""Scratch databases: made for one restore, told apart from everything else, gone afterwards.

Either `changeover_scratch_…` beside the live database, or the database that the user has named for it; that one is only
overwritten when it is empty or carries changeover's mark, and never when it is the live one.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from changeover.drivers.databases.mysql_errors import is_denied, said
from changeover.drivers.databases.mysql_library import pymysql
from changeover.drivers.databases.mysql_probe import quoted
from changeover.drivers.databases.mysql_session import Connection, Sessions, watchdog
from changeover.drivers.databases.mysql_sums import MARK
from changeover.drivers.databases.restore_files import failed

PREFIX = "changeover_scratch_"
_LONG = 60.0  # seconds: dropping a database deletes files
_OBJECTS = (
    ("EVENT", "SELECT event_name FROM information_schema.events WHERE event_schema = DATABASE()"),
    ("FUNCTION", "SELECT routine_name FROM information_schema.routines WHERE routine_schema = DATABASE() AND routine_type = 'FUNCTION'"),
    ("PROCEDURE", "SELECT routine_name FROM information_schema.routines WHERE routine_schema = DATABASE() AND routine_type = 'PROCEDURE'"),
    ("VIEW", "SELECT table_name FROM information_schema.views WHERE table_schema = DATABASE()"),
    ("SEQUENCE", "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'SEQUENCE'"),
    ("TABLE", "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type NOT IN ('VIEW', 'SEQUENCE')"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ScratchDatabase:
    """A database that nobody else uses; gone (or empty again) after `close`. `unlogged`: it goes to no replica."""

    address: str
    end: Callable[[], None]
    unlogged: bool = False

    def url(self) -> str:
        return self.address

    def close(self) -> None:
        self.end()


@dataclass(frozen=True, slots=True)
class ScratchMaker:
    """Makes scratch databases for one live database. `into`: the user's own, None: beside the live one."""

    live: Sessions
    into: Callable[[], str] | None = None

    def make(self) -> ScratchDatabase:
        """An empty scratch database. Raises pymysql.err.Error, RestorePointFailed."""
        return self._beside() if self.into is None else self._given(self.into)

    # beside the live one ---------------------------------------------------------------------------------------

    @property
    def _mine(self) -> str:
        """What the names of this database's and environment's scratch databases begin with."""
        key = f"{self.live.address.database}\0{self.live.environment}".encode()
        return f"{PREFIX}{hashlib.sha256(key).hexdigest()[:10]}_"

    def _beside(self) -> ScratchDatabase:
        name = f"{self._mine}{secrets.token_hex(6)}"
        with self.live.connect() as db, watchdog(db, _LONG):
            unlogged = unlog(db)
            self._clear(db)
            charset, collation = db.execute("SELECT @@character_set_database, @@collation_database")[0]
            db.execute(f"CREATE DATABASE {quoted(name)} CHARACTER SET {charset} COLLATE {collation}")
        return ScratchDatabase(self.live.other(name), lambda: self._drop(name), unlogged)

    def _clear(self, db: Connection) -> None:
        """Drop what killed runs of this database and environment have left."""
        rows = db.execute(
            "SELECT schema_name FROM information_schema.schemata WHERE LEFT(schema_name, %s) = %s",
            (len(self._mine), self._mine),
        )
        for (name,) in rows:
            db.execute(f"DROP DATABASE IF EXISTS {quoted(str(name))}")

    def _drop(self, name: str) -> None:
        with self.live.connect() as db, watchdog(db, _LONG):
            unlog(db)
            db.execute(f"DROP DATABASE IF EXISTS {quoted(name)}")

    # the user's own ----------------------------------------------------------------------------------------------

    def _given(self, into: Callable[[], str]) -> ScratchDatabase:
        target = Sessions(into, self.live.environment)
        with target.connect() as db, watchdog(db, _LONG), self._not_live(db):
            _may_be_overwritten(db)
            unlogged = unlog(db)
            _wipe(db)
        return ScratchDatabase(into(), lambda: _wipe_again(target), unlogged)

    @contextmanager
    def _not_live(self, target: Connection) -> Iterator[None]:
        """Named locks are per server: one that is taken here and seen there means that both are on the same."""
        name = f"changeover/{secrets.token_hex(16)}"
        with self.live.connect() as live:
            live.execute("SELECT GET_LOCK(%s, 0)", (name,))
            (holder,) = target.execute("SELECT IS_USED_LOCK(%s)", (name,))[0]
            here, there = (str(db.execute("SELECT DATABASE()")[0][0]).lower() for db in (live, target))
            if holder is not None and here == there:
                raise failed("restore_into is the live database itself; it was not touched")
            yield


_TEXTS = (
    "SELECT CONCAT('trigger ', trigger_name), action_statement FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
    "SELECT CONCAT('view ', table_name), view_definition FROM information_schema.views WHERE table_schema = DATABASE()",
    (
        "SELECT CONCAT(LOWER(routine_type), ' ', routine_name), routine_definition FROM information_schema.routines "
        "WHERE routine_schema = DATABASE()"
    ),
)


def must_not_reach(db: Connection, live: str) -> None:
    """Raises RestorePointFailed when something in the copy names the live database, which is on the same server: a probe
    that runs on the copy would then write into the live one.
    """
    named = re.compile(rf"(?<![\w$`])(?:{re.escape(live)}|{re.escape(quoted(live))})\s*\.", re.IGNORECASE)
    found = [str(name) for sql in _TEXTS for name, text in db.execute(sql) if named.search(str(text or ""))]
    if found:
        raise failed(
            f"{', '.join(found[:5])}: names the database {live} itself, so a copy on the same server would reach into it. "
            "Write it without the database's name, or give restore_into a database on another server"
        )


def unlog(db: Connection) -> bool:
    """Keep what this session does out of the binary log, if this login may: a scratch copy is nothing for replicas."""
    if not db.execute("SELECT @@log_bin")[0][0]:
        return False
    try:
        db.execute("SET SESSION sql_log_bin = 0")
    except pymysql.err.Error as error:
        if is_denied(error):
            return False
        raise
    return True


def _may_be_overwritten(db: Connection) -> None:
    found = {str(name) for _, sql in _OBJECTS for (name,) in db.execute(sql)}
    if found and MARK not in found:
        raise failed(
            f"restore_into ({db.execute('SELECT DATABASE()')[0][0]}) has objects that changeover did not put there; it was not "
            "touched. Empty it, or name an empty database"
        )


def _wipe(db: Connection) -> None:
    """Only the mark is left; it comes first, so that a kill in between is recognised."""
    db.execute(f"CREATE TABLE IF NOT EXISTS {MARK} (mark int PRIMARY KEY)")
    db.execute("SET SESSION foreign_key_checks = 0")
    for kind, sql in _OBJECTS:
        for (name,) in db.execute(sql):
            if name != MARK:
                db.execute(f"DROP {kind} IF EXISTS {quoted(str(name))}")


def _wipe_again(target: Sessions) -> None:
    try:
        with target.connect() as db, watchdog(db, _LONG):
            unlog(db)
            _wipe(db)
    except pymysql.err.Error as error:
        raise failed(f"restore_into could not be emptied: {said(error, target)}") from None

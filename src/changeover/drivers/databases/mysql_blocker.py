"""Who stands in the way of a statement. Named, never killed.

Which session holds a table is shown by the plugin `metadata_lock_info` (MariaDB) or the instrument
`wait/lock/metadata/sql/mdl`; without them the old transactions of the database are all that can be suspected.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from changeover.drivers.databases.ledger_sql import age
from changeover.drivers.databases.mysql_library import pymysql
from changeover.drivers.databases.mysql_session import CALL, Connection, Sessions, limit_statements

OLD = 0.1  # seconds: behind a transaction older than this nobody shall queue
_PATIENCE = 0.03  # seconds: a change of the catalogue that nobody blocks is over before that
_PERIOD = 0.12  # seconds between two looks: InnoDB shows its transactions anew after 0.1 s without a look

_ROW = """
SELECT p.id, p.user, p.host, p.command, x.trx_id IS NOT NULL AS trx, TIMESTAMPDIFF(SECOND, x.trx_started, NOW()) AS age, p.info
FROM information_schema.processlist p LEFT JOIN information_schema.innodb_trx x ON x.trx_mysql_thread_id = p.id
WHERE p.id <> CONNECTION_ID()
"""
_OLDEST = " ORDER BY x.trx_started IS NULL, x.trx_started, p.id LIMIT 1"
_BUSY_OR_OPEN = "(x.trx_id IS NOT NULL OR p.command IN ('Query', 'Execute'))"
_OLD_MARIADB = f" AND {_BUSY_OR_OPEN} AND (p.time_ms > %(ms)s OR x.trx_started < NOW(6) - INTERVAL 1 SECOND - INTERVAL %(us)s MICROSECOND)"
_OLD_MYSQL = f" AND {_BUSY_OR_OPEN} AND (p.time >= 1 OR x.trx_started < NOW(6) - INTERVAL 1 SECOND - INTERVAL %(us)s MICROSECOND)"
_HERE = " AND p.db = DATABASE() AND p.user <> 'system user'"
_OF_TABLES = {
    "plugin": "SELECT thread_id FROM information_schema.metadata_lock_info WHERE table_schema = DATABASE() AND table_name IN ({})",
    "instrument": "SELECT t.processlist_id FROM performance_schema.metadata_locks m JOIN performance_schema.threads t "
    "ON t.thread_id = m.owner_thread_id WHERE m.object_type = 'TABLE' AND m.lock_status = 'GRANTED' "
    "AND m.object_schema = DATABASE() AND m.object_name IN ({})",
}
_ROW_LOCKS_MARIADB = (
    "SELECT b.trx_mysql_thread_id FROM information_schema.innodb_lock_waits w "
    "JOIN information_schema.innodb_trx r ON r.trx_id = w.requesting_trx_id "
    "JOIN information_schema.innodb_trx b ON b.trx_id = w.blocking_trx_id WHERE r.trx_mysql_thread_id = %(session)s"
)
_ROW_LOCKS_MYSQL = (
    "SELECT b.processlist_id FROM performance_schema.data_lock_waits w "
    "JOIN performance_schema.threads r ON r.thread_id = w.requesting_thread_id "
    "JOIN performance_schema.threads b ON b.thread_id = w.blocking_thread_id WHERE r.processlist_id = %(session)s"
)
_WAITS = "SELECT 1 FROM information_schema.processlist WHERE id = %(session)s AND state LIKE 'Waiting for%%lock%%'"


@dataclass(frozen=True, slots=True)
class Blocking:
    """An old transaction. `certain`: it holds the table; else it may be about something else."""

    words: str
    certain: bool


def shows_locks(db: Connection) -> str:
    """What shows the holders of a table in this server: `plugin`, `instrument`, or "" for nothing."""
    asked = {
        "plugin": "SELECT COUNT(*) FROM information_schema.plugins WHERE plugin_name = 'METADATA_LOCK_INFO' AND plugin_status = 'ACTIVE'",
        "instrument": "SELECT COUNT(*) FROM performance_schema.setup_instruments "
        "WHERE name = 'wait/lock/metadata/sql/mdl' AND enabled = 'YES'",
    }
    for how, sql in asked.items():
        try:
            if db.execute(sql)[0][0]:
                return how
        except pymysql.err.Error:
            continue  # no such table here, or no right to look
    return ""


def old_holder(db: Connection, tables: Sequence[str]) -> Blocking | None:
    """The oldest transaction of more than `OLD` seconds in the way of the tables (none given: of the database).

    None: there is none, or this login may not see those of others.
    """
    old = (_OLD_MARIADB if db.product.mariadb else _OLD_MYSQL) + _HERE
    values: dict[str, object] = {"ms": OLD * 1_000, "us": round(OLD * 1_000_000)}
    how = shows_locks(db) if tables else ""
    if how:
        names = {f"t{n}": table for n, table in enumerate(tables)}
        inside = _OF_TABLES[how].format(", ".join(f"%({n})s" for n in names))
        old += f" AND p.id IN ({inside})"
        values |= names
    found = _first(db, _ROW + old + _OLDEST, values)
    return None if found is None else Blocking(described(found), bool(how))


def who_blocks(db: Connection, session: int, tables: Sequence[str]) -> str:
    """Who blocks that session right now, in words; "" if nobody does or nobody can be seen."""
    rows = _ROW_LOCKS_MARIADB if db.product.mariadb else _ROW_LOCKS_MYSQL
    found = _first(db, f"{_ROW} AND p.id IN ({rows}){_OLDEST}", {"session": session})
    if found is not None:
        return described(found)
    if not _first(db, _WAITS, {"session": session}):
        return ""
    how = shows_locks(db) if tables else ""
    if how:
        names = {f"t{n}": table for n, table in enumerate(tables)}
        inside = _OF_TABLES[how].format(", ".join(f"%({n})s" for n in names))
        found = _first(
            db, f"{_ROW} AND p.id <> %(session)s AND p.id IN ({inside}){_OLDEST}", {**names, "session": session}
        )
        return "" if found is None else described(found)
    found = _first(db, f"{_ROW} AND p.id <> %(session)s AND {_BUSY_OR_OPEN}{_HERE}{_OLDEST}", {"session": session})
    return "" if found is None else f"probably {described(found)}"


def _first(db: Connection, sql: str, values: dict[str, object]) -> tuple[object, ...] | None:
    """The first row; None also where this login may not look."""
    try:
        rows = db.execute(sql, values)
    except pymysql.err.OperationalError:
        return None
    return rows[0] if rows else None


def described(row: tuple[object, ...]) -> str:
    """`session 4711 (shop, from 10.0.0.7), idle in transaction for 12 s: SELECT …`; values in the query are masked."""
    session, user, host, command, transaction, seconds, query = row
    address = str(host or "").rpartition(":")[0] or str(host or "")
    named = [str(user or "unknown user"), *([f"from {address}"] if address else [])]
    doing = str(command or "state unknown").lower()
    if transaction:
        doing = "idle in transaction" if command == "Sleep" else "in transaction"
    since = f" for {age(seconds)}" if isinstance(seconds, int | float) else ""
    masked = re.sub(r"\s+", " ", re.sub(r"'[^']*'?|\"[^\"]*\"?", "'…'", str(query or ""), flags=re.DOTALL)).strip()
    text = f": {masked[:60]}" if masked else ""
    return f"session {session} ({', '.join(named)}), {doing}{since}{text}"


class BlockerWatch:
    """Looks, from a session of its own, who blocks another one; one for all attempts of one act."""

    def __init__(self, sessions: Sessions, fence: int, tables: Sequence[str] = ()) -> None:
        self._sessions = sessions
        self._fence = fence
        self._tables = tables
        self._db: Connection | None = None
        self.blocker = ""

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

    @contextmanager
    def watching(self, session: int) -> Iterator[None]:
        """Look while the block runs, until somebody is found. A failure to look is not a failure of the statement."""
        over = threading.Event()
        thread = threading.Thread(target=self._look, args=(session, over), name="changeover-blocker", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=2 * CALL)

    def _look(self, session: int, over: threading.Event) -> None:
        if over.wait(_PATIENCE):
            return
        try:
            db = self._session()
            found = ""
            while not found and not over.is_set():
                found = who_blocks(db, session, self._tables)
                over.wait(_PERIOD)
        except pymysql.err.Error:
            return
        self.blocker = found or self.blocker

    def _session(self) -> Connection:
        if self._db is None or not self._db.open:
            self._db = self._sessions.connect(self._fence)
            limit_statements(self._db, CALL)
        return self._db

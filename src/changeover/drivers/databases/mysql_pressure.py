"""What presses a MariaDB or MySQL server while a backfill runs: writers that wait, sessions at work, old transactions.

How far replicas are behind is not among it: a primary does not know, so they are asked themselves (`mysql_reader`).
"""

from __future__ import annotations

from changeover.drivers.databases.limits import Limits
from changeover.drivers.databases.mysql_session import Connection

OLD = 60.0  # seconds: while an older transaction reads, InnoDB keeps every version of the rows that a backfill changes
_ROWS = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT' AND trx_mysql_thread_id <> CONNECTION_ID()"
_TABLES = "SELECT COUNT(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND state LIKE 'Waiting for table%'"
_WORKING = (
    "SELECT COUNT(*) FROM information_schema.processlist WHERE command NOT IN ('Sleep', 'Daemon', 'Binlog Dump', 'Binlog Dump GTID') "
    "AND db = DATABASE() AND id <> CONNECTION_ID()"
)
_OLDEST = (
    "SELECT COALESCE(MAX(TIMESTAMPDIFF(SECOND, x.trx_started, NOW())), 0) FROM information_schema.innodb_trx x "
    "JOIN information_schema.processlist p ON p.id = x.trx_mysql_thread_id WHERE p.db = DATABASE() AND p.id <> CONNECTION_ID()"
)


def pressure(db: Connection, limits: Limits) -> str:
    """The reason to wait, "" if there is none."""
    waiting = _number(db, _ROWS) + _number(db, _TABLES)
    if waiting:
        return f"{waiting} sessions wait for locks"
    if limits.sessions is not None and (working := _number(db, _WORKING)) > limits.sessions:
        return f"{working} sessions are at work"
    oldest = _number(db, _OLDEST)
    return f"a transaction in this database has been open for {oldest} s" if oldest > OLD else ""


def _number(db: Connection, sql: str) -> int:
    return int(db.execute(sql)[0][0])

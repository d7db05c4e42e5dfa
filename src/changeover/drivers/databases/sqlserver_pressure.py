"""What presses a SQL Server while a backfill runs: secondaries behind, writers that wait, sessions at work, old transactions."""

from __future__ import annotations

from changeover.drivers.databases.limits import Limits
from changeover.drivers.databases.sqlserver_claim import SEES_SESSIONS
from changeover.drivers.databases.sqlserver_session import Connection

OLD = 60  # seconds: a transaction on the table that is older keeps the log, and the versions of rows, that a backfill leaves behind
LAG = (
    "SELECT COALESCE(MAX(r.secondary_lag_seconds), 0) FROM sys.dm_hadr_database_replica_states r "
    "WHERE r.database_id = DB_ID() AND r.is_local = 0;"
)
WAITING = (
    "SELECT COUNT(*) FROM sys.dm_exec_requests r WHERE r.database_id = DB_ID() AND r.session_id <> @@SPID "
    "AND r.blocking_session_id <> 0 AND r.wait_time > 100 AND r.wait_type LIKE N'LCK[_]%';"
)
WORKING = "SELECT COUNT(*) FROM sys.dm_exec_requests r WHERE r.database_id = DB_ID() AND r.session_id <> @@SPID AND r.session_id > 50;"
OLDEST = (
    "SELECT COALESCE(MAX(DATEDIFF(SECOND, t.transaction_begin_time, GETDATE())), 0) FROM sys.dm_tran_locks l "
    "JOIN sys.dm_tran_active_transactions t ON t.transaction_id = l.request_owner_id "
    "WHERE l.resource_database_id = DB_ID() AND l.resource_type = N'OBJECT' AND l.request_status = N'GRANT' "
    "AND l.resource_associated_entity_id = OBJECT_ID(@table) AND l.request_session_id <> @@SPID;"
)


def pressure(db: Connection, table: str, limits: Limits) -> str:
    """The reason to wait, "" if there is none, or none that this login may see: `doctor` says when it may see none."""
    if db.number(SEES_SESSIONS) != 1:
        return ""
    lag = db.number(LAG)
    if lag > limits.replica_lag:
        return f"a replica is {lag} s behind"
    waiting = db.number(WAITING)
    if waiting:
        return f"{waiting} sessions wait for locks"
    if limits.sessions is not None and (working := db.number(WORKING)) > limits.sessions:
        return f"{working} sessions are at work"
    oldest = db.number(OLDEST, {"table": table})
    return f"a transaction on {table} has been open for {oldest} s" if oldest > OLD else ""

"""What presses a PostgreSQL server while a backfill runs: replicas behind, writers that wait, sessions at work, old transactions."""

from __future__ import annotations

from changeover.drivers.databases.limits import Limits
from changeover.drivers.databases.postgresql_session import Connection

OLD = 60.0  # seconds: a transaction on the table that is older keeps VACUUM from the rows that a backfill leaves behind
_LAG = "SELECT coalesce(max(extract(epoch FROM replay_lag)), 0)::float FROM pg_stat_replication"
_WAITING = (
    "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.pid <> pg_backend_pid() "
    "AND a.query_start < now() - interval '100 milliseconds'"
)
_WORKING = (
    "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND backend_type = 'client backend' "
    "AND datname = current_database() AND pid <> pg_backend_pid()"
)
_OLDEST = (
    "SELECT coalesce(max(extract(epoch FROM now() - a.xact_start)), 0)::float FROM pg_stat_activity a JOIN pg_locks l USING (pid) "
    "WHERE l.relation = to_regclass(%s) AND l.granted AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'"
)


def pressure(db: Connection, table: str, limits: Limits) -> str:
    """The reason to wait, "" if there is none."""
    lag = _number(db, _LAG)
    if lag > limits.replica_lag:
        return f"a replica is {lag:.1f} s behind"
    waiting = _number(db, _WAITING)
    if waiting:
        return f"{waiting:.0f} sessions wait for locks"
    if limits.sessions is not None and (working := _number(db, _WORKING)) > limits.sessions:
        return f"{working:.0f} sessions are at work"
    oldest = _number(db, _OLDEST, (table,))
    return f"a transaction on {table} has been open for {oldest:.0f} s" if oldest > OLD else ""


def _number(db: Connection, sql: str, values: tuple[str, ...] = ()) -> float:
    row = db.execute(sql, values).fetchone() if values else db.execute(sql).fetchone()
    return 0.0 if row is None else float(row[0])

"""What a PostgreSQL server has room for: connections of a second pool, numbers of sequences, replicas that keep up, disk. Read-only."""

from __future__ import annotations

from collections.abc import Iterator

from changeover.core.ports import Finding
from changeover.drivers.databases.postgresql_session import Connection

NEARLY = 0.8  # of a sequence's numbers are used: a table that is written twice as fast for a while may not last

_CONNECTIONS = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
  count(*), count(*) FILTER (WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name !~ '^changeover/'),
  (SELECT datconnlimit FROM pg_database WHERE datname = current_database())
FROM pg_stat_activity WHERE backend_type = 'client backend'
"""
_SEQUENCES = """
SELECT s.schemaname || '.' || s.sequencename, s.last_value,
  least(s.max_value, coalesce(min(CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 END), s.max_value))
FROM pg_sequences s JOIN pg_class c ON c.relname = s.sequencename AND c.relkind = 'S'
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = s.schemaname
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE NOT s.cycle AND s.increment_by > 0 AND s.last_value IS NOT NULL
GROUP BY 1, 2, s.max_value
"""
_REPLICAS = """
SELECT coalesce(nullif(application_name, ''), client_addr::text, 'a replica'), extract(epoch FROM replay_lag)::float8, state
FROM pg_stat_replication WHERE application_name !~ '^pg_(dump|basebackup)'
"""
_LARGEST = """
SELECT c.oid::regclass::text, pg_total_relation_size(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
ORDER BY 2 DESC LIMIT 1
"""


def room(db: Connection, replica_lag: float) -> Iterator[Finding]:
    """One finding for each kind, and one for each thing that is short of room. None of them stops a release by itself."""
    yield from _connections(db)
    yield from _sequences(db)
    yield from _replicas(db, replica_lag)
    largest = db.execute(_LARGEST).fetchone()
    if largest is not None:
        detail = (
            f"a server does not tell its free disk; its largest table, {largest[0]}, has {int(largest[1]) // 2**20} MiB, "
            "and a backfill may write each of its rows once more"
        )
        yield Finding("room on the server", ok=True, detail=detail, fatal=False)


def _connections(db: Connection) -> Iterator[Finding]:
    row = db.execute(_CONNECTIONS).fetchone()
    if row is None:
        return
    most, used, mine, limit = (int(v) for v in row)
    free = most - used
    free = min(free, limit - mine) if limit >= 0 else free
    ok = mine <= free
    detail = f"{mine} are open here, {free} of {most} are free" + ("" if ok else ": a second pool needs as many again")
    fix = "" if ok else "make the pools of the application smaller, or raise max_connections"
    yield Finding("connections for two pools", ok=ok, detail=detail, fix=fix, fatal=False)


def _sequences(db: Connection) -> Iterator[Finding]:
    short = False
    for name, last, most in db.execute(_SEQUENCES).fetchall():
        if int(last) > NEARLY * int(most):
            short = True
            used = f"{name}: {int(last)} of {int(most)} numbers are used"
            fix = "give its column the type bigint, with an operation change_type"
            yield Finding("sequence", ok=False, detail=used, fix=fix, fatal=False)
    if not short:
        yield Finding("sequences", ok=True, detail=f"none has used more than {NEARLY:.0%} of its numbers", fatal=False)


def _replicas(db: Connection, most: float) -> Iterator[Finding]:
    rows = db.execute(_REPLICAS).fetchall()
    for name, lag, state in rows:
        if state is None:
            fix = "GRANT pg_read_all_stats to the login: changeover doctor --grants"
            yield Finding(
                "replica", ok=False, detail=f"{name}: how far behind it is cannot be seen", fix=fix, fatal=False
            )
        elif lag is not None and float(lag) > most:
            fix = "wait until it has caught up; a gentle backfill waits by itself"
            yield Finding("replica", ok=False, detail=f"{name} is {float(lag):.1f} s behind", fix=fix, fatal=False)
        else:
            yield Finding("replica", ok=True, detail=f"{name} keeps up", fatal=False)

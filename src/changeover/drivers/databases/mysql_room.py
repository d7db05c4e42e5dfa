"""What a MariaDB or MySQL server has room for: connections of a second pool, numbers of rows, replicas, disk. Read-only."""

from __future__ import annotations

from collections.abc import Iterator

from changeover.core.ports import Finding
from changeover.drivers.databases.mysql_session import Connection
from changeover.schema.engines.mysql_types import Type

NEARLY = 0.8  # of the numbers of a column are used

_CONNECTIONS = """
SELECT @@GLOBAL.max_connections, COUNT(*), COUNT(CASE WHEN db = DATABASE() AND id <> CONNECTION_ID() THEN 1 END)
FROM information_schema.processlist WHERE user <> 'system user'
"""
_NUMBERED = """
SELECT t.table_name, c.column_name, t.auto_increment, c.column_type FROM information_schema.tables t
JOIN information_schema.columns c ON c.table_schema = t.table_schema AND c.table_name = t.table_name AND c.extra LIKE '%auto_increment%'
WHERE t.table_schema = DATABASE() AND t.auto_increment IS NOT NULL
"""
_REPLICAS = "SELECT COUNT(*) FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"
_LARGEST = """
SELECT table_name, data_length + index_length FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY 2 DESC LIMIT 1
"""


def room(db: Connection, readers: int) -> Iterator[Finding]:
    """One finding for each kind, and one for each thing that is short of room. None of them stops a release by itself.

    `readers`: how many replicas are named in the configuration.
    """
    yield from _connections(db)
    yield from _numbers(db)
    yield from _replicas(db, readers)
    for name, size in db.execute(_LARGEST):
        detail = (
            f"a server does not tell its free disk; its largest table, {name}, has {int(size or 0) // 2**20} MiB, "
            "and a backfill may write each of its rows once more, a copy of the table all of it"
        )
        yield Finding("room on the server", ok=True, detail=detail, fatal=False)


def _connections(db: Connection) -> Iterator[Finding]:
    most, used, mine = (int(value) for value in db.execute(_CONNECTIONS)[0])
    free = most - used
    ok = mine <= free
    detail = f"{mine} are open here, {free} of {most} are free" + ("" if ok else ": a second pool needs as many again")
    fix = "" if ok else "make the pools of the application smaller, or raise max_connections"
    yield Finding("connections for two pools", ok=ok, detail=detail, fix=fix, fatal=False)


def _numbers(db: Connection) -> Iterator[Finding]:
    short = False
    for table, column, following, type_ in db.execute(_NUMBERED):
        limits = Type.of(str(type_)).range
        if limits is not None and int(following) > NEARLY * limits[1]:
            short = True
            used = f"{table}.{column}: {int(following) - 1} of {limits[1]} numbers are used"
            fix = "give the table a wider key, in a release of its own"
            yield Finding("sequence", ok=False, detail=used, fix=fix, fatal=False)
    if not short:
        detail = f"no AUTO_INCREMENT has used more than {NEARLY:.0%} of its numbers"
        yield Finding("sequences", ok=True, detail=detail, fatal=False)


def _replicas(db: Connection, readers: int) -> Iterator[Finding]:
    """A primary knows that replicas listen, and not how far they are behind."""
    listening = int(db.execute(_REPLICAS)[0][0])
    if listening > readers:
        detail = (
            f"{listening} listen, and how far they are behind only they can tell; {readers} are named in database.read"
        )
        fix = "name those that versions read in database.read: a gentle backfill then waits for them"
        yield Finding("replicas", ok=False, detail=detail, fix=fix, fatal=False)

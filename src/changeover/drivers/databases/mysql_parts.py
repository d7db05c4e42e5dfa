"""The parts of one act, in order: what the catalogue shows is left out, so that what a kill has cut is gone on with."""

from __future__ import annotations

from collections.abc import Callable

from changeover.core.model import Statement
from changeover.drivers.databases import mysql_probe as probes
from changeover.drivers.databases.mysql_session import Connection


def run_parts(db: Connection, statement: Statement, look: Callable[[], None]) -> None:
    """`look` is asked before each part; what it raises leaves the rest undone. Raises pymysql.err.Error.

    A statement that does not say how its parts are seen is seen by its last one.
    """
    seen = statement.probes or (*(None,) * (len(statement.parts) - 1), statement.probe)
    for part, probe in zip(statement.parts, seen, strict=True):
        if probe is None or not probes.done(db, probe):
            look()
            db.execute(part)

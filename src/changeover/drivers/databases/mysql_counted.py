"""The answer of a check, with a sample when there are such rows."""

from __future__ import annotations

from changeover.core.model import Check
from changeover.core.ports import Count
from changeover.drivers.databases.checks import row_words
from changeover.drivers.databases.mysql_session import Connection


def counted(db: Connection, check: Check) -> Count:
    """Raises pymysql.err.Error."""
    rows = int(db.execute(check.sql)[0][0] or 0)
    shown = db.execute(check.sample) if rows and check.sample else ()
    return Count(rows, tuple(row_words(row) for row in shown))

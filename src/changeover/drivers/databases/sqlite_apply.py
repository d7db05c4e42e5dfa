"""One statement on a connection of SQLite: what is asked first, what is done, and the table that is written anew."""

from __future__ import annotations

import sqlite3

from changeover.core.errors import StatementFailed, Where
from changeover.core.model import Statement
from changeover.drivers.databases.checks import guarded
from changeover.drivers.databases.sqlite_keys import counted
from changeover.schema.engines.sqlite_foresight import objects
from changeover.schema.engines.sqlite_rebuild import rebuilt
from changeover.schema.engines.sqlite_text import Unreadable


def run(db: sqlite3.Connection, statement: Statement) -> None:
    """The whole act, in the transaction that is under way. Raises RowsInTheWay when a guard finds something."""
    for guard in statement.guards:
        found = counted(db, guard)
        if found.rows:
            raise guarded(statement, guard, found)
    for part in statement.parts:
        db.execute(part)
    for part in anew(db, statement):
        db.execute(part)


def anew(db: sqlite3.Connection, statement: Statement) -> tuple[str, ...]:
    """What writes its table anew, from the text that the table has now. Raises StatementFailed."""
    if statement.rewrite is None:
        return ()
    try:
        return rebuilt(statement.rewrite, objects(db))
    except Unreadable as error:
        raise StatementFailed(
            f"{statement.title}: the table {statement.rewrite.table} is not as it was planned for: {error}",
            next=("see what is so: changeover schema drift", "mend it, then: changeover resume"),
            where=(Where(statement.file, statement.line),),
        ) from None

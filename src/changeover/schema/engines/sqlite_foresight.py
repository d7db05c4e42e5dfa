"""What the statements of a change come to on SQLite: they are run, in order, on an empty database with the same schema.

It is in memory and holds no row. So every text is known before anything is touched, and what SQLite refuses is refused then.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from changeover.core.catalogue import Catalogue
from changeover.core.model import ChangeSet, Phase, Rewrite, Statement
from changeover.schema.engines.engine import Cannot
from changeover.schema.engines.sqlite_rebuild import Object, rebuilt
from changeover.schema.engines.sqlite_text import Unreadable

_ADDS = (Phase.EXPAND, Phase.SYNC, Phase.FINALIZE)
_GOES = (Phase.CONTRACT, Phase.DROP)


def objects(db: sqlite3.Connection) -> tuple[Object, ...]:
    """What the database says that it has, in the order in which it was made."""
    rows = db.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master ORDER BY rowid")
    return tuple(Object(*row) for row in rows)


def texts(found: Sequence[Object]) -> tuple[str, ...]:
    """The texts, in an order in which they can be run again."""
    order = ("table", "index", "view", "trigger")
    return tuple(
        o.sql for o in sorted(found, key=lambda o: order.index(o.type)) if o.sql and not o.name.startswith("sqlite_")
    )


def foreseen(changes: ChangeSet, catalogue: Catalogue) -> tuple[ChangeSet, Catalogue]:
    """The change set with the texts that its statements will have; and the catalogue when everything is added.

    Raises Cannot for a statement that SQLite refuses.
    """
    with closing(_empty(catalogue.texts)) as db:
        added = {phase: tuple(_run(db, changes.statements(phase))) for phase in _ADDS}
        found = objects(db)
        with closing(_empty(texts(found))) as other:
            undo = tuple(_run(other, changes.undo))
        gone = {phase: tuple(_run(db, changes.statements(phase))) for phase in _GOES}
    whole = replace(
        changes,
        expand=added[Phase.EXPAND],
        sync=added[Phase.SYNC],
        finalize=added[Phase.FINALIZE],
        contract=gone[Phase.CONTRACT],
        drop=gone[Phase.DROP],
        undo=undo,
    )
    made = {o.name: o.sql for o in found if o.type == "table"}
    tables = {name: replace(table, sql=made.get(name, table.sql)) for name, table in catalogue.tables.items()}
    return whole, replace(catalogue, tables=tables, texts=texts(found))


def _empty(sql: Sequence[str]) -> sqlite3.Connection:
    """What cannot be made here (a virtual table whose module is missing, what such a table has made by itself) is left out."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    for text in sql:
        try:
            db.execute(text)
        except sqlite3.Error:
            continue
    return db


def as_it_is(statement: Statement, sql: Sequence[str]) -> Statement:
    """The statement with the text that it has on a schema that was made by these texts. Raises Cannot."""
    with closing(_empty(sql)) as db:
        return next(_run(db, (statement,)))


def _run(db: sqlite3.Connection, statements: Sequence[Statement]) -> Iterator[Statement]:
    for statement in statements:
        before = objects(db)
        try:
            for part in statement.parts:
                db.execute(part)
            sql = () if statement.rewrite is None else rebuilt(statement.rewrite, objects(db))
            for part in sql:
                db.execute(part)
        except (sqlite3.Error, Unreadable) as error:
            raise Cannot(
                f"{statement.title}: on an empty copy of the schema, SQLite {sqlite3.sqlite_version} says: {error}",
                "mend what it names; a function or collation of the application's own cannot be used by changeover",
            ) from None
        yield statement if statement.rewrite is None else _written(statement, statement.rewrite, sql, before)


def _written(statement: Statement, rewrite: Rewrite, sql: Sequence[str], before: Sequence[Object]) -> Statement:
    text = ";\n".join((*statement.parts, *sql))
    return replace(statement, sql=text, rewrite=replace(rewrite, before=_text_of(before, rewrite)))


def _text_of(found: Sequence[Object], rewrite: Rewrite) -> str:
    return next((o.sql for o in found if o.type == "table" and o.name == rewrite.table), "")

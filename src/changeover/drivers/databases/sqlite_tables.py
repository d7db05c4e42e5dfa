"""The tables of a SQLite database as operations need them; the text that made a table is kept, for a table is changed by its text."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence

from changeover.core.catalogue import Catalogue, Column, Constraint, Index, Kind, Rule, Table, Trigger

OURS = "zz_co_"  # the names of changeover's triggers begin like this
_ACTIONS = {"NO ACTION": ""}


def catalogue(db: sqlite3.Connection, names: Sequence[str]) -> Catalogue:
    """Those of the named tables that are there, and what else is in the file. One snapshot."""
    db.execute("BEGIN")
    try:
        rows = db.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master").fetchall()
        found = {n: _table(db, n, rows) for n in names if any(r[0] in ("table", "view") and r[1] == n for r in rows)}
        version = tuple(int(part) for part in sqlite3.sqlite_version.split("."))
        return Catalogue(found, frozenset(str(r[1]) for r in rows), {}, version)
    finally:
        db.execute("ROLLBACK")


def _table(db: sqlite3.Connection, name: str, master: Sequence[tuple[str, ...]]) -> Table:
    kind, sql = next((r[0], r[3]) for r in master if r[1] == name and r[0] in ("table", "view"))
    info = db.execute(
        'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)', (name,)
    ).fetchall()
    columns = tuple(
        Column(c[0], c[1].lower(), nullable=not c[2], default=c[3], generated="generated" if c[5] in (2, 3) else "")
        for c in info
    )
    key = tuple(c[0] for c in sorted((c for c in info if c[4]), key=lambda c: c[4]))
    triggers = tuple(
        Trigger(r[1], r[3], ours=r[1].startswith(OURS)) for r in sorted(master) if r[0] == "trigger" and r[2] == name
    )
    views = tuple(r[1] for r in sorted(master) if r[0] == "view" and re.search(rf"\b{re.escape(name)}\b", r[3]))
    others = [r[1] for r in master if r[0] == "table" and r[1] != name]
    return Table(
        name,
        columns,
        kind=Kind.VIEW if kind == "view" else Kind.OTHER if sql.lower().startswith("create virtual") else Kind.TABLE,
        primary_key=key,
        indexes=tuple(_indexes(db, name, master)),
        constraints=tuple(_foreign_keys(db, name)) + _uniques(db, name),
        triggers=triggers,
        views=views,
        referenced_by=tuple(
            c for other in others for c in _foreign_keys(db, other) if c.references.lower() == name.lower()
        ),
        sql=sql,
    )


def _indexes(db: sqlite3.Connection, name: str, master: Sequence[tuple[str, ...]]) -> list[Index]:
    found = []
    texts = {r[1]: r[3] for r in master if r[0] == "index"}
    for index, unique, origin in db.execute(
        'SELECT name, "unique", origin FROM pragma_index_list(?) ORDER BY name', (name,)
    ).fetchall():
        if origin == "pk":
            continue
        columns = db.execute("SELECT name FROM pragma_index_info(?) ORDER BY seqno", (index,)).fetchall()
        plain = tuple(c[0] for c in columns) if all(c[0] for c in columns) else ()
        where = re.search(r"\bwhere\b(.*)$", texts.get(index, ""), re.IGNORECASE | re.DOTALL)
        found.append(
            Index(index, plain, bool(unique), where[1].strip() if where else "", origin == "u", texts.get(index, ""))
        )
    return found


def _uniques(db: sqlite3.Connection, name: str) -> tuple[Constraint, ...]:
    rows = db.execute("SELECT name FROM pragma_index_list(?) WHERE origin = 'u' ORDER BY name", (name,)).fetchall()
    return tuple(
        Constraint(
            r[0],
            Rule.UNIQUE,
            tuple(c[0] for c in db.execute("SELECT name FROM pragma_index_info(?) ORDER BY seqno", r)),
        )
        for r in rows
    )


def _foreign_keys(db: sqlite3.Connection, name: str) -> list[Constraint]:
    found: dict[int, list[tuple[str, ...]]] = {}
    query = 'SELECT id, "table", "from", coalesce("to", \'\'), on_update, on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq'
    for row in db.execute(query, (name,)):
        found.setdefault(row[0], []).append(row)
    return [
        Constraint(
            f"fk_{name}_{number}",
            Rule.FOREIGN_KEY,
            tuple(r[2] for r in rows),
            references=rows[0][1],
            referred=tuple(r[3] for r in rows),
            on_update=_ACTIONS.get(rows[0][4], rows[0][4]),
            on_delete=_ACTIONS.get(rows[0][5], rows[0][5]),
        )
        for number, rows in found.items()
    ]

"""What the catalogue of a SQLite file says: its hash, and whether a statement has been done."""

from __future__ import annotations

import hashlib
import re
import sqlite3

from changeover.core.model import Probe
from changeover.drivers.databases.compare import Sum
from changeover.schema.engines.sqlite_text import Unreadable, labels_of, parsed, same

_OWN = "changeover\\_%"
_INTERNAL = "sqlite\\_%"
_RANGE = 2**64


def catalogue_hash(db: sqlite3.Connection) -> str:
    """sha256 over every table, index, view and trigger as it was written; changeover's own and SQLite's left out."""
    rows = db.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL "
        "AND tbl_name NOT LIKE ? ESCAPE '\\' AND tbl_name NOT LIKE ? ESCAPE '\\' AND name NOT LIKE ? ESCAPE '\\'",
        (_OWN, _INTERNAL, _OWN),
    ).fetchall()
    return hashlib.sha256("\n".join(sorted(repr(row) for row in rows)).encode()).hexdigest()


def done(db: sqlite3.Connection, probe: Probe) -> bool:
    """Does the catalogue show it? What SQLite does not have (types, schemas, …) is never there."""
    match probe.what:
        case "table" | "view" | "index" | "trigger":
            return _exists(db, probe.what, probe.name, probe.table) is probe.present
        case "column" | "not_null" | "default":
            return _column(db, probe)
        case "constraint" | "enum_value":
            return _in_text(db, probe)
        case _:
            return not probe.present


def _exists(db: sqlite3.Connection, kind: str, name: str, table: str) -> bool:
    row = db.execute(
        "SELECT tbl_name FROM sqlite_master WHERE type = ? AND name = ? COLLATE NOCASE", (kind, name)
    ).fetchone()
    if row is None:
        return False
    return kind not in ("index", "trigger") or not table or str(row[0]).lower() == table.lower()


def _column(db: sqlite3.Connection, probe: Probe) -> bool:
    """A table that is missing shows nothing: the statement would fail, and must."""
    rows = db.execute('SELECT name, type, "notnull", dflt_value FROM pragma_table_xinfo(?)', (probe.table,)).fetchall()
    if not rows:
        return False
    found = next((row for row in rows if str(row[0]).lower() == probe.name.lower()), None)
    match probe.what:
        case "column":
            if found is None or not probe.present:
                return (found is not None) is probe.present
            return not probe.definition or _plain(found[1]) == _plain(probe.definition)
        case "not_null":
            return found is not None and bool(found[2]) is probe.present
        case _:
            default = None if found is None else found[3]
            there = default is not None and (not probe.definition or str(default).strip() == probe.definition)
            return found is not None and there is probe.present


def _plain(type_: str) -> str:
    """A type as it is compared: SQLite keeps it as it was written."""
    return re.sub(r"\s+", "", type_).lower()


def _in_text(db: sqlite3.Connection, probe: Probe) -> bool:
    """A constraint, or a label that a check allows. A text that is not understood shows nothing."""
    row = db.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name = ? COLLATE NOCASE", (probe.table,)
    ).fetchone()
    if row is None:
        return False
    try:
        named = parsed(row[1]).named(row[0])
    except Unreadable:
        return False
    if probe.what == "constraint":
        there = any(same(name, probe.name) for name, _ in named)
    else:
        there = any(probe.definition in labels_of(rule, probe.name) for _, rule in named)
    return there is probe.present


def tables(db: sqlite3.Connection) -> tuple[str, ...]:
    """The tables that hold rows, by name; virtual ones keep theirs in tables of their own."""
    rows = db.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE ? ESCAPE '\\' "
        "AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name",
        (_INTERNAL,),
    )
    return tuple(row[0] for row in rows)


def sums(db: sqlite3.Connection) -> dict[str, Sum]:
    """Rows and checksum of every table. The hash is blake2b over the values with their types."""
    found = {}
    for table in tables(db):
        count = total = 0
        quoted = '"' + table.replace('"', '""') + '"'
        for row in db.execute(f"SELECT * FROM {quoted}"):
            count += 1
            total = (total + _hash(row)) % _RANGE
        found[table] = Sum(count, total)
    return found


def _hash(row: tuple[object, ...]) -> int:
    text = repr(row).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")

"""Whether the catalogue of a SQL Server database shows that a statement has been done."""

from __future__ import annotations

from typing import Any

from changeover.core.model import Probe
from changeover.drivers.databases import sqlserver_types as types
from changeover.drivers.databases.sqlserver_session import Connection
from changeover.drivers.databases.sqlserver_text import last_part

OBJECT = "SELECT COUNT(*) FROM sys.objects WHERE object_id = OBJECT_ID(@name) AND type IN ({types});"
_TYPES = {
    "table": "'U'",
    "view": "'V'",
    "sequence": "'SO'",
    "synonym": "'SN'",
    "function": "'FN', 'IF', 'TF', 'FS', 'FT', 'AF', 'P', 'PC'",  # a procedure is created and replaced like a function
}
HOLDER = OBJECT.format(types="'U', 'V'")  # what has columns, constraints and triggers

COLUMN = (
    "SELECT t.name, c.max_length, c.[precision], c.scale, c.is_nullable, CASE WHEN c.default_object_id <> 0 THEN 1 ELSE 0 END "
    "FROM sys.columns c JOIN sys.types t ON t.user_type_id = c.user_type_id "
    "WHERE c.object_id = OBJECT_ID(@table) AND c.name = @name;"
)
ON_TABLE = {
    "constraint": "SELECT COUNT(*) FROM sys.objects WHERE parent_object_id = OBJECT_ID(@table) AND name = @name "
    "AND type IN ('C', 'D', 'F', 'PK', 'UQ', 'EC');",
    "trigger": "SELECT COUNT(*) FROM sys.triggers WHERE parent_id = OBJECT_ID(@table) AND name = @name;",
    "valid": "SELECT (SELECT COUNT(*) FROM sys.check_constraints c WHERE c.parent_object_id = OBJECT_ID(@table) "
    "AND c.name = @name AND c.is_not_trusted = 0 AND c.is_disabled = 0) + (SELECT COUNT(*) FROM sys.foreign_keys f "
    "WHERE f.parent_object_id = OBJECT_ID(@table) AND f.name = @name AND f.is_not_trusted = 0 AND f.is_disabled = 0);",
}
BY_NAME = {
    "type": "SELECT COUNT(*) FROM sys.types WHERE user_type_id = TYPE_ID(@name);",
    "trigger": "SELECT COUNT(*) FROM sys.triggers WHERE object_id = OBJECT_ID(@name);",
    "schema": "SELECT COUNT(*) FROM sys.schemas WHERE schema_id = SCHEMA_ID(@name);",
}
GOOD_INDEX = (
    "SELECT COUNT(*) FROM sys.indexes i JOIN sys.objects o ON o.object_id = i.object_id WHERE i.name = @name "
    "AND o.is_ms_shipped = 0 AND i.is_disabled = 0 AND i.is_hypothetical = 0 "
    "AND (@table = N'' OR i.object_id = OBJECT_ID(@table));"
)
ANY_INDEX = (
    "SELECT COUNT(*) FROM sys.indexes i JOIN sys.objects o ON o.object_id = i.object_id WHERE i.name = @name "
    "AND o.is_ms_shipped = 0 AND (@table = N'' OR i.object_id = OBJECT_ID(@table));"
)


def done(db: Connection, probe: Probe) -> bool:
    """Does the catalogue show it? An index counts as there when it is in use, as gone when nothing of it is left."""
    values = {"name": probe.name, "table": probe.table}
    match probe.what:
        case "index":
            values["name"] = last_part(probe.name)
            found = db.number(GOOD_INDEX if probe.present else ANY_INDEX, values) > 0
            return found is probe.present
        case "table" | "view" | "sequence" | "synonym" | "function":
            sql = OBJECT.format(types=_TYPES[probe.what])
            return (db.number(sql, {"name": probe.name}) > 0) is probe.present
        case "column" | "not_null" | "default":
            return _holder(db, probe) and _column(db, probe)
        case "trigger" if not probe.table:  # DROP TRIGGER names no table
            return (db.number(BY_NAME["trigger"], {"name": probe.name}) > 0) is probe.present
        case "constraint" | "trigger" | "valid":
            values["name"] = last_part(probe.name)
            return _holder(db, probe) and (db.number(ON_TABLE[probe.what], values) > 0) is probe.present
        case "type" | "schema":
            name = last_part(probe.name) if probe.what == "schema" else probe.name
            return (db.number(BY_NAME[probe.what], {"name": name}) > 0) is probe.present
        case _:
            raise ValueError(f"no such probe: {probe.what}")


def _holder(db: Connection, probe: Probe) -> bool:
    """A table that is missing, or that this login does not see, shows nothing: the statement would fail, and must."""
    return db.number(HOLDER, {"name": probe.table}) > 0


def _column(db: Connection, probe: Probe) -> bool:
    row: tuple[Any, ...] | None = db.one(COLUMN, {"table": probe.table, "name": last_part(probe.name)})
    if probe.what != "column":
        if row is None:
            return False
        state = not row[4] if probe.what == "not_null" else bool(row[5])
        return state is probe.present
    if row is None or not probe.present:
        return (row is not None) is probe.present
    return not probe.definition or types.of_column(*row[:4]) == types.plain(probe.definition)

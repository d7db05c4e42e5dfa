"""Whether the catalogue of a MariaDB or MySQL database shows that a statement has been done."""

from __future__ import annotations

import re
from collections.abc import Mapping

from changeover.core.model import Probe
from changeover.drivers.databases.mysql_errors import NO_SUCH_TRIGGER, number_of
from changeover.drivers.databases.mysql_library import pymysql
from changeover.drivers.databases.mysql_session import Connection
from changeover.drivers.databases.mysql_types import same_type
from changeover.schema.engines.mysql_types import labels

_PART = re.compile(r"`((?:[^`]|``)*)`|([^.`]+)")
_SCHEMA = "COALESCE(%(schema)s, DATABASE())"
_KINDS = {"table": ("BASE TABLE", "SYSTEM VERSIONED"), "view": ("VIEW",), "sequence": ("SEQUENCE",)}
_RELATION = (
    f"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = {_SCHEMA} AND table_name = %(name)s "
    "AND table_type IN %(kinds)s"
)
_COLUMN = (
    "SELECT column_type, is_nullable, column_default FROM information_schema.columns "
    f"WHERE table_schema = {_SCHEMA} AND table_name = %(table)s AND column_name = %(name)s"
)
_ON_TABLE = {
    "index": f"SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = {_SCHEMA} "
    "AND (%(table)s = '' OR table_name = %(table)s) AND index_name = %(name)s",
    "constraint": f"SELECT COUNT(*) FROM information_schema.table_constraints WHERE constraint_schema = {_SCHEMA} "
    "AND table_name = %(table)s AND constraint_name = %(name)s",
    "trigger": f"SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = {_SCHEMA} "
    "AND (%(table)s = '' OR event_object_table = %(table)s) AND trigger_name = %(name)s",
}
_BY_NAME = {
    "schema": "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = %(name)s",
    "function": f"SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = {_SCHEMA} AND routine_name = %(name)s "
    "AND (%(definition)s NOT IN ('function', 'procedure') OR routine_type = %(definition)s)",
}
Values = Mapping[str, object]


def parts_of(name: str) -> tuple[str, ...]:
    """`` shop.`odd name` `` -> its parts, without their quotes."""
    return tuple((m[1] or "").replace("``", "`") if m[1] is not None else m[2] for m in _PART.finditer(name))


def done(db: Connection, probe: Probe) -> bool:
    """Does the catalogue show it? On a table that is missing, or that this login does not see, nothing counts as dropped."""
    values = _values(probe)
    match probe.what:
        case "table" | "view" | "sequence":
            return (_count(db, _RELATION, {**values, "kinds": _KINDS[probe.what]}) > 0) is probe.present
        case "schema" | "function":
            return (_count(db, _BY_NAME[probe.what], values) > 0) is probe.present
        case "trigger" if not probe.present and not probe.table:
            return _no_trigger(db, values)
        case "index" | "constraint" | "trigger":
            if probe.table and not _has_table(db, values):
                return False
            return (_count(db, _ON_TABLE[probe.what], values) > 0) is probe.present
        case "column" | "not_null" | "default" | "enum_value":
            return _has_table(db, values) and _column(db, probe, values)
        case _:
            raise ValueError(f"no such probe: {probe.what}")


def _values(probe: Probe) -> dict[str, object]:
    """What lies on a table has a plain name; the name of anything else may have its schema before it."""
    table = parts_of(probe.table)
    names = (probe.name,) if table or probe.what in ("index", "constraint") else parts_of(probe.name)
    schema = table[-2] if len(table) > 1 else names[-2] if len(names) > 1 and not table else None
    return {
        "schema": schema,
        "name": names[-1] if names else "",
        "table": table[-1] if table else "",
        "definition": probe.definition,
    }


def _column(db: Connection, probe: Probe, values: Values) -> bool:
    rows = db.execute(_COLUMN, values)
    match probe.what:
        case "column":
            wanted = bool(rows) and (
                not probe.present or not probe.definition or same_type(probe.definition, str(rows[0][0]))
            )
            return wanted is probe.present
        case "not_null":
            return bool(rows) and (rows[0][1] == "NO") is probe.present
        case "enum_value":
            return bool(rows) and (probe.definition in labels(str(rows[0][0]))) is probe.present
        case _:
            has = bool(rows) and rows[0][2] is not None and str(rows[0][2]).upper() != "NULL"
            return bool(rows) and has is probe.present


def _no_trigger(db: Connection, values: Values) -> bool:
    """information_schema hides triggers from a login that may not have any; the server itself says what is so."""
    schema = "" if values["schema"] is None else f"{quoted(str(values['schema']))}."
    try:
        db.execute(f"SHOW CREATE TRIGGER {schema}{quoted(str(values['name']))}")
    except pymysql.err.Error as error:
        if number_of(error) == NO_SUCH_TRIGGER:
            return True
        raise
    return False


def _has_table(db: Connection, values: Values) -> bool:
    kinds = (*_KINDS["table"], *_KINDS["view"])
    return _count(db, _RELATION, {**values, "name": values["table"], "kinds": kinds}) > 0


def _count(db: Connection, sql: str, values: Values) -> int:
    return int(db.execute(sql, dict(values))[0][0])


def quoted(name: str) -> str:
    """The name in backticks."""
    return "`" + name.replace("`", "``") + "`"

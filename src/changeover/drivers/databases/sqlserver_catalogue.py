"""What the catalogue of a SQL Server database says, as a hash.

It is made of names and definitions, never of ids or of numbers of columns, so backup and restore keeps it. Each part is a query
of its own: columns of the catalogue have two collations, which one UNION may not mix. Left out: changeover's own objects, what
Microsoft ships, grants, extended properties, partition boundaries, full-text catalogues, values of sequences and identities,
names that the server made up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from changeover.core.errors import DatabaseDenied
from changeover.drivers.databases.sqlserver_session import READ, Connection

SEES_DEFINITIONS = "SELECT HAS_PERMS_BY_NAME(DB_NAME(), N'DATABASE', N'VIEW DEFINITION');"
STATE = "SELECT COUNT(*), CONVERT(nvarchar(30), MAX(modify_date), 126) FROM sys.objects WHERE is_ms_shipped = 0;"
"""Differs when an object was made, changed or dropped meanwhile."""

_OURS = "s.name NOT LIKE N'changeover[_]%' AND o.name NOT LIKE N'changeover[_]%' AND o.is_ms_shipped = 0"
_OBJECT = "JOIN sys.objects o ON o.object_id = {of} JOIN sys.schemas s ON s.schema_id = o.schema_id"
_PARENT = _OBJECT.format(of="x.parent_object_id")
_NAME = "CASE WHEN x.is_system_named = 1 THEN N'' ELSE x.name END"

PARTS: Mapping[str, str] = {
    "schema": "SELECT s.name FROM sys.schemas s WHERE s.schema_id < 16384 "
    "AND s.name NOT IN (N'sys', N'INFORMATION_SCHEMA', N'guest') AND s.name NOT LIKE N'changeover[_]%'",
    "table": "SELECT s.name, o.name, o.temporal_type, o.is_memory_optimized, o.uses_ansi_nulls, "
    "OBJECT_SCHEMA_NAME(o.history_table_id), OBJECT_NAME(o.history_table_id) "
    f"FROM sys.tables o JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE {_OURS}",
    "column": "SELECT s.name, o.name, ROW_NUMBER() OVER (PARTITION BY x.object_id ORDER BY x.column_id), x.name, ts.name, "
    "t.name, x.max_length, x.[precision], x.scale, x.collation_name, x.is_nullable, x.is_identity, x.is_computed, x.is_sparse, "
    "x.is_rowguidcol, x.generated_always_type, x.is_hidden, x.is_masked "
    f"FROM sys.columns x {_OBJECT.format(of='x.object_id')} JOIN sys.types t ON t.user_type_id = x.user_type_id "
    f"JOIN sys.schemas ts ON ts.schema_id = t.schema_id WHERE o.type IN ('U', 'V') AND {_OURS}",
    "computed column": "SELECT s.name, o.name, x.name, x.definition, x.is_persisted "
    f"FROM sys.computed_columns x {_OBJECT.format(of='x.object_id')} WHERE {_OURS}",
    "identity": "SELECT s.name, o.name, x.name, CONVERT(nvarchar(60), x.seed_value), CONVERT(nvarchar(60), x.increment_value) "
    f"FROM sys.identity_columns x {_OBJECT.format(of='x.object_id')} WHERE o.type = 'U' AND {_OURS}",
    "default": f"SELECT s.name, o.name, COL_NAME(x.parent_object_id, x.parent_column_id), {_NAME}, x.definition "
    f"FROM sys.default_constraints x {_PARENT} WHERE {_OURS}",
    "check": f"SELECT s.name, o.name, {_NAME}, x.definition, x.is_disabled, x.is_not_trusted, x.is_not_for_replication "
    f"FROM sys.check_constraints x {_PARENT} WHERE {_OURS}",
    "foreign key": f"SELECT s.name, o.name, {_NAME}, OBJECT_SCHEMA_NAME(x.referenced_object_id), "
    "OBJECT_NAME(x.referenced_object_id), COL_NAME(k.parent_object_id, k.parent_column_id), "
    "COL_NAME(k.referenced_object_id, k.referenced_column_id), k.constraint_column_id, x.delete_referential_action, "
    "x.update_referential_action, x.is_disabled, x.is_not_trusted FROM sys.foreign_keys x "
    f"JOIN sys.foreign_key_columns k ON k.constraint_object_id = x.object_id {_PARENT} WHERE {_OURS}",
    "index": "SELECT s.name, o.name, CASE WHEN c.is_system_named = 1 THEN N'' ELSE x.name END, x.type, x.is_unique, "
    "x.is_primary_key, x.is_unique_constraint, x.ignore_dup_key, x.is_disabled, x.filter_definition, x.allow_row_locks, "
    "x.allow_page_locks, COL_NAME(k.object_id, k.column_id), k.key_ordinal, k.is_descending_key, k.is_included_column "
    f"FROM sys.indexes x {_OBJECT.format(of='x.object_id')} "
    "JOIN sys.index_columns k ON k.object_id = x.object_id AND k.index_id = x.index_id "
    "LEFT JOIN sys.key_constraints c ON c.parent_object_id = x.object_id AND c.unique_index_id = x.index_id "
    f"WHERE x.is_hypothetical = 0 AND o.type IN ('U', 'V') AND {_OURS}",
    "trigger": "SELECT s.name, o.name, x.name, x.is_disabled, x.is_instead_of_trigger, m.definition FROM sys.triggers x "
    f"{_OBJECT.format(of='x.parent_id')} LEFT JOIN sys.sql_modules m ON m.object_id = x.object_id WHERE {_OURS}",
    "trigger of the database": "SELECT x.name, x.is_disabled, m.definition FROM sys.triggers x "
    "LEFT JOIN sys.sql_modules m ON m.object_id = x.object_id WHERE x.parent_class = 0 AND x.is_ms_shipped = 0",
    "module": "SELECT s.name, o.name, o.type, m.definition, m.uses_ansi_nulls, m.uses_quoted_identifier, m.is_schema_bound "
    "FROM sys.objects o JOIN sys.schemas s ON s.schema_id = o.schema_id "
    "LEFT JOIN sys.sql_modules m ON m.object_id = o.object_id "
    f"WHERE o.type IN ('V', 'P', 'FN', 'IF', 'TF', 'FS', 'FT', 'AF', 'PC') AND {_OURS}",
    "type": "SELECT s.name, x.name, b.name, x.max_length, x.[precision], x.scale, x.is_nullable, x.is_table_type "
    "FROM sys.types x JOIN sys.schemas s ON s.schema_id = x.schema_id "
    "LEFT JOIN sys.types b ON b.user_type_id = x.system_type_id WHERE x.is_user_defined = 1",
    "column of a table type": "SELECT s.name, x.name, c.name, c.column_id, t.name, c.max_length, c.[precision], c.scale, "
    "c.is_nullable FROM sys.table_types x JOIN sys.schemas s ON s.schema_id = x.schema_id "
    "JOIN sys.columns c ON c.object_id = x.type_table_object_id JOIN sys.types t ON t.user_type_id = c.user_type_id",
    "sequence": "SELECT s.name, o.name, t.name, CONVERT(nvarchar(60), o.start_value), CONVERT(nvarchar(60), o.increment), "
    "CONVERT(nvarchar(60), o.minimum_value), CONVERT(nvarchar(60), o.maximum_value), o.is_cycling FROM sys.sequences o "
    f"JOIN sys.schemas s ON s.schema_id = o.schema_id JOIN sys.types t ON t.user_type_id = o.user_type_id WHERE {_OURS}",
    "synonym": "SELECT s.name, o.name, o.base_object_name FROM sys.synonyms o "
    f"JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE {_OURS}",
    "security policy": "SELECT s.name, o.name, o.is_enabled, x.predicate_type, x.operation, x.predicate_definition, "
    "OBJECT_SCHEMA_NAME(x.target_object_id), OBJECT_NAME(x.target_object_id) FROM sys.security_policies o "
    "JOIN sys.schemas s ON s.schema_id = o.schema_id JOIN sys.security_predicates x ON x.object_id = o.object_id "
    f"WHERE {_OURS}",
}
_TRIES = 3  # a change of the catalogue between two of the queries makes all of them be asked again


def catalogue_hash(db: Connection) -> str:
    """sha256 over the sorted lines of the catalogue. Raises DatabaseDenied for a login that does not see all of it."""
    must_see_definitions(db)
    lines: list[str] = []
    for _ in range(_TRIES):
        before = db.execute(STATE)
        lines = [repr((kind, *map(_same, row))) for kind, sql in PARTS.items() for row in db.execute(sql, timeout=READ)]
        if db.execute(STATE) == before:
            break
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def must_see_definitions(db: Connection) -> None:
    """Raises DatabaseDenied."""
    if db.number(SEES_DEFINITIONS) != 1:
        raise DatabaseDenied(
            "this login does not see every definition in the database, so it cannot tell whether one was changed",
            next=("changeover doctor --grants    (GRANT VIEW DEFINITION is one of them)",),
        )


def _same(value: object) -> object:
    """A bit is True or 1, by how it was sent."""
    return int(value) if isinstance(value, bool) else value

"""The tables of a SQL Server database as operations need them: those of the login's default schema, in the catalogue's own words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from changeover.core.catalogue import Catalogue, Column, Constraint, Index, Kind, Rule, Table, Trigger
from changeover.drivers.databases import sqlserver_types as types
from changeover.drivers.databases.sqlserver_catalogue import STATE, must_see_definitions
from changeover.drivers.databases.sqlserver_inspect import SERVER
from changeover.drivers.databases.sqlserver_session import READ, Connection, Row
from changeover.drivers.databases.sqlserver_text import quoted

OURS = "zz_co_"  # the names of changeover's triggers begin like this
_TRIES = 3  # a change of the catalogue between two of the queries makes all of them be asked again

SCHEMA = "SELECT SCHEMA_NAME();"
NAMES = "SELECT name FROM sys.objects WHERE schema_id = SCHEMA_ID() AND is_ms_shipped = 0;"
RELATION = (
    "SELECT o.object_id, o.name, o.type, CASE WHEN t.temporal_type <> 0 OR t.is_memory_optimized = 1 OR t.is_external = 1 "
    "OR t.is_filetable = 1 THEN 1 ELSE 0 END, CASE WHEN EXISTS (SELECT 1 FROM sys.indexes i JOIN sys.partition_schemes s "
    "ON s.data_space_id = i.data_space_id WHERE i.object_id = o.object_id AND i.index_id IN (0, 1)) THEN 1 ELSE 0 END, "
    "CASE WHEN EXISTS (SELECT 1 FROM sys.security_predicates p JOIN sys.security_policies q ON q.object_id = p.object_id "
    "WHERE p.target_object_id = o.object_id AND q.is_enabled = 1) THEN 1 ELSE 0 END, t.is_published, t.is_merge_published, "
    "t.is_tracked_by_cdc, CASE WHEN EXISTS (SELECT 1 FROM sys.change_tracking_tables c WHERE c.object_id = o.object_id) "
    "THEN 1 ELSE 0 END, (SELECT SUM(p.rows) FROM sys.partitions p WHERE p.object_id = o.object_id AND p.index_id IN (0, 1)), "
    "(SELECT SUM(a.total_pages) * 8192 FROM sys.partitions p JOIN sys.allocation_units a ON a.container_id = p.partition_id "
    "WHERE p.object_id = o.object_id) FROM sys.objects o LEFT JOIN sys.tables t ON t.object_id = o.object_id "
    "WHERE o.schema_id = SCHEMA_ID() AND o.type IN ('U', 'V', 'SN') AND o.name = @name;"
)
_LISTENERS = ("replication", "merge replication", "change data capture", "change tracking")  # in that order
COLUMNS = (
    "SELECT c.name, t.name, c.max_length, c.[precision], c.scale, t.is_user_defined, SCHEMA_NAME(t.schema_id), c.is_nullable, "
    "d.definition, p.definition, c.is_identity, c.collation_name, "
    "CONVERT(nvarchar(128), DATABASEPROPERTYEX(DB_NAME(), 'Collation')), c.is_sparse, c.is_rowguidcol, c.is_masked, "
    "c.is_filestream, c.is_column_set, CASE WHEN c.encryption_type IS NULL THEN 0 ELSE 1 END, "
    "CASE WHEN c.xml_collection_id <> 0 THEN 1 ELSE 0 END, c.generated_always_type FROM sys.columns c "
    "JOIN sys.types t ON t.user_type_id = c.user_type_id LEFT JOIN sys.default_constraints d ON d.object_id = c.default_object_id "
    "LEFT JOIN sys.computed_columns p ON p.object_id = c.object_id AND p.column_id = c.column_id "
    "WHERE c.object_id = @table ORDER BY c.column_id;"
)
_EXTRA = ("sparse", "a rowguid", "masked", "a filestream", "a column set", "encrypted", "typed by an XML schema")
INDEXES = (
    "SELECT i.name, i.type_desc, i.is_unique, i.filter_definition, i.is_unique_constraint, i.is_disabled, i.ignore_dup_key, "
    "COL_NAME(k.object_id, k.column_id), k.is_included_column, k.is_descending_key FROM sys.indexes i "
    "JOIN sys.index_columns k ON k.object_id = i.object_id AND k.index_id = i.index_id WHERE i.object_id = @table "
    "AND i.index_id > 0 AND i.is_hypothetical = 0 AND i.is_primary_key = {primary} "
    "ORDER BY i.index_id, k.is_included_column, k.key_ordinal, k.index_column_id;"
)
KEY, OTHER_INDEXES = INDEXES.format(primary=1), INDEXES.format(primary=0)
UNIQUE = (
    "SELECT c.name, i.type_desc, COL_NAME(k.object_id, k.column_id) FROM sys.key_constraints c "
    "JOIN sys.indexes i ON i.object_id = c.parent_object_id AND i.index_id = c.unique_index_id "
    "JOIN sys.index_columns k ON k.object_id = i.object_id AND k.index_id = i.index_id "
    "WHERE c.parent_object_id = @table AND c.type = 'UQ' ORDER BY c.name, k.key_ordinal;"
)
DEFAULTS = (
    "SELECT name, definition, COL_NAME(parent_object_id, parent_column_id) FROM sys.default_constraints "
    "WHERE parent_object_id = @table ORDER BY name;"
)
CHECKS = (
    "SELECT c.name, c.definition, COL_NAME(d.referenced_id, d.referenced_minor_id) FROM sys.check_constraints c "
    "LEFT JOIN sys.sql_expression_dependencies d ON d.referencing_id = c.object_id AND d.referenced_id = c.parent_object_id "
    "AND d.referenced_minor_id > 0 WHERE c.parent_object_id = @table ORDER BY c.name, d.referenced_minor_id;"
)
_FOREIGN = (
    "SELECT f.name, COL_NAME(k.parent_object_id, k.parent_column_id), COL_NAME(k.referenced_object_id, k.referenced_column_id), "
    "OBJECT_NAME(f.referenced_object_id), OBJECT_SCHEMA_NAME(f.referenced_object_id), f.update_referential_action_desc, "
    "f.delete_referential_action_desc, f.is_disabled FROM sys.foreign_keys f "
    "JOIN sys.foreign_key_columns k ON k.constraint_object_id = f.object_id WHERE f.{end}_object_id = @table "
    "ORDER BY f.name, k.constraint_column_id;"
)
FOREIGN_KEYS, POINTING = _FOREIGN.format(end="parent"), _FOREIGN.format(end="referenced")
STATISTICS = (
    "SELECT s.name, COL_NAME(k.object_id, k.column_id) FROM sys.stats s JOIN sys.stats_columns k ON k.object_id = s.object_id "
    "AND k.stats_id = s.stats_id WHERE s.object_id = @table AND s.user_created = 1 ORDER BY s.name, k.stats_column_id;"
)
FULL_TEXT = (
    "SELECT N'the full-text index', COL_NAME(object_id, column_id) FROM sys.fulltext_index_columns "
    "WHERE object_id = @table ORDER BY column_id;"
)
BOUND = (
    "SELECT OBJECT_NAME(b.object_id), c.name FROM sys.columns c JOIN sys.objects b ON b.object_id IN "
    "(c.rule_object_id, c.default_object_id) WHERE c.object_id = @table AND b.parent_object_id = 0 ORDER BY b.name, c.column_id;"
)
TRIGGERS = (
    "SELECT name, OBJECT_DEFINITION(object_id), is_disabled FROM sys.triggers WHERE parent_id = @table ORDER BY name;"
)
READERS = (
    "SELECT DISTINCT o.name FROM sys.sql_expression_dependencies d JOIN sys.objects o ON o.object_id = d.referencing_id "
    "WHERE d.referenced_id = @table AND (o.type = 'V' OR (d.is_schema_bound_reference = 1 AND o.type IN ('FN', 'IF', 'TF'))) "
    "ORDER BY o.name;"
)
_NO_ACTION = ("NO_ACTION", None)


def catalogue(db: Connection, names: Sequence[str]) -> Catalogue:
    """Those of the named tables of the default schema that are there, and what else is in it. Raises DatabaseDenied."""
    must_see_definitions(db)
    found = Catalogue()
    for _ in range(_TRIES):
        before = db.execute(STATE)
        found = _read(db, names)
        if db.execute(STATE) == before:
            break
    return found


def _read(db: Connection, names: Sequence[str]) -> Catalogue:
    schema = db.one(SCHEMA)
    server = db.one(SERVER)
    assert schema is not None
    assert server is not None, "a SELECT without FROM returns a row"
    tables = [_Reader(db, str(schema[0]), row).table() for n in names for row in db.execute(RELATION, {"name": n})]
    taken = {str(name) for (name,) in db.execute(NAMES, timeout=READ)}
    taken |= {i.name for t in tables for i in t.indexes}
    return Catalogue({t.name: t for t in tables}, frozenset(taken), version=(int(server[0]), int(server[2])))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one table; `row` is its RELATION."""

    db: Connection
    schema: str
    row: Row

    def table(self) -> Table:
        _, name, kind, other, partitioned, security, *listening, rows, size = self.row
        return Table(
            str(name),
            tuple(_column(r) for r in self._ask(COLUMNS)),
            kind=_kind(str(kind).strip(), other=bool(other), partitioned=bool(partitioned)),
            schema=self.schema,
            primary_key=tuple(str(r[7]) for r in self._ask(KEY)),
            indexes=tuple(_indexes(self._ask(OTHER_INDEXES))),
            constraints=tuple(self._constraints()),
            triggers=tuple(Trigger(n, d or "", not off, n.startswith(OURS)) for n, d, off in self._ask(TRIGGERS)),
            views=tuple(str(n) for (n,) in self._ask(READERS)),
            referenced_by=tuple(_foreign_keys(self._ask(POINTING), self.schema)),
            row_security=bool(security),
            listeners=tuple(word for word, on in zip(_LISTENERS, listening, strict=True) if on),
            rows=int(rows or 0),
            bytes=int(size or 0),
        )

    def _ask(self, sql: str) -> list[Row]:
        return self.db.execute(sql, {"table": self.row[0]})

    def _constraints(self) -> Iterable[Constraint]:
        yield from _grouped(self._ask(CHECKS), Rule.CHECK)
        yield from _grouped(self._ask(DEFAULTS), Rule.DEFAULT)
        for unique in _grouped(self._ask(UNIQUE), Rule.UNIQUE):
            yield replace(unique, definition=f"UNIQUE {unique.definition}")
        yield from _foreign_keys(self._ask(FOREIGN_KEYS), self.schema)
        for sql, words in ((STATISTICS, "statistics"), (FULL_TEXT, "full text"), (BOUND, "a bound rule or default")):
            yield from _grouped([(name, words, column) for name, column in self._ask(sql)], Rule.OTHER)


def _kind(kind: str, *, other: bool, partitioned: bool) -> Kind:
    if kind == "V":
        return Kind.VIEW
    if kind != "U" or other:
        return Kind.OTHER
    return Kind.PARTITIONED if partitioned else Kind.TABLE


def _column(row: Row) -> Column:
    (
        name,
        kind,
        length,
        precision,
        scale,
        own,
        schema,
        nullable,
        default,
        computed,
        identity,
        collation,
        usual,
        *flags,
    ) = row
    *extra, always = flags
    plain = types.of_column(kind, length, precision, scale)
    generated = computed or ("rowversion" if kind == "timestamp" else "period" if always else "")
    return Column(
        str(name),
        f"{quoted(schema)}.{quoted(kind)}" if own else plain,
        nullable=bool(nullable),
        default=default,
        generated=str(generated),
        identity=bool(identity),
        collation=str(collation) if collation and collation != usual and not own else "",
        extra=", ".join(word for word, on in zip(_EXTRA, extra, strict=True) if on),
    )


def _indexes(rows: Iterable[Row]) -> Iterable[Index]:
    found: dict[str, Index] = {}
    for name, kind, unique, where, constraint, disabled, ignoring, column, included, down in rows:
        flags = ("" if not disabled else ", DISABLED") + ("" if not ignoring else ", IGNORE_DUP_KEY")
        now = found.get(name) or Index(
            str(name), (), bool(unique), str(where or ""), bool(constraint), f"{kind}{flags}"
        )
        if included:
            now = replace(now, included=(*now.included, str(column)))
        else:
            descending = (*now.descending, len(now.columns)) if down else now.descending
            now = replace(now, columns=(*now.columns, str(column)), descending=descending)
        found[name] = now
    return found.values()


def _grouped(rows: Iterable[Sequence[Any]], rule: Rule) -> Iterable[Constraint]:
    """(name, definition, column) -> one constraint for each name, with its columns in order."""
    found: dict[str, Constraint] = {}
    for name, definition, column in rows:
        now = found.get(name) or Constraint(str(name), rule, (), str(definition or ""))
        found[name] = replace(now, columns=(*now.columns, str(column))) if column is not None else now
    return found.values()


def _foreign_keys(rows: Iterable[Row], schema: str) -> Iterable[Constraint]:
    """One that leads to another schema, or is disabled, is none that could be made again here."""
    found: dict[str, Constraint] = {}
    for name, column, referred, other, where, on_update, on_delete, disabled in rows:
        far = where != schema
        odd = f"a foreign key to {where}.{other}" if far else "a disabled foreign key" if disabled else ""
        now = found.get(name) or Constraint(
            str(name),
            Rule.OTHER if odd else Rule.FOREIGN_KEY,
            (),
            odd,
            str(other),
            on_update="" if on_update in _NO_ACTION else str(on_update).replace("_", " "),
            on_delete="" if on_delete in _NO_ACTION else str(on_delete).replace("_", " "),
        )
        found[name] = replace(now, columns=(*now.columns, str(column)), referred=(*now.referred, str(referred)))
    return found.values()

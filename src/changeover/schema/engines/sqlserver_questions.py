"""What is asked of the rows of a SQL Server database: each question counts what is wrong, and shows up to ten of them."""

from __future__ import annotations

from collections.abc import Sequence

from changeover.core.catalogue import Column, Constraint, Table
from changeover.core.model import Check
from changeover.schema.ddl import Pair
from changeover.schema.engines.sqlserver_objects import beside, columns, named
from changeover.schema.engines.sqlserver_text import differs, literal, quote
from changeover.schema.engines.words import columns_of, listed
from changeover.schema.expressions import substituted


def rows(table: Table, title: str, where: str) -> Check:
    """The rows of one table for which the condition is true."""
    inner = f"FROM {named(table)} WHERE {where}"
    shown = columns(_shown(table, ()))
    return Check(title, f"SELECT COUNT_BIG(*) {inner}", f"SELECT TOP (10) {shown} {inner}")


def _shown(table: Table, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*table.primary_key, *names))) or columns_of(table)[:3]


def duplicates(table: Table, names: Sequence[str]) -> Check:
    """Rows with NULL are left out, as the index leaves them out."""
    there = " AND ".join(f"{quote(n)} IS NOT NULL" for n in names)
    inner = f"FROM {named(table)} WHERE {there} GROUP BY {columns(names)} HAVING COUNT_BIG(*) > 1"
    return Check(
        f"values of {table.name} ({listed(names)}) that stand in several rows",
        f"SELECT COUNT_BIG(*) FROM (SELECT 1 AS several {inner}) AS d",
        f"SELECT TOP (10) {columns(names)}, COUNT_BIG(*) AS rows_of_them {inner}",
    )


def orphans(table: Table, constraint: Constraint) -> Check:
    other = beside(table, constraint.references)
    pairs = zip(constraint.columns, constraint.referred, strict=True)
    join = " AND ".join(f"r.{quote(b)} = t.{quote(a)}" for a, b in pairs)
    there = " AND ".join(f"t.{quote(c)} IS NOT NULL" for c in constraint.columns)
    inner = f"FROM {named(table)} AS t WHERE {there} AND NOT EXISTS (SELECT 1 FROM {other} AS r WHERE {join})"
    shown = ", ".join(f"t.{quote(c)}" for c in _shown(table, constraint.columns))
    return Check(
        f"rows of {table.name} whose {listed(constraint.columns)} is not in {constraint.references}",
        f"SELECT COUNT_BIG(*) {inner}",
        f"SELECT TOP (10) {shown} {inner}",
    )


def misfits(table: Table, pair: Pair) -> Check | None:
    """What a cast cannot take is NULL here, and does not come back as it was."""
    ups = {new: f"({_tried(up)})" for new, up in pair.up.items()}
    lost = (
        differs(quote(old), f"({_tried(substituted(down, ups, 'sqlserver'))})", _column(table, old))
        for old, down in pair.down.items()
    )
    where = " OR ".join(lost)
    return rows(table, f"rows of {table.name} whose {listed(pair.olds)} would not survive", where) if where else None


def _tried(expression: str) -> str:
    return f"TRY_{expression}" if expression.startswith("CAST(") else expression


def _column(table: Table, name: str) -> Column:
    known = table.column(name)
    assert known is not None, "a pair is made of columns of the table"
    return known


def missing_trigger(table: Table, name: str) -> Check:
    """1 if the trigger is not there, or asleep. The lock that is held keeps it as it is."""
    return Check(
        f"the trigger {name} on {table.name} is missing or disabled",
        f"SELECT 1 - COUNT(*) FROM sys.triggers WHERE parent_id = OBJECT_ID({literal(named(table))}) "
        f"AND name = {literal(name)} AND is_disabled = 0",
    )


def grants_on_columns(table: Table, names: Sequence[str] = ()) -> Check:
    """Of any column, which a synonym cannot have; or of these, which their successors would not have."""
    which, without = "minor_id <> 0", "the new name cannot have"
    if names:
        which = f"COL_NAME(major_id, minor_id) IN ({', '.join(map(literal, names))})"
        without = "their successors would not have"
    return Check(
        f"grants and denials on single columns of {table.name}, which {without}",
        f"SELECT COUNT(*) FROM sys.database_permissions WHERE class = 1 AND {which} "
        f"AND major_id = OBJECT_ID({literal(named(table))})",
        "SELECT TOP (10) COL_NAME(major_id, minor_id), state_desc, permission_name, USER_NAME(grantee_principal_id) "
        f"FROM sys.database_permissions WHERE class = 1 AND {which} AND major_id = OBJECT_ID({literal(named(table))})",
    )


_CACHED = (
    "SELECT SUBSTRING(t.text, q.statement_start_offset / 2 + 1, (CASE q.statement_end_offset WHEN -1 THEN DATALENGTH(t.text) "
    "ELSE q.statement_end_offset END - q.statement_start_offset) / 2 + 1) AS said FROM sys.dm_exec_query_stats AS q "
    "CROSS APPLY sys.dm_exec_plan_attributes(q.plan_handle) AS a CROSS APPLY sys.dm_exec_sql_text(q.sql_handle) AS t "
    "WHERE a.attribute = N'dbid' AND TRY_CONVERT(int, a.value) = DB_ID()"
)
_KEPT = (
    "SELECT x.query_sql_text AS said FROM sys.query_store_query_text AS x JOIN sys.query_store_query AS y "
    "ON y.query_text_id = x.query_text_id WHERE y.last_execution_time > DATEADD(DAY, -8, SYSDATETIMEOFFSET())"
)  # what runs once a week has run
_NO_WORD = "[^0-9A-Za-z_@#$]"
_ANY_CASE = "Latin1_General_100_CI_AS"


def outputs(table: Table) -> Check:
    """Statements that were run, one by one, and fail (334) as soon as the table has a trigger. Both sources forget."""
    name = "".join(f"[{c}]" if c in "[%_" else c for c in table.name)
    words = f"(N' ' + w.said + N' ') COLLATE {_ANY_CASE}"
    like = (literal(f"%{_NO_WORD}{word}{_NO_WORD}%") for word in (name, "OUTPUT"))
    inner = (
        f"FROM ({_CACHED} UNION {_KEPT}) AS w WHERE {' AND '.join(f'{words} LIKE {pattern}' for pattern in like)} "
        f"AND {words} NOT LIKE N'%OUTPUT%INTO%'"
    )
    return Check(
        f"statements of the last days that write to {table.name} with OUTPUT and without INTO: they fail (334) once it has a trigger",
        f"SELECT COUNT(*) {inner}",
        f"SELECT TOP (10) LEFT(w.said, CHARINDEX(N'''', w.said + N'''') - 1) {inner}",
    )

"""What SQLite is asked: rows in the way of a change, rows that do not fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from changeover.core.catalogue import Constraint, Table
from changeover.core.model import Check
from changeover.schema.ddl import Pair
from changeover.schema.engines.sqlite_rebuild import quoted
from changeover.schema.engines.words import columns_of, listed
from changeover.schema.expressions import substituted


def differs(one: str, two: str, column: str = "") -> str:
    """Byte by byte: under a NOCASE column `ann` would equal `Ann`, and an edit of the case would be no edit."""
    del column
    return f"{one} IS NOT {two} COLLATE BINARY"


def names(columns: Iterable[str]) -> str:
    return ", ".join(quoted(c) for c in columns)


def rows(table: Table, title: str, where: str) -> Check:
    """The rows of the table for which that is so."""
    shown = names(table.primary_key or columns_of(table)[:3])
    inner = f"FROM {quoted(table.name)} WHERE {where}"
    return Check(title, f"SELECT count(*) {inner}", f"SELECT {shown} {inner} LIMIT 10")


def nulls(table: Table, column: str) -> Check:
    return rows(table, f"rows of {table.name} without {column}", f"{quoted(column)} IS NULL")


def violations(table: Table, expression: str) -> Check:
    return rows(table, f"rows of {table.name} for which {expression} is false", f"NOT ({expression})")


def duplicates(table: Table, columns: Sequence[str]) -> Check:
    by = names(columns)
    there = " AND ".join(f"{quoted(c)} IS NOT NULL" for c in columns)
    inner = f"FROM {quoted(table.name)} WHERE {there} GROUP BY {by} HAVING count(*) > 1"
    return Check(
        f"values of {table.name} ({listed(columns)}) that stand in several rows",
        f"SELECT count(*) FROM (SELECT 1 {inner}) d",
        f"SELECT {by}, count(*) AS times {inner} LIMIT 10",
    )


def orphans(table: Table, constraint: Constraint) -> Check:
    pairs = zip(constraint.columns, constraint.referred, strict=True)
    join = " AND ".join(f"r.{quoted(b)} = t.{quoted(a)}" for a, b in pairs)
    there = " AND ".join(f"t.{quoted(c)} IS NOT NULL" for c in constraint.columns)
    other = quoted(constraint.references)
    inner = f"FROM {quoted(table.name)} t WHERE {there} AND NOT EXISTS (SELECT 1 FROM {other} r WHERE {join})"
    shown = dict.fromkeys((*table.primary_key, *constraint.columns))
    return Check(
        f"rows of {table.name} whose {listed(constraint.columns)} is not in {constraint.references}",
        f"SELECT count(*) {inner}",
        f"SELECT {', '.join(f't.{quoted(c)}' for c in shown)} {inner} LIMIT 10",
    )


def misfits(table: Table, pair: Pair) -> Check | None:
    """What is cast must come back as it was: CAST takes anything, and makes 0 of what is no number."""
    if not (pair.exact and pair.down):
        return None
    back = " OR ".join(
        differs(f"({substituted(down, {n: f'({up})' for n, up in pair.up.items()}, 'sqlite')})", quoted(old))
        for old, down in pair.down.items()
    )
    return rows(table, f"rows of {table.name} whose {listed(pair.olds)} would not survive", back)

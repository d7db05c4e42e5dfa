"""MariaDB and MySQL: the questions whose answer must be 0 rows."""

from __future__ import annotations

from collections.abc import Sequence

from changeover.core.catalogue import Constraint, Table
from changeover.core.model import Check
from changeover.schema.ddl import Pair
from changeover.schema.engines.mysql_sync import differs
from changeover.schema.engines.mysql_types import Type
from changeover.schema.engines.mysql_words import names, quote, text
from changeover.schema.engines.words import columns_of, listed
from changeover.schema.expressions import substituted


def rows(table: Table, title: str, where: str) -> Check:
    """Rows of a table, shown by their key."""
    inner = f"FROM {quote(table.name)} WHERE {where}"
    return Check(title, f"SELECT count(*) {inner}", f"SELECT {names(_shown(table, ()))} {inner} LIMIT 10")


def _shown(table: Table, columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*table.primary_key, *columns))) or columns_of(table)[:3]


def duplicates(table: Table, columns: Sequence[str]) -> Check:
    by = names(columns)
    there = " AND ".join(f"{quote(c)} IS NOT NULL" for c in columns)
    inner = f"FROM {quote(table.name)} WHERE {there} GROUP BY {by} HAVING count(*) > 1"
    return Check(
        f"values of {table.name} ({listed(columns)}) that stand in several rows",
        f"SELECT count(*) FROM (SELECT 1 {inner}) d",
        f"SELECT {by}, count(*) AS n {inner} LIMIT 10",
    )


def orphans(table: Table, constraint: Constraint) -> Check:
    pairs = zip(constraint.columns, constraint.referred, strict=True)
    join = " AND ".join(f"r.{quote(b)} = t.{quote(a)}" for a, b in pairs)
    there = " AND ".join(f"t.{quote(c)} IS NOT NULL" for c in constraint.columns)
    other = f"SELECT 1 FROM {quote(constraint.references)} r WHERE {join}"
    inner = f"FROM {quote(table.name)} t WHERE {there} AND NOT EXISTS ({other})"
    shown = ", ".join(f"t.{quote(c)}" for c in _shown(table, constraint.columns))
    return Check(
        f"rows of {table.name} whose {listed(constraint.columns)} is not in {constraint.references}",
        f"SELECT count(*) {inner}",
        f"SELECT {shown} {inner} LIMIT 10",
    )


def misfits(table: Table, pair: Pair, dialect: str) -> Check | None:
    """What the new type cannot hold, and what does not come back as it was. `table` has both sides."""
    found = []
    for new, up in pair.up.items():
        source, column = table.column(pair.olds[0]), table.column(new)
        if column is None or (source is not None and len(pair.olds) == 1 and source.type == column.type):
            continue
        found.append(Type.of(column.type).misfit(f"({up})"))
    for old, down in pair.down.items() if pair.exact else ():
        back = substituted(down, {n: f"({up})" for n, up in pair.up.items()}, dialect)
        if back.strip("()") != quote(old):
            found.append(differs(table, quote(old), f"({back})", old))
    asked = " OR ".join(condition for condition in found if condition)
    return rows(table, f"rows of {table.name} whose {listed(pair.olds)} would not survive", asked) if asked else None


def triggers_missing(table: Table, triggers: Sequence[str]) -> Check:
    """Asked under the lock of the contract: without them both sides may differ by now."""
    known = ", ".join(text(name) for name in triggers)
    return Check(
        f"a trigger on {table.name} is missing that keeps it in step: {listed(triggers)}",
        f"SELECT {len(triggers)} - count(*) FROM information_schema.triggers WHERE event_object_schema = DATABASE() "
        f"AND event_object_table = {text(table.name)} AND trigger_name IN ({known})",
    )

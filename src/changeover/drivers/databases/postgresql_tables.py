"""The tables of a PostgreSQL database as operations need them: types, defaults and definitions in the catalogue's own words."""

from __future__ import annotations

from collections.abc import Sequence

from changeover.core.catalogue import Catalogue, Column, Constraint, Index, Kind, Rule, Table, Trigger
from changeover.drivers.databases.postgresql_session import Connection

OURS = ("zz_co_",)  # the names of changeover's triggers begin like this

_RELATIONS = """
SELECT c.oid, c.relname, c.relkind::text, c.relispartition, c.relrowsecurity, greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid)
FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY(%(names)s)"""
_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
  CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) ELSE '' END, a.attidentity <> '',
  CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text ELSE '' END
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""
_KEY = """
SELECT a.attname FROM pg_constraint c, unnest(c.conkey) WITH ORDINALITY k(n, i) JOIN pg_attribute a ON a.attnum = k.n
WHERE c.conrelid = %(oid)s AND c.contype = 'p' AND a.attrelid = c.conrelid ORDER BY k.i"""
_INDEXES = """
SELECT i.relname, x.indisunique, coalesce(pg_get_expr(x.indpred, x.indrelid), ''), pg_get_indexdef(x.indexrelid),
  EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = x.indexrelid AND c.contype IN ('p', 'u', 'x')),
  CASE WHEN x.indexprs IS NULL AND x.indnatts = x.indnkeyatts THEN
    (SELECT array_agg(a.attname::text ORDER BY k.i) FROM unnest(x.indkey::int[]) WITH ORDINALITY k(n, i)
       JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.n) ELSE '{}'::text[] END
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = %(oid)s AND NOT x.indisprimary ORDER BY i.relname"""
_CONSTRAINTS = """
SELECT c.conname, c.contype::text, pg_get_constraintdef(c.oid), coalesce(f.relname::text, ''), c.confupdtype::text, c.confdeltype::text,
  coalesce((SELECT array_agg(a.attname::text ORDER BY k.i) FROM unnest(c.conkey) WITH ORDINALITY k(n, i)
     JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.n), '{}'),
  coalesce((SELECT array_agg(a.attname::text ORDER BY k.i) FROM unnest(c.confkey) WITH ORDINALITY k(n, i)
     JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.n), '{}')
FROM pg_constraint c LEFT JOIN pg_class f ON f.oid = c.confrelid
WHERE c.WHICH = %(oid)s AND c.contype NOT IN ('p', 'n', 't') ORDER BY c.conname"""
_TRIGGERS = """
SELECT tgname, pg_get_triggerdef(oid), tgenabled IN ('O', 'A') FROM pg_trigger WHERE tgrelid = %(oid)s AND NOT tgisinternal ORDER BY tgname"""
_VIEWS = """
SELECT DISTINCT v.relname FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = %(oid)s AND v.oid <> %(oid)s ORDER BY 1"""
_LISTENERS = """
SELECT 'publication ' || p.pubname FROM pg_publication_tables p WHERE p.schemaname = current_schema() AND p.tablename = %(name)s
UNION ALL SELECT 'replication slot ' || slot_name || ' (' || plugin || ')' FROM pg_replication_slots
  WHERE slot_type = 'logical' AND database = current_database() AND plugin <> 'pgoutput'
UNION ALL SELECT 'subscription ' || s.subname FROM pg_subscription_rel r JOIN pg_subscription s ON s.oid = r.srsubid WHERE r.srrelid = %(oid)s
ORDER BY 1"""
_NAMES = "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
_ENUMS = """
SELECT t.typname, array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
WHERE t.typnamespace = current_schema()::regnamespace GROUP BY t.typname"""
_ACTIONS = {"a": "", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT", " ": "", "": ""}
_RULES = {"c": Rule.CHECK, "u": Rule.UNIQUE, "f": Rule.FOREIGN_KEY}


def catalogue(db: Connection, names: Sequence[str]) -> Catalogue:
    """Those of the named tables of the current schema that are there, and what else is in it."""
    db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        found = {row[1]: _table(db, row) for row in db.execute(_RELATIONS, {"names": list(names)}).fetchall()}
        return Catalogue(
            found,
            frozenset(row[0] for row in db.execute(_NAMES)),
            {row[0]: tuple(row[1]) for row in db.execute(_ENUMS)},
            (db.info.server_version // 10_000, db.info.server_version % 10_000),
        )
    finally:
        db.execute("ROLLBACK")


def _table(db: Connection, row: tuple[object, ...]) -> Table:
    oid, name, kind, partition, security, rows, size = row
    at = {"oid": oid, "name": name}
    return Table(
        str(name),
        tuple(Column(*c) for c in db.execute(_COLUMNS, at)),
        kind=_kind(str(kind), bool(partition)),
        primary_key=tuple(k[0] for k in db.execute(_KEY, at)),
        indexes=tuple(Index(i[0], tuple(i[5] or ()), i[1], i[2], i[4], i[3]) for i in db.execute(_INDEXES, at)),
        constraints=tuple(_constraint(c) for c in db.execute(_CONSTRAINTS.replace("WHICH", "conrelid"), at)),
        triggers=tuple(Trigger(t[0], t[1], t[2], t[0].startswith(OURS)) for t in db.execute(_TRIGGERS, at)),
        views=tuple(v[0] for v in db.execute(_VIEWS, at)),
        referenced_by=tuple(
            _constraint(c) for c in db.execute(_CONSTRAINTS.replace("WHICH", "confrelid"), at) if c[1] == "f"
        ),
        row_security=bool(security),
        listeners=tuple(p[0] for p in db.execute(_LISTENERS, at)),
        rows=int(str(rows)),
        bytes=int(str(size)),
    )


def _kind(kind: str, partition: bool) -> Kind:
    if partition or kind == "p":
        return Kind.PARTITIONED
    return {"r": Kind.TABLE, "v": Kind.VIEW, "m": Kind.VIEW}.get(kind, Kind.OTHER)


def _constraint(row: tuple[object, ...]) -> Constraint:
    name, kind, definition, other, on_update, on_delete, columns, referred = row
    return Constraint(
        str(name),
        _RULES.get(str(kind), Rule.OTHER),
        tuple(columns),  # type: ignore[arg-type]
        str(definition),
        str(other),
        tuple(referred),  # type: ignore[arg-type]
        _ACTIONS.get(str(on_update), ""),
        _ACTIONS.get(str(on_delete), ""),
    )

"""What the catalogue of a PostgreSQL database says: its hash, and whether a statement has been done.

The hash is made of names and definitions, never of oids or of numbers of columns, so a dump and restore keeps it. (One
exception is PostgreSQL's: a CHECK with IN over varchar is written differently after its first restore.) Left out:
changeover's own objects, members of extensions, partitions (they come and go by themselves), grants, comments, sequence values.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from changeover.core.model import Probe
from changeover.drivers.databases.compare import Sum
from changeover.drivers.databases.postgresql_session import Connection

_MINE = """
WITH spaces AS (
  SELECT oid, nspname FROM pg_namespace
  WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname !~ '^(pg_toast|pg_temp)' AND nspname !~ '^changeover_'),
members AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
relations AS (
  SELECT c.*, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name FROM pg_class c JOIN spaces n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND NOT c.relispartition AND c.relname !~ '^changeover_'
    AND c.relpersistence <> 't' AND (1259, c.oid) NOT IN (SELECT classid::int, objid FROM members))
"""
_PARTS = (
    "SELECT 'schema', nspname, '' FROM spaces",
    "SELECT 'extension', extname, '' FROM pg_extension",
    """SELECT 'relation ' || relkind::text, name, concat_ws('|', relpersistence, relrowsecurity, relforcerowsecurity, reloptions::text,
         pg_get_partkeydef(oid)) FROM relations""",
    """SELECT 'parent', r.name, i.inhseqno || ' ' || i.inhparent::regclass::text FROM pg_inherits i JOIN relations r ON r.oid = i.inhrelid""",
    """SELECT 'column', r.name || '.' || a.attname, concat_ws('|',
         row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod), a.attnotnull,
         a.attidentity, a.attgenerated, CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
         coalesce(pg_get_expr(d.adbin, d.adrelid), 'no default'))
       FROM pg_attribute a JOIN relations r ON r.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
       LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
       WHERE a.attnum > 0 AND NOT a.attisdropped AND r.relkind <> 'S'""",
    """SELECT 'index', r.name || '.' || c.relname, concat_ws('|', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready)
       FROM pg_index i JOIN relations r ON r.oid = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid""",
    """SELECT 'constraint', r.name || '.' || c.conname, concat_ws('|', c.contype, pg_get_constraintdef(c.oid), c.convalidated,
         c.condeferrable, c.condeferred) FROM pg_constraint c JOIN relations r ON r.oid = c.conrelid WHERE c.contype NOT IN ('n', 't')""",
    """SELECT 'trigger', r.name || '.' || t.tgname, concat_ws('|', pg_get_triggerdef(t.oid), t.tgenabled, p.prosrc)
       FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid WHERE NOT t.tgisinternal""",
    """SELECT 'rule', r.name || '.' || w.rulename, pg_get_ruledef(w.oid) || w.ev_enabled::text
       FROM pg_rewrite w JOIN relations r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'""",
    """SELECT 'view', name, pg_get_viewdef(oid) FROM relations WHERE relkind IN ('v', 'm')""",
    """SELECT 'function', n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
         CASE WHEN p.prokind = 'a' THEN 'aggregate' ELSE pg_get_functiondef(p.oid) END
       FROM pg_proc p JOIN spaces n ON n.oid = p.pronamespace
       WHERE p.proname !~ '^changeover_' AND (1255, p.oid) NOT IN (SELECT classid::int, objid FROM members)""",
    """SELECT 'type ' || t.typtype::text, n.nspname || '.' || t.typname, concat_ws('|', t.typnotnull, t.typdefault,
         CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
         (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
         (SELECT string_agg(c.conname || ' ' || pg_get_constraintdef(c.oid) || c.convalidated::text, ',' ORDER BY c.conname)
            FROM pg_constraint c WHERE c.contypid = t.oid))
       FROM pg_type t JOIN spaces n ON n.oid = t.typnamespace
       WHERE t.typtype IN ('e', 'd', 'r') AND (1247, t.oid) NOT IN (SELECT classid::int, objid FROM members)""",
    """SELECT 'sequence', r.name, concat_ws('|', format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
         s.seqcycle) FROM pg_sequence s JOIN relations r ON r.oid = s.seqrelid""",
    """SELECT 'policy', r.name || '.' || p.polname, concat_ws('|', p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid),
         pg_get_expr(p.polwithcheck, p.polrelid),
         (SELECT string_agg(coalesce(o.rolname, 'public'), ',' ORDER BY o.rolname)
            FROM unnest(p.polroles) u(role) LEFT JOIN pg_roles o ON o.oid = u.role))
       FROM pg_policy p JOIN relations r ON r.oid = p.polrelid""",
)
CATALOGUE = _MINE + "\nUNION ALL ".join(_PARTS)


def catalogue_hash(db: Connection) -> str:
    """sha256 over the sorted lines of the catalogue. Names are written with their schema, whatever the login's search_path."""
    db.execute("SELECT set_config('search_path', 'pg_catalog', true)")
    rows = db.execute(CATALOGUE).fetchall()
    return hashlib.sha256("\n".join(sorted(repr(row) for row in rows)).encode()).hexdigest()


# probes ------------------------------------------------------------------------------------------------------

_RELATION = "SELECT count(*) FROM pg_class WHERE oid = to_regclass(%(name)s::text) AND relkind = ANY(%(kinds)s)"
_KINDS = {"table": ["r", "p", "f"], "view": ["v", "m"], "sequence": ["S"], "index": ["i", "I"]}
_ON_TABLE = {
    "column": "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass(%(table)s::text) AND attname = %(name)s AND NOT attisdropped "
    "AND attnum > 0 AND (%(definition)s::text = '' OR NOT %(present)s OR format_type(atttypid, atttypmod) = %(definition)s)",
    "constraint": "SELECT count(*) FROM pg_constraint WHERE conrelid = to_regclass(%(table)s::text) AND conname = %(name)s",
    "trigger": "SELECT count(*) FROM pg_trigger WHERE tgrelid = to_regclass(%(table)s::text) AND tgname = %(name)s AND NOT tgisinternal",
}
_STATE_OF_COLUMN = (
    "SELECT CASE %(what)s::text WHEN 'not_null' THEN attnotnull ELSE atthasdef END FROM pg_attribute "
    "WHERE attrelid = to_regclass(%(table)s::text) AND attname = %(name)s AND NOT attisdropped AND attnum > 0"
)
_VALID = "SELECT count(*) FROM pg_constraint WHERE conrelid = to_regclass(%(table)s::text) AND conname = %(name)s AND convalidated"
_ENUM_VALUE = (
    "SELECT count(*) FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid "
    "WHERE t.typname = %(name)s AND e.enumlabel = %(definition)s AND pg_type_is_visible(t.oid)"
)
_BY_NAME = {
    "type": "SELECT count(to_regtype(%(name)s::text))",
    "schema": "SELECT count(*) FROM pg_namespace WHERE nspname = (parse_ident(%(name)s))[1]",
    "function": "SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace, parse_ident(%(name)s) part "
    "WHERE p.proname = part[cardinality(part)] "
    "AND CASE cardinality(part) WHEN 1 THEN pg_function_is_visible(p.oid) ELSE n.nspname = part[1] END",
}
_GOOD_INDEX = (
    "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass(%(name)s::text) AND indisvalid AND indisready "
    "AND (%(table)s::text = '' OR indrelid = to_regclass(%(table)s::text))"
)


def done(db: Connection, probe: Probe) -> bool:
    """Does the catalogue show it? An index counts as there when it is valid, as gone when nothing of it is left."""
    values: dict[str, Any] = {
        "what": probe.what,
        "name": probe.name,
        "table": probe.table,
        "definition": probe.definition,
        "present": probe.present,
    }
    match probe.what:
        case "index" if probe.present:
            return _count(db, _GOOD_INDEX, values) > 0
        case "table" | "view" | "sequence" | "index":
            return (_count(db, _RELATION, {**values, "kinds": _KINDS[probe.what]}) > 0) is probe.present
        case "column" | "constraint" | "trigger":
            # A table that is missing (or not on the search_path) shows nothing: the statement would fail, and must.
            there = _count(db, _RELATION, {**values, "name": probe.table, "kinds": ["r", "p", "f", "v", "m"]}) > 0
            return there and (_count(db, _ON_TABLE[probe.what], values) > 0) is probe.present
        case "valid":
            return (_count(db, _VALID, values) > 0) is probe.present
        case "enum_value":
            return (_count(db, _ENUM_VALUE, values) > 0) is probe.present
        case "not_null" | "default":
            row = db.execute(_STATE_OF_COLUMN, values).fetchone()
            return row is not None and row[0] is probe.present
        case "type" | "schema" | "function":
            return (_count(db, _BY_NAME[probe.what], values) > 0) is probe.present
        case _:
            raise ValueError(f"no such probe: {probe.what}")


def _count(db: Connection, sql: str, values: dict[str, Any]) -> int:
    row = db.execute(sql, values).fetchone()
    return 0 if row is None else int(row[0])


@dataclass(frozen=True, slots=True)
class InvalidIndex:
    """An index whose build has failed, or is under way: `builder` is then the process, else 0. `name` is quoted."""

    name: str
    builder: int


def invalid_index(db: Connection, name: str) -> InvalidIndex | None:
    """The index of this name if it is INVALID. One on a partitioned table is so until its parts are attached: not meant."""
    row = db.execute(
        "SELECT format('%%I.%%I', n.nspname, c.relname), "
        "coalesce((SELECT min(pid) FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid), 0) "
        "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.oid = to_regclass(%s::text) AND c.relkind = 'i' AND NOT (i.indisvalid AND i.indisready)",
        (name,),
    ).fetchone()
    return None if row is None else InvalidIndex(row[0], row[1])


# rows --------------------------------------------------------------------------------------------------------

_TABLES = (
    "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema') "
    "AND n.nspname !~ '^(pg_toast|pg_temp)' "
    "AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 1259 AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1"
)
ALIKE = (
    "SELECT set_config('search_path', 'pg_catalog', false), set_config('row_security', 'off', false), "
    "set_config('bytea_output', 'hex', false), set_config('DateStyle', 'ISO, YMD', false), "
    "set_config('IntervalStyle', 'postgres', false), set_config('TimeZone', 'UTC', false), "
    "set_config('extra_float_digits', '1', false), set_config('statement_timeout', '0', false), "
    "set_config('idle_in_transaction_session_timeout', '0', false), set_config('lock_timeout', '0', false)"
)
"""Two sessions after this write the same row as the same text; row_security off: an error rather than hidden rows."""


def tables(db: Connection) -> tuple[str, ...]:
    """The tables that hold rows, quoted, with their schema; members of extensions left out."""
    return tuple(row[0] for row in db.execute(_TABLES))


def table_sum(db: Connection, table: str) -> Sum:
    """Rows and checksum of a table in a session after `ALIKE`: the sum of the rows' 64-bit hashes."""
    row = db.execute(
        f"SELECT count(*), coalesce(sum(hashtextextended(changeover_row::text, 0)::numeric), 0) FROM ONLY {table} changeover_row"
    ).fetchone()
    assert row is not None, "an aggregate returns a row"
    return Sum(int(row[0]), int(row[1]))

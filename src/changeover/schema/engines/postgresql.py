"""PostgreSQL: what was run and measured on 15 (docs/reference/operations.md says what each act locks)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from changeover.core.catalogue import Catalogue, Column, Constraint, Index, Rule, Table
from changeover.core.model import RANGE, BackfillStatement, ChangeSet, Check, Lock, Probe, Verdict
from changeover.schema.ddl import Ddl, Leaving, Pair, made
from changeover.schema.engines.engine import Acts, Cannot
from changeover.schema.engines.words import Marks, columns_of, listed, must_not_repeat, pair_words, table_words
from changeover.schema.expressions import substituted

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import IdentifierPreparer

TYPES = frozenset(
    [
        "smallint",
        "integer",
        "bigint",
        "int",
        "int2",
        "int4",
        "int8",
        "numeric",
        "decimal",
        "real",
        "float4",
        "float8",
        "money",
        "text",
        "varchar",
        "char",
        "character",
        "bpchar",
        "citext",
        "bytea",
        "boolean",
        "bool",
        "date",
        "time",
        "timetz",
        "timestamp",
        "timestamptz",
        "interval",
        "uuid",
        "json",
        "jsonb",
        "xml",
        "inet",
        "cidr",
        "macaddr",
        "bit",
        "varbit",
        "point",
        "line",
        "lseg",
        "box",
        "path",
        "polygon",
        "circle",
        "tsvector",
        "tsquery",
        "int4range",
        "int8range",
        "numrange",
        "tsrange",
        "tstzrange",
        "daterange",
        "oid",
        "name",
    ]
)
SPELT = {
    "int": "integer",
    "int4": "integer",
    "int2": "smallint",
    "int8": "bigint",
    "bool": "boolean",
    "float4": "real",
    "float8": "double precision",
    "float": "double precision",
    "decimal": "numeric",
    "varchar": "character varying",
    "char": "character",
    "bpchar": "character",
    "varbit": "bit varying",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "time": "time without time zone",
    "timetz": "time with time zone",
}
_LONG = frozenset(
    {
        "double precision",
        "character varying",
        "bit varying",
        "timestamp without time zone",
        "timestamp with time zone",
        "time without time zone",
        "time with time zone",
    }
)
_TYPE = re.compile(r"(?P<name>[a-z_][a-z0-9_ ]*?)\s*(?P<size>\(\s*\d+\s*(,\s*\d+\s*)?\))?(?P<array>(\[\])*)")
_SIZED_MIDDLE = re.compile(r"(timestamp|time)\s*(\(\d+\))?\s*(with|without) time zone")
_RANGES = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
_NO_EQUALITY = frozenset({"json", "xml", "point", "line", "polygon"})
ASSIGN = "NEW.{column} := {value};"
STAR = (
    "a statement of a running version that was prepared as SELECT * fails from then on in its session "
    "(`cached plan must not change result type`): name columns, or recycle the connections after this"
)


TYPED = (
    "a statement of a running version that returns the column and was prepared before fails from then on in its session "
    "(`cached plan must not change result type`): recycle the connections after this, or give the column a new name with `to:`"
)


@dataclass(frozen=True, slots=True)
class PostgresqlEngine:
    """Writes PostgreSQL. One act is one transaction, but those that run `alone`."""

    names_columns: bool = False  # no version in play prepares SELECT *
    dialect: str = "postgresql"
    longest: int = 63
    fills_before: bool = True
    drops_indexes: bool = True

    def size(self, name: str) -> int:
        return len(name.encode())

    def quote(self, name: str) -> str:
        return _preparer().quote(name)

    def named(self, table: Table) -> str:
        return ".".join(self.quote(part) for part in (table.schema, table.name) if part)

    def check_type(self, type_: str, enums: Mapping[str, tuple[str, ...]]) -> str:
        text = " ".join(type_.strip().lower().split())
        sized = _SIZED_MIDDLE.fullmatch(text)
        if sized:
            return f"{sized[1]}{sized[2] or ''} {sized[3]} time zone"
        found = _TYPE.fullmatch(text)
        if found is not None and (found["name"] in TYPES | _LONG | SPELT.keys()):
            name, size, array = found["name"], (found["size"] or "").replace(" ", ""), found["array"] or ""
            spelt = SPELT.get(name, name)
            if size and spelt.startswith(("timestamp", "time ")):
                head, _, rest = spelt.partition(" ")
                return f"{head}{size} {rest}{array}"
            return f"{spelt}{'(1)' if spelt == 'character' and not size else size}{array}"
        if type_.strip() in enums:
            return self.quote(type_.strip())
        near = (
            "serial columns have a sequence: use an identity column"
            if "serial" in text
            else "write it as PostgreSQL does"
        )
        raise Cannot(f"{type_!r} is no type that is known here", near)

    def labels(self, table: Table | None, name: str, enums: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        if table is not None:
            raise Cannot(
                "PostgreSQL keeps labels in a type",
                f"add_enum_value: {{ type: TYPE, value: … }} instead of {table.name}.{name}",
            )
        if name not in enums:
            raise Cannot(f"there is no enum type {name}", f"known are {listed(sorted(enums)) or 'none'}")
        return enums[name]

    def filler(self, column: Column) -> str:
        base = column.type.partition("(")[0].strip()
        if base in ("smallint", "integer", "bigint", "numeric", "real", "double precision", "money"):
            return "0"
        if base == "boolean":
            return "false"
        if base.startswith(("timestamp", "date", "time")):
            return "now()"
        return "''"

    def cast(self, expression: str, type_: str) -> str:
        return f"CAST({expression} AS {type_})"

    def recast(self, default: str, old: str, new: str) -> str:
        """The catalogue writes `'x'::text`; the new column's own type takes its place."""
        bare = default.removesuffix(f"::{old.partition('(')[0]}")
        return bare if re.fullmatch(r"-?[\d.]+|'[^']*'|true|false|NULL|now\(\)", bare) else f"CAST({default} AS {new})"

    def foresee(self, changes: ChangeSet, catalogue: Catalogue) -> tuple[ChangeSet, Catalogue]:
        return changes, catalogue

    def moves(self, table: Table, olds: Sequence[str], news: Mapping[str, Column]) -> None:
        del news
        for index in table.indexes:
            odd = not index.columns or index.where or " USING btree " not in f"{index.definition or ' USING btree '}"
            touched = any(o in index.columns or re.search(rf"\b{re.escape(o)}\b", index.definition) for o in olds)
            if touched and (odd or len(olds) > 1) and not index.constraint:
                raise Cannot(
                    f"the index {index.name} on {table.name} uses {listed(olds)} in a way that cannot be copied",
                    "drop it in an earlier release and add what is needed as add_index",
                )
        other = [c.name for c in table.constraints if c.rule is Rule.OTHER and set(olds) & set(c.columns)]
        if other:
            raise Cannot(
                f"the constraint {listed(other)} on {table.name} cannot be copied", "drop it in an earlier release"
            )

    def leave(self, table: Table, column: Column, parked: str) -> Leaving:
        """Its foreign keys go with its name: values that nobody sees any more must not hold rows of other tables."""
        held = (c for c in table.constraints if c.rule is Rule.FOREIGN_KEY and column.name in c.columns)
        return Leaving(parked={column.name: parked}, more=tuple(self._no_constraint(table, c) for c in held))

    def _no_constraint(self, table: Table, constraint: Constraint) -> str:
        return f"ALTER TABLE {self.named(table)} DROP CONSTRAINT IF EXISTS {self.quote(constraint.name)}"

    # what a release adds ---------------------------------------------------------------------------------------

    def create_table(self, table: Table) -> Acts:
        parts = [self._column(c) for c in table.columns]
        if table.primary_key:
            parts.append(f"PRIMARY KEY ({self._list(table.primary_key)})")
        parts += [f"CONSTRAINT {self.quote(c.name)} {self._constraint(c)}" for c in table.constraints]
        sql = f"CREATE TABLE {self.named(table)} ({', '.join(parts)})"
        indexes = tuple(act for i in table.indexes for act in self._index(table, i, concurrently=False))
        return (Ddl(f"+ table {table.name}", sql, Probe("table", self.named(table))), *indexes)

    def add_column(self, table: Table, column: Column) -> Acts:
        sql = f"ALTER TABLE {self.named(table)} ADD COLUMN {self._column(column)}"
        probe = Probe("column", column.name, self.named(table), definition=column.type)
        return (Ddl(f"+ column {table.name}.{column.name} {column.type}", sql, probe, verdict=self._star, reason=STAR),)

    def adds_filled(self, column: Column) -> bool:
        del column
        return True

    @property
    def _star(self) -> Verdict:
        return Verdict.OK if self.names_columns else Verdict.WARN

    def make_optional(self, table: Table, column: Column, default: str | None) -> Acts:
        if default is None and column.nullable:
            return ()
        what = "DROP NOT NULL" if default is None else f"SET DEFAULT {default}"
        shown = f"~ {table.name}.{column.name} may be left out ({what.lower()})"
        probe = (
            Probe("not_null", column.name, self.named(table), present=False)
            if default is None
            else Probe("default", column.name, self.named(table))
        )
        if default is not None and column.default is not None:
            return ()  # it has one; what it is stays the business of the version before
        if default is not None:
            must_not_repeat(table, column, default)
        return (Ddl(shown, f"ALTER TABLE {self.named(table)} ALTER COLUMN {self.quote(column.name)} {what}", probe),)

    def alias_table(self, table: Table, name: str) -> Acts:
        view = self.named(replace(table, name=name))
        columns = self._list(c.name for c in table.columns)
        sql = f"CREATE VIEW {view} WITH (security_invoker = true) AS SELECT {columns} FROM {self.named(table)}"
        grants = (
            "DO $changeover$ DECLARE g record; BEGIN FOR g IN SELECT grantee, string_agg(privilege_type, ', ') AS rights "
            f"FROM information_schema.role_table_grants WHERE table_schema = {self._schema(table)} "
            f"AND table_name = {_text(table.name)} AND privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE') GROUP BY grantee "
            f"LOOP EXECUTE format('GRANT %s ON {view.replace('%', '%%')} TO %s', g.rights, "
            "CASE g.grantee WHEN 'PUBLIC' THEN 'PUBLIC' ELSE quote_ident(g.grantee) END); END LOOP; END $changeover$"
        )
        return (Ddl(f"+ view {name}, the new name of {table.name}", probe=Probe("view", view), block=(sql, grants)),)

    def add_index(self, table: Table, index: Index) -> Acts:
        return self._index(table, index, concurrently=True)

    def add_unique(self, table: Table, constraint: Constraint) -> Acts:
        index = Index(constraint.name, constraint.columns, unique=True)
        sql = (
            f"ALTER TABLE {self.named(table)} ADD CONSTRAINT {self.quote(constraint.name)} "
            f"UNIQUE USING INDEX {self.quote(constraint.name)}"
        )
        probe = Probe("constraint", constraint.name, self.named(table))
        return (*self.add_index(table, index), Ddl(f"+ unique {table.name} ({listed(constraint.columns)})", sql, probe))

    def add_check(self, table: Table, constraint: Constraint) -> Acts:
        return self._not_valid(table, constraint, f"CHECK ({constraint.definition})")

    def add_foreign_key(self, table: Table, constraint: Constraint) -> Acts:
        return self._not_valid(table, constraint, self._constraint(constraint))

    def _not_valid(self, table: Table, constraint: Constraint, rule: str) -> Acts:
        name, on = self.quote(constraint.name), self.named(table)
        shown = f"+ {constraint.rule.replace('_', ' ')} {constraint.name} on {table.name}"
        added = Ddl(
            f"{shown} (not validated)",
            f"ALTER TABLE {on} ADD CONSTRAINT {name} {rule} NOT VALID",
            Probe("constraint", constraint.name, on),
        )
        return (added, self._validate(table, constraint.name))

    def _validate(self, table: Table, name: str) -> Ddl:
        on = self.named(table)
        sql = f"ALTER TABLE {on} VALIDATE CONSTRAINT {self.quote(name)}"
        return Ddl(f"~ validate {name} on {table.name}", sql, Probe("valid", name, on), lock=Lock.NONE)

    def set_not_null(self, table: Table, column: Column) -> Acts:
        """By a validated CHECK: SET NOT NULL finds it and does not scan under its lock."""
        on, name = self.named(table), self.quote(column.name)
        helper = self._helper(table, column.name)
        add = Ddl(
            f"+ {table.name}.{column.name} is not null (not validated)",
            f"ALTER TABLE {on} ADD CONSTRAINT {self.quote(helper)} CHECK ({name} IS NOT NULL) NOT VALID",
            Probe("constraint", helper, on),
        )
        done = Ddl(
            f"+ not null {table.name}.{column.name}",
            probe=Probe("constraint", helper, on, present=False),
            block=(
                f"ALTER TABLE {on} ALTER COLUMN {name} SET NOT NULL",
                f"ALTER TABLE {on} DROP CONSTRAINT {self.quote(helper)}",
            ),
        )
        return (add, self._validate(table, helper), done)

    def _helper(self, table: Table, column: str) -> str:
        """The CHECK that is there while a column becomes NOT NULL."""
        return made("zz_nn", self.longest, table.name, column)

    def undo_not_null(self, table: Table, column: Column) -> Acts:
        on, helper = self.named(table), self._helper(table, column.name)
        sql = f"ALTER TABLE {on} DROP CONSTRAINT {self.quote(helper)}"
        unchecked = Ddl(f"- check {helper} on {table.name}", sql, Probe("constraint", helper, on, present=False))
        return (unchecked, *self.drop_not_null(table, column))

    def undo_unique(self, table: Table, constraint: Constraint) -> Acts:
        """The index may be there alone, or in remains."""
        index = Index(constraint.name, constraint.columns, unique=True)
        return (*self.drop_constraint(table, constraint), *self.drop_index(table, index))

    def drop_not_null(self, table: Table, column: Column) -> Acts:
        sql = f"ALTER TABLE {self.named(table)} ALTER COLUMN {self.quote(column.name)} DROP NOT NULL"
        probe = Probe("not_null", column.name, self.named(table), present=False)
        return (
            Ddl(
                f"- not null {table.name}.{column.name}", sql, probe, verdict=Verdict.WARN,
                reason="readers of the version before may get NULL",
            ),
        )  # fmt: skip

    def set_default(self, table: Table, column: Column, default: str) -> Acts:
        sql = f"ALTER TABLE {self.named(table)} ALTER COLUMN {self.quote(column.name)} SET DEFAULT {default}"
        return (
            Ddl(
                f"~ default {table.name}.{column.name} {default}", sql, verdict=Verdict.WARN,
                reason="rows that the version before inserts get it too",
            ),
        )  # fmt: skip

    def drop_default(self, table: Table, column: Column) -> Acts:
        sql = f"ALTER TABLE {self.named(table)} ALTER COLUMN {self.quote(column.name)} DROP DEFAULT"
        probe = Probe("default", column.name, self.named(table), present=False)
        return (Ddl(f"- default {table.name}.{column.name}", sql, probe),)

    def change_type(self, table: Table, column: Column, type_: str) -> Acts:
        if not _grows(column.type, type_):
            raise Cannot(
                f"{column.type} to {type_} under the same name writes every row anew under a lock that keeps everybody out",
                f"give it a new name: change_type: {{ table: {table.name}, column: {column.name}, type: {type_}, to: NEW_NAME }}",
            )
        sql = f"ALTER TABLE {self.named(table)} ALTER COLUMN {self.quote(column.name)} TYPE {type_}"
        probe = Probe("column", column.name, self.named(table), definition=type_)
        return (Ddl(f"~ type {table.name}.{column.name} {type_}", sql, probe, verdict=Verdict.WARN, reason=TYPED),)

    def add_enum_value(self, table: Table | None, name: str, value: str) -> Acts:
        del table
        sql = f"ALTER TYPE {self.quote(name)} ADD VALUE IF NOT EXISTS {_text(value)}"
        return (Ddl(f"+ value {value} of {name}", sql, Probe("enum_value", name, definition=value), lock=Lock.NONE),)

    # keeping two columns equal ---------------------------------------------------------------------------------

    def sync(self, table: Table, name: str, pairs: Sequence[Pair], release: str) -> Acts:
        """Fires before the row is written and after the application's own triggers: PostgreSQL goes by the names."""
        on, fn = self.named(table), self._function(table, name)
        body = "\n".join(self._pair(table, pair) for pair in pairs)
        text = (
            f"CREATE OR REPLACE FUNCTION {fn}() RETURNS trigger LANGUAGE plpgsql AS $changeover$\n"
            f"-- made by changeover for release {release}; cleanup drops it\nBEGIN\n{body}\n  RETURN NEW;\nEND $changeover$"
        )
        trigger = (
            f"CREATE TRIGGER {self.quote(name)} BEFORE INSERT OR UPDATE ON {on} FOR EACH ROW EXECUTE FUNCTION {fn}()"
        )
        shown = f"+ trigger {name} on {table.name}: {'; '.join(pair_words(p) for p in pairs)}"
        return (Ddl(shown, probe=Probe("trigger", name, on), block=(text, trigger)),)

    def _function(self, table: Table, name: str) -> str:
        return ".".join(self.quote(part) for part in (table.schema, name) if part)

    def _pair(self, table: Table, pair: Pair) -> str:
        m = self._marks(table, pair)
        if not pair.down:
            return (
                f"  IF {m.unfilled('NEW')} OR (TG_OP = 'UPDATE' AND ({m.changed(pair.olds)}) AND NOT ({m.changed(pair.news)})) THEN\n"
                f"    {m.up(ASSIGN)}\n  END IF;"
            )
        return (
            f"  IF TG_OP = 'INSERT' THEN\n"
            f"    IF NOT {m.unfilled('NEW')} THEN {m.down(ASSIGN)} ELSE {m.up(ASSIGN)} END IF;\n"
            f"  ELSIF {m.changed(pair.news)} THEN\n"
            f"    IF NOT {m.unfilled('OLD')} OR {m.changed(pair.olds)} OR {m.not_up()} THEN {m.down(ASSIGN)} END IF;\n"
            f"  ELSIF {m.changed(pair.olds)} OR {m.unfilled('NEW')} THEN {m.up(ASSIGN)}\n"
            f"  END IF;"
        )

    def _marks(self, table: Table, pair: Pair) -> Marks:
        return Marks(self, table, pair, lambda a, b, column: self._differs(table, a, b, column))

    def _differs(self, table: Table, one: str, two: str, column: str) -> str:
        known = table.column(column)
        if known is not None and known.type.partition("(")[0] in _NO_EQUALITY:
            return f"({one})::text IS DISTINCT FROM ({two})::text"
        return f"{one} IS DISTINCT FROM {two}"

    def backfill(self, table: Table, pair: Pair) -> BackfillStatement:
        m = self._marks(table, pair)
        sets = ", ".join(f"{self.quote(c)} = {e}" for c, e in pair.up.items())
        sql = f"UPDATE {self.named(table)} SET {sets} WHERE {m.fillable()} AND {RANGE}"
        title = f"~ backfill {', '.join(f'{table.name}.{c}' for c in pair.news)}"
        keys = tuple(self.quote(c) for c in table.primary_key)
        return BackfillStatement(sql, "", 0, self.named(table), ", ".join(keys), title, keys)

    def never_filled(self, table: Table, pair: Pair) -> Check:
        return self._check(
            table, f"rows of {table.name} whose {pair.first} was never filled", self._marks(table, pair).fillable()
        )

    def inconsistent(self, table: Table, pair: Pair) -> Check:
        if not pair.down:
            return self.never_filled(table, pair)
        words = f"rows of {table.name} whose {listed(pair.news)} does not fit {listed(pair.olds)}"
        return self._check(table, words, self._marks(table, pair).inconsistent())

    # what stands in the way ------------------------------------------------------------------------------------

    def nulls(self, table: Table, column: str) -> Check:
        return self._check(table, f"rows of {table.name} without {column}", f"{self.quote(column)} IS NULL")

    def duplicates(self, table: Table, columns: Sequence[str]) -> Check:
        by = self._list(columns)
        there = " AND ".join(f"{self.quote(c)} IS NOT NULL" for c in columns)
        inner = f"FROM {self.named(table)} WHERE {there} GROUP BY {by} HAVING count(*) > 1"
        return Check(
            f"values of {table.name} ({listed(columns)}) that stand in several rows",
            f"SELECT count(*) FROM (SELECT 1 {inner}) d",
            f"SELECT {by}, count(*) AS rows {inner} LIMIT 10",
        )

    def orphans(self, table: Table, constraint: Constraint) -> Check:
        other = self.quote(constraint.references)
        if table.schema:
            other = f"{self.quote(table.schema)}.{other}"
        pairs = zip(constraint.columns, constraint.referred, strict=True)
        join = " AND ".join(f"r.{self.quote(b)} = t.{self.quote(a)}" for a, b in pairs)
        there = " AND ".join(f"t.{self.quote(c)} IS NOT NULL" for c in constraint.columns)
        inner = f"FROM {self.named(table)} t WHERE {there} AND NOT EXISTS (SELECT 1 FROM {other} r WHERE {join})"
        return Check(
            f"rows of {table.name} whose {listed(constraint.columns)} is not in {constraint.references}",
            f"SELECT count(*) {inner}",
            f"SELECT {', '.join(f't.{self.quote(c)}' for c in self._shown(table, constraint.columns))} {inner} LIMIT 10",
        )

    def violations(self, table: Table, expression: str) -> Check:
        return self._check(table, f"rows of {table.name} for which {expression} is false", f"NOT ({expression})")

    def misfits(self, table: Table, pair: Pair) -> Check | None:
        """What the new type takes must come back as it was; what it cannot take at all is found by its range."""
        if not pair.exact:
            return None
        limit = self._limit(table, pair)
        if limit:
            return self._check(table, f"rows of {table.name} whose {listed(pair.olds)} does not fit", limit)
        back = " OR ".join(
            self._differs(
                table,
                self.quote(old),
                substituted(down, {n: f"({up})" for n, up in pair.up.items()}, self.dialect),
                old,
            )
            for old, down in pair.down.items()
        )
        return (
            self._check(table, f"rows of {table.name} whose {listed(pair.olds)} would not survive", back)
            if back
            else None
        )

    def _limit(self, table: Table, pair: Pair) -> str:
        """The condition of values that a cast would refuse: whole numbers out of range, texts too long. The cast tells the type."""
        old = self.quote(pair.olds[0])
        type_ = pair.up[pair.news[0]].rpartition(" AS ")[2].removesuffix(")")
        known = table.column(pair.olds[0])
        numeric = known is not None and known.type.partition("(")[0] in ("smallint", "integer", "bigint", "numeric")
        if type_ in _RANGES and numeric:
            return f"{old} NOT BETWEEN {-_RANGES[type_] - 1} AND {_RANGES[type_]}"
        sized = re.fullmatch(r"character(?: varying)?\((\d+)\)?", type_)
        return f"length({old}::text) > {sized[1]}" if sized else ""

    def _check(self, table: Table, title: str, where: str) -> Check:
        shown = self._list(self._shown(table, ()))
        inner = f"FROM {self.named(table)} WHERE {where}"
        return Check(title, f"SELECT count(*) {inner}", f"SELECT {shown} {inner} LIMIT 10")

    def _shown(self, table: Table, columns: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*table.primary_key, *columns))) or columns_of(table)[:3]

    # what cleanup takes away -----------------------------------------------------------------------------------

    def contract(self, table: Table, sync: str, leaving: Leaving) -> Acts:
        on = self.named(table)
        block: list[str] = []
        guards: tuple[Check, ...] = ()
        if sync:
            guards = (self._sync_is_there(table, sync),)
            block += [f"DROP TRIGGER {self.quote(sync)} ON {on}", f"DROP FUNCTION {self._function(table, sync)}()"]
        for column, parked in leaving.parked.items():
            block += [
                f"ALTER TABLE {on} ALTER COLUMN {self.quote(column)} DROP NOT NULL, ALTER COLUMN {self.quote(column)} DROP DEFAULT",
                f"ALTER TABLE {on} RENAME COLUMN {self.quote(column)} TO {self.quote(parked)}",
            ]
        block += [f"ALTER TABLE {on} DROP COLUMN {self.quote(c)}" for c in leaving.dropped]
        block += [f"ALTER TABLE {on} ALTER COLUMN {self.quote(c)} SET DEFAULT {d}" for c, d in leaving.defaults.items()]
        block += leaving.more
        if not block:
            return ()
        gone = next(iter((*leaving.parked, *leaving.dropped)), "")
        probe = (
            Probe("column", gone, on, present=False)
            if gone
            else Probe("trigger", sync, on, present=False)
            if sync
            else None
        )
        return (
            Ddl(
                table_words(table, sync, leaving),
                probe=probe,
                block=tuple(block),
                lock_first=f"LOCK TABLE {on} IN ACCESS EXCLUSIVE MODE",
                guards=guards,
            ),
        )

    def _sync_is_there(self, table: Table, name: str) -> Check:
        return Check(
            f"the trigger {name} on {table.name} is missing or disabled",
            "SELECT 1 - count(*) FROM pg_trigger WHERE tgrelid = "
            f"{_text(self.named(table))}::regclass AND tgname = {_text(name)} AND tgenabled IN ('O', 'A')",
        )

    def adopt_alias(self, table: Table, name: str) -> Acts:
        """The view is locked first: whoever locks the table first waits for readers of the view (a deadlock in the making)."""
        view, on = self.named(replace(table, name=name)), self.named(table)
        return (
            Ddl(
                f"~ table {table.name} becomes {name}",
                probe=Probe("table", view),
                lock_first=f"LOCK TABLE {view} IN ACCESS EXCLUSIVE MODE",
                block=(f"DROP VIEW {view}", f"ALTER TABLE {on} RENAME TO {self.quote(name)}"),
            ),
        )

    def park_table(self, table: Table, parked: str) -> Acts:
        """Its foreign keys go with its name: rows that nobody sees any more must not hold rows of other tables."""
        held = tuple(self._no_constraint(table, c) for c in table.constraints if c.rule is Rule.FOREIGN_KEY)
        renamed = f"ALTER TABLE {self.named(table)} RENAME TO {self.quote(parked)}"
        probe = Probe("table", self.named(table), present=False)
        shown = f"- table {table.name} (parked as {parked})"
        if not held:
            return (Ddl(shown, renamed, probe),)
        lock = f"LOCK TABLE {self.named(table)} IN ACCESS EXCLUSIVE MODE"
        return (Ddl(shown, probe=probe, lock_first=lock, block=(*held, renamed)),)

    def drop_column(self, table: Table, column: str) -> Acts:
        sql = f"ALTER TABLE {self.named(table)} DROP COLUMN {self.quote(column)}"
        probe = Probe("column", column, self.named(table), present=False)
        return (Ddl(f"- column {table.name}.{column}", sql, probe, reason=STAR),)

    def drop_table(self, name: str) -> Acts:
        return (
            Ddl(f"- table {name}", f"DROP TABLE {self.quote(name)}", Probe("table", self.quote(name), present=False)),
        )

    def drop_constraint(self, table: Table, constraint: Constraint) -> Acts:
        sql = f"ALTER TABLE {self.named(table)} DROP CONSTRAINT {self.quote(constraint.name)}"
        probe = Probe("constraint", constraint.name, self.named(table), present=False)
        return (Ddl(f"- constraint {constraint.name} on {table.name}", sql, probe),)

    def drop_index(self, table: Table, index: Index) -> Acts:
        name = ".".join(self.quote(part) for part in (table.schema, index.name) if part)
        return (
            Ddl(
                f"- index {index.name} on {table.name}", f"DROP INDEX CONCURRENTLY {name}",
                Probe("index", name, present=False), lock=Lock.NONE, alone=True,
            ),
        )  # fmt: skip

    def drop_alias(self, name: str) -> Acts:
        return (Ddl(f"- view {name}", f"DROP VIEW {self.quote(name)}", Probe("view", self.quote(name), present=False)),)

    def unsync(self, table: Table, name: str, pairs: Sequence[Pair]) -> Acts:
        on = self.named(table)
        block = [f"DROP TRIGGER {self.quote(name)} ON {on}", f"DROP FUNCTION {self._function(table, name)}()"]
        for column in (table.column(new) for pair in pairs for new in pair.news):
            if column is not None and not column.nullable:
                helper = self.quote(self._helper(table, column.name))
                block.append(
                    f"ALTER TABLE {on} ALTER COLUMN {self.quote(column.name)} DROP NOT NULL, DROP CONSTRAINT IF EXISTS {helper}"
                )
        probe = Probe("trigger", name, on, present=False)
        return (Ddl(f"- trigger {name} on {table.name}", probe=probe, block=tuple(block)),)

    def rename_index(self, table: Table, old: str, new: str) -> Acts:
        at = f"{self.quote(table.schema)}." if table.schema else ""
        sql = f"ALTER INDEX {at}{self.quote(old)} RENAME TO {self.quote(new)}"
        return (Ddl(f"~ index {old} becomes {new}", sql, Probe("index", f"{at}{self.quote(new)}")),)

    def rename_constraint(self, table: Table, constraint: Constraint, new: str) -> Acts:
        sql = f"ALTER TABLE {self.named(table)} RENAME CONSTRAINT {self.quote(constraint.name)} TO {self.quote(new)}"
        return (Ddl(f"~ constraint {constraint.name} becomes {new}", sql, Probe("constraint", new, self.named(table))),)

    # texts -----------------------------------------------------------------------------------------------------

    def _list(self, names: Iterable[str]) -> str:
        return ", ".join(self.quote(n) for n in names)

    def _schema(self, table: Table) -> str:
        return _text(table.schema) if table.schema else "current_schema()"

    def _column(self, column: Column) -> str:
        words = [self.quote(column.name), column.type]
        if column.identity:
            words.append("GENERATED BY DEFAULT AS IDENTITY")
        if column.default is not None:
            words.append(f"DEFAULT {column.default}")
        if not column.nullable:
            words.append("NOT NULL")
        return " ".join(words)

    def _constraint(self, constraint: Constraint) -> str:
        columns = self._list(constraint.columns)
        match constraint.rule:
            case Rule.UNIQUE:
                return f"UNIQUE ({columns})"
            case Rule.CHECK:
                return f"CHECK ({constraint.definition})"
            case Rule.FOREIGN_KEY:
                acts = "".join(
                    f" ON {verb} {what}"
                    for verb, what in (("UPDATE", constraint.on_update), ("DELETE", constraint.on_delete))
                    if what
                )
                referred = self._list(constraint.referred)
                return f"FOREIGN KEY ({columns}) REFERENCES {self.quote(constraint.references)} ({referred}){acts}"
            case _:
                raise Cannot(f"a constraint like {constraint.name} cannot be made here")

    def _index(self, table: Table, index: Index, *, concurrently: bool) -> Acts:
        unique, where = "UNIQUE " if index.unique else "", f" WHERE {index.where}" if index.where else ""
        online = "CONCURRENTLY " if concurrently else ""
        sql = f"CREATE {unique}INDEX {online}{self.quote(index.name)} ON {self.named(table)} ({self._list(index.columns)}){where}"
        at = f"{self.quote(table.schema)}." if table.schema else ""
        probe = Probe("index", f"{at}{self.quote(index.name)}")
        lock = Lock.NONE if concurrently else Lock.BRIEF
        return (Ddl(f"+ {unique.lower()}index {index.name} on {table.name}", sql, probe, lock, alone=concurrently),)


@lru_cache(maxsize=1)
def _preparer() -> IdentifierPreparer:
    from sqlalchemy.dialects.postgresql.base import PGDialect

    return PGDialect().identifier_preparer  # type: ignore[no-untyped-call]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _grows(old: str, new: str) -> bool:
    """PostgreSQL changes only the catalogue for these."""
    longer = re.compile(r"character varying\((\d+)\)")
    before, after = longer.fullmatch(old), longer.fullmatch(new)
    if before and after:
        return int(after[1]) >= int(before[1])
    return old.startswith("character varying") and new in ("text", "character varying")

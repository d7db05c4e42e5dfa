"""SQL Server: by its documentation, never run on one (docs/howto/sqlserver.md says what was run instead).

Triggers see sets and fire after constraints, so what a version leaves out must have a value by itself; a new column becomes
required only in cleanup. Whatever reads every row under ALTER TABLE keeps everybody out meanwhile, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from changeover.core.catalogue import Catalogue, Column, Constraint, Index, Rule, Table
from changeover.core.model import RANGE, BackfillStatement, ChangeSet, Check, Lock, Probe, Verdict
from changeover.schema.ddl import Ddl, Leaving, Pair, made
from changeover.schema.engines import sqlserver_objects as objects
from changeover.schema.engines import sqlserver_questions as questions
from changeover.schema.engines import sqlserver_types as types
from changeover.schema.engines.engine import Acts, Cannot
from changeover.schema.engines.sqlserver_leaving import contracted, must_move, must_not_be_replicated, parked_as
from changeover.schema.engines.sqlserver_objects import Standing, columns, locked, named, renamed
from changeover.schema.engines.sqlserver_text import base, constant, differs, literal, quote, recoded, typed
from changeover.schema.engines.sqlserver_trigger import Step, trigger
from changeover.schema.engines.words import Marks, listed, pair_words

READS = "every row is read while nobody can use the table"
WAITS = "this edition builds indexes while writers wait until it is done"
FILTERED = "sessions with QUOTED_IDENTIFIER or ANSI_NULLS off cannot write to the table any more (error 1934)"
OUTPUT = (
    "what writes to it with OUTPUT and without INTO fails with error 334 once it has a trigger (Entity Framework Core 7 and later "
    "writes so): plan cache and query store are searched for that, and they forget; bulk loads must FIRE_TRIGGERS"
)
_NO_ONLINE = ("change tracking", "merge replication")  # ALTER COLUMN … WITH (ONLINE = ON) is refused there
_LOBS = (
    "varchar(max)",
    "nvarchar(max)",
    "varbinary(max)",
    "xml",
    "hierarchyid",
    "geometry",
    "geography",
    "sql_variant",
)


@dataclass(frozen=True, slots=True)
class SqlServerEngine:
    """Writes T-SQL. `online`: the edition builds indexes and changes columns while everybody reads and writes."""

    online: bool = False
    dialect: str = "sqlserver"
    longest: int = objects.LONGEST
    fills_before: bool = False
    drops_indexes: bool = True

    def size(self, name: str) -> int:
        return len(name.encode("utf-16-le")) // 2

    def quote(self, name: str) -> str:
        return quote(name)

    def named(self, table: Table) -> str:
        return named(table)

    def check_type(self, type_: str, enums: Mapping[str, tuple[str, ...]]) -> str:
        del enums
        return types.known(type_)

    def labels(self, table: Table | None, name: str, enums: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        del table, enums
        raise Cannot(
            f"SQL Server has no enums: what {name} may be is a table of its own, or a check",
            "add the value with sql: expand: [INSERT …], or with drop_constraint and add_check in two releases",
        )

    def filler(self, column: Column) -> str:
        return types.filler(column)

    def cast(self, expression: str, type_: str) -> str:
        return f"CAST({expression} AS {type_})"

    def recast(self, default: str, old: str, new: str) -> str:
        del old
        return types.recast(default, new)

    def foresee(self, changes: ChangeSet, catalogue: Catalogue) -> tuple[ChangeSet, Catalogue]:
        return changes, catalogue

    def moves(self, table: Table, olds: Sequence[str], news: Mapping[str, Column]) -> None:
        del news
        must_move(table, olds)

    def leave(self, table: Table, column: Column, parked: str) -> Leaving:
        return parked_as(table, column, parked)

    # what a release adds ---------------------------------------------------------------------------------------

    def create_table(self, table: Table) -> Acts:
        parts = [self._column(table, c) for c in table.columns]
        if table.primary_key:
            key = made("pk", objects.LONGEST, table.name)
            parts.append(f"CONSTRAINT {quote(key)} PRIMARY KEY ({columns(table.primary_key)})")
        rules = [c for c in table.constraints if not objects.is_filtered(table, c)]
        parts += [f"CONSTRAINT {quote(c.name)} {objects.rule_of(table, c)}" for c in rules]
        create = f"CREATE TABLE {named(table)} ({', '.join(parts)})"
        more = [objects.add_constraint(table, c) for c in table.constraints if c not in rules]
        more += [objects.create_index(table, i) for i in table.indexes]
        shown, probe = f"+ table {table.name}", Probe("table", named(table))
        return (Ddl(shown, probe=probe, block=(create, *more)) if more else Ddl(shown, create, probe),)

    def _column(self, table: Table, column: Column) -> str:
        words = [quote(column.name), typed(column)]
        if column.identity:
            words.append("IDENTITY(1,1)")
        words.append("NULL" if column.nullable else "NOT NULL")
        if column.default is not None:
            name = objects.our_default(table, column.name)
            words.append(f"CONSTRAINT {quote(name)} DEFAULT {constant(column.default)}")
        return " ".join(words)

    def add_column(self, table: Table, column: Column) -> Acts:
        sql = f"ALTER TABLE {named(table)} ADD {self._column(table, column)}"
        probe = Probe("column", column.name, named(table), definition="" if "." in column.type else column.type)
        return (Ddl(f"+ column {table.name}.{column.name} {column.type}", sql, probe),)

    def adds_filled(self, column: Column) -> bool:
        """A required column in editions that only note its default. Raises Cannot for one that may be NULL: it is left NULL in
        the rows that are there, and a backfill could not tell them from those in which the new version has written NULL.
        """
        if column.nullable and column.default is not None:
            raise Cannot(
                f"SQL Server leaves {column.name} NULL in the rows that are there, although it has a default",
                "make it not_null: true, and they get the default",
                f"or leave the default out here, and add it for new rows: set_default: {{ column: {column.name}, … }}",
            )
        return self.online and not column.nullable and column.type not in _LOBS

    def make_optional(self, table: Table, column: Column, default: str | None) -> Acts:
        if column.nullable if default is None else column.default is not None:
            return ()
        shown = f"~ {table.name}.{column.name} may be left out"
        filled = default == self.filler(column)  # the trigger gives it its value at once
        unique = objects.one_by_one(table, column)
        foreign = any(c.rule is Rule.FOREIGN_KEY and column.name in c.columns for c in table.constraints)
        if default is None or (filled and foreign):
            sql = objects.altered(table, replace(column, nullable=True))
            return (Ddl(f"{shown} (null)", sql, Probe("not_null", column.name, named(table), present=False)),)
        if unique:
            if not filled:
                raise Cannot(
                    f"{table.name}.{column.name} is unique ({unique}): a second row that leaves it out would have {default} once more",
                    f"drop {unique} in an earlier release",
                )
            default = types.distinct_filler(column)
        name = objects.our_default(table, column.name)
        sql = objects.add_default(table, name, default, column.name)
        return (Ddl(f"{shown} (default {constant(default)})", sql, Probe("constraint", name, named(table))),)

    def alias_table(self, table: Table, name: str) -> Acts:
        """A synonym, with the grants of the table."""
        if table.views:
            raise Cannot(
                f"{listed(table.views)} reads {table.name} by its name",
                "take it away first, and make it anew afterwards",
            )
        must_not_be_replicated(table)
        synonym = objects.beside(table, name)
        grants = (
            "DECLARE @changeover_grants nvarchar(max) = N''; SELECT @changeover_grants = CONCAT(@changeover_grants, "
            "CASE p.state WHEN 'D' THEN N'DENY ' ELSE N'GRANT ' END, p.permission_name, "
            f"N' ON ', {literal(synonym)}, N' TO ', QUOTENAME(u.name), "
            "CASE p.state WHEN 'W' THEN N' WITH GRANT OPTION' ELSE N'' END, N'; ') FROM sys.database_permissions p "
            "JOIN sys.database_principals u ON u.principal_id = p.grantee_principal_id WHERE p.class = 1 AND p.minor_id = 0 "
            f"AND p.major_id = OBJECT_ID({literal(named(table))}) AND p.type IN ('SL', 'IN', 'UP', 'DL'); "
            "EXECUTE sys.sp_executesql @changeover_grants"
        )
        return (
            Ddl(
                f"+ synonym {name}, the new name of {table.name}",
                probe=Probe("synonym", synonym),
                block=(f"CREATE SYNONYM {synonym} FOR {named(table)}", grants),
                guards=(questions.grants_on_columns(table),),
            ),
        )

    def add_index(self, table: Table, index: Index) -> Acts:
        filtered = index.unique and objects.is_filtered(table, Constraint("", Rule.UNIQUE, index.columns))
        unique = "unique " if index.unique else ""
        sql = objects.create_index(table, index, online=self.online)
        probe = Probe("index", index.name, named(table))
        return (self._built(f"+ {unique}index {index.name} on {table.name}", sql, probe, filtered=filtered),)

    def _built(self, shown: str, sql: str, probe: Probe, *, filtered: bool) -> Ddl:
        reasons = ([] if self.online else [WAITS]) + ([FILTERED] if filtered else [])
        verdict = Verdict.WARN if reasons else Verdict.OK
        return Ddl(
            shown, sql, probe, Lock.NONE if self.online else Lock.SCAN, verdict=verdict, reason="; ".join(reasons)
        )

    def add_unique(self, table: Table, constraint: Constraint) -> Acts:
        shown = f"+ unique {table.name} ({listed(constraint.columns)})"
        sql = objects.add_constraint(table, constraint, online=self.online, filling=True)
        if objects.is_filtered(table, constraint, filling=True):
            probe = Probe("index", constraint.name, named(table))
            return (self._built(f"{shown}, rows with NULL left out", sql, probe, filtered=True),)
        return (self._built(shown, sql, Probe("constraint", constraint.name, named(table)), filtered=False),)

    def add_check(self, table: Table, constraint: Constraint) -> Acts:
        return self._unchecked(table, constraint)

    def add_foreign_key(self, table: Table, constraint: Constraint) -> Acts:
        return self._unchecked(table, constraint)

    def _unchecked(self, table: Table, constraint: Constraint) -> Acts:
        on, name = named(table), constraint.name
        shown = f"+ {constraint.rule.replace('_', ' ')} {name} on {table.name} (not validated)"
        add = Ddl(shown, objects.add_constraint(table, constraint, checked=False), Probe("constraint", name, on))
        validate = Ddl(
            f"~ validate {name} on {table.name}",
            f"ALTER TABLE {on} WITH CHECK CHECK CONSTRAINT {quote(name)}",
            Probe("valid", name, on),
            Lock.REWRITE,
            verdict=Verdict.WARN,
            reason=READS,
        )
        return (add, validate)

    def set_not_null(self, table: Table, column: Column) -> Acts:
        """By ALTER COLUMN alone, which reads every row.

        A validated check would stand in its way, and to drop that in the same transaction keeps everybody out until the end.
        """
        required = replace(column, nullable=False)
        way = objects.in_the_way_of_not_null(table, column)
        table = table.with_column(required)
        shown, probe = f"+ not null {table.name}.{column.name}", Probe("not_null", column.name, named(table))
        if way.names:
            block = (*way.dropped(), objects.altered(table, required), *way.made_again(table))
            reason = f"{READS}; made anew meanwhile: {listed(way.names)}"
            return (Ddl(shown, probe=probe, lock=Lock.REWRITE, block=block, verdict=Verdict.WARN, reason=reason),)
        online = self._alters_online(table)
        sql = objects.altered(table, required, online=online)
        if online:
            return (Ddl(shown, sql, probe, Lock.NONE),)
        return (Ddl(shown, sql, probe, Lock.REWRITE, verdict=Verdict.WARN, reason=READS),)

    def _alters_online(self, table: Table) -> bool:
        lobs = any(base(c.type) in types.LOBS or "filestream" in c.extra for c in table.columns)
        stores = any("COLUMNSTORE" in i.definition for i in table.indexes)
        return self.online and not lobs and not stores and not set(table.listeners) & set(_NO_ONLINE)

    def drop_not_null(self, table: Table, column: Column) -> Acts:
        sql = objects.altered(table, replace(column, nullable=True))
        probe = Probe("not_null", column.name, named(table), present=False)
        reason = "readers of the version before may get NULL"
        return (Ddl(f"- not null {table.name}.{column.name}", sql, probe, verdict=Verdict.WARN, reason=reason),)

    def set_default(self, table: Table, column: Column, default: str) -> Acts:
        """Under the name that it has, if a person gave it one. Asked for what it was, it takes its own change back."""
        now, kept = objects.default_on(table, column.name), objects.kept_default(table, column.name)
        shown = f"~ default {table.name}.{column.name} {constant(default)}"
        reason = "rows that the version before inserts get it too"
        if now is None:
            sql, probe = objects.add_default(table, kept, default, column.name), Probe("constraint", kept, named(table))
            return (Ddl(shown, sql, probe, verdict=Verdict.WARN, reason=reason),)
        gone, name = (kept, now.name) if default == column.default else (now.name, kept)
        block = (objects.drop_rule(table, gone), objects.add_default(table, name, default, column.name))
        seen = None if name == gone else Probe("constraint", name, named(table))
        return (Ddl(shown, probe=seen, block=block, verdict=Verdict.WARN, reason=reason),)

    def drop_default(self, table: Table, column: Column) -> Acts:
        """Also what was made instead of a default: a column that may be NULL."""
        now = objects.default_on(table, column.name)
        foreign = any(c.rule is Rule.FOREIGN_KEY and column.name in c.columns for c in table.constraints)
        if now is None and foreign and not column.nullable:
            acts = self.set_not_null(table, column)
            return tuple(replace(a, verdict=Verdict.OK) for a in acts)
        name = objects.our_default(table, column.name) if now is None else now.name
        probe = Probe("constraint", name, named(table), present=False)
        return (Ddl(f"- default {table.name}.{column.name}", objects.drop_rule(table, name), probe),)

    def change_type(self, table: Table, column: Column, type_: str) -> Acts:
        foreign = [c.name for c in table.constraints if c.rule is Rule.FOREIGN_KEY and column.name in c.columns]
        foreign += [c.name for c in table.referenced_by if column.name in c.referred]
        if not types.grows(column.type, type_) or foreign or column.name in table.primary_key:
            why = f" ({listed(foreign)} needs it as it is)" if foreign else ""
            raise Cannot(
                f"{column.type} to {type_} under the same name may write every row while nobody can use the table{why}",
                f"give it a new name: change_type: {{ table: {table.name}, column: {column.name}, type: {type_}, to: NEW_NAME }}",
            )
        sql = objects.altered(table, replace(column, type=type_))
        probe = Probe("column", column.name, named(table), definition=type_)
        return (Ddl(f"~ type {table.name}.{column.name} {type_}", sql, probe),)

    def add_enum_value(self, table: Table | None, name: str, value: str) -> Acts:
        del value
        self.labels(table, name, {})
        return ()

    # keeping two columns equal ---------------------------------------------------------------------------------

    def sync(self, table: Table, name: str, pairs: Sequence[Pair], release: str) -> Acts:
        for pair in pairs:
            for column in (*pair.olds, *pair.news):
                known = table.column(column)
                if known is not None:
                    types.must_compare(table.name, known)
        steps = [Step(self._marks(table, p), named(table), n).text() for n, p in enumerate(pairs, 1)]
        sql = trigger(objects.beside(table, name), named(table), release, steps)
        shown = f"+ trigger {name} on {table.name}: {'; '.join(pair_words(p) for p in pairs)}"
        versioned = any(c.generated == "rowversion" for c in table.columns)
        reason = f"{OUTPUT}; its rowversion changes twice for each write" if versioned else OUTPUT
        replaced = tuple(dict.fromkeys(old for p in pairs for old in p.down))
        guards = (questions.outputs(table), *([questions.grants_on_columns(table, replaced)] if replaced else []))
        probe = Probe("trigger", name, named(table))
        return (Ddl(shown, sql, probe, guards=guards, verdict=Verdict.WARN, reason=reason),)

    def _marks(self, table: Table, pair: Pair) -> Marks:
        pair = recoded(table, replace(pair, up={c: constant(e) for c, e in pair.up.items()}))

        def differ(one: str, two: str, column: str) -> str:
            known = table.column(column)
            assert known is not None, "a pair is made of columns of the table"
            alike = {quote(c.name) for c in table.columns if c.type == known.type}
            copied = two.strip("()").removeprefix("NEW.") in alike
            return differs(one, two.strip("()") if copied else two, known)

        return Marks(self, table, pair, differ)

    def backfill(self, table: Table, pair: Pair) -> BackfillStatement:
        m = self._marks(table, pair)
        sets = ", ".join(f"{quote(c)} = {e}" for c, e in m.pair.up.items())
        sql = f"UPDATE {named(table)} SET {sets} WHERE {m.fillable()} AND {RANGE}"
        title = f"~ backfill {', '.join(f'{table.name}.{c}' for c in pair.news)}"
        keys = tuple(quote(c) for c in table.primary_key)
        return BackfillStatement(sql, "", 0, named(table), ", ".join(keys), title, keys)

    def never_filled(self, table: Table, pair: Pair) -> Check:
        title = f"rows of {table.name} whose {pair.first} was never filled"
        return questions.rows(table, title, self._marks(table, pair).fillable())

    def inconsistent(self, table: Table, pair: Pair) -> Check:
        if not pair.down:
            return self.never_filled(table, pair)
        title = f"rows of {table.name} whose {listed(pair.news)} does not fit {listed(pair.olds)}"
        return questions.rows(table, title, self._marks(table, pair).inconsistent())

    # what stands in the way ------------------------------------------------------------------------------------

    def nulls(self, table: Table, column: str) -> Check:
        return questions.rows(table, f"rows of {table.name} without {column}", f"{quote(column)} IS NULL")

    def duplicates(self, table: Table, columns: Sequence[str]) -> Check:
        return questions.duplicates(table, columns)

    def orphans(self, table: Table, constraint: Constraint) -> Check:
        return questions.orphans(table, constraint)

    def violations(self, table: Table, expression: str) -> Check:
        return questions.rows(table, f"rows of {table.name} for which {expression} is false", f"NOT ({expression})")

    def misfits(self, table: Table, pair: Pair) -> Check | None:
        return questions.misfits(table, recoded(table, pair)) if pair.exact else None

    # what cleanup takes away -----------------------------------------------------------------------------------

    def contract(self, table: Table, sync: str, leaving: Leaving) -> Acts:
        required = (c for c in table.columns if c.name in leaving.not_null)
        return (*contracted(table, sync, leaving), *(a for c in required for a in self.set_not_null(table, c)))

    def adopt_alias(self, table: Table, name: str) -> Acts:
        synonym, on = objects.beside(table, name), named(table)
        return (
            Ddl(
                f"~ table {table.name} becomes {name}",
                probe=Probe("table", synonym),
                lock_first=locked(table),
                block=(f"DROP SYNONYM {synonym}", renamed(on, name)),
            ),
        )

    def park_table(self, table: Table, parked: str) -> Acts:
        must_not_be_replicated(table)
        probe = Probe("table", named(table), present=False)
        return (Ddl(f"- table {table.name} (parked as {parked})", renamed(named(table), parked), probe),)

    def drop_column(self, table: Table, column: str) -> Acts:
        """With what stands on it, as far as that is there."""
        gone = Standing.on(table, (column,)).dropped(perhaps=True)
        ours = objects.drop_rule(table, objects.our_default(table, column), perhaps=True)
        drop = f"ALTER TABLE {named(table)} DROP COLUMN {quote(column)}"
        probe = Probe("column", column, named(table), present=False)
        shown = f"- column {table.name}.{column}"
        if table.column(column) is None and not gone and column.startswith("zz_gone"):
            return (Ddl(shown, drop, probe),)
        return (Ddl(shown, probe=probe, block=(*gone, ours, drop)),)

    def drop_table(self, name: str) -> Acts:
        return (Ddl(f"- table {name}", f"DROP TABLE {quote(name)}", Probe("table", quote(name), present=False)),)

    def drop_constraint(self, table: Table, constraint: Constraint) -> Acts:
        if constraint.rule is Rule.OTHER or constraint.definition == "UNIQUE CLUSTERED":
            raise Cannot(
                f"dropping {constraint.name} on {table.name} ({constraint.definition}) is not known to be brief",
                "write it as plain SQL",
            )
        what = "index" if objects.is_filtered(table, constraint) else "constraint"
        probe = Probe(what, constraint.name, named(table), present=False)
        sql = objects.drop_constraint(table, constraint)
        return (Ddl(f"- constraint {constraint.name} on {table.name}", sql, probe),)

    def drop_index(self, table: Table, index: Index) -> Acts:
        if not objects.is_plain(index):
            raise Cannot(
                f"dropping {index.name} on {table.name} ({index.definition.lower()}) is not known to be brief",
                "write it as plain SQL",
            )
        probe = Probe("index", index.name, named(table), present=False)
        return (Ddl(f"- index {index.name} on {table.name}", objects.drop_index(table, index.name), probe),)

    def drop_alias(self, name: str) -> Acts:
        probe = Probe("synonym", quote(name), present=False)
        return (Ddl(f"- synonym {name}", f"DROP SYNONYM {quote(name)}", probe),)

    def unsync(self, table: Table, name: str, pairs: Sequence[Pair]) -> Acts:
        del pairs
        probe = Probe("trigger", name, named(table), present=False)
        return (Ddl(f"- trigger {name} on {table.name}", f"DROP TRIGGER {objects.beside(table, name)}", probe),)

    def undo_not_null(self, table: Table, column: Column) -> Acts:
        return self.drop_not_null(table, column)

    def undo_unique(self, table: Table, constraint: Constraint) -> Acts:
        """An index became a constraint if its columns became required; the probe sees either."""
        on, name = named(table), constraint.name
        block = (objects.drop_rule(table, name, perhaps=True), objects.drop_index(table, name, perhaps=True))
        probe = Probe("index", name, on, present=False)
        return (Ddl(f"- unique {name} on {table.name}", probe=probe, block=block),)

    def rename_index(self, table: Table, old: str, new: str) -> Acts:
        sql = renamed(f"{named(table)}.{quote(old)}", new, "INDEX")
        return (Ddl(f"~ index {old} becomes {new}", sql, Probe("index", new, named(table))),)

    def rename_constraint(self, table: Table, constraint: Constraint, new: str) -> Acts:
        old = constraint.name
        sql = renamed(objects.beside(table, old), new, "OBJECT")
        return (Ddl(f"~ constraint {old} becomes {new}", sql, Probe("constraint", new, named(table))),)

"""MariaDB and MySQL: what was run and measured on MariaDB 10.11 (docs/reference/operations.md says what each act locks).

Each statement commits by itself, so each is seen in the catalogue. Every ALTER asserts the ALGORITHM and LOCK that the server
itself accepted on an empty copy of the table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from changeover.core.catalogue import Catalogue, Column, Constraint, Index, Rule, Table
from changeover.core.model import RANGE, BackfillStatement, ChangeSet, Check, Lock, Probe, Verdict
from changeover.schema.ddl import Ddl, Leaving, Pair, made
from changeover.schema.engines import mysql_checks as checks
from changeover.schema.engines import mysql_sync as syncs
from changeover.schema.engines import mysql_types as types
from changeover.schema.engines.engine import Acts, Ask, Cannot
from changeover.schema.engines.mysql_contract import contract
from changeover.schema.engines.mysql_online import METADATA, Online, online
from changeover.schema.engines.mysql_sync import STRICT, marks
from changeover.schema.engines.mysql_words import default as default_text
from changeover.schema.engines.mysql_words import definition, is_ordinary, named_rule, names, parts, quote
from changeover.schema.engines.words import columns_of, listed, must_not_repeat

UNNAMED = (
    "an INSERT without a list of columns, of a running version, fails from then on: name the columns, and say so with "
    "`names_columns: true`"
)
UNCHECKED, CHECKED = "SET SESSION foreign_key_checks = 0", "SET SESSION foreign_key_checks = 1"
NOTHING = "DO 0"  # a statement whose guard is all that matters


@dataclass(frozen=True, slots=True)
class MysqlEngine:
    """Writes what MariaDB and MySQL run. `ask`: see `engine.Ask`. `fills_before`: as tried on the server."""

    ask: Ask
    names_columns: bool = False  # no version in play inserts without naming columns
    fills_before: bool = True
    dialect: str = "mysql"
    longest: int = 64
    drops_indexes: bool = False
    _none: Mapping[str, str] = field(default_factory=dict)

    def size(self, name: str) -> int:
        return len(name)

    def quote(self, name: str) -> str:
        return quote(name)

    def named(self, table: Table) -> str:
        return quote(table.name)

    def online(
        self, table: Table, what: str, given: Mapping[str, str] | None = None, rewrite: tuple[str, ...] = ()
    ) -> Online:
        """The change as the server does it. Raises Cannot where somebody would have to wait for it."""
        return online(self.ask, table, what, given or self._none, rewrite)

    # types and values ------------------------------------------------------------------------------------------

    def check_type(self, type_: str, enums: Mapping[str, tuple[str, ...]]) -> str:
        del enums
        return types.canonical(type_)

    def labels(self, table: Table | None, name: str, enums: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        del enums
        column = None if table is None else table.column(name)
        if table is None:
            raise Cannot(
                "MariaDB and MySQL keep labels in the column",
                "add_enum_value: { table: TABLE, column: COLUMN, value: … }",
            )
        if column is None:
            raise Cannot(f"{table.name} has no column {name}")
        found = types.labels(column.type)
        if not found:
            raise Cannot(f"{table.name}.{name} is no enum but {column.type}")
        return found

    def filler(self, column: Column) -> str:
        return types.filler(column)

    def cast(self, expression: str, type_: str) -> str:
        return types.cast(expression, type_)

    def recast(self, default: str, old: str, new: str) -> str:
        """The catalogue writes a default without its type."""
        del old, new
        return default

    # what stands in the way ------------------------------------------------------------------------------------

    def foresee(self, changes: ChangeSet, catalogue: Catalogue) -> tuple[ChangeSet, Catalogue]:
        return changes, catalogue

    def moves(self, table: Table, olds: Sequence[str], news: Mapping[str, Column]) -> None:
        del news
        for old in olds:
            column = table.column(old)
            if column is not None and "ON UPDATE" in column.extra.upper():
                raise Cannot(
                    f"{table.name}.{old} gets the time of each UPDATE by itself, after every trigger",
                    "let the application write it, and take ON UPDATE away in an earlier release",
                )
        away = [c.name for c in table.constraints if c.rule is Rule.OTHER and set(olds) & set(c.columns)]
        if away:
            raise Cannot(
                f"the foreign key {listed(away)} on {table.name} leads to another database, and cannot be copied",
                "drop it in an earlier release",
            )
        for index in table.indexes:
            touched = bool(set(olds) & set(index.columns)) or (
                not index.columns and any(o in index.definition for o in olds)
            )
            if touched and (not is_ordinary(index) or (len(olds) > 1 and not index.constraint)):
                raise Cannot(
                    f"the index {index.name} on {table.name} uses {listed(olds)} in a way that cannot be copied",
                    "drop it in an earlier release and add what is needed as add_index",
                )

    def leave(self, table: Table, column: Column, parked: str) -> Leaving:
        word = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(column.name)}(?![A-Za-z0-9_])", re.IGNORECASE)
        naming = [t.name for t in table.triggers if not t.ours and word.search(t.definition)]
        if naming:
            raise Cannot(
                f"the trigger {listed(naming)} on {table.name} names {column.name}, and every write would fail without it",
                "make the trigger anew without it, in an earlier release",
            )
        can_wait = column.nullable or column.default is not None or bool(types.filler(column))
        return Leaving(parked={column.name: parked}) if can_wait else Leaving(dropped=(column.name,))

    def nulls(self, table: Table, column: str) -> Check:
        return checks.rows(table, f"rows of {table.name} without {column}", f"{quote(column)} IS NULL")

    def duplicates(self, table: Table, columns: Sequence[str]) -> Check:
        return checks.duplicates(table, columns)

    def orphans(self, table: Table, constraint: Constraint) -> Check:
        return checks.orphans(table, constraint)

    def violations(self, table: Table, expression: str) -> Check:
        return checks.rows(table, f"rows of {table.name} for which {expression} is false", f"NOT ({expression})")

    def misfits(self, table: Table, pair: Pair) -> Check | None:
        return checks.misfits(table, pair, self.dialect)

    # tables ----------------------------------------------------------------------------------------------------

    def create_table(self, table: Table) -> Acts:
        for column in table.columns:
            if column.identity and column.name != next(iter(table.primary_key), ""):
                raise Cannot(
                    f"{table.name}.{column.name} is numbered by the database, so it has to be the first column of the primary key"
                )
        inside = [
            definition(replace(c, nullable=c.nullable and c.name not in table.primary_key)) for c in table.columns
        ]
        inside += [f"PRIMARY KEY ({names(table.primary_key)})"] if table.primary_key else []
        inside += [named_rule(c) for c in table.constraints]
        inside += [f"{'UNIQUE ' if i.unique else ''}KEY {quote(i.name)} ({parts(i)})" for i in table.indexes]
        sql = f"CREATE TABLE {self.named(table)} ({', '.join(inside)})"
        return (Ddl(f"+ table {table.name}", sql, Probe("table", self.named(table))),)

    def alias_table(self, table: Table, name: str) -> Acts:
        if table.views:
            raise Cannot(
                f"the view {listed(table.views)} reads {table.name} by its name, which is gone after cleanup",
                "take the view away first",
            )
        sql = f"CREATE SQL SECURITY INVOKER VIEW {quote(name)} AS SELECT {names(columns_of(table))} FROM {self.named(table)}"
        return (Ddl(f"+ view {name}, the new name of {table.name}", sql, Probe("view", quote(name))),)

    def adopt_alias(self, table: Table, name: str) -> Acts:
        """Both names move in one statement, so that a writer finds either the view or the table."""
        aside = made("zz_gone", self.longest, table.name, name)
        moved = f"RENAME TABLE {quote(name)} TO {quote(aside)}, {self.named(table)} TO {quote(name)}"
        return (
            Ddl(f"~ table {table.name} becomes {name}", moved, Probe("table", quote(name))),
            *self.drop_alias(aside),
        )

    def drop_alias(self, name: str) -> Acts:
        return (Ddl(f"- view {name}", f"DROP VIEW {quote(name)}", Probe("view", quote(name), present=False)),)

    def park_table(self, table: Table, parked: str) -> Acts:
        """Its foreign keys go first: rows that nobody sees any more must not hold rows of other tables."""
        free = tuple(
            act for c in table.constraints if c.rule is Rule.FOREIGN_KEY for act in self.drop_constraint(table, c)
        )
        sql = f"RENAME TABLE {self.named(table)} TO {quote(parked)}"
        there = Probe("table", self.named(table), present=False)
        return (*free, Ddl(f"- table {table.name} (parked as {parked})", sql, there))

    def drop_table(self, name: str) -> Acts:
        return (Ddl(f"- table {name}", f"DROP TABLE {quote(name)}", Probe("table", quote(name), present=False)),)

    # columns ---------------------------------------------------------------------------------------------------

    def add_column(self, table: Table, column: Column) -> Acts:
        change = self.online(table, f"ADD COLUMN {definition(column)}")
        there = Probe("column", column.name, self.named(table), definition=column.type)
        verdict = Verdict.OK if self.names_columns else Verdict.WARN
        return (self._ddl(f"+ column {table.name}.{column.name} {column.type}", change, there, verdict, UNNAMED),)

    def adds_filled(self, column: Column) -> bool:
        """A default is kept in the table's definition; `add_column` refuses what would write rows after all."""
        del column
        return True

    def drop_column(self, table: Table, column: str) -> Acts:
        change = self.online(table, f"DROP COLUMN {quote(column)}", {column: f"COLUMN {quote(column)} int NULL"})
        return (self._ddl(f"- column {table.name}.{column}", change, self._column(table, column, present=False)),)

    def make_optional(self, table: Table, column: Column, default: str | None) -> Acts:
        if default is None:
            return () if column.nullable else self._modified(table, replace(column, nullable=True))
        if column.default is not None:
            return ()  # it has one; what it is stays the business of the version before
        must_not_repeat(table, column, default)
        change = self.online(table, f"ALTER COLUMN {quote(column.name)} SET DEFAULT {default_text(default)}")
        shown = f"~ {table.name}.{column.name} may be left out (default {default})"
        return (self._ddl(shown, change, Probe("default", column.name, self.named(table))),)

    def set_default(self, table: Table, column: Column, default: str) -> Acts:
        """Done twice it is the same, and a default that was there before cannot be told from a new one."""
        change = self.online(table, f"ALTER COLUMN {quote(column.name)} SET DEFAULT {default_text(default)}")
        return (
            Ddl(
                f"~ default {table.name}.{column.name} {default}", lock=change.lock, verdict=Verdict.WARN,
                reason="rows that the version before inserts get it too", block=(change.sql,), probes=(None,),
            ),
        )  # fmt: skip

    def drop_default(self, table: Table, column: Column) -> Acts:
        """Without any default a column must be given, so one that may be NULL gets that back."""
        tail = "SET DEFAULT NULL" if column.nullable else "DROP DEFAULT"
        change = self.online(table, f"ALTER COLUMN {quote(column.name)} {tail}")
        absent = Probe("default", column.name, self.named(table), present=False)
        return (self._ddl(f"- default {table.name}.{column.name}", change, absent),)

    def set_not_null(self, table: Table, column: Column) -> Acts:
        known = replace(table.column(column.name) or column, nullable=True)
        there = Probe("not_null", column.name, self.named(table))
        return (
            self._modify(table, known, replace(known, nullable=False), f"+ not null {table.name}.{column.name}", there),
        )

    def drop_not_null(self, table: Table, column: Column) -> Acts:
        return tuple(
            replace(act, verdict=Verdict.WARN, reason="readers of the version before may get NULL")
            for act in self._modified(table, replace(table.column(column.name) or column, nullable=True))
        )

    def undo_not_null(self, table: Table, column: Column) -> Acts:
        return self._modified(table, replace(table.column(column.name) or column, nullable=True))

    def _modified(self, table: Table, optional: Column) -> Acts:
        absent = Probe("not_null", optional.name, self.named(table), present=False)
        required = replace(optional, nullable=False)
        return (self._modify(table, required, optional, f"- not null {table.name}.{optional.name}", absent),)

    def change_type(self, table: Table, column: Column, type_: str) -> Acts:
        there = Probe("column", column.name, self.named(table), definition=type_)
        named = f"change_type: {{ table: {table.name}, column: {column.name}, type: {type_}, to: NEW_NAME }}"
        changed, shown = replace(column, type=type_), f"~ type {table.name}.{column.name} {type_}"
        return (self._modify(table, column, changed, shown, there, f"give it a new name: {named}"),)

    def add_enum_value(self, table: Table | None, name: str, value: str) -> Acts:
        column = None if table is None else table.column(name)
        assert table is not None, "labels() has refused it"
        assert column is not None, "labels() has refused it"
        there = Probe("enum_value", name, self.named(table), definition=value)
        longer = replace(column, type=types.with_label(column.type, value))
        return (self._modify(table, column, longer, f"+ value {value} of {table.name}.{name}", there),)

    def _modify(self, table: Table, was: Column, column: Column, shown: str, probe: Probe, *rewrite: str) -> Ddl:
        """The whole definition again: what MODIFY leaves out is lost. Strict, or the server would turn NULL into ''."""
        given = {column.name: f"COLUMN {definition(was)}"}
        change = self.online(table, f"MODIFY COLUMN {definition(column)}", given, rewrite)
        return Ddl(shown, probe=probe, lock=change.lock, block=(STRICT, change.sql), probes=(None, probe))

    # indexes and constraints -----------------------------------------------------------------------------------

    def add_index(self, table: Table, index: Index) -> Acts:
        unique = "UNIQUE " if index.unique else ""
        change = self.online(table, f"ADD {unique}INDEX {quote(index.name)} ({parts(index)})")
        return (
            self._ddl(f"+ {unique.lower()}index {index.name} on {table.name}", change, self._index(table, index.name)),
        )

    def drop_index(self, table: Table, index: Index) -> Acts:
        self._nobody_needs(table, index)
        given = {index.name: f"{'UNIQUE ' if index.unique else ''}INDEX {quote(index.name)} ({parts(index)})"}
        change = self.online(table, f"DROP INDEX {quote(index.name)}", given)
        return (
            self._ddl(f"- index {index.name} on {table.name}", change, self._index(table, index.name, present=False)),
        )

    def _nobody_needs(self, table: Table, index: Index) -> None:
        """A foreign key wants an index that begins with its columns; the empty copy has no foreign keys to say so."""
        for constraint in table.constraints:
            wanted = constraint.columns
            others = [i.columns for i in table.indexes if i.name != index.name]
            if constraint.rule is not Rule.FOREIGN_KEY or index.columns[: len(wanted)] != wanted:
                continue
            if not any(columns[: len(wanted)] == wanted for columns in (*others, table.primary_key)):
                raise Cannot(
                    f"the foreign key {constraint.name} on {table.name} relies on the index {index.name}",
                    "add another index that begins with its columns first, or drop the foreign key",
                )

    def shrink_index(self, table: Table, index: Index, stay: tuple[str, ...]) -> Acts:
        """The index on fewer of its columns, without a moment in which there is none."""
        what = f"DROP INDEX {quote(index.name)}, ADD INDEX {quote(index.name)} ({parts(index, stay)})"
        there = Probe("index", index.name, self.named(table), definition=",".join(stay))
        return (self._ddl(f"~ index {index.name} on {table.name} ({listed(stay)})", self.online(table, what), there),)

    def rename_index(self, table: Table, old: str, new: str) -> Acts:
        """The empty copy has neither name free, so it is asked with others."""
        key = names(table.primary_key[:1])
        asked = self.online(table, f"RENAME INDEX {quote(old)} TO zz_renamed", {old: f"INDEX {quote(old)} ({key})"})
        change = replace(asked, what=f"RENAME INDEX {quote(old)} TO {quote(new)}")
        return (self._ddl(f"~ index {old} becomes {new}", change, self._index(table, old, present=False)),)

    def add_unique(self, table: Table, constraint: Constraint) -> Acts:
        change = self.online(table, f"ADD {named_rule(constraint)}")
        shown = f"+ unique {table.name} ({listed(constraint.columns)})"
        return (self._ddl(shown, change, self._constraint(table, constraint.name)),)

    def undo_unique(self, table: Table, constraint: Constraint) -> Acts:
        return self.drop_constraint(table, constraint)

    def add_check(self, table: Table, constraint: Constraint) -> Acts:
        change = self.online(
            table, f"ADD {named_rule(constraint)}", rewrite=(
                "let a BEFORE INSERT and a BEFORE UPDATE trigger say SIGNAL SQLSTATE '45000' where it is false: the operation `sql`",
            ),
        )  # fmt: skip
        shown = f"+ check {constraint.name} on {table.name}"
        return (self._ddl(shown, change, self._constraint(table, constraint.name)),)

    def add_foreign_key(self, table: Table, constraint: Constraint) -> Acts:
        """Without the server's own look at the rows, which would copy the table: changeover looks, when every write is looked at."""
        change = self.online(table, f"ADD {named_rule(constraint)}")
        shown, there = f"foreign key {constraint.name} on {table.name}", self._constraint(table, constraint.name)
        return (
            self._unchecked(f"+ {shown} (its rows are looked at next)", change, there),
            Ddl(
                f"~ look for rows that the {shown} forbids",
                lock=Lock.NONE,
                block=(NOTHING,),
                probes=(None,),
                guards=(self.orphans(table, constraint),),
            ),
        )

    def _unchecked(self, shown: str, change: Online, probe: Probe) -> Ddl:
        block = (UNCHECKED, change.sql, CHECKED)
        return Ddl(shown, probe=probe, lock=change.lock, block=block, probes=(None, probe, None))

    def drop_constraint(self, table: Table, constraint: Constraint) -> Acts:
        shown = f"- constraint {constraint.name} on {table.name}"
        absent = self._constraint(table, constraint.name, present=False)
        match constraint.rule:
            case Rule.FOREIGN_KEY:
                sql = f"ALTER TABLE {self.named(table)} DROP FOREIGN KEY {quote(constraint.name)}, {METADATA}"
                return (Ddl(shown, sql, absent), *self._index_of(table, constraint))
            case Rule.UNIQUE:
                index = Index(constraint.name, constraint.columns, unique=True, definition=constraint.definition)
                return tuple(replace(act, title=shown, probe=absent) for act in self.drop_index(table, index))
            case _:
                change = self.online(table, f"DROP CONSTRAINT {quote(constraint.name)}")
                return (self._ddl(shown, change, absent),)

    def _index_of(self, table: Table, constraint: Constraint) -> Acts:
        """The index that the server has made for a foreign key, where none was there: it goes when the key is taken back."""
        wanted = constraint.columns
        there = [table.primary_key, *(i.columns for i in table.indexes)]
        if any(columns[: len(wanted)] == wanted for columns in there):
            return ()
        free = replace(table, constraints=tuple(c for c in table.constraints if c.name != constraint.name))
        return self.drop_index(free, Index(constraint.name, wanted))

    def rename_constraint(self, table: Table, constraint: Constraint, new: str) -> Acts:
        if constraint.rule is not Rule.FOREIGN_KEY:
            return self.rename_index(table, constraint.name, new)
        what = f"DROP FOREIGN KEY {quote(constraint.name)}, ADD {named_rule(replace(constraint, name=new))}"
        change = Online(table.name, what, METADATA)
        return (self._unchecked(f"~ constraint {constraint.name} becomes {new}", change, self._constraint(table, new)),)

    # keeping two columns equal ---------------------------------------------------------------------------------

    def sync(self, table: Table, name: str, pairs: Sequence[Pair], release: str) -> Acts:
        del release  # it is in the name
        return syncs.create(self, table, name, pairs)

    def unsync(self, table: Table, name: str, pairs: Sequence[Pair]) -> Acts:
        """What is required becomes optional before the triggers go: nobody fills it any more for the versions before."""
        required = [
            c for c in (table.column(new) for pair in pairs for new in pair.news) if c is not None and not c.nullable
        ]
        first = [act for column in required for act in self.undo_not_null(table, column)]
        return (syncs.dropped(self, table, name, first),)

    def backfill(self, table: Table, pair: Pair) -> BackfillStatement:
        """A time of the last UPDATE stays what it is: nobody has changed the row."""
        sets = [f"{quote(c)} = {e}" for c, e in pair.up.items()]
        sets += [f"{quote(c.name)} = {quote(c.name)}" for c in table.columns if "ON UPDATE" in c.extra.upper()]
        sql = (
            f"UPDATE {self.named(table)} SET {', '.join(sets)} WHERE {marks(self, table, pair).fillable()} AND {RANGE}"
        )
        title = f"~ backfill {listed(f'{table.name}.{c}' for c in pair.news)}"
        keys = tuple(quote(c) for c in table.primary_key)
        return BackfillStatement(sql, "", 0, self.named(table), ", ".join(keys), title, keys)

    def never_filled(self, table: Table, pair: Pair) -> Check:
        return checks.rows(
            table, f"rows of {table.name} whose {pair.first} was never filled", marks(self, table, pair).fillable()
        )

    def inconsistent(self, table: Table, pair: Pair) -> Check:
        if not pair.down:
            return self.never_filled(table, pair)
        words = f"rows of {table.name} whose {listed(pair.news)} does not fit {listed(pair.olds)}"
        return checks.rows(table, words, marks(self, table, pair).inconsistent())

    def contract(self, table: Table, sync: str, leaving: Leaving) -> Acts:
        return contract(self, table, sync, leaving)

    # texts -----------------------------------------------------------------------------------------------------

    def _ddl(self, shown: str, change: Online, probe: Probe, verdict: Verdict = Verdict.OK, reason: str = "") -> Ddl:
        return Ddl(shown, change.sql, probe, change.lock, verdict=verdict, reason=reason)

    def _column(self, table: Table, name: str, *, present: bool = True) -> Probe:
        return Probe("column", name, self.named(table), present=present)

    def _index(self, table: Table, name: str, *, present: bool = True) -> Probe:
        return Probe("index", name, self.named(table), present=present)

    def _constraint(self, table: Table, name: str, *, present: bool = True) -> Probe:
        return Probe("constraint", name, self.named(table), present=present)

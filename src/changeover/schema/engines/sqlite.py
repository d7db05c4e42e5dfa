"""SQLite: what was run and measured on 3.40 (docs/howto/sqlite.md says what each act keeps waiting).

SQLite adds, renames and drops columns; every other change of a table is a change of its text, and writes the table anew in one
transaction: readers go on in WAL mode, writers wait. Triggers cannot change the row that is written, so what is required stays
optional until cleanup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from changeover.core.catalogue import Catalogue, Column, Constraint, Index, Rule, Table
from changeover.core.model import RANGE, BackfillStatement, ChangeSet, Check, Edit, Lock, Probe, Rewrite, Verdict
from changeover.schema.ddl import Ddl, Leaving, Pair
from changeover.schema.engines import sqlite_checks as checks
from changeover.schema.engines import sqlite_sync as syncs
from changeover.schema.engines import sqlite_types as types
from changeover.schema.engines.engine import Acts, Cannot
from changeover.schema.engines.sqlite_foresight import foreseen
from changeover.schema.engines.sqlite_rebuild import LONGEST, quoted, text
from changeover.schema.engines.sqlite_text import Made, Unreadable, labels_of, mentions, parsed, same
from changeover.schema.engines.sqlite_text import Rule as Written
from changeover.schema.engines.words import Marks, listed, table_words

UNNAMED = (
    "an INSERT without a list of columns, of a running version, fails from then on: name the columns, and say so with "
    "`names_columns: true`"
)


@dataclass(frozen=True, slots=True)
class SqliteEngine:
    """Writes what SQLite runs. `texts`: what made everything in the database."""

    texts: tuple[str, ...] = ()
    names_columns: bool = False  # no version in play inserts without naming columns
    dialect: str = "sqlite"
    longest: int = LONGEST
    fills_before: bool = False
    drops_indexes: bool = True
    _none: Mapping[str, str] = field(default_factory=dict)

    def size(self, name: str) -> int:
        return len(name.encode())

    def quote(self, name: str) -> str:
        return quoted(name)

    def named(self, table: Table) -> str:
        return quoted(table.name)

    def foresee(self, changes: ChangeSet, catalogue: Catalogue) -> tuple[ChangeSet, Catalogue]:
        """Run on an empty copy of the schema, so that the texts are those that will be there."""
        return foreseen(changes, catalogue)

    # types and values ------------------------------------------------------------------------------------------

    def check_type(self, type_: str, enums: Mapping[str, tuple[str, ...]]) -> str:
        del enums
        return types.checked(type_)

    def labels(self, table: Table | None, name: str, enums: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        del enums
        if table is None:
            raise Cannot(
                "SQLite has no enum types; a CHECK keeps the labels of a column",
                "add_enum_value: { table: TABLE, column: COLUMN, value: … }",
            )
        if table.column(name) is None:
            raise Cannot(f"{table.name} has no column {name}")
        return self._enum(table, name)[1]

    def _enum(self, table: Table, column: str) -> tuple[str, tuple[str, ...]]:
        """The name of the CHECK that lists the labels, and the labels."""
        for name, rule in self._made(table).named(table.name):
            found = labels_of(rule, column)
            if found:
                return name, found
        raise Cannot(
            f"no CHECK on {table.name} lists the labels of {column}",
            f"the list is known in this form: CHECK ({column} IN ('a', 'b'))",
        )

    def filler(self, column: Column) -> str:
        return types.filler(column)

    def cast(self, expression: str, type_: str) -> str:
        return types.cast(expression, type_)

    def recast(self, default: str, old: str, new: str) -> str:
        """A constant is converted when it is stored."""
        del old, new
        return default

    # what stands in the way ------------------------------------------------------------------------------------

    def moves(self, table: Table, olds: Sequence[str], news: Mapping[str, Column]) -> None:
        del news
        for index in table.indexes:
            sql = index.definition
            touched = any(o in index.columns or (sql and self._in_columns(sql, o)) for o in olds)
            odd = not index.columns or index.where or (sql and mentions(sql, "COLLATE"))
            if touched and not index.constraint and (odd or len(olds) > 1):
                raise Cannot(
                    f"the index {index.name} on {table.name} uses {listed(olds)} in a way that cannot be copied",
                    "drop it in an earlier release and add what is needed as add_index",
                )
        made = self._made(table)
        for name, rule in made.named(table.name):
            if set(olds) & set(rule.columns) and mentions(made.sql[rule.start : rule.end], "CONFLICT"):
                raise Cannot(
                    f"the constraint {name} on {table.name} says what to do ON CONFLICT, which cannot be copied",
                    "drop it in an earlier release",
                )
        for old in olds:
            self._no_trigger_names(table, old)

    def leave(self, table: Table, column: Column, parked: str) -> Leaving:
        self._no_trigger_names(table, column.name)
        return Leaving(parked={column.name: parked})

    def _no_trigger_names(self, table: Table, column: str) -> None:
        """A trigger, of whatever table, would fail once the column is gone."""
        found = [
            t
            for t in self.texts
            if t.upper().startswith("CREATE TRIGGER") and mentions(t, table.name) and mentions(t, column)
        ]
        if found:
            head = " ".join(found[0].split("\n", 1)[0].split()[:3])
            raise Cannot(
                f"a trigger names {table.name} and {column}, and every write would fail without it: {head} …",
                "make the trigger anew without it, in an earlier release",
            )

    def _in_columns(self, sql: str, column: str) -> bool:
        return mentions(sql[sql.index("(") :], column)

    def nulls(self, table: Table, column: str) -> Check:
        return checks.nulls(table, column)

    def duplicates(self, table: Table, columns: Sequence[str]) -> Check:
        return checks.duplicates(table, columns)

    def orphans(self, table: Table, constraint: Constraint) -> Check:
        return checks.orphans(table, constraint)

    def violations(self, table: Table, expression: str) -> Check:
        return checks.violations(table, expression)

    def misfits(self, table: Table, pair: Pair) -> Check | None:
        return checks.misfits(table, pair)

    # tables ----------------------------------------------------------------------------------------------------

    def create_table(self, table: Table) -> Acts:
        numbered = next((c for c in table.columns if c.identity), None)
        if numbered is not None and (table.primary_key != (numbered.name,) or numbered.type != "integer"):
            raise Cannot(
                f"{table.name}.{numbered.name} is numbered by the database, so it has to be an integer and the primary key",
                f"columns: {{ {numbered.name}: {{ type: integer, identity: true }} }}, primary_key: {numbered.name}",
            )
        inside = [self._column(c) for c in table.columns]
        if table.primary_key and numbered is None:
            inside.append(f"PRIMARY KEY ({checks.names(table.primary_key)})")
        inside += [self._constraint(c) for c in table.constraints]
        sql = f"CREATE TABLE {self.named(table)} ({', '.join(inside)})"
        indexes = tuple(act for i in table.indexes for act in self.add_index(table, i))
        made = Ddl(f"+ table {table.name}", sql, Probe("table", table.name))
        return (made, *(replace(act, lock=Lock.BRIEF) for act in indexes))

    def alias_table(self, table: Table, name: str) -> Acts:
        raise Cannot(
            f"SQLite cannot give {table.name} a second name that is written like a table: through a view with triggers "
            "last_insert_rowid() is stale, RETURNING gives NULL and an upsert is refused",
            "let the new version keep the old name",
            f"or make {name} with create_table and let one version write both",
        )

    def adopt_alias(self, table: Table, name: str) -> Acts:
        return self.alias_table(table, name)

    def drop_alias(self, name: str) -> Acts:
        return (Ddl(f"- view {name}", f"DROP VIEW {quoted(name)}", Probe("view", name, present=False)),)

    def park_table(self, table: Table, parked: str) -> Acts:
        """Its foreign keys go first: rows that nobody sees any more must not hold rows of other tables."""
        keys = [name for name, rule in self._made(table).named(table.name) if rule.what == "foreign key"]
        free: Acts = ()
        if keys:
            edits = tuple(Edit("no_constraint", name) for name in keys)
            absent = Probe("constraint", keys[-1], table.name, present=False)
            free = (self._anew(table, f"- foreign keys of {table.name}", edits, absent),)
        sql = f"ALTER TABLE {self.named(table)} RENAME TO {quoted(parked)}"
        gone = Probe("table", table.name, present=False)
        return (*free, Ddl(f"- table {table.name} (parked as {parked})", sql, gone))

    def drop_table(self, name: str) -> Acts:
        return (Ddl(f"- table {name}", f"DROP TABLE {quoted(name)}", Probe("table", name, present=False)),)

    # columns ---------------------------------------------------------------------------------------------------

    def add_column(self, table: Table, column: Column) -> Acts:
        """A default that is read off the clock comes with a second act: SQLite adds no column with one to rows."""
        clock = column.default is not None and types.CLOCK.fullmatch(column.default.strip())
        first = replace(column, default=None) if clock else column
        sql = f"ALTER TABLE {self.named(table)} ADD COLUMN {self._column(first)}"
        there = Probe("column", column.name, table.name, definition=column.type)
        verdict = Verdict.OK if self.names_columns else Verdict.WARN
        shown = f"+ column {table.name}.{column.name} {column.type}"
        added = Ddl(shown, sql, there, verdict=verdict, reason=UNNAMED)
        return (added, *self._default(table, column, str(column.default))) if clock else (added,)

    def adds_filled(self, column: Column) -> bool:
        """Rows that are there show a constant without being written."""
        return column.default is None or not types.CLOCK.fullmatch(column.default.strip())

    def drop_column(self, table: Table, column: str) -> Acts:
        gone = Probe("column", column, table.name, present=False)
        return (self._anew(table, f"- column {table.name}.{column}", (Edit("no_column", column),), gone),)

    def make_optional(self, table: Table, column: Column, default: str | None) -> Acts:
        if default is None:
            return () if column.nullable else self._optional(table, column)
        if column.default is not None:
            return ()  # it has one; what it is stays the business of the version before
        alone = any(i.unique and column.name in i.columns for i in table.indexes)
        if alone and default != types.filler(column):
            raise Cannot(
                f"{table.name}.{column.name} is unique: a second row that leaves it out would have {default} once more",
                f"default: {types.filler(column)}    (then each row gets another value until cleanup)",
            )
        given = types.unlike(column.type) if alone else types.default(default)
        shown = f"~ {table.name}.{column.name} may be left out (default {given})"
        there = Probe("default", column.name, table.name)
        return (self._anew(table, shown, (Edit("default", column.name, given),), there),)

    def set_default(self, table: Table, column: Column, default: str) -> Acts:
        return tuple(
            replace(act, verdict=Verdict.WARN, reason="rows that the version before inserts get it too")
            for act in self._default(table, column, default)
        )

    def _default(self, table: Table, column: Column, default: str) -> Acts:
        given = types.default(default)
        shown = f"~ default {table.name}.{column.name} {given}"
        there = Probe("default", column.name, table.name, definition=given)
        edit = self._restored(table, column, "default", given) or Edit("default", column.name, given)
        return (self._anew(table, shown, (edit,), there),)

    def drop_default(self, table: Table, column: Column) -> Acts:
        gone = Probe("default", column.name, table.name, present=False)
        edit = self._restored(table, column, "default", None) or Edit("no_default", column.name)
        return (self._anew(table, f"- default {table.name}.{column.name}", (edit,), gone),)

    def set_not_null(self, table: Table, column: Column) -> Acts:
        there = Probe("not_null", column.name, table.name)
        edit = self._restored(table, column, "not null", "") or Edit("not_null", column.name)
        guards = (self.nulls(table, column.name),)
        return (self._anew(table, f"+ not null {table.name}.{column.name}", (edit,), there, guards=guards),)

    def drop_not_null(self, table: Table, column: Column) -> Acts:
        return tuple(
            replace(act, verdict=Verdict.WARN, reason="readers of the version before may get NULL")
            for act in self._optional(table, column)
        )

    def undo_not_null(self, table: Table, column: Column) -> Acts:
        return self._optional(table, column)

    def _optional(self, table: Table, column: Column) -> Acts:
        absent = Probe("not_null", column.name, table.name, present=False)
        edit = self._restored(table, column, "not null", None) or Edit("nullable", column.name)
        return (self._anew(table, f"- not null {table.name}.{column.name}", (edit,), absent),)

    def _restored(self, table: Table, column: Column, what: str, body: str | None) -> Edit | None:
        """Whether the release has found the column so: then an undo gives back the text that it had, to the letter."""
        made = self._made(table)
        found = made.column(column.name)
        if found is None:
            return None
        rule = found.rule(what)
        as_it_was = rule is None if body is None else rule is not None and rule.body == body
        return Edit("column", column.name, made.text(found)) if as_it_was else None

    def change_type(self, table: Table, column: Column, type_: str) -> Acts:
        named = f"change_type: {{ table: {table.name}, column: {column.name}, type: {type_}, to: NEW_NAME }}"
        if column.name in table.primary_key:
            raise Cannot(f"{table.name}.{column.name} belongs to the primary key", "a key is replaced by a new table")
        if types.affinity(type_) != types.affinity(column.type):
            raise Cannot(
                f"{column.type} to {type_} under the same name: SQLite would store what is there in another way, and compare it so",
                f"give it a new name: {named}",
            )
        there = Probe("column", column.name, table.name, definition=type_)
        edits = (Edit("type", column.name, type_),)
        return (self._anew(table, f"~ type {table.name}.{column.name} {type_}", edits, there),)

    def add_enum_value(self, table: Table | None, name: str, value: str) -> Acts:
        assert table is not None, "labels() has refused it"
        check, labels = self._enum(table, name)
        listing = ", ".join(text(label) for label in (*labels, value))
        edits = (Edit("check", check, f"{quoted(name)} IN ({listing})"),)
        there = Probe("enum_value", name, table.name, definition=value)
        return (self._anew(table, f"+ value {value} of {table.name}.{name}", edits, there),)

    # indexes and constraints -----------------------------------------------------------------------------------

    def add_index(self, table: Table, index: Index) -> Acts:
        """The one writer that SQLite has waits until it is built."""
        unique, where = "UNIQUE " if index.unique else "", f" WHERE {index.where}" if index.where else ""
        parts = ", ".join(quoted(c) + (" DESC" if n in index.descending else "") for n, c in enumerate(index.columns))
        sql = f"CREATE {unique}INDEX {quoted(index.name)} ON {self.named(table)} ({parts}){where}"
        there = Probe("index", index.name, table.name)
        return (Ddl(f"+ {unique.lower()}index {index.name} on {table.name}", sql, there, Lock.SCAN),)

    def drop_index(self, table: Table, index: Index) -> Acts:
        gone = Probe("index", index.name, present=False)
        return (Ddl(f"- index {index.name} on {table.name}", f"DROP INDEX {quoted(index.name)}", gone),)

    def rename_index(self, table: Table, old: str, new: str) -> Acts:
        edits = (Edit("index_name", old, new),)
        return (self._anew(table, f"~ index {old} becomes {new}", edits, Probe("index", new, table.name)),)

    def add_unique(self, table: Table, constraint: Constraint) -> Acts:
        """A unique index: the same to everybody, and no row is written."""
        built = self.add_index(table, Index(constraint.name, constraint.columns, unique=True))
        return tuple(replace(act, guards=(self.duplicates(table, constraint.columns),)) for act in built)

    def undo_unique(self, table: Table, constraint: Constraint) -> Acts:
        return self.drop_index(table, Index(constraint.name, constraint.columns, unique=True))

    def add_check(self, table: Table, constraint: Constraint) -> Acts:
        return (self._constrained(table, constraint, self.violations(table, constraint.definition)),)

    def add_foreign_key(self, table: Table, constraint: Constraint) -> Acts:
        return (self._constrained(table, constraint, self.orphans(table, constraint)),)

    def _constrained(self, table: Table, constraint: Constraint, guard: Check) -> Ddl:
        shown = f"+ {constraint.rule.replace('_', ' ')} {constraint.name} on {table.name}"
        edits = (Edit("constraint", "", self._constraint(constraint)),)
        return self._anew(table, shown, edits, Probe("constraint", constraint.name, table.name), guards=(guard,))

    def drop_constraint(self, table: Table, constraint: Constraint) -> Acts:
        gone = Probe("constraint", constraint.name, table.name, present=False)
        edits = (Edit("no_constraint", constraint.name),)
        return (self._anew(table, f"- constraint {constraint.name} on {table.name}", edits, gone),)

    def rename_constraint(self, table: Table, constraint: Constraint, new: str) -> Acts:
        """A unique index becomes a constraint of the table's text; what had no name has none again."""
        was = next((r for name, r in self._made(table).named(table.name) if same(name, new)), None)
        bare = was is not None and not was.name
        shown = f"{_SHORT[constraint.rule]}_{table.name}_{'_'.join(constraint.columns)}" if bare else new
        what = "index_to_constraint" if constraint.rule is Rule.UNIQUE else "constraint_name"
        edits = (Edit(what, constraint.name, "" if bare else new),)
        there = Probe("constraint", shown, table.name)
        return (self._anew(table, f"~ constraint {constraint.name} becomes {shown}", edits, there),)

    # keeping two columns equal ---------------------------------------------------------------------------------

    def sync(self, table: Table, name: str, pairs: Sequence[Pair], release: str) -> Acts:
        return (syncs.create(self, table, self._row(table), name, pairs, release=release),)

    def _row(self, table: Table) -> str:
        """The condition that finds the row that a trigger sees as NEW."""
        return " AND ".join(f"{key} IS NEW.{key}" for key in self._keys(table))

    def _keys(self, table: Table) -> tuple[str, ...]:
        """SQLite's own number of a row, which is never NULL; else the primary key."""
        made = self._made(table)
        if not made.rowid:
            return tuple(quoted(c) for c in table.primary_key)
        return (made.rowid if made.column(made.rowid) is None else quoted(made.rowid),)

    def unsync(self, table: Table, name: str, pairs: Sequence[Pair]) -> Acts:
        """Nothing has become required while they were there."""
        del pairs
        update, insert = syncs.names(name)
        gone = Probe("trigger", update, table.name, present=False)
        return (Ddl(f"- triggers {update} and {insert} on {table.name}", probe=gone, block=syncs.drops(name)),)

    def backfill(self, table: Table, pair: Pair) -> BackfillStatement:
        sets = ", ".join(f"{quoted(c)} = {e}" for c, e in pair.up.items())
        fillable = Marks(self, table, pair, checks.differs).fillable()
        sql = f"UPDATE {self.named(table)} SET {sets} WHERE {fillable} AND {RANGE}"
        title = f"~ backfill {', '.join(f'{table.name}.{c}' for c in pair.news)}"
        keys = self._keys(table)
        return BackfillStatement(sql, "", 0, self.named(table), ", ".join(keys), title, keys)

    def never_filled(self, table: Table, pair: Pair) -> Check:
        fillable = Marks(self, table, pair, checks.differs).fillable()
        return checks.rows(table, f"rows of {table.name} whose {pair.first} was never filled", fillable)

    def inconsistent(self, table: Table, pair: Pair) -> Check:
        if not pair.down:
            return self.never_filled(table, pair)
        words = f"rows of {table.name} whose {listed(pair.news)} does not fit {listed(pair.olds)}"
        return checks.rows(table, words, Marks(self, table, pair, checks.differs).inconsistent())

    # what cleanup takes away -----------------------------------------------------------------------------------

    def contract(self, table: Table, sync: str, leaving: Leaving) -> Acts:
        block = list(syncs.drops(sync)) if sync else []
        block += [
            f"ALTER TABLE {self.named(table)} RENAME COLUMN {quoted(c)} TO {quoted(p)}"
            for c, p in leaving.parked.items()
        ]
        block += leaving.more
        edits = [edit for c, p in leaving.parked.items() for edit in self._out_of_reach(table, c, p, leaving.parked)]
        edits += [Edit("no_column", c) for c in leaving.dropped]
        edits += [Edit("default", c, types.default(d)) for c, d in leaving.defaults.items()]
        edits += [Edit("not_null", c) for c in leaving.not_null]
        if not block and not edits:
            return ()
        guards = ((syncs.there(table, sync),) if sync else ()) + tuple(self.nulls(table, c) for c in leaving.not_null)
        gone = next(iter((*leaving.parked, *leaving.dropped)), "")
        probe = (
            Probe("column", gone, table.name, present=False)
            if gone
            else Probe("trigger", syncs.names(sync)[0], table.name, present=False)
        )
        rewrite = Rewrite(table.name, tuple(edits)) if edits else None
        shown = "; ".join(
            [table_words(table, sync, leaving), *(f"+ not null {table.name}.{c}" for c in leaving.not_null)]
        )
        lock = Lock.SCAN if edits else Lock.BRIEF
        return (Ddl(shown, probe=probe, lock=lock, block=tuple(block), guards=guards, rewrite=rewrite),)

    def _out_of_reach(self, table: Table, column: str, parked: str, all_: Mapping[str, str]) -> Iterable[Edit]:
        """Nobody writes it any more: it may be empty, and holds no row of another table. It has its new name by then."""
        known = table.column(column)
        made = self._made(table)
        if known is not None and not known.nullable:
            yield Edit("nullable", parked)
        found = made.column(column)
        written = found is not None and found.rule("default") is not None
        if written or (known is not None and not known.nullable):
            yield Edit("no_default", parked)
        for rule in made.rules:
            if rule.what == "foreign key" and column in rule.columns:
                yield Edit("no_constraint", self._renamed(table, rule, all_))

    def _renamed(self, table: Table, rule: Written, names: Mapping[str, str]) -> str:
        """How a constraint is called when these columns have other names."""
        return rule.name or f"fk_{table.name}_{'_'.join(names.get(c, c) for c in rule.columns)}"

    # texts -----------------------------------------------------------------------------------------------------

    def _made(self, table: Table) -> Made:
        """The table's text in its parts, as it was before the release. Raises Cannot."""
        try:
            return parsed(table.sql)
        except Unreadable as error:
            raise Cannot(
                f"the text that made {table.name} is not understood: {error}", "write the change as plain SQL"
            ) from None

    def _anew(
        self,
        table: Table,
        shown: str,
        edits: tuple[Edit, ...],
        probe: Probe,
        guards: tuple[Check, ...] = (),
    ) -> Ddl:
        """A text that is not understood is refused here."""
        rewrite = Rewrite(table.name, edits, like=self._made(table).sql)
        return Ddl(shown, probe=probe, lock=Lock.SCAN, guards=guards, rewrite=rewrite)

    def _column(self, column: Column) -> str:
        words = [quoted(column.name), column.type]
        if column.identity:
            return " ".join([*words, "PRIMARY KEY AUTOINCREMENT"])
        if column.collation:
            words.append(f"COLLATE {quoted(column.collation)}")
        if not column.nullable:
            words.append("NOT NULL")
        if column.default is not None:
            words.append(f"DEFAULT {types.default(column.default)}")
        return " ".join(words)

    def _constraint(self, constraint: Constraint) -> str:
        columns, head = checks.names(constraint.columns), f"CONSTRAINT {quoted(constraint.name)}"
        match constraint.rule:
            case Rule.UNIQUE:
                return f"{head} UNIQUE ({columns})"
            case Rule.CHECK:
                return f"{head} CHECK ({constraint.definition})"
            case Rule.FOREIGN_KEY:
                acts = "".join(
                    f" ON {verb} {what}"
                    for verb, what in (("UPDATE", constraint.on_update), ("DELETE", constraint.on_delete))
                    if what
                )
                target = f"{quoted(constraint.references)} ({checks.names(constraint.referred)})"
                return f"{head} FOREIGN KEY ({columns}) REFERENCES {target}{acts}"
            case _:
                raise Cannot(f"a constraint like {constraint.name} cannot be made here")


_SHORT = {Rule.UNIQUE: "uq", Rule.FOREIGN_KEY: "fk", Rule.CHECK: "ck"}

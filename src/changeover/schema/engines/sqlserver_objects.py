"""Indexes and constraints of SQL Server: each made and dropped as text, and what stands on a column."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from changeover.core.catalogue import Column, Constraint, Index, Rule, Table
from changeover.schema.ddl import made
from changeover.schema.engines.engine import Cannot
from changeover.schema.engines.sqlserver_text import constant, literal, quote, typed
from changeover.schema.engines.sqlserver_types import GROWS

LONGEST = 128  # characters of a name
_SYSTEM_NAMED = re.compile(r"DF__.*__[0-9A-F]{8}")
_PLAIN = ("", "NONCLUSTERED")
_RANDOM = re.compile(r"NEWID\(\)|NEWSEQUENTIALID\(\)|NEXT VALUE FOR", re.IGNORECASE)


def named(table: Table) -> str:
    """The table as SQL, with its schema where it is known."""
    return ".".join(quote(part) for part in (table.schema, table.name) if part)


def beside(table: Table, name: str) -> str:
    """Something else of the table's schema."""
    return named(replace(table, name=name))


def columns(names: Iterable[str]) -> str:
    return ", ".join(quote(n) for n in names)


# defaults ------------------------------------------------------------------------------------------------------


def default_on(table: Table, column: str) -> Constraint | None:
    """The constraint that gives the column its default."""
    return next((c for c in table.constraints if c.rule is Rule.DEFAULT and c.columns == (column,)), None)


def our_default(table: Table, column: str) -> str:
    """What changeover calls the default that it gives a column."""
    return made("df", LONGEST, table.name, column)


def kept_default(table: Table, column: str) -> str:
    """The name of the column's default after it has been changed: the one that it had, unless the server had made it up."""
    now = default_on(table, column)
    return our_default(table, column) if now is None or _SYSTEM_NAMED.fullmatch(now.name) else now.name


def heirs(table: Table, leaving: Iterable[str], defaults: Iterable[tuple[str, str]]) -> dict[str, str]:
    """New column -> the name of its default: that of the column which it replaces, else changeover's."""
    free = [d for d in (default_on(table, c) for c in leaving) if d is not None and not _SYSTEM_NAMED.fullmatch(d.name)]
    found: dict[str, str] = {}
    for column, default in defaults:
        heir = next((d for d in free if d.definition == default), None)
        found[column] = our_default(table, column) if heir is None else heir.name
        free = [d for d in free if d is not heir]
    return found


# what stands on columns ----------------------------------------------------------------------------------------


def mentions(text: str, column: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(column)}(?!\w)", text, re.IGNORECASE) is not None


def touches(index: Index, column: str) -> bool:
    return column in (*index.columns, *index.included) or mentions(index.where, column)


def is_plain(index: Index) -> bool:
    """An ordinary index of rows, beside the table, in use."""
    return index.definition in _PLAIN


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands on some columns of a table and has to go before them."""

    table: Table
    indexes: tuple[Index, ...]
    constraints: tuple[Constraint, ...]

    @classmethod
    def on(cls, table: Table, names: Collection[str]) -> Standing:
        """Indexes of a constraint go with it."""
        indexes = (i for i in table.indexes if not i.constraint and any(touches(i, n) for n in names))
        constraints = (c for c in table.constraints if c.rule is not Rule.OTHER and set(names) & set(c.columns))
        return cls(table, tuple(indexes), tuple(constraints))

    @property
    def names(self) -> tuple[str, ...]:
        return (*(c.name for c in self.constraints), *(i.name for i in self.indexes))

    def dropped(self, *, perhaps: bool = False) -> tuple[str, ...]:
        """Constraints first: a foreign key may rely on an index. `perhaps`: what is not there any more is no error."""
        found = chain.from_iterable(self._gone(c, perhaps=perhaps) for c in self.constraints)
        return (*found, *(drop_index(self.table, i.name, perhaps=perhaps) for i in self.indexes))

    def _gone(self, constraint: Constraint, *, perhaps: bool) -> Iterator[str]:
        """A copy of a unique rule is an index until its column is required: whichever it is."""
        if constraint.definition and is_filtered(self.table, constraint, filling=True):
            yield drop_rule(self.table, constraint.name, perhaps=True)
            yield drop_index(self.table, constraint.name, perhaps=True)
        else:
            yield drop_constraint(self.table, constraint, perhaps=perhaps)

    def made_again(self, table: Table) -> tuple[str, ...]:
        """As they were, with the columns as `table` has them: no row waits to be filled any more."""
        found = [create_index(table, i, filling=False) for i in self.indexes]
        rules = (c for c in self.constraints if c.rule is not Rule.FOREIGN_KEY)
        keys = (c for c in self.constraints if c.rule is Rule.FOREIGN_KEY)
        return (*found, *(add_constraint(table, c) for c in (*rules, *keys)))


def in_the_way_of_not_null(table: Table, column: Column) -> Standing:
    """What SQL Server does not let stand on a column that becomes required: defaults may, and plain indexes on some types."""
    found = Standing.on(table, (column.name,))
    may_stay = column.type.partition("(")[0] in GROWS
    indexes = tuple(i for i in found.indexes if not (may_stay and is_plain(i) and not i.unique and not i.where))
    return replace(
        found, indexes=indexes, constraints=tuple(c for c in found.constraints if c.rule is not Rule.DEFAULT)
    )


def one_by_one(table: Table, column: Column) -> str:
    """What takes one row at a time that leaves the column out, "" if nothing does: NULLs, or defaults, would be equal there."""
    if not column.nullable and column.default is not None and _RANDOM.search(column.default):
        return ""
    rules = (c.name for c in table.constraints if c.rule is Rule.UNIQUE and column.name in c.columns)
    indexes = (i.name for i in table.indexes if i.unique and column.name in i.columns and not i.where)
    return next(chain(rules, indexes), "")


# making and dropping -------------------------------------------------------------------------------------------


def is_filtered(table: Table, constraint: Constraint, *, filling: bool = False) -> bool:
    """A unique rule of a change file over columns that may be NULL is an index that leaves the NULLs out.

    SQL Server takes NULLs for equal, and a row has NULL in a new column until the trigger has filled it. `filling`: so is the
    copy, for a new column, of a constraint that the database has.
    """
    ours = filling or not constraint.definition
    return constraint.rule is Rule.UNIQUE and ours and bool(_nullable(table, constraint.columns))


def _nullable(table: Table, names: Iterable[str]) -> tuple[str, ...]:
    known = ((n, table.column(n)) for n in names)
    return tuple(n for n, column in known if column is None or column.nullable)


def create_index(table: Table, index: Index, *, online: bool = False, filling: bool = True) -> str:
    """`filling`: rows may have NULL until they are filled, and a unique index leaves them out.

    Raises Cannot for one that is more than an ordinary index.
    """
    if not index.columns or not is_plain(index):
        raise Cannot(f"the index {index.name} on {table.name} is {index.definition or 'not one of columns'}")
    keys = ", ".join(f"{quote(c)}{' DESC' if n in index.descending else ''}" for n, c in enumerate(index.columns))
    included = f" INCLUDE ({columns(index.included)})" if index.included else ""
    filters = [index.where] if index.where else []
    filters += [f"{quote(c)} IS NOT NULL" for c in _nullable(table, index.columns)] if index.unique and filling else []
    where = f" WHERE {' AND '.join(filters)}" if filters else ""
    unique = "UNIQUE " if index.unique else ""
    how = " WITH (ONLINE = ON)" if online else ""
    return f"CREATE {unique}INDEX {quote(index.name)} ON {named(table)} ({keys}){included}{where}{how}"


def drop_index(table: Table, name: str, *, perhaps: bool = False) -> str:
    return f"DROP INDEX {'IF EXISTS ' if perhaps else ''}{quote(name)} ON {named(table)}"


def add_constraint(
    table: Table, constraint: Constraint, *, online: bool = False, checked: bool = True, filling: bool = False
) -> str:
    """`checked` False: rows that are there already are not looked at."""
    if is_filtered(table, constraint, filling=filling):
        return create_index(table, Index(constraint.name, constraint.columns, unique=True), online=online)
    how = "" if checked or constraint.rule is Rule.UNIQUE else "WITH NOCHECK "
    online_ = " WITH (ONLINE = ON)" if online and constraint.rule is Rule.UNIQUE else ""
    rule = rule_of(table, constraint)
    return f"ALTER TABLE {named(table)} {how}ADD CONSTRAINT {quote(constraint.name)} {rule}{online_}"


def drop_constraint(table: Table, constraint: Constraint, *, perhaps: bool = False) -> str:
    if is_filtered(table, constraint):
        return drop_index(table, constraint.name, perhaps=perhaps)
    return drop_rule(table, constraint.name, perhaps=perhaps)


def drop_rule(table: Table, name: str, *, perhaps: bool = False) -> str:
    return f"ALTER TABLE {named(table)} DROP CONSTRAINT {'IF EXISTS ' if perhaps else ''}{quote(name)}"


def add_default(table: Table, name: str, default: str, column: str) -> str:
    on = named(table)
    return f"ALTER TABLE {on} ADD CONSTRAINT {quote(name)} DEFAULT {constant(default)} FOR {quote(column)}"


def rule_of(table: Table, constraint: Constraint) -> str:
    """`UNIQUE (a, b)`, `CHECK (a > 0)`, … Raises Cannot for what is none of them."""
    match constraint.rule:
        case Rule.UNIQUE:
            return f"UNIQUE ({columns(constraint.columns)})"
        case Rule.CHECK:
            return f"CHECK ({constraint.definition})"
        case Rule.FOREIGN_KEY:
            acts = (("UPDATE", constraint.on_update), ("DELETE", constraint.on_delete))
            said = "".join(f" ON {verb} {act}" for verb, act in acts if act not in ("", "NO ACTION", "RESTRICT"))
            other = beside(table, constraint.references)
            return (
                f"FOREIGN KEY ({columns(constraint.columns)}) REFERENCES {other} ({columns(constraint.referred)}){said}"
            )
        case Rule.DEFAULT:
            return f"DEFAULT {constant(constraint.definition)} FOR {columns(constraint.columns)}"
        case Rule.OTHER:
            raise Cannot(f"{constraint.name} on {table.name} ({constraint.definition}) cannot be made here")


def defined(column: Column) -> str:
    """`name nvarchar(200) NOT NULL`: ALTER COLUMN must say all of it, or it is lost."""
    return f"{quote(column.name)} {typed(column)} {'NULL' if column.nullable else 'NOT NULL'}"


def altered(table: Table, column: Column, *, online: bool = False) -> str:
    how = " WITH (ONLINE = ON)" if online else ""
    return f"ALTER TABLE {named(table)} ALTER COLUMN {defined(column)}{how}"


def renamed(what: str, name: str, kind: str = "") -> str:
    """The new name is taken as it stands: quotes would become a part of it."""
    return f"EXECUTE sys.sp_rename {literal(what)}, {literal(name)}" + (f", {literal(kind)}" if kind else "")


def locked(table: Table) -> str:
    """Nobody else reads or writes the table until the transaction ends. It returns no row."""
    held = f"SELECT TOP (1) @changeover_held = 1 FROM {named(table)} WITH (TABLOCKX, HOLDLOCK)"
    return f"DECLARE @changeover_held int; {held}"

"""An effect in the plan's words, and how the catalogue shows that it has been done."""

from __future__ import annotations

from changeover.core.model import Probe
from changeover.schema.dialects.dialect import Dialect
from changeover.schema.effects import (
    AddColumn,
    AddConstraint,
    AddEnumValue,
    ChangeType,
    Comment,
    Create,
    CreateFunction,
    CreateIndex,
    CreateTable,
    CreateTableAs,
    CreateTrigger,
    CreateView,
    Delete,
    Drop,
    DropColumn,
    DropConstraint,
    DropDefault,
    DropNotNull,
    DropTrigger,
    Effect,
    Grant,
    Insert,
    MoveTable,
    Name,
    Rebuild,
    Redefine,
    RenameColumn,
    RenameEnumValue,
    RenameObject,
    Revoke,
    RowSecurity,
    SetDefault,
    SetNotNull,
    Truncate,
    Update,
    ValidateConstraint,
)


def title(effect: Effect) -> str:
    """`+ column orders.price_cents integer`, `- trigger sync_price on orders`, `~ default orders.status`."""
    return _title(effect).rstrip()


def _title(effect: Effect) -> str:  # one line per effect: a table
    match effect:
        case AddColumn():
            return f"+ column {effect.table}.{effect.column.name} {effect.column.type.sql}"
        case DropColumn():
            return f"- column {effect.table}.{effect.column}"
        case RenameColumn():
            return f"~ column {effect.table}.{effect.old} becomes {effect.new}"
        case ChangeType():
            return f"~ type {effect.table}.{effect.column} {effect.type.sql}"
        case Redefine():
            return f"~ column {effect.table}.{effect.column.name} {_short(effect.sql)}"
        case SetDefault():
            return f"~ default {effect.table}.{effect.column} {_short(effect.sql)}"
        case DropDefault():
            return f"- default {effect.table}.{effect.column}"
        case SetNotNull():
            return f"+ not null {effect.table}.{effect.column}"
        case DropNotNull():
            return f"- not null {effect.table}.{effect.column}"
        case CreateTable() | CreateTableAs():
            return f"+ table {effect.table}"
        case MoveTable():
            return f"- table {effect.table} (kept as {effect.schema}.{effect.table.last})"
        case RowSecurity():
            return f"~ row security {effect.table} {effect.verb.lower()}"
        case AddConstraint():
            valid = ", not validated" if effect.not_valid else ""
            return f"+ constraint {effect.name or ''}".rstrip() + f" on {effect.table} ({effect.rule}{valid})"
        case ValidateConstraint():
            return f"~ constraint {effect.name} on {effect.table} validated"
        case DropConstraint():
            return f"- constraint {effect.name} on {effect.table}"
        case CreateIndex():
            return f"+ {'unique ' if effect.unique else ''}index {effect.name or ''}"
        case CreateTrigger():
            return f"{_sign(effect.replace)} trigger {effect.name} on {effect.table}"
        case DropTrigger():
            return f"- trigger {effect.name}" + (f" on {effect.table}" if effect.table else "")
        case _:
            return _other_title(effect)


def _other_title(effect: Effect) -> str:
    match effect:
        case Create():
            return f"+ {effect.kind} {effect.name}"
        case CreateView():
            return f"{_sign(effect.replace)} view {effect.name}"
        case CreateFunction():
            return f"{_sign(effect.replace)} {effect.kind} {effect.name}"
        case AddEnumValue():
            return f"+ value {_short(effect.value)} of {effect.type}"
        case RenameEnumValue():
            return f"~ value {_short(effect.old)} of {effect.type} becomes {_short(effect.new)}"
        case RenameObject():
            return f"~ {effect.kind} {effect.old} becomes {effect.new}"
        case Drop():
            return f"- {effect.kind} {', '.join(map(str, effect.names))}"
        case Comment():
            return f"~ comment on {_short(effect.subject)}"
        case Grant():
            return f"+ grant {_short(effect.text)}"
        case Revoke():
            return f"- grant {_short(effect.text)}"
        case Insert():
            return f"+ rows of {effect.table}"
        case Update():
            return f"~ rows of {effect.table}"
        case Delete():
            return f"- rows of {effect.table}"
        case Truncate():
            return f"- all rows of {', '.join(map(str, effect.tables))}"
        case Rebuild():
            return f"~ {effect.verb.lower()}"
        case _:
            raise AssertionError(f"no title for {effect!r}")


def _sign(replaced: bool) -> str:
    return "~" if replaced else "+"


def _short(text: str, longest: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


# probes ------------------------------------------------------------------------------------------------------


def probe(effect: Effect, dialect: Dialect) -> Probe | None:
    """How the catalogue shows that the effect is there.

    None where it cannot tell the effect from what was there before: OR REPLACE, a changed default, a function (it may have
    a namesake with other arguments, where the engine allows that; elsewhere `definition` says whether it is a function or a
    procedure). Such a statement is known to be done by its marker alone, which is written in the same transaction where the
    engine can. A trigger without `table` is looked up by its name, perhaps with its schema.
    """
    match effect:
        case AddColumn():
            kind = dialect.type_in_catalogue(effect.column.type)
            return Probe("column", effect.column.name.last, spelled(effect.table, dialect), definition=kind)
        case DropColumn():
            return Probe("column", effect.column.last, spelled(effect.table, dialect), present=False)
        case SetNotNull() | DropNotNull():
            there = isinstance(effect, SetNotNull)
            return Probe("not_null", effect.column.last, spelled(effect.table, dialect), present=there)
        case SetDefault(name=Name()):
            assert effect.name is not None
            return Probe("constraint", effect.name.last, spelled(effect.table, dialect))
        case DropDefault():
            return Probe("default", effect.column.last, spelled(effect.table, dialect), present=False)
        case CreateTable() | CreateTableAs():
            return Probe("table", spelled(effect.table, dialect))
        case MoveTable():
            return Probe("table", spelled(effect.table, dialect), present=False)
        case AddConstraint(name=Name(), index=None):
            assert effect.name is not None
            return Probe("constraint", effect.name.last, spelled(effect.table, dialect))
        case DropConstraint():
            return Probe("constraint", effect.name.last, spelled(effect.table, dialect), present=False)
        case CreateIndex(name=Name()):
            assert effect.name is not None
            return Probe("index", _beside(effect.name, effect.table, dialect), spelled(effect.table, dialect))
        case CreateTrigger(replace=False):
            return Probe("trigger", effect.name.last, spelled(effect.table, dialect))
        case DropTrigger():
            if effect.table is None and len(effect.name.parts) > 1:  # it lies in a schema, not on a table
                return Probe("trigger", spelled(effect.name, dialect), present=False)
            table = spelled(effect.table, dialect) if effect.table else ""
            return Probe("trigger", effect.name.last, table, present=False)
        case CreateView(replace=False):
            return Probe("view", spelled(effect.name, dialect))
        case Create(kind="type" | "schema" | "sequence"):
            return Probe(effect.kind, spelled(effect.name, dialect))
        case Drop(kind="index", table=Name()):
            assert effect.table is not None
            return Probe("index", effect.names[0].last, spelled(effect.table, dialect), present=False)
        case Drop(kind="table" | "view" | "index" | "sequence" | "type" | "schema") if len(effect.names) == 1:
            return Probe(effect.kind, spelled(effect.names[0], dialect), present=False)
        case RenameObject(kind="index", table=Name()):
            assert effect.table is not None
            return Probe("index", effect.new.last, spelled(effect.table, dialect))
        case CreateFunction(replace=False) if dialect.one_routine_per_name:
            return Probe("function", spelled(effect.name, dialect), definition=effect.kind)
        case Drop(kind="function" | "procedure") if dialect.one_routine_per_name and len(effect.names) == 1:
            return Probe("function", spelled(effect.names[0], dialect), present=False, definition=effect.kind)
        case _:
            return None


def spelled(name: Name, dialect: Dialect) -> str:
    """A relation as the engine's own lookup reads it (`to_regclass`, `OBJECT_ID`); SQLite: the plain name."""
    return dialect.spell(name)


def _beside(index: Name, table: Name, dialect: Dialect) -> str:
    """An index lies in its table or in the schema of its table, and CREATE INDEX does not say so."""
    if dialect.index_of_table:
        return index.last
    if len(table.parts) == 1:
        return spelled(index, dialect)
    parts = (*table.parts[:-1], index.last)
    return spelled(Name(parts, parts, ""), dialect)

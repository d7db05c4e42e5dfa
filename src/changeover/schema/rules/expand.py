"""Expand: only what adds, and what the running version cannot notice."""

from __future__ import annotations

from typing import assert_never

from changeover.core.model import Lock
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
from changeover.schema.rules import columns, constraints
from changeover.schema.rules.ruling import Allowed, Made, Refused, Ruling, refuse, unknown, warn


def judge(effect: Effect, made: Made, dialect: Dialect) -> Ruling:
    """What the effect means to the version before; total over all effects."""
    match effect:
        case AddColumn() if not made.has(effect.table):
            return columns.add_column(effect, made, dialect)
        case SetNotNull() if not made.has(effect.table):
            return columns.set_not_null(effect)
        case ChangeType() if not made.has(effect.table):
            return columns.change_type(effect, dialect)
        case SetDefault() if not made.has(effect.table):
            return columns.set_default(effect, made, dialect)
        case DropNotNull() if not made.has(effect.table):
            return warn(f"the version before may then read NULL in {effect.table}.{effect.column}")
        case DropDefault() if not made.has(effect.table):
            return _drop_default(effect)
        case AddConstraint() if not made.has(effect.table):
            return constraints.add_constraint(effect)
        case DropConstraint() if not made.has(effect.table):
            return _drop_constraint(effect, made)
        case RowSecurity() if not made.has(effect.table):
            return refuse(
                f"{effect.verb} ROW LEVEL SECURITY on {effect.table} changes which rows the version before sees and may write",
                "give the new version a view or a table of its own",
            )
        case AddColumn():
            reference = effect.column.reference
            return constraints.new_references(effect.table, [reference] if reference else [], made)
        case AddConstraint():
            return constraints.new_references(effect.table, [effect.reference] if effect.reference else [], made)
        case (
            SetNotNull() | ChangeType() | SetDefault() | DropNotNull() | DropDefault() | DropConstraint() | RowSecurity()
        ):  # fmt: skip
            return Allowed()  # of a table that no version uses yet
        case Redefine():
            return unknown(f"what {effect.table}.{effect.column.name} was before is not visible in the text")
        case CreateIndex():
            return constraints.create_index(effect, made, dialect)
        case CreateTable():
            return constraints.create_table(effect, made)
        case CreateTrigger():
            return constraints.create_trigger(effect, made)
        case ValidateConstraint():
            return Allowed(Lock.NONE)
        case Create() | CreateView() | CreateFunction() | CreateTableAs():
            return _create(effect)
        case AddEnumValue() | Comment() | Grant():
            return Allowed()
        case Insert():
            return _insert(effect, made, dialect)
        case Update() | Delete() | Truncate() | Rebuild():
            return _rows(effect)
        case RenameColumn():
            return columns.rename_column(effect)
        case RenameObject() | RenameEnumValue():
            return _rename(effect, dialect)
        case DropColumn() | DropTrigger() | Drop() | MoveTable() | Revoke():
            return _takes_away(effect, dialect)
        case _ as never:
            assert_never(never)


def _create(effect: Create | CreateView | CreateFunction | CreateTableAs) -> Ruling:
    match effect:
        case Create(kind="domain", checked=True):
            return refuse(
                f"the domain {effect.name} has a constraint: adding a column of it reads or writes the whole table",
                "use the plain type, and a CHECK constraint on the table (NOT VALID, then VALIDATE)",
            )
        case Create(kind="extension"):
            return warn(f"what the extension {effect.name} changes is not visible in the text")
        case Create():
            return Allowed()
        case CreateView(replace=True):
            return warn(f"the version before may read the view {effect.name}, which changes its meaning")
        case CreateView():
            return Allowed()
        case CreateFunction(replace=True):
            return warn(f"the version before may call {effect.name}, which gets another body")
        case CreateFunction():
            return warn(f"the body of {effect.name} is not checked")
        case CreateTableAs():
            return refuse(
                f"{effect.table} is a copy as of one moment: what the version before writes after it is missing",
                f"expand:   CREATE TABLE {effect.table.sql} (…);",
                "expand:   and a trigger that copies every write",
            )
        case _ as never:
            assert_never(never)


def _insert(effect: Insert, made: Made, dialect: Dialect) -> Ruling:
    if effect.query:
        return refuse(
            f"the rows of a query are copied into {effect.table} as of one moment: what the version before writes after it "
            "is missing",
            "expand:   add the columns and a trigger that copies every write",
            "backfill: UPDATE … WHERE … IS NULL;",
        )
    if not made.has(effect.table):
        return refuse(
            f"rows are added to {effect.table}, which the version before reads",
            "put reference rows into a table that this file creates, or let the new version write them",
        )
    return unknown_calls(effect.calls, made, dialect) or Allowed()


def unknown_calls(calls: tuple[str, ...], made: Made, dialect: Dialect) -> Refused | None:
    """Functions that are neither the engine's own pure ones nor made by this change set."""
    found = [c for c in calls if c not in dialect.functions and tuple(c.split(".")) not in made.functions]
    if not found:
        return None
    return unknown(
        f"what the function {found[0]} does is not visible in the text",
        "write the expression out, or create the function in the expand file of this version",
    )


def _rows(effect: Update | Delete | Truncate | Rebuild) -> Refused:
    match effect:
        case Update():
            return refuse(
                f"an UPDATE of {effect.table} in one piece locks its rows for as long as it takes, and may change what the "
                "version before reads",
                f"backfill: UPDATE {effect.table.sql} SET new_column = … WHERE new_column IS NULL;",
            )
        case Delete():
            return refuse(
                f"rows of {effect.table} are deleted that the version before may read",
                f"contract: DELETE FROM {effect.table.sql} …;",
            )
        case Truncate():
            tables = ", ".join(t.sql for t in effect.tables)
            return refuse(
                f"TRUNCATE deletes every row of {', '.join(map(str, effect.tables))} while nobody can use it",
                f"contract: DROP TABLE {tables};",
                f"or, in contract: DELETE FROM {effect.tables[0].sql} WHERE …;",
            )
        case Rebuild():
            return refuse(
                f"{effect.verb} keeps everybody out for as long as it takes",
                "it changes no schema: run it in a maintenance window, or an online tool for it",
            )
        case _ as never:
            assert_never(never)


def _rename(effect: RenameObject | RenameEnumValue, dialect: Dialect) -> Refused:
    match effect:
        case RenameEnumValue():
            return refuse(
                f"the label of {effect.type} that is renamed stands in statements and rows of the version before",
                f"expand:   ALTER TYPE {effect.type.sql} ADD VALUE '{_quoted(effect.new)}';",
                "contract: nothing: a label of an enum cannot be dropped; the new version writes the new one",
            )
        case RenameObject(kind="table") if dialect.name == "postgresql":
            return refuse(
                f"the table {effect.old} gets the name {effect.new}: the version before still asks for {effect.old}",
                f"expand:   CREATE VIEW {effect.new.sql} AS SELECT * FROM {effect.old.sql};",
                "the new version reads and writes through the view; the table keeps its name",
            )
        case RenameObject():
            return refuse(
                f"the {effect.kind} {effect.old} gets the name {effect.new}: the version before may still use {effect.old}",
                f"keep the name {effect.old}, or make {effect.new} beside it and drop {effect.old} in contract",
            )
        case _ as never:
            assert_never(never)


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _drop_default(effect: DropDefault) -> Refused:
    table, column = effect.table.sql, effect.column.sql
    return refuse(
        f"{effect.table}.{effect.column} loses its default: INSERTs of the version before that leave it out fail or write NULL",
        f"contract: ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT;",
    )


def _drop_constraint(effect: DropConstraint, made: Made) -> Ruling:
    if (effect.table.key, effect.name.key[0]) in made.constraints and not effect.cascade:
        return Allowed()
    return refuse(
        f"the version before may rely on the constraint {effect.name} of {effect.table} (ON CONFLICT, no orphans)",
        f"contract: ALTER TABLE {effect.table.sql} DROP CONSTRAINT {effect.name.sql};",
    )


def _takes_away(effect: DropColumn | DropTrigger | Drop | MoveTable | Revoke, dialect: Dialect) -> Refused:
    match effect:
        case DropColumn():
            return refuse(
                f"the column {effect.table}.{effect.column} is dropped, which the version before may read and write",
                f"contract: ALTER TABLE {effect.table.sql} DROP COLUMN {effect.column.sql};",
            )
        case DropTrigger():
            on = f" ON {effect.table.sql}" if effect.table else ""
            return refuse(
                f"the version before may rely on the trigger {effect.name}",
                f"contract: DROP TRIGGER {effect.name.sql}{on};",
            )
        case Drop():
            names, several = ", ".join(map(str, effect.names)), len(effect.names) > 1
            online = "CONCURRENTLY " if effect.kind == "index" and dialect.builds_online else ""
            on = f" ON {effect.table.sql}" if effect.table else ""
            return refuse(
                f"the {effect.kind} {names} {'are' if several else 'is'} dropped, which the version before may use",
                *(f"contract: DROP {effect.kind.upper()} {online}{n.sql}{on};" for n in effect.names),
            )
        case MoveTable():
            return refuse(
                f"the table {effect.table} moves to the schema {effect.schema}, where the version before does not find it",
                f"contract: ALTER TABLE {effect.table.sql} SET SCHEMA {effect.schema.sql};",
            )
        case Revoke():
            return refuse("privileges are revoked that the version before may need", f"contract: REVOKE {effect.text};")
        case _ as never:
            assert_never(never)

"""Contract: what only older versions used is taken away; everything else is ruled as in expand.

Cleanup runs it when no version in play needs the old shape. What would break every version, old or new, stays refused here
too: renames, changes of a type, TRUNCATE, and CASCADE, which takes away objects that nobody named.
"""

from __future__ import annotations

from changeover.core.model import Lock
from changeover.schema.dialects.dialect import Dialect
from changeover.schema.effects import (
    CreateTableAs,
    Delete,
    Drop,
    DropColumn,
    DropConstraint,
    DropDefault,
    DropNotNull,
    DropTrigger,
    Effect,
    MoveTable,
    RenameObject,
    Revoke,
    SetNotNull,
)
from changeover.schema.rules import expand
from changeover.schema.rules.columns import not_null_steps
from changeover.schema.rules.ruling import Allowed, Made, Ruling, refuse, unknown, warn

_DROPPED = ("table", "view", "index", "sequence", "type", "domain", "schema", "function", "procedure", "synonym")


def judge(effect: Effect, made: Made, dialect: Dialect) -> Ruling:
    """What the effect means to the versions that stay."""
    match effect:
        case DropColumn(cascade=True) | DropConstraint(cascade=True) | DropTrigger(cascade=True) | Drop(cascade=True):
            return refuse(
                "CASCADE also drops objects that nobody named, which a version in play may need",
                "contract: drop what depends on it by name, each in a statement before this one, then this without CASCADE",
            )
        case DropColumn():
            return _drop_column(effect, made, dialect)
        case DropConstraint() | DropTrigger() | DropDefault() | DropNotNull() | MoveTable():
            return Allowed()
        case Drop():
            return _drop(effect, dialect)
        case SetNotNull():
            return _set_not_null(effect, made)
        case Revoke():
            return warn("a version in play may need the privileges that are revoked")
        case RenameObject(kind="constraint" | "index"):
            return warn(f"a version in play may use the name {effect.old} (ON CONFLICT ON CONSTRAINT)")
        case Delete():
            what = "rows" if effect.where else "ALL rows"
            return expand.unknown_calls(effect.calls, made, dialect) or warn(
                f"{what} of {effect.table} are deleted in one transaction, which locks them until it ends", Lock.SCAN
            )
        case CreateTableAs():
            return expand.unknown_calls(effect.calls, made, dialect) or Allowed(Lock.NONE)
        case _:
            return expand.judge(effect, made, dialect)


def _drop_column(effect: DropColumn, made: Made, dialect: Dialect) -> Ruling:
    """Trap T8: a trigger that filled the column is gone, the column still demands a value."""
    table, column = effect.table, effect.column
    if not dialect.triggers_fill or not made.lost_trigger(table) or (table.key, column.key[0]) in made.optional:
        return Allowed(dialect.drop_column)
    return warn(
        f"a trigger of {table} is dropped before {table}.{column}: if the column is NOT NULL without a default, INSERTs that "
        f"leave it out fail in between; begin with ALTER TABLE {table.sql} ALTER COLUMN {column.sql} {dialect.optional};"
    )


def _drop(effect: Drop, dialect: Dialect) -> Ruling:
    if effect.kind not in _DROPPED:
        return unknown(f"what goes with the {effect.kind} {effect.names[0]} is not visible in the text")
    if effect.kind != "index" or not dialect.builds_online:
        return Allowed()
    if not effect.concurrently or len(effect.names) > 1:
        return refuse(
            "dropping an index keeps everybody out of its table who comes while it waits for its lock",
            *(f"contract: DROP INDEX CONCURRENTLY {n.sql};" for n in effect.names),
        )
    return Allowed(Lock.NONE, alone=True)


def _set_not_null(effect: SetNotNull, made: Made) -> Ruling:
    if made.has(effect.table) or (effect.table.key, effect.column.key[0]) in made.not_null:
        return Allowed()
    return warn(
        f"every row of {effect.table} is read while nobody can use the table; these four statements do not do that: "
        + " ".join(line.removeprefix("contract: ") for line in not_null_steps(effect)),
        Lock.SCAN,
    )

"""Where SQL Server differs: what reads or writes rows under the lock that nobody passes (Sch-M), and what ONLINE = ON is for.

By its documentation, not measured. ONLINE = ON exists in the Enterprise and Developer editions and in Azure SQL; in others the
server refuses the statement, and nothing has happened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from changeover.core.model import Lock, Phase, Verdict
from changeover.schema.effects import (
    AddColumn,
    AddConstraint,
    CreateIndex,
    CreateTrigger,
    Default,
    Effect,
    Generated,
    MoveTable,
    Redefine,
    RenameColumn,
    RenameObject,
    Rule,
    ValidateConstraint,
)
from changeover.schema.rules.columns import synced_default
from changeover.schema.rules.constraints import create_trigger
from changeover.schema.rules.ruling import Allowed, Made, Refused, Ruling, refuse, unknown, warn

_NO_DEFAULT = (Default.NONE, Default.NULL)
_GROWS = ("varchar", "nvarchar", "varbinary")


def judge(effect: Effect, made: Made, phase: Phase) -> Ruling | None:
    """The ruling where it is not that of all engines."""
    match effect:
        case AddColumn() if not made.has(effect.table):
            return _add_column(effect, made)
        case Redefine():
            return Allowed() if made.has(effect.table) else _redefine(effect, phase)
        case AddConstraint() if not made.has(effect.table):
            return _add_constraint(effect)
        case ValidateConstraint() if not made.has(effect.table):
            return warn(
                f"every row of {effect.table} is read while nobody can use the table; without this the constraint {effect.name} "
                "holds for new rows all the same",
                Lock.REWRITE,
            )
        case CreateIndex():
            return _create_index(effect, made)
        case CreateTrigger():
            return _create_trigger(effect, made)
        case RenameColumn():
            return _rename_column(effect)
        case RenameObject(kind="table"):
            return refuse(
                f"{effect.old} gets the name {effect.new}: the version before still asks for {effect.old}",
                f"expand:   CREATE SYNONYM {effect.new.sql} FOR {effect.old.sql};",
                "the new version reads and writes through the synonym; the table keeps its name",
            )
        case MoveTable() if phase is not Phase.CONTRACT:
            return refuse(
                f"{effect.table} moves to the schema {effect.schema}, where the version before does not find it",
                f"contract: ALTER SCHEMA {effect.schema.sql} TRANSFER {effect.table.sql};",
            )
        case _:
            return None


# columns -------------------------------------------------------------------------------------------------------------


def _add_column(effect: AddColumn, made: Made) -> Ruling:
    refused = next(_refusals(effect), None)
    if refused is not None:
        return refused
    column, title = effect.column, f"{effect.table}.{effect.column.name}"
    has_default = column.default not in _NO_DEFAULT
    fills = has_default and not column.later_only
    reasons = []
    if fills:
        reasons.append(
            f"{title} gets its default at once in the Enterprise and Developer editions and in Azure SQL; in others each row is "
            "written while nobody can use the table (there: add it NULL, then backfill)"
        )
    if has_default and not column.named_default:
        reasons.append(
            f"the default of {title} has no name of its own (CONSTRAINT …), so that contract cannot drop it by its name"
        )
    if has_default and effect.table.key in made.triggered:
        reasons.append(synced_default(str(effect.table), str(column.name)))
    if not column.type.base and column.generated is Generated.NO:
        reasons.append(f"the type {column.type.sql} is not one of SQL Server's own: it may bring rules or a default")
    return warn("; ".join(reasons), Lock.REWRITE if fills else Lock.BRIEF) if reasons else Allowed()


def _refusals(effect: AddColumn) -> Iterator[Refused]:
    table, column = effect.table.sql, effect.column
    name, title = column.name.sql, f"{effect.table}.{column.name}"
    bare = f"expand:   ALTER TABLE {table} ADD {name} {column.type.sql} NULL;"
    if column.generated is Generated.IDENTITY:
        yield refuse(
            f"adding the numbered column {title} writes every row while nobody can use the table",
            bare,
            "later:    number the old rows in a backfill of a version that does not rely on them yet",
        )
    if column.primary or column.unique:
        yield refuse(
            f"adding {title} with a key builds its index while nobody can use {effect.table}",
            bare,
            f"expand:   CREATE UNIQUE INDEX {_plain(effect, 'key')} ON {table} ({name}) WITH (ONLINE = ON);",
        )
    if column.generated is Generated.STORED:
        yield refuse(
            f"adding the persisted computed column {title} writes every row while nobody can use the table",
            f"expand:   ALTER TABLE {table} ADD {name} AS ({column.expression});",
        )
    if column.default is Default.VOLATILE and not column.later_only:
        yield refuse(
            f"the DEFAULT of {title} may differ per row, so every row is written while nobody can use the table",
            f"expand:   ALTER TABLE {table} ADD {name} {column.type.sql} NULL CONSTRAINT {_plain(effect, 'df')} "
            f"DEFAULT {column.default_sql};",
            f"backfill: UPDATE {table} SET {name} = {column.default_sql} WHERE {name} IS NULL;",
        )
    if column.not_null and column.default in _NO_DEFAULT and column.generated is Generated.NO:
        yield refuse(
            f"{title} is NOT NULL without a default: the version before does not fill it, so its INSERTs into {effect.table} fail",
            bare,
            f"backfill: UPDATE {table} SET {name} = … WHERE {name} IS NULL;",
            f"or give it a constant: ALTER TABLE {table} ADD {name} {column.type.sql} NOT NULL CONSTRAINT … DEFAULT … WITH VALUES;",
        )
    if column.check:
        yield _later(effect, bare, f"CHECK ({column.check})", "check")
    if column.reference is not None:
        yield _later(effect, bare, f"FOREIGN KEY ({name}) {column.reference.sql}", "fk")


def _later(effect: AddColumn, bare: str, body: str, suffix: str) -> Refused:
    return refuse(
        f"adding {effect.table}.{effect.column.name} with a constraint reads every row while nobody can use the table",
        bare,
        f"expand:   ALTER TABLE {effect.table.sql} WITH NOCHECK ADD CONSTRAINT {_plain(effect, suffix)} {body};",
    )


def _plain(effect: AddColumn, suffix: str) -> str:
    return "".join(
        c if c.isalnum() or c == "_" else "_" for c in f"{effect.table.last}_{effect.column.name.last}_{suffix}"
    )


def _redefine(effect: Redefine, phase: Phase) -> Ruling:
    """Catalogue 7, 10 and 11: the text does not show what the column was."""
    title, column, table = f"{effect.table}.{effect.column.name}", effect.column, effect.table.sql
    if not column.not_null and not column.nullable:
        return refuse(
            f"ALTER COLUMN without NULL or NOT NULL makes {title} NULL, whatever it was",
            "write NULL or NOT NULL, as the column is now",
        )
    grows = column.type.base in _GROWS
    if grows or (column.not_null and phase is Phase.CONTRACT):
        null = (
            "if it takes NULL now, every row is read while nobody can use the table, and a version that writes NULL breaks"
            if column.not_null
            else "if it is NOT NULL now, a version in play may then read NULL"
        )
        return warn(
            f"{title} becomes {effect.sql}: free only if it is the same or shorter now; else every row is written while nobody can use "
            f"the table, and a version in play may not know the new type; {null}",
            Lock.REWRITE,
        )
    name, new = column.name.sql, f"{column.name.last}_v2"
    why = "may still write NULL there" if column.not_null else "reads and writes the old type"
    return refuse(
        f"{title} becomes {effect.sql}: every row is read or written while nobody can use the table, and the version before {why}",
        f"expand:   ALTER TABLE {table} ADD {new} {column.type.sql} NULL;",
        "expand:   and a trigger that keeps both columns equal",
        f"backfill: UPDATE {table} SET {new} = {name} WHERE {new} IS NULL;",
        f"contract: ALTER TABLE {table} DROP COLUMN {name};",
    )


def _rename_column(effect: RenameColumn) -> Refused:
    table, old, new = effect.table.sql, effect.old.sql, effect.new.sql
    return refuse(
        f"{effect.table}.{effect.old} gets the name {effect.new}: the version before still asks for {effect.old}",
        f"expand:   ALTER TABLE {table} ADD {new} … NULL;",
        "expand:   and a trigger that keeps both columns equal",
        f"backfill: UPDATE {table} SET {new} = {old} WHERE {new} IS NULL;",
        f"contract: ALTER TABLE {table} DROP COLUMN {old};",
    )


# constraints, indexes, triggers ----------------------------------------------------------------------------------------


def _add_constraint(effect: AddConstraint) -> Ruling:
    table = effect.table.sql
    name = effect.name.sql if effect.name else "_".join((effect.table.last, *effect.columns, "key"))
    if effect.rule is Rule.PRIMARY_KEY:
        return refuse(
            f"a primary key on {effect.table} is built while nobody can use the table, and may refuse what the version before writes",
            f"expand:   CREATE UNIQUE INDEX {name} ON {table} ({', '.join(effect.columns)}) WITH (ONLINE = ON);",
        )
    if effect.not_valid:
        return warn(f"the {effect.rule} constraint {name} on {effect.table} may refuse what the version before writes")
    return refuse(
        f"a {effect.rule} constraint on {effect.table} reads every row while nobody can use the table, and may refuse what the "
        "version before writes",
        f"expand:   ALTER TABLE {table} WITH NOCHECK ADD CONSTRAINT {name} {effect.body};",
        f"contract: ALTER TABLE {table} WITH CHECK CHECK CONSTRAINT {name};",
    )


def _create_index(effect: CreateIndex, made: Made) -> Ruling:
    if effect.name is None:
        return unknown(
            f"a key on {effect.table} has no name, so nobody can see whether it has been built, or drop it",
            f"expand:   CREATE UNIQUE INDEX {effect.table.last}_u {effect.rest} WITH (ONLINE = ON);",
        )
    if made.has(effect.table):
        return Allowed()
    unique = "UNIQUE " if effect.unique else ""
    online = f"expand:   CREATE {unique}INDEX {effect.name.sql} {effect.rest} WITH (ONLINE = ON);"
    if effect.kind == "clustered":
        return refuse(f"the clustered index {effect.name} writes the whole table {effect.table} again", online)
    if not effect.concurrently:
        return refuse(
            f"building the index {effect.name} keeps every writer of {effect.table} waiting until it is done", online
        )
    if effect.unique:
        return warn(f"the unique index {effect.name} may refuse what the version before writes to {effect.table}")
    return Allowed()


def _create_trigger(effect: CreateTrigger, made: Made) -> Ruling:
    """N6 on top of what is said everywhere."""
    found = create_trigger(effect, made)
    if isinstance(found, Refused) or found.verdict is Verdict.OK:
        return found
    output = (
        f"an application that writes to {effect.table} with OUTPUT and without INTO fails with error 334 as soon as the table has a "
        "trigger (Entity Framework Core 7 and later writes so)"
    )
    reasons = [found.reason, output]
    if "nocount" not in effect.words:
        reasons.append(
            "it does not SET NOCOUNT ON, and its row counts reach the application as if they were those of its own"
        )
    return replace(found, reason="; ".join(reasons))

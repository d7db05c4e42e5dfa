"""Adding a column to a table that the running version uses, and changing one."""

from __future__ import annotations

from collections.abc import Iterator

from changeover.core.model import Lock
from changeover.schema.dialects.dialect import Dialect
from changeover.schema.effects import (
    AddColumn,
    ChangeType,
    Column,
    Default,
    Generated,
    RenameColumn,
    SetDefault,
    SetNotNull,
)
from changeover.schema.rules.ruling import Allowed, Made, Refused, Ruling, refuse, warn

_NO_DEFAULT = (Default.NONE, Default.NULL)
_JSON_NOTE = "json has no equality: SELECT DISTINCT, GROUP BY and UNION over the row fail in the version before"


def add_column(effect: AddColumn, made: Made, dialect: Dialect) -> Ruling:
    """Unsafe-change catalogue 8, 9, 12, 13, 14, 20: what an ADD COLUMN may carry."""
    refused = next(_refusals(effect, dialect), None)
    return refused if refused is not None else _warnings(effect, made, dialect)


def _refusals(effect: AddColumn, dialect: Dialect) -> Iterator[Refused]:
    table, column = effect.table.sql, effect.column
    name, title = column.name.sql, f"{effect.table}.{column.name}"
    bare = f"expand:   ALTER TABLE {table} ADD COLUMN {name} {_free_type(column)}".rstrip() + ";"
    fill = f"backfill: UPDATE {table} SET {name} = … WHERE {name} IS NULL;"
    if column.type.base in ("serial", "bigserial", "smallserial") or column.generated is Generated.IDENTITY:
        yield refuse(
            f"adding the numbered column {title} writes the whole table again while nobody can use it",
            bare,
            f"expand:   CREATE SEQUENCE {_plain(effect, 'seq')};",
            f"expand:   ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT nextval('{_plain(effect, 'seq')}');",
            "later:    number the old rows in a backfill of a version that does not rely on them yet",
        )
    if column.primary or column.unique:
        online = "CONCURRENTLY " if dialect.builds_online else ""
        yield refuse(
            f"adding {title} with a key builds its index while nobody can write to {effect.table}",
            bare,
            f"expand:   CREATE UNIQUE INDEX {online}{_plain(effect, 'key')} ON {table} ({name});",
        )
    if column.generated is Generated.STORED:
        yield refuse(f"adding the stored generated column {title} writes the whole table again", bare, fill)
    if column.default is Default.VOLATILE or (column.default is Default.STABLE and not dialect.adds_stable_default):
        yield _default_per_row(effect, dialect, bare)
    if column.not_null and column.default in _NO_DEFAULT and column.generated is Generated.NO:
        yield _required(effect, dialect, bare, fill)
    if column.check and dialect.validates_later:
        rule = _plain(effect, "check")
        yield refuse(
            f"adding {title} with a CHECK reads the whole table while nobody can use it",
            bare,
            f"expand:   ALTER TABLE {table} ADD CONSTRAINT {rule} CHECK ({column.check}) NOT VALID;",
            f"expand:   ALTER TABLE {table} VALIDATE CONSTRAINT {rule};",
        )
    if column.reference is not None and (dialect.validates_later or column.default not in _NO_DEFAULT):
        yield _referencing(effect, dialect, bare)
    if column.type.base == "json" and dialect.name == "postgresql":
        yield refuse(
            f"{title} has the type json. {_JSON_NOTE}", f"expand:   ALTER TABLE {table} ADD COLUMN {name} jsonb;"
        )


def _default_per_row(effect: AddColumn, dialect: Dialect, bare: str) -> Refused:
    table, column = effect.table.sql, effect.column
    title = f"{effect.table}.{column.name}"
    fill = f"backfill: UPDATE {table} SET {column.name.sql} = {column.default_sql} WHERE {column.name.sql} IS NULL;"
    if not dialect.adds_stable_default:
        return refuse(f"the DEFAULT of {title} is no constant, and {dialect.name} adds only constants", bare, fill)
    return refuse(
        f"the DEFAULT of {title} is not known to be the same for all rows, so the whole table is written again",
        bare,
        f"expand:   ALTER TABLE {table} ALTER COLUMN {column.name.sql} SET DEFAULT {column.default_sql};",
        fill,
    )


def _required(effect: AddColumn, dialect: Dialect, bare: str, fill: str) -> Refused:
    table, name = effect.table.sql, effect.column.name.sql
    constant = (
        f"or give it a constant: ALTER TABLE {table} ADD COLUMN {name} {effect.column.type.sql} NOT NULL DEFAULT …;"
    )
    steps = not_null_steps(SetNotNull(effect.table, effect.column.name))
    later = steps if dialect.validates_later else (constant,)
    return refuse(
        f"{effect.table}.{effect.column.name} is NOT NULL without a default: the version before does not fill it, "
        f"so its INSERTs into {effect.table} fail",
        bare,
        fill,
        *later,
    )


def _referencing(effect: AddColumn, dialect: Dialect, bare: str) -> Refused:
    table, column = effect.table.sql, effect.column
    assert column.reference is not None
    if not dialect.validates_later:
        return refuse(f"{effect.table}.{column.name} refers to another table, so its default must be NULL", bare)
    rule = _plain(effect, "fk")
    return refuse(
        f"adding {effect.table}.{column.name} with a foreign key locks {effect.table} and {column.reference.table}",
        bare,
        f"expand:   ALTER TABLE {table} ADD CONSTRAINT {rule} FOREIGN KEY ({column.name.sql}) {column.reference.sql} NOT VALID;",
        f"expand:   ALTER TABLE {table} VALIDATE CONSTRAINT {rule};",
    )


def _warnings(effect: AddColumn, made: Made, dialect: Dialect) -> Allowed:
    column = effect.column
    if column.check:
        return warn(
            f"the CHECK on {effect.table}.{column.name} reads every row, and may refuse what the version before writes",
            Lock.SCAN,
        )
    if column.reference is not None:
        return warn(
            f"rows of {column.reference.table} that the new version refers to can no longer be deleted by the version before"
        )
    own = dialect.name != "postgresql" or column.type.base or _is_enum(column, made)
    if not own:
        return warn(
            f"the type {column.type.sql} is not one of {dialect.name}'s own: if it is a domain with a constraint, the whole "
            "table is read or written again"
        )
    if effect.table.key in made.triggered and column.default not in _NO_DEFAULT:
        return warn(synced_default(effect.table.sql, str(column.name)))
    return Allowed()


def synced_default(table: str, column: str) -> str:
    """Trap T5: why a column that a trigger keeps equal must have no default yet."""
    return (
        f"{table}.{column} has a DEFAULT and {table} a trigger: if the trigger keeps {column} equal to an old column, it "
        "cannot tell the default from a value of the new version, and overwrites what the version before inserts"
    )


def _is_enum(column: Column, made: Made) -> bool:
    return tuple(column.type.sql.lower().split(".")) in made.enums


def _free_type(column: Column) -> str:
    serial = {"serial": "integer", "bigserial": "bigint", "smallserial": "smallint"}
    return serial.get(column.type.base, column.type.sql)


def _plain(effect: AddColumn, suffix: str) -> str:
    """A name for a helper object: `orders_price_check`."""
    return "".join(
        c if c.isalnum() or c == "_" else "_" for c in f"{effect.table.last}_{effect.column.name.last}_{suffix}"
    )


# changing a column --------------------------------------------------------------------------------------------


def change_type(effect: ChangeType, dialect: Dialect) -> Ruling:
    """Catalogue 7. Only varchar -> longer varchar and varchar -> text are free, and the text does not show what it was."""
    table, column, new = effect.table.sql, effect.column.sql, f"{effect.column.last}_v2"
    title = f"{effect.table}.{effect.column}"
    grows = effect.type.base == "text" or (effect.type.base == "character varying" and not effect.type.array)
    if grows and not effect.using:
        return warn(
            f"{title} becomes {effect.type.sql}: free only if it is a shorter varchar now; else the table is written again "
            "while nobody can use it, and the version before may read or write values that no longer fit"
        )
    return refuse(
        f"{title} gets the type {effect.type.sql}: {dialect.name} writes the whole table again while nobody can use it, "
        "and the version before reads and writes the old type",
        f"expand:   ALTER TABLE {table} ADD COLUMN {new} {effect.type.sql};",
        "expand:   and a trigger that keeps both columns equal",
        f"backfill: UPDATE {table} SET {new} = {column} WHERE {new} IS NULL;",
        f"contract: ALTER TABLE {table} DROP COLUMN {column};",
    )


def rename_column(effect: RenameColumn) -> Refused:
    """Catalogue 4. Refused in contract too: no version works with both names, so one in play would break."""
    table, old, new = effect.table.sql, effect.old.sql, effect.new.sql
    return refuse(
        f"{effect.table}.{effect.old} gets the name {effect.new}: the version before still asks for {effect.old}",
        f"expand:   ALTER TABLE {table} ADD COLUMN {new} …;",
        "expand:   and a trigger that keeps both columns equal",
        f"backfill: UPDATE {table} SET {new} = {old} WHERE {new} IS NULL;",
        f"contract: ALTER TABLE {table} DROP COLUMN {old};",
    )


def set_default(effect: SetDefault, made: Made, dialect: Dialect) -> Ruling:
    """Catalogue 28 and N1."""
    if (effect.table.key, effect.column.key[0]) not in made.columns:
        return warn(
            f"the version before may rely on the default of {effect.table}.{effect.column}: its INSERTs that leave the "
            "column out get the new value"
        )
    if effect.table.key in made.triggered:
        return warn(synced_default(str(effect.table), str(effect.column)))
    called = [c for c in effect.calls if c == "nextval" or c not in dialect.functions]
    if called:
        return warn(
            f"INSERTs of the version before call {called[0]} for {effect.table}.{effect.column}: they fail if it fails, or if "
            "the login of that version may not use it"
        )
    return Allowed()


def set_not_null(effect: SetNotNull) -> Refused:
    """Catalogue 10, in expand."""
    return refuse(
        f"{effect.table}.{effect.column} becomes NOT NULL: the version before may still write NULL there",
        *not_null_steps(effect),
    )


def not_null_steps(effect: SetNotNull) -> tuple[str, ...]:
    """The four statements that set NOT NULL without reading the table under a lock."""
    table, column = effect.table.sql, effect.column.sql
    rule = "".join(c if c.isalnum() or c == "_" else "_" for c in f"{effect.column.last}_not_null")
    return (
        f"contract: ALTER TABLE {table} ADD CONSTRAINT {rule} CHECK ({column} IS NOT NULL) NOT VALID;",
        f"contract: ALTER TABLE {table} VALIDATE CONSTRAINT {rule};",
        f"contract: ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL;",
        f"contract: ALTER TABLE {table} DROP CONSTRAINT {rule};",
    )

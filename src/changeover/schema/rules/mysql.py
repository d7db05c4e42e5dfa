"""Where MariaDB and MySQL differ: what is instant, what is online if the author demands it, what only copies the table.

Measured on MariaDB 10.11.19 (InnoDB); MySQL 8 by its documentation. LOCK=NONE and ALGORITHM=INSTANT make the server refuse where
the text cannot show whether it would copy, so a rewrite always has them. Even an online ALTER takes its table for a
moment at its begin and its end (lock brief), and runs once more on each replica, which falls behind for as long.
"""

from __future__ import annotations

from collections.abc import Iterator

from changeover.core.model import Lock, Phase
from changeover.schema.effects import (
    AddColumn,
    AddConstraint,
    Column,
    CreateIndex,
    CreateTableAs,
    CreateTrigger,
    Default,
    Demand,
    Drop,
    DropConstraint,
    Effect,
    Generated,
    MoveTable,
    Name,
    Rebuild,
    Redefine,
    RenameObject,
    Rule,
)
from changeover.schema.rules.columns import synced_default
from changeover.schema.rules.ruling import Allowed, Made, Refused, Ruling, refuse, unknown, warn

ONLINE = "ALGORITHM=INPLACE, LOCK=NONE"
_NO_DEFAULT = (Default.NONE, Default.NULL)
_GROWS = ("varchar", "varbinary", "enum", "set")


def judge(effect: Effect, made: Made, phase: Phase) -> Ruling | None:
    """The ruling where it is not that of all engines."""
    match effect:
        case AddColumn() if not made.has(effect.table):
            return _add_column(effect, made)
        case Redefine():
            return Allowed() if made.has(effect.table) else _redefine(effect, phase)
        case AddConstraint() if not made.has(effect.table):
            return _add_constraint(effect)
        case CreateIndex() if not made.has(effect.table) and effect.name is not None:
            return _create_index(effect, effect.name)
        case CreateIndex(name=None):
            return _unnamed(effect)
        case CreateTrigger():
            return _create_trigger(effect, made)
        case Rebuild():
            return _rebuild(effect)
        case DropConstraint() if effect.name.last == "PRIMARY":
            return refuse(
                f"dropping the primary key of {effect.table} copies the whole table while nobody can write",
                "keep it; a key beside it: ALTER TABLE … ADD UNIQUE KEY …, " + ONLINE,
            )
        case CreateTableAs() if phase is Phase.CONTRACT:
            return warn(f"the rows that are copied into {effect.table} may be locked until all are there", Lock.SCAN)
        case RenameObject(kind="table"):
            return _rename_table(effect)
        case MoveTable() if phase is not Phase.CONTRACT:
            return refuse(
                f"the table {effect.table} moves to the database {effect.schema}, where the version before does not find it",
                f"contract: RENAME TABLE {effect.table.sql} TO {effect.schema.sql}.{_last(effect.table)};",
            )
        case Drop(kind="database"):
            return unknown(
                f"every table of {effect.names[0]} goes with it, which the text does not show",
                "contract: drop each table by its name",
            )
        case _:
            return None


def _last(name: Name) -> str:
    return name.sql.rpartition(".")[2] if len(name.parts) > 1 else name.sql


# columns -------------------------------------------------------------------------------------------------------------


def _add_column(effect: AddColumn, made: Made) -> Ruling:
    refused = next(_refusals(effect), None)
    if refused is not None:
        return refused
    column = effect.column
    if column.check:
        return warn(
            f"the CHECK on {effect.table}.{column.name} may refuse what the version before writes, which leaves the column out: it "
            "must hold for the default, or for NULL"
        )
    if effect.moves:
        return warn(
            f"columns get another position with {effect.table}.{column.name} before them: a version that reads by position "
            "(SELECT *) reads another column"
        )
    if effect.table.key in made.triggered and column.default not in _NO_DEFAULT:
        return warn(synced_default(str(effect.table), str(column.name)))
    return Allowed()


def _refusals(effect: AddColumn) -> Iterator[Refused]:
    table, column = effect.table.sql, effect.column
    name, title = column.name.sql, f"{effect.table}.{column.name}"
    bare = f"expand:   ALTER TABLE {table} ADD COLUMN {name} {_free_type(column)} NULL, ALGORITHM=INSTANT;"
    fill = f"backfill: UPDATE {table} SET {name} = … WHERE {name} IS NULL;"
    instant = effect.demand is Demand.INSTANT
    if column.generated is Generated.IDENTITY:
        yield refuse(
            f"adding the numbered column {title} copies the whole table while nobody can write",
            bare,
            "later:    number the old rows in a backfill of a version that does not rely on them yet",
        )
    if column.primary or column.unique:
        yield refuse(
            f"adding {title} with a key copies the table or locks it while the index is built",
            bare,
            f"expand:   ALTER TABLE {table} ADD UNIQUE KEY {_plain(effect, 'key')} ({name}), {ONLINE};",
        )
    if column.generated is Generated.STORED:
        yield refuse(
            f"adding the stored generated column {title} copies the whole table while nobody can write",
            f"expand:   ALTER TABLE {table} ADD COLUMN {name} {column.type.sql} AS ({column.expression}) VIRTUAL;",
        )
    if column.default is Default.VOLATILE:
        yield from _computed(effect, bare, instant=instant)
    if column.not_null and column.default in _NO_DEFAULT and column.generated is Generated.NO:
        yield refuse(
            f"{title} is NOT NULL without a default: the version before does not fill it, so its INSERTs into {effect.table} fail "
            "(error 1364)",
            bare,
            fill,
            f"contract: ALTER TABLE {table} MODIFY COLUMN {name} {column.type.sql} NOT NULL, {ONLINE};",
        )
    if (
        column.type.base == "timestamp"
        and not column.not_null
        and not column.nullable
        and column.default is Default.NONE
    ):
        yield Refused(
            f"whether {title} takes NULL depends on a setting of the server (explicit_defaults_for_timestamp)", (bare,)
        )
    if column.check and not instant:
        yield refuse(
            f"adding {title} with a CHECK copies the table on some servers (MySQL), and the text does not show on which",
            f"expand:   ALTER TABLE {table} ADD COLUMN {name} {column.type.sql} CHECK ({column.check}), ALGORITHM=INSTANT;",
            "the server then refuses instead of copying",
        )
    if column.reference is not None:
        yield refuse(
            f"adding {title} with a foreign key copies the table while nobody can write, or is not done at all (MySQL "
            "reads REFERENCES behind a column and forgets it)",
            bare,
            FOREIGN_KEY,
        )


def _computed(effect: AddColumn, bare: str, *, instant: bool) -> Iterator[Refused]:
    table, column = effect.table.sql, effect.column
    name, title, sql = column.name.sql, f"{effect.table}.{column.name}", column.default_sql
    constant = sql.startswith("(") and not any(c.isalpha() for c in _without_texts(sql))
    if not constant:
        yield refuse(
            f"the DEFAULT of {title} is not known to be the same for all rows, so the whole table is copied while nobody can "
            "write",
            bare,
            f"expand:   ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {sql};",
            f"backfill: UPDATE {table} SET {name} = {sql} WHERE {name} IS NULL;",
        )
    elif not instant:
        yield refuse(
            f"MySQL computes the DEFAULT of {title} for each row and copies the table; MariaDB does not, and the text does not "
            "show which it is",
            f"expand:   ALTER TABLE {table} ADD COLUMN {name} {column.type.sql} DEFAULT {sql}, ALGORITHM=INSTANT;",
            "the server then refuses instead of copying",
        )


def _without_texts(sql: str) -> str:
    """Every other part between quotes; a text with a quote in it leaves letters, and the default then counts as computed."""
    return "".join(sql.split("'")[::2])


def _free_type(column: Column) -> str:
    return "bigint unsigned" if column.type.base == "serial" else column.type.sql


def _plain(effect: AddColumn, suffix: str) -> str:
    return "".join(
        c if c.isalnum() or c == "_" else "_" for c in f"{effect.table.last}_{effect.column.name.last}_{suffix}"
    )


def _redefine(effect: Redefine, phase: Phase) -> Ruling:
    """Catalogue 7, 10, 11, 19. The text does not show what the column was; INSTANT and LOCK=NONE let the server judge."""
    title, column = f"{effect.table}.{effect.column.name}", effect.column
    grows = column.type.base.partition(" ")[0] in _GROWS
    if effect.moves:
        return refuse(
            f"{title} gets another position: a version that reads by position (SELECT *) reads another column",
            f"expand:   {_modify(effect, 'ALGORITHM=INSTANT' if grows else ONLINE)}"
            if grows
            else "leave it where it is",
        )
    if effect.demand is Demand.INSTANT and grows:
        return warn(
            f"{title} is defined anew: a DEFAULT, COMMENT or character set that is not written here is lost, and the version "
            "before may read values that are longer or new to it (the server refuses anything that touches rows)"
        )
    if effect.demand is Demand.ONLINE and phase is Phase.CONTRACT:
        return warn(
            f"{title} is defined anew: a DEFAULT, COMMENT or character set that is not written here is lost; the table may be "
            "written again beside its readers and writers"
        )
    if effect.demand is Demand.ONLINE and not column.not_null:
        return warn(
            f"{title} is defined anew: the version before may then read NULL there, and a DEFAULT, COMMENT or character set that "
            "is not written here is lost"
        )
    if grows and not (column.not_null and effect.demand is Demand.ONLINE):
        return refuse(
            f"whether {title} only grows is not visible in the text; if not, the table is copied while nobody can write, and the "
            "version before may not know the values",
            f"expand:   {_modify(effect, 'ALGORITHM=INSTANT')}",
            "the server then refuses instead of copying; write DEFAULT, COMMENT and character set again, or they are lost",
            *((f"contract: {_modify(effect, ONLINE)}", "where NOT NULL is new") if column.not_null else ()),
        )
    return _changed(effect, title)


def _changed(effect: Redefine, title: str) -> Refused:
    table, column = effect.table.sql, effect.column
    name, new = column.name.sql, f"{column.name.last}_v2"
    if column.not_null:
        why = "the version before may still write NULL there"
        only = (
            f"contract: {_modify(effect, ONLINE)}",
            "that is all if only NOT NULL is new; the server then refuses to copy",
        )
    else:
        why = "the version before reads and writes the old type"
        only = (
            f"expand:   {_modify(effect, ONLINE)}",
            "that is all if only NULL is new; the server then refuses to copy",
        )
    return refuse(
        f"{title} becomes {column.type.sql}{' NOT NULL' if column.not_null else ''}: a new type copies the whole table while "
        f"nobody can write, and {why}",
        *only,
        f"expand:   ALTER TABLE {table} ADD COLUMN {new} {column.type.sql} NULL, ALGORITHM=INSTANT;",
        "expand:   and triggers that keep both columns equal",
        f"backfill: UPDATE {table} SET {new} = {name} WHERE {new} IS NULL;",
        f"contract: ALTER TABLE {table} DROP COLUMN {name};",
    )


def _modify(effect: Redefine, how: str) -> str:
    return f"ALTER TABLE {effect.table.sql} MODIFY COLUMN {effect.column.name.sql} {effect.sql}, {how};"


# keys and constraints ---------------------------------------------------------------------------------------------------

FOREIGN_KEY = (
    "put the foreign key on a table that this file creates, or leave it out: with foreign_key_checks on, no server adds it "
    "without a copy, and with them off it would not see the orphans that are there"
)


def _add_constraint(effect: AddConstraint) -> Refused:
    match effect.rule:
        case Rule.CHECK:
            return refuse(
                f"a CHECK on {effect.table} copies the whole table while nobody can write, and may refuse what the version before "
                "writes",
                "there is no online form; a BEFORE trigger with SIGNAL SQLSTATE '45000' refuses the same rows",
            )
        case Rule.FOREIGN_KEY:
            changes = (
                "; and what the key changes by itself (ON UPDATE, ON DELETE SET NULL) fires no trigger"
                if effect.reference is not None and effect.reference.written
                else ""
            )
            return refuse(
                f"a foreign key on {effect.table} copies the whole table while nobody can write, and may refuse what the version "
                f"before writes{changes}",
                FOREIGN_KEY,
            )
        case _:
            name = effect.name.sql if effect.name else "_".join((effect.table.last, *effect.columns, "key"))
            return refuse(
                f"a primary key on {effect.table} writes the whole table again, and refuses what the version before writes if it "
                "leaves its columns out",
                f"expand:   ALTER TABLE {effect.table.sql} ADD UNIQUE KEY {name} ({', '.join(effect.columns)}), {ONLINE};",
            )


def _create_index(effect: CreateIndex, name: Name) -> Ruling:
    parts = effect.rest.removeprefix(f"ON {effect.table.sql} ")
    if effect.kind:
        return refuse(
            f"a {effect.kind} index on {effect.table} keeps every writer waiting until it is built, and has no other form",
            "put it on a new table that the new version uses",
        )
    if not effect.concurrently:
        kind = "UNIQUE KEY" if effect.unique else "INDEX"
        return refuse(
            f"nothing keeps the server from locking the writers of {effect.table} while it builds the index {name}",
            f"expand:   ALTER TABLE {effect.table.sql} ADD {kind} {name.sql} {parts}, {ONLINE};",
            "the server then refuses instead of locking",
        )
    if effect.unique:
        return warn(
            f"the unique index {name} may refuse what the version before writes to {effect.table}, and fails if a duplicate comes "
            "while it is built"
        )
    if not effect.plain:
        return warn(f"the index {name} computes an expression: where it fails, a write of the version before fails too")
    return Allowed()


def _unnamed(effect: CreateIndex) -> Refused:
    parts = effect.rest.removeprefix(f"ON {effect.table.sql} ")
    kind = "UNIQUE KEY" if effect.unique else "INDEX"
    return unknown(
        f"an index on {effect.table} has no name, so nobody can see whether it has been built",
        f"expand:   ALTER TABLE {effect.table.sql} ADD {kind} {effect.table.last}_i {parts}, {ONLINE};",
    )


# triggers, tables ---------------------------------------------------------------------------------------------------------


def _create_trigger(effect: CreateTrigger, made: Made) -> Ruling | None:
    """N2 and N5. None: as everywhere."""
    table = effect.table
    inserts, updates = (table.key, "INSERT") in made.before, (table.key, "UPDATE") in made.before
    if effect.timing == "BEFORE" and effect.events == ("UPDATE",) and inserts and not updates and not made.has(table):
        return refuse(
            f"the INSERT trigger of {table} is there before its UPDATE trigger {effect.name}: a row that is inserted and then "
            "updated in between is filled and stays wrong, because the backfill takes it for filled",
            f"put CREATE TRIGGER {effect.name.sql} before the trigger for INSERT",
        )
    written = sorted(c for key, c in made.written if key == table.key and c in effect.words)
    if written:
        return refuse(
            f"{table}.{written[0]} is changed by its foreign key (ON UPDATE, ON DELETE SET NULL), which fires no trigger: "
            f"{effect.name} does not see it",
            "leave that action out of the foreign key, or the column out of the trigger",
        )
    return None


def _rebuild(effect: Rebuild) -> Refused:
    if effect.verb.startswith(("ALGORITHM", "LOCK")):
        return refuse(
            f"{effect.verb} demands that the table is locked for as long as it takes",
            f"write {ONLINE} instead: the server then refuses what it cannot do online",
        )
    return refuse(
        f"{effect.verb} writes the whole table again, and may keep everybody out for as long as it takes",
        "it changes no column: run it in a maintenance window, or an online tool for it",
    )


def _rename_table(effect: RenameObject) -> Refused:
    return refuse(
        f"the table {effect.old} gets the name {effect.new}: the version before still asks for {effect.old}",
        f"expand:   CREATE SQL SECURITY INVOKER VIEW {effect.new.sql} AS SELECT * FROM {effect.old.sql};",
        "the new version reads and writes through the view; the table keeps its name",
    )

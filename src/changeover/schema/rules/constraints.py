"""Constraints, indexes and triggers on a table that the running version uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from changeover.core.model import Lock
from changeover.schema.dialects.dialect import Dialect
from changeover.schema.effects import AddConstraint, CreateIndex, CreateTable, CreateTrigger, Name, Reference, Rule
from changeover.schema.rules.columns import synced_default
from changeover.schema.rules.ruling import Allowed, Made, Refused, Ruling, refuse, unknown, warn


def add_constraint(effect: AddConstraint) -> Ruling:
    """Catalogue 12, 13, 14: a rule that the version before has never heard of."""
    match effect.rule:
        case Rule.CHECK | Rule.FOREIGN_KEY:
            return _later_valid(effect)
        case Rule.UNIQUE | Rule.PRIMARY_KEY:
            return _key(effect)
        case Rule.EXCLUDE:
            return refuse(
                f"an EXCLUDE constraint on {effect.table} is built while nobody can write, and has no other form",
                "put it on a new table that the new version uses",
            )
        case _ as never:
            assert_never(never)


def _later_valid(effect: AddConstraint) -> Ruling:
    named = f"the {effect.rule} constraint {effect.name}" if effect.name else f"a {effect.rule} constraint"
    if effect.not_valid:
        return warn(f"{named} on {effect.table} may refuse what the version before writes")
    table, name = effect.table.sql, _name(effect)
    return refuse(
        f"{named} on {effect.table} reads every row while nobody can write, and may refuse what the version before writes",
        f"expand:   ALTER TABLE {table} ADD CONSTRAINT {name} {effect.body} NOT VALID;",
        f"expand:   ALTER TABLE {table} VALIDATE CONSTRAINT {name};",
    )


def _key(effect: AddConstraint) -> Ruling:
    primary = effect.rule is Rule.PRIMARY_KEY
    if effect.index is not None and not primary:
        return Allowed()  # the unique index rules already
    table, name, columns = effect.table.sql, _name(effect), ", ".join(effect.columns)
    if effect.index is not None:
        return refuse(
            f"a primary key on {effect.table} makes its columns NOT NULL: every row is read while nobody can use the table",
            "contract: SET NOT NULL on its columns first (see docs/reference/sql.md), in this file",
            f"contract: ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE USING INDEX {effect.index.sql};",
        )
    return refuse(
        f"a {effect.rule} constraint on {effect.table} builds its index while nobody can write, and may refuse what the version before "
        "writes",
        f"expand:   CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} ({columns});",
        f"expand:   ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE USING INDEX {name};",
    )


def _name(effect: AddConstraint) -> str:
    if effect.name is not None:
        return effect.name.sql
    suffix = {"foreign key": "fk", "primary key": "key", "unique": "key"}.get(effect.rule, str(effect.rule))
    return "_".join((effect.table.last, *effect.columns, suffix))


def create_index(effect: CreateIndex, made: Made, dialect: Dialect) -> Ruling:
    """Catalogue 14 and 15: online where the engine can, and no expression that may fail on somebody's row."""
    if effect.name is None:
        return unknown(
            f"an index on {effect.table} has no name, so nobody can see whether it has been built",
            f"expand:   CREATE INDEX {'CONCURRENTLY ' if dialect.builds_online else ''}{effect.table.last}_i {effect.rest};",
        )
    if made.has(effect.table):
        return Allowed(Lock.BRIEF, alone=effect.concurrently)
    if dialect.builds_online and not effect.concurrently:
        return _not_online(effect, effect.name)
    lock = Lock.NONE if effect.concurrently else Lock.SCAN
    if effect.unique:
        return warn(
            f"the unique index {effect.name} may refuse what the version before writes to {effect.table}",
            lock,
            alone=effect.concurrently,
        )
    if not effect.plain:
        return warn(
            f"the index {effect.name} computes an expression: where it fails, a write of the version before fails too",
            lock,
            alone=effect.concurrently,
        )
    return Allowed(lock, alone=effect.concurrently)


def _not_online(effect: CreateIndex, name: Name) -> Refused:
    unique = "UNIQUE " if effect.unique else ""
    return refuse(
        f"building the index {name} keeps every writer of {effect.table} waiting until it is done",
        f"expand:   CREATE {unique}INDEX CONCURRENTLY {name.sql} {effect.rest};",
    )


def create_table(effect: CreateTable, made: Made) -> Ruling:
    """A new table is nobody's; its foreign keys may bind rows of a table that the version before uses."""
    return new_references(effect.table, effect.references, made)


def new_references(table: Name, references: Sequence[Reference], made: Made) -> Ruling:
    """The foreign keys of a table that no version uses yet."""
    bound = [str(r.table) for r in references if r.blocks_delete and not made.has(r.table) and r.table.key != table.key]
    if not bound:
        return Allowed()
    return warn(
        f"rows of {' and '.join(dict.fromkeys(bound))} that {table} refers to can no longer be deleted by the version before "
        "(a foreign key without ON DELETE CASCADE or SET NULL)"
    )


def create_trigger(effect: CreateTrigger, made: Made) -> Ruling:
    """N1 and N3: a trigger also fires on what the version before writes."""
    if made.has(effect.table):
        return Allowed()
    reason = (
        f"the trigger {effect.name} also fires when the version before writes to {effect.table}; if it fails or changes what "
        "that version wrote, that version breaks"
    )
    if effect.update_of:
        reason += "; it is limited to UPDATE OF, so rows that are not filled yet stay so when other columns change"
    body = effect.words.union(
        *(b for key, b in made.bodies if effect.function is not None and key == effect.function.key)
    )
    defaults = sorted(c for table, c in made.defaults if table == effect.table.key and c in body)
    return warn("; ".join([reason, *(synced_default(str(effect.table), c) for c in defaults)]))

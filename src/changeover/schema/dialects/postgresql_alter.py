"""PostgreSQL: what an ALTER does."""

from __future__ import annotations

from changeover.schema.effects import (
    AddColumn,
    AddEnumValue,
    ChangeType,
    DropColumn,
    DropConstraint,
    DropDefault,
    DropNotNull,
    Effect,
    MoveTable,
    Name,
    RenameColumn,
    RenameEnumValue,
    RenameObject,
    RowSecurity,
    SetDefault,
    SetNotNull,
    ValidateConstraint,
)
from changeover.schema.grammar.columns import CONSTRAINT_WORDS, column_definition, postgresql_type, table_constraint
from changeover.schema.grammar.expressions import calls
from changeover.schema.grammar.reader import Reader

_RENAMED = ("SCHEMA", "SEQUENCE", "FUNCTION", "PROCEDURE", "TRIGGER", "DATABASE", "ROLE", "DOMAIN")


def alter(reader: Reader) -> tuple[Effect, ...]:
    """ALTER TABLE with all its actions, ALTER TYPE, and the renames of other objects."""
    reader.need("ALTER")
    if reader.accept("TABLE"):
        return _table(reader)
    if reader.accept("TYPE"):
        return (_type(reader),)
    if reader.accept("INDEX"):
        reader.accept("IF", "EXISTS")
        return (_rename(reader, "index", reader.name()),)
    if reader.accept("VIEW"):
        reader.accept("IF", "EXISTS")
        return (_rename(reader, "view", reader.name()),)
    kind = reader.one_of(*_RENAMED)
    if not kind:
        reader.lost("changeover has no rule for altering this object")
    name = reader.name()
    if reader.sees_mark("("):
        reader.group()
    if kind == "TRIGGER":
        reader.need("ON")
        reader.name()
    return (_rename(reader, kind.lower(), name),)


def _rename(reader: Reader, kind: str, name: Name) -> RenameObject:
    reader.need("RENAME", "TO")
    return RenameObject(kind, name, reader.identifier())


def _type(reader: Reader) -> Effect:
    name = reader.name()
    if reader.accept("ADD", "VALUE"):
        reader.accept("IF", "NOT", "EXISTS")
        value = reader.string().value
        if reader.one_of("BEFORE", "AFTER"):
            reader.string()
        return AddEnumValue(name, value)
    if reader.accept("RENAME", "VALUE"):
        old = reader.string().value
        reader.need("TO")
        return RenameEnumValue(name, old, reader.string().value)
    return _rename(reader, "type", name)


def _table(reader: Reader) -> tuple[Effect, ...]:
    reader.accept("IF", "EXISTS")
    reader.accept("ONLY")
    table = reader.name()
    reader.accept_mark("*")
    if reader.accept("RENAME"):
        return (_rename_in(reader, table),)
    if reader.accept("SET", "SCHEMA"):
        return (MoveTable(table, reader.identifier()),)
    found = [_action(reader, table)]
    while reader.accept_mark(","):
        found.append(_action(reader, table))
    return tuple(found)


def _rename_in(reader: Reader, table: Name) -> Effect:
    if reader.accept("TO"):
        return RenameObject("table", table, reader.identifier())
    if reader.accept("CONSTRAINT"):
        old = reader.identifier()
        reader.need("TO")
        return RenameObject("constraint", old, reader.identifier(), table)
    reader.accept("COLUMN")
    old = reader.identifier()
    reader.need("TO")
    return RenameColumn(table, old, reader.identifier())


def _action(reader: Reader, table: Name) -> Effect:
    if reader.accept("ADD"):
        if any(reader.sees(w) for w in CONSTRAINT_WORDS):
            return table_constraint(reader, table)
        reader.accept("COLUMN")
        if_not_exists = reader.accept("IF", "NOT", "EXISTS")
        return AddColumn(table, column_definition(reader), if_not_exists)
    if reader.accept("DROP"):
        return _drop(reader, table)
    if reader.accept("ALTER"):
        reader.accept("COLUMN")
        return _column(reader, table, reader.identifier())
    if reader.accept("VALIDATE", "CONSTRAINT"):
        return ValidateConstraint(table, reader.identifier())
    for verb in ("ENABLE", "DISABLE", "FORCE", "NO FORCE"):
        if reader.accept(*verb.split(), "ROW", "LEVEL", "SECURITY"):
            return RowSecurity(table, verb)
    return reader.lost("changeover has no rule for this action")


def _drop(reader: Reader, table: Name) -> Effect:
    constraint = reader.accept("CONSTRAINT")
    if not constraint:
        reader.accept("COLUMN")
    reader.accept("IF", "EXISTS")
    name = reader.identifier()
    cascade = reader.accept("CASCADE")
    reader.accept("RESTRICT")
    return DropConstraint(table, name, cascade) if constraint else DropColumn(table, name, cascade)


def _column(reader: Reader, table: Name, column: Name) -> Effect:
    if reader.accept("SET", "NOT", "NULL"):
        return SetNotNull(table, column)
    if reader.accept("DROP", "NOT", "NULL"):
        return DropNotNull(table, column)
    if reader.accept("DROP", "DEFAULT"):
        return DropDefault(table, column)
    if reader.accept("SET", "DEFAULT"):
        value = reader.run(commas=True)
        return SetDefault(table, column, reader.sql(value), calls(value))
    if reader.accept("TYPE") or reader.accept("SET", "DATA", "TYPE"):
        type_ = postgresql_type(reader)
        if reader.accept("COLLATE"):
            reader.name()
        using = reader.accept("USING")
        if using:
            reader.run(commas=True)
        return ChangeType(table, column, type_, using)
    return reader.lost("changeover has no rule for this change of a column")

"""SQL Server: what an ALTER TABLE does, and sp_rename."""

from __future__ import annotations

import re

from changeover.schema.dialects.sqlserver_columns import (
    CONSTRAINT_WORDS,
    column_definition,
    options,
    redefined_column,
    table_constraint,
)
from changeover.schema.effects import (
    AddColumn,
    Demand,
    DropColumn,
    DropConstraint,
    Effect,
    MoveTable,
    Name,
    Redefine,
    RenameColumn,
    RenameObject,
    ValidateConstraint,
)
from changeover.schema.grammar.reader import Reader
from changeover.schema.tokens import Kind

_PART = re.compile(r"\[((?:[^\]]|\]\])+)\]|\"((?:[^\"]|\"\")+)\"|([^.\[\]\"]+)")


def alter_table(reader: Reader) -> tuple[Effect, ...]:
    """The rest of ALTER TABLE."""
    table = reader.name()
    checked = ""
    if reader.accept("WITH"):
        checked = reader.one_of("CHECK", "NOCHECK") or reader.lost("expected CHECK or NOCHECK")
    if checked == "CHECK" and reader.accept("CHECK", "CONSTRAINT"):
        return tuple(ValidateConstraint(table, name) for name in _identifiers(reader))
    if reader.accept("ADD"):
        return _add(reader, table, not_valid=checked == "NOCHECK")
    if checked:
        reader.lost("expected ADD or CHECK CONSTRAINT")
    if reader.accept("DROP"):
        return _drop(reader, table)
    reader.need("ALTER", "COLUMN")
    return (_redefine(reader, table),)


def _identifiers(reader: Reader) -> tuple[Name, ...]:
    found = [reader.identifier()]
    while reader.accept_mark(","):
        found.append(reader.identifier())
    return tuple(found)


def _add(reader: Reader, table: Name, *, not_valid: bool) -> tuple[Effect, ...]:
    found: list[Effect] = []
    while True:
        if any(reader.sees(w) for w in CONSTRAINT_WORDS):
            found.append(table_constraint(reader, table, not_valid=not_valid))
        else:
            if reader.sees("COLUMN"):
                reader.lost("SQL Server has ADD without COLUMN")
            found.append(AddColumn(table, column_definition(reader)))
        if not reader.accept_mark(","):
            return tuple(found)


def _drop(reader: Reader, table: Name) -> tuple[Effect, ...]:
    """`DROP COLUMN a, b, CONSTRAINT c`: the last word said holds on."""
    found: list[Effect] = []
    column = False
    while True:
        if reader.accept("COLUMN"):
            column = True
        elif reader.accept("CONSTRAINT") or not found:
            column = False
        guarded = reader.accept("IF", "EXISTS")
        name = reader.identifier()
        found.append(DropColumn(table, name, if_exists=guarded) if column else DropConstraint(table, name))
        if not reader.accept_mark(","):
            return tuple(found)


def _redefine(reader: Reader, table: Name) -> Redefine:
    begin = reader.at + 1  # behind the name
    column = redefined_column(reader)
    sql = " ".join(reader.sql(reader.tokens[begin : reader.at]).split())
    online = options(reader).online
    return Redefine(table, column, sql, Demand.ONLINE if online else Demand.NOTHING)


def transfer(reader: Reader) -> MoveTable:
    """The rest of ALTER SCHEMA grace TRANSFER [OBJECT::]dbo.users."""
    schema = reader.identifier()
    reader.need("TRANSFER")
    if reader.accept("OBJECT"):
        reader.need_mark("::")
    return MoveTable(reader.name(), schema)


# sp_rename ---------------------------------------------------------------------------------------------------------


def sp_rename(reader: Reader) -> Effect | None:
    """EXEC sp_rename 'dbo.users.name', 'full_name', 'COLUMN'; None, with nothing taken, for any other procedure."""
    begin = reader.at
    if not (reader.accept("EXEC") or reader.accept("EXECUTE")):
        return None
    token = reader.peek()
    if token is None or token.kind is not Kind.WORD or token.word not in ("SP_RENAME", "SYS", "DBO"):
        reader.at = begin
        return None
    if reader.name().key[-1].lower() != "sp_rename":
        reader.at = begin
        return None
    old = _name_of(reader, reader.string().value)
    reader.need_mark(",")
    new = _single(reader.string().value)
    kind = "OBJECT"
    if reader.accept_mark(","):
        kind = reader.string().value.upper()
    table = Name(old.parts[:-1], old.key[:-1], old.sql.rpartition(".")[0])
    if kind == "COLUMN" and table.parts:
        return RenameColumn(table, _single(old.last), new)
    if kind == "INDEX" and table.parts:
        return RenameObject("index", _single(old.last), new, table)
    shown = f"{table.sql}.{new.sql}" if table.parts else new.sql
    return RenameObject("table", old, Name((*table.parts, new.last), (*table.key, new.last), shown))


def _single(text: str) -> Name:
    """A name that sp_rename takes as it stands, brackets and all."""
    return Name((text,), (text,), text if re.fullmatch(r"[A-Za-z_]\w*", text) else "[" + text.replace("]", "]]") + "]")


def _name_of(reader: Reader, text: str) -> Name:
    parts = []
    at = 0
    while at <= len(text):
        found = _PART.match(text, at)
        if found is None or text[found.end() : found.end() + 1] not in ("", "."):
            reader.lost("expected the name of an object")
        plain = (found[1] or "").replace("]]", "]") or (found[2] or "").replace('""', '"') or found[3] or ""
        parts.append(_single(plain))
        at = found.end() + 1
    names = tuple(part.last for part in parts)
    return Name(names, names, ".".join(part.sql for part in parts))

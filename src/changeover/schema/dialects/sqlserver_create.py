"""SQL Server: what a CREATE makes, what a DROP takes away."""

from __future__ import annotations

from changeover.schema.dialects.sqlserver_columns import (
    CONSTRAINT_WORDS,
    column_definition,
    key_columns,
    options,
    sqlserver_type,
    table_constraint,
)
from changeover.schema.dialects.sqlserver_routines import create_routine, create_trigger
from changeover.schema.effects import (
    AddConstraint,
    Column,
    Create,
    CreateIndex,
    CreateTable,
    CreateView,
    Drop,
    DropTrigger,
    Effect,
    Reference,
)
from changeover.schema.grammar.reader import Reader
from changeover.schema.grammar.rows import query
from changeover.schema.tokens import Kind

_DROPS = ("TABLE", "VIEW", "SEQUENCE", "TYPE", "SCHEMA", "FUNCTION", "PROCEDURE", "PROC", "SYNONYM", "DATABASE")
_SEQUENCE = (
    "START WITH",
    "INCREMENT BY",
    "MINVALUE",
    "MAXVALUE",
    "NO MINVALUE",
    "NO MAXVALUE",
    "CYCLE",
    "NO CYCLE",
    "CACHE",
    "NO CACHE",
)


def create(reader: Reader) -> Effect:
    """The rest of a statement that begins with CREATE [OR ALTER]."""
    replaced = reader.accept("OR", "ALTER")
    if found := programmed(reader, replaced):
        return found
    if replaced:
        reader.lost("OR ALTER does not belong here")
    if reader.accept("TABLE"):
        return _table(reader)
    if any(reader.sees(w) for w in ("UNIQUE", "CLUSTERED", "NONCLUSTERED", "INDEX")):
        return _index(reader)
    kind = reader.one_of("SCHEMA", "SEQUENCE", "TYPE", "SYNONYM")
    if not kind:
        reader.lost("changeover does not know this object")
    name = reader.name()
    match kind:
        case "SCHEMA":
            if reader.accept("AUTHORIZATION"):
                reader.identifier()
        case "SEQUENCE":
            _sequence(reader)
        case "TYPE":
            if reader.accept("AS", "TABLE"):
                reader.group()
            else:
                reader.need("FROM")
                sqlserver_type(reader)
                reader.accept("NOT")
                reader.accept("NULL")
        case _:
            reader.need("FOR")
            reader.name()
    return Create(kind.lower(), name)


def programmed(reader: Reader, replaced: bool) -> Effect | None:
    """A view, trigger or routine, behind CREATE, CREATE OR ALTER or ALTER; None for anything else."""
    if reader.accept("VIEW"):
        name = reader.name()
        if reader.sees_mark("("):
            reader.columns()
        if reader.accept("WITH"):
            reader.run("AS")
        reader.need("AS")
        query(reader)
        return CreateView(name, replaced)
    if reader.accept("TRIGGER"):
        return create_trigger(reader, replaced)
    kind = reader.one_of("FUNCTION", "PROCEDURE", "PROC")
    return create_routine(reader, "function" if kind == "FUNCTION" else "procedure", replaced) if kind else None


def _sequence(reader: Reader) -> None:
    if reader.accept("AS"):
        sqlserver_type(reader)
    while not reader.done:
        if not any(reader.accept(*option.split()) for option in _SEQUENCE):
            reader.lost("expected an option of a sequence")
        reader.accept_mark("-")
        token = reader.peek()
        if token is not None and token.kind is Kind.NUMBER:
            reader.at += 1


# tables and indexes ------------------------------------------------------------------------------------------------------


def _table(reader: Reader) -> CreateTable:
    table = reader.name()
    columns: list[Column] = []
    references: list[Reference] = []
    reader.need_mark("(")
    while True:
        if any(reader.sees(w) for w in CONSTRAINT_WORDS):
            found = table_constraint(reader, table)
            if isinstance(found, AddConstraint) and found.reference is not None:
                references.append(found.reference)
        elif reader.accept("INDEX"):
            reader.identifier()
            reader.accept("UNIQUE")
            reader.one_of("CLUSTERED", "NONCLUSTERED")
            key_columns(reader)
        else:
            column = column_definition(reader)
            columns.append(column)
            references += [column.reference] if column.reference else []
        if not reader.accept_mark(","):
            break
    reader.need_mark(")")
    options(reader)
    if reader.accept("TEXTIMAGE_ON"):
        reader.identifier()
    options(reader)
    return CreateTable(table, tuple(columns), tuple(references))


def _index(reader: Reader) -> CreateIndex:
    unique = reader.accept("UNIQUE")
    kind = reader.one_of("CLUSTERED", "NONCLUSTERED")
    reader.need("INDEX")
    name = reader.identifier()
    reader.need("ON")
    table = reader.name()
    begin = reader.at
    key_columns(reader)
    if reader.accept("INCLUDE"):
        reader.columns()
    if reader.accept("WHERE"):
        reader.run("WITH", "ON")
    rest = f"ON {table.sql} {reader.sql(reader.tokens[begin : reader.at])}"
    online = options(reader).online
    return CreateIndex(name, table, rest, unique, concurrently=online, kind="clustered" if kind == "CLUSTERED" else "")


# DROP ----------------------------------------------------------------------------------------------------------------


def drop(reader: Reader) -> tuple[Effect, ...]:
    """The rest of a statement that begins with DROP."""
    if reader.accept("TRIGGER"):
        if_exists = reader.accept("IF", "EXISTS")
        names = reader.names()
        return tuple(DropTrigger(name, None, if_exists=if_exists) for name in names)
    if reader.accept("INDEX"):
        if_exists = reader.accept("IF", "EXISTS")
        index = reader.identifier()
        reader.need("ON")
        return (Drop("index", (index,), if_exists, table=reader.name()),)
    kind = reader.one_of(*_DROPS)
    if not kind:
        reader.lost("changeover does not know this object")
    if_exists = reader.accept("IF", "EXISTS")
    return (Drop("procedure" if kind == "PROC" else kind.lower(), reader.names(), if_exists),)

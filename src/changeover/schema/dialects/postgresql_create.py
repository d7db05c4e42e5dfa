"""PostgreSQL: what a CREATE makes."""

from __future__ import annotations

from changeover.schema.dialects.postgresql_routines import create_function, create_trigger
from changeover.schema.effects import (
    Column,
    Create,
    CreateIndex,
    CreateTable,
    CreateTableAs,
    CreateView,
    Effect,
    Name,
    Reference,
)
from changeover.schema.grammar.columns import CONSTRAINT_WORDS, column_definition, postgresql_type, table_constraint
from changeover.schema.grammar.indexes import index_body
from changeover.schema.grammar.reader import Reader
from changeover.schema.grammar.rows import query
from changeover.schema.problems import ProblemError
from changeover.schema.tokens import Kind


def create(reader: Reader) -> tuple[Effect, ...]:
    """The rest of a statement that begins with CREATE."""
    replaced = reader.accept("OR", "REPLACE")
    if any(reader.sees(w) for w in ("TEMP", "TEMPORARY", "UNLOGGED", "GLOBAL", "LOCAL")):
        reader.lost("a table that is temporary or not logged is gone after a restart")
    if replaced and not any(
        reader.sees(w) for w in ("VIEW", "RECURSIVE", "FUNCTION", "PROCEDURE", "TRIGGER", "CONSTRAINT")
    ):
        reader.lost("OR REPLACE does not belong here")
    if reader.accept("TABLE"):
        return (_table(reader),)
    if reader.sees("UNIQUE") or reader.sees("INDEX"):
        return (_index(reader),)
    if reader.accept("RECURSIVE", "VIEW") or reader.accept("VIEW"):
        return (_view(reader, replaced),)
    if kind := reader.one_of("FUNCTION", "PROCEDURE"):
        return (create_function(reader, kind.lower(), replaced),)
    if reader.accept("CONSTRAINT", "TRIGGER") or reader.accept("TRIGGER"):
        return (create_trigger(reader, replaced),)
    return (_simple(reader),)


def _simple(reader: Reader) -> Effect:
    kind = reader.one_of("SEQUENCE", "SCHEMA", "TYPE", "EXTENSION", "DOMAIN")
    if not kind:
        reader.lost("changeover does not know this object")
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    name = reader.name()
    match kind:
        case "TYPE":
            return Create("type", name, enum=_type_body(reader))
        case "DOMAIN":
            reader.accept("AS")
            postgresql_type(reader)
            checked = not reader.done
            if checked:
                reader.run()
            return Create("domain", name, checked=checked)
        case "SEQUENCE":
            _options(reader, _SEQUENCE_WORDS)
        case "EXTENSION":
            _options(reader, ("WITH", "SCHEMA", "VERSION"))
        case _:
            if reader.accept("AUTHORIZATION"):
                reader.identifier()
    return Create(kind.lower(), name, if_not_exists)


_SEQUENCE_WORDS = (
    "AS", "INCREMENT", "BY", "MINVALUE", "MAXVALUE", "NO", "START", "WITH", "CACHE", "CYCLE", "OWNED", "NONE",
)  # fmt: skip


def _options(reader: Reader, known: tuple[str, ...]) -> None:
    """Known words, each perhaps with a value behind it; never CASCADE."""
    while not reader.done:
        if reader.sees("CASCADE"):
            reader.lost("CASCADE also makes objects that are not named")
        if not reader.one_of(*known):
            reader.lost("expected an option")
        token = reader.peek()
        reader.accept_mark("-")
        if token is not None and token.word not in known and token.word != "CASCADE":
            if token.kind in (Kind.NUMBER, Kind.STRING) or token.text == "-":
                reader.at += 1
            else:
                reader.name()


def _type_body(reader: Reader) -> bool:
    """The rest of CREATE TYPE; True for an enum."""
    if reader.done:
        return False
    reader.need("AS")
    enum = reader.accept("ENUM")
    if not enum and not reader.accept("RANGE") and not reader.sees_mark("("):
        reader.lost("expected ENUM or columns")
    reader.group()
    return enum


def _table(reader: Reader) -> Effect:
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    table = reader.name()
    as_query = _as_query(reader, table, if_not_exists)
    if as_query is not None:
        return as_query
    if not reader.sees_mark("("):
        reader.lost("expected the columns of the table (partitions of existing tables are not known)")
    columns, references = _table_body(reader, table)
    while not reader.done:
        _table_option(reader)
    return CreateTable(table, columns, references, if_not_exists)


def _as_query(reader: Reader, table: Name, if_not_exists: bool) -> CreateTableAs | None:
    begin = reader.at
    if reader.sees_mark("("):
        try:
            reader.columns()
        except ProblemError:  # column definitions, so no query
            reader.at = begin
            return None
    if not reader.accept("AS"):
        reader.at = begin
        return None
    return CreateTableAs(table, query(reader), if_not_exists)


_LIKE_WORDS = (
    "ALL", "COMMENTS", "COMPRESSION", "CONSTRAINTS", "DEFAULTS", "GENERATED", "IDENTITY", "INDEXES", "STATISTICS", "STORAGE",
)  # fmt: skip


def _table_body(reader: Reader, table: Name) -> tuple[tuple[Column, ...], tuple[Reference, ...]]:
    columns: list[Column] = []
    references: list[Reference] = []
    reader.need_mark("(")
    while not reader.accept_mark(")"):
        if reader.accept("LIKE"):
            reader.name()
            while reader.one_of("INCLUDING", "EXCLUDING"):
                if not reader.one_of(*_LIKE_WORDS):
                    reader.lost("expected what to include")
        elif any(reader.sees(w) for w in CONSTRAINT_WORDS):
            constraint = table_constraint(reader, table)
            references += [constraint.reference] if constraint.reference else []
        else:
            column = column_definition(reader)
            columns.append(column)
            references += [column.reference] if column.reference else []
        if not reader.sees_mark(")"):
            reader.need_mark(",")
            if reader.sees_mark(")"):
                reader.lost("expected a column")
    return tuple(columns), tuple(references)


def _table_option(reader: Reader) -> None:
    if reader.accept("PARTITION", "BY"):
        if not reader.one_of("RANGE", "LIST", "HASH"):
            reader.lost("expected RANGE, LIST or HASH")
        reader.group()
    elif reader.accept("WITH"):
        reader.group()
    elif reader.accept("TABLESPACE"):
        reader.identifier()
    else:
        reader.lost("expected the end of the table")


def _index(reader: Reader) -> CreateIndex:
    unique = reader.accept("UNIQUE")
    reader.need("INDEX")
    concurrently = reader.accept("CONCURRENTLY")
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    name = None if reader.sees("ON") else reader.identifier()
    return index_body(reader, name, unique=unique, concurrently=concurrently, if_not_exists=if_not_exists)


def _view(reader: Reader, replaced: bool) -> CreateView:
    name = reader.name()
    if reader.sees_mark("("):
        reader.columns()
    if reader.accept("WITH"):
        reader.group()
    reader.need("AS")
    query(reader)
    return CreateView(name, replaced)

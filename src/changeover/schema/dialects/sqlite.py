"""SQLite: what a statement does.

SQLite has little ALTER TABLE: add, drop and rename a column, rename the table. Everything else is a rebuild of the table,
which takes several statements in one transaction: operations do it, plain change files do not (docs/reference/sql.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from changeover.core.model import Lock
from changeover.schema.dialects.dialect import Dialect
from changeover.schema.dialects.refusals import refuse_by_name
from changeover.schema.dialects.sqlite_lexicon import LEXICON
from changeover.schema.effects import (
    AddColumn,
    Column,
    CreateIndex,
    CreateTable,
    CreateTableAs,
    CreateTrigger,
    CreateView,
    Drop,
    DropColumn,
    DropTrigger,
    Effect,
    Rebuild,
    Reference,
    RenameColumn,
    RenameObject,
)
from changeover.schema.grammar import functions
from changeover.schema.grammar.columns import (
    CONSTRAINT_WORDS,
    column_definition,
    sqlite_catalogue_type,
    table_constraint,
)
from changeover.schema.grammar.expressions import words
from changeover.schema.grammar.indexes import index_body
from changeover.schema.grammar.reader import Reader
from changeover.schema.grammar.rows import delete, insert, query, update
from changeover.schema.tokens import Kind, Token, lower


def parse(reader: Reader) -> tuple[Effect, ...]:
    """The effects of one statement. Raises ProblemError (CO-0103) for every statement that is not fully understood."""
    refuse_by_name(reader)
    found = _statement(reader)
    reader.end()
    return (found,)


def _statement(reader: Reader) -> Effect:
    if reader.accept("ALTER", "TABLE"):
        return _alter(reader)
    if reader.accept("CREATE"):
        return _create(reader)
    if reader.accept("DROP"):
        return _drop(reader)
    if reader.sees("INSERT"):
        return insert(reader)
    if reader.sees("UPDATE"):
        return update(reader)
    if reader.sees("DELETE"):
        return delete(reader)
    verb = reader.one_of("VACUUM", "REINDEX")
    if not verb:
        reader.lost("changeover has no rule for it")
    if not reader.done:
        reader.run()
    return Rebuild(verb)


def _alter(reader: Reader) -> Effect:
    table = reader.name()
    if reader.accept("RENAME", "TO"):
        return RenameObject("table", table, reader.identifier())
    if reader.accept("RENAME"):
        reader.accept("COLUMN")
        old = reader.identifier()
        reader.need("TO")
        return RenameColumn(table, old, reader.identifier())
    if reader.accept("DROP"):
        reader.accept("COLUMN")
        return DropColumn(table, reader.identifier())
    reader.need("ADD")
    reader.accept("COLUMN")
    return AddColumn(table, column_definition(reader))


def _create(reader: Reader) -> Effect:
    if reader.sees("TEMP") or reader.sees("TEMPORARY"):
        reader.lost("a temporary object is gone when its connection ends")
    if reader.accept("TABLE"):
        return _table(reader)
    if reader.sees("UNIQUE") or reader.sees("INDEX"):
        return _index(reader)
    if reader.accept("VIEW"):
        if_not_exists = reader.accept("IF", "NOT", "EXISTS")
        name = reader.name()
        if reader.sees_mark("("):
            reader.columns()
        reader.need("AS")
        query(reader)
        return CreateView(name, if_not_exists=if_not_exists)
    reader.need("TRIGGER")
    return _trigger(reader)


def _table(reader: Reader) -> Effect:
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    table = reader.name()
    if reader.accept("AS"):
        return CreateTableAs(table, query(reader), if_not_exists)
    columns: list[Column] = []
    references: list[Reference] = []
    reader.need_mark("(")
    while not reader.accept_mark(")"):
        if any(reader.sees(w) for w in CONSTRAINT_WORDS):
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
    while not reader.done:
        if not (reader.accept("STRICT") or reader.accept("WITHOUT", "ROWID")):
            reader.lost("expected the end of the table")
        reader.accept_mark(",")
    return CreateTable(table, tuple(columns), tuple(references), if_not_exists)


def _index(reader: Reader) -> CreateIndex:
    unique = reader.accept("UNIQUE")
    reader.need("INDEX")
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    return index_body(reader, reader.name(), unique=unique, if_not_exists=if_not_exists)


def _trigger(reader: Reader) -> CreateTrigger:
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    name = reader.name()
    timing = reader.one_of("BEFORE", "AFTER") or ("INSTEAD OF" if reader.accept("INSTEAD", "OF") else "BEFORE")
    if not reader.one_of("INSERT", "UPDATE", "DELETE"):
        reader.lost("expected INSERT, UPDATE or DELETE")
    update_of = reader.accept("OF")
    if update_of:
        reader.names()
    reader.need("ON")
    table = reader.name()
    reader.accept("FOR", "EACH", "ROW")
    if reader.accept("WHEN"):
        reader.run("BEGIN")
    reader.need("BEGIN")
    body = _body(reader)
    reader.need("END")
    return CreateTrigger(name, table, timing, if_not_exists=if_not_exists, update_of=update_of, words=words(body))


def _body(reader: Reader) -> Sequence[Token]:
    """The statements of a trigger, each ended by a semicolon."""
    begin = reader.at
    while not reader.sees("END"):
        if not any(reader.sees(w) for w in ("INSERT", "UPDATE", "DELETE", "SELECT", "REPLACE", "WITH")):
            reader.lost("expected INSERT, UPDATE, DELETE or SELECT")
        while not reader.done and not reader.sees_mark(";"):
            reader.at += 1
        reader.need_mark(";")
    return reader.tokens[begin : reader.at]


def _drop(reader: Reader) -> Effect:
    kind = reader.one_of("TABLE", "INDEX", "VIEW", "TRIGGER")
    if not kind:
        reader.lost("changeover does not know this object")
    if_exists = reader.accept("IF", "EXISTS")
    name = reader.name()
    if kind == "TRIGGER":
        return DropTrigger(name, None)
    return Drop(kind.lower(), (name,), if_exists)


def _end_of(tokens: Sequence[Token], begin: int, first: int) -> int:
    """A trigger ends at `; END;`."""
    head = [t.word for t in tokens[begin : begin + 3]]
    if head[:2] != ["CREATE", "TRIGGER"] and not (head[:1] == ["CREATE"] and head[2:] == ["TRIGGER"]):
        return first
    depth = 0
    for at in range(first, len(tokens)):
        token = tokens[at]
        if token.kind is not Kind.MARK:
            continue
        if token.text in "()":
            depth = max(0, depth + (1 if token.text == "(" else -1))
        elif token.text == ";" and depth == 0 and tokens[at - 1].word == "END" and tokens[at - 2].text == ";":
            return at
    return len(tokens)


def _is_system(parts: tuple[str, ...]) -> bool:
    return lower(parts[-1]).startswith("sqlite_") or (len(parts) > 1 and lower(parts[0]) == "temp")


SQLITE = Dialect(
    "sqlite",
    LEXICON,
    parse,
    builds_online=False,
    validates_later=False,
    adds_stable_default=False,
    triggers_fill=False,
    drop_column=Lock.REWRITE,
    functions=functions.SQLITE,
    is_system=_is_system,
    spell=lambda name: name.last,
    type_in_catalogue=sqlite_catalogue_type,
    end_of=_end_of,
)

"""Statements on rows: INSERT, UPDATE, DELETE, and the queries within other statements."""

from __future__ import annotations

from collections.abc import Sequence

from changeover.schema.effects import Delete, Insert, Name, Update
from changeover.schema.grammar.expressions import calls, conjuncts, null_test, writes
from changeover.schema.grammar.reader import Reader, unknown
from changeover.schema.tokens import Token


def query(reader: Reader) -> tuple[str, ...]:
    """A query that is the rest of the statement: the functions it calls. Refused if it may write."""
    if not any(reader.sees(w) for w in ("SELECT", "WITH", "VALUES", "TABLE")) and not reader.sees_mark("("):
        reader.lost("expected a query")
    tokens = reader.run()
    if writes(tokens):
        raise unknown("its query changes or locks rows itself", "write the change as a statement of its own")
    return calls(tokens)


def insert(reader: Reader) -> Insert:
    """INSERT [OR IGNORE | IGNORE] INTO table (columns) VALUES … or a query; ON CONFLICT DO NOTHING."""
    reader.need("INSERT")
    if reader.accept("OR") and not reader.sees("IGNORE"):
        reader.lost("only OR IGNORE is known: the others replace rows")
    reader.accept("IGNORE")
    reader.need("INTO")
    table = reader.name()
    if reader.sees_mark("("):
        reader.columns()
    if reader.accept("OVERRIDING"):
        if not reader.one_of("SYSTEM", "USER"):
            reader.lost("expected SYSTEM or USER")
        reader.need("VALUE")
    if reader.accept("DEFAULT", "VALUES"):
        return Insert(table, query=False)
    from_query = not reader.accept("VALUES")
    tokens = reader.run("ON", "RETURNING") if not from_query else reader.run("RETURNING")
    if writes(tokens):
        raise unknown("its query changes rows itself", "write the change as a statement of its own")
    if reader.accept("ON", "CONFLICT"):
        if reader.sees_mark("("):
            reader.columns()
        reader.need("DO", "NOTHING")
    return Insert(table, from_query, calls(tokens))


def delete(reader: Reader) -> Delete:
    """DELETE FROM table WHERE …"""
    reader.need("DELETE", "FROM")
    reader.accept("ONLY")
    table = reader.name()
    if reader.accept("AS") or (not reader.done and not any(reader.sees(w) for w in ("WHERE", "USING"))):
        reader.identifier()
    found: list[Token] = []
    if reader.accept("USING"):
        found += reader.run("WHERE")
    where = reader.accept("WHERE")
    if where:
        found += reader.run("RETURNING")
    if writes(found):
        raise unknown("its condition changes rows itself", "write the change as a statement of its own")
    return Delete(table, where, calls(found))


def update(reader: Reader) -> Update:
    """UPDATE table AS alias SET … FROM … WHERE …"""
    begin = reader.at
    reader.need("UPDATE")
    if reader.accept("OR"):
        reader.lost("UPDATE OR … skips or replaces rows")
    reader.accept("ONLY")
    table = reader.name()
    alias = table.parts[-1:]
    shown = table.sql.rpartition(".")[2] if len(table.parts) > 1 else table.sql
    if reader.accept("AS") or not reader.sees("SET"):
        other = reader.identifier()
        alias, shown = other.parts, other.sql
    reader.need("SET")
    assigned = reader.run("FROM", "WHERE", "RETURNING")
    source = reader.run("WHERE", "RETURNING") if reader.accept("FROM") else []
    head = reader.sql(reader.tokens[begin : reader.at])
    condition = reader.run("RETURNING") if reader.accept("WHERE") else []
    if writes([*assigned, *source, *condition]):
        raise unknown("a query in it changes or locks rows itself", "write the change as a statement of its own")
    sets, nulled = _assignments(reader, assigned)
    parts = conjuncts(condition) if condition else []
    return Update(
        table,
        shown,
        head,
        reader.sql(condition),
        sets,
        nulled,
        never_filled(parts or [], alias[0], reader),
        parts is None,
        calls([*assigned, *source, *condition]),
    )


def _assignments(reader: Reader, tokens: Sequence[Token]) -> tuple[tuple[Name, ...], tuple[Name, ...]]:
    """(columns that are set, those of them that are set to NULL or DEFAULT)."""
    inner = Reader(reader.text, tokens, reader.lexicon)
    sets: list[Name] = []
    nulled: list[Name] = []
    while True:
        targets = inner.columns() if inner.sees_mark("(") else (inner.identifier(),)
        inner.need_mark("=")
        value = inner.run(commas=True)
        sets += targets
        if len(value) == 1 and value[0].word in ("NULL", "DEFAULT"):
            nulled += targets
        if not inner.accept_mark(","):
            break
    inner.end()
    return tuple(sets), tuple(nulled)


def never_filled(parts: Sequence[Sequence[Token]], alias: str, reader: Reader) -> tuple[str, ...]:
    """The columns of which `IS NULL` is demanded; `alias` is what the table is called in the statement."""
    column, table = reader.lexicon.column_key, reader.lexicon.object_key
    found = []
    for part in parts:
        name = null_test(part)
        if len(name) == 1 or (len(name) == 2 and table(name[0]) == table(alias)):  # column, or table.column
            found.append(column(name[-1]))
    return tuple(found)

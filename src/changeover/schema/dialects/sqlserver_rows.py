"""SQL Server: UPDATE, which may name its table by the alias that FROM gives it."""

from __future__ import annotations

from collections.abc import Sequence

from changeover.schema.effects import Name, Update
from changeover.schema.grammar.expressions import calls, conjuncts, writes
from changeover.schema.grammar.reader import Reader, unknown
from changeover.schema.grammar.rows import never_filled
from changeover.schema.tokens import Kind, Token


def update(reader: Reader) -> Update:
    """UPDATE u SET … FROM dbo.users AS u JOIN … WHERE …; FROM must begin with the table that is updated."""
    begin = reader.at
    reader.need("UPDATE")
    target = reader.name()
    reader.need("SET")
    assigned = reader.run("FROM", "WHERE", "OUTPUT", "OPTION")
    table, alias, shown = target, target.last, target.sql.rpartition(".")[2] if len(target.parts) > 1 else target.sql
    source: list[Token] = []
    if reader.accept("FROM"):
        table, alias, shown = _first_source(reader, target)
        source = reader.run("WHERE", "OPTION") if not (reader.done or reader.sees("WHERE")) else []
    head = reader.sql(reader.tokens[begin : reader.at])
    condition = reader.run("OPTION") if reader.accept("WHERE") else []
    everything = [*assigned, *source, *condition]
    if writes(everything):
        raise unknown("a query in it changes or locks rows itself", "write the change as a statement of its own")
    sets, nulled = _assignments(reader, assigned, alias)
    parts = conjuncts(condition) if condition else []
    return Update(
        table,
        shown,
        head,
        reader.sql(condition),
        sets,
        nulled,
        never_filled(parts or [], alias, reader),
        parts is None,
        calls(everything),
    )


def _first_source(reader: Reader, target: Name) -> tuple[Name, str, str]:
    """(table, its name in the statement, the same as written)."""
    table = reader.name()
    alias, shown = table.last, table.sql.rpartition(".")[2] if len(table.parts) > 1 else table.sql
    token = reader.peek()
    joins = ("JOIN", "INNER", "LEFT", "CROSS", "WHERE", "OUTER", "RIGHT", "FULL", "WITH", "OPTION")
    if reader.accept("AS") or (
        token is not None and token.kind in (Kind.WORD, Kind.QUOTED) and token.word not in joins
    ):
        other = reader.identifier()
        alias, shown = other.last, other.sql
    if target.key not in ((alias,), table.key):
        reader.lost("begin FROM with the table that is updated, and name it by its alias behind UPDATE")
    return table, alias, shown


def _assignments(reader: Reader, tokens: Sequence[Token], alias: str) -> tuple[tuple[Name, ...], tuple[Name, ...]]:
    """(columns that are set, those of them that are set to NULL or DEFAULT)."""
    inner = Reader(reader.text, tokens, reader.lexicon)
    sets: list[Name] = []
    nulled: list[Name] = []
    while True:
        target = inner.identifier()
        if inner.accept_mark("."):
            if target.last != alias:
                inner.lost(f"only columns of {alias} may be set")
            target = inner.identifier()
        inner.need_mark("=")
        value = inner.run(commas=True)
        sets.append(target)
        if len(value) == 1 and value[0].word in ("NULL", "DEFAULT"):
            nulled.append(target)
        if not inner.accept_mark(","):
            break
    inner.end()
    return tuple(sets), tuple(nulled)

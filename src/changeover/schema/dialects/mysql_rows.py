"""MariaDB and MySQL: UPDATE, which may join other tables before SET."""

from __future__ import annotations

from collections.abc import Sequence

from changeover.schema.effects import Name, Update
from changeover.schema.grammar.expressions import calls, conjuncts, writes
from changeover.schema.grammar.reader import Reader, unknown
from changeover.schema.grammar.rows import never_filled
from changeover.schema.tokens import Token

_JOINS = ("JOIN", "INNER", "LEFT", "CROSS", "STRAIGHT_JOIN")


def update(reader: Reader) -> Update:
    """UPDATE table AS alias JOIN … SET … WHERE …; only columns of the first table may be set."""
    begin = reader.at
    reader.need("UPDATE")
    if reader.sees("IGNORE"):
        reader.lost("UPDATE IGNORE leaves rows out without a word")
    reader.accept("LOW_PRIORITY")
    table = reader.name()
    alias, shown = table.last, table.sql.rpartition(".")[2] if len(table.parts) > 1 else table.sql
    if reader.accept("AS") or not any(reader.sees(w) for w in (*_JOINS, "SET")):
        other = reader.identifier()
        alias, shown = other.last, other.sql
    source = _joined(reader)
    reader.need("SET")
    assigned = reader.run("WHERE", "ORDER", "LIMIT", "RETURNING")
    head = reader.sql(reader.tokens[begin : reader.at])
    condition = reader.run("ORDER", "LIMIT", "RETURNING") if reader.accept("WHERE") else []
    everything = [*source, *assigned, *condition]
    if writes(everything):
        raise unknown("a query in it changes or locks rows itself", "write the change as a statement of its own")
    sets, nulled = _assignments(reader, assigned, alias, joined=bool(source))
    parts = conjuncts(condition, pipes=True) if condition else []
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


def _joined(reader: Reader) -> list[Token]:
    if reader.sees("SET"):
        return []
    if not any(reader.sees(w) for w in _JOINS):
        reader.lost("expected JOIN or SET")
    return reader.run("SET", commas=True)


def _assignments(
    reader: Reader, tokens: Sequence[Token], alias: str, *, joined: bool
) -> tuple[tuple[Name, ...], tuple[Name, ...]]:
    """(columns that are set, those of them that are set to NULL or DEFAULT)."""
    inner = Reader(reader.text, tokens, reader.lexicon)
    sets: list[Name] = []
    nulled: list[Name] = []
    while True:
        target = inner.identifier()
        if inner.accept_mark("."):
            if reader.lexicon.object_key(target.last) != reader.lexicon.object_key(alias):
                inner.lost(f"only columns of {alias} may be set")
            target = inner.identifier()
        elif joined:
            inner.lost(f"write {alias}. before the column: two tables may have it")
        inner.need_mark("=")
        value = inner.run(commas=True)
        sets.append(target)
        if len(value) == 1 and value[0].word in ("NULL", "DEFAULT"):
            nulled.append(target)
        if not inner.accept_mark(","):
            break
    inner.end()
    return tuple(sets), tuple(nulled)

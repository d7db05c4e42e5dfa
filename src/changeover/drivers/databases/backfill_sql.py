"""A backfill's UPDATE as the question *how many rows are left?*"""

from __future__ import annotations

from changeover.core.model import RANGE, BackfillStatement
from changeover.schema.dialects import dialect_of
from changeover.schema.tokens import Kind, Token, tokenize


def count_of(sql: str, dialect: str) -> str:
    """`UPDATE t AS a SET … FROM x WHERE c` -> `SELECT count(*) FROM t AS a, x WHERE c`. The markers stay.

    Raises ValueError for what is not such an UPDATE; a BackfillStatement always is.
    """
    tokens, _ = tokenize(sql, dialect_of(dialect).lexicon)
    update, set_, where = (_first(tokens, word) for word in ("UPDATE", "SET", "WHERE"))
    if update is None or set_ is None or where is None:
        raise ValueError(f"not an UPDATE with a WHERE: {sql!r}")
    target = sql[update.end : set_.start].strip()
    source = _first(tokens, "FROM", after=set_.end)
    others = f", {sql[source.end : where.start].strip()}" if source is not None and source.start < where.start else ""
    return f"SELECT count(*) FROM {target}{others} WHERE {sql[where.end :].strip()}"


def where_of(statement: BackfillStatement) -> str:
    """The condition of a backfill with RANGE, without it: which rows are left."""
    return statement.sql.partition(" WHERE ")[2].removesuffix(f" AND {RANGE}")


def left_of(statement: BackfillStatement, dialect: str) -> str:
    """The question how many rows are left, for either kind of backfill; a kind with markers keeps them."""
    if statement.keys:
        return f"SELECT count(*) FROM {statement.table} WHERE {where_of(statement)}"
    return count_of(statement.sql, dialect)


def _first(tokens: list[Token], word: str, after: int = 0) -> Token | None:
    """The first such keyword outside parentheses."""
    depth = 0
    for token in tokens:
        if token.kind is Kind.MARK and token.text in "([":
            depth += 1
        elif token.kind is Kind.MARK and token.text in ")]":
            depth -= 1
        elif depth == 0 and token.word == word and token.start >= after:
            return token
    return None

"""What can be told of an expression without evaluating it."""

from __future__ import annotations

from collections.abc import Sequence

from changeover.schema.effects import Default
from changeover.schema.grammar import functions
from changeover.schema.tokens import Kind, Token, lower

_NO_CALL = frozenset(
    [
        "ALL",
        "AND",
        "ANY",
        "ARRAY",
        "AS",
        "BETWEEN",
        "BIT",
        "BY",
        "CASE",
        "CHAR",
        "CHARACTER",
        "CHECK",
        "CONFLICT",
        "DECIMAL",
        "DISTINCT",
        "DO",
        "ELSE",
        "END",
        "EXCEPT",
        "EXISTS",
        "FILTER",
        "FROM",
        "HAVING",
        "ILIKE",
        "IN",
        "INCLUDE",
        "INT",
        "INTEGER",
        "INTERSECT",
        "INTERVAL",
        "IS",
        "JOIN",
        "KEY",
        "LATERAL",
        "LIKE",
        "LIMIT",
        "NOT",
        "NUMERIC",
        "OF",
        "OFFSET",
        "ON",
        "OR",
        "OVER",
        "PARTITION",
        "RECURSIVE",
        "ROW",
        "SELECT",
        "SET",
        "SIMILAR",
        "SOME",
        "THEN",
        "TIME",
        "TIMESTAMP",
        "TIMESTAMPTZ",
        "TO",
        "UNION",
        "UNIQUE",
        "USING",
        "VALUES",
        "VARCHAR",
        "VARYING",
        "WHEN",
        "WHERE",
        "WITH",
    ]
)
_WRITES = frozenset(["INSERT", "UPDATE", "DELETE", "MERGE", "INTO", "TRUNCATE"])
_NOW = frozenset(
    ["CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME", "LOCALTIMESTAMP", "LOCALTIME", "CURRENT_USER", "SESSION_USER"]
)
_PLAIN_WORDS = frozenset(["TRUE", "FALSE", "NULL", "ARRAY", "AS", "AT", "TIME", "ZONE", "WITH", "WITHOUT", "ROW"])
_TYPE_WORDS = frozenset(["DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "INTERVAL"])


def calls(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The functions that are called, with their schema if it is written: `lower`, `pg_catalog.setval`."""
    found: list[str] = []
    for i, token in enumerate(tokens[:-1]):
        if tokens[i + 1].text != "(" or tokens[i + 1].kind is not Kind.MARK:
            continue
        if token.kind is Kind.QUOTED or (token.kind is Kind.WORD and token.word not in _NO_CALL):
            qualified = i >= 2 and tokens[i - 1].text == "." and tokens[i - 1].kind is Kind.MARK
            found.append(lower(f"{tokens[i - 2].value}.{token.value}" if qualified else token.value))
    return tuple(dict.fromkeys(found))


def writes(tokens: Sequence[Token]) -> bool:
    """A query with one of these words may change rows (a data-modifying WITH, SELECT INTO)."""
    return any(t.word in _WRITES for t in tokens)


def words(tokens: Sequence[Token]) -> frozenset[str]:
    """Every word and quoted name, in lower case."""
    return frozenset(lower(t.value) for t in tokens if t.kind in (Kind.WORD, Kind.QUOTED))


def default_of(tokens: Sequence[Token]) -> Default:
    """What a DEFAULT expression is to existing rows; everything that is not known is VOLATILE."""
    bare = _unwrapped(_without_cast(tokens))
    if len(bare) == 1 and bare[0].word == "NULL":
        return Default.NULL
    if any(t.word == "NULL" for t in tokens) or any(c not in functions.DEFAULTS for c in calls(tokens)):
        return Default.VOLATILE
    stable = any(c in functions.STABLE for c in calls(tokens))
    for i, token in enumerate(tokens):
        before, after = tokens[i - 1] if i else None, tokens[i + 1] if i + 1 < len(tokens) else None
        if token.word in _NOW:
            stable = True
        elif (token.kind is Kind.QUOTED and not _is_type(before)) or (
            token.word and not _harmless(token, before, after)
        ):
            return Default.VOLATILE
    return Default.STABLE if stable else Default.CONSTANT


def _harmless(token: Token, before: Token | None, after: Token | None) -> bool:
    called = after is not None and after.text == "(" and after.kind is Kind.MARK
    typed = after is not None and after.kind is Kind.STRING and token.word in _TYPE_WORDS
    return called or typed or token.word in _PLAIN_WORDS or _is_type(before)


def _is_type(before: Token | None) -> bool:
    return before is not None and (
        before.text == "::" or before.word in ("AS", "DOUBLE", "CHARACTER") or before.text == "."
    )


def _unwrapped(tokens: Sequence[Token]) -> Sequence[Token]:
    """Without the parentheses around all of it."""
    while len(tokens) >= 2 and tokens[0].text == "(" and _closes(tokens) == len(tokens) - 1:
        tokens = tokens[1:-1]
    return tokens


def _closes(tokens: Sequence[Token]) -> int:
    """The index of the parenthesis that closes the one at index 0."""
    depth = 0
    for i, token in enumerate(tokens):
        if token.kind is Kind.MARK and token.text in "()":
            depth += 1 if token.text == "(" else -1
            if depth == 0:
                return i
    return -1


def _without_cast(tokens: Sequence[Token]) -> Sequence[Token]:
    """Without the first `::type` outside parentheses and all that follows."""
    depth = 0
    for i, token in enumerate(tokens):
        if token.kind is Kind.MARK and token.text in "()":
            depth += 1 if token.text == "(" else -1
        elif token.text == "::" and token.kind is Kind.MARK and depth == 0:
            return tokens[:i]
    return tokens


# conditions -----------------------------------------------------------------------------------------------


def conjuncts(tokens: Sequence[Token], *, pipes: bool = False) -> list[Sequence[Token]] | None:
    """The parts of a condition that all must hold, or None when an OR makes them alternatives.

    `a IS NULL AND (b > 1 OR c)` -> `a IS NULL`, `b > 1 OR c`: only an OR at the top makes alternatives. `pipes`: `||` is an
    OR too (MySQL, unless a setting says otherwise).
    """
    tokens = _unwrapped(tokens)
    parts: list[Sequence[Token]] = []
    depth, begin, between = 0, 0, False
    for i, token in enumerate(tokens):
        if token.kind is Kind.MARK and token.text in "([":
            depth += 1
        elif token.kind is Kind.MARK and token.text in ")]":
            depth -= 1
        elif token.word == "CASE":
            depth += 1
        elif token.word == "END":
            depth -= 1
        elif depth == 0 and (token.word in ("OR", "XOR") or (pipes and _is_pipe(tokens, i))):
            return None
        elif depth == 0 and token.word == "BETWEEN":
            between = True
        elif depth == 0 and token.word == "AND":
            if between:
                between = False
            else:
                parts.append(tokens[begin:i])
                begin = i + 1
    parts.append(tokens[begin:])
    return parts


def _is_pipe(tokens: Sequence[Token], at: int) -> bool:
    pair = tokens[at : at + 2]
    return len(pair) == 2 and all(t.kind is Kind.MARK and t.text == "|" for t in pair)


def null_test(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The name before `IS NULL` when that is all of the condition: `o.price IS NULL` -> ("o", "price")."""
    bare = _unwrapped(tokens)
    if len(bare) < 3 or (bare[-2].word, bare[-1].word) != ("IS", "NULL"):
        return ()
    name = bare[:-2]
    fits = all(
        (t.kind in (Kind.WORD, Kind.QUOTED)) if i % 2 == 0 else (t.kind is Kind.MARK and t.text == ".")
        for i, t in enumerate(name)
    )
    return tuple(t.value for t in name[::2]) if fits and len(name) % 2 else ()

"""T-SQL as text: names and values quoted, a backfill's markers filled, its UPDATE as a count."""

from __future__ import annotations

from collections.abc import Mapping

from changeover.schema.dialects import dialect_of
from changeover.schema.tokens import Kind, Token, lower, tokenize

LEXICON = dialect_of("sqlserver").lexicon


def quoted(name: str) -> str:
    """A name as T-SQL reads it whatever is in it: `[orders]`."""
    return "[" + name.replace("]", "]]") + "]"


def literal(value: str | float) -> str:
    """A value as text for batches that take no parameters, and for commands that people run by hand."""
    return repr(value) if isinstance(value, int | float) else "N'" + value.replace("'", "''") + "'"


def last_part(name: str) -> str:
    """`[dbo].[orders]` -> `orders`."""
    tokens, _ = tokenize(name, LEXICON)
    return tokens[-1].value if tokens else name


def fill(sql: str, values: Mapping[str, str]) -> str:
    """The statement with its markers `:lo` and `:hi` replaced by SQL texts."""
    tokens, _ = tokenize(sql, LEXICON)
    parts: list[str] = []
    at = 0
    for token in tokens:
        if token.kind is Kind.PARAMETER and token.text.startswith(":") and token.text[1:] in values:
            parts += [sql[at : token.start], values[token.text[1:]]]
            at = token.end
    return "".join([*parts, sql[at:]])


def has_word(sql: str, word: str) -> bool:
    """Whether the keyword stands in the statement, outside quotes and comments."""
    tokens, _ = tokenize(sql, LEXICON)
    return any(token.word == word for token in tokens)


def bare(sql: str) -> str:
    """The statement without the semicolon at its end, even after a trailing comment."""
    tokens, _ = tokenize(sql, LEXICON)
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    return sql[: tokens[-1].end] if tokens else ""


def count_of(sql: str) -> str:
    """`UPDATE t SET … WHERE c` -> `SELECT COUNT_BIG(*) FROM t WHERE c`. The markers stay.

    In T-SQL the target of `UPDATE o SET … FROM orders o …` is one of the sources of FROM: it is not counted twice. Raises
    ValueError for what is no such UPDATE; a BackfillStatement always is.
    """
    sql = bare(sql)
    tokens, _ = tokenize(sql, LEXICON)
    update, set_, where = (_first(tokens, word) for word in ("UPDATE", "SET", "WHERE"))
    if update is None or set_ is None or where is None:
        raise ValueError(f"not an UPDATE with a WHERE: {sql!r}")
    target = sql[update.end : set_.start].strip()
    source = _first(tokens, "FROM", after=set_.end)
    if source is None or source.start > where.start:
        sources = target
    else:
        others = [t for t in tokens if source.end <= t.start < where.start]
        text = sql[source.end : where.start].strip()
        sources = text if _names(target) in _source_names(others) else f"{target}, {text}"
    return f"SELECT COUNT_BIG(*) FROM {sources} WHERE {sql[where.end :].strip()}"


def _first(tokens: list[Token], word: str, after: int = 0) -> Token | None:
    """The first such keyword outside parentheses."""
    depth = 0
    for token in tokens:
        if token.text == "(":
            depth += 1
        elif token.text == ")":
            depth -= 1
        elif depth == 0 and token.word == word and token.start >= after:
            return token
    return None


def _names(text: str) -> str:
    """A possibly qualified name as it is compared: its last part, without case."""
    return lower(last_part(text))


def _source_names(tokens: list[Token]) -> set[str]:
    """What the sources of a FROM clause can be called: by their alias, else by their name."""
    names: set[str] = set()
    depth, expected, name = 0, True, ""
    for token in tokens:
        if token.text in "()":
            depth += 1 if token.text == "(" else -1
        elif depth:
            continue
        elif token.text == "," or token.word in ("JOIN", "APPLY"):
            names.add(name)
            expected, name = True, ""
        elif token.word in ("ON", "WITH", "LEFT", "RIGHT", "FULL", "INNER", "CROSS", "OUTER", "WHERE"):
            names.add(name)
            expected = False
        elif expected and token.kind in (Kind.WORD, Kind.QUOTED) and token.word != "AS":
            name = lower(token.value)
    return {*names, name} - {""}

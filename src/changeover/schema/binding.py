"""The markers `:lo` and `:hi` of a backfill -> what a driver wants there.

Contract: `BackfillStatement.sql` has the markers exactly twice, as tokens of their own outside quotes and comments. Texts such
as `'12:30:lo'`, casts (`::`) and comments are not touched.
"""

from __future__ import annotations

from enum import StrEnum

from changeover.schema.dialects import dialect_of
from changeover.schema.problems import ProblemError, refusal
from changeover.schema.tokens import Kind, Token, tokenize


class Style(StrEnum):
    """The parameter style of a database driver (PEP 249)."""

    NAMED = "named"  # :lo, as sqlite3 takes it
    PYFORMAT = "pyformat"  # %(lo)s, as psycopg, PyMySQL and pytds take it; every other % is doubled


def bind(sql: str, style: Style, dialect: str) -> str:
    """The statement with its markers in a driver's style."""
    if style is Style.NAMED:
        return sql
    return fill(sql, {"lo": "%(lo)s", "hi": "%(hi)s"}, dialect, double_percent=True)


def fill(sql: str, values: dict[str, str], dialect: str, *, double_percent: bool = False) -> str:
    """The statement with the markers replaced by SQL texts: `fill(sql, {"lo": "0", "hi": "1000"}, "sqlite")`."""
    try:
        tokens, _ = tokenize(sql, dialect_of(dialect).lexicon)
    except ProblemError as error:
        raise refusal([error.problem]) from None
    parts: list[str] = []
    at = 0
    for start, end, name in _markers(tokens):
        if name in values:
            parts += [_between(sql[at:start], double_percent), values[name]]
            at = end
    return "".join([*parts, _between(sql[at:], double_percent)])


def _between(text: str, double_percent: bool) -> str:
    return text.replace("%", "%%") if double_percent else text


def _markers(tokens: list[Token]) -> list[tuple[int, int, str]]:
    """(start, end, name) of each marker: a colon and a word in PostgreSQL, one token elsewhere."""
    found = []
    for i, token in enumerate(tokens):
        if token.kind is Kind.PARAMETER and token.text.startswith(":"):
            found.append((token.start, token.end, token.text[1:]))
        elif token.kind is Kind.WORD and i and tokens[i - 1].text == ":" and tokens[i - 1].end == token.start:
            found.append((tokens[i - 1].start, token.end, token.text))
    return found

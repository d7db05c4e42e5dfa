"""SQL expressions of a change file, over the bare columns of one table: checked, and written for another place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from changeover.schema.dialects import dialect_of
from changeover.schema.engines.engine import Cannot
from changeover.schema.problems import ProblemError
from changeover.schema.tokens import Kind, Token, tokenize

_NEVER = frozenset(
    [
        "SELECT",
        "INSERT",
        "UPDATE",
        "DELETE",
        "FROM",
        "WITH",
        "EXECUTE",
        "CALL",
        "RETURNING",
        "INTO",
        "NEW",
        "OLD",
        "NEXTVAL",
        "SETVAL",
        "PG_SLEEP",
        "SLEEP",
        "RANDOM",
        "CLOCK_TIMESTAMP",
        "UUID",
        "NEWID",
        "RAND",
    ]
)


def qualified(expression: str, columns: Iterable[str], prefix: str, dialect: str) -> str:
    """The expression with `prefix.` before each of these columns: `price * 100` -> `NEW.price * 100`."""
    return substituted(expression, dict.fromkeys(columns, f"{prefix}."), dialect, keep=True)


def substituted(expression: str, values: Mapping[str, str], dialect: str, *, keep: bool = False) -> str:
    """The expression with these columns replaced by SQL texts; `keep`: with the texts before the columns.

    Names are compared as the engine folds them. Raises Cannot for what is no single expression.
    """
    known = {_key(c, dialect): text for c, text in values.items()}
    tokens = _tokens(expression, dialect)
    parts: list[str] = []
    at = 0
    for number, token in enumerate(tokens):
        value = _value(token, dialect)
        if value in known and _is_column(tokens, number, dialect):
            parts += [expression[at : token.start], known[value] + (token.text if keep else "")]
            at = token.end
    return "".join([*parts, expression[at:]])


def columns_in(expression: str, columns: Iterable[str], dialect: str) -> tuple[str, ...]:
    """Those of the columns that the expression reads, in the order of `columns`."""
    tokens = _tokens(expression, dialect)
    read = {_value(t, dialect) for n, t in enumerate(tokens) if _is_column(tokens, n, dialect)}
    return tuple(c for c in columns if _key(c, dialect) in read)


def check_expression(expression: str, columns: Iterable[str], dialect: str, where: str) -> None:
    """Raises Cannot unless it is one closed expression that reads only these columns and asks nothing else."""
    check_closed(expression, dialect, where)
    known = {_key(c, dialect) for c in columns}
    tokens = _tokens(expression, dialect)
    for number, token in enumerate(tokens):
        if _is_quoted(token) and _is_column(tokens, number, dialect) and _value(token, dialect) not in known:
            raise Cannot(f"{where} reads {token.text}, which is no column here: {', '.join(sorted(known))}")


def check_closed(expression: str, dialect: str, where: str) -> None:
    """Raises Cannot unless it is one closed expression over a row. Which columns the row has is not asked."""
    tokens = _tokens(expression, dialect)
    if not tokens:
        raise Cannot(f"{where} is empty")
    depth = 0
    for number, token in enumerate(tokens):
        if token.text == "(":
            depth += 1
        elif token.text == ")":
            depth -= 1
        if depth < 0 or token.text == ";" or token.kind is Kind.PARAMETER:
            raise Cannot(f"{where} is not one expression: {expression}")
        if dialect == "mysql" and _is_pipes(tokens, number):
            raise Cannot(f"{where} uses ||, which means OR here: {expression}", "write concat(…), or OR")
        if token.word in _NEVER and not _is_quoted(token):
            raise Cannot(
                f"{where} uses {token.text}: only values of the same row may be computed, always to the same result",
                "write it with operators and functions over the columns of the row",
            )
    if depth:
        raise Cannot(f"{where} is not one expression: a parenthesis is not closed")


def _tokens(expression: str, dialect: str) -> list[Token]:
    try:
        tokens, comments = tokenize(expression, dialect_of(dialect).lexicon)
    except ProblemError as error:
        raise Cannot(f"{error.problem.reason}: {expression}", *error.problem.rewrite) from None
    if comments:
        raise Cannot(f"a comment in an expression: {expression}", "take it out")
    return tokens


def _is_column(tokens: list[Token], number: int, dialect: str) -> bool:
    """A name that is neither called, nor qualified, nor a type behind a cast."""
    token = tokens[number]
    if token.kind not in (Kind.WORD, Kind.QUOTED) or (dialect == "mysql" and token.text.startswith('"')):
        return False
    after = tokens[number + 1].text if number + 1 < len(tokens) else ""
    before = tokens[number - 1].text if number else ""
    return after not in ("(", ".") and before not in (".", "::")


def _is_pipes(tokens: list[Token], number: int) -> bool:
    """`||`, as one mark or as two that touch."""
    text = "".join(token.text for token in tokens[number : number + 2])
    return tokens[number].text == "||" or (text == "||" and tokens[number].end == tokens[number + 1].start)


def _is_quoted(token: Token) -> bool:
    return token.kind is Kind.QUOTED


def _key(name: str, dialect: str) -> str:
    return name if dialect == "postgresql" else name.lower()


def _value(token: Token, dialect: str) -> str:
    return token.value if dialect == "postgresql" else token.value.lower()

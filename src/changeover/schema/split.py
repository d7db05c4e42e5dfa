"""The text of a change file -> its statements, each with its line.

A statement ends at a semicolon outside quotes, comments and parentheses, and outside the body of a trigger or routine as
its dialect knows it. Comments of the form `-- changeover: key=order_id` before a statement are directives for it; an unknown one is refused, not ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from changeover.schema.dialects.dialect import Dialect
from changeover.schema.problems import ProblemError
from changeover.schema.tokens import Comment, Kind, Token, problem_of, tokenize

DIRECTIVES = ("key",)
_DIRECTIVE = re.compile(r"\s*changeover\s*:(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement of a file. `sql` has neither the comments before it nor its semicolon; `tokens` are offsets into `source`."""

    sql: str
    line: int
    tokens: Sequence[Token]
    source: str
    directives: Mapping[str, str] = field(default_factory=dict)
    ended: bool = True  # by a semicolon


def split(text: str, dialect: Dialect) -> list[Piece]:
    """The statements of the text in order; empty ones are left out. Raises ProblemError (CO-0101)."""
    tokens, comments = tokenize(text, dialect.lexicon)
    pieces: list[Piece] = []
    begin, since = 0, 0
    for end in [*_ends(tokens, dialect), len(tokens)]:
        if end > begin:
            found = tokens[begin:end]
            notes = [c for c in comments if since <= c.end <= found[-1].start]
            sql = text[found[0].start : found[-1].end]
            pieces.append(Piece(sql, found[0].line, found, text, _directives(notes, text), end < len(tokens)))
            since = found[-1].end
        begin = end + 1
    late = _directives([c for c in comments if c.end > since], text)
    if late:
        raise problem_of("a directive of changeover stands behind the last statement", comments[-1].line, text)
    return pieces


def _ends(tokens: Sequence[Token], dialect: Dialect) -> list[int]:
    ends: list[int] = []
    depth, begin, at = 0, 0, 0
    while at < len(tokens):
        token = tokens[at]
        if token.kind is Kind.MARK and token.text in "()":
            depth = max(0, depth + (1 if token.text == "(" else -1))
        elif token.kind is Kind.MARK and token.text == ";" and depth == 0:
            at = dialect.end_of(tokens, begin, at)
            ends += [at] if at < len(tokens) else []
            begin = at + 1
        at += 1
    return ends


def _directives(comments: Sequence[Comment], text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for comment in comments:
        matched = _DIRECTIVE.fullmatch(comment.text)
        if matched is None:
            continue
        name, equals, value = (part.strip() for part in matched[1].partition("="))
        if name not in DIRECTIVES or not equals or not value or name in found:
            raise _wrong(comment, text)
        found[name] = value
    return found


def _wrong(comment: Comment, text: str) -> ProblemError:
    return problem_of(
        "this directive is not known to changeover",
        comment.line,
        text,
        "the one that exists: -- changeover: key=COLUMN",
    )

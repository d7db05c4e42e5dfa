"""A reader over the tokens of one statement. What is not expected is refused; nothing is skipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from changeover.schema.effects import Name
from changeover.schema.problems import Defect, Problem, ProblemError
from changeover.schema.tokens import Kind, Lexicon, Token

_BETWEEN_QUERIES = ("UNION", "ALL", "EXCEPT", "INTERSECT")
_OPENING = {"(": ")", "[": "]"}

# Words that are no names in either engine, so that a clause is never taken for a name.
RESERVED = frozenset(
    [
        "ALL",
        "AND",
        "AS",
        "CASE",
        "CHECK",
        "COLLATE",
        "COLUMN",
        "CONSTRAINT",
        "CREATE",
        "DEFAULT",
        "DISTINCT",
        "DO",
        "ELSE",
        "FOREIGN",
        "FROM",
        "GRANT",
        "GROUP",
        "HAVING",
        "IN",
        "INTO",
        "LIMIT",
        "NOT",
        "NULL",
        "ON",
        "OR",
        "ORDER",
        "PRIMARY",
        "REFERENCES",
        "SELECT",
        "SET",
        "TABLE",
        "THEN",
        "TO",
        "UNION",
        "UNIQUE",
        "USING",
        "VALUES",
        "WHEN",
        "WHERE",
        "WITH",
    ]
)


def unknown(reason: str, *rewrite: str) -> ProblemError:
    """A statement that is refused because nobody knows what it does."""
    return ProblemError(Problem(Defect.UNKNOWN, reason, rewrite))


class Reader:
    """Reads one statement from left to right. Every method that cannot go on raises ProblemError (CO-0103)."""

    def __init__(self, text: str, tokens: Sequence[Token], lexicon: Lexicon) -> None:
        self.text = text
        self.tokens = tokens
        self.lexicon = lexicon
        self.at = 0

    # looking

    @property
    def done(self) -> bool:
        return self.at >= len(self.tokens)

    def peek(self, ahead: int = 0) -> Token | None:
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else None

    def sees(self, *words: str) -> bool:
        """The next tokens are these keywords."""
        here = self.tokens[self.at : self.at + len(words)]
        return tuple(t.word for t in here) == words

    def sees_mark(self, mark: str) -> bool:
        token = self.peek()
        return token is not None and token.kind is Kind.MARK and token.text == mark

    # taking

    def accept(self, *words: str) -> bool:
        """Take these keywords if they come next."""
        if words and self.sees(*words):
            self.at += len(words)
            return True
        return False

    def one_of(self, *words: str) -> str:
        """Take the next keyword if it is one of these; "" otherwise."""
        return next((w for w in words if self.accept(w)), "")

    def need(self, *words: str) -> None:
        if not self.accept(*words):
            self.lost(f"expected {' '.join(words)}")

    def accept_mark(self, mark: str) -> bool:
        if self.sees_mark(mark):
            self.at += 1
            return True
        return False

    def need_mark(self, mark: str) -> None:
        if not self.accept_mark(mark):
            self.lost(f"expected {mark}")

    def string(self) -> Token:
        token = self.peek()
        if token is None or token.kind is not Kind.STRING:
            self.lost("expected a text in quotes")
        self.at += 1
        return token

    def identifier(self) -> Name:
        """A name of one part: a column, a constraint, an index, …"""
        token = self.peek()
        if token is None or token.kind not in (Kind.WORD, Kind.QUOTED) or token.word in RESERVED:
            self.lost("expected a name")
        if token.word in self.lexicon.begins:
            self.lost("a second statement may begin here")
        self.at += 1
        return Name((token.value,), (self.lexicon.column_key(token.value),), token.text)

    def name(self) -> Name:
        """The name of a table or of another object, perhaps with a schema before it."""
        found = [self.identifier()]
        while self.accept_mark("."):
            found.append(self.identifier())
        parts = tuple(part.last for part in found)
        return Name(parts, tuple(map(self.lexicon.object_key, parts)), ".".join(part.sql for part in found))

    def names(self) -> tuple[Name, ...]:
        """One or more names with commas between."""
        found = [self.name()]
        while self.accept_mark(","):
            found.append(self.name())
        return tuple(found)

    def columns(self) -> tuple[Name, ...]:
        """Names of columns in parentheses."""
        self.need_mark("(")
        found = [self.identifier()]
        while self.accept_mark(","):
            found.append(self.identifier())
        self.need_mark(")")
        return tuple(found)

    def group(self) -> list[Token]:
        """Everything within the next parentheses, unread but balanced."""
        if not self.sees_mark("("):
            self.lost("expected (")
        begin = self.at + 1
        self._balanced()
        return list(self.tokens[begin : self.at - 1])

    def run(self, *stops: str, commas: bool = False) -> list[Token]:
        """Unread but balanced tokens up to one of these keywords, to a comma if `commas` stop it, or to the end.

        The first token never stops it.
        """
        begin = self.at
        while (token := self.peek()) is not None:
            if self.at > begin and token.word in stops and not self._is_distinct_from(token):
                break
            if token.kind is Kind.MARK and (token.text in ")]" or (commas and token.text == ",")):
                break
            if self.at > begin:
                self._check_goes_on(token, begin)
            self._balanced()
        if self.at == begin:
            self.lost("something is missing")
        return list(self.tokens[begin : self.at])

    def _check_goes_on(self, token: Token, begin: int) -> None:
        """Where a statement needs no semicolon before it, its first word must not be taken for a part of this one."""
        if not self.lexicon.begins:
            return
        starts = token.word == "SELECT" and self.tokens[begin].word != "WITH"
        if token.word in self.lexicon.begins or (starts and self.tokens[self.at - 1].word not in _BETWEEN_QUERIES):
            self.lost("a second statement may begin here")

    def _is_distinct_from(self, token: Token) -> bool:
        return token.word == "FROM" and self.tokens[self.at - 1].word == "DISTINCT"

    def _balanced(self) -> None:
        """Take one token, or a whole group if it opens one."""
        closing: list[str] = []
        while True:
            token = self.peek()
            if token is None:
                self.lost("a parenthesis is not closed")
            self._check(token)
            self.at += 1
            if token.kind is Kind.MARK:
                if token.text in _OPENING:
                    closing.append(_OPENING[token.text])
                elif closing and token.text == closing[-1]:
                    closing.pop()
                elif token.text in ")]":
                    self.at -= 1
                    self.lost("a parenthesis is closed that was not opened")
            if not closing:
                return

    def _check(self, token: Token) -> None:
        if token.kind is Kind.PARAMETER or token.text == ":":
            raise unknown(
                f"it has a parameter or a variable of psql ({token.text}…) and nobody gives it a value",
                "write the value itself",
            )
        if token.text == ";" and token.kind is Kind.MARK:
            self.lost("a second statement begins here")

    # texts

    def sql(self, tokens: Sequence[Token]) -> str:
        """The text of consecutive tokens, as written."""
        return self.text[tokens[0].start : tokens[-1].end] if tokens else ""

    def rest(self) -> str:
        """The text from here to the end, unread."""
        return self.sql(self.tokens[self.at :])

    # ends

    def end(self) -> None:
        """Everything has been understood, or the statement is refused."""
        if not self.done:
            self.lost("expected the end of the statement")

    def lost(self, expected: str) -> NoReturn:
        token = self.peek()
        place = (
            "its end"
            if token is None
            else f'"{token.text[:40]}"'
            if token.kind is not Kind.STRING
            else "a text in quotes"
        )
        raise unknown(
            f"changeover does not know this statement: at {place}: {expected}",
            "write it as statements that are known (docs/reference/sql.md), or run it yourself before the release",
        )

"""SQL text -> tokens, by the lexical rules of one engine.

The server splits the text into words by its own rules; a text that we read differently could hide a statement. So what
two readings are possible of (a backslash before a closing quote, `U&` names, control and bidirectional characters) is
refused, not guessed.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from changeover.schema.problems import Defect, Problem, ProblemError


class Kind(StrEnum):
    """What a token is."""

    WORD = "word"  # a keyword or an unquoted name
    QUOTED = "quoted"  # a quoted name
    STRING = "string"
    NUMBER = "number"
    PARAMETER = "parameter"  # $1, ?1, @name
    MARK = "mark"  # one character of punctuation or of an operator, or `::` or `:=`


@dataclass(frozen=True, slots=True)
class ClientCommand:
    """A line that only the engine's own client understands: `line` matches from its first word on."""

    name: str
    line: re.Pattern[str]
    client: str
    rewrite: str


class Case(StrEnum):
    """How names that are not quoted are compared."""

    FOLDS = "folds"  # turned into lower case in the catalogue; quoted ones are kept
    IGNORED = "ignored"  # kept, and compared without their case
    TABLES = "tables"  # columns without their case; whether tables too is a setting of the server
    COLLATION = "collation"  # as the collation of the database says


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The lexical rules of an engine. `longest` is the longest name in UTF-8 bytes that the server would cut; 0: none.

    `names` are the marks that open a quoted name, `texts` those that open a text.
    """

    dialect: str
    case: Case
    names: str
    texts: str = "'"
    dollar_quotes: bool = False
    nested_comments: bool = False
    escape_strings: bool = False  # E'\n', and U&'…' exists
    backslashes: bool = False  # \n in every text, unless a setting of the server says no
    hash_comments: bool = False  # from # to the end of the line
    run_comments: bool = False  # the server runs what stands in /*! … */
    spaced_dashes: bool = False  # -- begins a comment only before a space
    doubled_brackets: bool = False  # [a]]b]
    longest: int = 0
    client: ClientCommand | None = None
    begins: frozenset[str] = frozenset()  # words that begin a statement though no semicolon ends the one before

    @property
    def folds(self) -> bool:
        return self.case is Case.FOLDS

    def column_key(self, value: str) -> str:
        """A column's name as it is compared. Where two columns may differ in case only, nothing is taken for the same."""
        return value if self.case in (Case.FOLDS, Case.COLLATION) else lower(value)

    def object_key(self, value: str) -> str:
        """The name of a table, view, trigger, … as it is compared."""
        return lower(value) if self.case is Case.IGNORED else value


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `text` as written, `value` without quotes, `start` its offset, `line` from 1."""

    kind: Kind
    text: str
    value: str
    start: int
    line: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def word(self) -> str:
        """The keyword in upper case, "" if this is no word. ASCII only: `ſ` is not an S."""
        return upper(self.text) if self.kind is Kind.WORD else ""


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment, without its marks. `end` is its end offset."""

    text: str
    line: int
    end: int


_LOWER = {c: c + 32 for c in range(65, 91)}
_UPPER = {c: c - 32 for c in range(97, 123)}


def upper(text: str) -> str:
    """Upper case of A-Z only, as SQL engines compare keywords."""
    return text.translate(_UPPER)


def lower(text: str) -> str:
    """Lower case of A-Z only, as SQL engines fold names."""
    return text.translate(_LOWER)


_SPACE = re.compile(r"[ \t\r\n\f\v]+")
_RUN = ("!", "M!", "+")  # /*! statements */, /*M! the same */, /*+ settings of the optimizer */
_COMMENT_MARK = re.compile(r"/\*|\*/")
_WORD = re.compile(r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TAG = re.compile(r"\$(?:[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\u0080-\U0010ffff]*)?\$")
_DOLLAR_PARAMETER = re.compile(r"\$[A-Za-z0-9_]+")
_NAMED_PARAMETER = re.compile(r"[:@$][A-Za-z0-9_]+|\?[0-9]*")
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
_ALLOWED_CONTROL = frozenset("\t\n\r\f\v")


def problem_of(reason: str, line: int, text: str, *rewrite: str) -> ProblemError:
    """A text that cannot be read at this line."""
    lines = text.split("\n")
    shown = lines[line - 1].strip() if 0 < line <= len(lines) else ""
    return ProblemError(Problem(Defect.UNREADABLE, reason, tuple(rewrite), "", line, shown))


def check_characters(text: str) -> None:
    """Refuse characters that make a reader see something else than the server does."""
    for number, line in enumerate(text.split("\n"), start=1):
        for c in line:
            if (
                c in _BIDI
                or (unicodedata.category(c) == "Cc" and c not in _ALLOWED_CONTROL)
                or "\ud800" <= c <= "\udfff"
            ):
                raise problem_of(
                    f"the invisible character U+{ord(c):04X} is in the line: what people read would not be what the server reads",
                    number,
                    text.translate({ord(c): "\ufffd"}),
                    "remove the character",
                )


def tokenize(text: str, lexicon: Lexicon) -> tuple[list[Token], list[Comment]]:
    """Every token and every comment of the text, in order. Raises ProblemError for what cannot be read."""
    check_characters(text)
    return _Scanner(text, lexicon).run()


class _Scanner:
    def __init__(self, text: str, lexicon: Lexicon) -> None:
        self.text = text
        self.lexicon = lexicon
        self.at = 0
        self.line = 1
        self.tokens: list[Token] = []
        self.comments: list[Comment] = []

    def run(self) -> tuple[list[Token], list[Comment]]:
        while self.at < len(self.text):
            self._one()
        return self.tokens, self.comments

    def _one(self) -> None:
        text, at = self.text, self.at
        if found := _SPACE.match(text, at):
            self._skip(found.end())
        elif text.startswith("--", at):
            self._dashes()
        elif text[at] == "#" and self.lexicon.hash_comments:
            self._line_comment(1)
        elif text.startswith("/*", at):
            self._block_comment()
        elif not self._quoted():
            self._plain()

    # spaces and comments

    def _skip(self, end: int) -> None:
        self.line += self.text.count("\n", self.at, end)
        self.at = end

    def _dashes(self) -> None:
        following = self.text[self.at + 2 : self.at + 3]
        if self.lexicon.spaced_dashes and following and not following.isspace():
            raise self._problem("-- without a space behind it is no comment to this server", "write a space behind --")
        self._line_comment(2)

    def _line_comment(self, opening: int) -> None:
        end = self.text.find("\n", self.at)
        self._comment(opening, len(self.text) if end < 0 else end, 0)

    def _comment(self, opening: int, end: int, closing: int) -> None:
        self.comments.append(Comment(self.text[self.at + opening : end - closing], self.line, end))
        self._skip(end)

    def _block_comment(self) -> None:
        if self.lexicon.run_comments and self.text.startswith(_RUN, self.at + 2):
            raise self._problem(
                "this looks like a comment, but the server acts on what stands in it",
                "write what it does as a statement",
            )
        depth = 1
        for found in _COMMENT_MARK.finditer(self.text, self.at + 2):
            if found.group() == "*/":
                depth -= 1
            elif self.lexicon.nested_comments:
                depth += 1
            if depth == 0:
                self._comment(2, found.end(), 2)
                return
        raise self._problem("the comment that begins here is never closed", "close it with */")

    # quotes

    def _quoted(self) -> bool:
        text, at, lexicon = self.text, self.at, self.lexicon
        c = text[at]
        following = text[at + 1 : at + 2]
        if c in lexicon.texts:
            self._string(at, escapes=False)
        elif following == "'" and c in "xXbBnN":
            self._string(at + 1, escapes=False)
        elif following == "'" and c in "eE" and lexicon.escape_strings:
            self._string(at + 1, escapes=True)
        elif c in "uU" and text[at + 1 : at + 3] in ("&'", '&"') and lexicon.escape_strings:
            raise self._problem("U& escapes hide what a name or a text is", "write the characters themselves")
        elif c in lexicon.names:
            self._name(c, "]" if c == "[" else c)
        elif c == "$" and lexicon.dollar_quotes and (found := _TAG.match(text, at)):
            self._dollar(found.group())
        else:
            return False
        return True

    def _string(self, quote: int, *, escapes: bool) -> None:
        at, mark = quote + 1, self.text[quote]
        while True:
            end = self.text.find(mark, at)
            if end < 0:
                raise self._problem("the text in quotes that begins here is never closed", f"close it with {mark}")
            slashes = self._backslashes_before(end, quote)
            if self.lexicon.backslashes and slashes % 2:
                raise self._problem(
                    "a backslash stands before a quote: whether the text ends there depends on a setting of the server",
                    f"write the quote twice: {mark * 2}",
                )
            if slashes and not escapes and self.lexicon.escape_strings:
                raise self._problem(
                    "a backslash stands before a quote: whether the text ends there depends on a setting of the server",
                    r"write it as E'…\\'",
                )
            if escapes and slashes % 2:
                at = end + 1
            elif self.text.startswith(mark * 2, end):
                at = end + 2
            else:
                break
        self._add(Kind.STRING, end + 1, self.text[quote + 1 : end].replace(mark * 2, mark))

    def _backslashes_before(self, end: int, quote: int) -> int:
        first = end
        while first - 1 > quote and self.text[first - 1] == "\\":
            first -= 1
        return end - first

    def _name(self, opening: str, closing: str) -> None:
        at = self.at + len(opening)
        doubled = closing != "]" or self.lexicon.doubled_brackets
        while True:
            end = self.text.find(closing, at)
            if end < 0:
                raise self._problem("the quoted name that begins here is never closed", f"close it with {closing}")
            if doubled and self.text.startswith(closing * 2, end):
                at = end + 2
            else:
                break
        value = self.text[self.at + 1 : end]
        value = value.replace(closing * 2, closing) if doubled else value
        if not value or "\n" in value:
            raise self._problem("a quoted name is empty or goes over a line end")
        self._add(Kind.QUOTED, end + 1, self._fitting(value))

    def _dollar(self, tag: str) -> None:
        end = self.text.find(tag, self.at + len(tag))
        if end < 0:
            raise self._problem(f"the text that begins with {tag} is never closed", f"close it with {tag}")
        self._add(Kind.STRING, end + len(tag), self.text[self.at + len(tag) : end])

    # words, numbers, marks

    def _plain(self) -> None:
        text, at = self.text, self.at
        c = text[at]
        parameter = _DOLLAR_PARAMETER if self.lexicon.dollar_quotes else _NAMED_PARAMETER
        if text.startswith(("::", ":="), at):
            self._add(Kind.MARK, at + 2)
        elif found := _WORD.match(text, at):
            self._word(found.end())
        elif (c.isascii() and c.isdigit()) or (c == "." and text[at + 1 : at + 2].isdigit()):
            self._number()
        elif found := parameter.match(text, at):
            self._add(Kind.PARAMETER, found.end())
        elif c == "\\":
            raise self._problem(
                "a backslash outside quotes is a command of the server's client, which changeover does not run",
                "write plain SQL",
            )
        else:
            self._add(Kind.MARK, at + 1)

    def _word(self, end: int) -> None:
        word = self.text[self.at : end]
        self._check_client()
        odd = next((c for c in word if not c.isascii() and unicodedata.category(c)[0] in "ZC"), "")
        if odd:
            raise self._problem(
                f"the character U+{ord(odd):04X} stands in a name: it looks like a space or like nothing",
                "replace it; names may have letters and digits of any script",
            )
        self._add(Kind.WORD, end, lower(self._fitting(word)) if self.lexicon.folds else word)

    def _check_client(self) -> None:
        command = self.lexicon.client
        if command is None or not command.line.match(self.text, self.at):
            return
        line = self.text[self.text.rfind("\n", 0, self.at) + 1 : self.at]
        if not line.strip():
            raise self._problem(
                f"{command.name} is a command of {command.client}, which changeover does not run", command.rewrite
            )

    def _number(self) -> None:
        found = _NUMBER.match(self.text, self.at)
        end = found.end() if found else self.at + 1
        if _WORD.match(self.text, end):
            raise self._problem("a number runs into a name", "put a space or quotes where they belong")
        self._add(Kind.NUMBER, end)

    def _fitting(self, name: str) -> str:
        size, longest = len(name.encode("utf-8", "replace")), self.lexicon.longest
        if longest and size > longest:
            raise self._problem(
                f"the name {name[:20]}… has {size} bytes; the server would cut it to {longest} without an error",
                f"use a name of at most {longest} bytes",
            )
        return name

    def _add(self, kind: Kind, end: int, value: str | None = None) -> None:
        text = self.text[self.at : end]
        self.tokens.append(Token(kind, text, text if value is None else value, self.at, self.line))
        self._skip(end)

    def _problem(self, reason: str, *rewrite: str) -> ProblemError:
        return problem_of(reason, self.line, self.text, *rewrite)

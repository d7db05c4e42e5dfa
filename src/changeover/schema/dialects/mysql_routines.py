"""MariaDB and MySQL: triggers, functions and procedures, and where their bodies end."""

from __future__ import annotations

from collections.abc import Sequence

from changeover.schema.effects import CreateFunction, CreateTrigger
from changeover.schema.grammar.expressions import words
from changeover.schema.grammar.reader import Reader, unknown
from changeover.schema.tokens import Kind, Token

_HEAD = 16  # tokens; CREATE OR REPLACE DEFINER = `a` @ `b` AGGREGATE FUNCTION has fewer
_MADE = ("TRIGGER", "FUNCTION", "PROCEDURE", "EVENT")
_CLOSED = ("IF", "LOOP", "WHILE", "REPEAT", "FOR")  # END IF closes no BEGIN
_SIMPLE = ("SET", "INSERT", "UPDATE", "DELETE", "CALL", "SIGNAL", "RETURN", "REPLACE", "SELECT")
_CHARACTERISTICS = (
    ("LANGUAGE", "SQL"), ("NOT", "DETERMINISTIC"), ("DETERMINISTIC",), ("CONTAINS", "SQL"), ("NO", "SQL"),
    ("READS", "SQL", "DATA"), ("MODIFIES", "SQL", "DATA"), ("SQL", "SECURITY", "DEFINER"), ("SQL", "SECURITY", "INVOKER"),
)  # fmt: skip


def end_of(tokens: Sequence[Token], begin: int, first: int) -> int:
    """A trigger or routine with BEGIN … END ends behind the END that closes its first BEGIN; all else at its first semicolon."""
    head = [t.word for t in tokens[begin : min(begin + _HEAD, first)]]
    if head[:1] != ["CREATE"] or not any(made in head for made in _MADE):
        return first
    depth, at = 0, begin
    while at < len(tokens):
        opened, taken = _step(tokens, at)
        depth += opened
        if tokens[at].text == ";" and tokens[at].kind is Kind.MARK and depth <= 0:
            return at
        at += taken
    return len(tokens)


def _step(tokens: Sequence[Token], at: int) -> tuple[int, int]:
    """(blocks that are opened here, tokens that are taken); a column `NEW.end` is none."""
    word = tokens[at].word
    if word not in ("BEGIN", "CASE", "END") or (at and tokens[at - 1].text == "."):
        return 0, 1
    if word != "END":
        return 1, 1
    following = tokens[at + 1].word if at + 1 < len(tokens) else ""
    if following in _CLOSED:
        return 0, 2
    return -1, 2 if following == "CASE" else 1


def definer(reader: Reader) -> None:
    """DEFINER = 'app'@'%', `app`, CURRENT_USER or a role."""
    if not reader.accept("DEFINER"):
        return
    reader.need_mark("=")
    if reader.one_of("CURRENT_USER", "CURRENT_ROLE"):
        if reader.sees_mark("("):
            reader.group()
        return
    user(reader)


def user(reader: Reader) -> None:
    """'app'@'10.%': without a host it is any host."""
    _user_part(reader)
    token = reader.peek()
    if token is not None and token.kind is Kind.PARAMETER and token.text.startswith("@"):  # app@localhost
        reader.at += 1
    elif reader.accept_mark("@"):
        _user_part(reader)


def _user_part(reader: Reader) -> None:
    token = reader.peek()
    if token is not None and token.kind is Kind.STRING:
        reader.at += 1
    else:
        reader.identifier()


def create_trigger(reader: Reader, replaced: bool) -> CreateTrigger:
    """The rest of CREATE TRIGGER."""
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    name = reader.name()
    timing = reader.one_of("BEFORE", "AFTER") or reader.lost("expected BEFORE or AFTER")
    event = reader.one_of("INSERT", "UPDATE", "DELETE") or reader.lost("expected INSERT, UPDATE or DELETE")
    reader.need("ON")
    table = reader.name()
    reader.need("FOR", "EACH", "ROW")
    if reader.one_of("FOLLOWS", "PRECEDES"):
        reader.identifier()
    return CreateTrigger(name, table, timing, replaced, if_not_exists, words=words(_body(reader)), events=(event,))


def create_routine(reader: Reader, kind: str, replaced: bool) -> CreateFunction:
    """The rest of CREATE FUNCTION or PROCEDURE."""
    if reader.accept("IF", "NOT", "EXISTS"):
        reader.lost("IF NOT EXISTS may find another body; take it out, or write OR REPLACE")
    name = reader.name()
    reader.group()
    if kind == "function":
        reader.need("RETURNS")
        reader.run("BEGIN", "RETURN", *(c[0] for c in _CHARACTERISTICS), "COMMENT")
        if reader.sees("SONAME"):
            reader.lost("a function from a library is not known")
    while any(reader.accept(*c) for c in _CHARACTERISTICS) or reader.accept("COMMENT"):
        if reader.tokens[reader.at - 1].word == "COMMENT":
            reader.string()
    return CreateFunction(name, kind, replaced, words(_body(reader)))


def _body(reader: Reader) -> Sequence[Token]:
    """One simple statement, or BEGIN … END with nothing behind it."""
    begin, tokens = reader.at, reader.tokens
    reader.at = len(tokens)
    body = tokens[begin:]
    if body and body[0].word in _SIMPLE and not any(t.text == ";" and t.kind is Kind.MARK for t in body):
        return body
    if not body or body[0].word != "BEGIN":
        raise unknown("where the body of this trigger or routine ends is not certain", "write it as BEGIN … END;")
    depth, at = 0, 0
    while at < len(body):
        opened, taken = _step(body, at)
        depth += opened
        at += taken
        if depth == 0 and at < len(body):
            raise unknown("something stands behind the END of this body", "end the statement with END;")
    if depth:
        raise unknown("the body of this trigger or routine is not closed", "close each BEGIN and CASE with END")
    return body

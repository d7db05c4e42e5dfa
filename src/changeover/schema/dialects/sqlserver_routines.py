"""SQL Server: triggers, functions and procedures, and where their bodies end.

To the server the body of a procedure or trigger goes on to the end of its batch. Each statement of a change file is a batch of its
own, so the body must be BEGIN … END, which shows where the author meant it to end.
"""

from __future__ import annotations

from collections.abc import Sequence

from changeover.schema.effects import CreateFunction, CreateTrigger
from changeover.schema.grammar.expressions import words
from changeover.schema.grammar.reader import Reader, unknown
from changeover.schema.tokens import Kind, Token

_MADE = ("TRIGGER", "FUNCTION", "PROCEDURE", "PROC")
_NO_BLOCK = ("TRAN", "TRANSACTION", "DISTRIBUTED", "DIALOG", "CONVERSATION")
_UNCERTAIN = "where the body of this trigger or routine ends is not certain"


def end_of(tokens: Sequence[Token], begin: int, first: int) -> int:
    """A trigger or routine ends behind the END that closes its first BEGIN; all else at its first semicolon."""
    head = [t.word for t in tokens[begin : begin + 4]]
    head = head[:1] + head[3:] if head[1:3] == ["OR", "ALTER"] else head[:2]
    if len(head) < 2 or head[0] not in ("CREATE", "ALTER") or head[1] not in _MADE:
        return first
    depth = 0
    for at in range(begin, len(tokens)):
        depth += _opened(tokens, at)
        if tokens[at].text == ";" and tokens[at].kind is Kind.MARK and depth <= 0:
            return at
    return len(tokens)


def _opened(tokens: Sequence[Token], at: int) -> int:
    """Blocks that this token opens: BEGIN, BEGIN TRY and CASE open one, END closes it, BEGIN TRAN is none."""
    word = tokens[at].word
    if word not in ("BEGIN", "CASE", "END") or (at and tokens[at - 1].text == "."):
        return 0
    following = tokens[at + 1].word if at + 1 < len(tokens) else ""
    if following in _NO_BLOCK and word != "CASE":
        return 0
    return -1 if word == "END" else 1


def create_trigger(reader: Reader, replaced: bool) -> CreateTrigger:
    """The rest of CREATE TRIGGER."""
    name = reader.name()
    reader.need("ON")
    if reader.accept("DATABASE") or reader.accept("ALL", "SERVER"):
        reader.lost("a trigger of the whole database or server is not known")
    table = reader.name()
    if reader.accept("WITH"):
        reader.run("FOR", "AFTER", "INSTEAD")
    timing = "INSTEAD OF" if reader.accept("INSTEAD", "OF") else "AFTER"
    if timing == "AFTER" and not reader.one_of("AFTER", "FOR"):
        reader.lost("expected AFTER, FOR or INSTEAD OF")
    events = [_event(reader)]
    while reader.accept_mark(","):
        events.append(_event(reader))
    reader.accept("NOT", "FOR", "REPLICATION")
    reader.need("AS")
    return CreateTrigger(name, table, timing, replaced, words=words(_block(reader)), events=tuple(events))


def _event(reader: Reader) -> str:
    return reader.one_of("INSERT", "UPDATE", "DELETE") or reader.lost("expected INSERT, UPDATE or DELETE")


def create_routine(reader: Reader, kind: str, replaced: bool) -> CreateFunction:
    """The rest of CREATE FUNCTION or PROCEDURE: its head is skipped up to the body."""
    name = reader.name()
    while not (reader.done or reader.sees("BEGIN") or (kind == "function" and reader.sees("RETURN"))):
        if reader.sees("EXTERNAL") or reader.sees_mark(";"):
            raise unknown(_UNCERTAIN, "write it as AS BEGIN … END;")
        if reader.sees_mark("("):
            _skip_group(reader)
        else:
            reader.at += 1
    if kind == "function" and reader.accept("RETURN"):
        if not any(reader.sees(w) for w in ("SELECT", "WITH")) and not reader.sees_mark("("):
            raise unknown(_UNCERTAIN, "write it as AS BEGIN … END;")
        begin = reader.at
        reader.at = len(reader.tokens)
        return CreateFunction(name, kind, replaced, words(reader.tokens[begin:]))
    if not reader.done and reader.tokens[reader.at - 1].word != "AS" and kind == "procedure":
        raise unknown(_UNCERTAIN, "write it as AS BEGIN … END;")
    return CreateFunction(name, kind, replaced, words(_block(reader)))


def _skip_group(reader: Reader) -> None:
    """Parameters and their defaults; @names are expected here."""
    depth = 0
    while not reader.done:
        depth += 1 if reader.sees_mark("(") else -1 if reader.sees_mark(")") else 0
        reader.at += 1
        if depth == 0:
            return


def _block(reader: Reader) -> Sequence[Token]:
    """BEGIN … END with nothing behind it."""
    body = reader.tokens[reader.at :]
    reader.at = len(reader.tokens)
    if not body or body[0].word != "BEGIN":
        raise unknown(_UNCERTAIN, "write it as AS BEGIN … END;")
    depth = 0
    for at in range(len(body)):
        depth += _opened(body, at)
        if depth == 0 and at < len(body) - 1:
            raise unknown("something stands behind the END of this body", "end the statement with END;")
    if depth:
        raise unknown("the body of this trigger or routine is not closed", "close each BEGIN and CASE with END")
    return body

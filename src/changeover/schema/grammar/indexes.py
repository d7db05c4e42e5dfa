"""The part of CREATE INDEX that the engines share."""

from __future__ import annotations

from collections.abc import Sequence

from changeover.schema.effects import CreateIndex, Name
from changeover.schema.grammar.expressions import calls
from changeover.schema.grammar.functions import NEVER_FAIL
from changeover.schema.grammar.reader import Reader
from changeover.schema.tokens import Kind, Token


def index_body(
    reader: Reader, name: Name | None, *, unique: bool, concurrently: bool = False, if_not_exists: bool = False
) -> CreateIndex:
    """From ON to the end: `ON orders USING btree (status, lower(email)) WHERE status <> 'new'`."""
    begin = reader.at
    reader.need("ON")
    reader.accept("ONLY")
    table = reader.name()
    if reader.accept("USING"):
        reader.identifier()
    parts: list[Token] = reader.group()
    if not parts:
        reader.lost("expected columns")
    while not reader.done:
        parts += _option(reader)
    rest = reader.sql(reader.tokens[begin:])
    return CreateIndex(name, table, rest, unique, concurrently, _cannot_fail(parts), if_not_exists)


def _option(reader: Reader) -> Sequence[Token]:
    if reader.accept("INCLUDE"):
        return reader.group()
    if reader.accept("WHERE"):
        return reader.run()
    if reader.accept("NULLS"):
        reader.accept("NOT")
        reader.need("DISTINCT")
    elif reader.accept("WITH"):
        reader.group()
    elif reader.accept("TABLESPACE"):
        reader.identifier()
    else:
        reader.lost("expected the end of the index")
    return ()


def _cannot_fail(tokens: Sequence[Token]) -> bool:
    """No cast, no arithmetic and no function that may fail on somebody's row."""
    risky = any(
        t.text == "::" or (t.kind is Kind.MARK and t.text in "+-*/%|&^#@~?") or t.word == "CAST" for t in tokens
    )
    return not risky and all(c in NEVER_FAIL for c in calls(tokens))

"""PostgreSQL: what a statement does.

An own grammar, not a general SQL parser. The usable parsers either turn a third of PostgreSQL's DDL into an opaque command
(sqlglot: VALIDATE CONSTRAINT, UNIQUE USING INDEX, ALTER TYPE, functions, …) or may not be depended on (pglast is GPL). An
opaque command can only be refused, and a parser that is made for translation accepts clauses that it does not keep. Here
every token of a statement is understood by name, or is in an expression that the statement evaluates; else it is refused.
"""

from __future__ import annotations

import re

from changeover.core.model import Lock
from changeover.schema.dialects.dialect import Dialect
from changeover.schema.dialects.postgresql_alter import alter
from changeover.schema.dialects.postgresql_create import create
from changeover.schema.dialects.refusals import refuse_by_name
from changeover.schema.dialects.spelling import spelling
from changeover.schema.effects import (
    Comment,
    Drop,
    DropTrigger,
    Effect,
    Grant,
    Name,
    Rebuild,
    Revoke,
    Truncate,
)
from changeover.schema.grammar import functions
from changeover.schema.grammar.columns import catalogue_type
from changeover.schema.grammar.reader import Reader
from changeover.schema.grammar.rows import delete, insert, update
from changeover.schema.tokens import Case, Lexicon

LEXICON = Lexicon(
    "postgresql", Case.FOLDS, '"', dollar_quotes=True, nested_comments=True, escape_strings=True, longest=63
)
_SYSTEM_SCHEMAS = ("pg_catalog", "information_schema", "pg_toast", "pg_temp")
_DROPS = (
    "TABLE", "VIEW", "SEQUENCE", "TYPE", "DOMAIN", "SCHEMA", "FUNCTION", "PROCEDURE", "EXTENSION", "DATABASE", "AGGREGATE",
)  # fmt: skip


def parse(reader: Reader) -> tuple[Effect, ...]:
    """The effects of one statement. Raises ProblemError (CO-0103) for every statement that is not fully understood."""
    refuse_by_name(reader)
    found = _statement(reader)
    reader.end()
    return found


def _statement(reader: Reader) -> tuple[Effect, ...]:
    if reader.sees("ALTER"):
        return alter(reader)
    if reader.accept("CREATE"):
        return create(reader)
    if reader.accept("DROP"):
        return (_drop(reader),)
    if reader.sees("INSERT"):
        return (insert(reader),)
    if reader.sees("UPDATE"):
        return (update(reader),)
    if reader.sees("DELETE"):
        return (delete(reader),)
    return _other(reader)


def _other(reader: Reader) -> tuple[Effect, ...]:
    if reader.accept("COMMENT", "ON"):
        tokens = reader.run("IS")
        reader.need("IS")
        if not reader.accept("NULL"):
            reader.string()
        return (Comment(" ".join(reader.sql(tokens).split())),)
    if reader.accept("GRANT"):
        return (Grant(_privilege(reader)),)
    if reader.accept("REVOKE"):
        if reader.tokens[-1].word == "CASCADE":
            reader.lost("CASCADE also takes privileges from roles that are not named")
        return (Revoke(_privilege(reader)),)
    if reader.accept("TRUNCATE"):
        reader.accept("TABLE")
        reader.accept("ONLY")
        names = reader.names()
        if not reader.done:
            reader.run()
        return (Truncate(names),)
    verb = reader.one_of("VACUUM", "CLUSTER", "REINDEX")
    if verb:
        if not reader.done:
            reader.run()
        return (Rebuild(verb),)
    return reader.lost("changeover has no rule for it")


def _privilege(reader: Reader) -> str:
    return " ".join(reader.sql(reader.run()).split())


# DROP -------------------------------------------------------------------------------------------------------------


def _drop(reader: Reader) -> Effect:
    if reader.accept("TRIGGER"):
        reader.accept("IF", "EXISTS")
        name = reader.identifier()
        reader.need("ON")
        return DropTrigger(name, reader.name(), _cascade(reader))
    if reader.accept("INDEX"):
        concurrently = reader.accept("CONCURRENTLY")
        if_exists = reader.accept("IF", "EXISTS")
        return Drop("index", reader.names(), if_exists, concurrently=concurrently, cascade=_cascade(reader))
    kind = reader.one_of(*_DROPS)
    if not kind:
        reader.lost("changeover does not know this object")
    if_exists = reader.accept("IF", "EXISTS")
    names = [_dropped(reader, kind)]
    while reader.accept_mark(","):
        names.append(_dropped(reader, kind))
    return Drop(kind.lower(), tuple(names), if_exists, _cascade(reader))


def _dropped(reader: Reader, kind: str) -> Name:
    name = reader.name()
    if kind in ("FUNCTION", "PROCEDURE", "AGGREGATE") and reader.sees_mark("("):
        begin = reader.at
        reader.group()
        arguments = reader.sql(reader.tokens[begin : reader.at])
        return Name(name.parts, name.key, name.sql + arguments)
    return name


def _cascade(reader: Reader) -> bool:
    cascade = reader.accept("CASCADE")
    reader.accept("RESTRICT")
    return cascade


# the dialect ------------------------------------------------------------------------------------------------------


def _is_system(parts: tuple[str, ...]) -> bool:
    return parts[0] in _SYSTEM_SCHEMAS or parts[0].startswith("pg_temp") or parts[-1].startswith("pg_")


POSTGRESQL = Dialect(
    "postgresql",
    LEXICON,
    parse,
    builds_online=True,
    validates_later=True,
    adds_stable_default=True,
    triggers_fill=True,
    drop_column=Lock.BRIEF,
    functions=functions.POSTGRESQL,
    is_system=_is_system,
    spell=spelling(re.compile(r"[a-z_][a-z0-9_$]*"), '"', '"'),
    type_in_catalogue=catalogue_type,
)

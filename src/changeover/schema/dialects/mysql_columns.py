"""MariaDB and MySQL: column definitions, keys and table constraints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from changeover.schema.dialects.mysql_types import mysql_type
from changeover.schema.effects import (
    AddConstraint,
    Column,
    CreateIndex,
    Default,
    Generated,
    Name,
    Reference,
    Rule,
)
from changeover.schema.grammar.columns import reference
from changeover.schema.grammar.reader import Reader
from changeover.schema.tokens import Kind, Token, upper

KEY_WORDS = ("CONSTRAINT", "CHECK", "UNIQUE", "PRIMARY", "FOREIGN", "KEY", "INDEX", "FULLTEXT", "SPATIAL")
_CLAUSES = (
    "NOT", "NULL", "DEFAULT", "AUTO_INCREMENT", "UNIQUE", "KEY", "PRIMARY", "COMMENT", "COLLATE", "CHARACTER", "ON",
    "GENERATED", "AS", "CONSTRAINT", "CHECK", "REFERENCES", "INVISIBLE", "VISIBLE", "FIRST", "AFTER",
)  # fmt: skip
_NOW = ("CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP")


# columns -----------------------------------------------------------------------------------------------------------


def column_definition(reader: Reader) -> Column:
    """`price_cents int unsigned NOT NULL DEFAULT 0 COMMENT 'cents'`, up to FIRST, AFTER, a comma or a parenthesis."""
    name = reader.identifier()
    column = Column(name, mysql_type(reader))
    if column.type.base == "serial":
        column = replace(column, generated=Generated.IDENTITY, unique=True, not_null=True)
    while not (reader.done or reader.sees_mark(",") or reader.sees_mark(")")):
        if reader.sees("FIRST") or reader.sees("AFTER"):
            break
        column = _clause(reader, column)
    if column.reference is not None:
        found = column.reference
        column = replace(column, reference=replace(found, written=(name.key[0],) if found.written else ()))
    return column


def position(reader: Reader) -> bool:
    """FIRST or AFTER a column."""
    if reader.accept("AFTER"):
        reader.identifier()
        return True
    return reader.accept("FIRST")


def _clause(reader: Reader, column: Column) -> Column:
    if reader.accept("NOT", "NULL"):
        return replace(column, not_null=True)
    if reader.accept("NULL"):
        return replace(column, nullable=True)
    if reader.accept("DEFAULT"):
        tokens = reader.run(*_CLAUSES, commas=True)
        return replace(column, default=default_of(tokens, column.type.base), default_sql=reader.sql(tokens))
    if reader.accept("AUTO_INCREMENT"):
        return replace(column, generated=Generated.IDENTITY)
    if reader.accept("UNIQUE"):
        reader.accept("KEY")
        return replace(column, unique=True)
    if reader.accept("PRIMARY", "KEY") or reader.accept("KEY"):
        return replace(column, primary=True, not_null=True)
    if reader.accept("GENERATED", "ALWAYS") or reader.sees("AS"):
        return _generated(reader, column)
    if reader.sees("CONSTRAINT") or reader.sees("CHECK"):
        if reader.accept("CONSTRAINT") and not reader.sees("CHECK"):
            reader.identifier()
        reader.need("CHECK")
        return replace(column, check=reader.sql(reader.group()) or "…")
    if reader.sees("REFERENCES"):
        return replace(column, reference=foreign(reader, ("",)))
    _harmless(reader)
    return column


def _harmless(reader: Reader) -> None:
    if reader.accept("COMMENT"):
        reader.string()
    elif reader.accept("COLLATE") or reader.accept("CHARACTER", "SET"):
        reader.identifier()
    elif reader.accept("ON", "UPDATE"):
        if not is_now(reader.run(*_CLAUSES, commas=True)):
            reader.lost("expected CURRENT_TIMESTAMP")
    elif not reader.one_of("INVISIBLE", "VISIBLE"):
        reader.lost("expected a clause of a column")


def _generated(reader: Reader, column: Column) -> Column:
    reader.need("AS")
    inner = reader.group()
    kind = reader.one_of("STORED", "PERSISTENT", "VIRTUAL")
    stored = kind in ("STORED", "PERSISTENT")
    return replace(
        column, generated=Generated.STORED if stored else Generated.VIRTUAL, expression=reader.sql(inner) or "…"
    )


# defaults ------------------------------------------------------------------------------------------------------------


def is_now(tokens: Sequence[Token]) -> bool:
    """CURRENT_TIMESTAMP, NOW(), CURRENT_TIMESTAMP(6)."""
    rest = tokens[1:]
    return tokens[0].word in _NOW and (not rest or ((rest[0].text, rest[-1].text) == ("(", ")") and len(rest) <= 3))


def default_of(tokens: Sequence[Token], base: str) -> Default:
    """What a DEFAULT is to rows that are there; what is not a plain value is VOLATILE, also `(1)`, which MySQL computes."""
    words = tuple(t.word or t.text for t in tokens)
    if words in (("NULL",), ("(", "NULL", ")")):
        return Default.NULL
    if is_now(tokens):
        return Default.STABLE if base in ("datetime", "timestamp") else Default.VOLATILE
    value = tokens[1:] if words[0] in ("-", "+") and len(tokens) == 2 else tokens
    literal = len(value) == 1 and (value[0].kind in (Kind.STRING, Kind.NUMBER) or value[0].word in ("TRUE", "FALSE"))
    return Default.CONSTANT if literal else Default.VOLATILE


# keys and constraints ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Parts:
    columns: tuple[str, ...]
    sql: str
    plain: bool


def key_parts(reader: Reader) -> _Parts:
    """`(name(10) DESC, (lower(email)))`."""
    begin, columns, plain = reader.at, [], True
    reader.need_mark("(")
    while True:
        if reader.sees_mark("("):
            reader.group()
            plain = False
        else:
            columns.append(reader.identifier().key[0])
            if reader.sees_mark("(") and not all(t.kind is Kind.NUMBER for t in reader.group()):
                reader.lost("expected the length of a part of a key")
        reader.one_of("ASC", "DESC")
        if not reader.accept_mark(","):
            break
    reader.need_mark(")")
    return _Parts(tuple(columns), reader.sql(reader.tokens[begin : reader.at]), plain)


def index_options(reader: Reader) -> None:
    """USING, COMMENT, KEY_BLOCK_SIZE and visibility of a key."""
    while True:
        if reader.accept("USING"):
            _using(reader)
        elif reader.accept("COMMENT"):
            reader.string()
        elif reader.accept("KEY_BLOCK_SIZE"):
            reader.accept_mark("=")
            _number(reader)
        elif reader.accept("NOT", "IGNORED") or reader.one_of("VISIBLE", "INVISIBLE", "IGNORED"):
            pass
        else:
            return


def _using(reader: Reader) -> None:
    if not reader.one_of("BTREE", "HASH", "RTREE"):
        reader.lost("expected BTREE or HASH")


def _number(reader: Reader) -> None:
    token = reader.peek()
    if token is None or token.kind is not Kind.NUMBER:
        reader.lost("expected a number")
    reader.at += 1


def foreign(reader: Reader, columns: tuple[str, ...]) -> Reference:
    """REFERENCES …; `written` are the columns, if the key changes them by itself."""
    found = reference(reader)
    words = upper(" ".join(found.sql.split()))
    acts = any(a in words for a in ("ON UPDATE CASCADE", "ON UPDATE SET", "ON DELETE SET"))
    return replace(found, written=columns if acts else ())


def table_key(reader: Reader, table: Name) -> AddConstraint | CreateIndex:
    """A key or constraint in CREATE TABLE or behind ADD: `UNIQUE KEY orders_u (code)`, `CONSTRAINT c CHECK (a > 0)`."""
    name = None
    if reader.accept("CONSTRAINT") and not any(reader.sees(w) for w in KEY_WORDS):
        reader.accept("IF", "NOT", "EXISTS")
        name = reader.identifier()
    begin = reader.at
    if reader.accept("CHECK"):
        if not reader.group():
            reader.lost("an expression is missing")
        body = reader.sql(reader.tokens[begin : reader.at])
        return AddConstraint(table, name, Rule.CHECK, body)
    if reader.accept("FOREIGN", "KEY"):
        reader.accept("IF", "NOT", "EXISTS")
        if not reader.sees_mark("("):
            name = name or reader.identifier()
            begin = reader.at
        columns = tuple(c.key[0] for c in reader.columns())
        found = foreign(reader, columns)
        body = reader.sql(reader.tokens[begin : reader.at])
        return AddConstraint(table, name, Rule.FOREIGN_KEY, body, columns, reference=found)
    if reader.accept("PRIMARY", "KEY"):
        if reader.accept("USING"):
            _using(reader)
        parts = key_parts(reader)
        index_options(reader)
        return AddConstraint(table, name, Rule.PRIMARY_KEY, f"PRIMARY KEY {parts.sql}", parts.columns)
    return _index(reader, table, name)


def _index(reader: Reader, table: Name, name: Name | None) -> CreateIndex:
    unique = reader.accept("UNIQUE")
    kind = "" if unique else reader.one_of("FULLTEXT", "SPATIAL").lower()
    if not reader.one_of("KEY", "INDEX") and not unique and not kind:
        reader.lost("expected a key or a constraint")
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    if not reader.sees_mark("(") and not reader.sees("USING"):
        name = reader.identifier()
    if reader.accept("USING"):
        _using(reader)
    parts = key_parts(reader)
    index_options(reader)
    rest = f"ON {table.sql} {parts.sql}"
    return CreateIndex(name, table, rest, unique, plain=parts.plain, if_not_exists=if_not_exists, kind=kind)

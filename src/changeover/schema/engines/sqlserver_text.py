"""T-SQL as text: names, literals, constants, and values that are compared byte by byte."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from changeover.core.catalogue import Column, Table
from changeover.schema.ddl import Pair

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import IdentifierPreparer

BINARY = "Latin1_General_100_BIN2"
_ALSO_RESERVED = frozenset(
    ["label", "semantickeyphrasetable", "semanticsimilaritydetailstable", "semanticsimilaritytable", "try_convert", "within"]
)  # fmt: skip
_TEXTS = ("char", "varchar", "nchar", "nvarchar")
_CODED = ("char", "varchar")  # texts in a code page
_CONSTANTS = {
    "true": "1",
    "false": "0",
    "now()": "CURRENT_TIMESTAMP",
    "current_date": "CONVERT(date, CURRENT_TIMESTAMP)",
    "current_time": "CONVERT(time, CURRENT_TIMESTAMP)",
}


def quote(name: str) -> str:
    """`users`, `[order]`: in brackets where it must be."""
    return f"[{name}]" if name in _ALSO_RESERVED else _preparer().quote(name)


def literal(text: str) -> str:
    return "N'" + text.replace("'", "''") + "'"


def constant(default: str) -> str:
    """A constant of a change file as T-SQL: `true` is 1, and a text keeps every character whatever the database's code page."""
    text = default.strip()
    if text.startswith("'") and not text.isascii():
        return f"N{text}"
    return _CONSTANTS.get(text.lower(), text)


def base(type_: str) -> str:
    """`nvarchar(200)` -> `nvarchar`."""
    return type_.partition("(")[0]


def typed(column: Column) -> str:
    """The type as a definition has it, with a collation that is not the database's."""
    return f"{column.type} COLLATE {column.collation}" if column.collation else column.type


def stored(value: str, column: Column) -> str:
    """An expression with the type and the collation of a column; a text that is too long for it is not cut, but refused later."""
    collation = f" COLLATE {column.collation or 'DATABASE_DEFAULT'}" if base(column.type) in _TEXTS else ""
    return f"CAST({_coded(value, column)} AS {uncut(column.type)}){collation}"


def _coded(value: str, column: Column) -> str:
    """An expression in the code page of the column, if it has one of its own: a text that is cast first would be in the
    database's, and what that does not have would be lost.
    """
    if not column.collation or base(column.type) not in _CODED or f"COLLATE {column.collation} AS" in value:
        return value
    return f"CAST({value} AS nvarchar(max)) COLLATE {column.collation}"


def recoded(table: Table, pair: Pair) -> Pair:
    """The pair whose generated casts go by the code page of the column that they are for."""
    if not pair.exact:
        return pair

    def cast(name: str, expression: str) -> str:
        column = table.column(name)
        if column is None or not column.collation or base(column.type) not in _CODED:
            return expression
        value, _, type_ = expression.rpartition(" AS ")
        return f"{value} COLLATE {column.collation} AS {type_}"

    texts = {c.name for c in table.columns if base(c.type) in _TEXTS}
    up = {new: cast(new, e) if set(pair.olds) <= texts else e for new, e in pair.up.items()}
    down = {old: cast(old, e) if set(pair.news) <= texts else e for old, e in pair.down.items()}
    return replace(pair, up=up, down=down)


def differs(one: str, two: str, column: Column) -> str:
    """The condition that two values of this column's type are not the same bytes; NULL is the same as NULL.

    INTERSECT takes NULLs for equal. A binary collation still takes `x` and `x ` for equal, so lengths are compared as well.
    """
    return f"NOT EXISTS (SELECT {_bytes(one, column)} INTERSECT SELECT {_bytes(two, column)})"


def _bytes(value: str, column: Column) -> str:
    """An expression, in parentheses, is cast first: it is compared as it would be stored."""
    type_ = column.type
    value = f"CAST({_coded(value, column)} AS {uncut(type_)})" if value.startswith("(") else value
    match base(type_):
        case "nvarchar":
            return f"{value} COLLATE {BINARY}, DATALENGTH({value})"
        case "varchar":
            return f"{_wide(value)}, DATALENGTH({value})"
        case "nchar":
            return f"{value} COLLATE {BINARY}"
        case "char" | "xml":
            return _wide(value)
        case "varbinary":  # 0x01 may equal 0x0100
            return f"{value}, DATALENGTH({value})"
        case _:
            return value


def _wide(value: str) -> str:
    """COLLATE alone would convert it to another code page, and what that does not have would be lost."""
    return f"CAST({value} AS nvarchar(max)) COLLATE {BINARY}"


def uncut(type_: str) -> str:
    """The type to which a value is cast before it is stored in one of this type: it must not be cut without an error."""
    name = base(type_)
    return {
        "char": "varchar(max)",
        "varchar": "varchar(max)",
        "nchar": "nvarchar(max)",
        "nvarchar": "nvarchar(max)",
        "binary": "varbinary(max)",
        "varbinary": "varbinary(max)",
    }.get(name, type_)


@lru_cache(maxsize=1)
def _preparer() -> IdentifierPreparer:
    from sqlalchemy.dialects.mssql.base import MSDialect

    return MSDialect().identifier_preparer  # type: ignore[no-untyped-call]

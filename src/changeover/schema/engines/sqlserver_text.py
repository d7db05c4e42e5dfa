"""T-SQL as text: names, literals, constants, and values that are compared byte by byte."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from changeover.core.catalogue import Column

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import IdentifierPreparer

BINARY = "Latin1_General_100_BIN2"
_ALSO_RESERVED = frozenset(
    ["label", "semantickeyphrasetable", "semanticsimilaritydetailstable", "semanticsimilaritytable", "try_convert", "within"]
)  # fmt: skip
_TEXTS = ("char", "varchar", "nchar", "nvarchar")
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
    return f"CAST({value} AS {uncut(column.type)}){collation}"


def differs(one: str, two: str, type_: str) -> str:
    """The condition that two values of this type are not the same bytes; NULL is the same as NULL.

    INTERSECT takes NULLs for equal. A binary collation still takes `x` and `x ` for equal, so lengths are compared as well.
    """
    return f"NOT EXISTS (SELECT {_bytes(one, type_)} INTERSECT SELECT {_bytes(two, type_)})"


def _bytes(value: str, type_: str) -> str:
    """An expression, in parentheses, is cast first: it is compared as it would be stored."""
    value = f"CAST({value} AS {uncut(type_)})" if value.startswith("(") else value
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

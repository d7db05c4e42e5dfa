"""Types of SQLite: names that it keeps as they are written, and the affinity that each of them means."""

from __future__ import annotations

import re

from changeover.core.catalogue import Column
from changeover.schema.engines.engine import Cannot

_NAMES = frozenset(
    [
        "int",
        "integer",
        "tinyint",
        "smallint",
        "mediumint",
        "bigint",
        "unsigned big int",
        "int2",
        "int8",
        "text",
        "clob",
        "char",
        "character",
        "varchar",
        "varying character",
        "character varying",
        "nchar",
        "native character",
        "nvarchar",
        "blob",
        "real",
        "double",
        "double precision",
        "float",
        "numeric",
        "decimal",
        "boolean",
        "bool",
        "date",
        "time",
        "datetime",
        "timestamp",
        "json",
        "jsonb",
        "uuid",
        "any",
    ]
)
_TYPE = re.compile(r"(?P<name>[a-z_][a-z0-9_ ]*?)\s*(?P<size>\(\s*\d+\s*(,\s*\d+\s*)?\))?")
CLOCK = re.compile(r"CURRENT_(TIMESTAMP|DATE|TIME)", re.IGNORECASE)


def checked(type_: str) -> str:
    """The type as it is written into the table. SQLite would take any word, so what nobody else would is refused."""
    found = _TYPE.fullmatch(" ".join(type_.strip().lower().split()))
    if found is None or found["name"] not in _NAMES:
        raise Cannot(
            f"{type_!r} is no type that is known here",
            "SQLite knows integer, real, text, blob and numeric, and their usual names",
        )
    return found["name"] + re.sub(r"\s+", "", found["size"] or "")


def affinity(type_: str) -> str:
    """INTEGER, TEXT, BLOB, REAL or NUMERIC (sqlite.org/datatype3.html, 3.1)."""
    text = type_.upper()
    for words, found in (
        (("INT",), "INTEGER"),
        (("CHAR", "CLOB", "TEXT"), "TEXT"),
        (("BLOB",), "BLOB"),
        (("REAL", "FLOA", "DOUB"), "REAL"),
    ):
        if any(word in text for word in words):
            return found
    return "NUMERIC" if text.strip() else "BLOB"


def filler(column: Column) -> str:
    """A constant for rows that leave the column out."""
    match affinity(column.type):
        case "TEXT":
            return "''"
        case "BLOB":
            return "x''"
        case "NUMERIC" if re.match(r"(timestamp|datetime|date|time)\b", column.type):
            return {"date": "CURRENT_DATE", "time": "CURRENT_TIME"}.get(column.type, "CURRENT_TIMESTAMP")
        case _:
            return "0"


def unlike(type_: str) -> str:
    """An expression whose value no other row has, as good as certain, for columns that must be unique."""
    return {"TEXT": "(lower(hex(randomblob(16))))", "BLOB": "(randomblob(16))"}.get(affinity(type_), "(random())")


def cast(expression: str, type_: str) -> str:
    """A numeric column converts what it is given where nothing is lost, and CAST would make 2024 of a date."""
    return f"({expression})" if affinity(type_) == "NUMERIC" else f"CAST({expression} AS {type_})"


def default(text: str) -> str:
    """A constant as a default. Raises Cannot."""
    if text.strip().lower() == "now()":
        raise Cannot("SQLite has no now()", "write CURRENT_TIMESTAMP (UTC, to the second)")
    return text.strip()

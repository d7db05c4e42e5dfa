"""Types of SQL Server: which are known, what they are filled with, which can be kept in step."""

from __future__ import annotations

import re

from changeover.core.catalogue import Column
from changeover.schema.dialects.sqlserver import LEXICON
from changeover.schema.dialects.sqlserver_columns import sqlserver_catalogue_type, sqlserver_type
from changeover.schema.engines.engine import Cannot
from changeover.schema.engines.sqlserver_text import base
from changeover.schema.grammar.reader import Reader
from changeover.schema.problems import ProblemError
from changeover.schema.tokens import tokenize

GROWS = ("varchar", "nvarchar", "varbinary")
LOBS = ("text", "ntext", "image")
_NUMBERS = ("tinyint", "smallint", "int", "bigint", "bit", "decimal", "numeric", "money", "smallmoney", "float", "real")
_TEXTS = ("char", "varchar", "nchar", "nvarchar", "xml")
_TIMES = ("date", "time", "datetime", "datetime2", "smalldatetime")
_UNCOMPARED = (*LOBS, "sql_variant", "geometry", "geography", "hierarchyid", "json")
_UUID = 36  # characters
_SINGLE = 24  # bits of a mantissa up to which float(n) is real
_CONSTANT = re.compile(
    r"\(*(-?[\d.]+|N?'(?:[^']|'')*'|NULL|(?:getdate|getutcdate|sysdatetime|sysutcdatetime)\(\))\)*", re.IGNORECASE
)
_INSTEAD = {
    "text": "varchar(max)",
    "ntext": "nvarchar(max)",
    "image": "varbinary(max)",
    "boolean": "bit",
    "bool": "bit",
    "timestamptz": "datetimeoffset",
    "uuid": "uniqueidentifier",
    "bytea": "varbinary(max)",
    "serial": "int, and identity in a new table",
    "timestamp": "datetime2; SQL Server's own timestamp numbers itself and cannot be filled",
    "rowversion": "another type; a rowversion numbers itself and cannot be filled",
}


def known(type_: str) -> str:
    """The type as the catalogue writes it: `INTEGER` -> `int`, `nvarchar` -> `nvarchar(1)`. Raises Cannot."""
    text = " ".join(type_.split())
    wanted = _INSTEAD.get(text.partition("(")[0].strip().lower())
    if wanted is not None:
        raise Cannot(f"{type_!r} is no type for a new column here", f"write {wanted}")
    try:
        reader = Reader(text, tokenize(text, LEXICON)[0], LEXICON)
        found = sqlserver_type(reader)
        reader.end()
    except ProblemError:
        raise Cannot(f"{type_!r} is no type that is known here", "write it as SQL Server does") from None
    if found.base == "float":
        bits = int(found.sizes[0]) if found.sizes else _SINGLE + 1
        return "real" if bits <= _SINGLE else "float"
    spelt = sqlserver_catalogue_type(found)
    if not spelt:
        raise Cannot(f"{type_!r} is no type that is known here", "write it as SQL Server does")
    return spelt


def filler(column: Column) -> str:
    """A constant of the column's type."""
    name = base(column.type)
    if name in _NUMBERS:
        return "0"
    if name in _TIMES:
        return "CURRENT_TIMESTAMP"
    if name == "datetimeoffset":
        return "SYSDATETIMEOFFSET()"
    if name == "uniqueidentifier":
        return "'00000000-0000-0000-0000-000000000000'"
    return "''" if name in _TEXTS else "0x"


def distinct_filler(column: Column) -> str:
    """A default of the column's type that differs for each row; "" where the type has no room for one."""
    name, size = base(column.type), re.search(r"\((\d+|max)\)", column.type)
    if name == "uniqueidentifier":
        return "NEWID()"
    if name in ("char", "varchar", "nchar", "nvarchar") and size and (size[1] == "max" or int(size[1]) >= _UUID):
        return f"CONVERT(nvarchar({_UUID}), NEWID())"
    return ""


def recast(default: str, new: str) -> str:
    """A constant is assigned as it is; anything else is cast."""
    return default if _CONSTANT.fullmatch(default) else f"CAST({default} AS {new})"


def grows(old: str, new: str) -> bool:
    """SQL Server changes only the catalogue for these."""
    longer = re.compile(r"(varchar|nvarchar|varbinary)\((\d+)\)")
    before, after = longer.fullmatch(old), longer.fullmatch(new)
    return bool(before and after and before[1] == after[1] and int(after[2]) >= int(before[2]))


def must_compare(table: str, column: Column) -> None:
    """Raises Cannot for a column whose changes a trigger cannot see."""
    if base(column.type) in _UNCOMPARED:
        raise Cannot(
            f"{table}.{column.name} is {column.type}: a trigger cannot tell whether such a value has changed",
            "write this change as plain SQL",
        )

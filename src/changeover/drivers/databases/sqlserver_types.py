"""A column's type as it is compared and declared: one spelling for each type, whatever it was written as."""

from __future__ import annotations

import re

_SAME = {
    "integer": "int",
    "dec": "decimal",
    "rowversion": "timestamp",
    "character": "char",
    "charvarying": "varchar",
    "charactervarying": "varchar",
    "binaryvarying": "varbinary",
    "nationalcharacter": "nchar",
    "nationalchar": "nchar",
    "nationalcharactervarying": "nvarchar",
    "nationalcharvarying": "nvarchar",
    "nationaltext": "ntext",
    "doubleprecision": "float",
    "sysname": "nvarchar(128)",
}
_LEFT_OUT = {
    "decimal": "(18,0)",
    "numeric": "(18,0)",
    "datetime2": "(7)",
    "datetimeoffset": "(7)",
    "time": "(7)",
    "char": "(1)",
    "varchar": "(1)",
    "nchar": "(1)",
    "nvarchar": "(1)",
    "binary": "(1)",
    "varbinary": "(1)",
}
_WIDE = ("nchar", "nvarchar")  # their length in bytes is twice that in characters
_SIZED = ("char", "varchar", "binary", "varbinary", *_WIDE)
_SCALED = ("datetime2", "datetimeoffset", "time")
_SINGLE = 24  # bits of a mantissa up to which float(n) is real


def plain(definition: str) -> str:
    """`[NVARCHAR] (200)` -> `nvarchar(200)`, `INTEGER` -> `int`, `numeric(10)` -> `numeric(10,0)`."""
    text = re.sub(r"[\s\[\]\"]+", "", definition).lower()
    name, _, size = text.removeprefix("sys.").partition("(")
    name, size = _SAME.get(name, name), size.rstrip(")")
    if name in ("decimal", "numeric") and size and "," not in size:
        size += ",0"
    if name == "float":
        return "real" if size.isdigit() and int(size) <= _SINGLE else "float"
    return f"{name}({size})" if size else name + _LEFT_OUT.get(name, "")


def of_column(name: str, max_length: int, precision: int, scale: int) -> str:
    """The type as `sys.columns` and `sys.types` have it: `nvarchar(200)`, `decimal(10,2)`, `varbinary(max)`."""
    if name in _SIZED:
        size = "max" if max_length < 0 else str(max_length // 2 if name in _WIDE else max_length)
        return f"{name}({size})"
    if name in ("decimal", "numeric"):
        return f"{name}({precision},{scale})"
    return f"{name}({scale})" if name in _SCALED else name

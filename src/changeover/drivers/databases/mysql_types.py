"""Column types: as people and classifiers write them, and as `information_schema.columns.column_type` does."""

from __future__ import annotations

import re

_NUMBERS = ("tinyint", "smallint", "mediumint", "int", "bigint")
_SPELLINGS = {
    "integer": "int", "int4": "int", "int1": "tinyint", "bool": "tinyint", "boolean": "tinyint", "int2": "smallint",
    "int3": "mediumint", "middleint": "mediumint", "int8": "bigint", "dec": "decimal", "numeric": "decimal", "fixed": "decimal",
    "real": "double", "float8": "double", "double precision": "double", "float4": "float", "character": "char", "nchar": "char",
    "character varying": "varchar", "char varying": "varchar", "nvarchar": "varchar", "json": "longtext",
}  # fmt: skip
_DEFAULT_SIZES = {"decimal": "10,0", "char": "1", "bit": "1", "binary": "1", "year": "4"}
_PARTS = re.compile(
    r"(?P<base>[a-z0-9 ]+?)\s*(?:\((?P<size>.*)\))?\s*(?P<sign>(?:unsigned|signed|zerofill|\s)*)", re.DOTALL
)
_TEXTS = re.compile(r"('(?:[^']|'')*')")


def same_type(one: str, other: str) -> bool:
    """Whether both mean the same type. MariaDB shows json as longtext, and whole numbers with a width that means nothing."""
    return _canonical(one) == _canonical(other)


def _canonical(text: str) -> str:
    plain = "".join(
        part if part.startswith("'") else re.sub(r"\s*,\s*", ",", re.sub(r"\s+", " ", part.lower()))
        for part in _TEXTS.split(text.strip())
    )
    found = _PARTS.fullmatch(plain)
    if found is None:
        return plain
    base = found["base"].strip()
    base = _SPELLINGS.get(base, base)
    size = "" if base in _NUMBERS else (found["size"] or _DEFAULT_SIZES.get(base, "")).strip()
    if base == "decimal" and "," not in size:
        size += ",0"
    if base in ("time", "datetime", "timestamp") and size == "0":
        size = ""
    words = found["sign"].split()
    signs = {"zerofill", "unsigned"} if "zerofill" in words else {w for w in words if w == "unsigned"}
    return " ".join([base + (f"({size})" if size else ""), *sorted(signs, reverse=True)])

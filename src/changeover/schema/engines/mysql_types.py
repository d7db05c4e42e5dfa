"""MariaDB and MySQL: types as the catalogue writes them, how a value becomes one, and which values do not fit."""

from __future__ import annotations

import re
from dataclasses import dataclass

from changeover.core.catalogue import Column
from changeover.schema.engines.engine import Cannot
from changeover.schema.engines.mysql_words import text

_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_TEXTS = {"tinytext": 2**8 - 1, "text": 2**16 - 1, "mediumtext": 2**24 - 1, "longtext": 2**32 - 1}
_BLOBS = {"tinyblob": 2**8 - 1, "blob": 2**16 - 1, "mediumblob": 2**24 - 1, "longblob": 2**32 - 1}
_SHAPES = (
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection",
)  # fmt: skip
_SPELT = {
    "integer": "int", "int4": "int", "int1": "tinyint", "int2": "smallint", "int3": "mediumint", "int8": "bigint",
    "dec": "decimal", "numeric": "decimal", "fixed": "decimal", "real": "double", "float8": "double", "double precision": "double",
    "float4": "float", "character": "char", "character varying": "varchar", "char varying": "varchar",
}  # fmt: skip
_KNOWN = frozenset(
    {
        *_BITS, *_TEXTS, *_BLOBS, *_SHAPES, "decimal", "float", "double", "bit", "char", "varchar", "binary", "varbinary", "enum",
        "set", "date", "time", "datetime", "timestamp", "year", "json", "uuid", "inet4", "inet6",
    }
)  # fmt: skip
_SIZED = frozenset({"varchar", "varbinary"})
_SHAPE = re.compile(
    r"(?P<base>[a-z][a-z0-9 ]*?) ?(?P<size>\(.*\))? ?(?P<sign>(?:unsigned|signed|zerofill| )*)", re.DOTALL
)
_LABEL = re.compile(r"'((?:[^']|'')*)'")
_QUOTED = re.compile(r"('(?:[^']|'')*')")
_SAFE = {
    "date": "'1970-01-01'", "datetime": "'1970-01-02 00:00:00'", "timestamp": "'1970-01-02 00:00:00'", "time": "'00:00:00'",
    "year": "1970", "bit": "0", "json": "('null')", "uuid": "'00000000-0000-0000-0000-000000000000'", "inet4": "'0.0.0.0'",
    "inet6": "'::'", "set": "''", "char": "''", "varchar": "''", "binary": "''", "varbinary": "''",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Type:
    """A type in parts: `decimal`, ("10", "2"), unsigned."""

    base: str
    sizes: tuple[str, ...] = ()
    unsigned: bool = False

    @classmethod
    def of(cls, written: str) -> Type:
        """The parts of what the catalogue or `canonical` writes; what is no type has its text as base."""
        found = _SHAPE.fullmatch(_folded(written))
        if found is None:
            return cls(written)
        base, inside = _SPELT.get(found["base"], found["base"]), (found["size"] or "")[1:-1]
        if base in ("enum", "set"):
            return cls(base, tuple(label.replace("''", "'") for label in _LABEL.findall(inside)))
        sizes = tuple(part.strip() for part in inside.split(",")) if inside.strip() else ()
        return cls(base, sizes, "unsigned" in found["sign"])

    @property
    def is_text(self) -> bool:
        """Its values are compared by a collation."""
        return self.base in _TEXTS or self.base in ("char", "varchar", "enum", "set", "json")

    @property
    def is_shape(self) -> bool:
        return self.base in _SHAPES

    @property
    def range(self) -> tuple[int, int] | None:
        """The least and the greatest of a whole number."""
        bits = _BITS.get(self.base)
        if bits is None:
            return None
        return (0, 2**bits - 1) if self.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def misfit(self, value: str) -> str:
        """The condition that a value of another type cannot be stored; "" where there is none to ask."""
        size = int(self.sizes[0]) if self.sizes and self.sizes[0].isdigit() else 0
        if self.range is not None:
            return f"{value} NOT BETWEEN {self.range[0]} AND {self.range[1]}"
        if self.base == "decimal":
            digits, places = (*(int(s) for s in self.sizes), 0, 0)[:2] if self.sizes else (10, 0)
            return f"ABS(ROUND({value}, {places})) >= 1{'0' * (digits - places)}"
        if self.base in ("char", "varchar"):
            return f"CHAR_LENGTH({value}) > {size or 1}"
        if self.base in ("binary", "varbinary"):
            return f"LENGTH({value}) > {size or 1}"
        if self.base in _TEXTS or self.base in _BLOBS:
            most = {**_TEXTS, **_BLOBS}[self.base]
            return f"LENGTH({value}) > {most}" if most < 2**32 - 1 else ""
        if self.base == "enum":
            return f"{value} NOT IN ({', '.join(text(label) for label in self.sizes)})"
        return ""


def canonical(written: str) -> str:
    """The type as the catalogue writes it, whole numbers without a width. Raises Cannot for one that is not known."""
    found = _SHAPE.fullmatch(_folded(written))
    base = "" if found is None else found["base"]
    if base in ("bool", "boolean"):
        return "tinyint(1)"
    base = _SPELT.get(base, base)
    if found is None or base not in _KNOWN:
        near = (
            "a number that the database gives is an identity column" if base == "serial" else "write it as MariaDB does"
        )
        raise Cannot(f"{written!r} is no type that is known here", near)
    size = found["size"] or ""
    if base in ("enum", "set") and not _LABEL.search(size):
        raise Cannot(f"{written!r} has no labels", f"write them: {base}('a','b')")
    if base in _SIZED and not size:
        raise Cannot(f"{written!r} has no length", f"write it: {base}(100)")
    sign = [word for word in found["sign"].split() if word != "signed"]
    return " ".join([f"{base}{size}", *sign])


def _folded(written: str) -> str:
    """In lower case and with no space that means nothing, but for what stands in quotes."""
    parts = _QUOTED.split(written.strip())
    return "".join(
        p if p.startswith("'") else re.sub(r"\s*([(),])\s*", r"\1", re.sub(r"\s+", " ", p.lower())) for p in parts
    )


def cast(expression: str, type_: str) -> str:
    """A value of another type. No length is cut and no number wraps: what does not fit is an error when it is stored."""
    kind = Type.of(type_)
    if kind.range is not None or kind.base in ("bit", "year"):
        return f"CAST({expression} AS DECIMAL(20,0))"
    if kind.base == "decimal":
        places = kind.sizes[1] if len(kind.sizes) > 1 else "0"
        return f"CAST({expression} AS DECIMAL(65,{places}))"
    if kind.base in ("float", "double"):
        return f"CAST({expression} AS {kind.base.upper()})"
    if kind.base in ("date", "datetime", "timestamp", "time"):
        word = "DATETIME" if kind.base == "timestamp" else kind.base.upper()
        return f"CAST({expression} AS {word}{f'({kind.sizes[0]})' if kind.sizes else ''})"
    if kind.base == "binary":
        return f"CAST({expression} AS BINARY({kind.sizes[0] if kind.sizes else 1}))"
    if kind.base in _BLOBS or kind.base == "varbinary":
        return f"CAST({expression} AS BINARY)"
    if kind.base in ("uuid", "inet4", "inet6"):
        return f"CAST({expression} AS {kind.base.upper()})"
    if kind.is_text:
        return f"CAST({expression} AS CHAR)"
    raise Cannot(f"nothing is known to turn into {type_}", "say how: up: … and down: …")


def filler(column: Column) -> str:
    """A constant for rows that leave the column out, or "" for a type that has none."""
    kind = Type.of(column.type)
    if kind.range is not None or kind.base in ("decimal", "float", "double"):
        return "0"
    if kind.base == "enum":
        return text(kind.sizes[0])
    if kind.base in _TEXTS or kind.base in _BLOBS:
        return "('')"  # MySQL wants an expression there
    return _SAFE.get(kind.base, "")


def labels(type_: str) -> tuple[str, ...]:
    """The labels of an enum or a set; none of any other type."""
    kind = Type.of(type_)
    return kind.sizes if kind.base in ("enum", "set") else ()


def with_label(type_: str, label: str) -> str:
    """The same with one more label at the end."""
    kind = Type.of(type_)
    return f"{kind.base}({','.join(text(one) for one in (*kind.sizes, label))})"

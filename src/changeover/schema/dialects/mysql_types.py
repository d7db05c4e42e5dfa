"""MariaDB and MySQL: column types, and how information_schema spells them."""

from __future__ import annotations

from changeover.schema.effects import TypeName
from changeover.schema.grammar.reader import Reader
from changeover.schema.tokens import Kind, lower

_WHOLE = ("tinyint", "smallint", "mediumint", "int", "bigint")
_NUMBERS = (*_WHOLE, "decimal", "float", "double")
# Spellings -> the one of information_schema.
_SPELLINGS = {
    **dict.fromkeys(("int", "integer", "int4"), "int"),
    **dict.fromkeys(("tinyint", "int1", "bool", "boolean"), "tinyint"),
    **dict.fromkeys(("smallint", "int2"), "smallint"),
    **dict.fromkeys(("mediumint", "int3", "middleint"), "mediumint"),
    **dict.fromkeys(("bigint", "int8"), "bigint"),
    **dict.fromkeys(("decimal", "dec", "numeric", "fixed", "number"), "decimal"),
    **dict.fromkeys(("double", "real", "float8"), "double"),
    **dict.fromkeys(("float", "float4"), "float"),
    **dict.fromkeys(("varchar", "nvarchar", "varcharacter"), "varchar"),
    **dict.fromkeys(("char", "character", "nchar"), "char"),
}
_OTHERS = (
    "bit", "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "tinytext", "text", "mediumtext", "longtext",
    "enum", "set", "date", "time", "datetime", "timestamp", "year", "json", "uuid", "inet4", "inet6", "geometry", "point",
    "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "serial", "vector",
)  # fmt: skip
GROWS = ("varchar", "varbinary", "enum", "set")


def mysql_type(reader: Reader) -> TypeName:
    """A type with its sizes, sign and character set: `varchar(20) CHARACTER SET ascii`, `enum('a', 'b') `, `bigint unsigned`."""
    begin = reader.at
    reader.accept("NATIONAL")
    token = reader.peek()
    word = lower(token.text) if token is not None and token.kind is Kind.WORD else ""
    base = _SPELLINGS.get(word, word if word in _OTHERS else "")
    if not base:
        reader.lost("expected a type of MariaDB or MySQL")
    reader.at += 1
    if base == "double":
        reader.accept("PRECISION")
    elif base == "char" and reader.accept("VARYING"):
        base = "varchar"
    sizes = _sizes(reader, base)
    base = _signed(reader, base)
    _character_set(reader)
    return TypeName(" ".join(reader.sql(reader.tokens[begin : reader.at]).split()), base, sizes)


def _sizes(reader: Reader, base: str) -> tuple[str, ...]:
    if not reader.sees_mark("("):
        return ()
    inner = reader.group()
    kind = Kind.STRING if base in ("enum", "set") else Kind.NUMBER
    if not inner or any(t.kind is not kind if i % 2 == 0 else t.text != "," for i, t in enumerate(inner)):
        reader.lost("expected the sizes or the values of a type")
    return tuple(t.text for t in inner[::2])


def _signed(reader: Reader, base: str) -> str:
    if base not in _NUMBERS:
        return base
    while word := reader.one_of("UNSIGNED", "SIGNED", "ZEROFILL"):
        if word != "SIGNED":
            base = f"{base} {lower(word)}"
    return base


def _character_set(reader: Reader) -> None:
    while True:
        if reader.accept("CHARACTER", "SET") or reader.accept("CHARSET") or reader.accept("COLLATE"):
            reader.identifier()
        elif not reader.one_of("BINARY", "ASCII", "UNICODE"):
            return


def mysql_catalogue_type(type_: TypeName) -> str:
    """As `information_schema.columns.column_type` spells it, whole numbers without a width (MySQL 8 has none, MariaDB has).

    `int`, `bigint unsigned`, `varchar(20)`, `decimal(10,2)`, `enum('a','b')`. "" where MariaDB and MySQL differ (json is
    longtext on MariaDB) or the server chooses (text(100), float(30), zerofill).
    """
    head, _, sign = type_.base.partition(" ")
    sizes = type_.sizes
    if (
        head in ("json", "year", "serial")
        or "zerofill" in sign
        or (head in ("text", "blob", "float", "double") and sizes)
    ):
        return ""
    if any("\\" in s for s in sizes):
        return ""
    if head in _WHOLE:
        sizes = ()
    elif head in ("char", "bit", "binary") and not sizes:
        sizes = ("1",)
    elif head == "decimal":
        sizes = (*sizes, "10", "0")[:2] if not sizes else (*sizes, "0")[:2]
    elif head in ("time", "datetime", "timestamp") and sizes == ("0",):
        sizes = ()
    size = f"({','.join(sizes)})" if sizes else ""
    return f"{head}{size} {sign}".strip()

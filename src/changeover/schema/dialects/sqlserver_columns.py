"""SQL Server: types, column definitions and table constraints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from changeover.schema.effects import (
    AddConstraint,
    Column,
    CreateIndex,
    Default,
    Generated,
    Name,
    Rule,
    SetDefault,
    TypeName,
)
from changeover.schema.grammar.columns import reference
from changeover.schema.grammar.expressions import calls
from changeover.schema.grammar.reader import Reader
from changeover.schema.tokens import Kind, Token, lower

CONSTRAINT_WORDS = ("CONSTRAINT", "CHECK", "UNIQUE", "PRIMARY", "FOREIGN", "DEFAULT")
_SPELLINGS = {
    "integer": "int", "dec": "decimal", "character": "char", "rowversion": "timestamp", "char varying": "varchar",
    "character varying": "varchar", "national char": "nchar", "national character": "nchar",
    "national char varying": "nvarchar", "national character varying": "nvarchar", "double precision": "float",
}  # fmt: skip
_PLAIN = (
    "bigint", "int", "smallint", "tinyint", "bit", "money", "smallmoney", "date", "datetime", "smalldatetime", "text", "ntext",
    "image", "uniqueidentifier", "xml", "sql_variant", "timestamp", "real", "json",
)  # fmt: skip
_SIZED = {
    "char": ("1",), "nchar": ("1",), "varchar": ("1",), "nvarchar": ("1",), "binary": ("1",), "varbinary": ("1",),
    "decimal": ("18", "0"), "numeric": ("18", "0"), "datetime2": ("7",), "datetimeoffset": ("7",), "time": ("7",), "float": ("53",),
}  # fmt: skip
GROWS = ("varchar", "nvarchar", "varbinary")
_STOPS = (
    "NULL", "NOT", "CONSTRAINT", "WITH", "CHECK", "REFERENCES", "UNIQUE", "PRIMARY", "FOREIGN", "IDENTITY", "COLLATE", "FOR",
    "DEFAULT", "ROWGUIDCOL",
)  # fmt: skip
# The same for all rows of a statement.
_RUNTIME = ("getdate", "getutcdate", "sysdatetime", "sysutcdatetime", "sysdatetimeoffset")


# types -------------------------------------------------------------------------------------------------------------


def sqlserver_type(reader: Reader) -> TypeName:
    """`nvarchar(200)`, `varchar(max)`, `decimal(10, 2)`, or a type of a schema (base "")."""
    begin = reader.at
    name = reader.name()
    spelled = lower(name.last) if len(name.parts) == 1 else ""
    for more in ("CHARACTER", "CHAR", "VARYING", "PRECISION"):
        if spelled in (
            "national",
            "character",
            "char",
            "national character",
            "national char",
            "double",
        ) and reader.accept(more):
            spelled += f" {lower(more)}"
    base = _SPELLINGS.get(spelled, spelled)
    sizes: tuple[str, ...] = ()
    if reader.sees_mark("("):
        inner = reader.group()
        if not inner or not all(t.kind is Kind.NUMBER or t.word == "MAX" or t.text == "," for t in inner):
            reader.lost("expected the size of a type")
        sizes = tuple(lower(t.text) for t in inner if t.text != ",")
    known = base in _PLAIN or base in _SIZED
    return TypeName(" ".join(reader.sql(reader.tokens[begin : reader.at]).split()), base if known else "", sizes)


def sqlserver_catalogue_type(type_: TypeName) -> str:
    """Name and sizes as sys.types and sys.columns have them: `int`, `nvarchar(200)`, `varchar(max)`, `decimal(18,0)`.

    Sizes are always written (nvarchar in characters); "" for a type of a schema and for float(n), which becomes real or float.
    """
    base, sizes = type_.base, type_.sizes
    if not base or (base == "float" and sizes):
        return ""
    if base not in _SIZED:
        return base
    usual = _SIZED[base]
    return f"{base}({','.join((*sizes, *usual[len(sizes) :]))})"


# defaults ------------------------------------------------------------------------------------------------------------


def default_of(tokens: Sequence[Token]) -> Default:
    """`((0))`, `N'new'`, `-1` are constants; getdate() is one value for the statement; all else may differ per row."""
    bare = list(tokens)
    while len(bare) > 2 and (bare[0].text, bare[-1].text) == ("(", ")") and _one_group(bare):
        bare = bare[1:-1]
    if len(bare) == 1 and bare[0].word == "NULL":
        return Default.NULL
    value = bare[1:] if len(bare) == 2 and bare[0].text in ("-", "+") else bare
    if len(value) == 1 and value[0].kind in (Kind.STRING, Kind.NUMBER):
        return Default.CONSTANT
    if len(bare) == 1 and bare[0].word == "CURRENT_TIMESTAMP":
        return Default.STABLE
    called = len(bare) == 3 and (bare[1].text, bare[2].text) == ("(", ")")
    return Default.STABLE if called and lower(bare[0].value) in _RUNTIME else Default.VOLATILE


def _one_group(tokens: Sequence[Token]) -> bool:
    depth = 0
    for i, token in enumerate(tokens):
        if token.kind is Kind.MARK and token.text in "()":
            depth += 1 if token.text == "(" else -1
            if depth == 0:
                return i == len(tokens) - 1
    return False


# columns -------------------------------------------------------------------------------------------------------------


def column_definition(reader: Reader) -> Column:
    """`price_cents int NOT NULL CONSTRAINT df_price DEFAULT 0 WITH VALUES`, up to a comma, a parenthesis or the end."""
    name = reader.identifier()
    if reader.accept("AS"):
        return _computed(reader, name)
    column = Column(name, sqlserver_type(reader))
    values = False
    while not (reader.done or reader.sees_mark(",") or reader.sees_mark(")")):
        if reader.accept("WITH", "VALUES"):
            values = True
        else:
            column = _clause(reader, column)
    later = column.default is not Default.NONE and not column.not_null and not values
    return replace(column, later_only=later)


def redefined_column(reader: Reader) -> Column:
    """What ALTER COLUMN takes: a type, a collation, NULL or NOT NULL."""
    column = Column(reader.identifier(), sqlserver_type(reader))
    if reader.accept("COLLATE"):
        reader.identifier()
    if reader.accept("NOT", "NULL"):
        return replace(column, not_null=True)
    return replace(column, nullable=reader.accept("NULL"))


def _computed(reader: Reader, name: Name) -> Column:
    begin = reader.at
    inner = reader.group()
    sql = reader.sql(reader.tokens[begin : reader.at])
    stored = reader.accept("PERSISTED")
    if stored:
        reader.accept("NOT", "NULL")
    kind = Generated.STORED if stored else Generated.VIRTUAL
    return Column(name, TypeName(f"AS {sql}"), generated=kind, expression=reader.sql(inner) or "…")


def _clause(reader: Reader, column: Column) -> Column:
    named = reader.accept("CONSTRAINT")
    if named:
        reader.identifier()
    if reader.accept("DEFAULT"):
        tokens = reader.run(*_STOPS, commas=True)
        return replace(column, default=default_of(tokens), default_sql=reader.sql(tokens), named_default=named)
    if reader.accept("CHECK"):
        return replace(column, check=reader.sql(reader.group()) or "…")
    if reader.accept("UNIQUE"):
        _key_options(reader)
        return replace(column, unique=True)
    if reader.accept("PRIMARY", "KEY"):
        _key_options(reader)
        return replace(column, primary=True, not_null=True)
    if reader.sees("FOREIGN") or reader.sees("REFERENCES"):
        if reader.accept("FOREIGN"):
            reader.need("KEY")
        return replace(column, reference=reference(reader))
    if named:
        reader.lost("expected a constraint")
    if reader.accept("NOT", "NULL"):
        return replace(column, not_null=True)
    if reader.accept("NULL"):
        return replace(column, nullable=True)
    if reader.accept("COLLATE"):
        reader.identifier()
        return column
    if reader.accept("IDENTITY"):
        if reader.sees_mark("("):
            reader.group()
        return replace(column, generated=Generated.IDENTITY)
    if not reader.accept("ROWGUIDCOL"):
        reader.lost("expected a clause of a column")
    return column


def _key_options(reader: Reader) -> str:
    """CLUSTERED or NONCLUSTERED, "" if neither is written."""
    return reader.one_of("CLUSTERED", "NONCLUSTERED")


# constraints ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Options:
    """What stands in WITH (…) and behind it."""

    online: bool = False


def options(reader: Reader) -> Options:
    """`WITH (ONLINE = ON, FILLFACTOR = 80) ON [PRIMARY]`. What cannot run in a transaction or drops something is refused."""
    online = False
    if reader.accept("WITH"):
        inner = [t.word or t.text for t in reader.group()]
        if any(w in ("RESUMABLE", "DROP_EXISTING", "SYSTEM_VERSIONING", "IGNORE_DUP_KEY") for w in _turned_on(inner)):
            reader.lost("this option is not known to be safe")
        online = "ONLINE" in _turned_on(inner)
    if reader.accept("ON"):
        reader.identifier()
    return Options(online)


def _turned_on(words: Sequence[str]) -> list[str]:
    return [words[i] for i in range(len(words) - 2) if words[i + 1] == "=" and words[i + 2] == "ON"]


def key_columns(reader: Reader) -> tuple[Name, ...]:
    """`(a, b DESC)`."""
    reader.need_mark("(")
    found = [reader.identifier()]
    reader.one_of("ASC", "DESC")
    while reader.accept_mark(","):
        found.append(reader.identifier())
        reader.one_of("ASC", "DESC")
    reader.need_mark(")")
    return tuple(found)


def table_constraint(
    reader: Reader, table: Name, *, not_valid: bool = False
) -> AddConstraint | CreateIndex | SetDefault:
    """`CONSTRAINT c CHECK (a > 0)`, a foreign key, a key or `DEFAULT 0 FOR a`."""
    name = reader.identifier() if reader.accept("CONSTRAINT") else None
    begin = reader.at
    if reader.accept("CHECK"):
        if not reader.group():
            reader.lost("an expression is missing")
        return AddConstraint(table, name, Rule.CHECK, reader.sql(reader.tokens[begin : reader.at]), not_valid=not_valid)
    if reader.accept("FOREIGN", "KEY"):
        columns = tuple(c.key[0] for c in reader.columns())
        found = reference(reader)
        body = reader.sql(reader.tokens[begin : reader.at])
        return AddConstraint(table, name, Rule.FOREIGN_KEY, body, columns, not_valid, reference=found)
    if reader.accept("DEFAULT"):
        value = reader.run("FOR", commas=True)
        reader.need("FOR")
        return SetDefault(table, reader.identifier(), reader.sql(value), calls(value), name)
    rule = Rule.UNIQUE if reader.accept("UNIQUE") else Rule.PRIMARY_KEY
    if rule is Rule.PRIMARY_KEY:
        reader.need("PRIMARY", "KEY")
    kind = lower(_key_options(reader))
    keys = key_columns(reader)
    said = options(reader)
    shown = ", ".join(k.sql for k in keys)
    if rule is Rule.PRIMARY_KEY:
        return AddConstraint(table, name, rule, f"PRIMARY KEY ({shown})", tuple(k.key[0] for k in keys))
    return CreateIndex(
        name,
        table,
        f"ON {table.sql} ({shown})",
        unique=True,
        concurrently=said.online,
        kind="clustered" if kind == "clustered" else "",
        constraint=True,
    )

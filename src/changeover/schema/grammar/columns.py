"""Types, column definitions and table constraints."""

from __future__ import annotations

from dataclasses import dataclass, replace

from changeover.schema.effects import AddConstraint, Column, Default, Generated, Name, Reference, Rule, TypeName
from changeover.schema.grammar.expressions import default_of
from changeover.schema.grammar.reader import Reader
from changeover.schema.tokens import Kind, lower

_CLAUSES = (
    "CONSTRAINT", "NOT", "NULL", "DEFAULT", "CHECK", "UNIQUE", "PRIMARY", "REFERENCES", "GENERATED", "COLLATE",
    "DEFERRABLE", "INITIALLY", "AS", "ON",
)  # fmt: skip
_ACTIONS = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")
CONSTRAINT_WORDS = ("CONSTRAINT", "CHECK", "UNIQUE", "PRIMARY", "FOREIGN", "EXCLUDE")


# types ----------------------------------------------------------------------------------------------------

# PostgreSQL's spellings -> the one that format_type() gives.
_POSTGRESQL = {
    "int": "integer", "int4": "integer", "integer": "integer", "int8": "bigint", "bigint": "bigint", "int2": "smallint",
    "smallint": "smallint", "serial": "serial", "serial4": "serial", "bigserial": "bigserial", "serial8": "bigserial",
    "smallserial": "smallserial", "serial2": "smallserial", "bool": "boolean", "boolean": "boolean", "text": "text",
    "varchar": "character varying", "character varying": "character varying", "char varying": "character varying",
    "char": "character", "character": "character", "numeric": "numeric", "decimal": "numeric", "dec": "numeric",
    "real": "real", "float4": "real", "float8": "double precision", "double precision": "double precision",
    "float": "double precision", "date": "date", "time": "time without time zone", "timetz": "time with time zone",
    "timestamp": "timestamp without time zone", "timestamptz": "timestamp with time zone", "interval": "interval",
    "uuid": "uuid", "json": "json", "jsonb": "jsonb", "bytea": "bytea", "inet": "inet", "cidr": "cidr", "macaddr": "macaddr",
    "xml": "xml", "point": "point", "box": "box", "money": "money", "bit": "bit", "varbit": "bit varying",
    "bit varying": "bit varying", "tsvector": "tsvector", "tsquery": "tsquery", "int4range": "int4range", "int8range": "int8range",
    "numrange": "numrange", "daterange": "daterange", "tsrange": "tsrange", "tstzrange": "tstzrange", "oid": "oid", "name": "name",
    "regclass": "regclass", "time without time zone": "time without time zone", "time with time zone": "time with time zone",
    "timestamp without time zone": "timestamp without time zone", "timestamp with time zone": "timestamp with time zone",
}  # fmt: skip


def postgresql_type(reader: Reader) -> TypeName:
    """A type of PostgreSQL: `varchar(20)`, `timestamp(3) with time zone`, `text[]`, `shop.status`."""
    begin = reader.at
    name = reader.name()
    words = lower(" ".join(t.text for t in reader.tokens[begin : reader.at])) if len(name.parts) == 1 else ""
    if name.key == ("double",) and reader.accept("PRECISION"):
        words = "double precision"
    elif name.key in (("character",), ("char",), ("bit",)) and reader.accept("VARYING"):
        words += " varying"
    sizes = _sizes(reader)
    if name.key in (("time",), ("timestamp",)):
        for zone in ("WITH", "WITHOUT"):
            if reader.accept(zone, "TIME", "ZONE"):
                words = f"{name.key[0]} {lower(zone)} time zone"
    if name.key[0] == "pg_catalog":
        words = name.key[-1]
    array = reader.accept("ARRAY")
    while reader.sees_mark("["):
        _brackets(reader)
        array = True
    sql = " ".join(reader.sql(reader.tokens[begin : reader.at]).split())
    quoted = reader.tokens[begin].kind is Kind.QUOTED
    return TypeName(sql, "" if quoted else _POSTGRESQL.get(words, ""), sizes, array)


def _brackets(reader: Reader) -> None:
    reader.need_mark("[")
    token = reader.peek()
    if token is not None and token.kind is Kind.NUMBER:
        reader.at += 1
    reader.need_mark("]")


def _sizes(reader: Reader) -> tuple[str, ...]:
    if not reader.sees_mark("("):
        return ()
    inner = reader.group()
    if not all(t.kind is Kind.NUMBER or t.text in (",", "-", "+") for t in inner):
        reader.lost("expected the size of a type")
    return tuple(t.text for t in inner if t.kind is Kind.NUMBER)


def catalogue_type(type_: TypeName) -> str:
    """As `format_type` spells it: `varchar(20)` -> `character varying(20)`; "" when that is not certain."""
    base, sizes = type_.base, type_.sizes
    if (
        not base
        or base in ("serial", "bigserial", "smallserial")
        or type_.sql.lower().startswith(("float(", "float ("))
    ):
        return ""
    if base in ("character", "bit") and not sizes:
        sizes = ("1",)
    if base == "numeric" and len(sizes) == 1:
        sizes = (*sizes, "0")
    size = f"({','.join(sizes)})" if sizes else ""
    head, _, zone = base.partition(" with")
    spelled = f"{head}{size} with{zone}" if zone else f"{base}{size}"
    return spelled + ("[]" if type_.array else "")


def sqlite_catalogue_type(type_: TypeName) -> str:
    """As `pragma_table_xinfo` spells it: standard names in upper case (SQLite 3.37 and later), others as written."""
    standard = ("any", "blob", "int", "integer", "real", "text")
    return type_.base.upper() if type_.base in standard else type_.sql


def sqlite_type(reader: Reader) -> TypeName:
    """A type of SQLite: any words and sizes, or nothing at all."""
    begin = reader.at
    while (token := reader.peek()) is not None and token.kind is not Kind.MARK:
        if token.word in _CLAUSES or token.kind not in (Kind.WORD, Kind.QUOTED):
            break
        reader.at += 1
    sizes = _sizes(reader) if reader.at > begin else ()
    sql = reader.sql(reader.tokens[begin : reader.at])
    return TypeName(sql, lower(sql), sizes)


# column definitions ----------------------------------------------------------------------------------------


def column_definition(reader: Reader) -> Column:
    """`price_cents integer NOT NULL DEFAULT 0`, up to the comma or parenthesis that ends it."""
    postgresql = reader.lexicon.dialect == "postgresql"
    name = reader.identifier()
    column = Column(name, postgresql_type(reader) if postgresql else sqlite_type(reader))
    if column.type.base in ("serial", "bigserial", "smallserial"):
        column = replace(column, default=Default.VOLATILE, default_sql="nextval(…)", not_null=True)
    while not (reader.done or reader.sees_mark(",") or reader.sees_mark(")")):
        column = _clause(reader, column)
    return column


def _clause(reader: Reader, column: Column) -> Column:
    if reader.accept("CONSTRAINT"):
        reader.identifier()
    if reader.accept("NOT", "NULL"):
        column = replace(column, not_null=True)
    elif reader.accept("NULL") or _deferring(reader):
        pass
    elif reader.accept("DEFAULT"):
        column = _default(reader, column)
    elif reader.accept("CHECK"):
        column = replace(column, check=reader.sql(reader.group()) or "…")
        reader.accept("NO", "INHERIT")
    elif reader.accept("UNIQUE"):
        column = replace(column, unique=True)
    elif reader.accept("PRIMARY", "KEY"):
        reader.one_of("ASC", "DESC")
        column = replace(column, primary=True)
    elif reader.sees("REFERENCES"):
        column = replace(column, reference=reference(reader))
    elif reader.accept("COLLATE"):
        reader.name()
    elif reader.accept("GENERATED") or reader.sees("AS"):
        column = replace(column, generated=_generated(reader))
    else:
        reader.lost("expected a clause of a column")
    _sqlite_tail(reader)
    return column


def _sqlite_tail(reader: Reader) -> None:
    if reader.lexicon.dialect == "sqlite":
        if reader.accept("ON", "CONFLICT") and not reader.one_of("ROLLBACK", "ABORT", "FAIL", "IGNORE", "REPLACE"):
            reader.lost("expected what to do on conflict")
        reader.accept("AUTOINCREMENT")


def _default(reader: Reader, column: Column) -> Column:
    tokens = reader.run(*_CLAUSES, commas=True)
    found = default_of(tokens)
    if reader.lexicon.dialect == "sqlite" and tokens[0].text == "(":
        found = Default.VOLATILE  # SQLite refuses an expression in ADD COLUMN, even a constant one
    return replace(column, default=found, default_sql=reader.sql(tokens))


def _generated(reader: Reader) -> Generated:
    always = reader.accept("ALWAYS")
    if not always and reader.accept("BY"):
        reader.need("DEFAULT")
        always = True
        if reader.accept("ON"):
            reader.need("NULL")
    reader.need("AS")
    if reader.accept("IDENTITY"):
        if reader.sees_mark("("):
            reader.group()
        return Generated.IDENTITY
    reader.group()
    kind = reader.one_of("STORED", "VIRTUAL")
    return Generated.STORED if kind == "STORED" else Generated.VIRTUAL


def _deferring(reader: Reader) -> bool:
    taken = reader.accept("NOT", "DEFERRABLE") or reader.accept("DEFERRABLE")
    if reader.accept("INITIALLY"):
        taken = True
        if not reader.one_of("DEFERRED", "IMMEDIATE"):
            reader.lost("expected DEFERRED or IMMEDIATE")
    return taken


def reference(reader: Reader) -> Reference:
    """REFERENCES table (columns) MATCH … ON DELETE … ON UPDATE …"""
    begin = reader.at
    reader.need("REFERENCES")
    table = reader.name()
    if reader.sees_mark("("):
        reader.columns()
    blocks = True
    while True:
        if reader.accept("MATCH"):
            if not reader.one_of("FULL", "SIMPLE", "PARTIAL"):
                reader.lost("expected FULL or SIMPLE")
        elif reader.accept("ON", "DELETE"):
            blocks = _action(reader) in ("NO ACTION", "RESTRICT")
        elif reader.accept("ON", "UPDATE"):
            _action(reader)
        else:
            return Reference(table, blocks, reader.sql(reader.tokens[begin : reader.at]))


def _action(reader: Reader) -> str:
    for action in _ACTIONS:
        if reader.accept(*action.split()):
            return action
    return reader.lost("expected CASCADE, SET NULL, SET DEFAULT, RESTRICT or NO ACTION")


# table constraints -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    rule: Rule
    columns: tuple[Name, ...] = ()
    index: Name | None = None
    reference: Reference | None = None
    not_null_of: str = ""


def table_constraint(reader: Reader, table: Name) -> AddConstraint:
    """`CONSTRAINT price_positive CHECK (price > 0) NOT VALID`, up to the comma or the end."""
    name = reader.identifier() if reader.accept("CONSTRAINT") else None
    begin = reader.at
    found = _rule(reader)
    body = reader.sql(reader.tokens[begin : reader.at])
    not_valid = False
    while True:
        if reader.accept("NOT", "VALID"):
            not_valid = True
        elif not (_deferring(reader) or reader.accept("NO", "INHERIT")):
            break
    _sqlite_tail(reader)
    return AddConstraint(
        table,
        name,
        found.rule,
        body,
        tuple(c.key[0] for c in found.columns),
        not_valid,
        found.index,
        found.reference,
        found.not_null_of,
    )


def _rule(reader: Reader) -> _Found:
    if reader.accept("CHECK"):
        return _Found(Rule.CHECK, not_null_of=_not_null_test(reader))
    if reader.accept("FOREIGN", "KEY"):
        columns = reader.columns()
        return _Found(Rule.FOREIGN_KEY, columns, reference=reference(reader))
    if reader.accept("EXCLUDE"):
        reader.run("NOT", "DEFERRABLE", "INITIALLY", commas=True)
        return _Found(Rule.EXCLUDE)
    rule = Rule.UNIQUE if reader.accept("UNIQUE") else Rule.PRIMARY_KEY
    if rule is Rule.PRIMARY_KEY:
        reader.need("PRIMARY", "KEY")
    if reader.accept("USING", "INDEX"):
        return _Found(rule, index=reader.identifier())
    if rule is Rule.UNIQUE and reader.accept("NULLS"):
        reader.accept("NOT")
        reader.need("DISTINCT")
    columns = _key_columns(reader)
    if reader.accept("INCLUDE"):
        reader.columns()
    return _Found(rule, columns)


def _key_columns(reader: Reader) -> tuple[Name, ...]:
    """Columns of a key; SQLite allows COLLATE and an order behind each."""
    reader.need_mark("(")
    found = []
    while True:
        found.append(reader.identifier())
        if reader.accept("COLLATE"):
            reader.identifier()
        reader.one_of("ASC", "DESC")
        reader.accept("AUTOINCREMENT")
        if not reader.accept_mark(","):
            break
    reader.need_mark(")")
    return tuple(found)


def _not_null_test(reader: Reader) -> str:
    """The column of `(column IS NOT NULL)`, "" for any other expression in the next parentheses."""
    inner = reader.group()
    if not inner:
        reader.lost("an expression is missing")
    if len(inner) == 4 and tuple(t.word for t in inner[1:]) == ("IS", "NOT", "NULL"):  # column IS NOT NULL
        return inner[0].value if inner[0].kind in (Kind.WORD, Kind.QUOTED) else ""
    return ""

"""MariaDB and MySQL: what a CREATE makes, what a DROP takes away."""

from __future__ import annotations

from changeover.schema.dialects.mysql_alter import option
from changeover.schema.dialects.mysql_columns import KEY_WORDS, column_definition, index_options, key_parts, table_key
from changeover.schema.dialects.mysql_routines import create_routine, create_trigger, definer
from changeover.schema.effects import (
    AddConstraint,
    Column,
    Create,
    CreateIndex,
    CreateTable,
    CreateTableAs,
    CreateView,
    Drop,
    DropTrigger,
    Effect,
    Reference,
)
from changeover.schema.grammar.reader import Reader, unknown
from changeover.schema.grammar.rows import query
from changeover.schema.tokens import Kind

_DROPS = ("TABLE", "VIEW", "SEQUENCE", "FUNCTION", "PROCEDURE", "DATABASE", "SCHEMA")


def create(reader: Reader) -> Effect:
    """The rest of a statement that begins with CREATE."""
    replaced = reader.accept("OR", "REPLACE")
    if reader.sees("TEMPORARY"):
        reader.lost("a temporary table is gone when its connection ends")
    if replaced and any(reader.sees(w) for w in ("TABLE", "UNIQUE", "INDEX", "SEQUENCE", "DATABASE", "SCHEMA")):
        reader.lost("OR REPLACE drops what is there first")
    if reader.accept("TABLE"):
        return _table(reader)
    if any(reader.sees(w) for w in ("UNIQUE", "INDEX", "FULLTEXT", "SPATIAL")):
        return _index(reader)
    if reader.one_of("DATABASE", "SCHEMA"):
        return _schema(reader)
    if reader.accept("SEQUENCE"):
        if_not_exists = reader.accept("IF", "NOT", "EXISTS")
        name = reader.name()
        if not reader.done:
            reader.run()
        return Create("sequence", name, if_not_exists)
    return _defined(reader, replaced)


def _defined(reader: Reader, replaced: bool) -> Effect:
    """Views, triggers and routines, which have a definer."""
    if reader.accept("ALGORITHM"):
        reader.need_mark("=")
        if not reader.one_of("UNDEFINED", "MERGE", "TEMPTABLE"):
            reader.lost("expected UNDEFINED, MERGE or TEMPTABLE")
    definer(reader)
    if reader.accept("SQL", "SECURITY") and not reader.one_of("DEFINER", "INVOKER"):
        reader.lost("expected DEFINER or INVOKER")
    if reader.accept("VIEW"):
        if_not_exists = reader.accept("IF", "NOT", "EXISTS")
        name = reader.name()
        if reader.sees_mark("("):
            reader.columns()
        reader.need("AS")
        query(reader)
        return CreateView(name, replaced, if_not_exists)
    if reader.accept("TRIGGER"):
        return create_trigger(reader, replaced)
    kind = reader.one_of("FUNCTION", "PROCEDURE")
    if not kind:
        reader.lost("changeover does not know this object")
    return create_routine(reader, kind.lower(), replaced)


def _schema(reader: Reader) -> Create:
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    name = reader.identifier()
    while not reader.done:
        reader.accept("DEFAULT")
        if not (reader.accept("CHARACTER", "SET") or reader.one_of("CHARSET", "COLLATE")):
            reader.lost("expected a character set")
        reader.accept_mark("=")
        reader.identifier()
    return Create("schema", name, if_not_exists)


# tables ---------------------------------------------------------------------------------------------------------------


def _table(reader: Reader) -> Effect:
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    table = reader.name()
    if _like(reader):
        return CreateTable(table, if_not_exists=if_not_exists)
    columns: list[Column] = []
    references: list[Reference] = []
    if reader.sees_mark("(") and not _query_follows(reader, 1):
        reader.need_mark("(")
        while True:
            if any(reader.sees(w) for w in KEY_WORDS):
                key = table_key(reader, table)
                if isinstance(key, AddConstraint) and key.reference is not None:
                    references.append(key.reference)
            else:
                column = column_definition(reader)
                columns.append(column)
                references += [column.reference] if column.reference else []
            if not reader.accept_mark(","):
                break
        reader.need_mark(")")
    while not reader.done and not _query_follows(reader):
        _table_option(reader)
        reader.accept_mark(",")
    if reader.sees("WITH", "SYSTEM"):
        reader.lost("a table that keeps its history is not known")
    if reader.done:
        if not columns:
            reader.lost("expected the columns of the table")
        return CreateTable(table, tuple(columns), tuple(references), if_not_exists)
    if reader.one_of("IGNORE", "REPLACE"):
        reader.lost("rows are left out or replaced without a word")
    reader.accept("AS")
    return CreateTableAs(table, query(reader), if_not_exists)


def _like(reader: Reader) -> bool:
    """`LIKE orders` or `(LIKE orders)`; else nothing is taken."""
    if reader.accept("LIKE"):
        reader.name()
        return True
    following = reader.peek(1)
    if not reader.sees_mark("(") or following is None or following.word != "LIKE":
        return False
    reader.at += 2
    reader.name()
    reader.need_mark(")")
    return True


def _query_follows(reader: Reader, ahead: int = 0) -> bool:
    token = reader.peek(ahead)
    return token is not None and (
        token.word in ("SELECT", "AS", "WITH", "VALUES", "IGNORE", "REPLACE") or token.text == "("
    )


_OPTIONS = (
    "AUTO_INCREMENT", "ROW_FORMAT", "KEY_BLOCK_SIZE", "STATS_PERSISTENT", "STATS_AUTO_RECALC", "STATS_SAMPLE_PAGES",
    "AVG_ROW_LENGTH", "MAX_ROWS", "MIN_ROWS", "CHECKSUM",
)  # fmt: skip


def _table_option(reader: Reader) -> None:
    if reader.accept("ENGINE"):
        reader.accept_mark("=")
        if not reader.accept("INNODB"):
            reader.lost("the rules hold for InnoDB only")
    elif reader.accept("COMMENT"):
        reader.accept_mark("=")
        reader.string()
    elif reader.accept("PARTITION", "BY"):
        if any(t.word in ("SELECT", "TABLE", "WITH") for t in reader.run()):
            reader.lost("a query behind PARTITION BY is not known")
    elif reader.one_of(*_OPTIONS):
        reader.accept_mark("=")
        token = reader.peek()
        if token is None or token.kind not in (Kind.WORD, Kind.NUMBER):
            reader.lost("expected a value")
        reader.at += 1
    else:
        reader.accept("DEFAULT")
        if not (reader.accept("CHARACTER", "SET") or reader.one_of("CHARSET", "COLLATE")):
            reader.lost("expected the end of the table")
        reader.accept_mark("=")
        if not reader.accept("BINARY"):
            reader.identifier()


def _index(reader: Reader) -> CreateIndex:
    unique = reader.accept("UNIQUE")
    kind = "" if unique else reader.one_of("FULLTEXT", "SPATIAL").lower()
    reader.need("INDEX")
    if_not_exists = reader.accept("IF", "NOT", "EXISTS")
    name = reader.identifier()
    if reader.accept("USING") and not reader.one_of("BTREE", "HASH"):
        reader.lost("expected BTREE or HASH")
    reader.need("ON")
    table = reader.name()
    parts = key_parts(reader)
    said = {}
    while not reader.done:
        index_options(reader)
        if reader.done:
            break
        word, value = option(reader)
        if not word:
            reader.lost("expected the end of the index")
        said[word] = value
    if said.get("ALGORITHM") == "COPY" or said.get("LOCK") in ("SHARED", "EXCLUSIVE"):
        said["LOCK"] = ""
    return CreateIndex(
        name,
        table,
        f"ON {table.sql} {parts.sql}",
        unique,
        concurrently=said.get("LOCK") == "NONE" and said.get("ALGORITHM") != "INSTANT",
        plain=parts.plain,
        if_not_exists=if_not_exists,
        kind=kind,
    )


# DROP ----------------------------------------------------------------------------------------------------------------


def drop(reader: Reader) -> Effect:
    """The rest of a statement that begins with DROP."""
    if reader.accept("TRIGGER"):
        if_exists = reader.accept("IF", "EXISTS")
        return DropTrigger(reader.name(), None, if_exists=if_exists)
    if reader.accept("INDEX"):
        if_exists = reader.accept("IF", "EXISTS")
        name = reader.identifier()
        reader.need("ON")
        return Drop("index", (name,), if_exists, table=reader.name())
    kind = reader.one_of(*_DROPS)
    if not kind:
        reader.lost("changeover does not know this object")
    if_exists = reader.accept("IF", "EXISTS")
    names = reader.names()
    cascade = reader.accept("CASCADE")
    reader.accept("RESTRICT")
    if len(names) > 1:
        raise unknown(
            "a kill may leave some of them dropped and others not",
            *(f"DROP {kind} {'IF EXISTS ' if if_exists else ''}{n.sql};" for n in names),
        )
    return Drop("database" if kind in ("DATABASE", "SCHEMA") else kind.lower(), names, if_exists, cascade)

"""SQL Server: what a statement does.

T-SQL needs no semicolon between statements, so a word that can begin one is never taken for a name or for a part of an expression.
"""

from __future__ import annotations

import re

from changeover.core.model import Lock
from changeover.schema.dialects.dialect import Dialect
from changeover.schema.dialects.refusals import refuse_by_name
from changeover.schema.dialects.spelling import spelling
from changeover.schema.dialects.sqlserver_alter import alter_table, sp_rename, transfer
from changeover.schema.dialects.sqlserver_columns import sqlserver_catalogue_type
from changeover.schema.dialects.sqlserver_create import create, drop, programmed
from changeover.schema.dialects.sqlserver_routines import end_of
from changeover.schema.dialects.sqlserver_rows import update
from changeover.schema.effects import Effect, Grant, Revoke, Truncate
from changeover.schema.grammar import functions
from changeover.schema.grammar.reader import Reader
from changeover.schema.grammar.rows import delete, insert
from changeover.schema.rules import sqlserver as rules
from changeover.schema.tokens import Case, ClientCommand, Kind, Lexicon, lower

_GO = ClientCommand(
    "GO",
    re.compile(r"go[ \t]*(?:[0-9]+[ \t]*)?(?:--[^\n]*)?(?:\r?\n|\Z)", re.IGNORECASE),
    "sqlcmd",
    "take the line out and end each statement with a semicolon: each one is sent alone",
)
_BEGINS = frozenset(
    [
        "ADD",
        "ALTER",
        "BACKUP",
        "BEGIN",
        "BREAK",
        "BULK",
        "CHECKPOINT",
        "CLOSE",
        "COMMIT",
        "CONTINUE",
        "CREATE",
        "DBCC",
        "DEALLOCATE",
        "DECLARE",
        "DELETE",
        "DENY",
        "DISABLE",
        "DROP",
        "ENABLE",
        "EXEC",
        "EXECUTE",
        "FETCH",
        "GOTO",
        "GRANT",
        "IF",
        "INSERT",
        "KILL",
        "MERGE",
        "OPEN",
        "PRINT",
        "RAISERROR",
        "READTEXT",
        "RECONFIGURE",
        "RESTORE",
        "RETURN",
        "REVERT",
        "REVOKE",
        "ROLLBACK",
        "SAVE",
        "SET",
        "SHUTDOWN",
        "THROW",
        "TRUNCATE",
        "UPDATE",
        "UPDATETEXT",
        "USE",
        "WAITFOR",
        "WHILE",
        "WRITETEXT",
    ]
)
LEXICON = Lexicon(
    "sqlserver", Case.COLLATION, '"[', nested_comments=True, doubled_brackets=True, client=_GO, begins=_BEGINS
)


def parse(reader: Reader) -> tuple[Effect, ...]:
    """The effects of one statement. Raises ProblemError (CO-0103) for every statement that is not fully understood."""
    renamed = sp_rename(reader)
    if renamed is None:
        refuse_by_name(reader)
    found = (renamed,) if renamed is not None else _statement(reader)
    reader.end()
    return found


def _statement(reader: Reader) -> tuple[Effect, ...]:
    if reader.accept("ALTER"):
        return _alter(reader)
    if reader.accept("CREATE"):
        return (create(reader),)
    if reader.accept("DROP"):
        return drop(reader)
    if reader.sees("INSERT"):
        return (insert(reader),)
    if reader.sees("UPDATE"):
        return (update(reader),)
    if reader.sees("DELETE"):
        return (delete(reader),)
    return (_other(reader),)


def _alter(reader: Reader) -> tuple[Effect, ...]:
    if reader.accept("TABLE"):
        return alter_table(reader)
    if reader.accept("SCHEMA"):
        return (transfer(reader),)
    found = programmed(reader, replaced=True)
    return (found,) if found is not None else reader.lost("changeover has no rule for altering this object")


def _other(reader: Reader) -> Effect:
    if reader.accept("TRUNCATE", "TABLE"):
        return Truncate((reader.name(),))
    begin = reader.at + 1
    if reader.sees("DENY"):
        reader.lost("DENY also overrules what is granted elsewhere")
    verb = reader.one_of("GRANT", "REVOKE")
    if not verb:
        reader.lost("changeover has no rule for it")
    _privilege(reader)
    text = " ".join(reader.sql(reader.tokens[begin : reader.at]).split())
    return Grant(text) if verb == "GRANT" else Revoke(text)


def _privilege(reader: Reader) -> None:
    """`SELECT, UPDATE (name) ON dbo.users TO app`."""
    while not (reader.done or reader.sees("ON") or reader.sees("TO") or reader.sees("FROM")):
        token = reader.peek()
        if reader.sees_mark("("):
            reader.columns()
        elif token is not None and (token.kind is Kind.WORD or token.text == ","):
            reader.at += 1
        else:
            reader.lost("expected a privilege")
    if reader.accept("ON"):
        if reader.accept("OBJECT") or reader.accept("SCHEMA"):
            reader.need_mark("::")
        reader.name()
        if reader.sees_mark("("):
            reader.columns()
    if not reader.one_of("TO", "FROM"):
        reader.lost("expected TO or FROM")
    reader.names()
    reader.accept("WITH", "GRANT", "OPTION")


def _is_system(parts: tuple[str, ...]) -> bool:
    return len(parts) > 2 or (len(parts) > 1 and lower(parts[0]) in ("sys", "information_schema"))


SQLSERVER = Dialect(
    "sqlserver",
    LEXICON,
    parse,
    builds_online=False,
    validates_later=True,
    adds_stable_default=True,
    triggers_fill=False,
    drop_column=Lock.BRIEF,
    functions=functions.SQLSERVER,
    is_system=_is_system,
    spell=spelling(re.compile(r"[A-Za-z_][A-Za-z0-9_]*"), "[", "]"),
    type_in_catalogue=sqlserver_catalogue_type,
    end_of=end_of,
    special=rules.judge,
    index_of_table=True,
    one_routine_per_name=True,
)

"""MariaDB and MySQL (InnoDB): what a statement does.

DDL commits by itself there, so a statement and its marker are never one transaction: what has been done must be seen in the
catalogue, or doing it again must change nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from changeover.core.model import Lock
from changeover.schema.dialects.dialect import Dialect
from changeover.schema.dialects.mysql_alter import alter_table, rename_table
from changeover.schema.dialects.mysql_create import create, drop
from changeover.schema.dialects.mysql_routines import end_of
from changeover.schema.dialects.mysql_rows import update
from changeover.schema.dialects.mysql_types import mysql_catalogue_type
from changeover.schema.dialects.refusals import refuse_by_name
from changeover.schema.dialects.spelling import spelling
from changeover.schema.effects import Effect, Grant, Rebuild, Revoke, Truncate
from changeover.schema.grammar import functions
from changeover.schema.grammar.reader import Reader
from changeover.schema.grammar.rows import delete, insert
from changeover.schema.rules import mysql as rules
from changeover.schema.tokens import Case, ClientCommand, Lexicon, Token, lower

_DELIMITER = ClientCommand(
    "DELIMITER",
    re.compile(r"delimiter[ \t]+[^\sA-Za-z0-9_][^\r\n]*", re.IGNORECASE),
    "the mysql client",
    "take the line out: a body BEGIN … END is read to its END; end the statement with END;",
)
LEXICON = Lexicon(
    "mysql",
    Case.TABLES,
    "`",
    texts="'\"",
    backslashes=True,
    hash_comments=True,
    run_comments=True,
    spaced_dashes=True,
    client=_DELIMITER,
)
_SYSTEM = ("mysql", "information_schema", "performance_schema", "sys")


def parse(reader: Reader) -> tuple[Effect, ...]:
    """The effects of one statement. Raises ProblemError (CO-0103) for every statement that is not fully understood."""
    refuse_by_name(reader)
    found = _statement(reader)
    reader.end()
    return found


def _statement(reader: Reader) -> tuple[Effect, ...]:
    if reader.accept("ALTER"):
        return alter_table(reader)
    if reader.accept("RENAME"):
        return rename_table(reader)
    if reader.accept("CREATE"):
        return (create(reader),)
    if reader.accept("DROP"):
        return (drop(reader),)
    if reader.sees("INSERT"):
        return (insert(reader),)
    if reader.sees("UPDATE"):
        return (update(reader),)
    if reader.sees("DELETE"):
        return (delete(reader),)
    return (_other(reader),)


def _other(reader: Reader) -> Effect:
    if reader.accept("TRUNCATE"):
        reader.accept("TABLE")
        return Truncate((reader.name(),))
    if reader.accept("GRANT"):
        return Grant(_privilege(reader))
    if reader.accept("REVOKE"):
        return Revoke(_privilege(reader))
    verb = reader.one_of("OPTIMIZE", "REPAIR")
    if not verb:
        reader.lost("changeover has no rule for it")
    reader.run()
    return Rebuild(verb)


def _privilege(reader: Reader) -> str:
    """The rest of GRANT or REVOKE; accounts such as app@localhost look like variables, so they are not read further."""
    tokens: Sequence[Token] = reader.tokens[reader.at :]
    if any(t.word in ("IDENTIFIED", "VIA", "PROXY") for t in tokens):
        reader.lost("an account with its password does not belong into a change file")
    if not any(t.word in ("TO", "FROM") for t in tokens):
        reader.lost("expected TO or FROM and an account")
    reader.at = len(reader.tokens)
    return " ".join(reader.sql(tokens).split())


def _is_system(parts: tuple[str, ...]) -> bool:
    return len(parts) > 1 and lower(parts[0]) in _SYSTEM


MYSQL = Dialect(
    "mysql",
    LEXICON,
    parse,
    builds_online=False,
    validates_later=False,
    adds_stable_default=True,
    triggers_fill=True,
    drop_column=Lock.BRIEF,
    functions=functions.MYSQL,
    is_system=_is_system,
    spell=spelling(re.compile(r"[A-Za-z_][A-Za-z0-9_$]*"), "`", "`"),
    type_in_catalogue=mysql_catalogue_type,
    end_of=end_of,
    special=rules.judge,
    optional="SET DEFAULT …",
    transactional=False,
    index_of_table=True,
    one_routine_per_name=True,
)

"""The same acts as commands of the sqlite3 shell, for a person without changeover. Each is copyable as it stands.

`-bail` stops at the first error, and what was begun is rolled back. A statement whose ledger row is there is left out, so
every command may be run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from changeover.core.model import RANGE, Applied, BackfillStatement, Check, Rewrite, Statement
from changeover.drivers.by_hand import comment, demand
from changeover.drivers.databases.backfill_sql import count_of, left_of, where_of
from changeover.drivers.databases.ledger_sql import (
    APPLIED,
    CREATE_ALL,
    ended,
    literal,
    mark_sql,
    revising,
)
from changeover.schema.binding import fill

_END = "CHANGEOVER"
_NOW = "strftime('%s', 'now')"
_BATCH = 1_000  # keys
_WAIT = ".timeout 10000"  # ms until the write lock is there


def there(words: str) -> str:
    """sqlite3 would make a file that is not there, and take an empty name for a database in memory."""
    return demand(f"[ -f {words} ]", "the database file is not where it should be")


def apply(words: str, statement: Statement, marker: Applied) -> str:
    """The statement with its ledger row, in one transaction. A table is written anew only while its text is the expected one."""
    body = CREATE_ALL if marker.index == 0 else ()
    asked = (*((_moved(statement.rewrite),) if statement.rewrite else ()), *statement.guards)
    body = (*body, *(line for guard in asked for line in _none(guard)))
    done = _unless_marked(words, marker, transaction(words, *body, mark_sql(marker, _NOW), ended(statement)))
    return f"{comment(statement.title)}\n{done}"


def _moved(rewrite: Rewrite) -> Check:
    """Finds the table when it has another text than was expected."""
    where = f"type = 'table' AND name = {literal(rewrite.table)} COLLATE NOCASE AND sql = {literal(rewrite.before)}"
    return Check(
        f"the table {rewrite.table} is not as it was expected: print this again when what precedes it is done",
        f"SELECT count(*) = 0 FROM sqlite_master WHERE {where}",
    )


def _none(check: Check) -> tuple[str, ...]:
    """Stops the shell unless the check finds nothing. SQLite divides by 0 without an error, so a constraint has to say it."""
    title = '"' + check.title.replace('"', "'") + '"'
    return (
        f"CREATE TEMP TABLE changeover_asked (found integer CONSTRAINT {title} CHECK (found = 0));",
        f"INSERT INTO temp.changeover_asked {check.sql};",
        "DROP TABLE temp.changeover_asked;",
    )


def complete(words: str, marker: Applied) -> str:
    """The mark of the phase and the new revision, in one transaction."""
    body = transaction(words, *CREATE_ALL, mark_sql(marker, _NOW), *revising(marker))
    return f"{comment(f'{marker.version}.{marker.phase} is complete')}\n{_unless_marked(words, marker, body)}"


def backfill(words: str, statement: BackfillStatement) -> str:
    """Batches of 1000 keys, each in its own transaction, with a pause for others. Harmless to repeat."""
    if statement.keys:
        return _backfill_of_rows(words, statement)
    key, table = statement.key, statement.table
    first = f"CASE typeof(min({key})) WHEN 'integer' THEN min({key}) - 1 ELSE '' END"
    below = quote(f"SELECT quote({first}) FROM {table}")
    after, batch = (
        f"SELECT quote(max({key})) FROM (SELECT {key} FROM {table} WHERE {key} > ",
        f" ORDER BY {key} LIMIT {_BATCH})",
    )
    update = _filled(statement.sql, "(SELECT lo FROM temp.batch)", "(SELECT hi FROM temp.batch)").rstrip().rstrip(";")
    left = _filled(
        count_of(statement.sql, "sqlite"), f"(SELECT {first} FROM {table})", f"(SELECT max({key}) FROM {table})"
    )
    ask = f"sqlite3 -bail -cmd '{_WAIT}' {words}"
    return f"""{comment(statement.title)}
(set -e
next() {{ {ask} {quote(after)}"$lo"{quote(batch)}; }}
lo=$({ask} {below})
hi=$(next)
while [ "$hi" != NULL ]; do
sqlite3 -bail -cmd '{_WAIT}' -cmd "CREATE TEMP TABLE batch AS SELECT $lo AS lo, $hi AS hi" {words} <<'{_END}'
{update}
;
{_END}
lo=$hi; hi=$(next); sleep 0.05
done
{ask} <<'{_END}'
SELECT ({left.rstrip().rstrip(";")}
) || ' rows left to fill';
{_END}
)"""


def _backfill_of_rows(words: str, statement: BackfillStatement) -> str:
    """Batches of 1000 rows that are left, each in its own transaction, until none is."""
    keys, where = ", ".join(statement.keys), where_of(statement)
    some = f"({keys}) IN (SELECT {keys} FROM {statement.table} WHERE {where} LIMIT {_BATCH})"
    ask = f"sqlite3 -bail -cmd '{_WAIT}' {words}"
    return f"""{comment(statement.title)}
(set -e
while [ "$({ask} {quote(left_of(statement, "sqlite"))})" != 0 ]; do
{ask} <<'{_END}'
{statement.sql.replace(RANGE, some)};
{_END}
sleep 0.05
done
echo '0 rows left to fill')"""


def count(words: str, check: Check) -> str:
    """Ends well only if the check finds nothing."""
    return f"{comment(check.title)}\n" + demand(
        f'[ "$(sqlite3 -bail {words} {quote(check.sql)})" = 0 ]', f"there are {check.title}"
    )


def _filled(sql: str, lo: str, hi: str) -> str:
    return fill(sql, {"lo": lo, "hi": hi}, "sqlite")


def backup(words: str, target: str) -> tuple[str, ...]:
    """A copy inside one snapshot, and its check."""
    inner = ".backup '" + target.replace("'", "''") + "'"
    return (
        f"sqlite3 -bail -cmd '{_WAIT}' {words} {quote(inner)}",
        f"sqlite3 {quote(target)} 'PRAGMA integrity_check' | grep -x ok",
    )


def copy(backup: str, scratch: str, statements: Sequence[tuple[Statement, Applied]]) -> tuple[str, ...]:
    """A copy of the backup, with the statements applied to it."""
    return (f"cp {quote(backup)} {quote(scratch)}", *(apply(quote(scratch), s, m) for s, m in statements))


def drop(scratch: str) -> tuple[str, ...]:
    """Take the copy away."""
    return (f"rm -f {' '.join(quote(scratch + end) for end in ('', '-wal', '-shm', '-journal'))}",)


def transaction(words: str, *lines: str) -> str:
    """The lines in one transaction, or nothing of them."""
    body = "\n".join((_WAIT, "PRAGMA foreign_keys = OFF;", "BEGIN IMMEDIATE;", *lines, "COMMIT;"))
    return f"sqlite3 -bail {words} <<'{_END}'\n{body}\n{_END}"


def _unless_marked(words: str, marker: Applied, body: str) -> str:
    """A ledger that cannot be read is no reason to leave it out: the row's key refuses a second time."""
    row = ", ".join(literal(v) for v in (marker.version.text, marker.phase.value, marker.index))
    ask = f"SELECT 'done' FROM {APPLIED} WHERE (version, phase, idx) = ({row})"
    return f'sqlite3 {words} "{ask}" 2>/dev/null | grep -x done || {body}'

"""The same acts as psql commands, for a person without changeover. Each is copyable as it stands."""

from __future__ import annotations

from shlex import quote

from changeover.core.model import RANGE, Applied, BackfillStatement, Check, Statement
from changeover.drivers.by_hand import comment, demand, wait_until
from changeover.drivers.databases.backfill_sql import count_of, left_of, where_of
from changeover.drivers.databases.ledger_sql import (
    APPLIED,
    CREATE_ALL,
    ended,
    literal,
    mark_sql,
    revising,
)
from changeover.drivers.databases.limits import Limits
from changeover.drivers.databases.postgresql_session import milliseconds
from changeover.schema.binding import fill

_END = "CHANGEOVER"
_QUIET = "SET client_min_messages = warning;"
_NOW = "extract(epoch FROM now())"
_BATCH = 1_000  # keys
_GONE_WITHIN = 30.0  # seconds for ended connections to be gone


def there(words: str) -> tuple[str, ...]:
    """Without an address psql would take the database that is named after the user."""
    return (demand(f"[ -n {words} ]", "the address of the database is empty"),) if "$" in words else ()


def shell(words: str, *lines: str) -> str:
    """One psql call that stops at the first error."""
    body = "\n".join((_QUIET, *lines))
    return f"psql {words} -XqAt -v ON_ERROR_STOP=1 <<'{_END}'\n{body}\n{_END}"


def apply(words: str, statement: Statement, marker: Applied, limits: Limits) -> str:
    """The statement with its ledger row: in one transaction, or one after the other where that is impossible.

    A statement whose row is there is left out. Without its lock it fails with nothing changed and is tried again, as
    often as the limits allow.
    """
    made, mark = CREATE_ALL if marker.index == 0 else (), mark_sql(marker, _NOW)
    if statement.alone:
        body = shell(words, "SET lock_timeout = 0;", *made, *_unless_marked(marker, ended(statement), mark))
        return f"{comment(statement.title)}\n{body}"
    lock = f"SET LOCAL lock_timeout = '{milliseconds(limits.lock)}ms';"
    first = f"{statement.lock_first};\n" if statement.lock_first else ""
    asked = "".join(f"SELECT 1 / (1 - least(({g.sql}), 1));\n" for g in statement.guards)  # a row: it stops here
    act = first + asked + ended(statement).removeprefix(first)
    body = shell(words, *made, *_unless_marked(marker, "BEGIN;", lock, mark, act, "COMMIT;"))
    head, rest = body.split("\n", 1)
    tries = max(1, round(limits.lock_deadline))
    return (
        f"{comment(statement.title)}\n(for try in $(seq {tries}); do\n{head} && exit\n{rest}\n"
        f"sleep 1; done; echo 'STOP: not applied; is its lock held by somebody?' >&2; exit 1)"
    )


def _unless_marked(marker: Applied, *lines: str) -> tuple[str, ...]:
    row = ", ".join(literal(v) for v in (marker.version.text, marker.phase.value, marker.index))
    ask = f"SELECT count(*) = 0 AS todo FROM {APPLIED} WHERE (version, phase, idx) = ({row}) \\gset"
    return (ask, "\\if :todo", *lines, "\\endif")


def backfill(words: str, statement: BackfillStatement) -> str:
    """Batches of 1000 keys, each in its own transaction. Harmless to repeat."""
    if statement.keys:
        return _backfill_of_rows(words, statement)
    key, table = statement.key, statement.table
    update = fill(statement.sql, {"lo": "changeover_lo", "hi": "changeover_hi"}, "postgresql").rstrip().rstrip(";")
    count = count_of(statement.sql, "postgresql").rstrip().rstrip(";")
    left = fill(count, {"lo": "changeover_first", "hi": "changeover_lo"}, "postgresql")
    body = shell(
        words,
        "SET changeover.rows_left = 0;",
        f"""DO $changeover$
DECLARE
  changeover_first {table}.{key}%TYPE;
  changeover_lo {table}.{key}%TYPE;
  changeover_hi {table}.{key}%TYPE;
BEGIN
  SELECT {key} INTO changeover_lo FROM {table} ORDER BY {table}.{key} LIMIT 1;
  IF changeover_lo IS NULL THEN RETURN; END IF;
  IF pg_typeof(changeover_lo)::text IN ('smallint', 'integer', 'bigint', 'numeric') THEN changeover_lo := changeover_lo - 1;
  ELSIF pg_typeof(changeover_lo)::text = 'uuid' THEN changeover_lo := '00000000-0000-0000-0000-000000000000';
  ELSE changeover_lo := '';
  END IF;
  changeover_first := changeover_lo;
  LOOP
    SELECT b.k INTO changeover_hi FROM
      (SELECT {key} AS k FROM {table} WHERE {key} > changeover_lo ORDER BY {table}.{key} LIMIT {_BATCH}) b ORDER BY b.k DESC LIMIT 1;
    EXIT WHEN changeover_hi IS NULL;
    {update}
    ;
    COMMIT;
    changeover_lo := changeover_hi;
  END LOOP;
  PERFORM set_config('changeover.rows_left', ({left}
  )::text, false);
END $changeover$;""",
        "SELECT current_setting('changeover.rows_left') || ' rows left to fill';",
    )
    return f"{comment(statement.title)}\n{body}"


def _backfill_of_rows(words: str, statement: BackfillStatement) -> str:
    """Batches of 1000 rows that are left, each in its own transaction, until none is."""
    where = where_of(statement)
    some = f"ctid = ANY (ARRAY(SELECT ctid FROM {statement.table} WHERE {where} LIMIT {_BATCH}))"
    body = shell(
        words,
        f"""DO $changeover$ DECLARE filled bigint; BEGIN
  LOOP
    {statement.sql.replace(RANGE, some)};
    GET DIAGNOSTICS filled = ROW_COUNT;
    COMMIT;
    EXIT WHEN filled = 0;
  END LOOP;
END $changeover$;""",
        f"SELECT ({left_of(statement, 'postgresql')}) || ' rows left to fill';",
    )
    return f"{comment(statement.title)}\n{body}"


def count(words: str, check: Check) -> str:
    """Ends well only if the check finds nothing."""
    wanted = f"STOP: there are {check.title}"
    asked = quote(check.sql)
    return f"{comment(check.title)}\n" + demand(
        f'[ "$(psql {words} -XqAtc {asked})" = 0 ]', wanted.removeprefix("STOP: ")
    )


def complete(words: str, marker: Applied) -> str:
    """The mark of the phase and the new revision, in one transaction."""
    done = _unless_marked(marker, "BEGIN;", mark_sql(marker, _NOW), *revising(marker), "COMMIT;")
    return f"{comment(f'{marker.version}.{marker.phase} is complete')}\n{shell(words, *CREATE_ALL, *done)}"


def backup(words: str, target: str) -> tuple[str, ...]:
    """A dump, and its check: all of it is read."""
    path = quote(target)
    return (
        *there(words),
        f"pg_dump --format=custom --file={path}.part --dbname={words} && mv {path}.part {path}",
        f"pg_restore --file=/dev/null {path}",
    )


def retire(words: str, role: str) -> tuple[str, ...]:
    """Take the login away, end its connections, wait until none is left."""
    of = f"usename = {literal(role)}"
    ended_ = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {of} AND pid <> pg_backend_pid();"
    left = f"SELECT count(*) FROM pg_stat_activity WHERE {of}"
    none = f'[ "$(psql {words} -XAtc {quote(left)})" = 0 ]'
    return (
        *there(words),
        shell(words, f"ALTER ROLE {_identifier(role)} NOLOGIN;", ended_),
        wait_until(none, _GONE_WITHIN, f"connections of {role} are left"),
    )


def admit(words: str, role: str) -> tuple[str, ...]:
    """Give the login back."""
    return (*there(words), shell(words, f"ALTER ROLE {_identifier(role)} LOGIN;"))


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

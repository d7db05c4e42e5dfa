"""The same acts as commands of the mariadb or mysql client, for a person without changeover. Each is copyable as it stands.

A statement and its ledger row are two steps here, as they are in the tool: the client stops between them when the statement
fails, and a statement whose row is there is left out.
"""

from __future__ import annotations

from shlex import quote

from changeover.core.model import RANGE, Applied, BackfillStatement, ChangeSet, Check, Statement
from changeover.drivers.by_hand import comment, demand, wait_until
from changeover.drivers.databases.backfill_sql import count_of, left_of
from changeover.drivers.databases.ledger_sql import APPLIED, CHANGE, changes_text, literal, mark_sql, revising
from changeover.drivers.databases.limits import Limits
from changeover.drivers.databases.mysql_apply import is_about_rows
from changeover.drivers.databases.mysql_ledger import CREATE_ALL
from changeover.drivers.databases.mysql_probe import parts_of
from changeover.drivers.databases.mysql_session import whole_seconds
from changeover.drivers.databases.mysql_shell import END, ask, delimited
from changeover.drivers.databases.mysql_tables import literal as text_of
from changeover.schema.binding import fill

_NOW = "UNIX_TIMESTAMP(NOW(6))"
_BATCH = 1_000  # keys
_GONE_WITHIN = 30.0  # seconds for ended connections to be gone
_LO, _HI = "/*changeover:lo*/", "/*changeover:hi*/"
_DUMP = (
    "--single-transaction --skip-lock-tables --quick --routines --events --triggers --hex-blob --no-tablespaces "
    "--max-allowed-packet=1G"
)


def apply(statement: Statement, marker: Applied, limits: Limits) -> str:
    """The statement with its ledger row. Without its lock it fails with nothing changed and is tried again, as often as the
    limits allow.
    """
    made, mark = CREATE_ALL if marker.index == 0 else (), _mark(marker)
    wait = whole_seconds(limits.lock)
    settings = f"SET SESSION lock_wait_timeout = {wait}, innodb_lock_wait_timeout = {wait};"
    guards = (f"DO IF(({guard.sql}) = 0, 1, (SELECT 1 UNION SELECT 2));" for guard in statement.guards)  # or it stops
    first = delimited(statement.lock_first) if statement.lock_first else ()
    lines = (*first, *guards, *(line for part in statement.parts for line in delimited(part)))
    if is_about_rows(statement):
        body = ask(settings, "START TRANSACTION;", mark, *lines, "COMMIT;")
    else:
        body = ask(settings, *lines, mark)
    head, rest = body.split("\n", 1)
    tries = max(1, round(limits.lock_deadline))
    return (
        f"{comment(statement.title)}\n{_made(made)}(for try in $(seq {tries}); do\n{_is_marked(marker)} && exit\n"
        f"{head} && exit\n{rest}\n"
        f"sleep 1; done; echo 'STOP: not applied; is its lock held by somebody?' >&2; exit 1)"
    )


def _made(made: tuple[str, ...]) -> str:
    return f"{ask(*made)}\n" if made else ""


def _mark(marker: Applied) -> str:
    """Also where an attempt of the tool has left the word that it was begun."""
    return mark_sql(marker, _NOW).rstrip(";") + " ON DUPLICATE KEY UPDATE done = 1;"


def _is_marked(marker: Applied) -> str:
    row = ", ".join(literal(v) for v in (marker.version.text, marker.phase.value, marker.index))
    asked = f"SELECT 'done' FROM {APPLIED} WHERE (version, phase, idx) = ({row}) AND done = 1"
    return f"sql -e {quote(asked)} | grep -qx done"


def complete(marker: Applied) -> str:
    """The mark of the phase and the new revision, in one transaction."""
    done = ask("START TRANSACTION;", _mark(marker), *revising(marker), "COMMIT;")
    return (
        f"{comment(f'{marker.version}.{marker.phase} is complete')}\n{_made(CREATE_ALL)}{_is_marked(marker)} || {done}"
    )


def backfill(statement: BackfillStatement) -> str:
    """Batches of 1000 keys, each a statement of its own. Harmless to repeat.

    Keys travel through the shell as SQL literals of their own type: `7`, `'abc'`, `X'00ff'`.
    """
    if statement.keys:
        return _backfill_of_rows(statement)
    key, table = statement.key, statement.table
    column = f"{table}.{key}"
    following, to_the_end = "SELECT COALESCE((SELECT ", f" FROM {table} WHERE {column} > "
    whole, rest, the_last = (
        f" ORDER BY {column} LIMIT {_BATCH - 1}, 1), (SELECT ",
        to_the_end,
        f" ORDER BY {column} DESC LIMIT 1), 'NULL')",
    )
    least = f"SELECT CAST(CAST(MIN({column}) AS CHAR) AS DECIMAL(65)) - 1 FROM {table}"
    update, left = _pieces(statement.sql), _pieces(count_of(statement.sql, "mysql"))
    return f"""{comment(statement.title)}
(set -e
case $(sql -e {quote(_kind(table, key))}) in
*int|decimal) each={quote(f"CAST({column} AS CHAR)")}; lo=$(sql -e {quote(least)});;
*binary) each={quote(f"CONCAT('X', QUOTE(HEX({column})))")}; lo="X''";;
uuid) each={quote(f"QUOTE({column})")}; lo="'00000000-0000-0000-0000-000000000000'";;
*char|*text) each={quote(f"QUOTE({column})")}; lo="''";;
*) echo 'STOP: rows cannot be counted off by this key' >&2; exit 1;;
esac
next() {{ sql -e {quote(following)}"$each"{quote(to_the_end)}"$lo"{quote(whole)}"$each"{quote(rest)}"$lo"{quote(the_last)}; }}
update() {{
{update}
}}
left() {{
{left}
}}
first=$lo
hi=$(next)
while [ "$hi" != NULL ]; do
update | sql
lo=$hi; hi=$(next); sleep 0.05
done
hi=$lo; lo=$first
echo "$(left | sql) rows left to fill"
)"""


def _backfill_of_rows(statement: BackfillStatement) -> str:
    """Batches of 1000 rows that are left, each a statement of its own, until none is."""
    some = f"{statement.sql.removesuffix(f' AND {RANGE}')} LIMIT {_BATCH};"
    return f"""{comment(statement.title)}
(set -e
while :; do
filled=$({ask(some, "SELECT ROW_COUNT();")}
)
[ "$filled" != 0 ] || break
sleep 0.05
done
echo "$(sql -e {quote(left_of(statement, "mysql"))}) rows left to fill"
)"""


def count(check: Check) -> str:
    """Ends well only if the check finds nothing."""
    return f"{comment(check.title)}\n" + demand(f'[ "$(sql -e {quote(check.sql)})" = 0 ]', f"there are {check.title}")


def keep(changes: ChangeSet) -> str:
    """What was compiled, beside the ledger, once."""
    values = ", ".join(text_of(v) for v in (changes.version.text, changes.digest, changes_text(changes)))
    return ask(*CREATE_ALL, f"INSERT IGNORE INTO {CHANGE} (version, digest, body) VALUES ({values});")


def _kind(table: str, key: str) -> str:
    """The question what type the key has."""
    parts = parts_of(table)
    schema = literal(parts[-2]) if len(parts) > 1 else "DATABASE()"
    return (
        f"SELECT data_type FROM information_schema.columns WHERE table_schema = {schema} "
        f"AND table_name = {literal(parts[-1])} AND column_name = {literal(parts_of(key)[-1])}"
    )


def _pieces(sql: str) -> str:
    """The statement as output of the shell, with `$lo` and `$hi` where its markers are."""
    text = fill(sql.strip().rstrip(";").rstrip(), {"lo": _LO, "hi": _HI}, "mysql")
    lines: list[str] = []
    for n, part in enumerate(text.split(_LO)):
        lines += [r"""printf '%s\n' "$lo" """.rstrip()] if n else []
        for m, piece in enumerate(part.split(_HI)):
            lines += [r"""printf '%s\n' "$hi" """.rstrip()] if m else []
            lines.append(f"cat <<'{END}'\n{piece}\n{END}")
    return "\n".join(lines)


def backup(target: str) -> tuple[str, ...]:
    """A dump, and its check: its last line says that it is whole."""
    path = quote(target)
    dump = f'co_run mariadb-dump mysqldump {_DUMP} --result-file={path}.part "$co_name"'
    whole = f"tail -n 1 {path}.part | grep -q '^-- Dump completed'"
    return (f"{dump} && {whole} && mv {path}.part {path}",)


def retire(login: str) -> tuple[str, ...]:
    """Lock the login, end its connections, wait until none is left."""
    name = literal(login)
    kills = f"SELECT CONCAT('KILL ', id, ';') FROM information_schema.processlist WHERE user = {name} AND id <> CONNECTION_ID()"
    count = f"SELECT COUNT(*) FROM information_schema.processlist WHERE user = {name}"
    return (
        _alter(login, "LOCK"),
        f"sql -e {quote(kills)} | sql --force || true",
        wait_until(f'[ "$(sql -e {quote(count)})" = 0 ]', _GONE_WITHIN, f"connections of {login} are left"),
    )


def admit(login: str) -> tuple[str, ...]:
    """Give the login back."""
    return (_alter(login, "UNLOCK"),)


def _alter(login: str, how: str) -> str:
    each = f"SELECT CONCAT('ALTER USER ', QUOTE(user), '@', QUOTE(host), ' ACCOUNT {how};') FROM mysql.user WHERE user = {literal(login)}"
    none = demand('[ -n "$co_found" ]', f"there is no login {login}")
    return f"co_found=$(sql -e {quote(each)})\n{none}\nprintf '%s\\n' \"$co_found\" | sql"

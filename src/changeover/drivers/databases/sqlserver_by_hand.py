"""The same acts as sqlcmd commands, for a person without changeover. Each is copyable as it stands.

What a statement may not share a batch with (CREATE VIEW, CREATE TRIGGER, …) is no matter here: each runs in a batch of its own,
inside `sp_executesql`. An error in there is caught, rolled back and thrown on, so the mark never stands without the statement.
"""

from __future__ import annotations

from collections.abc import Iterator

from changeover.core.model import RANGE, Applied, BackfillStatement, ChangeSet, Check, Statement, Version
from changeover.drivers.by_hand import comment, demand, wait_until
from changeover.drivers.databases.backfill_sql import where_of
from changeover.drivers.databases.ledger_sql import (
    APPLIED,
    CHANGE,
    changes_text,
    forget_sql,
    mark_sql,
    revising,
    unkeep_sql,
)
from changeover.drivers.databases.limits import Limits
from changeover.drivers.databases.sqlserver_backup import backup_sql, verify_sql
from changeover.drivers.databases.sqlserver_ledger import CREATE_ALL, of_dbo
from changeover.drivers.databases.sqlserver_logins import alter_sql
from changeover.drivers.databases.sqlserver_session import milliseconds
from changeover.drivers.databases.sqlserver_sqlcmd import END, Sqlcmd
from changeover.drivers.databases.sqlserver_text import bare, count_of, fill, last_part, literal

_QUIET = "SET NOCOUNT ON; SET XACT_ABORT ON; SET DEADLOCK_PRIORITY LOW; SET LOCK_TIMEOUT {lock};"
_PATIENT = 10.0  # seconds that what is not a statement of a change waits for a lock
_NOW = "DATEDIFF_BIG(MILLISECOND, '19700101', SYSUTCDATETIME()) / 1000.0"
_BATCH = 1_000  # keys
_GUARD = 51_000  # the number of the error when a guard finds something
_PIECE = 2_000  # characters
_GONE_WITHIN = 30.0  # seconds for ended connections to be gone


def apply(sqlcmd: Sqlcmd, statement: Statement, marker: Applied, limits: Limits) -> str:
    """The statement with its ledger row: in one transaction, or one after the other where that is impossible.

    A statement whose row is there is left out. Without its lock it fails with nothing changed and is tried again, as
    often as the limits allow.
    """
    made = CREATE_ALL if marker.index == 0 else ()
    run = "\n".join((*_asked(statement), *(f"EXECUTE sys.sp_executesql {literal(bare(p))};" for p in statement.parts)))
    quiet = _QUIET.format(lock=milliseconds(limits.lock))
    if statement.alone:
        body = sqlcmd.run(quiet, *made, *_unless_marked(marker, run, _mark(marker)))
        return f"{comment(statement.title)}\n{body}"
    body = sqlcmd.run(quiet, *made, *_unless_marked(marker, *_together(run, _mark(marker))))
    tries = max(1, round(limits.lock_deadline))
    head, rest = body.split(f"<<'{END}'\n", 1)
    return (
        f"{comment(statement.title)}\n(for try in $(seq {tries}); do\n{head}<<'{END}'\n{rest} && exit\n"
        f"sleep 1; done; echo 'STOP: not applied; is its lock held by somebody?' >&2; exit 1)"
    )


def _asked(statement: Statement) -> Iterator[str]:
    """Its lock, then its guards: what they find ends the transaction."""
    if statement.lock_first:
        yield f"{statement.lock_first};"
    for guard in statement.guards:
        yield f"IF ({guard.sql}) <> 0 BEGIN; THROW {_GUARD}, {literal(f'STOP: {guard.title}')}, 1; END;"


def _mark(marker: Applied) -> str:
    return mark_sql(marker, _NOW).replace(f"INTO {APPLIED} ", f"INTO dbo.{APPLIED} ", 1)


def _together(*lines: str) -> tuple[str, ...]:
    return (
        *("BEGIN TRY", "BEGIN TRANSACTION;", *lines, "COMMIT TRANSACTION;", "END TRY"),
        *("BEGIN CATCH", "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;", "THROW;", "END CATCH;"),
    )


def _unless_marked(marker: Applied, *lines: str) -> tuple[str, ...]:
    row = f"version = {literal(marker.version.text)} AND phase = {literal(marker.phase.value)} AND idx = {marker.index}"
    return (f"IF NOT EXISTS (SELECT 1 FROM dbo.{APPLIED} WHERE {row})", "BEGIN", *lines, "END;")


def complete(sqlcmd: Sqlcmd, marker: Applied) -> str:
    """The mark of the phase and, where it changes what there is, the new revision, in one transaction."""
    done = _unless_marked(marker, *_together(_mark(marker), *map(of_dbo, revising(marker))))
    body = sqlcmd.run(_QUIET.format(lock=milliseconds(_PATIENT)), *CREATE_ALL, *done)
    return f"{comment(f'{marker.version}.{marker.phase} is complete')}\n{body}"


def backfill(sqlcmd: Sqlcmd, statement: BackfillStatement) -> str:
    """Batches of 1000 keys, each in its own transaction, with a pause for others. Harmless to repeat.

    With `keys` they are batches of rows that are left. Else the variables have the key's own type, which only the catalogue knows: so the loop is put together there.
    """
    if statement.keys:
        return _backfill_of_rows(sqlcmd, statement)
    column = f"c.object_id = OBJECT_ID({literal(statement.table)}) AND c.name = {literal(last_part(statement.key))}"
    loop = "\n".join(_loop(statement))
    body = sqlcmd.run(
        _QUIET.format(lock=milliseconds(_PATIENT)),
        "DECLARE @type nvarchar(200), @below nvarchar(400), @loop nvarchar(max);",
        _DESCRIBE.format(column=column),
        f"SET @loop = REPLACE(REPLACE({literal(loop)}, N'$type$', @type), N'$below$', @below);",
        "EXECUTE sys.sp_executesql @loop;",
    )
    return f"{comment(statement.title)}\n{body}"


_DESCRIBE = """SELECT @type = CASE WHEN t.name IN (N'tinyint', N'smallint', N'int', N'bigint') THEN N'bigint'
    WHEN t.name IN (N'decimal', N'numeric') THEN CONCAT(t.name, N'(', c.[precision], N',', c.scale, N')')
    WHEN t.name IN (N'nchar', N'nvarchar') THEN CONCAT(t.name, N'(', c.max_length / 2, N')')
    WHEN t.name IN (N'char', N'varchar') THEN CONCAT(t.name, N'(', c.max_length, N')') ELSE t.name END,
  @below = CASE WHEN t.name = N'uniqueidentifier' THEN N'''00000000-0000-0000-0000-000000000000'''
    WHEN t.name LIKE N'%char' THEN N'N''''' ELSE N'k.changeover_key - 1' END
FROM sys.columns c JOIN sys.types t ON t.user_type_id = c.system_type_id WHERE {column};"""


def _loop(statement: BackfillStatement) -> tuple[str, ...]:
    key, table = statement.key, statement.table
    update = fill(bare(statement.sql), {"lo": "@changeover_low", "hi": "@changeover_high"})
    left = fill(count_of(statement.sql), {"lo": "@changeover_first", "hi": "@changeover_low"})
    rows = f"SELECT t.{key} AS changeover_key FROM {table} AS t"
    keys = f"SELECT TOP ({_BATCH}) t.{key} AS changeover_key FROM {table} AS t WHERE t.{key} > @changeover_low ORDER BY t.{key}"
    return (
        "DECLARE @changeover_first $type$, @changeover_low $type$, @changeover_high $type$, @changeover_left bigint;",
        f"SELECT TOP (1) @changeover_low = $below$ FROM ({rows}) AS k ORDER BY k.changeover_key;",
        "SET @changeover_first = @changeover_low;",
        "WHILE 1 = 1",
        "BEGIN",
        "SET @changeover_high = NULL;",
        f"SELECT TOP (1) @changeover_high = b.changeover_key FROM ({keys}) AS b ORDER BY b.changeover_key DESC;",
        "IF @changeover_high IS NULL BREAK;",
        f"{update};",
        "SET @changeover_low = @changeover_high;",
        "WAITFOR DELAY '00:00:00.050';",
        "END;",
        f"SET @changeover_left = ({left});",
        "SELECT CONCAT(@changeover_left, N' rows left to fill');",
    )


def _backfill_of_rows(sqlcmd: Sqlcmd, statement: BackfillStatement) -> str:
    """Until none is left."""
    some = bare(statement.sql.replace(f" AND {RANGE}", "")).replace("UPDATE ", f"UPDATE TOP ({_BATCH}) ", 1)
    body = sqlcmd.run(
        _QUIET.format(lock=milliseconds(_PATIENT)),
        "DECLARE @changeover_filled bigint = 1;",
        "WHILE @changeover_filled > 0",
        "BEGIN",
        f"{some};",
        "SET @changeover_filled = @@ROWCOUNT;",
        "WAITFOR DELAY '00:00:00.050';",
        "END;",
        f"SELECT CONCAT(COUNT_BIG(*), N' rows left to fill') FROM {statement.table} WHERE {where_of(statement)};",
    )
    return f"{comment(statement.title)}\n{body}"


def count(sqlcmd: Sqlcmd, check: Check) -> str:
    """Ends well only if the check finds nothing."""
    return f"{comment(check.title)}\n" + demand(f'[ "$( {sqlcmd.ask(check.sql)})" = 0 ]', f"there are {check.title}")


def keep(sqlcmd: Sqlcmd, changes: ChangeSet) -> str:
    """What was compiled, once; in pieces, so that no line is too long for sqlcmd."""
    text, version = changes_text(changes), literal(changes.version.text)
    pieces = (text[n : n + _PIECE] for n in range(0, len(text), _PIECE))
    values = f"{version}, {literal(changes.digest)}, @changeover_body"
    return sqlcmd.run(
        _QUIET.format(lock=milliseconds(_PATIENT)),
        *CREATE_ALL,
        "DECLARE @changeover_body nvarchar(max) = N'';",
        *(f"SET @changeover_body = CONCAT(@changeover_body, {literal(piece)});" for piece in pieces),
        f"IF NOT EXISTS (SELECT 1 FROM dbo.{CHANGE} WHERE version = {version})",
        f"INSERT INTO dbo.{CHANGE} (version, digest, body) VALUES ({values});",
    )


def forget(sqlcmd: Sqlcmd, version: Version) -> str:
    """Without the marks of what a release applies."""
    return sqlcmd.run(_QUIET.format(lock=milliseconds(_PATIENT)), *map(of_dbo, forget_sql(version)))


def unkeep(sqlcmd: Sqlcmd, version: Version) -> str:
    """Nothing of the version is left, in one transaction."""
    return sqlcmd.run(_QUIET.format(lock=milliseconds(_PATIENT)), *_together(*map(of_dbo, unkeep_sql(version))))


def backup(sqlcmd: Sqlcmd, file: str) -> tuple[str, ...]:
    """A backup on the database's machine, and its check: all of it is read."""
    return (
        sqlcmd.run("DECLARE @database sysname = DB_NAME();", backup_sql("@database", file)),
        sqlcmd.run(verify_sql(file)),
    )


def retire(sqlcmd: Sqlcmd, login: str) -> tuple[str, ...]:
    """Take the login away, end its connections, wait until none is left."""
    of = f"is_user_process = 1 AND session_id <> @@SPID AND {literal(login)} IN (original_login_name, login_name)"
    none = f'[ "$( {sqlcmd.ask(f"SELECT COUNT(*) FROM sys.dm_exec_sessions WHERE {of};")})" = 0 ]'
    return (
        sqlcmd.run(
            *_alter(login, "DISABLE"),
            "DECLARE @kill nvarchar(max) = N'';",
            f"SELECT @kill = CONCAT(@kill, N'KILL ', session_id, N'; ') FROM sys.dm_exec_sessions WHERE {of};",
            "EXECUTE sys.sp_executesql @kill;",
        ),
        wait_until(none, _GONE_WITHIN, f"connections of {login} are left"),
    )


def admit(sqlcmd: Sqlcmd, login: str) -> tuple[str, ...]:
    """Give the login back."""
    return (sqlcmd.run(*_alter(login, "ENABLE")),)


def _alter(login: str, can: str) -> tuple[str, ...]:
    """Each in a batch of its own: the branch that is not taken names a login that is not there."""
    server, database = ("".join(alter_sql(login, can, contained=c)) for c in (False, True))
    return (
        f"IF EXISTS (SELECT 1 FROM sys.server_principals WHERE name = {literal(login)})",
        f"EXECUTE sys.sp_executesql {literal(server)};",
        f"ELSE EXECUTE sys.sp_executesql {literal(database)};",
    )

"""The parts of the PostgreSQL driver that need no server."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from changeover.core.errors import DatabaseDenied, DatabaseUnreachable, StatementFailed, ToolMissing, Where
from changeover.drivers.databases.postgresql_blocker import described
from changeover.drivers.databases.postgresql_errors import Doing, is_busy, is_lost, lost_reply, translate
from changeover.drivers.databases.postgresql_session import Sessions, milliseconds
from changeover.drivers.databases.postgresql_tools import Target, Tools

URL = "postgresql://shop:s3cr%40t@db.example:5433/shop?sslmode=require"
SESSIONS = Sessions(lambda: URL, "production")
DOING = Doing("+ column orders.a", (Where("1.1.0.expand.sql", 3),))


def sessions(url: str, environment: str = "production") -> Sessions:
    return Sessions(lambda: url, environment)


# addresses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "other"),
    [
        (URL, "postgresql://shop:s3cr%40t@db.example:5433/scratch?sslmode=require"),
        ("postgresql://a@h1:1,h2:2/x", "postgresql://a@h1:1,h2:2/scratch"),
        ("postgresql:///x?host=/run&dbname=y", "postgresql:///scratch?host=/run"),
        ("host=h dbname=x", "host=h dbname=scratch"),
    ],
)
def test_another_database_on_the_same_server(url, other):
    found = sessions(sessions(url).other("scratch"))
    assert dict(found.words()) == dict(sessions(other).words())


def test_a_url_that_cannot_be_read_is_not_shown():
    with pytest.raises(DatabaseUnreachable) as failed:
        sessions("postgresql://shop:hunter2%zz@h/d").words()
    assert "hunter2" not in str(failed.value)
    assert failed.value.__suppress_context__


def test_the_password_is_not_in_the_arguments():
    target = Target.of(SESSIONS.words(), "changeover/production/7")
    assert "s3cr" not in target.dbname
    assert target.environment == {"PGPASSWORD": "s3cr@t"}
    assert "application_name=changeover/production/7" in target.dbname
    assert Target.of(sessions("postgresql://h/d").words(), "x").environment == {}


def test_passwords_are_redacted_as_written_and_as_encoded():
    assert SESSIONS.redact("s3cr@t and s3cr%40t") == "*** and ***"
    assert sessions("postgresql://h/d").redact("nothing") == "nothing"


def test_sessions_are_named_after_environment_and_fence():
    assert SESSIONS.name(7) == "changeover/production/7"
    assert SESSIONS.name(None) == "changeover/production"
    for odd in ("größe", "a/b", "a" * 60):
        name = sessions(URL, odd).name(123_456)
        assert name.isascii()
        assert len(name) <= 63
        assert name.count("/") == 2
    assert sessions(URL, "a/b").name(1) != sessions(URL, "a/c").name(1)


def test_lock_keys_fit_and_differ():
    keys = {sessions(URL, name).key for name in ("production", "staging", "")}
    assert len(keys) == 3
    assert all(0 <= k < 2**31 for k in keys)


@pytest.mark.parametrize(("seconds", "text"), [(0.1, "100"), (0, "0"), (0.0001, "1"), (30, "30000"), (-1, "0")])
def test_a_timeout_is_never_rounded_to_none(seconds, text):
    assert milliseconds(seconds) == text


# errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg.errors.InsufficientPrivilege("permission denied for table orders"), DatabaseDenied),
        (psycopg.errors.ReadOnlySqlTransaction("cannot execute ALTER TABLE"), DatabaseUnreachable),
        (psycopg.errors.InvalidPassword('password authentication failed for user "shop"'), DatabaseUnreachable),
        (psycopg.errors.AdminShutdown("terminating connection"), DatabaseUnreachable),
        (psycopg.errors.CannotConnectNow("starting up"), DatabaseUnreachable),
        (psycopg.errors.TooManyConnections("too many clients"), DatabaseUnreachable),
        (psycopg.OperationalError("server closed the connection"), DatabaseUnreachable),
        (psycopg.errors.DuplicateColumn("column a exists"), StatementFailed),
        (psycopg.errors.QueryCanceled("canceling statement"), StatementFailed),
    ],
)
def test_errors_have_their_class(error, kind):
    found = translate(error, SESSIONS, DOING)
    assert type(found) is kind
    assert DOING.title in found.what
    assert found.now
    assert found.next
    if kind is StatementFailed:
        assert error.sqlstate in found.what
        assert found.where == DOING.where


def test_messages_are_one_line_without_secrets():
    error = psycopg.OperationalError("connection failed\n  FATAL:  no s3cr@t   here\nmore")
    assert translate(error, SESSIONS, DOING).what.endswith("FATAL: no *** here")


def test_an_unknown_fate_is_told_as_one():
    assert "not known" in translate(psycopg.OperationalError("gone"), SESSIONS, lost_reply(DOING)).now
    assert translate(psycopg.OperationalError("gone"), SESSIONS, DOING).now == "Nothing was changed."


def test_which_errors_may_be_tried_again():
    for error in (
        psycopg.errors.LockNotAvailable(),
        psycopg.errors.DeadlockDetected(),
        psycopg.errors.SerializationFailure(),
    ):
        assert is_busy(error)
        assert not is_lost(error)
    for error in (psycopg.errors.AdminShutdown(), psycopg.errors.ConnectionFailure(), psycopg.OperationalError("gone")):
        assert is_lost(error)
        assert not is_busy(error)
    for error in (psycopg.errors.UniqueViolation(), psycopg.ProgrammingError("no"), psycopg.errors.QueryCanceled()):
        assert not is_lost(error)
        assert not is_busy(error)


# blockers ----------------------------------------------------------------------------------------------------


def test_a_blocker_in_words():
    row = (7, "shop", "web", "10.0.0.5/32", "idle in transaction", 300.0, "SELECT *\n FROM orders")
    assert described(row) == 'pid 7 (shop, "web", from 10.0.0.5), idle in transaction for 5 min: SELECT * FROM orders'
    assert described((7, None, "", None, None, None, None)) == "pid 7 (unknown user), state unknown"


@pytest.mark.parametrize(
    "query",
    [
        "UPDATE u SET p = 'geheim' WHERE a = 'geheim'",
        "SELECT 'geheim",
        "SELECT $$geheim$$",
        "DO $x$ geheim $x$",
        "SELECT 'it''s geheim'",
    ],
)
def test_values_of_a_blockers_query_are_masked(query):
    assert "geheim" not in described((7, "u", "", None, "active", 1.0, query))


# programs ----------------------------------------------------------------------------------------------------


UNREADABLE = Path("/" + "x" * 300)  # to look into it is an error, as in another user's folder on the PATH


def test_a_program_that_is_nowhere_is_named(tmp_path):
    (tmp_path / "pg_dump").write_text("not executable")
    with pytest.raises(ToolMissing, match="none was found") as missing:
        Tools((tmp_path, tmp_path / "nowhere", UNREADABLE)).find("pg_dump", 15)
    assert "PostgreSQL 15" in missing.value.next[0]

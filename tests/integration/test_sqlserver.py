"""The SQL Server driver over TDS, with what goes wrong: blockers, take-overs, lost replies, hanging and refusing servers.

The wire is real TDS, between pytds and an encoding that was measured against a SQL Server; the engine behind it is a stand-in.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.contract.database_cases import ENVIRONMENT, ROWS, V1, TestFence, claim_of, lost_after, marker_of
from tests.fixtures.need import need
from tests.fixtures.sqlserver_database import BACKFILL, STATEMENTS, SqlServer, database_under_test
from tests.fixtures.tds import LOGIN, PASSWORD, Cut, Failed, Garbage, Hang, Session, certificate

from changeover.core.errors import (
    ChangeoverError,
    DatabaseDenied,
    DatabaseUnreachable,
    FencedOut,
    LockNotObtained,
    LoginMissing,
    RestorePointFailed,
    StatementFailed,
)
from changeover.core.model import Lock, Phase, Probe, Statement
from changeover.drivers.databases import sqlserver_session
from changeover.drivers.databases.limits import Limits
from changeover.drivers.databases.sqlserver import SqlServerDatabase
from changeover.drivers.databases.sqlserver_backup import BackupSettings
from changeover.drivers.databases.sqlserver_faults import Cancelled, Lost
from changeover.drivers.databases.sqlserver_locks import get_sql
from changeover.drivers.databases.sqlserver_session import Sessions

PATIENT = Limits(lock=0.1, lock_deadline=20.0)
ALTER = "ALTER TABLE orders ADD price_cents"


@pytest.fixture
def site() -> Iterator[SqlServer]:
    with database_under_test() as running:
        running.driver.claim(claim_of(), TestFence())
        yield running


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is waited for 5 s is waited for half a second."""
    monkeypatch.setattr(sqlserver_session, "CALL", 0.5)
    monkeypatch.setattr(sqlserver_session.Connection.execute, "__kwdefaults__", {"timeout": 0.5, "look": None})


def until(seen: Callable[[], Any], seconds: float = 20) -> Any:
    end = time.monotonic() + seconds
    while not (found := seen()):
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)
    return found


@contextlib.contextmanager
def in_background(work: Callable[[], Any]) -> Iterator[Future[Any]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(work)


def once(trouble: Exception, text: str, times: int = 1) -> Callable[[Session, str], None]:
    """The trouble for the first so many batches that begin with the text."""
    left = iter(range(times))

    def raising(_: Session, sql: str) -> None:
        if sql.startswith(text) and next(left, None) is not None:
            raise trouble

    return raising


@contextlib.contextmanager
def writing(site: SqlServer) -> Iterator[None]:
    """Somebody holds what the driver wants."""
    with contextlib.closing(sqlite3.connect(site.engine.file("shop"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


# locks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1222, 1205, 3960, 3961])
def test_a_lock_that_is_not_got_is_asked_for_again(site: SqlServer, number: int) -> None:
    site.server.trouble = once(Failed(number, "Lock request time out period exceeded.", 13), ALTER, 2)
    statement = site.statement("add_column")
    assert site.second(limits=PATIENT).apply(statement, marker_of(statement), TestFence()).attempts == 3
    assert site.driver.read().applied == (marker_of(statement),)


def test_at_the_deadline_nothing_has_changed_and_the_blocker_is_named(site: SqlServer) -> None:
    statement = site.statement("add_column")
    before = site.driver.read()
    with Sessions(site.server.url, "report").connect() as holder:
        holder.execute("BEGIN TRANSACTION;")
        holder.execute("UPDATE orders SET price = price WHERE id = 1;")
        with pytest.raises(LockNotObtained) as failed:
            site.driver.apply(statement, marker_of(statement), TestFence())
        assert holder.number("SELECT @@TRANCOUNT;") == 1
    assert '"changeover/report", from here' in failed.value.what
    assert site.driver.read() == before


def test_the_blocker_is_named_and_its_values_are_not(site: SqlServer) -> None:
    """The stand-in blocks at BEGIN; a statement that waits is looked at while it runs."""
    released = threading.Event()

    def slow(session: Session, sql: str) -> None:
        if sql.startswith(ALTER):
            site.engine.holder = other
            released.wait(0.3)
            site.engine.holder = session
            if not seen:
                seen.append(1)
                raise Failed(1222, "Lock request time out period exceeded.")

    seen: list[int] = []
    with Sessions(site.server.url, "report").connect() as db:
        other = site.server.sessions[db.number("SELECT @@SPID;")]
        site.server.trouble = slow
        statement = site.statement("add_column")
        waited = site.second(limits=PATIENT).apply(statement, marker_of(statement), TestFence())
    assert waited.attempts == 2
    assert f'session {other.spid} (shop, "changeover/report", from here), sleeping' in waited.blocker
    assert "secret literal" not in waited.blocker


def test_a_batch_that_is_a_deadlock_victim_is_tried_again_with_half_the_keys(site: SqlServer) -> None:
    site.by_hand(site.statement("add_column"))
    site.server.trouble = once(
        Failed(1205, "You were deadlocked", 13), "DECLARE @changeover_low bigint = @P1, @changeover_high"
    )
    batch = site.second(limits=PATIENT).fill(BACKFILL, None, str(ROWS), 100, TestFence())
    assert (batch.hi, batch.rows) == ("50", 50)


def test_no_batch_is_larger_than_what_escalates_to_a_table_lock(site: SqlServer) -> None:
    site.by_hand(site.statement("add_column"))
    site.driver.fill(BACKFILL, None, str(ROWS), 1_000_000, TestFence())
    (asked,) = (values for _, sql, values in site.server.asked if "ROW_NUMBER" in sql)
    assert 4_000 in asked.values()


def test_reading_while_the_schema_is_changed_is_no_answer(site: SqlServer) -> None:
    site.server.trouble = once(Failed(1222, "Lock request time out period exceeded."), "SELECT s.name, o.name")
    with pytest.raises(LockNotObtained, match="changing the schema right now"):
        site.driver.read()


# time --------------------------------------------------------------------------------------------------------


def test_a_statement_that_should_be_brief_and_is_not_is_cancelled_and_rolled_back(site: SqlServer) -> None:
    site.server.trouble = once(Hang(), ALTER)
    driver = site.second(limits=replace(PATIENT, statement_timeout=0.3))
    statement = site.statement("add_column")
    with pytest.raises(StatementFailed, match=r"stopped after 0\.3 s") as failed:
        driver.apply(statement, marker_of(statement), TestFence())
    assert "rolled back" in failed.value.now
    assert site.driver.read().applied == ()


@pytest.mark.parametrize("lock", [Lock.NONE, Lock.BRIEF])
def test_a_build_has_no_timeout(site: SqlServer, lock: Lock) -> None:
    site.server.trouble = lambda _s, sql: time.sleep(0.5) if sql.startswith("CREATE INDEX") else None
    statement = replace(site.statement("index"), lock=lock)
    driver = site.second(limits=replace(PATIENT, statement_timeout=0.1))
    assert driver.apply(statement, marker_of(statement), TestFence()).attempts == 1


def test_the_fence_is_looked_at_while_a_statement_runs(site: SqlServer) -> None:
    """The new owner need not be able to end us: we end ourselves, and nothing is left."""
    site.server.trouble = once(Hang(deaf=True), "CREATE INDEX")
    statement = site.statement("index")
    with pytest.raises(FencedOut):
        site.driver.apply(statement, marker_of(statement), lost_after(1))
    until(lambda: not any(s.level for s in site.server.sessions.values()))
    assert site.driver.read().applied == ()


def test_a_server_that_hangs_after_the_login_is_given_up(site: SqlServer, hasty: None) -> None:
    site.server.trouble = lambda _s, _sql: (_ for _ in ()).throw(Hang(deaf=True))
    with pytest.raises(DatabaseUnreachable, match="did not say that it has stopped it"):
        site.driver.read()


def test_a_server_that_hangs_in_the_login_is_given_up(site: SqlServer, hasty: None) -> None:
    site.server.at_login = lambda _: (_ for _ in ()).throw(Hang())
    with pytest.raises(DatabaseUnreachable, match="no answer to the login in time"):
        site.driver.read()


def test_a_server_that_accepts_and_says_nothing_is_given_up(site: SqlServer, hasty: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"mssql://shop:hunter2@127.0.0.1:{silent.getsockname()[1]}/shop?encrypt=no"
        with pytest.raises(DatabaseUnreachable, match="no answer to the login in time"):
            site.second(url=lambda: url).read()


def test_a_server_that_trickles_is_given_up(site: SqlServer, hasty: None) -> None:
    """One byte now and then would satisfy a timeout per packet for ever."""
    with socket.create_server(("127.0.0.1", 0)) as slow:
        over = threading.Event()

        def trickle() -> None:
            line, _ = slow.accept()
            with line, contextlib.suppress(OSError):
                while not over.wait(0.05):
                    line.sendall(b"\x04")

        url = f"mssql://shop:hunter2@127.0.0.1:{slow.getsockname()[1]}/shop?encrypt=no"
        with in_background(trickle), pytest.raises(DatabaseUnreachable):
            try:
                site.second(url=lambda: url).read()
            finally:
                over.set()


def test_cancelled_only_says_what_the_server_confirmed(site: SqlServer) -> None:
    with Sessions(site.server.url, ENVIRONMENT).connect() as db:
        site.server.trouble = once(Hang(), "WAITFOR")
        with pytest.raises(Cancelled):
            db.execute("WAITFOR DELAY '00:01';", timeout=0.2)
        assert db.number("SELECT @@TRANCOUNT;") == 0  # the same session goes on
        site.server.trouble = once(Hang(deaf=True), "WAITFOR")
        sqlserver_session.CALL, kept = 0.3, sqlserver_session.CALL
        try:
            with pytest.raises(Lost):
                db.execute("WAITFOR DELAY '00:01';", timeout=0.2)
        finally:
            sqlserver_session.CALL = kept
        assert db.lost


# lost connections --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [("reply",), ("request",), ("request", "reply")])
def test_a_commit_whose_fate_is_unknown_is_looked_up(site: SqlServer, cuts: tuple[str, ...]) -> None:
    left = list(cuts)

    def before(_: Session, sql: str) -> None:
        if sql.startswith("COMMIT") and left[:1] == ["request"]:
            left.pop(0)
            raise Cut

    def after(_: Session, sql: str) -> None:
        if sql.startswith("COMMIT") and left[:1] == ["reply"]:
            left.pop(0)
            raise Cut

    site.server.trouble, site.server.after = before, after
    statement = site.statement("add_column")
    waited = site.second(limits=PATIENT).apply(statement, marker_of(statement), TestFence())
    assert left == []
    assert waited.attempts >= 1
    assert site.driver.read().applied == (marker_of(statement),)
    assert site.driver.done(statement.probe)
    assert sum(sql.startswith(ALTER) for sql in site.server.statements()) == cuts.count("request") + 1


def test_a_phase_is_completed_once_through_a_lost_reply(site: SqlServer) -> None:
    site.server.after = once(Cut(), "COMMIT")
    assert site.driver.complete(marker_of(), TestFence()) == 1
    assert site.driver.read().revision == 1


@pytest.mark.parametrize(
    "trouble", [Cut("half"), Cut(), Garbage(), Failed(596, "the session is in the kill state.", 21)]
)
def test_half_an_answer_is_none(site: SqlServer, trouble: Exception) -> None:
    site.server.trouble = once(trouble, ALTER)
    statement = site.statement("add_column")
    site.second(limits=PATIENT).apply(statement, marker_of(statement), TestFence())
    assert site.driver.read().applied == (marker_of(statement),)


def test_a_session_that_is_ended_again_and_again_is_given_up(site: SqlServer) -> None:
    site.server.trouble = once(Cut(), ALTER, 99)
    statement = site.statement("add_column")
    with pytest.raises(DatabaseUnreachable) as failed:
        site.second(limits=PATIENT).apply(statement, marker_of(statement), TestFence())
    assert "not known" in failed.value.now
    assert site.driver.read().applied == ()


def test_a_login_that_is_cut_off_says_that_nothing_was_changed(site: SqlServer) -> None:
    site.server.at_login = lambda _: (_ for _ in ()).throw(Cut("half"))
    statement = site.statement("add_column")
    for act in (
        site.driver.read,
        lambda: site.driver.apply(statement, marker_of(statement), TestFence()),
        lambda: site.driver.claim(claim_of(2), TestFence(2)),
    ):
        with pytest.raises(DatabaseUnreachable) as failed:
            act()
        assert failed.value.now == "Nothing was changed."
    assert [f.ok for f in site.driver.inspect()] == [False]


def test_nobody_listens(site: SqlServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(DatabaseUnreachable, match="refused"):
        site.second(url=lambda: f"mssql://shop:pw@127.0.0.1:{port}/shop?encrypt=no").read()


KILLED = """
import os, signal, sys
from tests.contract.database_cases import TestFence, marker_of
from tests.fixtures.sqlserver_database import STATEMENTS
from changeover.drivers.databases.sqlserver import SqlServerDatabase, SqlServerSettings

class Killing(TestFence):
    left = int(sys.argv[2])
    def check(self):
        Killing.left -= 1
        if Killing.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

driver = SqlServerDatabase(SqlServerSettings(lambda: sys.argv[1], "production"))
driver.apply(STATEMENTS[sys.argv[3]], marker_of(STATEMENTS[sys.argv[3]]), Killing())
"""


@pytest.mark.parametrize(
    ("name", "check"), [("add_column", 1), ("add_column", 2), ("resumable", 2), ("resumable", 3), ("resumable", 4)]
)
def test_a_killed_process_leaves_all_or_nothing(site: SqlServer, name: str, check: int) -> None:
    """SIGKILL before, right before the commit, before the build, between the build and its marker."""
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, site.server.url(), str(check), name],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    statement = site.statement(name)
    assert site.driver.read().applied == ()
    new = site.second()
    new.claim(claim_of(2), TestFence(2))
    new.apply(statement, marker_of(statement, fence=2), TestFence(2))
    assert site.driver.read().applied == (marker_of(statement, fence=2),)
    assert site.driver.done(statement.probe)


# take-over ---------------------------------------------------------------------------------------------------


def test_a_take_over_ends_a_statement_under_way(site: SqlServer) -> None:
    site.server.trouble = once(Hang(deaf=True), "CREATE INDEX")
    statement = site.statement("index")
    with in_background(lambda: site.driver.apply(statement, marker_of(statement), TestFence(1))) as old:
        until(lambda: any(sql.startswith("CREATE INDEX") for sql in site.server.statements()))
        site.second(limits=PATIENT).claim(claim_of(2), TestFence(2))
        with pytest.raises(FencedOut):
            old.result(timeout=20)
    assert any("KILL" in sql for sql in site.server.statements())
    reading = site.driver.read()
    assert (reading.applied, reading.claim) == ((), claim_of(2))


def test_a_take_over_that_may_not_kill_waits_and_says_why(site: SqlServer) -> None:
    site.engine.kills = False
    site.server.trouble = once(Hang(deaf=True), "CREATE INDEX")
    statement, over = site.statement("index"), threading.Event()
    fence = TestFence(1, held=lambda: not over.is_set())
    with in_background(lambda: site.driver.apply(statement, marker_of(statement), fence)) as old:
        until(lambda: any(sql.startswith("CREATE INDEX") for sql in site.server.statements()))
        try:
            with pytest.raises(LockNotObtained, match="ALTER ANY CONNECTION"):
                site.second().claim(claim_of(2), TestFence(2))
        finally:
            over.set()
        with pytest.raises(FencedOut):
            old.result(timeout=20)
    site.second(limits=PATIENT).claim(claim_of(2), TestFence(2))
    assert site.driver.read().claim == claim_of(2)


def test_a_take_over_that_sees_no_sessions_waits_for_the_locks(site: SqlServer) -> None:
    site.engine.sees = 0
    with writing(site), pytest.raises(LockNotObtained, match="VIEW SERVER STATE"):
        site.second().claim(claim_of(2), TestFence(2))
    site.second().claim(claim_of(2), TestFence(2))
    assert not any("KILL" in sql for sql in site.server.statements())


def test_who_began_outside_a_transaction_right_before_the_claim_is_ended_too(site: SqlServer) -> None:
    """It has compared with the old claim, and holds the named lock."""
    old: list[sqlserver_session.Connection] = []

    def begins(session: Session, sql: str) -> None:
        if sql.startswith("COMMIT") and session.program.endswith("/2") and not old:
            old.append(Sessions(site.server.url, ENVIRONMENT).connect(1))
            assert old[0].number(get_sql("changeover/production", "Session", 0.1)) == 0

    site.server.trouble = begins
    site.second(limits=Limits(lock=0.05, lock_deadline=5.0)).claim(claim_of(2), TestFence(2))
    with pytest.raises(Lost):
        old[0].execute("SELECT @@SPID;")


def test_a_take_over_leaves_others_alone(site: SqlServer) -> None:
    """Another environment, another product, the same fence: none of them is an older owner."""
    names = (f"{ENVIRONMENT}", "staging", "web")
    with contextlib.ExitStack() as stack:
        others = [
            stack.enter_context(Sessions(site.server.url, n).connect(f))
            for n, f in zip(names, (2, 1, None), strict=True)
        ]
        site.second().claim(claim_of(2), TestFence(2))
        assert all(db.number("SELECT @@SPID;") for db in others)


def test_the_sessions_carry_environment_and_fence(site: SqlServer) -> None:
    seen: list[str] = []
    site.server.trouble = lambda session, _: seen.append(session.program)
    site.driver.apply(site.statement("table"), marker_of(site.statement("table")), TestFence(1))
    assert set(seen) == {"changeover/production/1"}


def test_every_session_sets_what_it_relies_on_first(site: SqlServer) -> None:
    site.driver.apply(site.statement("table"), marker_of(site.statement("table")), TestFence(1))
    first: dict[int, str] = {}
    for spid, sql, _ in site.server.asked:
        first.setdefault(spid, sql)
    assert all("SET XACT_ABORT ON" in sql and "DEADLOCK_PRIORITY LOW" in sql for sql in first.values())
    assert any("LOCK_TIMEOUT 50;" in sql for sql in first.values())


# alone -------------------------------------------------------------------------------------------------------


def test_a_statement_outside_a_transaction_runs_under_the_named_lock(site: SqlServer) -> None:
    statement = site.statement("resumable")
    assert site.driver.apply(statement, marker_of(statement), TestFence()).attempts == 1
    asked = site.server.statements()
    build = next(i for i, sql in enumerate(asked) if sql.startswith("CREATE INDEX"))
    assert any("sp_getapplock @Resource = N'changeover/production'" in sql for sql in asked[:build])
    assert (
        "BEGIN TRANSACTION;"
        not in asked[asked.index(next(s for s in asked if "getapplock" in s and "'Session'" in s)) : build]
    )
    assert site.driver.apply(statement, marker_of(statement), TestFence()).attempts == 0


def test_a_paused_build_of_this_act_is_resumed(site: SqlServer) -> None:
    def trouble(_: Session, sql: str) -> None:
        if sql.startswith("CREATE INDEX") and not site.engine.resumable:
            site.engine.resumable["orders_price"] = 1
            raise Failed(1222, "Lock request time out period exceeded.")

    site.server.trouble = trouble
    statement = site.statement("resumable")
    assert site.second(limits=PATIENT).apply(statement, marker_of(statement), TestFence()).attempts == 2
    assert "ALTER INDEX [orders_price] ON orders RESUME;" in site.server.statements()
    assert site.driver.read().applied == (marker_of(statement),)


def test_a_paused_build_of_somebody_else_is_taken_away(site: SqlServer) -> None:
    site.engine.resumable["orders_price"] = 1
    statement = site.statement("resumable")
    site.driver.apply(statement, marker_of(statement), TestFence())
    assert "ALTER INDEX [orders_price] ON orders ABORT;" in site.server.statements()


def test_a_build_that_somebody_is_at_is_left_alone(site: SqlServer) -> None:
    site.engine.resumable["orders_price"] = 0
    statement = site.statement("resumable")
    with pytest.raises(LockNotObtained, match="building orders_price"):
        site.driver.apply(statement, marker_of(statement), TestFence())
    assert not any("ABORT;" in sql for sql in site.server.statements())


def test_a_statement_that_ends_its_transaction_is_found_out(site: SqlServer) -> None:
    site.server.after = lambda s, sql: (
        s.server.engine.commit(s) or setattr(s, "level", 0) if sql.startswith(ALTER) else None
    )
    site.server.complaints = Complaints()
    statement = site.statement("add_column")
    with pytest.raises(StatementFailed, match="transaction of its own"):
        site.driver.apply(statement, marker_of(statement), TestFence())
    site.server.complaints = []


class Complaints(list[str]):
    """Of a session whose transaction was ended behind its back, nothing is to be complained about."""

    def append(self, _: str) -> None:
        return


# refusals ----------------------------------------------------------------------------------------------------


def refused(site: SqlServer, url: str) -> ChangeoverError:
    driver = site.second(url=lambda: url)
    with pytest.raises(ChangeoverError) as failed:
        driver.read()
    (finding,) = driver.inspect()
    assert not finding.ok
    for text in (str(failed.value), *failed.value.next, failed.value.now, finding.detail, finding.fix):
        assert PASSWORD not in text
        assert "hunter2" not in text
    return failed.value


def test_a_wrong_password_is_not_shown(site: SqlServer) -> None:
    site.server.logins["shop"] = "right"
    error = refused(site, site.server.url())
    assert isinstance(error, DatabaseUnreachable)
    assert "18456" in error.what


def test_a_disabled_login_and_a_database_that_is_not_there_are_told(site: SqlServer) -> None:
    assert "4060" in refused(site, site.server.url("nowhere")).what
    site.server.disabled.add("shop")
    assert "18470" in refused(site, site.server.url()).what


def test_a_url_that_cannot_be_read_is_not_shown(site: SqlServer) -> None:
    for url in (
        "mssql://shop:hunter2@h:99999/shop",
        "postgresql://shop:hunter2@h/shop",
        "mssql://shop:hunter2@h/shop?x=1",
    ):
        assert isinstance(refused(site, url), DatabaseUnreachable)


@pytest.mark.parametrize(
    ("failed", "kind", "said"),
    [
        (
            Failed(3906, 'Failed to update database "shop" because the database is read-only.'),
            DatabaseUnreachable,
            "writes",
        ),
        (Failed(976, "The target database is participating in an availability group"), DatabaseUnreachable, "976"),
        (Failed(262, "CREATE TABLE permission denied in database 'shop'."), DatabaseDenied, "permission denied"),
        (
            Failed(547, "The ALTER TABLE statement conflicted with the CHECK constraint", 16, ((3621, "terminated."),)),
            StatementFailed,
            "error 547",
        ),
        (Failed(1105, "Could not allocate space", 17), StatementFailed, "error 1105"),
        (
            Failed(2714, "There is already an object", 16, ((1750, "Could not create constraint."),)),
            StatementFailed,
            "2714",
        ),
    ],
)
def test_what_the_server_refuses_is_told_by_its_number(
    site: SqlServer, failed: Failed, kind: type[ChangeoverError], said: str
) -> None:
    site.server.trouble = once(failed, ALTER)
    statement = site.statement("add_column")
    with pytest.raises(kind, match=said):
        site.driver.apply(statement, marker_of(statement), TestFence())
    assert site.driver.read().applied == ()


@pytest.mark.parametrize(
    "failed",
    [
        Failed(2627, "Violation of UNIQUE KEY constraint 'UQ_mail'. The duplicate key value is (ann@example.org).", 14),
        Failed(245, "Conversion failed when converting the varchar value 'ann@example.org' to data type int."),
        Failed(
            2628, "String would be truncated in table 'shop.dbo.t', column 'c'. Truncated value: 'ann@example.org'."
        ),
    ],
)
def test_rows_are_not_quoted(site: SqlServer, failed: Failed) -> None:
    site.server.trouble = once(failed, ALTER)
    statement = site.statement("add_column")
    with pytest.raises(StatementFailed) as told:
        site.driver.apply(statement, marker_of(statement), TestFence())
    assert "ann@" not in str(told.value)
    assert str(failed.number) in told.value.what


def test_a_trigger_is_dropped_without_naming_its_table(site: SqlServer) -> None:
    assert site.driver.done(Probe("trigger", "dbo.zz_sync", present=False))
    assert not site.driver.done(Probe("trigger", "dbo.zz_sync"))


# TLS ---------------------------------------------------------------------------------------------------------


def test_the_wire_is_encrypted_unless_it_is_said_otherwise(tmp_path: Path) -> None:
    made, file = certificate(tmp_path)
    with database_under_test(certificate=made) as site:
        url = site.server.url(options=f"?cafile={file}")
        driver = site.second(url=lambda: url)
        driver.claim(claim_of(), TestFence())
        statement = site.statement("table")
        assert driver.apply(statement, marker_of(statement), TestFence()).attempts == 1
        assert driver.read().applied == (marker_of(statement),)
        other = url.replace("127.0.0.1", "127.0.0.2")
        with pytest.raises(DatabaseUnreachable, match=r"refused|not match"):
            site.second(url=lambda: other).read()


def test_a_certificate_of_another_host_is_not_accepted(tmp_path: Path) -> None:
    made, file = certificate(tmp_path)
    with database_under_test(certificate=made, address="127.0.0.2") as site:
        url = site.server.url(options=f"?cafile={file}").replace("127.0.0.1", "127.0.0.2")
        with pytest.raises(DatabaseUnreachable, match="does not match host name"):
            site.second(url=lambda: url).read()
        assert site.server.sessions == {}  # no password was sent


def test_an_unknown_authority_is_not_accepted(tmp_path: Path) -> None:
    made, _ = certificate(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    _, file = certificate(other, "elsewhere")
    with database_under_test(certificate=made) as site:
        with pytest.raises(DatabaseUnreachable, match="verify failed"):
            site.second(url=lambda: site.server.url(options=f"?cafile={file}")).read()


def test_a_server_without_tls_gets_no_password(site: SqlServer, tmp_path: Path) -> None:
    _, file = certificate(tmp_path)
    with pytest.raises(DatabaseUnreachable, match="not supported by server"):
        site.second(url=lambda: site.server.url(options=f"?cafile={file}")).read()


def test_a_dead_line_inside_tls_is_a_lost_one(tmp_path: Path) -> None:
    made, file = certificate(tmp_path)
    with database_under_test(certificate=made) as site:
        driver = site.second(url=lambda: site.server.url(options=f"?cafile={file}"), limits=PATIENT)
        driver.claim(claim_of(), TestFence())
        site.server.after = once(Cut(), "COMMIT")
        statement = site.statement("table")
        driver.apply(statement, marker_of(statement), TestFence())
        assert driver.read().applied == (marker_of(statement),)


# versions ----------------------------------------------------------------------------------------------------


def test_a_retired_login_is_disabled_and_its_sessions_are_ended(site: SqlServer) -> None:
    site.server.logins["shop_1.1.0"] = PASSWORD
    url = site.server.url(user="shop_1.1.0")
    driver = site.second(login="shop_{version}")
    with Sessions(lambda: url, "app").connect() as app:
        assert driver.retire(V1, TestFence()) == 0
        with pytest.raises(Lost):
            app.execute("SELECT @@SPID;")
        with pytest.raises(ChangeoverError, match="18470"):
            site.second(url=lambda: url).read()
    driver.admit(V1, TestFence())
    assert site.second(url=lambda: url).read()


def test_a_contained_user_is_kept_out_of_the_database(site: SqlServer) -> None:
    site.server.logins["shop_1.1.0"] = PASSWORD
    site.engine.contained.add("shop_1.1.0")
    driver = site.second(login="shop_{version}")
    assert driver.retire(V1, TestFence()) == 0
    assert "DENY CONNECT TO [shop_1.1.0];" in site.server.statements()
    driver.admit(V1, TestFence())
    assert "shop_1.1.0" not in site.server.disabled


def test_a_version_without_its_login_is_not_retired(site: SqlServer) -> None:
    with pytest.raises(LoginMissing):
        site.second(login="shop_{version}").retire(V1, TestFence())


def test_zero_sessions_is_not_said_by_who_sees_none(site: SqlServer) -> None:
    site.server.logins["shop_1.1.0"] = PASSWORD
    site.engine.sees = 0
    with pytest.raises(DatabaseDenied, match="cannot tell that none is left"):
        site.second(login="shop_{version}").retire(V1, TestFence())


# restore points ----------------------------------------------------------------------------------------------


def test_without_snapshots_a_restore_point_is_restored_not_compared(site: SqlServer) -> None:
    site.engine.snapshots = 0
    point = site.driver.backup("before", TestFence())
    assert (point.proof, point.tables) == ("restored", 5)


def test_a_table_that_was_written_meanwhile_is_not_called_compared(site: SqlServer) -> None:
    site.server.after = lambda _, sql: site.insert(1) if sql.startswith("BACKUP") else None
    assert site.driver.backup("before", TestFence()).proof == "restored"


def test_a_copy_that_came_back_different_is_no_restore_point(site: SqlServer) -> None:
    def spoil(_: Session, sql: str) -> None:
        if sql.startswith("RESTORE DATABASE"):
            (copy,) = site.engine.directory.glob("changeover_scratch_*.db")
            with contextlib.closing(sqlite3.connect(copy)) as db, db:
                db.execute("UPDATE orders SET price = 8 WHERE id = 7")

    site.server.after = spoil
    with pytest.raises(RestorePointFailed, match=r"\[orders\]: the values of its 250 rows differ"):
        site.driver.backup("before", TestFence())
    assert list(site.engine.directory.glob("changeover_scratch_*")) == []
    assert not (site.directory / "cards" / "before.json").exists()


def test_a_backup_that_fails_says_the_cause(site: SqlServer) -> None:
    failed = Failed(3202, 'Write on "x.bak" failed: 112', 16, ((3013, "BACKUP DATABASE is terminating abnormally."),))
    site.server.trouble = once(failed, "BACKUP")
    with pytest.raises(RestorePointFailed, match="Write on") as told:
        site.driver.backup("before", TestFence())
    assert "make room" in told.value.next[0]


def test_a_backup_ends_when_the_fence_is_lost(site: SqlServer) -> None:
    site.engine.snapshots = 0
    site.server.trouble = once(Hang(deaf=True), "BACKUP")
    with pytest.raises(FencedOut):
        site.driver.backup("before", lost_after(1))


def test_what_a_killed_backup_has_left_is_dropped(site: SqlServer) -> None:
    site.driver.backup("one", TestFence())
    prefix = next(s for s in site.server.statements() if s.startswith("DROP DATABASE"))[
        len("DROP DATABASE IF EXISTS [") :
    ][:32]
    left = site.engine.file(f"{prefix}left")
    shutil.copy(site.engine.file("shop"), left)
    foreign = site.engine.file("changeover_scratch_000000000000_left")
    shutil.copy(site.engine.file("shop"), foreign)
    site.driver.backup("two", TestFence())
    assert not left.exists()
    assert foreign.exists()


def test_azure_needs_a_command_of_the_users_own(site: SqlServer) -> None:
    site.engine.edition = 5
    with pytest.raises(RestorePointFailed, match="Azure"):
        site.driver.backup("before", TestFence())
    script = ("sh", "-c", 'test -n "$CHANGEOVER_DATABASE_URL" && echo "kept as $CHANGEOVER_BACKUP_ID"')
    driver = site.second(backup=BackupSettings(site.directory / "cards", script))
    point = driver.backup("before", TestFence())
    assert (point.proof, point.location) == ("taken", "kept as before")


# doctor ------------------------------------------------------------------------------------------------------


def test_doctor_tells_what_is_and_what_is_missing(site: SqlServer) -> None:
    found = {f.subject: f for f in site.driver.inspect()}
    assert found["database"].detail == "SQL Server 16.0.4125.3, Developer Edition, answers"
    assert all(f.ok for f in found.values())
    site.engine.edition, site.engine.snapshots, site.engine.sees = 2, 0, 0
    found = {f.subject: f for f in site.driver.inspect()}
    missing = {"online builds", "snapshot isolation", "end older owners", "in the way"}
    assert {s for s, f in found.items() if not f.ok} == missing
    assert not any(f.fatal for f in found.values() if not f.ok)


def test_grants_are_filled_in(site: SqlServer) -> None:
    assert site.second(login="shop_{version}").grants() == (
        "USE [master];",
        "GRANT VIEW SERVER STATE, ALTER ANY CONNECTION TO [shop];",
        "GRANT ALTER ANY LOGIN TO [shop];",
        "GRANT CREATE ANY DATABASE TO [shop];",
        "USE [shop];",
        "GRANT CREATE TABLE, CREATE VIEW, CREATE PROCEDURE, CREATE FUNCTION, CREATE SYNONYM, VIEW DEFINITION TO [shop];",
        "GRANT ALTER, REFERENCES, SELECT, INSERT, UPDATE, DELETE, EXECUTE ON SCHEMA::[dbo] TO [shop];",
        "GRANT BACKUP DATABASE TO [shop];",
    )


# the peer itself ---------------------------------------------------------------------------------------------


def test_another_client_understands_the_peer(site: SqlServer, tmp_path: Path) -> None:
    """FreeTDS shares no code with pytds nor with the peer's encoding: what all three agree on is TDS."""
    bsqldb = need("bsqldb")
    config = tmp_path / "freetds.conf"
    config.write_text(f"[peer]\nhost = 127.0.0.1\nport = {site.server.port}\ntds version = 7.4\nencryption = off\n")
    asked = tmp_path / "in.sql"
    asked.write_text("SELECT id, price FROM orders WHERE id <= 2\n")
    told = subprocess.run(
        [bsqldb, "-S", "peer", "-U", LOGIN, "-P", PASSWORD, "-D", "shop", "-i", str(asked), "-q", "-t,"],
        env={**os.environ, "FREETDSCONF": str(config)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert [line.replace(" ", "") for line in told.stdout.splitlines()] == ["1,1", "2,2"]


# by hand -----------------------------------------------------------------------------------------------------


@pytest.fixture
def shell(site: SqlServer, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs commands for people, with a `sqlcmd` that takes the same arguments and speaks TDS."""
    program = tmp_path / "sqlcmd"
    root = Path(__file__).parents[2]
    program.write_text(f'#!/bin/sh\nPYTHONPATH={root} exec {sys.executable} -m tests.fixtures.sqlcmd "$@"\n')
    program.chmod(0o755)

    def run(*lines: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-c", "\n".join(lines)],
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.parametrize("written", ["whole", "parts"])
def test_the_commands_reach_the_database_and_show_no_password(
    site: SqlServer, shell: Callable[..., Any], written: str
) -> None:
    seen: list[str] = []
    site.server.trouble = lambda _, sql: seen.append(sql)
    site.engine.run = lambda _s, _sql, _v: []  # type: ignore[method-assign]
    url = "${env:DATABASE_URL}" if written == "whole" else site.server.url().replace("hunter2%25zz", "${env:SHOP_PW}")
    driver = site.second(written=url)
    statement = STATEMENTS["add_column"]
    commands = driver.by_hand(statement, marker_of(statement))
    assert not any("hunter2" in c for c in commands)
    told = shell(*commands, DATABASE_URL=site.server.url(), SHOP_PW="hunter2%25zz")
    assert told.returncode == 0, told.stderr
    assert PASSWORD not in told.stdout + told.stderr
    (batch,) = (sql for sql in seen if "sp_executesql" in sql)
    assert "EXECUTE sys.sp_executesql N'ALTER TABLE orders ADD price_cents integer NULL';" in batch


def test_a_command_that_fails_ends_with_an_error(site: SqlServer, shell: Callable[..., Any]) -> None:
    site.server.trouble = once(Failed(1222, "Lock request time out period exceeded."), "SET NOCOUNT ON", 99)
    driver = site.second(limits=Limits(lock_deadline=2.0))
    statement = STATEMENTS["add_column"]
    told = shell(*driver.by_hand(statement, marker_of(statement)), DATABASE_URL=site.server.url())
    assert told.returncode == 1
    assert "STOP: not applied" in told.stderr


def test_a_retired_login_by_hand(site: SqlServer, shell: Callable[..., Any]) -> None:
    left = iter((2, 1, 0))
    answers: list[str] = []

    def run(_: Session, sql: str, _values: Any) -> list[Any]:
        from tests.fixtures.tds import Rows

        answers.append(sql)
        return [Rows([""], [[next(left)]])] if "SELECT COUNT(*)" in sql else []

    site.engine.run = run  # type: ignore[method-assign]
    driver = site.second(login="shop_{version}")
    told = shell(*driver.by_hand_retire(V1), DATABASE_URL=site.server.url())
    assert told.returncode == 0, told.stderr
    assert "ALTER LOGIN [shop_1.1.0] DISABLE;" in answers[0]
    assert sum("SELECT COUNT(*)" in sql for sql in answers) == 3


def test_a_second_driver_is_no_second_claim(site: SqlServer) -> None:
    """What is read is what was written, by whoever looks: a driver keeps nothing of the schema."""
    other = SqlServerDatabase(site.settings)
    statement = Statement(
        "CREATE TABLE more (id int PRIMARY KEY)", "1.1.0.expand.sql", 1, Phase.EXPAND, "+ table more", Lock.BRIEF
    )
    site.driver.apply(statement, marker_of(statement), TestFence())
    assert other.read() == site.driver.read()


def test_a_configuration_is_wired(site: SqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL comes by reference, and is asked for when it is used."""
    from changeover.config import load
    from changeover.service.wires import of
    from changeover.service.wiring import Secrets, _database

    specimen = Path(__file__).parents[1] / "specimens" / "config" / "good-sqlserver.yml"
    url = site.server.url().replace("hunter2%25zz", "${env:SHOP_PW}")
    file = tmp_path / "changeover.yml"
    file.write_text(specimen.read_text().replace("mssql://shop:${env:SHOP_PW}@db-1:1433/shop", url))
    driver = _database(of(load(file)), Secrets.of(tmp_path))
    assert isinstance(driver, SqlServerDatabase)
    monkeypatch.setenv("SHOP_PW", "hunter2%25zz")
    assert driver.read() == site.driver.read()
    assert driver._settings.backup == BackupSettings(tmp_path / "cards", ("dump", "shop"), "/backup")
    assert driver._settings.login == "shop_{version}"
    assert "${SHOP_PW:?}" in driver.by_hand_retire(V1)[0]


def test_without_the_extra_it_says_which_one_is_missing() -> None:
    code = "import sys; sys.modules['pytds'] = None; import changeover.drivers.databases.sqlserver"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert told.stderr.strip().endswith("the SQL Server driver needs python-tds, which is not installed")
    assert "ExtraMissing" in told.stderr

"""MariaDB, with what goes wrong: blockers, take-overs, crashes around DDL that commits by itself, refusals."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pymysql
import pytest
from tests.contract.database_cases import (
    ENVIRONMENT,
    ROWS,
    V1,
    TestFence,
    claim_of,
    lost_after,
    marker_of,
)
from tests.fixtures.cutting_proxy import cutting_proxy
from tests.fixtures.mysql import ADMIN, server
from tests.fixtures.mysql_database import Mysql, database_under_test

from changeover.core.errors import (
    ChangeoverError,
    ChangesEdited,
    DatabaseDenied,
    DatabaseUnreachable,
    FencedOut,
    LockNotObtained,
    LoginMissing,
    StatementFailed,
    StatementFateUnknown,
)
from changeover.core.model import BackfillStatement, Lock, Phase, Probe, Statement
from changeover.drivers.databases.limits import Limits
from changeover.drivers.databases.mysql import MysqlDatabase
from changeover.drivers.databases.mysql_alone import stopper
from changeover.drivers.databases.mysql_blocker import old_holder
from changeover.drivers.databases.mysql_session import Sessions, watchdog

PATIENT = Limits(lock=0.3, lock_deadline=30.0)


@pytest.fixture
def site() -> Iterator[Mysql]:
    with database_under_test() as running:
        running.driver.claim(claim_of(), TestFence())
        yield running


@pytest.fixture
def shown(site: Mysql) -> Iterator[None]:
    """The server shows who holds a table."""
    site.run("INSTALL SONAME 'metadata_lock_info'")
    yield
    site.run("UNINSTALL SONAME 'metadata_lock_info'")


@contextlib.contextmanager
def reading(site: Mysql) -> Iterator[Any]:
    """Somebody who has read the table and is idle in the transaction, for longer than a tenth of a second."""
    with site.server.connect(site.name) as reader, reader.cursor() as cursor:
        cursor.execute("START TRANSACTION")
        cursor.execute("SELECT count(*) FROM orders WHERE 'secret literal' <> ''")
        cursor.fetchall()
        sessions = Sessions(site.driver.url, ENVIRONMENT)
        with sessions.connect() as db:
            until(lambda: old_holder(db, ()))
        yield reader


@dataclass(frozen=True)
class Counting:
    """A fence that does something at its n-th check."""

    at: int
    act: Callable[[], object]
    seen: list[int]
    token: int = 1
    run: str = "r-1"

    def check(self) -> None:
        self.seen.append(1)
        if len(self.seen) == self.at:
            self.act()


def until(seen: Callable[[], Any], seconds: float = 20) -> Any:
    end = time.monotonic() + seconds
    while not (found := seen()):
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.11)  # InnoDB shows its transactions anew after 0.1 s without a look
    return found


@contextlib.contextmanager
def in_background(work: Callable[[], Any]) -> Iterator[Future[Any]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(work)


def slow(seconds: int = 60) -> Statement:
    sql = f"CREATE TABLE slow AS SELECT SLEEP({seconds}) AS slept"
    return Statement(sql, "1.1.0.expand.sql", 1, Phase.EXPAND, "+ table slow", Lock.SCAN, probe=Probe("table", "slow"))


def routine(seconds: int = 0) -> Statement:
    """A statement that the catalogue does not show; `seconds`: it takes so long."""
    sql = f"CREATE OR REPLACE TABLE hidden AS SELECT SLEEP({seconds}) AS slept"
    return Statement(sql, "1.1.0.expand.sql", 7, Phase.EXPAND, "~ table hidden", Lock.SCAN)


def running(site: Mysql, text: str) -> bool:
    return bool(
        site.run(f"SELECT id FROM information_schema.processlist WHERE db = '{site.name}' AND info LIKE '{text}%'")
    )


def begun(site: Mysql) -> list[tuple[Any, ...]]:
    return site.run("SELECT version, phase, idx FROM changeover_applied WHERE done = 0")


# locks -------------------------------------------------------------------------------------------------------


def test_it_waits_its_turn_and_names_who_stood_in_the_way(site: Mysql, shown: None) -> None:
    statement = site.statement("add_column")
    driver = site.second(limits=PATIENT)
    with reading(site) as reader:
        session = reader.thread_id()
        fence = Counting(5, reader.rollback, [])  # checked twice in each attempt
        waited = driver.apply(statement, marker_of(statement), fence)
    assert waited.attempts == 3
    assert f"session {session} " in waited.blocker
    assert "idle in transaction" in waited.blocker
    assert "probably" not in waited.blocker
    assert "secret literal" not in waited.blocker
    assert driver.read().applied == (marker_of(statement),)


def test_behind_an_old_transaction_nobody_queues(site: Mysql, shown: None) -> None:
    """While the change asks again and again for a table that a report holds, it never waits for it, so nobody waits behind."""
    statement = site.statement("add_column")
    waiting = f"SELECT info FROM information_schema.processlist WHERE db = '{site.name}' AND state LIKE 'Waiting for%'"
    fence = Counting(0, lambda: None, [])
    driver = site.second(limits=PATIENT)
    with reading(site) as reader, in_background(lambda: driver.apply(statement, marker_of(statement), fence)) as act:
        while len(fence.seen) < 9:  # four attempts
            assert not act.done()
            assert site.run(waiting) == []
        reader.rollback()
        assert act.result(timeout=20).attempts > 4


def test_a_transaction_elsewhere_does_not_starve_a_change(site: Mysql) -> None:
    """Where the server does not show who holds a table, one attempt in five waits for its turn all the same."""
    site.run("CREATE TABLE elsewhere (id integer PRIMARY KEY)")
    statement = site.statement("add_column")
    stop = threading.Event()

    def read() -> None:
        """Somebody is always reading the table, for less than a tenth of a second."""
        with site.server.connect(site.name) as db, db.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("SELECT SLEEP(0.05) FROM orders LIMIT 1")

    with site.server.connect(site.name) as other, other.cursor() as cursor, ThreadPoolExecutor(4) as pool:
        cursor.execute("START TRANSACTION")
        cursor.execute("SELECT * FROM elsewhere")
        readers = [pool.submit(read) for _ in range(4)]
        try:
            waited = site.second(limits=PATIENT).apply(statement, marker_of(statement), TestFence())
        finally:
            stop.set()
        for one in readers:
            one.result()
    assert 1 <= waited.attempts <= 5


def test_at_the_deadline_nothing_has_changed_and_the_blocker_lives(site: Mysql) -> None:
    statement = site.statement("add_column")
    driver = site.second(limits=Limits(lock=0.3, lock_deadline=1.0))
    with reading(site) as reader:
        with pytest.raises(LockNotObtained) as failed:
            driver.apply(statement, marker_of(statement), TestFence())
        assert f"probably session {reader.thread_id()} " in failed.value.what
        with reader.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)
    assert driver.read().applied == ()
    assert driver.apply(statement, marker_of(statement), TestFence()).attempts == 1


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TRIGGER zz_u BEFORE UPDATE ON orders FOR EACH ROW BEGIN SET NEW.price = NEW.price; END",
        "RENAME TABLE orders TO sales",
        "TRUNCATE TABLE orders",
        "DROP TABLE orders",
        "CREATE INDEX orders_price ON orders (price)",
        "ALTER TABLE orders ADD COLUMN a int, ALGORITHM=INPLACE, LOCK=NONE",
    ],
)
def test_whatever_takes_a_table_lets_go_at_once(site: Mysql, shown: None, sql: str) -> None:
    statement = Statement(sql, "1.1.0.expand.sql", 1, Phase.EXPAND, "~ x", probe=Probe("trigger", "nowhere", "orders"))
    with reading(site), pytest.raises(LockNotObtained, match="idle in transaction"):
        site.second(limits=Limits(lock_deadline=0.3)).apply(statement, marker_of(statement), TestFence())
    assert site.run("SELECT count(*) FROM orders") == [(ROWS,)]


def test_a_batch_that_meets_a_locked_row_is_tried_again_with_half_the_keys(site: Mysql) -> None:
    site.by_hand(site.statement("add_column"))
    driver = site.second(limits=PATIENT)
    with site.server.connect(site.name) as writer, writer.cursor() as cursor:
        cursor.execute("START TRANSACTION")
        cursor.execute("UPDATE orders SET price = 0 WHERE id = 90")
        batch = driver.fill(site.backfill(), None, str(ROWS), 100, TestFence())
    assert (batch.hi, batch.rows) == ("50", 50)


def test_who_holds_a_row_is_named(site: Mysql) -> None:
    site.by_hand(site.statement("add_column"))
    driver = site.second(limits=Limits(lock_deadline=0.5))
    with site.server.connect(site.name) as writer, writer.cursor() as cursor:
        cursor.execute("START TRANSACTION")
        cursor.execute("UPDATE orders SET price = 0 WHERE id = 1")
        with pytest.raises(LockNotObtained, match=f"session {writer.thread_id()} "):
            driver.fill(site.backfill(), None, str(ROWS), 100, TestFence())
    assert site.unfilled() == ROWS


def test_a_statement_that_should_be_brief_and_is_not_is_ended(site: Mysql) -> None:
    driver = site.second(limits=Limits(statement_timeout=0.2))
    statement = replace(slow(), lock=Lock.BRIEF)
    with pytest.raises(StatementFailed, match="1969") as failed:
        driver.apply(statement, marker_of(statement), TestFence())
    assert "longer" in failed.value.next[0]
    assert "Nothing of it is left" in failed.value.now
    assert driver.read().applied == ()


def test_where_the_server_has_no_limit_for_it_a_statement_is_ended_from_beside(site: Mysql) -> None:
    sessions = Sessions(site.driver.url, ENVIRONMENT)
    with (
        sessions.connect() as db,
        stopper(sessions, db, 0.2),
        pytest.raises(pymysql.err.OperationalError, match="interrupted"),
    ):
        db.execute("CREATE TABLE slow AS SELECT SLEEP(60) AS slept")


# crashes around DDL ------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from tests.contract.database_cases import TestFence, claim_of, marker_of
from tests.fixtures.mysql_database import Mysql
from tests.integration.test_mysql import routine
from changeover.drivers.databases.mysql import MysqlDatabase, MysqlSettings

class Killing(TestFence):
    left = int(sys.argv[2])
    def check(self):
        Killing.left -= 1
        if Killing.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

statement = routine() if sys.argv[3] == "routine" else Mysql.__new__(Mysql).statement(sys.argv[3])
driver = MysqlDatabase(MysqlSettings(lambda: sys.argv[1], "production"))
driver.apply(statement, marker_of(statement), Killing())
"""


def killed_at(site: Mysql, check: int, name: str) -> None:
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, site.server.url(site.name), str(check), name],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize("name", ["add_column", "index", "table", "drop_column"])
@pytest.mark.parametrize("check", [1, 2, 3])
def test_a_killed_process_is_gone_on_with(site: Mysql, name: str, check: int) -> None:
    """SIGKILL before, right before the statement, and between the statement and its marker."""
    killed_at(site, check, name)
    statement = site.statement(name)
    assert site.driver.read().applied == ()
    assert statement.probe is not None
    assert site.driver.done(statement.probe) is (check == 3)
    new = site.second(limits=PATIENT)
    new.claim(claim_of(2), TestFence(2))
    waited = new.apply(statement, marker_of(statement, fence=2), TestFence(2))
    assert waited.attempts == (0 if check == 3 else 1)
    assert site.driver.read().applied == (marker_of(statement, fence=2),)
    assert site.driver.done(statement.probe)


def test_what_the_catalogue_cannot_show_is_begun_first_and_marked_last(site: Mysql) -> None:
    assert site.driver.apply(routine(), marker_of(routine()), TestFence()).attempts == 1
    assert site.driver.read().applied == (marker_of(routine()),)
    assert begun(site) == []
    assert site.driver.apply(routine(), marker_of(routine()), TestFence()).attempts == 0


def test_what_was_begun_is_not_repeated_a_person_is_asked(site: Mysql) -> None:
    killed_at(site, 3, "routine")
    assert begun(site) == [("1.1.0", "expand", 0)]
    assert site.driver.read().applied == ()
    new = site.second()
    new.claim(claim_of(2), TestFence(2))
    for _ in range(2):
        with pytest.raises(StatementFateUnknown) as asked:
            new.apply(routine(), marker_of(routine(), fence=2), TestFence(2))
    assert asked.value.where[0].line == 7
    done, not_done = (line.partition(":")[2].strip() for line in asked.value.next[1:3])
    site.run(done)
    assert new.apply(routine(), marker_of(routine()), TestFence(2)).attempts == 0
    site.run("UPDATE changeover_applied SET done = 0")
    site.run(not_done)
    assert new.apply(routine(), marker_of(routine()), TestFence(2)).attempts == 1
    assert len(new.read().applied) == 1


def test_what_was_killed_before_it_began_is_repeated(site: Mysql) -> None:
    killed_at(site, 2, "routine")
    assert begun(site) == []
    assert site.driver.apply(routine(), marker_of(routine()), TestFence()).attempts == 1


@pytest.mark.parametrize("sql", ["DROP FUNCTION nowhere", "ALTER TABLE orders CHANGE nowhere there int"])
def test_what_the_server_refuses_was_not_begun(site: Mysql, sql: str) -> None:
    statement = replace(routine(), sql=sql)
    for _ in range(2):
        with pytest.raises(StatementFailed, match="nowhere"):
            site.driver.apply(statement, marker_of(statement), TestFence())
    assert begun(site) == []


def test_an_unseen_statement_without_its_lock_was_not_begun(site: Mysql) -> None:
    statement = replace(routine(), sql="ALTER TABLE orders COMMENT 'x'")
    with reading(site), pytest.raises(LockNotObtained):
        site.driver.apply(statement, marker_of(statement), TestFence())
    assert begun(site) == []
    assert site.second(limits=PATIENT).apply(statement, marker_of(statement), TestFence()).attempts == 1


def test_rows_and_their_marker_are_one_transaction(site: Mysql) -> None:
    statement = Statement(
        "INSERT INTO orders VALUES (1000, 1)", "1.1.0.expand.sql", 1, Phase.EXPAND, "+ rows of orders"
    )
    with pytest.raises(FencedOut):
        site.driver.apply(statement, marker_of(statement), lost_after(1))
    assert site.driver.read().applied == ()
    assert site.run("SELECT count(*) FROM orders") == [(ROWS,)]
    assert site.driver.apply(statement, marker_of(statement), TestFence()).attempts == 1
    assert site.driver.apply(statement, marker_of(statement), TestFence()).attempts == 0
    assert site.run("SELECT count(*) FROM orders") == [(ROWS + 1,)]


def test_what_the_catalogue_does_not_show_afterwards_is_no_success(site: Mysql) -> None:
    statement = replace(site.statement("add_column"), probe=Probe("column", "another", "orders"))
    with pytest.raises(StatementFailed, match="does not show it") as failed:
        site.driver.apply(statement, marker_of(statement), TestFence())
    assert failed.value.now.startswith("Unknown")
    assert site.driver.read().applied == ()


def test_an_edited_statement_that_was_only_begun_is_asked_about_too(site: Mysql) -> None:
    killed_at(site, 3, "routine")
    edited = replace(routine(), sql=routine().sql + " WHERE 1 = 1")
    with pytest.raises(StatementFateUnknown):
        site.driver.apply(edited, marker_of(edited), TestFence())
    site.run("UPDATE changeover_applied SET done = 1")
    with pytest.raises(ChangesEdited):
        site.driver.apply(edited, marker_of(edited), TestFence())


# take-over ---------------------------------------------------------------------------------------------------


def test_a_take_over_ends_a_statement_under_way(site: Mysql) -> None:
    statement = slow()
    with in_background(lambda: site.driver.apply(statement, marker_of(statement), TestFence(1))) as old:
        until(lambda: running(site, "CREATE TABLE slow"))
        site.second().claim(claim_of(2), TestFence(2))
        assert not running(site, "CREATE TABLE slow")
        with pytest.raises(FencedOut):
            old.result(timeout=20)
    reading_ = site.driver.read()
    assert (reading_.applied, reading_.claim) == ((), claim_of(2))
    assert site.driver.done(Probe("table", "slow", present=False))


def test_a_take_over_of_an_unseen_statement_leaves_the_question_open(site: Mysql) -> None:
    statement = routine(60)
    with in_background(lambda: site.driver.apply(statement, marker_of(statement), TestFence(1))) as old:
        until(lambda: running(site, "CREATE OR REPLACE TABLE hidden"))
        new = site.second()
        new.claim(claim_of(2), TestFence(2))
        with pytest.raises(FencedOut):
            old.result(timeout=20)
    with pytest.raises(StatementFateUnknown):
        new.apply(statement, marker_of(statement, fence=2), TestFence(2))


def test_batches_share_a_session_that_may_be_lost_between_them(site: Mysql) -> None:
    site.by_hand(site.statement("add_column"))

    def sessions() -> set[int]:
        found = site.server.run(f"SELECT id FROM information_schema.processlist WHERE db = '{site.name}'")
        return {session for (session,) in found}

    def fill(after: str | None) -> str | None:
        return site.driver.fill(site.backfill(), after, str(ROWS), 30, TestFence()).hi

    others = sessions()
    after = fill(None)
    first = sessions() - others
    assert len(first) == 1
    after = fill(after)
    assert sessions() - others == first
    site.server.run(f"KILL {first.pop()}")
    while after is not None:
        after = fill(after)
    assert site.unfilled() == 0
    until(lambda: not sessions() - others)


def test_a_batch_of_an_owner_that_was_taken_over_between_two_is_refused(site: Mysql) -> None:
    site.by_hand(site.statement("add_column"))
    after = site.driver.fill(site.backfill(), None, str(ROWS), 30, TestFence()).hi
    site.second().claim(claim_of(2), TestFence(2))
    with pytest.raises(FencedOut):
        site.driver.fill(site.backfill(), after, str(ROWS), 30, TestFence())
    assert site.unfilled() == ROWS - 30


def test_a_take_over_ends_a_backfill_in_its_transaction(site: Mysql) -> None:
    """The old owner holds the claim row; its process has stopped for good."""
    site.by_hand(site.statement("add_column"))
    stopped, go_on = threading.Event(), threading.Event()

    def stop() -> None:
        stopped.set()
        go_on.wait(20)

    fence = Counting(2, stop, [])  # right before the commit
    with in_background(lambda: site.driver.fill(site.backfill(), None, str(ROWS), 100, fence)) as old:
        assert stopped.wait(20)
        new = site.second()
        new.claim(claim_of(2), TestFence(2))
        go_on.set()
        with pytest.raises(FencedOut):
            old.result(timeout=20)
    assert site.unfilled() == ROWS
    assert new.fill(site.backfill(), None, str(ROWS), 100, TestFence(2)).rows == 100


def test_a_renewed_claim_leaves_its_own_act_alone(site: Mysql) -> None:
    statement = slow(2)
    with in_background(lambda: site.driver.apply(statement, marker_of(statement), TestFence(1))) as act:
        until(lambda: running(site, "CREATE TABLE slow"))
        site.second().claim(claim_of(1), TestFence(1))
        assert act.result(timeout=20).attempts == 1


def test_a_person_who_adopts_ends_the_other_stores_act(site: Mysql) -> None:
    statement = slow()
    with in_background(lambda: site.driver.apply(statement, marker_of(statement), TestFence(1))) as old:
        until(lambda: running(site, "CREATE TABLE slow"))
        site.second().adopt(claim_of(1, store="store-b"))
        with pytest.raises(ChangeoverError):
            old.result(timeout=20)
    assert not running(site, "CREATE TABLE slow")


def test_two_environments_on_one_server_do_not_meet(site: Mysql) -> None:
    with database_under_test() as other:
        other.driver.claim(claim_of(9), TestFence(9))
        statement = slow(2)
        with in_background(lambda: site.driver.apply(statement, marker_of(statement), TestFence(1))) as act:
            until(lambda: running(site, "CREATE TABLE slow"))
            other.driver.claim(claim_of(10), TestFence(10))
            one = other.statement("add_column")
            assert other.driver.apply(one, marker_of(one), TestFence(10)).attempts == 1
            assert act.result(timeout=20).attempts == 1


def test_ending_another_logins_session_needs_a_privilege_that_is_named(site: Mysql) -> None:
    login = f"poor_{site.name}"
    site.run(f"CREATE USER {login}@'%' IDENTIFIED BY 'x'")
    site.run(f"GRANT ALL PRIVILEGES ON {site.name}.* TO {login}@'%'")
    statement = slow(5)
    try:
        with in_background(lambda: site.driver.apply(statement, marker_of(statement), TestFence(1))) as old:
            until(lambda: running(site, "CREATE TABLE slow"))
            poor = site.second(url=lambda: site.server.url(site.name, login, "x"))
            with pytest.raises(DatabaseDenied, match="another login") as denied:
                poor.claim(claim_of(2), TestFence(2))
            assert "GRANT CONNECTION ADMIN" in denied.value.next[0]
            assert old.result(timeout=20).attempts == 1
        assert site.driver.read().claim == claim_of(1)
    finally:
        site.run(f"DROP USER {login}@'%'")


# lost connections --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [("reply",), ("request",), ("request", "reply")])
@pytest.mark.parametrize("name", ["add_column", "routine", "rows"])
def test_a_commit_whose_fate_is_unknown_is_looked_up(site: Mysql, cuts: tuple[Any, ...], name: str) -> None:
    """The commit of the marker: this process still knows that the statement had succeeded."""
    rows = Statement("DELETE FROM orders WHERE id = 7", "x", 1, Phase.EXPAND, "- rows")
    statement = {"routine": routine(), "rows": rows}.get(name) or site.statement(name)
    with cutting_proxy(site.server.port, *cuts) as proxy:
        url = site.server.url(site.name, port=proxy.port)
        waited = site.second(url=lambda: url, limits=PATIENT).apply(statement, marker_of(statement), TestFence())
        assert proxy.made == list(cuts)
    assert waited.attempts >= 1
    assert site.driver.read().applied == (marker_of(statement),)
    assert begun(site) == []


@pytest.mark.parametrize("cut", ["reply", "request"])
def test_a_phase_is_completed_once_through_a_lost_reply(site: Mysql, cut: Any) -> None:
    with cutting_proxy(site.server.port, cut) as proxy:
        url = site.server.url(site.name, port=proxy.port)
        assert site.second(url=lambda: url, limits=PATIENT).complete(marker_of(), TestFence()) == 1
        assert proxy.made == [cut]
    assert site.driver.read().revision == 1


def test_a_session_that_is_ended_again_and_again_is_given_up(site: Mysql) -> None:
    statement = slow()
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(0.05):
            for (session,) in site.run(
                "SELECT id FROM information_schema.processlist WHERE info LIKE 'CREATE TABLE slow%'"
            ):
                with contextlib.suppress(pymysql.err.Error):
                    site.run(f"KILL {session}")

    with in_background(kill):
        try:
            with pytest.raises(DatabaseUnreachable) as failed:
                site.driver.apply(statement, marker_of(statement), TestFence())
        finally:
            stop.set()
    assert "not known" in failed.value.now
    assert site.driver.read().applied == ()


def test_it_is_there_again_after_a_restart_of_the_server(site: Mysql) -> None:
    statement = site.statement("add_column")
    before = site.driver.read()
    site.server.stop()
    try:
        for act in (
            site.driver.read,
            lambda: site.driver.apply(statement, marker_of(statement), TestFence()),
            lambda: site.driver.claim(claim_of(2), TestFence(2)),
        ):
            with pytest.raises(DatabaseUnreachable) as failed:
                act()
            assert failed.value.now == "Nothing was changed."
        assert [f.ok for f in site.driver.inspect()] == [False]
    finally:
        site.server.start()
    assert site.driver.read() == before
    assert site.driver.apply(statement, marker_of(statement), TestFence()).attempts == 1


def test_a_server_that_is_killed_between_statement_and_marker(site: Mysql) -> None:
    """The server's own recovery decides what is there, and the catalogue tells."""
    statement = site.statement("add_column")

    def kill() -> None:
        site.server.stop(signal.SIGKILL)
        site.server.start()

    fence = Counting(3, kill, [])  # after the statement, before its marker
    site.second(limits=PATIENT).apply(statement, marker_of(statement), fence)
    assert site.driver.read().applied == (marker_of(statement),)
    assert statement.probe is not None
    assert site.driver.done(statement.probe)


def test_a_server_that_hangs_is_cut_off(site: Mysql) -> None:
    sessions = Sessions(site.driver.url, ENVIRONMENT)
    with pytest.raises(pymysql.err.OperationalError), sessions.connect() as db, watchdog(db, 0.2):
        db.execute("SELECT SLEEP(60)")


# refusals ----------------------------------------------------------------------------------------------------


def refused(site: Mysql, url: str) -> ChangeoverError:
    driver = site.second(url=lambda: url)
    with pytest.raises(ChangeoverError) as failed:
        driver.read()
    (finding,) = driver.inspect()
    assert not finding.ok
    for text in (str(failed.value), *failed.value.next, failed.value.now, finding.detail, finding.fix):
        assert "hunter2" not in text
    return failed.value


def test_a_wrong_password_is_not_shown(site: Mysql) -> None:
    error = refused(site, site.server.url(site.name, ADMIN, "hunter2"))
    assert isinstance(error, DatabaseUnreachable)
    assert ADMIN in error.what


@pytest.mark.parametrize(
    "url",
    ["mysql://u:hunter2@h", "postgresql://u:hunter2@h/d", "mysql://u:hunter2@h:x/d", "mysql://u:hunter2@h/d?odd=1"],
)
def test_a_url_that_cannot_be_read_is_not_shown(site: Mysql, url: str) -> None:
    assert isinstance(refused(site, url), DatabaseUnreachable)


def test_no_such_database(site: Mysql) -> None:
    assert isinstance(refused(site, site.server.url("nowhere")), DatabaseUnreachable)


def test_the_socket_serves_as_well(site: Mysql) -> None:
    url = site.server.url(site.name).replace(f"127.0.0.1:{site.server.port}", "") + f"?unix_socket={site.server.socket}"
    site.run(f"CREATE USER IF NOT EXISTS {ADMIN}@localhost IDENTIFIED BY 'pa%ss:w@rd'")
    site.run(f"GRANT ALL PRIVILEGES ON *.* TO {ADMIN}@localhost")
    try:
        driver = site.second(url=lambda: url)
        assert driver.read() == site.driver.read()
        assert driver.backup("by-socket", TestFence()).proof == "compared"
    finally:
        site.run(f"DROP USER {ADMIN}@localhost")


def test_values_of_rows_are_in_no_error(site: Mysql) -> None:
    site.run("CREATE TABLE people (id int PRIMARY KEY, email varchar(60))")
    site.run("INSERT INTO people VALUES (1, 'ann@secret.example'), (2, 'ann@secret.example')")
    sql = "ALTER TABLE people ADD UNIQUE KEY people_email (email)"
    statement = Statement(sql, "x", 1, Phase.EXPAND, "+ index", probe=Probe("index", "people_email", "people"))
    with pytest.raises(StatementFailed, match="1062") as failed:
        site.driver.apply(statement, marker_of(statement), TestFence())
    assert "secret" not in failed.value.what
    assert "people_email" in failed.value.what


def test_a_replica_is_told_as_one(site: Mysql) -> None:
    login = f"plain_{site.name}"
    site.run(f"CREATE USER {login}@'%' IDENTIFIED BY 'x'")
    site.run(f"GRANT ALL PRIVILEGES ON {site.name}.* TO {login}@'%'")
    driver = site.second(url=lambda: site.server.url(site.name, login, "x"))
    driver.claim(claim_of(1), TestFence(1))
    statement = site.statement("add_column")
    site.run("SET GLOBAL read_only = 1")
    try:
        with pytest.raises(DatabaseUnreachable, match="takes no writes"):
            driver.apply(statement, marker_of(statement), TestFence())
        assert any(f.subject == "primary" and not f.ok for f in driver.inspect())
    finally:
        site.run("SET GLOBAL read_only = 0")
        site.run(f"DROP USER {login}@'%'")


@pytest.fixture
def poor(site: Mysql) -> Iterator[MysqlDatabase]:
    """A driver whose login may only read the tables."""
    login = f"poor_{site.name}"
    site.run(f"CREATE USER {login}@'%' IDENTIFIED BY 'x'")
    site.run(f"GRANT SELECT ON {site.name}.* TO {login}@'%'")
    for table in ("claim", "applied", "state"):
        site.run(f"DROP TABLE changeover_{table}")
    site.run("CREATE VIEW cheap AS SELECT id FROM orders WHERE price < 10")
    site.run("CREATE FUNCTION twice(a int) RETURNS int DETERMINISTIC RETURN 2 * a")
    site.run("CREATE TRIGGER zz_i BEFORE INSERT ON orders FOR EACH ROW SET NEW.price = NEW.price")
    site.run("CREATE USER 'shop_1.1.0'@'%' IDENTIFIED BY 'x'")
    try:
        yield site.second(url=lambda: site.server.url(site.name, login, "x"), login="shop_{version}")
    finally:
        site.run(f"DROP USER {login}@'%', 'shop_1.1.0'@'%'")


def test_a_missing_privilege_is_named_with_its_cure(site: Mysql, poor: MysqlDatabase) -> None:
    with pytest.raises(DatabaseDenied) as denied:
        poor.claim(claim_of(), TestFence())
    assert "--grants" in denied.value.next[0]
    found = {f.subject for f in poor.inspect() if not f.ok}
    assert found >= {"privileges", "see others", "restore into scratch", "compare restore points", "retire versions"}


def test_the_grants_are_enough(site: Mysql, poor: MysqlDatabase) -> None:
    lines = poor.grants()
    for line in lines:
        site.run(line)
    assert [f for f in poor.inspect() if not f.ok and f.fatal] == []
    poor.claim(claim_of(), TestFence())
    for n, name in enumerate(("add_column", "index", "table")):
        statement = site.statement(name)
        assert poor.apply(statement, marker_of(statement, n), TestFence()).attempts == 1
    assert poor.fill(site.backfill(), None, str(ROWS), 1_000, TestFence()).rows == ROWS
    assert poor.backup("before", TestFence()).proof == "compared"
    site.run("DROP TRIGGER zz_i")
    poor.rehearse((site.statement("drop_column"),)).close()
    assert poor.retire(V1, TestFence()) == 0
    poor.admit(V1, TestFence())


def test_inspect_tells_what_would_be_in_the_way(site: Mysql) -> None:
    site.run("CREATE TABLE old (id int PRIMARY KEY) ENGINE=MyISAM")
    site.run("CREATE TABLE packed (id int PRIMARY KEY) ROW_FORMAT=COMPRESSED")
    found = {f.subject: f for f in site.driver.inspect() if not f.ok}
    assert set(found) == {"engine", "row format", "who holds a table"}
    assert not any(f.fatal for f in found.values())


def test_a_binary_log_that_would_refuse_is_told() -> None:
    with server(log_bin="bin", binlog_format="STATEMENT", sql_mode="ANSI_QUOTES") as own, own.database() as name:
        own.run("CREATE USER plain@'%' IDENTIFIED BY 'x'")
        own.run(f"GRANT ALL PRIVILEGES ON {name}.* TO plain@'%'")
        with database_under_test() as site:
            driver = site.second(url=lambda: own.url(name, "plain", "x"))
            found = {f.subject for f in driver.inspect() if not f.ok}
    assert {"binary log", "create triggers", "sql_mode"} <= found


# probes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probe", "sql"),
    [
        (Probe("view", "cheap"), "CREATE VIEW cheap AS SELECT id FROM orders"),
        (Probe("view", "`odd ``name`"), "CREATE VIEW `odd ``name` AS SELECT id FROM orders"),
        (Probe("index", "i", "`orders`"), "CREATE INDEX i ON orders (price)"),
        (Probe("constraint", "positive", "orders"), "ALTER TABLE orders ADD CONSTRAINT positive CHECK (price >= 0)"),
        (Probe("constraint", "u", "orders"), "ALTER TABLE orders ADD CONSTRAINT u UNIQUE (price, id)"),
        (Probe("trigger", "zz", "orders"), "CREATE TRIGGER zz BEFORE INSERT ON orders FOR EACH ROW SET NEW.price = 1"),
        (Probe("trigger", "zz"), "CREATE TRIGGER zz BEFORE INSERT ON orders FOR EACH ROW SET NEW.price = 1"),
        (Probe("default", "price", "orders"), "ALTER TABLE orders ALTER COLUMN price SET DEFAULT 5"),
        (Probe("not_null", "price", "orders", present=False), "ALTER TABLE orders MODIFY price int NULL"),
        (Probe("function", "twice", definition="function"), "CREATE FUNCTION twice(a int) RETURNS int RETURN 2 * a"),
        (Probe("function", "nothing"), "CREATE PROCEDURE nothing() SELECT 1"),
        (Probe("sequence", "tickets"), "CREATE SEQUENCE tickets"),
        (
            Probe("column", "mood", "orders", definition="enum('a b', 'c')"),
            "ALTER TABLE orders ADD mood enum('a b','c')",
        ),
        (
            Probe("column", "price", "orders", definition="bigint unsigned"),
            "ALTER TABLE orders MODIFY price bigint unsigned",
        ),
        (Probe("column", "extra", "orders", definition="json"), "ALTER TABLE orders ADD extra json"),
    ],
)
def test_what_a_probe_sees(site: Mysql, probe: Probe, sql: str) -> None:
    assert not site.driver.done(probe)
    if not probe.definition:
        assert site.driver.done(replace(probe, present=not probe.present))
    site.run(sql)
    assert site.driver.done(probe)
    assert not site.driver.done(replace(probe, present=not probe.present))
    qualified = {k: f"{site.name}.{v}" for k, v in (("table", probe.table), ("name", probe.name)) if v}
    if probe.table:
        assert site.driver.done(replace(probe, table=qualified["table"]))
    elif probe.what not in ("index", "constraint"):
        assert site.driver.done(replace(probe, name=qualified["name"]))


def test_a_trigger_that_the_login_may_not_see_does_not_count_as_dropped(site: Mysql) -> None:
    site.run("CREATE TRIGGER zz BEFORE INSERT ON orders FOR EACH ROW SET NEW.price = 1")
    login = f"poor_{site.name}"
    site.run(f"CREATE USER {login}@'%' IDENTIFIED BY 'x'")
    site.run(f"GRANT SELECT ON {site.name}.* TO {login}@'%'")
    try:
        with pytest.raises(DatabaseDenied):
            site.second(url=lambda: site.server.url(site.name, login, "x")).done(Probe("trigger", "zz", present=False))
    finally:
        site.run(f"DROP USER {login}@'%'")


# logins ------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(site: Mysql) -> Iterator[MysqlDatabase]:
    for host in ("%", "127.0.0.1"):
        site.run(f"CREATE USER 'shop_1.1.0'@'{host}' IDENTIFIED BY 'x'")
        site.run(f"GRANT ALL PRIVILEGES ON {site.name}.* TO 'shop_1.1.0'@'{host}'")
    try:
        yield site.second(login="shop_{version}")
    finally:
        site.run("DROP USER 'shop_1.1.0'@'%', 'shop_1.1.0'@'127.0.0.1'")


def test_a_retired_version_can_neither_stay_nor_come_back(site: Mysql, shop: MysqlDatabase) -> None:
    url = site.server.url(site.name, "shop_1.1.0", "x")
    sessions = [Sessions(lambda: url, ENVIRONMENT).connect() for _ in range(3)]
    sessions[0].execute("START TRANSACTION")
    sessions[0].execute("UPDATE orders SET price = 0 WHERE id = 1")
    assert shop.retire(V1, TestFence()) == 0
    for one in sessions:
        with pytest.raises(pymysql.err.Error):
            one.execute("SELECT 1")
        one.close()
    assert site.run("SELECT count(*) FROM orders WHERE price = 0") == [(0,)]
    with pytest.raises(pymysql.err.OperationalError, match="locked"):
        Sessions(lambda: url, ENVIRONMENT).connect()
    assert shop.retire(V1, TestFence()) == 0
    for _ in range(2):
        shop.admit(V1, TestFence())
    Sessions(lambda: url, ENVIRONMENT).connect().close()


def test_a_version_without_a_login_of_its_own_is_refused(site: Mysql) -> None:
    driver = site.second(login="nobody_{version}")
    for act in (driver.retire, driver.admit):
        with pytest.raises(LoginMissing, match=r"nobody_1\.1\.0"):
            act(V1, TestFence())


@pytest.mark.parametrize("checks", [0, 1])
def test_a_lost_fence_retires_nobody(site: Mysql, shop: MysqlDatabase, checks: int) -> None:
    with pytest.raises(FencedOut):
        shop.retire(V1, lost_after(checks))
    site.second().claim(claim_of(2), TestFence(2))
    with pytest.raises(FencedOut):
        shop.retire(V1, TestFence(1))
    Sessions(lambda: site.server.url(site.name, "shop_1.1.0", "x"), ENVIRONMENT).connect().close()


# keys of backfills -------------------------------------------------------------------------------------------


def keyed(site: Mysql, kind: str, keys: list[Any]) -> BackfillStatement:
    site.run(f"CREATE TABLE things (code {kind} PRIMARY KEY, done boolean)")
    with site.server.connect(site.name) as db, db.cursor() as cursor:
        cursor.executemany("INSERT INTO things (code) VALUES (%s)", [(k,) for k in keys])
    sql = "UPDATE things SET done = '100%' <> '' WHERE (done IS NULL) AND code > :lo AND code <= :hi"
    return BackfillStatement(sql, "1.1.0.backfill.sql", 1, "things", "code", "~ backfill things.done")


COUNTABLE = [
    ("smallint", ["-3", "-2", "0", "9", "10", "11", "100"]),
    ("bigint unsigned", ["0", "9007199254740993", "9007199254740994", "18446744073709551615"]),
    ("decimal(40)", ["-3", "9", "10", "123456789012345678901234567890"]),
    ("varchar(20)", ["a", "B", "ö", "a b", "10", "9", "Z"]),
    ("varchar(20) CHARACTER SET latin1", ["x'y", 'q"', "%s", "\\", "é"]),
    ("varchar(20) COLLATE utf8mb4_bin", ["a", "A", ":lo", "`"]),
    ("binary(3)", [b"\x00\x01\x02", b"\xff\xfe\xfd", b"abc"]),
    ("varbinary(16)", [b"\x00", b"'", b"\\"]),
    ("uuid", [f"{n:08x}-0000-0000-0000-000000000000" for n in (1, 77, 0xFFFFFFFF)]),
]


@pytest.mark.parametrize(("kind", "keys"), COUNTABLE)
def test_keys_compare_as_their_type(site: Mysql, kind: str, keys: list[Any]) -> None:
    statement = keyed(site, kind, keys)
    assert site.driver.gap(statement).remaining == len(keys)
    upto, after, rows = site.driver.last_key(statement), None, 0
    assert upto is not None
    for _ in keys:
        batch = site.driver.fill(statement, after, upto, 2, TestFence())
        rows, after = rows + batch.rows, batch.hi
        if after is None:
            break
    assert (rows, after) == (len(keys), None)
    assert site.driver.gap(statement).remaining == 0


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("varchar(9)", ["", "a"]),
        ("varchar(9)", ["\x01", "a"]),
        ("decimal(9, 1)", ["0.5", "2"]),
        ("date", ["2026-01-01"]),
        ("varbinary(9)", [b"", b"a"]),
    ],
)
def test_keys_that_cannot_be_counted_off_are_refused(site: Mysql, kind: str, keys: list[Any]) -> None:
    statement = keyed(site, kind, keys)
    with pytest.raises(StatementFailed, match="a key that is none of them"):
        site.driver.fill(statement, None, str(keys[-1]), 10, TestFence())


def test_a_backfill_of_an_empty_table_is_finished(site: Mysql) -> None:
    statement = keyed(site, "bigint", [])
    assert site.driver.last_key(statement) is None
    assert site.driver.gap(statement).remaining == 0
    assert site.driver.fill(statement, None, "10", 10, TestFence()).hi is None


def test_writers_lose_nothing_to_a_backfill(site: Mysql) -> None:
    """New rows and updates while batches run; the triggers keep both columns equal."""
    when = "IF NEW.price_cents IS NULL{more} THEN SET NEW.price_cents = NEW.price * 100; END IF"
    for sql in (
        "ALTER TABLE orders ADD COLUMN price_cents integer",
        f"CREATE TRIGGER zz_u BEFORE UPDATE ON orders FOR EACH ROW BEGIN {when.format(more=' OR NEW.price <> OLD.price')}; END",
        f"CREATE TRIGGER zz_i BEFORE INSERT ON orders FOR EACH ROW BEGIN {when.format(more='')}; END",
    ):
        statement = Statement(sql, "x", 1, Phase.EXPAND, "+ x", probe=None)
        site.driver.apply(statement, marker_of(statement, index=len(site.driver.read().applied)), TestFence())
    stop = threading.Event()
    written = []

    def write() -> None:
        with site.server.connect(site.name) as db, db.cursor() as cursor:
            n = 0
            while not stop.is_set():
                n += 1
                cursor.execute("UPDATE orders SET price = %s WHERE id = %s", (10_000 + n, n % ROWS + 1))
                cursor.execute("INSERT INTO orders (id, price) VALUES (%s, %s)", (10_000 + n, n))
                written.append(n)

    driver = site.second(limits=PATIENT)
    statement_ = site.backfill()
    with in_background(write) as writer:
        try:
            until(lambda: len(written) > 5)
            upto, after = driver.last_key(statement_), None
            assert upto is not None
            while (after := driver.fill(statement_, after, upto, 20, TestFence()).hi) is not None:
                assert not writer.done()
        finally:
            stop.set()
    writer.result()
    assert site.run("SELECT count(*) FROM orders WHERE NOT (price_cents <=> price * 100)") == [(0,)]
    assert driver.gap(statement_).remaining == 0

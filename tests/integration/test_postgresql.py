"""PostgreSQL, with what goes wrong: blockers, take-overs, lost replies, restarts, refusals."""

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

import psycopg
import pytest
from tests.contract.database_cases import ENVIRONMENT, ROWS, V1, TestFence, claim_of, marker_of
from tests.fixtures.cutting_proxy import cutting_proxy
from tests.fixtures.postgresql import SCRAM_USER
from tests.fixtures.postgresql_database import Postgresql, database_under_test

from changeover.core.errors import (
    ChangeoverError,
    DatabaseDenied,
    DatabaseUnreachable,
    FencedOut,
    LockNotObtained,
    LoginMissing,
    StatementFailed,
)
from changeover.core.model import BackfillStatement, Lock, Phase, Probe, Statement
from changeover.drivers.databases.limits import Limits
from changeover.drivers.databases.postgresql import PostgresqlDatabase
from changeover.drivers.databases.postgresql_session import Sessions, watchdog
from changeover.schema.classify import classify

PATIENT = Limits(lock=0.3, lock_deadline=30.0)
SECRET = "hunter2%zz"


@pytest.fixture
def site() -> Iterator[Postgresql]:
    with database_under_test() as running:
        running.driver.claim(claim_of(), TestFence())
        yield running


@contextlib.contextmanager
def reading(site: Postgresql) -> Iterator[psycopg.Connection[Any]]:
    """Somebody who has read the table and is idle in the transaction."""
    with psycopg.connect(site.server.url(site.name), application_name="report") as reader:
        reader.execute("SELECT count(*) FROM orders WHERE 'secret literal' <> ''")
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
        time.sleep(0.01)
    return found


@contextlib.contextmanager
def in_background(work: Callable[[], Any]) -> Iterator[Future[Any]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(work)


def slow(seconds: int = 60) -> Statement:
    sql = f"CREATE TABLE slow AS SELECT pg_sleep({seconds})::text AS slept"
    return Statement(sql, "1.1.0.expand.sql", 1, Phase.EXPAND, "+ table slow", Lock.SCAN, probe=Probe("table", "slow"))


def running(site: Postgresql, text: str) -> bool:
    return bool(
        site.run(
            "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND datname = current_database() "
            f"AND query LIKE '{text}%' AND pid <> pg_backend_pid()"
        )
    )


# locks -------------------------------------------------------------------------------------------------------


def test_it_waits_its_turn_and_names_who_stood_in_the_way(site: Postgresql) -> None:
    statement = site.statement("add_column")
    driver = site.second(limits=PATIENT)
    with reading(site) as reader:
        pid = reader.info.backend_pid
        fence = Counting(3, reader.rollback, [])  # checked once before each attempt
        waited = driver.apply(statement, marker_of(statement), fence)
    assert waited.attempts == 3
    assert waited.waited > 0
    assert f"pid {pid} " in waited.blocker
    assert '"report"' in waited.blocker
    assert "idle in transaction" in waited.blocker
    assert "secret literal" not in waited.blocker
    assert driver.read().applied == (marker_of(statement),)


def test_at_the_deadline_nothing_has_changed_and_the_blocker_lives(site: Postgresql) -> None:
    statement = site.statement("add_column")
    driver = site.second(limits=Limits(lock=0.3, lock_deadline=1.0))
    with reading(site) as reader:
        with pytest.raises(LockNotObtained) as failed:
            driver.apply(statement, marker_of(statement), TestFence())
        assert f"pid {reader.info.backend_pid} " in failed.value.what
        assert reader.execute("SELECT 1").fetchone() == (1,)
    assert driver.read().applied == ()
    assert driver.apply(statement, marker_of(statement), TestFence()).attempts == 1


def test_a_batch_that_meets_a_locked_row_is_tried_again_with_half_the_keys(site: Postgresql) -> None:
    site.by_hand(site.statement("add_column"))
    driver = site.second(limits=PATIENT)
    with psycopg.connect(site.server.url(site.name)) as writer:
        writer.execute("UPDATE orders SET price = 0 WHERE id = 90")
        batch = driver.fill(site.backfill(), None, str(ROWS), 100, TestFence())
    assert (batch.hi, batch.rows) == ("50", 50)


def test_a_statement_that_should_be_brief_and_is_not_is_ended(site: Postgresql) -> None:
    driver = site.second(limits=Limits(statement_timeout=0.2))
    statement = replace(slow(), lock=Lock.BRIEF)
    with pytest.raises(StatementFailed, match="57014") as failed:
        driver.apply(statement, marker_of(statement), TestFence())
    assert "longer" in failed.value.next[0]
    assert driver.read().applied == ()


# CONCURRENTLY ------------------------------------------------------------------------------------------------


def unique_index(site: Postgresql) -> Statement:
    return site.classified("CREATE UNIQUE INDEX CONCURRENTLY orders_price ON orders (price);")


def indexes(site: Postgresql) -> list[tuple[str, bool]]:
    return site.run(
        "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = 'orders'::regclass AND NOT indisprimary"
    )


def test_an_invalid_leftover_is_built_again(site: Postgresql) -> None:
    statement = unique_index(site)
    site.run("INSERT INTO orders VALUES (1000, 1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        site.run(statement.sql)
    assert indexes(site) == [("orders_price", False)]
    site.run("DELETE FROM orders WHERE id = 1000")
    assert statement.probe is not None
    assert not site.driver.done(statement.probe)
    assert site.driver.apply(statement, marker_of(statement), TestFence()).attempts == 1
    assert indexes(site) == [("orders_price", True)]
    assert site.driver.done(statement.probe)


def test_a_build_that_fails_leaves_no_invalid_index(site: Postgresql) -> None:
    site.run("INSERT INTO orders VALUES (1000, 1)")
    statement = unique_index(site)
    with pytest.raises(StatementFailed, match="23505") as failed:
        site.driver.apply(statement, marker_of(statement), TestFence())
    assert "Nothing of it is left" in failed.value.now
    assert indexes(site) == []
    assert site.driver.read().applied == ()


def test_an_index_that_somebody_else_is_building_is_left_alone(site: Postgresql) -> None:
    statement = site.statement("index")
    with reading(site) as reader:
        reader.execute("UPDATE orders SET price = price WHERE id = 1")  # the build waits for this transaction
        with in_background(lambda: site.run(statement.sql)) as other:
            until(lambda: indexes(site))
            with pytest.raises(LockNotObtained, match="is building orders_price"):
                site.driver.apply(statement, marker_of(statement), TestFence())
            reader.rollback()
            other.result(timeout=20)
    assert indexes(site) == [("orders_price", True)]
    assert site.driver.apply(statement, marker_of(statement), TestFence()).attempts == 0


def test_a_concurrent_build_names_whom_it_waits_for(site: Postgresql) -> None:
    statement = site.statement("index")
    with reading(site) as reader:
        reader.execute("UPDATE orders SET price = price WHERE id = 1")
        with in_background(lambda: site.driver.apply(statement, marker_of(statement), TestFence())) as build:
            until(
                lambda: site.run(
                    "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'changeover/%' AND wait_event_type = 'Lock'"
                )
            )
            until(
                lambda: len(site.run("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'changeover/%'")) > 1
            )
            time.sleep(0.2)  # the watch looks every 0.02 s
            reader.rollback()
            waited = build.result(timeout=20)
    assert '"report"' in waited.blocker


# take-over ---------------------------------------------------------------------------------------------------


def test_a_take_over_ends_a_statement_under_way(site: Postgresql) -> None:
    statement = slow()
    with in_background(lambda: site.driver.apply(statement, marker_of(statement), TestFence(1))) as old:
        until(lambda: running(site, "CREATE TABLE slow"))
        site.second().claim(claim_of(2), TestFence(2))
        with pytest.raises(FencedOut):
            old.result(timeout=20)
    assert not running(site, "CREATE TABLE slow")
    reading_ = site.driver.read()
    assert (reading_.applied, reading_.claim) == ((), claim_of(2))
    assert site.driver.done(Probe("table", "slow", present=False))


def test_a_take_over_ends_a_concurrent_build(site: Postgresql) -> None:
    statement = site.statement("index")
    with reading(site) as reader:
        reader.execute("UPDATE orders SET price = price WHERE id = 1")
        with in_background(lambda: site.driver.apply(statement, marker_of(statement), TestFence(1))) as old:
            until(lambda: running(site, "CREATE INDEX CONCURRENTLY"))
            new = site.second()
            new.claim(claim_of(2), TestFence(2))
            with pytest.raises(FencedOut):
                old.result(timeout=20)
    assert new.apply(statement, marker_of(statement, fence=2), TestFence(2)).attempts == 1
    assert indexes(site) == [("orders_price", True)]


def test_a_take_over_leaves_others_alone(site: Postgresql) -> None:
    """Another environment, another product, the same fence: none of them is an older owner."""
    url = site.server.url(site.name)
    names = (f"changeover/{ENVIRONMENT}/2", "changeover/staging/1", f"changeover/{ENVIRONMENT}", "web")
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(psycopg.connect(url, application_name=n, autocommit=True)) for n in names]
        site.second().claim(claim_of(2), TestFence(2))
        assert [db.execute("SELECT 1").fetchone() for db in others] == [(1,)] * len(names)


# lost connections --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [("reply",), ("request",), ("request", "reply")])
def test_a_commit_whose_fate_is_unknown_is_looked_up(site: Postgresql, cuts: tuple[Any, ...]) -> None:
    statement = site.statement("add_column")
    with cutting_proxy(site.server.port, *cuts) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{site.name}?sslmode=disable"
        waited = site.second(url=lambda: url, limits=PATIENT).apply(statement, marker_of(statement), TestFence())
        assert proxy.made == list(cuts)
    assert waited.attempts >= 1
    assert site.driver.read().applied == (marker_of(statement),)


KILLED = """
import os, signal, sys
from dataclasses import replace
from tests.contract.database_cases import TestFence, marker_of
from tests.fixtures.postgresql_database import Postgresql
from changeover.drivers.databases.postgresql import PostgresqlDatabase, PostgresqlSettings

class Killing(TestFence):
    left = int(sys.argv[2])
    def check(self):
        Killing.left -= 1
        if Killing.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

statement = Postgresql.__new__(Postgresql).statement(sys.argv[3])
driver = PostgresqlDatabase(PostgresqlSettings(lambda: sys.argv[1], "production"))
driver.apply(statement, marker_of(statement), Killing())
"""


@pytest.mark.parametrize(
    ("name", "check"), [("add_column", 1), ("add_column", 2), ("index", 2), ("index", 3), ("index", 4)]
)
def test_a_killed_process_leaves_all_or_nothing(site: Postgresql, name: str, check: int) -> None:
    """SIGKILL before, right before the commit, before the build, between a concurrent build and its marker."""
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, site.server.url(site.name), str(check), name],
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
    assert statement.probe is not None
    assert site.driver.done(statement.probe)


@pytest.mark.parametrize("cut", ["reply", "request"])
def test_a_phase_is_completed_once_through_a_lost_reply(site: Postgresql, cut: Any) -> None:
    with cutting_proxy(site.server.port, cut) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{site.name}?sslmode=disable"
        assert site.second(url=lambda: url).complete(marker_of(), TestFence()) == 1
        assert proxy.made == [cut]
    assert site.driver.read().revision == 1


def test_a_session_that_is_ended_again_and_again_is_given_up(site: Postgresql) -> None:
    statement = slow()
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(0.02):
            site.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE TABLE slow%' AND state = 'active'"
            )

    with in_background(kill):
        try:
            with pytest.raises(DatabaseUnreachable) as failed:
                site.driver.apply(statement, marker_of(statement), TestFence())
        finally:
            stop.set()
    assert "not known" in failed.value.now
    assert site.driver.read().applied == ()


def test_it_is_there_again_after_a_restart_of_the_server(site: Postgresql) -> None:
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


def test_a_server_that_hangs_is_cut_off(site: Postgresql) -> None:
    sessions = Sessions(site.driver.url, ENVIRONMENT)
    with pytest.raises(psycopg.OperationalError), sessions.connect() as db, watchdog(db, 0.2):
        db.execute("SELECT pg_sleep(60)")


# refusals ----------------------------------------------------------------------------------------------------


def refused(site: Postgresql, url: str) -> ChangeoverError:
    driver = site.second(url=lambda: url)
    with pytest.raises(ChangeoverError) as failed:
        driver.read()
    (finding,) = driver.inspect()
    assert not finding.ok
    for text in (str(failed.value), *failed.value.next, failed.value.now, finding.detail, finding.fix):
        assert SECRET not in text
        assert "hunter2" not in text
    return failed.value


def test_a_wrong_password_is_not_shown(site: Postgresql) -> None:
    site.run(f"CREATE ROLE {SCRAM_USER} LOGIN PASSWORD 'right'")
    try:
        error = refused(site, site.server.url(site.name, SCRAM_USER, "hunter2"))
    finally:
        site.run(f"DROP ROLE {SCRAM_USER}")
    assert isinstance(error, DatabaseUnreachable)
    assert SCRAM_USER in error.what


def test_a_url_that_cannot_be_read_is_not_shown(site: Postgresql) -> None:
    assert isinstance(refused(site, site.server.url(site.name, "postgres", SECRET)), DatabaseUnreachable)


def test_no_such_database(site: Postgresql) -> None:
    assert isinstance(refused(site, site.server.url("nowhere", "postgres", "hunter2")), DatabaseUnreachable)


def test_a_replica_is_told_as_one(site: Postgresql) -> None:
    site.run(f"ALTER DATABASE {site.name} SET default_transaction_read_only = on")
    statement = site.statement("add_column")
    with pytest.raises(DatabaseUnreachable, match="in recovery"):
        site.driver.apply(statement, marker_of(statement), TestFence())
    assert any(f.subject == "primary" and not f.ok for f in site.driver.inspect())


@pytest.fixture
def poor(site: Postgresql) -> Iterator[PostgresqlDatabase]:
    """A driver whose login may only read the tables."""
    role = f"poor_{site.name}"
    site.run(f"CREATE ROLE {role} LOGIN")
    site.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    site.run(f"CREATE ROLE owner_{site.name}")
    site.run(f"ALTER TABLE orders OWNER TO owner_{site.name}")
    for table in ("claim", "applied", "state"):
        site.run(f"DROP TABLE changeover_{table}")
    url = site.server.url(site.name, role)
    try:
        yield site.second(url=lambda: url)
    finally:
        for one in (f"owner_{site.name}", role):
            site.run(f"DROP OWNED BY {one} CASCADE")
            site.run(f"DROP ROLE {one}")


def test_a_missing_privilege_is_named_with_its_cure(site: Postgresql, poor: PostgresqlDatabase) -> None:
    with pytest.raises(DatabaseDenied) as denied:
        poor.claim(claim_of(), TestFence())
    assert "--grants" in denied.value.next[0]
    assert {f.subject for f in poor.inspect() if not f.ok} == {
        "create tables",
        "own the tables",
        "restore into scratch",
    }


def test_the_grants_are_enough(site: Postgresql, poor: PostgresqlDatabase) -> None:
    for line in poor.grants():
        site.run(line)
    assert [f for f in poor.inspect() if not f.ok and f.fatal] == []
    poor.claim(claim_of(), TestFence())
    statement = site.statement("add_column")
    assert poor.apply(statement, marker_of(statement), TestFence()).attempts == 1
    assert poor.backup("before", TestFence()).proof == "compared"
    poor.rehearse((site.statement("drop_column"),)).close()


def test_inspect_tells_what_would_be_in_the_way(site: Postgresql) -> None:
    site.run("INSERT INTO orders VALUES (1000, 1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        site.run("CREATE UNIQUE INDEX CONCURRENTLY orders_price ON orders (price)")
    with psycopg.connect(site.server.url(site.name), autocommit=True) as db:
        db.execute("BEGIN")
        db.execute("SELECT 1 FROM orders FOR UPDATE")
        db.execute("PREPARE TRANSACTION 'left alone'")
    try:
        found = {f.subject: f for f in site.driver.inspect() if not f.ok}
    finally:
        site.run("ROLLBACK PREPARED 'left alone'")
    assert set(found) == {"index", "prepared transaction"}
    assert not any(f.fatal for f in found.values())


# keys of backfills -------------------------------------------------------------------------------------------


def keyed(site: Postgresql, kind: str, keys: list[str]) -> BackfillStatement:
    site.run(f"CREATE TABLE things (code {kind} PRIMARY KEY, done boolean)")
    with psycopg.connect(site.server.url(site.name)) as db:
        db.cursor().executemany("INSERT INTO things (code) VALUES (%s)", [(k,) for k in keys])
    sql = "-- changeover: key=code\nUPDATE things SET done = '100%' <> '' WHERE done IS NULL;"
    found = classify(sql, Phase.BACKFILL, "postgresql", "1.1.0.backfill.sql")
    assert isinstance(found, BackfillStatement)
    return found


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("smallint", ["-3", "-2", "0", "9", "10", "11", "100"]),
        ("numeric", ["-3", "9", "10", "123456789012345678901234567890"]),
        ("text", ["a", "B", "ä", "a b", "10", "9", "Z"]),
        ("varchar(20)", ["x'y", 'q"', "%s", "\\"]),
        ("uuid", [f"{n:08x}-0000-0000-0000-000000000000" for n in (1, 77, 0xFFFFFFFF)]),
    ],
)
def test_keys_compare_as_their_type(site: Postgresql, kind: str, keys: list[str]) -> None:
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


def test_batches_share_a_session_that_may_be_lost_between_them(site: Postgresql) -> None:
    site.by_hand(site.statement("add_column"))
    of_ours = f"FROM pg_stat_activity WHERE datname = '{site.name}' AND application_name LIKE 'changeover/%/%'"

    def sessions() -> set[int]:
        return {pid for (pid,) in site.server.run(f"SELECT pid {of_ours}")}

    def fill(after: str | None) -> str | None:
        return site.driver.fill(site.backfill(), after, str(ROWS), 30, TestFence()).hi

    after = fill(None)
    first = sessions()
    assert len(first) == 1
    after = fill(after)
    assert sessions() == first
    site.server.run(f"SELECT pg_terminate_backend(pid, 5000) {of_ours}")
    while after is not None:
        after = fill(after)
    assert site.unfilled() == 0
    until(lambda: not sessions())


def test_a_batch_of_an_owner_that_was_taken_over_between_two_is_refused(site: Postgresql) -> None:
    site.by_hand(site.statement("add_column"))
    after = site.driver.fill(site.backfill(), None, str(ROWS), 30, TestFence()).hi
    site.second().claim(claim_of(2), TestFence(2))
    with pytest.raises(FencedOut):
        site.driver.fill(site.backfill(), after, str(ROWS), 30, TestFence())
    assert site.unfilled() == ROWS - 30


@pytest.mark.parametrize(("kind", "keys"), [("text", ["", "a"]), ("numeric", ["0.5", "2"]), ("date", ["2026-01-01"])])
def test_keys_that_cannot_be_counted_off_are_refused(site: Postgresql, kind: str, keys: list[str]) -> None:
    statement = keyed(site, kind, keys)
    with pytest.raises(StatementFailed, match="a key that is none of them"):
        site.driver.fill(statement, None, keys[-1], 10, TestFence())


def test_a_backfill_of_an_empty_table_is_finished(site: Postgresql) -> None:
    statement = keyed(site, "bigint", [])
    assert site.driver.last_key(statement) is None
    assert site.driver.gap(statement).remaining == 0
    assert site.driver.fill(statement, None, "10", 10, TestFence()).hi is None


def test_writers_lose_nothing_to_a_backfill(site: Postgresql) -> None:
    """New rows and updates while batches run; the trigger keeps both columns equal."""
    for sql in (
        "ALTER TABLE orders ADD COLUMN price_cents integer",
        (
            "CREATE FUNCTION sync() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF NEW.price_cents IS NULL OR (TG_OP = 'UPDATE' AND NEW.price IS DISTINCT FROM OLD.price) THEN "
            "NEW.price_cents := NEW.price * 100; END IF; RETURN NEW; END $$"
        ),
        "CREATE TRIGGER zz_sync BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION sync()",
    ):
        site.run(sql)
    stop = threading.Event()
    written = []

    def write() -> None:
        with psycopg.connect(site.server.url(site.name), autocommit=True) as db:
            n = 0
            while not stop.is_set():
                n += 1
                db.execute("UPDATE orders SET price = %s WHERE id = %s", (10_000 + n, n % ROWS + 1))
                db.execute("INSERT INTO orders (id, price) VALUES (%s, %s)", (10_000 + n, n))
                written.append(n)

    driver = site.second(limits=PATIENT)
    statement = site.backfill()
    with in_background(write) as writer:
        try:
            until(lambda: len(written) > 5)
            upto, after = driver.last_key(statement), None
            assert upto is not None
            while (after := driver.fill(statement, after, upto, 20, TestFence()).hi) is not None:
                assert not writer.done()
        finally:
            stop.set()
    writer.result()
    assert site.run("SELECT count(*) FROM orders WHERE price_cents IS DISTINCT FROM price * 100") == [(0,)]
    assert driver.gap(statement).remaining == 0


# logins ------------------------------------------------------------------------------------------------------


def test_a_retired_version_can_neither_serve_nor_write(site: Postgresql) -> None:
    pattern = f"{site.name}_{{version}}"
    role = pattern.replace("{version}", V1.text)
    site.run(f'CREATE ROLE "{role}" LOGIN')
    driver = site.second(login=pattern)
    url = site.server.url(site.name, role)
    try:
        with psycopg.connect(url) as app, psycopg.connect(url) as other:
            app.execute("SELECT 1")
            assert driver.retire(V1, TestFence()) == 0
            for db in (app, other):
                with pytest.raises(psycopg.OperationalError):
                    db.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
            psycopg.connect(url)
        assert driver.retire(V1, TestFence()) == 0
        driver.admit(V1, TestFence())
        psycopg.connect(url).close()
        site.second().claim(claim_of(2), TestFence(2))
        with pytest.raises(FencedOut):
            driver.retire(V1, TestFence(1))
        psycopg.connect(url).close()
    finally:
        site.run(f'DROP ROLE "{role}"')


def test_a_version_without_a_login_of_its_own_is_not_proved_retired(site: Postgresql) -> None:
    driver = site.second(login=f"{site.name}_{{version}}")
    with pytest.raises(LoginMissing):
        driver.retire(V1, TestFence())
    with pytest.raises(LoginMissing):
        driver.admit(V1, TestFence())


def test_a_prepared_transaction_of_the_version_is_still_a_writer(site: Postgresql) -> None:
    role = f"{site.name}_{V1}"
    site.run(f'CREATE ROLE "{role}" LOGIN')
    site.run(f'GRANT ALL ON orders TO "{role}"')
    gid = f"{site.name}-later"
    try:
        with psycopg.connect(site.server.url(site.name, role), autocommit=True) as db:
            db.execute("BEGIN")
            db.execute("INSERT INTO orders VALUES (5000, 1)")
            db.execute(f"PREPARE TRANSACTION '{gid}'")
        assert site.second(login=f"{site.name}_{{version}}", limits=Limits()).retire(V1, TestFence()) == 1
    finally:
        site.run(f"ROLLBACK PREPARED '{gid}'")
        site.run(f'REVOKE ALL ON orders FROM "{role}"')
        site.run(f'DROP ROLE "{role}"')

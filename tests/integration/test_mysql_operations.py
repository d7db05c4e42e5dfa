"""Operations on MariaDB when things go wrong: a held table, a missing trigger, an act that was cut, odd keys, few privileges."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pymysql
import pytest
from tests.fixtures.mysql import server
from tests.fixtures.operations.case import Case
from tests.fixtures.operations.cases import FIFTY_USERS, RENAMED, USERS
from tests.fixtures.operations.mysql import CASES, MysqlPlace, place
from tests.fixtures.operations.place import lines
from tests.fixtures.operations.walk import (
    ENVIRONMENT,
    FENCE,
    VERSION,
    Walk,
    compile_at,
    fill,
    marker,
    undone_from_everywhere,
)

from changeover.core.catalogue import Catalogue
from changeover.core.errors import DatabaseUnreachable, LockNotObtained, RowsInTheWay, StatementFailed
from changeover.core.model import FORWARD, RANGE, BackfillStatement, ChangeSet, Check, Claim, Phase, Probe, Statement
from changeover.drivers.databases.limits import Limits
from changeover.drivers.databases.mysql import MysqlDatabase, MysqlSettings
from changeover.drivers.databases.mysql_reader import MysqlReader
from changeover.drivers.databases.mysql_session import Product
from changeover.drivers.databases.mysql_tables import default_of, typed

RENAME = RENAMED.text
QUICK = Limits(lock_deadline=1.5)


def driver(here: MysqlPlace, **changed: Any) -> MysqlDatabase:
    return MysqlDatabase(replace(MysqlSettings(lambda: here.url, ENVIRONMENT), **changed))


@pytest.fixture
def here() -> Iterator[MysqlPlace]:
    with place() as found:
        found.run(*RENAMED.before, FIFTY_USERS)
        found.driver.claim(Claim(ENVIRONMENT, "store", 1, "me", 0.0), FENCE)
        yield found


def grown(here: MysqlPlace, text: str = RENAME) -> ChangeSet:
    """Everything that the release adds is there."""
    changes = compile_at(here, text).changes
    here.driver.keep(changes, FENCE)
    for phase in FORWARD:
        if phase is Phase.FINALIZE:
            assert fill(here, changes) == []
        for index, statement in enumerate(changes.statements(phase)):
            here.driver.apply(statement, marker(statement, phase, index), FENCE)
    return changes


def block_of(changes: ChangeSet) -> tuple[int, Statement]:
    """The act of cleanup that takes the lock, and its number."""
    return next((n, s) for n, s in enumerate(changes.contract) if s.lock_first)


def contracted(here: MysqlPlace, changes: ChangeSet, by: MysqlDatabase | None = None) -> int:
    """Every act of cleanup; how often the one with the lock was attempted."""
    attempts = 0
    for index, statement in enumerate(changes.contract):
        waited = (by or here.driver).apply(statement, marker(statement, Phase.CONTRACT, index), FENCE)
        attempts = waited.attempts if statement.lock_first else attempts
    return attempts


def triggers(here: MysqlPlace) -> list[str]:
    return [t.name for t in here.driver.tables(["users"]).tables["users"].triggers]


def columns(here: MysqlPlace) -> set[str]:
    return {c.name for c in here.driver.tables(["users"]).tables["users"].columns}


# locks -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def holding(here: MysqlPlace) -> Iterator[Any]:
    """Somebody who has read the table and is idle in the transaction."""
    with here.server.connect(here.name) as reader, reader.cursor() as cursor:
        cursor.execute("START TRANSACTION")
        cursor.execute("SELECT count(*) FROM users")
        cursor.fetchall()
        yield reader


def test_who_holds_the_table_of_a_block_is_named_and_nothing_is_half_done(here: MysqlPlace) -> None:
    changes = grown(here)
    before = (triggers(here), columns(here))
    with holding(here) as reader, pytest.raises(LockNotObtained, match=f"session {reader.thread_id()} "):
        contracted(here, changes, driver(here, limits=QUICK))
    assert (triggers(here), columns(here)) == before
    here.run("INSERT INTO users (id, full_name) VALUES (100, 'Bob')")  # nobody is locked out
    assert contracted(here, changes) == 1
    assert columns(here) >= {"full_name"}
    assert "name" not in columns(here)


def test_while_a_block_asks_for_its_table_nobody_waits(here: MysqlPlace) -> None:
    """It is asked for without waiting, so a writer that comes meanwhile is not behind it."""
    changes = grown(here)
    waits = f"SELECT info FROM information_schema.processlist WHERE db = '{here.name}' AND state LIKE 'Waiting for%'"
    seen: list[Sequence[Any]] = []

    @dataclass
    class Looking:
        token: int = 1
        run: str = "r-0001"
        checks: int = 0

        def check(self) -> None:
            seen.append(here.server.run(waits))
            self.checks += 1

    index, block = block_of(changes)
    here.server.run("INSTALL SONAME 'metadata_lock_info'")
    try:
        with holding(here):
            time.sleep(0.2)  # older than a tenth of a second
            with pytest.raises(LockNotObtained):
                driver(here, limits=QUICK).apply(block, marker(block, Phase.CONTRACT, index), Looking())
    finally:
        here.server.run("UNINSTALL SONAME 'metadata_lock_info'")
    assert len(seen) > 3
    assert not any(seen)


# guards ----------------------------------------------------------------------------------------------------------


def test_without_its_trigger_nothing_is_taken_away(here: MysqlPlace) -> None:
    """Both sides may differ by then. The lock is given back, and a later attempt is asked again."""
    changes = grown(here)
    _, on_insert = sorted(triggers(here), reverse=True)
    here.run(f"DROP TRIGGER {on_insert}")
    for _ in range(2):
        with pytest.raises(RowsInTheWay, match="a trigger on users is missing that keeps it in step"):
            contracted(here, changes)
        here.run("UPDATE users SET email = 'x' WHERE id = 1")  # from another session
    assert {"name", "full_name"} <= columns(here)
    assert len(triggers(here)) == 1


def test_rows_that_a_foreign_key_forbids_are_found_after_it_stands(here: MysqlPlace) -> None:
    """They came between the question and the key, while nothing looked at them."""
    here.run("CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint)")
    text = "changes:\n  - add_foreign_key: { table: orders, columns: user_id, references: { table: users, columns: id }, name: fk }\n"
    changes = compile_at(here, text).changes
    here.run("INSERT INTO orders VALUES (7, 4711)")
    key, look = changes.finalize
    here.driver.apply(key, marker(key, Phase.FINALIZE, 0), FENCE)
    with pytest.raises(RowsInTheWay, match=r"rows of orders whose user_id is not in users \(\(7, 4711\)\)"):
        here.driver.apply(look, marker(look, Phase.FINALIZE, 1), FENCE)
    here.run("DELETE FROM orders WHERE id = 7")
    assert here.driver.apply(look, marker(look, Phase.FINALIZE, 1), FENCE).attempts == 1


# acts that were cut ----------------------------------------------------------------------------------------------


class Cut(BaseException):
    """What a kill is to the process."""


@dataclass
class Cutting:
    """A fence at whose n-th look everything ends."""

    at: int
    token: int = 1
    run: str = "r-0001"
    seen: list[int] = field(default_factory=list)

    def check(self) -> None:
        self.seen.append(1)
        if len(self.seen) == self.at:
            raise Cut


@pytest.mark.parametrize("at", range(1, 9))
def test_a_block_that_was_cut_anywhere_is_gone_on_with(here: MysqlPlace, at: int) -> None:
    """Before it is asked for, under its lock before each of its parts, before it is marked."""
    changes = grown(here)
    index, block = block_of(changes)
    for number, statement in enumerate(changes.contract[:index]):
        here.driver.apply(statement, marker(statement, Phase.CONTRACT, number), FENCE)
    with pytest.raises(Cut):
        here.driver.apply(block, marker(block, Phase.CONTRACT, index), Cutting(at))
    here.run("INSERT INTO users (id, full_name) VALUES (100, 'Bob')")  # whatever has gone: the new version writes
    contracted(here, changes)
    assert triggers(here) == []
    assert "name" not in columns(here)
    for number, statement in enumerate(changes.drop):
        here.driver.apply(statement, marker(statement, Phase.DROP, number), FENCE)
    with place() as other:
        other.run(*RENAMED.before, *RENAMED.plain)
        assert lines(here, ordered=False) == lines(other, ordered=False)


def test_a_trigger_that_has_gone_before_anything_was_begun_is_not_taken_for_a_cut(here: MysqlPlace) -> None:
    """Cut before its lock was there: what is asked under the lock is asked after all."""
    changes = grown(here)
    index, block = block_of(changes)
    for number, statement in enumerate(changes.contract[:index]):
        here.driver.apply(statement, marker(statement, Phase.CONTRACT, number), FENCE)
    with pytest.raises(Cut):
        here.driver.apply(block, marker(block, Phase.CONTRACT, index), Cutting(2))
    here.run(f"DROP TRIGGER {triggers(here)[0]}")
    with pytest.raises(RowsInTheWay):
        contracted(here, changes)


# keys ------------------------------------------------------------------------------------------------------------

KEYS = {
    "two": ("a int, b varchar(9)", [(n % 3 - 1, f"k{n}") for n in range(11)]),
    "three": (
        "a varchar(4), b date, c decimal(5,1)",
        [(f"ü{n % 2}", f"2026-01-{n % 4 + 1:02}", f"{n}.5") for n in range(9)],
    ),
    "bytes": ("a varbinary(4), b bigint unsigned", [(bytes([n % 3, 255]), 2**64 - 1 - n) for n in range(9)]),
    "times": (
        "a datetime(6), b time(3)",
        [(f"2026-01-0{n % 3 + 1} 10:00:00.00000{n}", f"-10:00:0{n}.125") for n in range(9)],
    ),
    "empty": ("a varchar(9)", [("",), ("a",), ("B",), ("'\\",)]),
    "uuid": ("a uuid", [(f"{n:08x}-0000-0000-0000-000000000000",) for n in (1, 77, 0xFFFFFFFF)]),
    "inet6": ("a inet6", [("::1",), ("fe80::",), ("1::",)]),
}


def keyed(here: MysqlPlace, columns: str, rows: Sequence[Sequence[Any]]) -> BackfillStatement:
    names = tuple(c.split()[0] for c in columns.split(", "))
    here.run(f"CREATE TABLE things ({columns}, done boolean, PRIMARY KEY ({', '.join(names)}))")
    with here.server.connect(here.name) as db, db.cursor() as cursor:
        cursor.executemany(f"INSERT INTO things ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})", rows)
    sql = f"UPDATE things SET done = '100%' <> '' WHERE done IS NULL AND {RANGE}"
    return BackfillStatement(sql, "1.1.0.yml", 1, "things", ", ".join(names), "~ backfill things.done", names)


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_keys_of_several_columns_of_any_type(here: MysqlPlace, kind: str, size: int) -> None:
    columns, rows = KEYS[kind]
    statement = keyed(here, columns, rows)
    assert here.driver.gap(statement).remaining == len(rows)
    upto, after, filled = here.driver.last_key(statement), None, []
    while upto is not None:
        batch = here.driver.fill(statement, after, upto, size, FENCE)
        filled.append(batch.rows)
        after = batch.hi
        if after is None:
            break
    assert sum(filled) == len(rows)
    assert max(filled) <= size
    assert here.driver.gap(statement).remaining == 0


@pytest.mark.parametrize("columns", ["a enum('x','a'), b int", "a float", "a set('x')"])
def test_keys_that_sort_otherwise_than_they_compare_are_refused(here: MysqlPlace, columns: str) -> None:
    statement = keyed(here, columns, [])
    with pytest.raises(StatementFailed, match="cannot be counted off"):
        here.driver.last_key(statement)


# what presses ----------------------------------------------------------------------------------------------------


def until(found: Callable[[], Any]) -> Any:
    end = time.monotonic() + 20
    while not (answer := found()):
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.11)  # InnoDB shows its transactions anew after 0.1 s without a look
    return answer


def test_a_backfill_waits_while_writers_wait_for_locks(here: MysqlPlace) -> None:
    statement = keyed(here, *KEYS["two"])
    assert here.driver.pressure(statement) == ""
    with here.server.connect(here.name) as one, here.server.connect(here.name) as two:
        one.cursor().execute("BEGIN")
        one.cursor().execute("UPDATE users SET email = 'x' WHERE id = 1")
        two._execute_command(
            3, "UPDATE users SET email = 'y' WHERE id = 1"
        )  # COM_QUERY, and nobody reads the answer yet
        assert until(lambda: here.driver.pressure(statement)) == "1 sessions wait for locks"
        one.rollback()
        two._read_query_result()
    assert until(lambda: not here.driver.pressure(statement))


def test_a_backfill_waits_while_more_sessions_are_at_work_than_it_may(here: MysqlPlace) -> None:
    statement = keyed(here, *KEYS["two"])
    driver = MysqlDatabase(MysqlSettings(lambda: here.url, ENVIRONMENT, limits=Limits(sessions=0)))
    with here.server.connect(here.name) as one:
        assert driver.pressure(statement) == ""  # a session that does nothing is not at work
        one._execute_command(3, "SELECT SLEEP(20)")  # COM_QUERY, and nobody reads the answer yet
        assert until(lambda: driver.pressure(statement)) == "1 sessions are at work"
        assert here.driver.pressure(statement) == ""  # nobody asked to look
        here.server.run(f"KILL QUERY {one.thread_id()}")
        with pytest.raises(pymysql.err.OperationalError, match="interrupted"):
            one._read_query_result()
    assert until(lambda: not driver.pressure(statement))


# read endpoints --------------------------------------------------------------------------------------------------


def test_a_replica_is_asked_itself(here: MysqlPlace) -> None:
    """It follows, then it does not; expand has ended where its catalogue shows it."""
    added = Probe("column", "note", "users")
    with server(log_bin="bin", server_id="7") as first, server(server_id="8") as second:
        first.run("RESET MASTER")  # the second has made its own login
        first.run("CREATE DATABASE shop")
        second.run(
            f"CHANGE MASTER TO master_host='127.0.0.1', master_port={first.port}, master_user='tester', "
            "master_password='pa%ss:w@rd', master_use_gtid=slave_pos"
        )
        second.run("START SLAVE")
        first.run(USERS[0], "shop")
        until(lambda: second.run("SHOW TABLES FROM shop") if second.run("SHOW DATABASES LIKE 'shop'") else ())
        reader = MysqlReader(lambda: second.url("shop"), ENVIRONMENT, 5.0)
        read = (lambda: second.url("shop"),)
        database = MysqlDatabase(MysqlSettings(lambda: first.url("shop"), ENVIRONMENT, read=read))
        fill_nothing = BackfillStatement("", "x", 1, "users", "id", "~ backfill", ("id",))
        assert reader.name == f"127.0.0.1:{second.port}/shop"
        assert [f.detail for f in reader.inspect()] == ["a replica, up to date"]
        assert database.pressure(fill_nothing) == ""
        assert list(reader.lacks([added])) == [added]
        second.run("STOP SLAVE")
        first.run("ALTER TABLE users ADD COLUMN note int", "shop")
        assert [(f.ok, f.detail) for f in reader.inspect()] == [(False, "its replication has stopped")]
        assert database.pressure(fill_nothing) == f"the replica {reader.name} has stopped to follow"
        assert list(reader.lacks([added])) == [added]
        second.run("START SLAVE")
        until(lambda: not reader.lacks([added]))
        assert any(
            f.subject == "replicas"
            for f in MysqlDatabase(MysqlSettings(lambda: first.url("shop"), ENVIRONMENT)).inspect()
        )


def test_a_read_endpoint_that_follows_nobody_or_is_not_there(here: MysqlPlace) -> None:
    reader = MysqlReader(lambda: here.url, ENVIRONMENT, 5.0)
    assert [(f.ok, f.detail) for f in reader.inspect()] == [(True, "answers; it is no replica")]
    gone = MysqlReader(lambda: "mysql://x:y@127.0.0.1:1/shop", ENVIRONMENT, 5.0)
    assert [f.ok for f in gone.inspect()] == [False]
    with pytest.raises(DatabaseUnreachable):
        gone.lacks([Probe("table", "users")])


# room and privileges ---------------------------------------------------------------------------------------------


def test_numbers_that_run_out_are_named(here: MysqlPlace) -> None:
    def found(subject: str) -> list[str]:
        return [f.detail for f in here.driver.inspect() if f.subject == subject]

    assert len(found("sequences")) == 1
    here.run("CREATE TABLE narrow (id smallint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = 60000")
    assert found("sequence") == ["narrow.id: 59999 of 65535 numbers are used"]
    assert found("sequences") == []
    assert len(found("connections for two pools")) == 1
    assert "its largest table, " in found("room on the server")[0]


def test_the_grants_that_are_printed_are_enough_for_operations(here: MysqlPlace) -> None:
    login = f"poor_{here.name}"
    here.run(f"CREATE USER {login}@'%' IDENTIFIED BY 'x'")
    try:
        url = here.server.url(here.name, login, "x")
        poor = MysqlDatabase(MysqlSettings(lambda: url, ENVIRONMENT))
        here.run(f"GRANT SELECT ON {here.name}.* TO {login}@'%'")
        for line in poor.grants():
            here.run(line)
        (case,) = (c for c in CASES if c.title == "several-on-one-table")
        walked(replace_driver(here, poor), case)
    finally:
        here.run(f"DROP USER {login}@'%'")


def replace_driver(here: MysqlPlace, other: MysqlDatabase) -> MysqlPlace:
    found = MysqlPlace(here.server, here.name)
    found.driver = other
    return found


def walked(here: MysqlPlace, case: Case) -> None:
    """From nothing to the end, nobody writing."""
    here.run("DROP TABLE users", *case.before, "INSERT INTO users (id, name, email, amount2) VALUES (1, 'Ann', 'E', 3)")
    here.driver.claim(Claim(ENVIRONMENT, "store", 1, "me", 0.0), FENCE)
    changes = grown(here, case.text)
    assert [here.driver.count(c).rows for c in changes.verify] == [0] * len(changes.verify)
    contracted(here, changes)
    for number, statement in enumerate(changes.drop):
        here.driver.apply(statement, marker(statement, Phase.DROP, number), FENCE)


# servers that fill later -----------------------------------------------------------------------------------------


class Later(MysqlDatabase):
    """As on a server where a required column must be given whatever a trigger does."""

    def tables(self, names: Sequence[str]) -> Catalogue:
        return replace(super().tables(names), fills_before=False)


@contextlib.contextmanager
def later() -> Iterator[MysqlPlace]:
    with place() as found:
        yield replace_driver(found, Later(MysqlSettings(lambda: found.url, ENVIRONMENT)))


@pytest.mark.parametrize("title", ["rename_column", "add_column-computed", "split_column", "several-on-one-table"])
def test_where_no_trigger_fills_what_is_left_out(title: str) -> None:
    """Old columns get a default while both versions write; what is required is so from cleanup on."""
    (case,) = (c for c in CASES if c.title == title)
    with later() as here:
        Walk(case, here, later).run()
    with later() as here:
        undone_from_everywhere(here, case)
        changes = compile_at(here, case.text).changes
        assert not any("NOT NULL" in s.sql for s in changes.finalize if "email" not in s.sql)
        assert any("NOT NULL" in s.sql for s in changes.contract)


# by hand ---------------------------------------------------------------------------------------------------------


def shell(here: MysqlPlace, commands: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-ec", "\n".join(commands)],
        env={**os.environ, "DATABASE_URL": here.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_same_by_printed_commands() -> None:
    """There and back, and forward to the end: the schema of the plain migration, and the ledger of the tool."""
    (case,) = (c for c in CASES if c.title == "several-on-one-table")
    with place() as here, place() as other:
        here.run(
            *case.before,
            "INSERT INTO users (id, name, email, amount2) VALUES (1, 'Ann', 'E', 3), (2, 'Bob', 'F', NULL)",
        )
        before = here.driver.read().catalogue
        here.driver.claim(Claim(ENVIRONMENT, "store", 1, "me", 0.0), FENCE)
        changes = compile_at(here, case.text).changes

        def by_hand(*phases: Phase) -> None:
            for phase in phases:
                for index, statement in enumerate(changes.statements(phase)):
                    done = shell(here, here.driver.by_hand(statement, marker(statement, phase, index)))
                    assert done.returncode == 0, f"{statement.title}: {done.stderr}"

        def grow() -> None:
            assert shell(here, here.driver.by_hand_keep(changes)).returncode == 0
            assert here.driver.read().kept == (changes,)
            by_hand(Phase.EXPAND, Phase.SYNC)
            for number, statement in enumerate(changes.backfill):
                mark = replace(marker(changes.expand[0], Phase.BACKFILL, number))
                done = shell(here, here.driver.by_hand(statement, mark))
                assert done.stdout.endswith("0 rows left to fill\n"), done.stderr
            by_hand(Phase.FINALIZE)

        grow()
        assert shell(here, here.driver.by_hand_forget(VERSION)).returncode == 0
        by_hand(Phase.UNDO)
        assert shell(here, here.driver.by_hand_unkeep(VERSION)).returncode == 0
        assert here.driver.read().catalogue == before
        assert here.driver.read().kept == ()
        grow()
        for check in changes.verify:
            assert shell(here, here.driver.by_hand_count(check)).returncode == 0
        by_hand(Phase.CONTRACT, Phase.DROP)
        other.run(*case.before, *case.plain)
        assert lines(here, ordered=False) == lines(other, ordered=False)
        for index, statement in enumerate(changes.contract):
            assert here.driver.apply(statement, marker(statement, Phase.CONTRACT, index), FENCE).attempts == 0


def test_a_printed_guard_stops_what_follows(here: MysqlPlace) -> None:
    changes = grown(here)
    here.run(f"DROP TRIGGER {triggers(here)[0]}")
    index, block = block_of(changes)
    commands = driver(here, limits=Limits(lock_deadline=1.0)).by_hand(block, marker(block, Phase.CONTRACT, index))
    done = shell(here, commands)
    assert done.returncode != 0
    assert "STOP" in done.stderr
    assert {"name", "full_name"} <= columns(here)
    assert len(triggers(here)) == 1
    assert shell(here, here.driver.by_hand_count(Check("users", "SELECT count(*) FROM users"))).returncode != 0


# what the catalogue says -----------------------------------------------------------------------------------------


def test_a_ledger_of_before_gets_its_table_when_it_is_claimed(here: MysqlPlace) -> None:
    here.run("DROP TABLE changeover_change")
    assert here.driver.read().kept == ()
    here.driver.claim(Claim(ENVIRONMENT, "store", 2, "me", 0.0), FENCE2)
    changes = compile_at(here, RENAME).changes
    here.driver.keep(changes, FENCE2)
    assert here.driver.read().kept == (changes,)


@dataclass(frozen=True)
class _Second:
    token: int = 2
    run: str = "r-0002"

    def check(self) -> None:
        """Nobody else is there."""


FENCE2 = _Second()
MARIADB, MYSQL = Product(mariadb=True, version=(10, 11, 19)), Product(mariadb=False, version=(8, 0, 36))


@pytest.mark.parametrize(
    ("product", "said", "type_", "extra", "wanted"),
    [
        (MARIADB, None, "int", "", None),
        (MARIADB, "NULL", "int", "", None),
        (MARIADB, "'NULL'", "varchar(9)", "", "'NULL'"),
        (MARIADB, "current_timestamp()", "datetime", "", "current_timestamp()"),
        (MYSQL, None, "int", "", None),
        (MYSQL, "7", "int", "", "7"),
        (MYSQL, "7", "varchar(9)", "", "'7'"),
        (MYSQL, "it's", "varchar(9)", "", "'it''s'"),
        (MYSQL, "CURRENT_TIMESTAMP", "datetime", "DEFAULT_GENERATED", "CURRENT_TIMESTAMP"),
        (MYSQL, "uuid()", "varchar(36)", "DEFAULT_GENERATED", "(uuid())"),
        (MYSQL, "b'1'", "bit(1)", "", "b'1'"),
    ],
)
def test_defaults_as_sql(product: Product, said: str | None, type_: str, extra: str, wanted: str | None) -> None:
    assert default_of(product, said, type_, extra) == wanted


def test_widths_that_mean_nothing_are_left_out() -> None:
    found = [
        typed(t)
        for t in ("int(11)", "bigint(20) unsigned", "tinyint(1)", "int(5)", "int(10) unsigned", "decimal(10,2)")
    ]
    assert found == ["int", "bigint unsigned", "tinyint(1)", "int(5)", "int unsigned", "decimal(10,2)"]

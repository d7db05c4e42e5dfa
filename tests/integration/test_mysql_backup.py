"""Restore points of MariaDB: the dump and its comparison see one state, nothing is left behind. And the acts done by hand."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pymysql
import pytest
from tests.contract.database_cases import ROWS, V1, TestFence, claim_of, lost_after, marker_of
from tests.fixtures.mysql import program
from tests.fixtures.mysql_database import Mysql, database_under_test

from changeover.core.errors import FencedOut, RestorePointFailed, StatementFailed, ToolMissing
from changeover.core.model import COMPLETE, BackfillStatement, Phase, Probe, Statement
from changeover.drivers.databases.mysql import MysqlDatabase
from changeover.drivers.databases.mysql_backup import BackupSettings
from changeover.drivers.databases.mysql_scratch import ScratchMaker
from changeover.drivers.databases.mysql_session import Product
from changeover.drivers.databases.mysql_snapshot import Standstill
from changeover.drivers.databases.mysql_tools import DUMPS, Tools

RICH = (
    (
        "CREATE TABLE customers (id bigint PRIMARY KEY AUTO_INCREMENT, name varchar(40) NOT NULL DEFAULT 'x', mood enum('sad','it''s ok'), "
        "twice int AS (id * 2) VIRTUAL, stored int AS (3 * 2) STORED, raw varbinary(40), picture longblob, big decimal(12, 2), "
        "f double, g float, at timestamp(6) NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6), day date, "
        "flags bit(5), spot point, extra json, old varchar(20) CHARACTER SET latin1, hidden int INVISIBLE DEFAULT 7, n uuid, "
        "CONSTRAINT short CHECK (char_length(name) < 39)) COMMENT 'people'"
    ),
    (
        "CREATE TABLE visits (id int PRIMARY KEY, customer bigint, day date, KEY by_day (day), "
        "CONSTRAINT who FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE) ROW_FORMAT=DYNAMIC"
    ),
    "CREATE UNIQUE INDEX customers_name ON customers (name, old(5))",
    (
        "CREATE TABLE parted (id int, day date NOT NULL) PARTITION BY RANGE (year(day)) "
        "(PARTITION p2026 VALUES LESS THAN (2027), PARTITION rest VALUES LESS THAN MAXVALUE)"
    ),
    "CREATE TABLE `odd ``table` (`a.b` int PRIMARY KEY, `select` text) DEFAULT CHARSET=latin1",
    "CREATE SEQUENCE tickets START WITH 5 INCREMENT BY 2 MAXVALUE 99 CYCLE",
    "CREATE VIEW happy AS SELECT id, name FROM customers WHERE mood = 'sad'",
    "CREATE DEFINER=root@localhost SQL SECURITY INVOKER VIEW happier AS SELECT c.id FROM happy c JOIN visits v ON v.customer = c.id",
    "CREATE FUNCTION twice(a int) RETURNS int DETERMINISTIC RETURN 2 * a",
    "CREATE DEFINER=root@localhost PROCEDURE nothing(IN a int, OUT b int) BEGIN SET b = a; SELECT 'x;y'; END",
    "CREATE DEFINER=root@localhost TRIGGER zz_i BEFORE INSERT ON customers FOR EACH ROW BEGIN IF NEW.raw IS NULL THEN SET NEW.raw = 'n'; END IF; END",
    "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO DELETE FROM visits WHERE day < '2000-01-01'",
    (
        "INSERT INTO customers (name, mood, raw, picture, big, f, g, day, flags, spot, extra, old, n) SELECT concat('c', seq), 'sad', X'00ff27', "
        "repeat(X'0027', 99), seq / 3, seq / 7, seq / 7, '2026-05-05', b'10101', point(1, seq), json_object('a', seq), 'é''\\\\n', "
        "uuid() FROM seq_1_to_50"
    ),
    "INSERT INTO customers (name) VALUES ('DEFINER=`x`@`y`'), ('/*!50017 DEFINER=`r`@`l`*/'), ('a\\nCREATE DEFINER=`x`@`y` ')",
    "INSERT INTO visits SELECT seq, seq, '2026-05-05' FROM seq_1_to_20",
    "INSERT INTO parted SELECT seq, '2026-05-05' FROM seq_1_to_20",
    "INSERT INTO `odd ``table` VALUES (1, 'ä'), (2, NULL), (3, '')",
)
CHANGES = (
    "ALTER TABLE customers ADD COLUMN one_more text",
    "ALTER TABLE customers MODIFY big decimal(14, 2)",
    "ALTER TABLE customers ALTER COLUMN name SET DEFAULT 'y'",
    "ALTER TABLE visits MODIFY day date NOT NULL",
    "ALTER TABLE customers MODIFY old varchar(20) CHARACTER SET latin1 COLLATE latin1_bin",
    "ALTER TABLE customers MODIFY mood enum('sad','it''s ok','great')",
    "ALTER TABLE customers MODIFY day date FIRST",
    "ALTER TABLE customers ALTER COLUMN hidden DROP DEFAULT",
    "ALTER TABLE customers DROP CONSTRAINT short",
    "ALTER TABLE customers DROP CONSTRAINT short, ADD CONSTRAINT short CHECK (char_length(name) < 31)",
    "ALTER TABLE customers DROP INDEX customers_name, ADD INDEX customers_name (name, old(5))",
    "ALTER TABLE customers DROP INDEX customers_name, ADD UNIQUE INDEX customers_name (name, old(6))",
    "ALTER TABLE visits DROP FOREIGN KEY who; ALTER TABLE visits ADD CONSTRAINT who FOREIGN KEY (customer) REFERENCES customers (id)",
    "ALTER TABLE `odd ``table` ENGINE=Aria",
    "ALTER TABLE visits ROW_FORMAT=COMPRESSED",
    "ALTER TABLE parted REMOVE PARTITIONING",
    "CREATE OR REPLACE TRIGGER zz_i BEFORE INSERT ON customers FOR EACH ROW SET NEW.raw = 'm'",
    "DROP TRIGGER zz_i",
    "CREATE OR REPLACE VIEW happy AS SELECT id, name FROM customers WHERE mood = 'it''s ok'",
    "CREATE OR REPLACE FUNCTION twice(a int) RETURNS int DETERMINISTIC RETURN 3 * a",
    "CREATE OR REPLACE FUNCTION twice(a bigint) RETURNS int DETERMINISTIC RETURN 2 * a",
    "ALTER SEQUENCE tickets INCREMENT BY 3",
    "ALTER EVENT nightly ON SCHEDULE EVERY 2 DAY",
    "RENAME TABLE visits TO calls",
    "CREATE TABLE something (a integer)",
)
INVISIBLE = (
    "ANALYZE TABLE customers",
    "INSERT INTO customers (name) VALUES ('more')",
    "SELECT NEXTVAL(tickets)",
    "ALTER TABLE parted REORGANIZE PARTITION rest INTO (PARTITION p2027 VALUES LESS THAN (2028), PARTITION rest VALUES LESS THAN MAXVALUE)",
    "CREATE TABLE changeover_grace (a integer)",
    "ALTER TABLE customers COMMENT 'others'",
)


@pytest.fixture
def site() -> Iterator[Mysql]:
    with database_under_test() as running:
        running.driver.claim(claim_of(), TestFence())
        yield running


def rich(site: Mysql) -> None:
    with site.server.connect(site.name) as db, db.cursor() as cursor:
        for sql in RICH:
            cursor.execute(sql)


def tools(site: Mysql, **scripts: str) -> Tools:
    """The real programs behind scripts: `{real}` is the real one, `{sql}` a client of the live database."""
    directory = site.directory / "bin"
    directory.mkdir()
    client = f"env -u MYSQL_PWD {program('mariadb')} --no-defaults -uroot -S{site.server.socket} {site.name}"
    for name in ("mariadb-dump", "mariadb"):
        real = program(name)
        script = scripts.get(name.replace("-", "_"), 'exec {real} "$@"').format(real=real, sql=client)
        path = directory / name
        path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exec {real} --version\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Tools((directory,))


def with_backup(site: Mysql, **changed: object) -> MysqlDatabase:
    return site.second(backup=replace(BackupSettings(site.directory / "backups"), **changed))  # type: ignore[arg-type]


def nothing_is_left(site: Mysql) -> bool:
    files = [p for p in (site.directory / "backups").glob("*") if p.suffix not in (".sql", ".json")]
    return not files and site.run("SHOW DATABASES LIKE 'changeover\\_scratch%'") == []


@pytest.fixture
def unprivileged(site: Mysql) -> Iterator[Callable[[], str]]:
    """A login that may back up, but may not make commits stand still."""
    login = f"plain_{site.name}"
    site.run(f"CREATE USER {login}@'%' IDENTIFIED BY 'x'")
    site.run(f"GRANT ALL PRIVILEGES ON {site.name}.* TO {login}@'%'")
    site.run(f"GRANT ALL PRIVILEGES ON `changeover\\_scratch\\_%`.* TO {login}@'%'")
    site.run(f"GRANT PROCESS ON *.* TO {login}@'%'")
    yield lambda: site.server.url(site.name, login, "x")
    site.run(f"DROP USER {login}@'%'")


# the catalogue -----------------------------------------------------------------------------------------------


def test_the_catalogue_survives_a_dump_and_restore(site: Mysql) -> None:
    rich(site)
    point = site.driver.backup("rich", TestFence())
    assert (point.proof, point.tables) == ("compared", 4 + 5)
    scratch = site.driver.rehearse(())
    try:
        assert site.second(url=scratch.url).read() == site.driver.read()
    finally:
        scratch.close()
    assert nothing_is_left(site)


@pytest.mark.parametrize("sql", CHANGES)
def test_the_catalogue_shows(site: Mysql, sql: str) -> None:
    rich(site)
    before = site.driver.read().catalogue
    for one in sql.split("; "):
        site.run(one)
    assert site.driver.read().catalogue != before


def test_the_catalogue_ignores_what_is_no_change_of_the_schema(site: Mysql) -> None:
    rich(site)
    before = site.driver.read().catalogue
    for sql in INVISIBLE:
        site.run(sql)
        assert site.driver.read().catalogue == before, sql


# restore points ----------------------------------------------------------------------------------------------


def busily(site: Mysql, stop: threading.Event, written: list[int]) -> None:
    with site.server.connect(site.name) as db, db.cursor() as cursor:
        n = 0
        while not stop.is_set():
            n += 1
            cursor.execute(f"UPDATE orders SET price = price + 1 WHERE id = {n % ROWS + 1}")
            cursor.execute(f"INSERT INTO orders VALUES ({100_000 + n}, {n})")
            written.append(n)


def test_what_is_written_meanwhile_is_no_difference(site: Mysql) -> None:
    """The dump and the checksums see the same state, while writers never pause."""
    site.insert(20_000)
    stop, written = threading.Event(), list[int]()
    writer = threading.Thread(target=busily, args=(site, stop, written))
    writer.start()
    try:
        proofs = [site.driver.backup(f"busy-{n}", TestFence()).proof for n in range(3)]
    finally:
        stop.set()
        writer.join()
    assert proofs == ["compared"] * 3
    assert len(written) > 3


def test_without_the_right_to_hold_commits_a_quiet_database_is_compared(
    site: Mysql, unprivileged: Callable[[], str]
) -> None:
    assert site.second(url=unprivileged).backup("quiet", TestFence()).proof == "compared"


def test_without_the_right_to_hold_commits_a_busy_table_is_restored_not_compared(
    site: Mysql, unprivileged: Callable[[], str]
) -> None:
    """A row before the dump begins and another one right after: the dump has neither state of the table."""
    site.insert(2_000)
    script = (
        'for a in "$@"; do case "$a" in --result-file=*) f="${{a#--result-file=}}";; esac; done\n'
        '{sql} -e "INSERT INTO orders VALUES (900001, 1)"\n'
        '{real} $(echo "$@" | sed "s,$f,$f.whole,") || exit 1\n'
        '{sql} -e "INSERT INTO orders VALUES (900002, 1)"\nmv "$f.whole" "$f"'
    )
    driver = site.second(
        url=unprivileged, backup=BackupSettings(site.directory / "backups", tools=tools(site, mariadb_dump=script))
    )
    point = driver.backup("busy", TestFence())
    assert (point.proof, point.rows) == ("restored", ROWS + 2_000 + 1 + 2)
    assert nothing_is_left(site)


def test_commits_stand_still_and_the_server_lets_go_by_itself(site: Mysql) -> None:
    """Even if this process stopped right then, nobody would wait for more than some seconds."""
    with ExitStack() as stack:
        still = Standstill.begin(site.driver._sessions, stack)
        assert still.holds
        site.run("INSERT INTO orders VALUES (900001, 1)")  # waits until the server has ended the session
        assert not still.end()
    with ExitStack() as stack:
        still = Standstill.begin(site.driver._sessions, stack)
        assert still.end()
    with ExitStack() as stack:
        Standstill.begin(site.driver._sessions, stack)
        refused = Standstill.begin(site.driver._sessions, stack)
        assert not refused.holds


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("DELETE FROM orders WHERE id = 7", f"orders has {ROWS} rows, restored {ROWS - 1}"),
        ("UPDATE orders SET price = price + 1 WHERE id = 7", f"the values of its {ROWS} rows differ"),
        ("DROP TABLE orders", "orders is missing in the restored copy"),
    ],
)
@pytest.mark.parametrize("privileged", [True, False])
def test_a_copy_that_differs_is_no_restore_point(
    site: Mysql, unprivileged: Callable[[], str], sql: str, told: str, privileged: bool
) -> None:
    tamper = f'{{real}} "$@" || exit 1\nexec {{real}} "$@" -e "{sql}" < /dev/null'
    settings = BackupSettings(site.directory / "backups", tools=tools(site, mariadb=tamper))
    driver = site.second(url=site.driver.url if privileged else unprivileged, backup=settings)
    with pytest.raises(RestorePointFailed, match=told):
        driver.backup("tampered", TestFence())
    assert list((site.directory / "backups").glob("*")) == []
    assert nothing_is_left(site)
    with pytest.raises(RestorePointFailed, match="no restore point"):
        driver.rehearse(())


@pytest.mark.parametrize(
    ("column", "change"),
    [("raw", "X'00ff28'"), ("picture", "repeat(X'0028', 99)"), ("old", "'e'"), ("flags", "b'10100'"), ("spot", "point(2, 1)"),
     ("extra", "'[]'"), ("mood", "NULL"), ("name", "'C1'"), ("big", "0.34"), ("f", "0.2"), ("at", "'2026-01-01 00:00:00.000001'"),
     ("n", "uuid()"), ("hidden", "8")],
)  # fmt: skip
def test_every_kind_of_value_counts(site: Mysql, column: str, change: str) -> None:
    rich(site)
    sql = f"UPDATE customers SET {column} = {change} WHERE id = 1"
    tamper = f'{{real}} "$@" || exit 1\nexec {{real}} "$@" -e "{sql}" < /dev/null'
    with pytest.raises(RestorePointFailed, match=r"customers: the values of its 53 rows differ"):
        with_backup(site, tools=tools(site, mariadb=tamper)).backup("tampered", TestFence())


@pytest.mark.parametrize("name", ["mariadb_dump", "mariadb"])
def test_a_full_disk_leaves_nothing(site: Mysql, name: str) -> None:
    script = 'echo "Errcode: 28 \\"No space left on device\\"" >&2; exit 1'
    driver = with_backup(site, tools=tools(site, **{name: script}))
    with pytest.raises(RestorePointFailed, match="No space left") as failed:
        driver.backup("full", TestFence())
    assert "make room" in failed.value.next[0]
    assert list((site.directory / "backups").glob("*")) == []
    assert nothing_is_left(site)


def test_a_dump_stops_when_the_right_to_act_is_lost(site: Mysql) -> None:
    driver = with_backup(site, tools=tools(site, mariadb_dump=f"echo $$ > {site.directory}/pid; sleep 300"))
    with pytest.raises(FencedOut):
        driver.backup("stopped", lost_after(20))
    pid = int((site.directory / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert nothing_is_left(site)


def test_the_programs_must_be_as_new_as_the_server(site: Mysql) -> None:
    with pytest.raises(ToolMissing, match="none was found"):
        with_backup(site, tools=Tools((site.directory,))).backup("none", TestFence())
    found = tools(site)
    assert found.find(DUMPS, Product(mariadb=True, version=(10, 2))).is_file()
    for newer in (Product(mariadb=True, version=(99, 1)), Product(mariadb=False, version=(8, 0))):
        with pytest.raises(ToolMissing, match="is of MariaDB 10"):
            found.find(DUMPS, newer)


def test_what_a_killed_run_has_left_is_cleared_away(site: Mysql) -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupted(site)
    (left,) = site.run("SHOW DATABASES LIKE 'changeover\\_scratch%'")
    other = f"changeover_scratch_other_{site.name}"
    site.run(f"CREATE DATABASE {other}")
    try:
        site.driver.backup("before", TestFence())
        assert site.run("SHOW DATABASES LIKE 'changeover\\_scratch%'") == [(other,)]
    finally:
        site.run(f"DROP DATABASE {other}")
        site.run(f"DROP DATABASE IF EXISTS {left[0]}")


def _interrupted(site: Mysql) -> None:
    """A scratch database is made, and nobody closes it."""
    ScratchMaker(site.driver._sessions).make()
    raise KeyboardInterrupt


def test_what_others_have_defined_is_restored_without_their_logins(
    site: Mysql, unprivileged: Callable[[], str]
) -> None:
    """A trigger, a view and a routine of root: the login that restores them may not name root as their definer."""
    for sql in RICH:
        site.run(sql)
    site.run(f"GRANT SELECT ON mysql.proc TO plain_{site.name}@'%'")
    assert site.second(url=unprivileged).backup("theirs", TestFence()).proof == "compared"
    scratch = site.second(url=unprivileged).rehearse(())
    try:
        assert site.second(url=scratch.url).read().catalogue == site.driver.read().catalogue
    finally:
        scratch.close()
    assert "DEFINER=`root`@`localhost`" in (site.directory / "backups" / "theirs.sql").read_text(errors="replace")


def test_nothing_runs_by_itself_in_a_copy(site: Mysql) -> None:
    rich(site)
    site.driver.backup("events", TestFence())
    scratch = site.driver.rehearse(())
    try:
        with site.second(url=scratch.url)._sessions.connect() as copy:
            found = copy.execute(
                "SELECT event_name, status FROM information_schema.events WHERE event_schema = DATABASE()"
            )
        assert found == (("nightly", "DISABLED"),)
    finally:
        scratch.close()


@pytest.mark.parametrize("name", ["{live}.", "`{live}` . "])
def test_a_copy_that_would_reach_into_the_live_database_is_no_rehearsal(site: Mysql, name: str) -> None:
    site.run("CREATE TABLE audit (id bigint)")
    into = name.format(live=site.name)
    site.run(f"CREATE TRIGGER zz_i AFTER INSERT ON orders FOR EACH ROW INSERT INTO {into}audit VALUES (NEW.id)")
    assert site.driver.backup("before", TestFence()).proof == "compared"
    with pytest.raises(RestorePointFailed, match="trigger zz_i: names the database"):
        site.driver.rehearse(())
    assert nothing_is_left(site)


def test_a_password_is_in_no_argument(site: Mysql) -> None:
    script = 'echo "$@" >> {{}}/argv; echo "$MYSQL_PWD" >> {{}}/env; exec {real} "$@"'.replace(
        "{{}}", str(site.directory)
    )
    with_backup(site, tools=tools(site, mariadb_dump=script, mariadb=script)).backup("quiet", TestFence())
    assert "w@rd" not in (site.directory / "argv").read_text()
    assert (site.directory / "env").read_text().split() == ["pa%ss:w@rd", "pa%ss:w@rd"]


def test_a_half_done_contract_is_rehearsed_from_where_it_stands(site: Mysql) -> None:
    """A statement without a probe; its marker says that it is done."""
    site.run("CREATE FUNCTION old() RETURNS int DETERMINISTIC RETURN 1")
    first = Statement("DROP FUNCTION old", "1.1.0.contract.sql", 1, Phase.CONTRACT, "- function old")
    second = site.statement("drop_column")
    site.driver.apply(first, marker_of(first, phase=Phase.CONTRACT), TestFence())
    site.driver.backup("half", TestFence())
    site.driver.rehearse((first, second)).close()
    site.driver.complete(marker_of(index=COMPLETE, phase=Phase.CONTRACT), TestFence())
    site.driver.backup("whole", TestFence())
    with pytest.raises(StatementFailed):
        site.driver.rehearse((first, second))
    assert nothing_is_left(site)


# a command of the user's own, a database of the user's own -----------------------------------------------------


def test_a_command_of_the_users_own(site: Mysql) -> None:
    script = site.directory / "backup.sh"
    script.write_text(
        '#!/bin/sh\necho "starting"\ntest -n "$CHANGEOVER_DATABASE_URL" || exit 3\necho "s3://bucket/$CHANGEOVER_BACKUP_ID"\n'
    )
    script.chmod(0o755)
    driver = with_backup(site, command=(str(script),))
    point = driver.backup("mine", TestFence())
    assert (point.proof, point.location) == ("taken", "s3://bucket/mine")
    driver.rehearse((site.statement("drop_column"),)).close()
    assert nothing_is_left(site)


def test_a_command_that_fails(site: Mysql) -> None:
    driver = with_backup(site, command=("sh", "-c", "echo no bucket >&2; exit 4"))
    with pytest.raises(RestorePointFailed, match=r"sh ended with 4: no bucket"):
        driver.backup("mine", TestFence())


def test_a_database_of_the_users_own_is_used_again_and_again(site: Mysql) -> None:
    rich(site)
    with site.server.database() as name:
        driver = with_backup(site, restore_into=lambda: site.server.url(name))
        assert driver.backup("one", TestFence()).proof == "compared"
        assert driver.backup("two", TestFence()).proof == "compared"
        scratch = driver.rehearse((site.statement("drop_column"),))
        assert scratch.url() == site.server.url(name)
        scratch.close()
        assert site.server.run("SHOW TABLES", name) == [("changeover_scratch",)]


def test_a_database_with_somebody_elses_tables_is_not_touched(site: Mysql) -> None:
    with site.server.database() as name:
        site.server.run("CREATE TABLE precious (a integer)", name)
        driver = with_backup(site, restore_into=lambda: site.server.url(name))
        with pytest.raises(RestorePointFailed, match="did not put there"):
            driver.backup("one", TestFence())
        assert site.server.run("SELECT count(*) FROM precious", name) == [(0,)]


def test_the_live_database_is_never_restored_into(site: Mysql) -> None:
    url = site.server.url(site.name).replace("127.0.0.1", "localhost")
    site.run("CREATE TABLE changeover_scratch (mark int)")  # not even with the mark
    with pytest.raises(RestorePointFailed, match="the live database itself"):
        with_backup(site, restore_into=lambda: url).backup("one", TestFence())
    assert site.run("SELECT count(*) FROM orders") == [(ROWS,)]


# by hand -----------------------------------------------------------------------------------------------------


def sh(*lines: str, shell: str = "sh", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shell, "-e", "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


TRIGGER = Statement(
    "CREATE TRIGGER zz_i BEFORE INSERT ON orders FOR EACH ROW BEGIN SET NEW.price = '7'; SET @a = '//'; END;",
    "1.1.0.expand.sql",
    1,
    Phase.EXPAND,
    "+ trigger zz_i",
    probe=Probe("trigger", "zz_i", "orders"),
)
INSERTED = Statement(
    "INSERT INTO orders VALUES (5000, 1) -- rows", "1.1.0.expand.sql", 1, Phase.EXPAND, "+ rows of orders"
)


@pytest.mark.parametrize("name", ["add_column", "index", "table", "trigger", "rows"])
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_by_hand_leaves_what_the_tool_leaves(site: Mysql, name: str, shell: str) -> None:
    statement = {"trigger": TRIGGER, "rows": INSERTED}.get(name) or site.statement(name)
    marker = replace(marker_of(statement), run="by-hand", fence=0)
    for _ in range(2):  # each command may be run again
        done = sh(*site.driver.by_hand(statement, marker), shell=shell)
        assert done.returncode == 0, done.stderr
        (row,) = site.driver.read().applied
        assert replace(row, at=marker.at) == marker
    assert site.driver.apply(statement, marker_of(statement), TestFence()).attempts == 0
    assert site.driver.read().applied == (row,)


def test_by_hand_a_failing_statement_leaves_nothing(site: Mysql) -> None:
    statement = site.statement("failing")
    assert sh(*site.driver.by_hand(statement, marker_of(statement))).returncode != 0
    assert site.driver.read().applied == ()


def test_by_hand_from_the_first_day(site: Mysql) -> None:
    """Nobody has ever run changeover on this database. The address comes by reference, as the configuration has it."""
    for table in ("claim", "applied", "state"):
        site.run(f"DROP TABLE changeover_{table}")
    statement = site.statement("add_column")
    driver = site.second(words='"${SHOP_URL:?}"')
    lines = [
        *driver.by_hand(statement, marker_of(statement)),
        *driver.by_hand_complete(marker_of(index=COMPLETE)),
    ]
    assert "tester" not in "\n".join(lines)
    assert sh(*lines, SHOP_URL="").returncode != 0
    done = sh(*lines, SHOP_URL=site.server.url(site.name))
    assert done.returncode == 0, done.stderr
    site.driver.claim(claim_of(), TestFence())
    reading = site.driver.read()
    assert (reading.revision, reading.completed(V1, Phase.EXPAND)) == (1, True)
    assert site.driver.complete(marker_of(index=COMPLETE), TestFence()) == 1


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_backfill_by_hand(site: Mysql, shell: str) -> None:
    site.insert(2_500)
    site.by_hand(site.statement("add_column"))
    done = sh(*site.driver.by_hand(site.backfill(), marker_of(phase=Phase.BACKFILL)), shell=shell)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "0 rows left to fill"
    assert site.unfilled() == 0


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("varchar(20)", ["it's", "$HOME", "`id`", "\\", "a b", '"']),
        ("binary(2)", [b"\x00\x01", b"12", b"\xff'"]),
        ("uuid", [f"{n:08x}-0000-0000-0000-000000000000" for n in (1, 77)]),
        ("bigint unsigned", ["0", "18446744073709551615"]),
        ("int", []),
    ],
)
def test_a_backfill_by_hand_with_any_key(site: Mysql, kind: str, keys: list[object]) -> None:
    site.run(f"CREATE TABLE things (code {kind} PRIMARY KEY, done boolean)")
    with site.server.connect(site.name) as db, db.cursor() as cursor:
        cursor.executemany("INSERT INTO things (code) VALUES (%s)", [(k,) for k in keys])
    sql = "UPDATE things SET done = '$x`y`' <> '' WHERE (done IS NULL) AND code > :lo AND code <= :hi"
    statement = BackfillStatement(sql, "1.1.0.backfill.sql", 1, "things", "code", "~ backfill things.done")
    done = sh(*site.driver.by_hand(statement, marker_of(phase=Phase.BACKFILL)))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "0 rows left to fill"
    assert site.run("SELECT count(*) FROM things WHERE done IS NULL") == [(0,)]


def test_a_backup_by_hand(site: Mysql) -> None:
    rich(site)
    done = sh(*site.driver.by_hand_backup("mine"))
    assert done.returncode == 0, done.stderr
    text = Path(site.directory / "backups" / "mine.sql").read_text(errors="replace")
    assert "CREATE TABLE `orders`" in text
    assert "nothing" in text


def test_retiring_by_hand(site: Mysql) -> None:
    driver = site.second(login="shop_{version}")
    site.run("CREATE USER 'shop_1.1.0'@'%' IDENTIFIED BY 'x'")
    site.run(f"GRANT ALL PRIVILEGES ON {site.name}.* TO 'shop_1.1.0'@'%'")
    try:
        with site.server.connect(site.name, "shop_1.1.0", "x") as app, app.cursor() as cursor:
            for _ in range(2):
                done = sh(*driver.by_hand_retire(V1))
                assert done.returncode == 0, done.stderr
            with pytest.raises(pymysql.err.Error):
                cursor.execute("SELECT 1")
        with pytest.raises(pymysql.err.OperationalError, match="locked"):
            site.second(url=lambda: site.server.url(site.name, "shop_1.1.0", "x"))._sessions.connect()
        assert sh(*driver.by_hand_admit(V1)).returncode == 0
        site.second(url=lambda: site.server.url(site.name, "shop_1.1.0", "x"))._sessions.connect().close()
    finally:
        site.run("DROP USER 'shop_1.1.0'@'%'")
    assert sh(*driver.by_hand_retire(V1)).returncode != 0  # there is no such login

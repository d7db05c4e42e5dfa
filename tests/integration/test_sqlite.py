"""SQLite files, with what goes wrong: other writers, killed processes, damaged files. And the acts done by hand."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.database_cases import ENVIRONMENT, ROWS, V1, TestFence, claim_of, lost_after, marker_of
from tests.fixtures.need import need
from tests.fixtures.sqlite_database import Sqlite, database_under_test

from changeover.core.errors import (
    ChangesEdited,
    DatabaseUnreachable,
    FencedOut,
    LockNotObtained,
    RestorePointFailed,
    StatementFailed,
)
from changeover.core.model import COMPLETE, BackfillStatement, Phase, Statement
from changeover.drivers.databases.limits import Limits
from changeover.drivers.databases.sqlite import SqliteDatabase, SqliteSettings
from changeover.drivers.databases.sqlite_backup import SqliteBackup
from changeover.schema.classify import classify


@pytest.fixture
def site() -> Iterator[Sqlite]:
    with database_under_test() as running:
        running.driver.claim(claim_of(), TestFence())
        yield running


def driver_of(path: Path, limits: Limits | None = None, backups: Path | None = None) -> SqliteDatabase:
    return SqliteDatabase(SqliteSettings(lambda: f"sqlite:///{path}", ENVIRONMENT, backups, limits or Limits()))


# locks and kills ---------------------------------------------------------------------------------------------

HOLDER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
db.execute("UPDATE orders SET price = price")
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def held(site: Sqlite) -> Iterator[subprocess.Popen[str]]:
    """Another process in the middle of a write; it goes on until its stdin is closed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(site.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()
        process.wait(timeout=20)


def test_at_the_deadline_the_writer_in_the_way_is_named(site: Sqlite) -> None:
    statement = site.statement("add_column")
    with held(site) as process:
        with pytest.raises(LockNotObtained) as failed:
            site.driver.apply(statement, marker_of(statement), TestFence())
        assert f"process {process.pid} (python" in failed.value.what
        assert process.poll() is None
    assert site.driver.read().applied == ()
    assert site.driver.apply(statement, marker_of(statement), TestFence()).attempts == 1


def test_it_waits_for_the_writer(site: Sqlite) -> None:
    statement = site.statement("add_column")
    driver = driver_of(site.path, Limits(lock_deadline=20))
    with held(site) as process:
        assert process.stdin is not None
        timer = threading.Timer(0.3, process.stdin.close)
        timer.start()
        driver.apply(statement, marker_of(statement), TestFence())
        timer.join()
    assert site.driver.read().applied == (marker_of(statement),)


KILLED = """
import os, signal, sys
from tests.contract.database_cases import TestFence, marker_of
from tests.integration.test_sqlite import Sqlite, driver_of
from pathlib import Path

class Killing(TestFence):
    left = int(sys.argv[2])
    def check(self):
        Killing.left -= 1
        if Killing.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

site = Sqlite.__new__(Sqlite)
statement = site.statement(sys.argv[3])
driver_of(Path(sys.argv[1])).apply(statement, marker_of(statement), Killing())
"""


@pytest.mark.parametrize("name", ["add_column", "index", "table"])
@pytest.mark.parametrize("check", [1, 2])
def test_a_process_that_is_killed_leaves_all_or_nothing(site: Sqlite, name: str, check: int) -> None:
    """SIGKILL before the transaction, and right before its commit: then the next one does it, once."""
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(site.path), str(check), name],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    statement = site.statement(name)
    assert statement.probe is not None
    assert not site.driver.done(statement.probe)
    assert site.driver.read().applied == ()
    assert site.driver.apply(statement, marker_of(statement), TestFence()).attempts == 1


def test_two_processes_apply_it_once(site: Sqlite) -> None:
    statement = site.statement("add_column")
    found = []

    def act() -> None:
        found.append(driver_of(site.path).apply(statement, marker_of(statement), TestFence()).attempts)

    threads = [threading.Thread(target=act) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(min(n, 1) for n in found) == [0, 0, 0, 1]


# files that cannot be used -------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "nothing.db"
    with pytest.raises(DatabaseUnreachable, match="there is no database file"):
        driver_of(path).read()
    (finding,) = driver_of(path).inspect()
    assert not finding.ok
    assert not path.exists()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("this is not a database, and it is long enough to be taken for one" * 20)
    with pytest.raises(DatabaseUnreachable, match="cannot be used"):
        driver_of(path).read()


def test_names_that_need_quoting(tmp_path: Path) -> None:
    path = tmp_path / "a b?c#d%41.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE orders (id integer PRIMARY KEY)")
    driver = SqliteDatabase(SqliteSettings(lambda: f"sqlite:///{path}".replace("?", "_"), ENVIRONMENT))
    with pytest.raises(DatabaseUnreachable):
        driver.read()
    other = path.rename(tmp_path / "a b#d%41.db")
    assert driver_of(other).read().revision == 0


# restore points ------------------------------------------------------------------------------------------------


def test_what_is_written_meanwhile_is_no_difference(site: Sqlite) -> None:
    checks = []

    def hold() -> bool:
        checks.append(site.insert(1))  # a commit of another connection at every look at the fence
        return True

    site.insert(20_000)
    point = site.driver.backup("busy", TestFence(held=hold))
    assert point.proof == "compared"
    assert len(checks) > 1
    with contextlib.closing(sqlite3.connect(point.location)) as copy:
        rows = copy.execute("SELECT count(*) FROM orders").fetchone()[0]
    assert rows < site.run("SELECT count(*) FROM orders")[0][0]
    assert point.rows == rows + 2  # and the claim and the revision


def test_a_copy_that_differs_is_no_restore_point(site: Sqlite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody writes into the restored copy before it is compared."""
    found = SqliteBackup.scratch_path

    def tampering(self: SqliteBackup) -> Path:
        (part,) = self.files.directory.glob("*.part")
        site.damage(str(part))
        return found(self)

    monkeypatch.setattr(SqliteBackup, "scratch_path", tampering)
    with pytest.raises(RestorePointFailed, match=f"orders: the values of its {ROWS} rows differ"):
        site.driver.backup("tampered", TestFence())
    assert list((site.directory / "backups").glob("*")) == []


def test_a_lost_fence_leaves_no_restore_point(site: Sqlite) -> None:
    for checks in range(3):
        with pytest.raises(FencedOut):
            site.driver.backup("lost", lost_after(checks))
        assert list((site.directory / "backups").glob("*")) == []


def test_a_full_disk_leaves_nothing(site: Sqlite, tmp_path: Path) -> None:
    """A file-size limit of the process: what a full disk looks like to SQLite."""
    script = """
import resource, signal, sys
from pathlib import Path
from tests.contract.database_cases import TestFence
from tests.integration.test_sqlite import driver_of
from changeover.core.errors import RestorePointFailed
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    driver_of(Path(sys.argv[1]), backups=Path(sys.argv[2])).backup("full", TestFence())
except RestorePointFailed as error:
    print(error)
"""
    site.insert(20_000)
    root = Path(__file__).parents[2]
    told = subprocess.run(
        [sys.executable, "-c", script, str(site.path), str(tmp_path / "b")],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "full" in told.stdout
    assert list((tmp_path / "b").glob("*")) == []


def test_what_a_killed_run_has_left_is_cleared_away(site: Sqlite) -> None:
    backups = site.directory / "backups"
    backups.mkdir()
    for name in ("changeover-scratch-1.db", "changeover-scratch-1.db-wal", "before.db.part"):
        (backups / name).write_text("half")
    site.driver.backup("before", TestFence())
    assert sorted(p.name for p in backups.iterdir()) == ["before.db", "before.json"]


def test_a_card_that_is_half_written_is_no_restore_point(site: Sqlite) -> None:
    backups = site.directory / "backups"
    site.driver.backup("before", TestFence())
    (backups / "before.json").write_text('{"id": "before",')
    with pytest.raises(RestorePointFailed, match="no restore point"):
        site.driver.rehearse(())
    assert site.driver.backup("before", TestFence()).proof == "compared"
    site.driver.rehearse(()).close()


@pytest.mark.parametrize("id", ["../outside", "", "a/b", ".hidden"])
def test_an_id_that_is_no_file_name_is_refused(site: Sqlite, id: str) -> None:
    with pytest.raises(RestorePointFailed, match="cannot be the name"):
        site.driver.backup(id, TestFence())


def test_a_half_done_contract_is_rehearsed_from_where_it_stands(site: Sqlite) -> None:
    """The marker alone tells that a statement without a probe is done."""
    site.run("CREATE TABLE log (id integer PRIMARY KEY, line text)")
    gone = Statement("INSERT INTO log VALUES (1, 'once')", "f", 1, Phase.CONTRACT, "+ rows of log")
    site.driver.apply(gone, marker_of(gone, phase=Phase.CONTRACT), TestFence())
    site.driver.backup("half", TestFence())
    site.driver.rehearse((gone, site.statement("drop_column"))).close()
    site.driver.complete(marker_of(index=COMPLETE, phase=Phase.CONTRACT), TestFence())
    site.driver.backup("whole", TestFence())
    with pytest.raises(StatementFailed):
        site.driver.rehearse((gone,))


def test_a_file_in_rollback_mode_works_and_is_told(site: Sqlite) -> None:
    site.run("PRAGMA journal_mode=DELETE")
    (finding,) = [f for f in site.driver.inspect() if f.subject == "journal mode"]
    assert not finding.ok
    assert not finding.fatal
    assert site.driver.backup("before", TestFence()).proof == "compared"


# the ledger ----------------------------------------------------------------------------------------------------


def test_a_phase_that_is_complete_may_get_another_digest(site: Sqlite) -> None:
    """The contract file is edited while it waits: that is no edit of what was applied."""
    whole = marker_of(index=COMPLETE)
    assert site.driver.complete(whole, TestFence()) == 1
    assert site.driver.complete(replace(whole, digest="other"), TestFence()) == 1


def test_an_edited_statement_names_its_place(site: Sqlite) -> None:
    statement = site.statement("add_column")
    site.driver.apply(statement, marker_of(statement), TestFence())
    with pytest.raises(ChangesEdited, match=r"statement 1 of 1\.1\.0\.expand"):
        site.driver.apply(statement, replace(marker_of(statement), digest="other"), TestFence())


# keys of backfills -----------------------------------------------------------------------------------------------


def keyed(site: Sqlite, kind: str, keys: list[object]) -> BackfillStatement:
    site.run(f"CREATE TABLE things (code {kind} PRIMARY KEY, done text)")
    with contextlib.closing(sqlite3.connect(site.path)) as db:
        db.executemany("INSERT INTO things (code) VALUES (?)", [(k,) for k in keys])
        db.commit()
    sql = "-- changeover: key=code\nUPDATE things SET done = 'x' WHERE done IS NULL;"
    found = classify(sql, Phase.BACKFILL, "sqlite", "1.1.0.backfill.sql")
    assert isinstance(found, BackfillStatement)
    return found


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("integer", [-3, -2, 0, 9, 10, 11, 100]),
        ("", [9, 10, 100]),
        ("text", ["a", "B", "ä", "10", "9", "x'y"]),
        ("text COLLATE NOCASE", ["a", "B", "c", "D"]),
    ],
)
def test_keys_compare_as_their_type(site: Sqlite, kind: str, keys: list[object]) -> None:
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


@pytest.mark.parametrize(("kind", "keys"), [("text", ["", "a"]), ("real", [0.5]), ("integer", [-(2**63), 1])])
def test_keys_that_cannot_be_counted_off_are_refused(site: Sqlite, kind: str, keys: list[object]) -> None:
    statement = keyed(site, kind, keys)
    with pytest.raises(StatementFailed, match="counts rows off"):
        site.driver.fill(statement, None, str(keys[-1]), 10, TestFence())


# by hand -----------------------------------------------------------------------------------------------------------


def sh(*lines: str) -> subprocess.CompletedProcess[str]:
    need("sqlite3")
    return subprocess.run(["sh", "-e", "-c", "\n".join(lines)], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", ["add_column", "index", "table"])
def test_by_hand_leaves_what_the_tool_leaves(site: Sqlite, name: str) -> None:
    statement = site.statement(name)
    marker = replace(marker_of(statement), run="by-hand", fence=0)
    for _ in range(2):  # each command may be run again
        done = sh(*site.driver.by_hand(statement, marker))
        assert done.returncode == 0, done.stderr
        (row,) = site.driver.read().applied
        assert replace(row, at=marker.at) == marker
    assert site.driver.apply(statement, marker_of(statement), TestFence()).attempts == 0


def test_by_hand_a_failing_statement_leaves_nothing(site: Sqlite) -> None:
    statement = site.statement("failing")
    assert sh(*site.driver.by_hand(statement, marker_of(statement))).returncode != 0
    assert site.driver.read().applied == ()


def test_by_hand_from_the_first_day(site: Sqlite) -> None:
    """Nobody has ever run changeover on this file."""
    for table in ("claim", "applied", "state"):
        site.run(f"DROP TABLE changeover_{table}")
    statement = site.statement("add_column")
    lines = [
        *site.driver.by_hand(statement, marker_of(statement)),
        *site.driver.by_hand_complete(marker_of(index=COMPLETE)),
    ]
    done = sh(*lines)
    assert done.returncode == 0, done.stderr
    site.driver.claim(claim_of(), TestFence())
    reading = site.driver.read()
    assert (reading.revision, reading.completed(V1, Phase.EXPAND)) == (1, True)


def test_a_backfill_by_hand(site: Sqlite) -> None:
    site.insert(2_500)
    site.by_hand(site.statement("add_column"))
    done = sh(*site.driver.by_hand(site.backfill(), marker_of(phase=Phase.BACKFILL)))
    assert done.returncode == 0, done.stderr
    assert site.unfilled() == 0


def test_a_backup_by_hand(site: Sqlite) -> None:
    done = sh(*site.driver.by_hand_backup("mine"))
    assert done.returncode == 0, done.stderr
    assert (site.directory / "backups" / "mine.db").is_file()

"""Operations on SQL Server over TDS: blocks under a lock, their guards, and what goes wrong in the middle of them.

The wire is real, the engine behind it a stand-in (`tests.fixtures.tsql_ddl`): triggers do nothing there.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.contract.database_cases import ENVIRONMENT, ROWS, V1, TestFence, claim_of, marker_of
from tests.fixtures.operations.tsql_catalogue import catalogue_of
from tests.fixtures.sqlserver_changes import changes_of
from tests.fixtures.sqlserver_database import SqlServer, database_under_test
from tests.fixtures.tds import Cut, Failed, Garbage, Hang, Rows, Session

from changeover.core.errors import (
    ChangeoverError,
    ChangesEdited,
    DatabaseDenied,
    DatabaseUnreachable,
    FencedOut,
    LockNotObtained,
    RowsInTheWay,
    StatementFailed,
)
from changeover.core.model import ChangeSet, Check, Phase, Statement
from changeover.drivers.databases import sqlserver_tables as tables
from changeover.drivers.databases.limits import Limits
from changeover.drivers.databases.sqlserver_session import Sessions

RENAME = "rename_column: { table: orders, column: price, to: cost }"
CHANGES = changes_of(RENAME)
PARK = next(s for s in CHANGES.contract if s.guards)
(SYNC,) = CHANGES.sync
PATIENT = Limits(lock=0.1, lock_deadline=20.0)
PARTS = [
    pytest.param(n, id=part.split(" (")[0][:60])
    for n, part in enumerate((PARK.lock_first, PARK.guards[0].sql, *PARK.parts))
]
TROUBLES = [
    pytest.param(Failed(1222, "Lock request time out period exceeded."), id="lock timeout"),
    pytest.param(Failed(1205, "You were deadlocked and have been chosen as the victim.", 13), id="deadlock victim"),
    pytest.param(Cut(), id="cut"),
    pytest.param(Cut("half"), id="cut in an answer"),
    pytest.param(Garbage(), id="garbage"),
    pytest.param(Failed(596, "Cannot continue the execution because the session is in the kill state.", 21), id="killed"),
]  # fmt: skip


@pytest.fixture
def site() -> Iterator[SqlServer]:
    with database_under_test() as running:
        running.driver.claim(claim_of(), TestFence())
        yield running


@pytest.fixture
def synced(site: SqlServer) -> SqlServer:
    """Expanded, synchronised, filled."""
    forward(site, CHANGES)
    return site


def marked(statement: Statement, changes: ChangeSet = CHANGES, fence: int = 1) -> Any:
    found = changes.statements(statement.phase)
    return replace(marker_of(statement, found.index(statement), statement.phase, fence), version=changes.version)


def apply(site: SqlServer, statement: Statement, changes: ChangeSet = CHANGES) -> int:
    """How many attempts it took; 0 when it was there already."""
    driver = site.second(limits=PATIENT)
    return driver.apply(statement, marked(statement, changes), TestFence()).attempts


def forward(site: SqlServer, changes: ChangeSet) -> None:
    """Up to traffic, each statement twice."""
    for statement in (*changes.expand, *changes.sync):
        twice(site, statement, changes)
    for fill in changes.backfill:
        upto = site.driver.last_key(fill)
        after, rows = None, 0
        while upto is not None:
            batch = site.driver.fill(fill, after, upto, 100, TestFence())
            after, rows = batch.hi, rows + batch.rows
            if after is None:
                break
        assert rows == ROWS
        assert site.driver.gap(fill).remaining == 0
    for check in changes.verify:
        assert site.driver.count(check).rows == 0
    for statement in changes.finalize:
        twice(site, statement, changes)


def twice(site: SqlServer, statement: Statement, changes: ChangeSet) -> None:
    """Done, marked; then found done."""
    assert apply(site, statement, changes) == 1, statement.title
    assert apply(site, statement, changes) == 0
    assert statement.probe is None or site.driver.done(statement.probe)


def parked(site: SqlServer) -> bool:
    """Whether all of the block is there, or none of it."""
    columns = {row[1] for row in site.run("PRAGMA table_info(orders)")}
    gone = next(c for c in ("price", *sorted(columns)) if c == "price" or c.startswith("zz_gone"))
    whole = "price" not in columns
    assert whole is (gone != "price" or any(c.startswith("zz_gone") for c in columns))
    triggers = site.run("SELECT count(*) FROM changeover_objects WHERE kind = 'trigger'")[0][0]
    assert triggers == (0 if whole else 1), "the trigger goes with the column, or stays with it"
    return whole


def at_part(number: int, trouble: Exception, times: int = 1) -> Any:
    """Trouble at the n-th batch of the block, so often."""
    texts = (PARK.lock_first, PARK.guards[0].sql, *PARK.parts)
    left = [times]

    def raising(_: Session, sql: str) -> None:
        if sql == texts[number] and left[0]:
            left[0] -= 1
            raise trouble

    return raising


# one act, one transaction --------------------------------------------------------------------------------------


def test_a_block_takes_its_lock_asks_its_guards_and_is_marked_in_one_transaction(synced: SqlServer) -> None:
    before = len(synced.server.asked)
    assert apply(synced, PARK) == 1
    asked = [sql for _, sql, _ in synced.server.asked[before:]]
    begin, commit = asked.index("BEGIN TRANSACTION;"), asked.index("COMMIT TRANSACTION;")
    inside = asked[begin + 1 : commit]
    wanted = [PARK.lock_first, PARK.guards[0].sql, *PARK.parts]
    assert [sql for sql in inside if sql in wanted] == wanted
    assert "changeover_claim" in inside[0] or "changeover_claim" in inside[1], "the claim is locked first"
    assert inside.index(PARK.parts[-1]) < next(
        n for n, sql in enumerate(inside) if sql.startswith("INSERT INTO dbo.changeover_applied")
    )
    assert len({spid for spid, sql, _ in synced.server.asked[before:] if sql in wanted}) == 1
    assert parked(synced)


def test_a_trigger_is_alone_in_its_batch_and_comes_without_parameters(synced: SqlServer) -> None:
    """Inside sp_executesql it would be as well; a parameter in front of it would not."""
    (sent,) = [(sql, values) for _, sql, values in synced.server.asked if "CREATE TRIGGER" in sql]
    assert sent == (SYNC.sql, {})


def test_a_guard_that_finds_something_gives_the_lock_back(synced: SqlServer) -> None:
    synced.run("DELETE FROM changeover_objects WHERE kind = 'trigger'")
    columns = synced.run("PRAGMA table_info(orders)")
    with pytest.raises(RowsInTheWay, match="is missing or disabled") as failed:
        apply(synced, PARK)
    assert "nothing was changed" in failed.value.now
    assert synced.run("PRAGMA table_info(orders)") == columns
    assert marked(PARK) not in synced.driver.read().applied
    assert not any(s.level for s in synced.server.sessions.values())


def test_statements_with_output_are_found_before_a_trigger_is_made(site: SqlServer) -> None:
    site.engine.objects.outputs.append("INSERT INTO [orders] ([price]) OUTPUT INSERTED.[id] VALUES (@p0)")
    question = SYNC.guards[0]
    answer = site.driver.count(question)
    assert (answer.rows, answer.shown) == (1, ("('INSERT INTO [orders] ([price]) OUTPUT INSERTED.[id] VALUES…)",))
    for statement in CHANGES.expand:
        apply(site, statement)
    with pytest.raises(RowsInTheWay, match=r"OUTPUT and without INTO.*INSERT INTO \[orders\]"):
        apply(site, SYNC)
    assert not site.driver.done(SYNC.probe)
    site.engine.objects.outputs.clear()
    assert apply(site, SYNC) == 1


def test_who_may_not_look_for_them_is_told_what_to_grant(site: SqlServer) -> None:
    denied = Failed(300, "VIEW SERVER STATE permission was denied on object 'server', database 'master'.", 14)

    def raising(_: Session, sql: str) -> None:
        if "dm_exec_query_stats" in sql:
            raise denied

    site.server.trouble = raising
    with pytest.raises(DatabaseDenied, match="VIEW SERVER STATE") as failed:
        site.driver.count(SYNC.guards[0])
    assert "doctor --grants" in failed.value.next[0]


# trouble in the middle -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("part", PARTS)
def test_trouble_anywhere_in_a_block_leaves_all_or_nothing_and_it_is_done_again(
    synced: SqlServer, part: int, trouble: Exception
) -> None:
    texts = (PARK.lock_first, PARK.guards[0].sql, *PARK.parts)
    synced.server.trouble = at_part(part, trouble)
    assert not parked(synced)
    attempts = apply(synced, PARK)
    assert attempts == 2 or not isinstance(trouble, Failed) or trouble.severity >= 20
    assert parked(synced)
    done = [sql for sql in synced.server.statements() if sql == texts[-1]]
    assert len(done) == (2 if part == len(texts) - 1 else 1), (
        "the last part was reached once, and once more if it was the one"
    )
    assert synced.driver.read().applied.count(marked(PARK)) == 1


@pytest.mark.parametrize("number", [1222, 1205])
def test_at_the_deadline_the_block_is_not_there(synced: SqlServer, number: int) -> None:
    before = synced.driver.read()
    synced.server.trouble = at_part(3, Failed(number, "Lock request time out period exceeded."), times=999)
    with pytest.raises(LockNotObtained) as failed:
        synced.driver.apply(PARK, marked(PARK), TestFence())
    assert not parked(synced)
    assert synced.driver.read() == before
    assert PARK.title in failed.value.what


def test_the_one_who_holds_the_table_is_named(synced: SqlServer) -> None:
    """The block waits for a session that writes; the watch beside it sees whose it is."""
    released = threading.Event()

    def slow(session: Session, sql: str) -> None:
        if sql == PARK.lock_first and not seen:
            seen.append(1)
            synced.engine.holder = other
            released.wait(0.3)
            synced.engine.holder = session
            raise Failed(1222, "Lock request time out period exceeded.")

    seen: list[int] = []
    with Sessions(synced.server.url, "report").connect() as db:
        other = synced.server.sessions[db.number("SELECT @@SPID;")]
        synced.server.trouble = slow
        waited = synced.second(limits=PATIENT).apply(PARK, marked(PARK), TestFence())
    assert waited.attempts == 2
    assert f'session {other.spid} (shop, "changeover/report", from here), sleeping' in waited.blocker
    assert parked(synced)


@pytest.mark.parametrize("cuts", [("reply",), ("request",), ("request", "reply")])
def test_the_fate_of_a_block_whose_commit_is_not_answered_is_looked_up(
    synced: SqlServer, cuts: tuple[str, ...]
) -> None:
    left = list(cuts)

    def lose(at: str) -> Any:
        def losing(_: Session, sql: str) -> None:
            if sql.startswith("COMMIT") and left[:1] == [at]:
                left.pop(0)
                raise Cut

        return losing

    synced.server.trouble, synced.server.after = lose("request"), lose("reply")
    apply(synced, PARK)
    assert left == []
    assert parked(synced)
    assert synced.driver.read().applied.count(marked(PARK)) == 1
    assert synced.server.statements().count(PARK.parts[0]) == 1 + cuts.count("request")


def test_a_lost_reply_and_a_lost_ledger_row_are_found_in_the_catalogue(synced: SqlServer) -> None:
    """Somebody has restored the ledger, or done it by hand: the probe tells, and it is only marked."""
    apply(synced, PARK)
    synced.run("DELETE FROM changeover_applied WHERE phase = 'contract'")
    asked = synced.server.statements().count(PARK.parts[0])
    assert apply(synced, PARK) == 0
    assert synced.server.statements().count(PARK.parts[0]) == asked
    assert marked(PARK) in synced.driver.read().applied


def test_a_login_that_is_refused_after_the_connection_was_lost_says_that_the_fate_is_unknown(synced: SqlServer) -> None:
    def after(_: Session, sql: str) -> None:
        if sql.startswith("COMMIT"):
            synced.server.disabled.add("shop")
            raise Cut

    synced.server.after = after
    with pytest.raises(DatabaseUnreachable, match="18470") as failed:
        apply(synced, PARK)
    assert "not known whether it was done" in failed.value.now
    synced.server.disabled.clear()
    synced.server.after = lambda _session, _sql: None
    assert apply(synced, PARK) == 0
    assert parked(synced)


def test_a_login_that_is_refused_at_first_changes_nothing(synced: SqlServer) -> None:
    synced.server.disabled.add("shop")
    with pytest.raises(DatabaseUnreachable, match="18470") as failed:
        apply(synced, PARK)
    assert failed.value.now == "Nothing was changed."
    synced.server.disabled.clear()
    assert not parked(synced)


def test_a_block_that_hangs_is_cancelled_and_rolled_back(synced: SqlServer) -> None:
    synced.server.trouble = at_part(4, Hang())
    driver = synced.second(limits=replace(PATIENT, statement_timeout=0.3))
    with pytest.raises(StatementFailed, match=r"stopped after 0\.3 s") as failed:
        driver.apply(PARK, marked(PARK), TestFence())
    assert "rolled back" in failed.value.now
    assert not parked(synced)


def test_a_fence_that_is_lost_in_a_block_ends_it(synced: SqlServer) -> None:
    synced.server.trouble = at_part(4, Hang(deaf=True))
    held = iter([True] * 3)
    fence = TestFence(held=lambda: next(held, False))
    with pytest.raises(FencedOut):
        synced.second(limits=PATIENT).apply(PARK, marked(PARK), fence)
    assert not parked(synced)


def test_what_a_part_is_refused_for_rolls_the_whole_block_back(synced: SqlServer) -> None:
    synced.server.trouble = at_part(
        len(PARTS) - 1, Failed(15336, "Object cannot be renamed because it participates in enforced dependencies.")
    )
    with pytest.raises(StatementFailed, match="15336"):
        apply(synced, PARK)
    assert not parked(synced)


# whole changes -------------------------------------------------------------------------------------------------

WALKED = {
    "rename_column": RENAME,
    "change_type": "change_type: { table: orders, column: price, type: bigint, to: cents }",
    "add_column": "add_column: { table: orders, column: note, type: varchar(40), not_null: true, default: \"'n'\" }",
    "set_default": "set_default: { table: orders, column: price, default: 7 }",
    "add_check": 'add_check: { table: orders, check: "price >= 0", name: orders_price_c }',
    "add_index": "add_index: { table: orders, columns: price, name: orders_price_i }",
    "drop_column": "drop_column: { table: orders, column: price, default: 0 }",
    "drop_table": "drop_table: { table: orders }",
    "drop_not_null": "drop_not_null: { table: orders, column: price }",
}


def shape(site: SqlServer) -> object:
    """The schema as the stand-in has it."""
    kept = site.run("SELECT name FROM sqlite_master WHERE name = 'changeover_objects'")
    objects = site.run("SELECT * FROM changeover_objects WHERE kind <> 'optional' ORDER BY kind, name") if kept else []
    made = site.run(
        "SELECT type, name, tbl_name FROM sqlite_master WHERE tbl_name NOT LIKE 'changeover%' ORDER BY 1, 2"
    )
    return objects, made, site.run("PRAGMA table_info(orders)")


@pytest.mark.parametrize("kind", WALKED)
def test_walk(site: SqlServer, kind: str) -> None:
    """Forth, back, forth and to the end: each statement twice; what is undone leaves the schema as it was."""
    changes, before = changes_of(WALKED[kind]), shape(site)
    site.driver.keep(changes, TestFence())
    assert site.driver.read().kept == (changes,)
    forward_of(site, changes)
    site.driver.forget(V1, TestFence())
    for statement in changes.undo:
        twice(site, statement, changes)
    site.driver.unkeep(V1, TestFence())
    reading = site.driver.read()
    assert (reading.kept, reading.applied) == ((), ())
    assert shape(site) == before
    site.driver.keep(changes, TestFence())
    forward_of(site, changes)
    for statement in (*changes.contract, *changes.drop):
        twice(site, statement, changes)
    columns = {row[1] for row in site.run("PRAGMA table_info(orders)")}
    assert not any(name.startswith("zz_") for name in columns)
    assert not site.run("SELECT name FROM sqlite_master WHERE name LIKE 'zz%'")


def forward_of(site: SqlServer, changes: ChangeSet) -> None:
    if changes.backfill:
        forward(site, changes)
        return
    for statement in (*changes.expand, *changes.sync, *changes.finalize):
        twice(site, statement, changes)


# questions, keys, pressure -------------------------------------------------------------------------------------


def test_a_question_is_answered_with_rows(site: SqlServer) -> None:
    site.run("UPDATE orders SET price = -1 WHERE id IN (3, 5)")
    check = Check(
        "rows that are wrong",
        "SELECT COUNT_BIG(*) FROM dbo.orders WHERE price < 0",
        "SELECT TOP (10) id, price FROM dbo.orders WHERE price < 0",
    )
    for snapshots in (1, 0):
        site.engine.snapshots = snapshots
        answer = site.driver.count(check)
        assert (answer.rows, answer.shown) == (2, ("(3, -1)", "(5, -1)"))
        assert any("ISOLATION LEVEL SNAPSHOT" in sql for sql in site.server.statements())
    assert site.driver.count(replace(check, sql=check.sql.replace("< 0", "> 99999"))).rows == 0


def test_keys_of_several_columns_travel_as_json(site: SqlServer) -> None:
    changes = changes_of(
        "rename_column: { table: parts, column: name, to: label }",
        "CREATE TABLE parts (shop bigint NOT NULL, code nvarchar(20) NOT NULL, name nvarchar(40) NOT NULL, "
        "CONSTRAINT parts_pk PRIMARY KEY (shop, code))",
    )
    site.run(
        "CREATE TABLE parts (shop bigint NOT NULL, code nvarchar(20) NOT NULL, name nvarchar(40) NOT NULL, PRIMARY KEY (shop, code))"
    )
    for row in range(90):
        site.run(f"INSERT INTO parts VALUES ({row % 7}, 'k\"{row:02}ü', 'n{row}')")
    site.run("ALTER TABLE parts ADD COLUMN label nvarchar(40)")
    (fill,) = changes.backfill
    upto = site.driver.last_key(fill)
    assert json.loads(upto or "")[0] == "6"
    after, rows, batches = None, 0, 0
    while True:
        batch = site.driver.fill(fill, after, upto or "", 20, TestFence())
        rows, batches, after = rows + batch.rows, batches + 1, batch.hi
        if after is None:
            break
    assert (rows, batches) == (90, 5)
    assert site.run("SELECT count(*) FROM parts WHERE label IS NOT name") == [(0,)]
    assert site.driver.gap(fill).remaining == 0


@pytest.mark.parametrize(
    ("pressed", "why"),
    [
        ({}, ""),
        ({"lag": 6}, "a replica is 6 s behind"),
        ({"lag": 5, "waiting": 2}, "2 sessions wait for locks"),
        ({"working": 4}, ""),
        ({"working": 5}, "5 sessions are at work"),
        ({"oldest": 61}, "a transaction on dbo.orders has been open for 61 s"),
        ({"oldest": 60}, ""),
    ],
)
def test_a_backfill_waits_for(site: SqlServer, pressed: dict[str, int], why: str) -> None:
    site.engine.pressed = pressed
    assert site.second(limits=replace(site.settings.limits, sessions=4)).pressure(CHANGES.backfill[0]) == why


def test_nobody_counts_sessions_who_was_not_asked_to(site: SqlServer) -> None:
    site.engine.pressed = {"working": 500}
    assert site.driver.pressure(CHANGES.backfill[0]) == ""


def test_who_sees_nothing_waits_for_nothing(site: SqlServer) -> None:
    site.engine.pressed, site.engine.sees = {"lag": 60}, 0
    assert site.driver.pressure(CHANGES.backfill[0]) == ""


def test_what_is_kept_is_what_was_compiled(site: SqlServer) -> None:
    site.driver.keep(CHANGES, TestFence())
    site.driver.keep(CHANGES, TestFence())
    assert site.driver.read().kept == (CHANGES,), "once"
    with pytest.raises(ChangesEdited):
        site.driver.keep(replace(CHANGES, digest="another"), TestFence())
    with pytest.raises(ChangeoverError):
        site.second().keep(CHANGES, TestFence(0))


def test_tables_are_read_as_the_catalogue_has_them(site: SqlServer) -> None:
    """The rows are made up as the documentation of the catalogue says; the table is what the other tests are made of."""
    made = (
        (
            "CREATE TABLE users (id bigint NOT NULL PRIMARY KEY, name nvarchar(200) COLLATE Greek_CI_AS NOT NULL, "
            "amount numeric(10, 2) NOT NULL CONSTRAINT users_amount_d DEFAULT 0, place varchar(max), owner int, "
            "CONSTRAINT users_u UNIQUE (owner, id), CONSTRAINT users_c CHECK (owner > 0), "
            "CONSTRAINT users_fk FOREIGN KEY (owner) REFERENCES owners (id) ON DELETE CASCADE)"
        ),
        "CREATE INDEX users_i ON users (owner DESC) INCLUDE (name) WHERE (owner <> 7)",
    )
    no = [False] * 7
    rows: dict[str, list[list[Any]]] = {
        tables.SCHEMA: [["dbo"]],
        tables.NAMES: [["users"], ["owners"], ["users_u"]],
        tables.RELATION: [[17, "users", "U ", 0, 0, 0, False, False, False, 1, 250, 8192]],
        tables.COLUMNS: [
            ["id", "bigint", 8, 19, 0, False, "sys", False, None, None, False, None, "Latin1", *no, 0],
            ["name", "nvarchar", 400, 0, 0, False, "sys", False, None, None, False, "Greek_CI_AS", "Latin1", *no, 0],
            ["amount", "numeric", 9, 10, 2, False, "sys", False, "((0))", None, False, None, "Latin1", *no, 0],
            ["place", "varchar", -1, 0, 0, False, "sys", True, None, None, False, "Latin1", "Latin1", *no, 0],
            ["owner", "int", 4, 10, 0, False, "sys", True, None, None, False, None, "Latin1", *no, 0],
        ],
        tables.KEY: [["PK", "CLUSTERED", True, None, False, False, False, "id", False, False]],
        tables.OTHER_INDEXES: [
            ["users_u", "NONCLUSTERED", True, None, True, False, False, "owner", False, False],
            ["users_u", "NONCLUSTERED", True, None, True, False, False, "id", False, False],
            ["users_i", "NONCLUSTERED", False, "([owner] <> 7)", False, False, False, "owner", False, True],
            ["users_i", "NONCLUSTERED", False, "([owner] <> 7)", False, False, False, "name", True, False],
        ],
        tables.CHECKS: [["users_c", "([owner] > 0)", "owner"]],
        tables.DEFAULTS: [["users_amount_d", "((0))", "amount"]],
        tables.UNIQUE: [["users_u", "NONCLUSTERED", "owner"], ["users_u", "NONCLUSTERED", "id"]],
        tables.FOREIGN_KEYS: [["users_fk", "owner", "id", "owners", "dbo", "NO_ACTION", "CASCADE", False]],
        **{
            sql: []
            for sql in (
                tables.STATISTICS,
                tables.FULL_TEXT,
                tables.BOUND,
                tables.TRIGGERS,
                tables.READERS,
                tables.POINTING,
            )
        },
    }
    for sql, found in rows.items():
        width = len(found[0]) if found else 1
        site.engine.knows(sql, [Rows([str(n) for n in range(width)], found)])
    read = site.driver.tables(["users"])
    wanted = catalogue_of(*made).tables["users"]
    (table,) = read.tables.values()
    assert table.listeners == ("change tracking",)
    assert (table.rows, table.bytes) == (250, 8192)
    same = replace(table, listeners=(), rows=0, bytes=0, constraints=wanted.constraints)
    assert same == wanted
    assert set(table.constraints) == set(wanted.constraints)
    assert read.version == (16, 3)
    assert {"users", "owners", "users_i"} <= read.names


def test_the_sessions_of_an_act_carry_the_fence(synced: SqlServer) -> None:
    seen: set[str] = set()
    synced.server.trouble = lambda session, _: seen.add(session.program)
    apply(synced, PARK)
    assert seen == {f"changeover/{ENVIRONMENT}/1"}


def test_phases_that_only_restrict_do_not_raise_the_revision_by_hand_either(site: SqlServer) -> None:
    """The printed commands and the driver leave the same revision."""
    for phase in (Phase.EXPAND, Phase.SYNC, Phase.FINALIZE, Phase.CONTRACT):
        marker = replace(marker_of(phase=phase), version=V1)
        before = site.driver.read().revision
        raised = site.driver.complete(marker, TestFence()) - before
        (command,) = site.driver.by_hand_complete(marker)
        assert ("SET revision = revision + 1" in command) is bool(raised), phase

"""What every database driver must do, on the reference in memory and on each real one."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.contract.database_cases import (
    ENVIRONMENT,
    ROWS,
    V1,
    DatabaseUnderTest,
    TestFence,
    claim_of,
    lost_after,
    marker_of,
)

from changeover.core.errors import ChangesEdited, FencedOut, ForeignStore, RestorePointFailed, StatementFailed
from changeover.core.model import COMPLETE, Phase, Probe
from changeover.core.ports import Database

KINDS = ("memory", "sqlite", "postgresql", "mysql", "sqlserver")


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[DatabaseUnderTest]:
    module = importlib.import_module(f"tests.fixtures.{request.param}_database")
    with module.database_under_test() as running:
        yield running


@pytest.fixture
def real(database: DatabaseUnderTest) -> DatabaseUnderTest:
    if database.kind == "memory":
        pytest.skip("the reference has no files and compares no stores")
    return database


@pytest.fixture
def claimed(database: DatabaseUnderTest) -> Database:
    database.driver.claim(claim_of(), TestFence())
    return database.driver


def filled_up(database: DatabaseUnderTest, driver: Database, size: int) -> list[int]:
    """Backfill from the beginning; the rows of each batch."""
    statement = database.backfill()
    upto = driver.last_key(statement)
    assert upto is not None
    after, rows = None, []
    while True:
        batch = driver.fill(statement, after, upto, size, TestFence())
        rows.append(batch.rows)
        if batch.hi is None:
            return rows
        assert after is None or int(batch.hi) > int(after)
        after = batch.hi


# reading -----------------------------------------------------------------------------------------------------


def test_a_fresh_database_can_be_read(database: DatabaseUnderTest) -> None:
    reading = database.driver.read()
    assert (reading.revision, reading.applied, reading.claim) == (0, (), None)
    assert reading.catalogue
    assert database.driver.read() == reading


def test_the_catalogue_ignores_the_ledger(database: DatabaseUnderTest) -> None:
    before = database.driver.read().catalogue
    database.driver.claim(claim_of(), TestFence())
    assert database.driver.read().catalogue == before


@pytest.mark.parametrize("name", ["add_column", "index", "table"])
def test_the_catalogue_shows_every_change(database: DatabaseUnderTest, name: str) -> None:
    before = database.driver.read().catalogue
    database.by_hand(database.statement(name))
    assert database.driver.read().catalogue != before


def test_inspect_finds_nothing_fatal(database: DatabaseUnderTest) -> None:
    bad = [f for f in database.driver.inspect() if not f.ok and f.fatal]
    assert bad == []


# the claim ---------------------------------------------------------------------------------------------------


def test_a_claim_is_read_back(database: DatabaseUnderTest) -> None:
    database.driver.claim(claim_of(3), TestFence(3))
    assert database.second().read().claim == claim_of(3)


def test_a_claim_can_be_renewed_and_taken_over(database: DatabaseUnderTest) -> None:
    database.driver.claim(claim_of(1), TestFence(1))
    database.driver.claim(claim_of(1), TestFence(1))
    database.second().claim(claim_of(2), TestFence(2))
    assert database.driver.read().claim == claim_of(2)


def test_an_older_fence_cannot_claim(database: DatabaseUnderTest) -> None:
    database.driver.claim(claim_of(2), TestFence(2))
    with pytest.raises(FencedOut):
        database.second().claim(claim_of(1), TestFence(1))
    assert database.driver.read().claim == claim_of(2)


def test_a_foreign_store_is_refused_and_named(database: DatabaseUnderTest) -> None:
    database.driver.claim(claim_of(1), TestFence(1))
    with pytest.raises(ForeignStore) as refused:
        database.second().claim(claim_of(9, store="store-b"), TestFence(9))
    assert ENVIRONMENT in refused.value.what
    assert "ann@ops" in refused.value.what
    assert any("lock --adopt" in line for line in refused.value.next)
    assert database.driver.read().claim == claim_of(1)


def test_another_environment_is_refused(real: DatabaseUnderTest) -> None:
    real.driver.claim(claim_of(1), TestFence(1))
    with pytest.raises(ForeignStore):
        real.second().claim(claim_of(2, environment="staging"), TestFence(2))


def test_a_person_can_adopt(database: DatabaseUnderTest) -> None:
    database.driver.claim(claim_of(4), TestFence(4))
    mine = claim_of(5, store="store-b")
    database.second().adopt(mine)
    assert database.driver.read().claim == mine


def test_what_was_adopted_is_lost_to_the_first_store(real: DatabaseUnderTest) -> None:
    real.driver.claim(claim_of(4), TestFence(4))
    real.second().adopt(claim_of(5, store="store-b"))
    statement = real.statement("add_column")
    with pytest.raises(ForeignStore):
        real.driver.apply(statement, marker_of(statement), TestFence(9))


def test_a_claim_without_the_right_to_act_changes_nothing(database: DatabaseUnderTest) -> None:
    with pytest.raises(FencedOut):
        database.driver.claim(claim_of(), lost_after(0))
    assert database.driver.read().claim is None


# statements --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["add_column", "index", "table", "drop_column"])
def test_a_statement_is_applied_once(database: DatabaseUnderTest, claimed: Database, name: str) -> None:
    statement = database.statement(name)
    marker = marker_of(statement)
    assert statement.probe is not None
    assert not claimed.done(statement.probe)
    assert claimed.apply(statement, marker, TestFence()).attempts == 1
    assert claimed.done(statement.probe)
    assert claimed.apply(statement, marker, TestFence()).attempts == 0
    assert database.second().read().applied == (marker,)


@pytest.mark.parametrize("name", ["add_column", "index"])
def test_done_but_not_marked_is_only_marked(database: DatabaseUnderTest, claimed: Database, name: str) -> None:
    """Killed between the statement and its marker, or done by a person."""
    statement = database.statement(name)
    database.by_hand(statement)
    assert claimed.apply(statement, marker_of(statement), TestFence()).attempts == 0
    assert claimed.read().applied == (marker_of(statement),)


def test_a_failing_statement_leaves_nothing(database: DatabaseUnderTest, claimed: Database) -> None:
    statement = database.statement("failing")
    before = claimed.read()
    with pytest.raises(StatementFailed) as failed:
        claimed.apply(statement, marker_of(statement), TestFence())
    assert claimed.read() == before
    if database.kind != "memory":
        assert statement.title in failed.value.what
        assert [(w.file, w.line) for w in failed.value.where] == [(statement.file, statement.line)]


@pytest.mark.parametrize("name", ["add_column", "table"])
def test_marker_and_statement_are_one(real: DatabaseUnderTest, name: str) -> None:
    """The right to act is lost right before the commit: neither is there."""
    real.driver.claim(claim_of(), TestFence())
    statement = real.statement(name)
    with pytest.raises(FencedOut):
        real.driver.apply(statement, marker_of(statement), lost_after(1))
    assert real.driver.read().applied == ()
    assert statement.probe is not None
    assert not real.driver.done(statement.probe)


@pytest.mark.parametrize("name", ["add_column", "index"])
def test_a_stale_fence_cannot_apply(database: DatabaseUnderTest, claimed: Database, name: str) -> None:
    """The journal of the stale process is gone, so its own fence says yes; the database says no."""
    database.second().claim(claim_of(2), TestFence(2))
    statement = database.statement(name)
    with pytest.raises(FencedOut):
        claimed.apply(statement, marker_of(statement), TestFence(1))
    assert claimed.read().applied == ()


def test_a_stale_fence_cannot_do_anything_else(database: DatabaseUnderTest, claimed: Database) -> None:
    database.by_hand(database.statement("add_column"))
    database.second().claim(claim_of(2), TestFence(2))
    with pytest.raises(FencedOut):
        claimed.complete(marker_of(index=COMPLETE), TestFence(1))
    with pytest.raises(FencedOut):
        claimed.fill(database.backfill(), None, "10", 10, TestFence(1))
    assert claimed.read().revision == 0
    assert database.unfilled() == ROWS


def test_without_a_claim_nothing_is_done(real: DatabaseUnderTest) -> None:
    statement = real.statement("add_column")
    with pytest.raises(FencedOut):
        real.driver.apply(statement, marker_of(statement), TestFence())
    assert real.driver.read().applied == ()


def test_an_edited_statement_is_refused(real: DatabaseUnderTest) -> None:
    real.driver.claim(claim_of(), TestFence())
    statement = real.statement("add_column")
    real.driver.apply(statement, marker_of(statement), TestFence())
    edited = replace(statement, sql=statement.sql.replace("integer", "bigint"))
    with pytest.raises(ChangesEdited):
        real.driver.apply(edited, marker_of(edited), TestFence())
    assert real.driver.read().applied == (marker_of(statement),)


def test_a_phase_is_completed_once(database: DatabaseUnderTest, claimed: Database) -> None:
    whole = marker_of(index=COMPLETE)
    assert claimed.complete(whole, TestFence()) == 1
    assert database.second().read().revision == 1
    assert claimed.complete(whole, TestFence()) == 1
    assert claimed.complete(replace(whole, phase=Phase.CONTRACT), TestFence()) == 2
    reading = claimed.read()
    assert reading.completed(V1, Phase.EXPAND)
    assert reading.completed(V1, Phase.CONTRACT)
    assert reading.revision == 2


# probes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probe", "name"),
    [
        (Probe("column", "price_cents", "orders"), "add_column"),
        (Probe("index", "orders_price", "orders"), "index"),
        (Probe("table", "notes"), "table"),
        (Probe("column", "price", "orders", present=False), "drop_column"),
    ],
)
def test_probes_see_the_change(database: DatabaseUnderTest, probe: Probe, name: str) -> None:
    assert not database.driver.done(probe)
    assert database.driver.done(replace(probe, present=not probe.present))
    database.by_hand(database.statement(name))
    assert database.driver.done(probe)
    assert not database.driver.done(replace(probe, present=not probe.present))


@pytest.mark.parametrize("what", ["table", "view", "index"])
def test_what_is_absent_is_absent(database: DatabaseUnderTest, what: str) -> None:
    assert database.driver.done(Probe(what, "nothing_at_all", present=False))
    assert not database.driver.done(Probe(what, "nothing_at_all"))


@pytest.mark.parametrize("what", ["column", "trigger", "constraint", "not_null", "default"])
def test_on_a_missing_table_nothing_counts_as_dropped(real: DatabaseUnderTest, what: str) -> None:
    """The login may simply not see the table; the statement must run and fail."""
    if what == "trigger" and real.kind == "sqlite":
        pytest.skip("SQLite drops a trigger without naming its table")
    assert not real.driver.done(Probe(what, "gone", "not_visible", present=False))


def test_a_column_of_another_type_is_not_the_column(real: DatabaseUnderTest) -> None:
    assert real.driver.done(Probe("column", "price", "orders", definition="integer"))
    assert not real.driver.done(Probe("column", "price", "orders", definition="text"))


# backfill ----------------------------------------------------------------------------------------------------


def test_a_backfill_in_batches(database: DatabaseUnderTest, claimed: Database) -> None:
    database.by_hand(database.statement("add_column"))
    statement = database.backfill()
    gap = claimed.gap(statement)
    assert (gap.remaining, gap.total) == (ROWS, ROWS)
    rows = filled_up(database, claimed, 100)
    assert sum(rows) == ROWS
    assert len(rows) == 3
    assert database.unfilled() == 0
    assert claimed.gap(statement).remaining == 0


def test_a_backfill_can_be_done_again(database: DatabaseUnderTest, claimed: Database) -> None:
    database.by_hand(database.statement("add_column"))
    filled_up(database, claimed, 100)
    assert sum(filled_up(database, claimed, 100)) == 0


def test_a_backfill_goes_on_from_its_checkpoint(database: DatabaseUnderTest, claimed: Database) -> None:
    database.by_hand(database.statement("add_column"))
    statement = database.backfill()
    first = claimed.fill(statement, None, str(ROWS), 100, TestFence())
    assert (first.hi, first.rows) == ("100", 100)
    second = database.second().fill(statement, first.hi, str(ROWS), 1_000, TestFence())
    assert (second.hi, second.rows) == (None, ROWS - 100)


def test_rows_beyond_the_range_are_left_alone(database: DatabaseUnderTest, claimed: Database) -> None:
    """What is inserted after the start is filled by whoever writes it, or by the trigger."""
    database.by_hand(database.statement("add_column"))
    statement = database.backfill()
    upto = claimed.last_key(statement)
    assert upto == str(ROWS)
    database.insert(20)
    batch = claimed.fill(statement, None, upto, 1_000, TestFence())
    assert (batch.hi, batch.rows) == (None, ROWS)
    assert database.unfilled() == 20
    assert claimed.gap(statement).remaining == 20


def test_a_lost_fence_leaves_the_batch_undone(real: DatabaseUnderTest) -> None:
    real.driver.claim(claim_of(), TestFence())
    real.by_hand(real.statement("add_column"))
    with pytest.raises(FencedOut):
        real.driver.fill(real.backfill(), None, str(ROWS), 100, lost_after(1))
    assert real.unfilled() == ROWS


# restore points ----------------------------------------------------------------------------------------------


def test_a_restore_point_is_compared(database: DatabaseUnderTest, claimed: Database) -> None:
    claimed.complete(marker_of(index=COMPLETE), TestFence())
    assert claimed.backups()
    point = claimed.backup("1.1.0-expand", TestFence())
    assert (point.id, point.proof, point.schema, point.run) == ("1.1.0-expand", "compared", 1, "r-1")
    if database.kind != "memory":
        assert point.tables == 1 + 4  # that of the case, and changeover's own
        assert point.rows >= ROWS
        assert point.bytes > 0
    assert database.second().backup("1.1.0-expand", TestFence()) == point


def test_a_rehearsal_leaves_the_database_as_it_is(database: DatabaseUnderTest, claimed: Database) -> None:
    claimed.backup("before", TestFence())
    before = claimed.read()
    statement = database.statement("drop_column")
    scratch = claimed.rehearse((statement,))
    try:
        assert scratch.url() != claimed.url()
        assert claimed.read() == before
    finally:
        scratch.close()
    assert statement.probe is not None
    assert not claimed.done(statement.probe)


def test_a_damaged_restore_point_is_not_used(real: DatabaseUnderTest) -> None:
    real.driver.claim(claim_of(), TestFence())
    point = real.driver.backup("before", TestFence())
    real.damage(point.location)
    with pytest.raises(RestorePointFailed, match="was changed"):
        real.driver.rehearse(())


def test_a_rehearsal_that_fails_says_where(real: DatabaseUnderTest) -> None:
    real.driver.claim(claim_of(), TestFence())
    real.driver.backup("before", TestFence())
    with pytest.raises(StatementFailed) as failed:
        real.driver.rehearse((real.statement("failing"),))
    assert "on a copy" in failed.value.now


def test_without_a_restore_point_there_is_no_rehearsal(real: DatabaseUnderTest) -> None:
    with pytest.raises(RestorePointFailed, match="no restore point"):
        real.driver.rehearse(())


# versions ----------------------------------------------------------------------------------------------------


def test_retiring_and_admitting_need_the_claim(database: DatabaseUnderTest, claimed: Database) -> None:
    assert claimed.retire(V1, TestFence()) in (None, 0)
    claimed.admit(V1, TestFence())
    database.second().claim(claim_of(2), TestFence(2))
    with pytest.raises(FencedOut):
        claimed.retire(V1, TestFence(1))


# by hand -----------------------------------------------------------------------------------------------------


def test_there_are_commands_for_everything(database: DatabaseUnderTest) -> None:
    statement = database.statement("add_column")
    for lines in (
        database.driver.by_hand(statement, marker_of(statement)),
        database.driver.by_hand(database.backfill(), marker_of(phase=Phase.BACKFILL)),
        database.driver.by_hand_complete(marker_of(index=COMPLETE)),
        database.driver.by_hand_backup("1.1.0-expand"),
    ):
        assert lines
        assert all(lines)

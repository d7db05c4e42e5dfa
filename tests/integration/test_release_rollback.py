"""`rollback` from another process: while a long backfill runs, and when the owner of the release is dead."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from tests.fixtures.stage import FAST, running, tool, tune, typed, until

from changeover.core.states import ENDED, State
from changeover.demo.shop_store import sqlite_path
from changeover.demo.stack import Stack

STACKS = (("haproxy", "postgresql"), ("envoy", "sqlite"))


@pytest.fixture(params=STACKS, ids="-".join)
def stack(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("r")
    with running(folder, *request.param, shift="[25%, 100%]", bake="30s", unwatched="60s", rate=40.0) as one:
        tune(one, *FAST)
        yield one


def slow_updates(stack: Stack) -> None:
    """Every row that a backfill touches takes some milliseconds."""
    if stack.wish.database == "postgresql":
        import psycopg

        with psycopg.connect(stack.url, autocommit=True) as db:
            db.execute(
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.005); RETURN NEW; END $$"
            )
            db.execute("CREATE TRIGGER a_slow BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION slow()")
        return
    work = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT max(i) FROM n"
    with closing(sqlite3.connect(sqlite_path(stack.url), timeout=30)) as db:
        db.execute(f"CREATE TRIGGER a_slow AFTER UPDATE ON orders BEGIN {work}; END")
        db.commit()


def filled(stack: Stack, number: int) -> int:
    """Batches that this release, counted from 1, has filled."""
    door = stack.door()
    if not door.site.store.exists():
        return 0
    runs = [r.id for r in door.history() if r.kind == "release"]
    return sum(1 for e in door.events(runs[-number]) if e.kind == "filled") if len(runs) >= number else 0


def reached(stack: Stack, kind: str) -> bool:
    door = stack.door()
    return door.site.store.exists() and any(s.kind == kind and s.began for s in door.status().steps)


def nothing_lost(stack: Stack) -> None:
    verdict, _ = stack.judged()
    assert (verdict.failed, verdict.wrong) == (0, 0), verdict.examples[:5]
    assert verdict.requests > 100
    assert all(r.state in ENDED for r in stack.door().history())


@pytest.mark.timeout(400)
def test_while_a_backfill_runs_and_after_its_owner_was_killed(stack):
    slow_updates(stack)
    owner = tool(stack.config, "release", "1.1.0", "b1")
    until(lambda: filled(stack, 1) or not owner.alive, "the backfill is under way")
    assert owner.alive, owner.wait()
    status, answer = tool(stack.config, "rollback").wait()
    assert (status, answer.get("state")) == (0, "done"), answer
    stack.serves("1.0.0")
    ended, said = owner.wait()
    assert ended != 0
    assert said.get("state", said.get("error")) in {"preempted", "FencedOut"}
    batches = filled(stack, 1)
    status_of_backfill = [s for s in stack.door().plan_of("r-0001").steps if s.action.kind == "backfill"]
    assert status_of_backfill
    assert not any(e.kind == "done" and e.step == status_of_backfill[0].key for e in stack.door().events("r-0001")), (
        "the backfill ended before the rollback came"
    )

    again = tool(stack.config, "release", "1.1.0", "b2")
    until(lambda: filled(stack, 2) or not again.alive, "the backfill is under way again")
    assert again.alive, again.wait()
    again.kill(family=True)
    status, answer = tool(stack.config, "rollback").wait()
    assert (status, answer.get("state")) == (0, "done"), answer
    stack.serves("1.0.0")
    assert batches
    assert stack.door().history()[-1].state is State.PREEMPTED
    nothing_lost(stack)


@pytest.mark.timeout(400)
def test_when_the_owner_was_killed_at_a_quarter(stack):
    owner = tool(stack.config, "release", "1.1.0", "b1")
    until(lambda: reached(stack, "bake") or not owner.alive, "25 % is on 1.1.0")
    owner.kill()
    status, said = typed(stack.config, "rollback", "--because", "its owner died", "--yes").said()
    assert status == 0, said
    stack.serves("1.0.0")
    # What never was promised cannot come back; the refusal says so, and what is possible.
    status, said = typed(stack.config, "rollback", "--to", "0.9.0", "--yes").said()
    assert status == 5, said
    assert "never promised" in said
    assert "changeover plan" in said
    stack.serves("1.0.0")
    nothing_lost(stack)

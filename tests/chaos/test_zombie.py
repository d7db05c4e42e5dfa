"""A process that sleeps past its lease (SIGSTOP), is taken over, and wakes up (SIGCONT): it changes nothing any more.

It is stopped at the worst moments: between the last look at its fence and the act, before and after each act, around
writes of its journal. A seeded part of them in every test run, all under CHANGEOVER_CHAOS=full.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import count
from random import Random

import pytest
from tests.fixtures.chaos import FULL, seed
from tests.fixtures.stage import FAST, QUIET, Tool, running, tool, tune, until

from changeover.demo.stack import Stack

LEASE = 2.0  # seconds
STACKS = (("haproxy", "postgresql"), ("envoy", "sqlite"))
EXPANDING = [  # only the first release changes the schema
    *("in claim:1", "before apply:2", "after apply:1", "before complete:1", "before fill:1", "after fill:1"),
    *("before write:6", "after write:9"),
]
IN_TRANSACTION = ["in apply:1", "in apply:3", "in complete:1", "in fill:1"]  # on SQLite the sleeper locks the file
MOVING = [  # every release
    *(
        "in commit:1",
        "in commit:2",
        "in commit:3",
        "before commit:2",
        "after commit:2",
        "before commit:3",
        "after commit:3",
    ),
    *(
        "before start:1",
        "after start:1",
        "before stop:2",
        "after stop:2",
        "before write:12",
        "after write:20",
        "after admit:1",
    ),
]


@pytest.fixture(params=STACKS, ids="-".join)
def stack(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("z")
    with running(folder, *request.param, load=False, shift="[25%, 100%]", bake="1s", unwatched="60s") as one:
        tune(one, *FAST, *QUIET, (r"(?s)probes:\n.*?smoke:", "smoke:"))
        yield one


@pytest.mark.timeout(3000 if FULL else 600)
def test_the_sleeper_changes_nothing(stack):
    number = seed()
    print(f"\nSEED={number}")
    builds = count(1)
    expanding = EXPANDING + (IN_TRANSACTION if stack.wish.database == "postgresql" else [])
    chance = Random(number)
    asleep(stack, chance.choice(expanding), f"b{next(builds)}")
    for where in MOVING if FULL else chance.sample(MOVING, 2):
        asleep(stack, where, f"b{next(builds)}")


@pytest.mark.skipif(not FULL, reason="a stack of its own for each moment: make chaos")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("where", EXPANDING + IN_TRANSACTION)
def test_asleep_while_the_schema_changes(stack, where):
    if stack.wish.database == "sqlite" and where in IN_TRANSACTION:
        pytest.skip("a process that sleeps inside a transaction of SQLite locks the file for everybody")
    asleep(stack, where, "b1")


def asleep(stack: Stack, where: str, build: str) -> None:
    """One release whose owner falls asleep; ends with 1.0.0 serving again."""
    sleeper = tool(stack.config, "release", "1.1.0", build, lease=LEASE, stop_at=where)
    try:
        until(lambda: sleeper.stopped() or not sleeper.alive, f"it stops {where}")
        if not sleeper.alive:
            status, answer = sleeper.wait()
            assert status == 0, (where, answer)
        else:
            taken_over(stack, sleeper, where)
    finally:
        if sleeper.alive:
            sleeper.kill()
    stack.serves("1.1.0")
    status, answer = tool(stack.config, "rollback").wait()
    assert status == 0, (where, answer)
    stack.serves("1.0.0")


def taken_over(stack: Stack, sleeper: Tool, where: str) -> None:
    """Its lease ends; another process finishes the run; it wakes up."""

    def resumed() -> tuple[int, dict[str, object]] | None:
        status, answer = tool(stack.config, "resume").wait()
        return (
            None if answer.get("state") == "running" else (status, answer)
        )  # "… goes on with it": its lease holds yet

    status, answer = until(resumed, f"{where}: its lease ends")
    assert (status, answer.get("state")) == (0, "done"), (where, answer)
    before = picture(stack)
    sleeper.thaw()
    assert picture(stack) == before, where


def picture(stack: Stack) -> dict[str, object]:
    """Journal, database and balancer, as they are."""
    site = stack.door().site
    assert site.ports.database is not None
    with closing(sqlite3.connect(f"file:{site.store}?mode=ro", uri=True)) as db:
        tables = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        journal = {
            t: db.execute(f"SELECT * FROM {t}").fetchall() for t in tables if t not in {"seen", "sqlite_sequence"}
        }
    return {"journal": journal, "database": site.ports.database.read(), "balancer": site.ports.balancer.read()}

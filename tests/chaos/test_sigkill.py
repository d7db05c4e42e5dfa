"""SIGKILL of changeover at seeded random moments of whole releases on real servers under load, and `resume`.

`make chaos` kills 60 times and more per stack, through several releases and a cleanup; a usual test run kills a tenth as
often. SEED=… repeats the choices (not the exact moments).
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from tests.fixtures import shop
from tests.fixtures.chaos import FULL, seed
from tests.fixtures.journal_judge import Story, problems
from tests.fixtures.stage import FAST, PATIENCE, Tool, running, tune, typed, under_way, until, watched

from changeover.core.steps import load
from changeover.demo.shop_store import sqlite_path
from changeover.demo.stack import Stack

KILLS = 60 if FULL else 6
STACKS = (("haproxy", "postgresql"), ("envoy", "sqlite"))


@dataclass
class Killer:
    """Drives commands to their end and kills on the way."""

    stack: Stack
    chance: Random
    kills: int = 0
    measured: dict[str, float] = field(default_factory=dict)  # seconds that a command takes undisturbed
    where: Counter[str] = field(default_factory=Counter)  # kind of the step that was under way

    def calmly(self, *command: str) -> None:
        """To the end, undisturbed; its duration is what kills are spread over."""
        one = self._type(*command)
        status, said = one.said()
        assert status == 0, (command, said[-3000:])
        self.measured[command[0]] = time.monotonic() - one.began

    def _type(self, *command: str) -> Tool:
        match command:
            case ["release", version, build]:
                words = ("release", version, "--build", build, "--yes", "--wait", *self.stack.acks(version))
            case ["rollback"]:
                words = ("rollback", "--because", "chaos", "--yes")
            case ["cleanup"]:
                plan = self.stack.folder / "cleanup.plan"
                if not plan.exists():
                    self.stack.command("cleanup", "--out", str(plan), *self.stack.cleanup_acks())
                words = ("cleanup", "--plan", str(plan), "--accept-hash", load(plan.read_text()).short)
            case _:
                raise AssertionError(command)
        return typed(self.stack.config, *words)

    def to_its_end(self, *command: str, most: int = 3) -> None:
        """The command, killed; `resume`, perhaps killed; until the plan has ended."""
        before = len(self.stack.door().history(1000))
        one = self._type(*command)
        killed = self._strike(one, self.measured.get(command[0], 10.0))
        strikes = 1
        while True:
            if not killed:
                status, said = one.said()
                assert status == 0, (command, one.command, said[-3000:])
            if under_way(self.stack):
                one = typed(self.stack.config, "resume", "--wait")
            elif len(self.stack.door().history(1000)) == before:
                one = self._type(*command)  # killed before anything was on record
            else:
                return
            killed = False
            if strikes < most and self.chance.random() < 0.5:
                killed = self._strike(one, self.measured.get(command[0], 10.0) / 2)
                strikes += 1

    def _strike(self, one: Tool, within: float) -> bool:
        """Kill it at a moment of the measured duration, or shortly after one of its next writes. False: it was faster."""
        if self.chance.random() < 0.5:
            deadline = time.monotonic() + self.chance.random() * within
        else:
            self._some_event(one, self.chance.randint(1, 40))
            deadline = time.monotonic() + self.chance.random() * 0.05
        family = self.chance.random() < 0.5
        while one.alive and time.monotonic() < deadline:
            time.sleep(0.002)
        if not one.alive:
            return False
        self.where[self._step()] += 1
        one.kill(family=family)
        self.kills += 1
        return True

    def _some_event(self, one: Tool, number: int) -> None:
        """Until that many events more are on record, or it has ended."""
        store = self.stack.door().site.store
        until(lambda: store.exists() or not one.alive, "the state store is made")
        if not one.alive:
            return
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=10)) as db:

            def count() -> int:
                try:
                    return int(db.execute("SELECT count(*) FROM event").fetchone()[0])
                except sqlite3.OperationalError:  # its tables are being made
                    return 0

            wanted, deadline = count() + number, time.monotonic() + PATIENCE
            while one.alive and count() < wanted and time.monotonic() < deadline:
                time.sleep(0.003)

    def _step(self) -> str:
        steps = self.stack.door().status().steps if under_way(self.stack) else ()
        return next((s.kind for s in reversed(steps) if s.began and s.mark != "done"), "between")


@pytest.fixture(params=STACKS, ids="-".join)
def stack(request, tmp_path_factory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("k")
    with running(folder, *request.param, shift="[25%, 100%]", bake="2s", unwatched="60s", rate=80.0) as one:
        tune(one, *FAST)
        yield one


@pytest.mark.timeout(3600 if FULL else 900)
def test_killed_and_resumed(stack, tmp_path):
    number = seed()
    print(f"\nSEED={number}")
    killer = Killer(stack, Random(number))
    witness = DdlWitness.of(stack, tmp_path)
    builds = 1
    with watched(stack) as routes:
        if FULL:
            killer.calmly("release", "1.1.0", "b1")
            witness.calm()
        else:
            killer.to_its_end("release", "1.1.0", "b1")
        while True:
            killer.to_its_end("rollback")
            stack.serves("1.0.0")
            builds += 1
            killer.to_its_end("release", "1.1.0", f"b{builds}")
            stack.serves("1.1.0")
            if killer.kills >= KILLS:
                break
        if FULL:
            killer.to_its_end("release", "1.2.0", "b1", most=9)
            stack.serves("1.2.0")
            killer.to_its_end("cleanup", most=9)
            stack.serves("1.2.0")
        time.sleep(0.5)  # what comes after the last command is judged as well
    verdict, _ = stack.judged()
    print(f"{killer.kills} kills: {dict(killer.where)}; {verdict.requests} requests")
    assert killer.kills >= KILLS
    assert (verdict.failed, verdict.wrong) == (0, 0), verdict.examples[:5]
    assert verdict.requests > 300
    assert problems(stack) == []
    story = Story.of(stack.door())
    assert routes[1:] == story.decisions(), "the route changed as often as somebody asked for it"
    starts = Counter(tuple(line.split()[2:]) for line in stack.starts())
    by_version = Counter(version for (version, _), count in starts.items() for _ in range(count))
    assert by_version == {"1.0.0": 2, "1.1.0": 2 * builds, **({"1.2.0": 2} if FULL else {})}, "each start once"
    assert witness.twice() == []


class DdlWitness:
    """What really happened to the schema, by the database's own account."""

    @classmethod
    def of(cls, stack: Stack, scratch: Path) -> DdlWitness:
        return PostgresqlWitness(stack) if stack.wish.database == "postgresql" else SqliteWitness(stack, scratch)

    def calm(self) -> None:
        """The undisturbed release is over."""

    def twice(self) -> list[str]:
        raise NotImplementedError


class PostgresqlWitness(DdlWitness):
    """An event trigger keeps every committed DDL command, in the transaction of the command."""

    def __init__(self, stack: Stack) -> None:
        import psycopg

        self.stack = stack
        with psycopg.connect(stack.url, autocommit=True) as db:
            db.execute("CREATE SCHEMA witness")
            db.execute("CREATE TABLE witness.seen (at timestamptz DEFAULT now(), tag text, query text)")
            db.execute(
                "CREATE FUNCTION witness.note() RETURNS event_trigger LANGUAGE plpgsql AS "
                "$$ BEGIN INSERT INTO witness.seen (tag, query) VALUES (TG_TAG, current_query()); END $$"
            )
            db.execute("CREATE EVENT TRIGGER witness ON ddl_command_end EXECUTE FUNCTION witness.note()")

    def twice(self) -> list[str]:
        import psycopg

        with psycopg.connect(self.stack.url) as db:
            rows = db.execute(
                "SELECT count(*), query FROM witness.seen WHERE query LIKE '%%orders%%' OR query LIKE '%%legacy%%' GROUP BY query"
            ).fetchall()
        assert len(rows) >= 3, "the witness saw nothing"
        return [f"{count} x {query}" for count, query in rows if count != 1]


class SqliteWitness(DdlWitness):
    """SQLite counts the changes of its schema; the same statements on a copy must count the same."""

    def __init__(self, stack: Stack, scratch: Path) -> None:
        self.stack, self.copy = stack, scratch / "copy.db"

    def calm(self) -> None:
        with closing(sqlite3.connect(sqlite_path(self.stack.url))) as db, closing(sqlite3.connect(self.copy)) as copy:
            db.backup(copy)
        self.before = self._version(self.stack.url)

    def twice(self) -> list[str]:
        if not self.copy.exists():
            return []  # without a calm release there is nothing to compare with
        url = f"sqlite:///{self.copy}"
        began = self._version(url)
        shop.apply(url, "1.2.0", "expand")
        shop.apply(url, "1.1.0", "contract")
        wanted, found = self._version(url) - began, self._version(self.stack.url) - self.before
        assert wanted > 0
        return [] if wanted == found else [f"{found} changes of the schema instead of {wanted}"]

    def _version(self, url: str) -> int:
        with closing(sqlite3.connect(sqlite_path(url))) as db:
            return int(db.execute("PRAGMA schema_version").fetchone()[0])

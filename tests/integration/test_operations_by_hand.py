"""Operations carried out with the printed commands and the engine's own shell, each twice: the schema is the plain migration's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import closing

import pytest
from tests.fixtures.need import need
from tests.fixtures.operations import sqlite
from tests.fixtures.operations.case import Case
from tests.fixtures.operations.place import lines
from tests.fixtures.operations.walk import ENVIRONMENT, FENCE, compile_at, marker
from tests.fixtures.operations.writers import Words

from changeover.core.model import FORWARD, Claim, Phase

CASES = [
    c for c in sqlite.CASES if c.title in ("rename_column-strict", "several-on-one-table", "drop_table-foreign-key")
]


def sh(place: sqlite.SqlitePlace, commands: Sequence[str]) -> subprocess.CompletedProcess[str]:
    need("sqlite3")
    variables = {**os.environ, "DATABASE_FILE": str(place.path)}
    return subprocess.run(
        ["bash", "-e", "-c", "\n".join(commands)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=variables,
    )


def well(place: sqlite.SqlitePlace, commands: Sequence[str]) -> None:
    """Every command may be run again."""
    for _ in range(2):
        done = sh(place, commands)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.title)
def test_by_hand(case: Case) -> None:
    with sqlite.place() as here, sqlite.place() as other:
        here.run(*case.before)
        with closing(here.session(0)) as session:
            Words(here, case.old).insert_all(session, range(1, 2_001))
        driver = here.driver
        driver.claim(Claim(ENVIRONMENT, "store", 1, "me", 0.0), FENCE)
        changes = compile_at(here, case.text).changes
        well(here, driver.by_hand_keep(changes))
        assert driver.read().kept == (changes,)
        for phase in (Phase.EXPAND, Phase.SYNC):
            for number, statement in enumerate(changes.statements(phase)):
                well(here, driver.by_hand(statement, marker(statement, phase, number)))
        for fill in changes.backfill:
            well(here, driver.by_hand(fill, marker(changes.expand[0], Phase.BACKFILL, 0)))
        for check in changes.verify:
            well(here, driver.by_hand_count(check))
        for phase in (Phase.FINALIZE, Phase.CONTRACT, Phase.DROP):
            for number, statement in enumerate(changes.statements(phase)):
                well(here, driver.by_hand(statement, marker(statement, phase, number)))
        done = (*FORWARD, Phase.CONTRACT, Phase.DROP)
        assert len(driver.read().applied) == sum(len(changes.statements(p)) for p in done), "each is on record once"
        other.run(*case.before, *case.plain)
        assert lines(here, ordered=False) == lines(other, ordered=False)


def test_a_table_that_has_changed_is_not_overwritten() -> None:
    """What was printed before somebody added a column by hand stops, and the column stays."""
    (case,) = (c for c in sqlite.CASES if c.title == "set_not_null")
    with sqlite.place() as here:
        here.run(*case.before)
        here.driver.claim(Claim(ENVIRONMENT, "store", 1, "me", 0.0), FENCE)
        (statement,) = compile_at(here, case.text).changes.finalize
        printed = here.driver.by_hand(statement, marker(statement, Phase.FINALIZE, 0))
        here.run("ALTER TABLE users ADD COLUMN mine text")
        before = lines(here, ordered=True)
        done = sh(here, printed)
        assert done.returncode != 0
        assert "the table users is not as it was expected" in done.stderr
        assert lines(here, ordered=True) == before
        here.driver.apply(statement, marker(statement, Phase.FINALIZE, 0), FENCE)
        assert "mine" in "".join(lines(here, ordered=True)), "changeover itself goes by the text as it is"


def test_what_is_found_under_the_lock_stops_it() -> None:
    (case,) = (c for c in sqlite.CASES if c.title == "set_not_null")
    with sqlite.place() as here:
        here.run(*case.before)
        here.driver.claim(Claim(ENVIRONMENT, "store", 1, "me", 0.0), FENCE)
        (statement,) = compile_at(here, case.text).changes.finalize
        here.run("INSERT INTO users (id, name) VALUES (1, 'Ann')")
        done = sh(here, here.driver.by_hand(statement, marker(statement, Phase.FINALIZE, 0)))
        assert done.returncode != 0
        assert "rows of users without email" in done.stderr

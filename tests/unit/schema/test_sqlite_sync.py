"""The triggers of SQLite, tried on a table in memory: what each writer writes, and what the other one reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from changeover.core.catalogue import Catalogue, Column, Table
from changeover.core.model import RANGE
from changeover.schema.ddl import Pair
from changeover.schema.engines import engine_of
from changeover.schema.engines.sqlite import SqliteEngine

MADE = "CREATE TABLE users (id integer PRIMARY KEY, name text COLLATE NOCASE, other text, first text COLLATE NOCASE, rest text)"
SPLIT = Pair(
    ("name",),
    ("first", "rest"),
    {
        "first": "substr(trim(name), 1, instr(trim(name) || ' ', ' ') - 1)",
        "rest": "nullif(trim(substr(trim(name), instr(trim(name) || ' ', ' '))), '')",
    },
    {"name": "first || coalesce(' ' || rest, '')"},
)
LOWER = Pair(("name",), ("first",), {"first": "lower(name)"})


def engine_and_table() -> tuple[SqliteEngine, Table]:
    engine = engine_of("sqlite", Catalogue())
    assert isinstance(engine, SqliteEngine)
    columns = tuple(Column(c, "text") for c in ("name", "other", "first", "rest"))
    return engine, Table("users", (Column("id", "integer", nullable=False), *columns), primary_key=("id",), sql=MADE)


def synced(pair: Pair, recursive: str, *before: str) -> sqlite3.Connection:
    engine, table = engine_and_table()
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute(f"PRAGMA recursive_triggers = {recursive}")
    db.execute(MADE)
    for sql in before:
        db.execute(sql)
    for act in engine.sync(table, "zz_co", [pair], "1.1.0"):
        for sql in act.block:
            db.execute(sql)
    return db


def backfilled(db: sqlite3.Connection, pair: Pair) -> int:
    engine, table = engine_and_table()
    return db.execute(engine.backfill(table, pair).sql.replace(RANGE, "id > 0")).rowcount


@pytest.fixture(params=["ON", "OFF"])
def split(request) -> Iterator[sqlite3.Connection]:
    with closing(synced(SPLIT, request.param, "INSERT INTO users (id, name) VALUES (1, '  Ann   Lee ')")) as db:
        yield db


def row(db: sqlite3.Connection, number: int = 1) -> tuple[str | None, ...]:
    found = db.execute("SELECT name, first, rest FROM users WHERE id = ?", (number,)).fetchone()
    assert found is not None
    return tuple(found)


def test_a_backfill_writes_nothing_back(split) -> None:
    assert backfilled(split, SPLIT) == 1
    assert row(split) == ("  Ann   Lee ", "Ann", "Lee")
    assert backfilled(split, SPLIT) == 0


def test_a_row_that_is_touched_is_filled(split) -> None:
    split.execute("UPDATE users SET other = 'x'")
    assert row(split) == ("  Ann   Lee ", "Ann", "Lee")


def test_an_edit_of_the_new_version_is_written_back(split) -> None:
    backfilled(split, SPLIT)
    split.execute("UPDATE users SET rest = 'Low'")
    assert row(split) == ("Ann Low", "Ann", "Low")


def test_what_the_new_version_writes_stays_as_it_wrote_it(split) -> None:
    """Splitting what was put together would cut it in another place."""
    split.execute("UPDATE users SET first = 'Ann Mary', rest = 'Lee'")
    assert row(split) == ("Ann Mary Lee", "Ann Mary", "Lee")
    assert backfilled(split, SPLIT) == 0


def test_an_edit_of_the_old_version_is_carried_on(split) -> None:
    backfilled(split, SPLIT)
    split.execute("UPDATE users SET name = 'Bob  Low'")
    assert row(split) == ("Bob  Low", "Bob", "Low")


def test_an_edit_of_the_case_alone_is_one(split) -> None:
    """The columns compare without it."""
    backfilled(split, SPLIT)
    split.execute("UPDATE users SET name = 'ann Lee'")
    assert row(split) == ("ann Lee", "ann", "Lee")
    split.execute("UPDATE users SET first = 'ANN'")
    assert row(split) == ("ANN Lee", "ANN", "Lee")


def test_rows_of_both_versions(split) -> None:
    split.execute("INSERT INTO users (id, name) VALUES (2, 'Bob Low')")
    split.execute("INSERT INTO users (id, first, rest) VALUES (3, 'Cid', 'von Tor')")
    split.execute("INSERT INTO users (id, name, first) VALUES (4, '', 'Dan')")
    split.execute("INSERT OR REPLACE INTO users (id, name) VALUES (3, 'Eve')")
    assert row(split, 2) == ("Bob Low", "Bob", "Low")
    assert row(split, 3) == ("Eve", "Eve", None)
    assert row(split, 4) == ("Dan", "Dan", None)
    split.execute(
        "INSERT INTO users (id, first) VALUES (4, 'Fay') ON CONFLICT (id) DO UPDATE SET first = excluded.first"
    )
    assert row(split, 4) == ("Fay", "Fay", None)


def test_a_key_that_changes(split) -> None:
    split.execute("UPDATE users SET id = 7, name = 'Bob Low'")
    assert row(split, 7) == ("Bob Low", "Bob", "Low")


def test_many_rows_in_one_statement(split) -> None:
    split.execute("INSERT INTO users (name) VALUES ('a b'), ('c d'), ('e f')")
    split.execute("UPDATE users SET rest = upper(rest)")
    rows = split.execute("SELECT name, first, rest FROM users").fetchall()
    assert rows == [("  Ann   Lee ", "Ann", "Lee"), ("a B", "a", "B"), ("c D", "c", "D"), ("e F", "e", "F")]


@pytest.mark.parametrize("recursive", ["ON", "OFF"])
def test_a_computed_column(recursive: str) -> None:
    with closing(synced(LOWER, recursive, "INSERT INTO users (id, name) VALUES (1, 'Ann')")) as db:
        db.execute("INSERT INTO users (id, name) VALUES (2, 'Bob')")
        db.execute("INSERT INTO users (id, name, first) VALUES (3, 'Cid', 'mine')")
        db.execute("UPDATE users SET other = 'x' WHERE id = 1")
        assert [row(db, n)[1] for n in (1, 2, 3)] == ["ann", "bob", "mine"], "what the new version gives stays"
        db.execute("UPDATE users SET name = 'DAN' WHERE id IN (2, 3)")
        db.execute("UPDATE users SET name = 'Eve', first = 'own' WHERE id = 1")
        assert [row(db, n)[1] for n in (1, 2, 3)] == ["own", "dan", "dan"]

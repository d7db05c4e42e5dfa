"""The markers of a backfill, and what is none."""

from __future__ import annotations

import sqlite3

import pytest

from changeover.core.model import BackfillStatement, Phase
from changeover.schema.binding import Style, bind, fill
from changeover.schema.classify import classify

TRICKY = "UPDATE t SET a = '12:30:lo :lo %s'::text /* :hi */ || 5 % 3 WHERE a IS NULL"


def backfill(dialect: str, sql: str = TRICKY) -> str:
    found = classify(sql, Phase.BACKFILL, dialect)
    assert isinstance(found, BackfillStatement)
    return found.sql


def test_pyformat() -> None:
    assert bind(backfill("postgresql"), Style.PYFORMAT, "postgresql") == (
        "UPDATE t SET a = '12:30:lo :lo %%s'::text /* :hi */ || 5 %% 3 "
        "WHERE (a IS NULL) AND t.id > %(lo)s AND t.id <= %(hi)s"
    )


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
def test_fill(dialect: str) -> None:
    sql = backfill(dialect, "UPDATE t SET a = ':lo' WHERE a IS NULL")
    assert (
        fill(sql, {"lo": "0", "hi": "99"}, dialect)
        == "UPDATE t SET a = ':lo' WHERE (a IS NULL) AND t.id > 0 AND t.id <= 99"
    )


def test_named_runs_on_sqlite() -> None:
    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE TABLE t (id integer PRIMARY KEY, a text)")
        db.executemany("INSERT INTO t VALUES (?, ?)", [(1, None), (2, "kept"), (3, None), (4, None)])
        sql = bind(backfill("sqlite", "UPDATE t AS x SET a = ':lo' WHERE x.a IS NULL"), Style.NAMED, "sqlite")
        db.execute(sql, {"lo": "0", "hi": "3"})
        assert db.execute("SELECT a FROM t ORDER BY id").fetchall() == [(":lo",), ("kept",), (":lo",), (None,)]
    db.close()

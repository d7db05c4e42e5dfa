"""The markers of a backfill, and what is none."""

from __future__ import annotations

import sqlite3

import pytest

from changeover.core.model import BackfillStatement, Phase
from changeover.schema.binding import Style, bind, fill
from changeover.schema.classify import classify
from changeover.schema.dialects import KNOWN

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


@pytest.mark.parametrize(
    ("dialect", "sql", "expected"),
    [
        (
            "mysql",
            "UPDATE `a%b` SET c = ':lo 5% \\\\' WHERE c IS NULL # :hi\n AND d <> \":hi\"",
            (
                "UPDATE `a%%b` SET c = ':lo 5%% \\\\' WHERE (c IS NULL # :hi\n AND d <> \":hi\") "
                "AND `a%%b`.id > %(lo)s AND `a%%b`.id <= %(hi)s"
            ),
        ),
        (
            "mysql",
            "UPDATE users u JOIN cities c ON c.id = u.city_id SET u.city = c.name WHERE u.city IS NULL",
            (
                "UPDATE users u JOIN cities c ON c.id = u.city_id SET u.city = c.name WHERE (u.city IS NULL) "
                "AND u.id > %(lo)s AND u.id <= %(hi)s"
            ),
        ),
        (
            "sqlserver",
            "UPDATE u SET c = N':lo' /* /* :hi */ */ FROM dbo.[a:lo] AS u WHERE u.c IS NULL AND d LIKE N'5%'",
            (
                "UPDATE u SET c = N':lo' /* /* :hi */ */ FROM dbo.[a:lo] AS u WHERE (u.c IS NULL AND d LIKE N'5%%') "
                "AND u.id > %(lo)s AND u.id <= %(hi)s"
            ),
        ),
    ],
)
def test_pyformat_elsewhere(dialect: str, sql: str, expected: str) -> None:
    assert bind(backfill(dialect, sql), Style.PYFORMAT, dialect) == expected


@pytest.mark.parametrize("dialect", KNOWN)
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

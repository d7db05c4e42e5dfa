"""The ledger on a database in memory; who may act; what differs; what is written for people."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from changeover.core.errors import ChangesEdited, FencedOut, ForeignStore
from changeover.core.model import COMPLETE, Applied, Claim, Phase, Statement, Version
from changeover.drivers.databases.backfill_sql import count_of
from changeover.drivers.databases.compare import Sum, differences, in_short
from changeover.drivers.databases.ledger_sql import Owner, age, digest_of, ended, literal
from changeover.drivers.databases.sqlite_session import has_ledger, ledger_on

CLAIM = Claim("production", "store-a", 3, "ann@ops", 1_000.0)
OURS = Owner("production", "store-a", 3)


@pytest.fixture
def ledger():
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        assert not has_ledger(db)
        found = ledger_on(db)
        found.create()
        found.create()
        assert has_ledger(db)
        yield found


def row(version="1.1.0", phase=Phase.EXPAND, index=0, digest="d") -> Applied:
    return Applied(Version(version), phase, index, digest, 1.5, "r-1", 2)


def test_rows_come_back_as_they_were_written(ledger):
    ledger.mark(row())
    ledger.mark(row(index=COMPLETE))
    assert set(ledger.applied()) == {row(), row(index=COMPLETE)}
    ledger.put_claim(CLAIM)
    ledger.put_claim(Claim("staging", "store-b", 9, "bob@ops", 7.0))
    assert ledger.claims() == (Claim("staging", "store-b", 9, "bob@ops", 7.0),)


def test_a_row_is_known_by_its_place_and_its_text(ledger):
    ledger.mark(row())
    assert ledger.is_marked(row())
    for other in (row(index=1), row(phase=Phase.CONTRACT), row(version="1.2.0")):
        assert not ledger.is_marked(other)
    with pytest.raises(ChangesEdited):
        ledger.is_marked(row(digest="edited"))


def test_the_revision_is_raised_once_per_phase(ledger):
    assert ledger.revision() == 0
    assert [ledger.complete(row()), ledger.complete(row()), ledger.complete(row(phase=Phase.CONTRACT))] == [1, 1, 2]


def test_what_is_half_applied(ledger):
    ledger.mark(row(phase=Phase.CONTRACT, digest="half"))
    ledger.mark(row("1.2.0", Phase.CONTRACT, digest="whole"))
    ledger.complete(row("1.2.0", Phase.CONTRACT))
    assert ledger.half_applied(Phase.CONTRACT) == {"half"}
    assert ledger.half_applied(Phase.EXPAND) == frozenset()


# who may act -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", [OURS, Owner("production", "store-a", 9), Owner("production", "", 3)])
def test_the_owner_may_act(owner):
    owner.must_hold([CLAIM], 1_000.0)


@pytest.mark.parametrize(
    ("owner", "refusal"),
    [
        (Owner("production", "store-a", 2), FencedOut),
        (Owner("production", "store-b", 3), ForeignStore),
        (Owner("production", "store-b", 99), ForeignStore),
        (Owner("staging", "store-a", 3), ForeignStore),
    ],
)
def test_nobody_else_may(owner, refusal):
    with pytest.raises(refusal) as refused:
        owner.must_hold([CLAIM], 1_000.0 + 7_300)
    assert refused.value.next
    if refusal is ForeignStore:
        assert "2 h" in refused.value.what
        assert "production" in refused.value.what


def test_a_claim_that_is_gone_is_no_permission():
    with pytest.raises(FencedOut, match="not claimed"):
        OURS.must_hold([], 0)
    OURS.judge([], 0)


# words -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "told"), [(-3, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (200_000, "2 d")]
)
def test_ages_are_told_in_round_units(seconds, told):
    assert age(seconds) == told


def test_literals_are_quoted():
    assert literal("it's") == "'it''s'"
    assert literal(3) == "3"
    assert literal(1.5) == "1.5"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT 1", "SELECT 1;"),
        ("SELECT 1 ;  \n", "SELECT 1 ;"),
        ("SELECT 1 -- why", "SELECT 1 -- why\n;"),
        ("-- why\nSELECT 1", "-- why\nSELECT 1;"),
    ],
)
def test_a_statement_ends_once(sql, told):
    assert ended(Statement(sql, "f", 1, Phase.EXPAND, "t")) == told


def test_the_digest_is_the_texts():
    assert digest_of(Statement("a", "f", 1, Phase.EXPAND, "t")) == digest_of(
        Statement("a", "g", 2, Phase.CONTRACT, "u")
    )


# what differs ------------------------------------------------------------------------------------------------


def test_equal_is_empty():
    assert differences({"a": Sum(1, 2)}, {"a": Sum(1, 2)}) == ()


@pytest.mark.parametrize(
    ("live", "restored", "told"),
    [
        ({"a": Sum(1, 2)}, {}, "a is missing in the restored copy"),
        ({}, {"a": Sum(1, 2)}, "a is in the restored copy only"),
        ({"a": Sum(1, 2)}, {"a": Sum(0, 2)}, "a has 1 rows, restored 0"),
        ({"a": Sum(1, 2)}, {"a": Sum(1, 3)}, "a: the values of its 1 rows differ"),
    ],
)
def test_each_difference_is_told(live, restored, told):
    assert differences(live, restored) == (told,)


def test_many_differences_are_cut_short():
    assert in_short(tuple("abcdefg")) == "a; b; c; d; e and 2 more"


# backfills ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "count"),
    [
        (
            "UPDATE orders SET a = b WHERE (a IS NULL) AND orders.id > :lo",
            "SELECT count(*) FROM orders WHERE (a IS NULL) AND orders.id > :lo",
        ),
        (
            "UPDATE ONLY public.orders AS o SET a = x.b FROM x JOIN y ON y.i = x.i WHERE x.id = o.id",
            "SELECT count(*) FROM ONLY public.orders AS o, x JOIN y ON y.i = x.i WHERE x.id = o.id",
        ),
        (
            "UPDATE t SET a = (SELECT b FROM u WHERE u.i = t.i), c = ' WHERE ' /* FROM */ WHERE c IS NULL",
            "SELECT count(*) FROM t WHERE c IS NULL",
        ),
        ("UPDATE t SET a = 1 WHERE b IN (SELECT i FROM u)", "SELECT count(*) FROM t WHERE b IN (SELECT i FROM u)"),
        ('UPDATE "set" SET "where" = 1 WHERE "from" IS NULL', 'SELECT count(*) FROM "set" WHERE "from" IS NULL'),
    ],
)
def test_an_update_as_a_count(sql, count):
    assert count_of(sql, "postgresql") == count


def test_without_a_where_there_is_nothing_to_count():
    with pytest.raises(ValueError, match="not an UPDATE"):
        count_of("UPDATE t SET a = 1", "postgresql")

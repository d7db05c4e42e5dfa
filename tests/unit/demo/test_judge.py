"""The judge on records made by hand: what is harm, what is not, and what is told apart."""

from __future__ import annotations

import pytest

from changeover.demo.judge import Window, judge, latency
from changeover.demo.records import CHANGE, CREATE, LIST, READ, SLOW, Record, Seen
from changeover.demo.shop_store import Books, Order

A = Seen("a", 1, 100)
B = Seen("a", 2, 250)
C = Seen("a", 3, 999)


def record(kind: str = SLOW, start: float = 1.0, end: float | None = None, **more: object) -> Record:
    values: dict[str, object] = {
        "number": 1,
        "client": "naive",
        "kind": kind,
        "path": "/x",
        "planned": start,
        "sent": start,
        "ended": start + 0.5 if end is None else end,
        "reused": True,
        "status": 200,
        "version": "1.0.0",
        "instance": "8001.1",
        "error": "",
        **more,
    }
    return Record(**values)  # type: ignore[arg-type]


def write(kind: str, asked: Seen, start: float, end: float | None = None, **more: object) -> Record:
    return record(kind, start, end, asked=asked, **{"order": 1, "seen": (asked,), **more})


def failed_write(kind: str, asked: Seen, start: float, end: float | None = None, error: str = "cut") -> Record:
    return write(kind, asked, start, end, error=error, status=0, version="", order=0, seen=())


def read(seen: Seen, start: float, end: float | None = None) -> Record:
    return record(READ, start, end, order=1, asked=Seen("a", 0, 0), seen=(seen,))


def books(*orders: Order, has_price: bool = True, has_cents: bool = True, synced: bool = True) -> Books:
    return Books(orders, has_price, has_cents, synced)


def row(seen: Seen, id: int = 1) -> Order:
    return Order(id, seen.ref, seen.quantity, f"{seen.cents // 100}.{seen.cents % 100:02d}", seen.cents)


def harm(*records: Record, final: Books | None = None) -> list[str]:
    verdict = judge(records, final)
    assert verdict.wrong == len(verdict.examples) - verdict.failed
    return [example.what for example in verdict.examples[verdict.failed :]]


CREATED = write(CREATE, A, 1)


# counting --------------------------------------------------------------------------------------------


def test_a_clean_run() -> None:
    verdict = judge([CREATED, read(A, 2)], books(row(A)))
    assert verdict.clean
    assert (verdict.requests, verdict.failed, verdict.app_errors, verdict.wrong) == (2, 0, 0, 0)
    assert verdict.acknowledged_writes == 1
    assert verdict.by_version == {"1.0.0": 2}


def test_nothing_asked_is_not_clean() -> None:
    verdict = judge([], books())
    assert not verdict.clean
    assert verdict.bound == 1.0


def test_failures_are_counted_by_class() -> None:
    none = {"status": 0, "version": ""}
    records = [record(error=error, **none) for error in ("refused", "reset", "cut", "cut", "timed out", "garbled")]
    verdict = judge([*records, record(error="balancer", status=503, version="")], None)
    assert verdict.failed_by == {"refused": 1, "reset": 1, "cut": 2, "timed out": 1, "garbled": 1, "balancer": 1}
    assert verdict.failed == 7
    assert not verdict.clean
    assert verdict.examples[-1].what == "balancer 503 (naive connection, reused)"
    assert verdict.by_version == {}


def test_an_error_of_the_version_is_an_app_error() -> None:
    verdict = judge([record(status=500), record(status=400), record()], None)
    assert (verdict.failed, verdict.app_errors, verdict.wrong) == (0, 2, 0)


def test_no_more_examples_than_a_person_reads() -> None:
    verdict = judge([record(error="cut", status=0, version="")] * 100, None)
    assert verdict.failed == 100
    assert len(verdict.examples) == 20


def test_the_rule_of_three() -> None:
    assert judge([record()] * 300, None).bound == pytest.approx(0.01)


def test_when_a_version_was_asked_last_and_first() -> None:
    new = [record(start=at, version="1.1.0") for at in (4.0, 3.0)]
    verdict = judge([record(start=1), record(start=3.2), *new, record(start=9, version="", error="cut")], None)
    assert verdict.last_on("1.0.0", after=3) == 3.2
    assert verdict.last_on("1.0.0", after=3.3) is None
    assert verdict.last_on("2.0.0", after=0) is None
    assert verdict.first_on("1.1.0") == 3.0
    assert verdict.first_on("1.1.0", after=3.5) == 4.0
    assert verdict.first_on("1.1.0", after=5) is None


def test_latency_counts_from_the_plan_and_by_window() -> None:
    records = [record(start=float(n), end=n + n / 100, status=200) for n in range(1, 101)]
    held_up = record(start=50.0, end=52.0, sent=51.9)
    hidden = record(start=50.0, end=90.0, status=0, error="timed out", version="")
    verdict = judge([*records, held_up, hidden], None, [Window("steady", 1, 11), Window("none", 500, 600)])
    assert verdict.latency["all"].requests == 101
    assert verdict.latency["all"].longest == pytest.approx(2.0)
    assert (verdict.latency["steady"].requests, verdict.latency["steady"].longest) == (10, pytest.approx(0.1))
    assert verdict.latency["steady"].p50 == pytest.approx(0.05)
    assert verdict.latency["none"].requests == 0
    assert latency(records).p99 == pytest.approx(0.99)


# orders lost, twice, wrong ---------------------------------------------------------------------------


def test_an_acknowledged_order_that_is_not_in_the_database_is_lost() -> None:
    assert harm(CREATED, final=books()) == ["it was acknowledged and is not in the database"]


def test_an_order_without_acknowledgement_may_be_there_or_not() -> None:
    cut = failed_write(CREATE, A, 1)
    assert harm(cut, final=books()) == []
    assert harm(cut, final=books(row(A))) == []
    assert harm(write(CREATE, A, 1, status=500, seen=()), final=books(row(A))) == []


def test_an_order_without_acknowledgement_must_still_have_its_own_values() -> None:
    assert len(harm(failed_write(CREATE, A, 1), final=books(row(B)))) == 1


def test_a_write_that_was_never_sent_may_not_happen() -> None:
    refused = failed_write(CHANGE, B, 2, error="refused")
    never = Record(**{name: getattr(refused, name) for name in Record.__struct_fields__ if name != "sent"}, sent=0.0)
    assert len(harm(CREATED, never, final=books(row(B)))) == 1


def test_orders_of_others_are_not_judged() -> None:
    assert harm(CREATED, final=books(row(A), row(Seen("seed-1", 5, 5), 2))) == []


def test_a_duplicate() -> None:
    assert harm(CREATED, final=books(row(A), row(A, 2))) == ["a is there twice"]


def test_one_id_for_two_orders() -> None:
    other = Seen("b", 1, 1)
    found = harm(CREATED, write(CREATE, other, 2), final=books(row(A), row(other, 2)))
    assert found == ["one id was given to a, b"]


def test_a_changed_price_or_quantity_in_the_database() -> None:
    assert len(harm(CREATED, final=books(row(Seen("a", 1, 101))))) == 1
    assert len(harm(CREATED, final=books(row(Seen("a", 2, 100))))) == 1


def test_the_last_acknowledged_change_counts() -> None:
    change = write(CHANGE, B, 2)
    assert harm(CREATED, change, final=books(row(B))) == []
    assert len(harm(CREATED, change, final=books(row(A)))) == 1


def test_of_two_changes_at_once_either_may_win() -> None:
    changes = write(CHANGE, B, 2, 4), write(CHANGE, C, 3, 5)
    assert harm(CREATED, *changes, final=books(row(B))) == []
    assert harm(CREATED, *changes, final=books(row(C))) == []
    assert len(harm(CREATED, *changes, final=books(row(A)))) == 1


def test_a_change_without_acknowledgement_may_come_late() -> None:
    lost = failed_write(CHANGE, B, 2)
    assert harm(CREATED, lost, write(CHANGE, C, 5), final=books(row(B))) == []
    assert harm(CREATED, lost, write(CHANGE, C, 5), final=books(row(C))) == []


def test_a_killed_client_has_not_recorded_its_last_writes() -> None:
    def wrong(*records: Record, final: Seen) -> int:
        return judge(records, books(row(final)), complete=False).wrong

    change = write(CHANGE, B, 2)
    assert wrong(CREATED, change, read(C, 3), final=C) == 0
    assert wrong(CREATED, change, final=A) == 1  # overwritten for certain
    assert judge([CREATED], books(), complete=False).wrong == 1


# reads -----------------------------------------------------------------------------------------------


def test_a_read_of_what_nobody_wrote() -> None:
    assert len(harm(CREATED, read(B, 2))) == 1


def test_a_stale_read() -> None:
    change = write(CHANGE, B, 2, 3)
    assert harm(CREATED, change, read(B, 4)) == []
    assert len(harm(CREATED, change, read(A, 4))) == 1
    assert harm(CREATED, change, read(A, 2.5)) == []  # while the change was under way
    assert harm(CREATED, change, read(B, 2.5)) == []


def test_a_read_of_the_future() -> None:
    assert len(harm(CREATED, read(B, 2, 2.5), write(CHANGE, B, 3))) == 1


def test_a_read_of_another_order() -> None:
    assert len(harm(CREATED, read(Seen("b", 1, 100), 2))) == 1


def test_an_acknowledged_order_that_a_version_denies() -> None:
    denied = record(READ, 2, status=404, asked=Seen("a", 0, 0))
    verdict = judge([CREATED, denied], None)
    assert (verdict.wrong, verdict.app_errors, verdict.failed) == (1, 0, 0)
    assert "is not there" in verdict.examples[0].what


def test_a_list_is_a_read_of_every_order_in_it() -> None:
    def listed(*seen: Seen) -> Record:
        return record(LIST, 4, seen=seen)

    other = Seen("seed-1", 1, 1)
    assert harm(CREATED, listed(A, other)) == []
    assert len(harm(CREATED, listed(other, B))) == 1


def test_the_answer_to_a_write_must_show_the_write() -> None:
    assert len(harm(write(CREATE, A, 1, seen=(B,)))) == 1
    assert len(harm(write(CREATE, A, 1, seen=()))) == 1
    assert len(harm(CREATED, write(CHANGE, B, 2, seen=(C,)))) == 1


def test_two_changes_at_once_may_answer_each_others_values() -> None:
    assert harm(CREATED, write(CHANGE, B, 2, 4, seen=(C,)), write(CHANGE, C, 3, 5)) == []


# rows, before and after the contracts ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "cents", "has_price", "problem"),
    [
        ("1.00", None, True, ""),  # not backfilled yet
        ("1.00", 100, True, ""),
        ("1", 100, True, ""),
        ("1.00", 101, True, "are not the same"),
        ("", 100, True, "are not the same"),
        ("abc", 100, True, "are not the same"),
        ("", None, True, "it has no price"),
        (None, 100, False, ""),
        (None, None, False, "it has no price"),
    ],
)
def test_a_row_must_not_contradict_itself(price: str | None, cents: int | None, has_price: bool, problem: str) -> None:
    verdict = judge([record()], books(Order(7, "seed-7", 1, price, cents), has_price=has_price))
    assert [problem in example.what for example in verdict.examples] == ([True] if problem else [])


def test_in_the_middle_of_the_contract_nobody_keeps_the_old_column() -> None:
    half = books(Order(1, "a", 1, "", 100), synced=False)
    assert judge([CREATED], half).wrong == 1
    assert judge([CREATED], half, contracting=True).wrong == 0


def test_the_base_schema() -> None:
    assert harm(CREATED, final=books(Order(1, "a", 1, "1.00", None), has_cents=False, synced=False)) == []

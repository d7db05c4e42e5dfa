"""The pure parts of the shop: prices, versions, faults, orders as they come in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changeover.core.model import PLAIN as PHASES
from changeover.core.model import Version
from changeover.demo.money import to_cents, to_price
from changeover.demo.shop_faults import NONE, FaultFile, Faults, Share, parse_bad, read_faults
from changeover.demo.shop_orders import Amount, BadOrder, Draft, shown
from changeover.demo.shop_store import changes, open_store, sqlite_path
from changeover.demo.shop_versions import V1_0, V1_1, V1_2, VERSIONS, sql_of
from changeover.schema.changes import read_changes


@given(st.integers(0, 999_999_999))
def test_a_price_survives_the_way_there_and_back(cents: int) -> None:
    assert to_cents(to_price(cents)) == cents


@pytest.mark.parametrize(("text", "cents"), [("12.50", 1250), ("12.5", 1250), ("12", 1200), ("0.05", 5), ("007", 700)])
def test_prices(text: str, cents: int) -> None:
    assert to_cents(text) == cents


@pytest.mark.parametrize("text", ["", "abc", "-1", "1.234", "1.", ".5", "1,5", "12345678", " 1", "1\n", "١"])
def test_no_prices(text: str) -> None:
    with pytest.raises(ValueError, match="not a price"):
        to_cents(text)


def test_no_negative_price() -> None:
    with pytest.raises(ValueError, match="not a price"):
        to_price(-1)


@pytest.mark.parametrize(
    ("version", "sql"),
    [("1.0.0", V1_0), ("v1.0.9", V1_0), ("1.1.0", V1_1), ("1.1.7", V1_1), ("1.2.0", V1_2), ("1.10.0", V1_2)],
)
def test_a_version_asks_what_the_newest_known_one_before_it_asks(version: str, sql: object) -> None:
    assert sql_of(version) is sql


@pytest.mark.parametrize("version", ["", "1.1", "main", "0.9.9"])
def test_no_versions(version: str) -> None:
    with pytest.raises(ValueError, match=r"version|oldest"):
        sql_of(version)


def texts(sql: object) -> str:
    return " ".join(str(getattr(sql, name)) for name in ("create", "by_id", "by_ref", "by_customer", "change", "audit"))


def test_no_version_asks_for_what_its_own_contract_takes_away() -> None:
    for sql in (V1_1, V1_2):
        assert "price," not in texts(sql).replace("price_cents", "cents")
        assert ":price " not in texts(sql)
    assert "legacy_audit" not in texts(V1_2)
    assert all("*" not in texts(sql) for sql in VERSIONS)


def test_missing_columns_are_named() -> None:
    schema = {"orders": frozenset({"id", "ref", "customer", "item", "quantity", "created_at", "price"})}
    assert V1_0.missing({**schema, "customers": frozenset({"id", "name"})}) == [
        "legacy_audit.order_ref",
        "legacy_audit.what",
        "legacy_audit.created_at",
    ]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mysql"])
def test_the_changes_are_packaged_and_none_would_break_a_version(dialect: str) -> None:
    assert sorted(file.name for file in changes(dialect).iterdir()) == [
        f"{version}.{phase}.sql" for version in ("1.1.0", "1.2.0") for phase in ("backfill", "contract", "expand")
    ]
    for version in ("1.1.0", "1.2.0"):
        names = {phase: f"{version}.{phase}.sql" for phase in PHASES}
        files = {phase: (name, (changes(dialect) / name).read_text("utf-8")) for phase, name in names.items()}
        found = read_changes(Version.of(version), files, dialect)
        assert found.expand
        assert found.backfill
        assert found.contract


def test_sqlite_addresses() -> None:
    assert sqlite_path("sqlite:///a/b.db") == "a/b.db"
    assert sqlite_path("sqlite:////a/b.db") == "/a/b.db"
    for wrong in ("sqlite:///", "sqlite:a.db", "mssql://x", ""):
        with pytest.raises(ValueError, match="sqlite:///PATH"):
            open_store(wrong)


ORDER = {"ref": "r", "customer": "c", "item": "i", "quantity": 2, "price": "1.5"}


def test_an_order() -> None:
    assert Draft.of(ORDER) == Draft("r", "c", "i", Amount(2, 150))
    assert Draft.of({**ORDER, "note": "ring"}).note == "ring"


@pytest.mark.parametrize(
    "wrong",
    [{"ref": ""}, {"ref": 7}, {"item": "x" * 201}, {"quantity": True}, {"quantity": 1.5}, {"price": 3}, {"note": 1}],
)
def test_no_order(wrong: dict[str, object]) -> None:
    with pytest.raises(BadOrder):
        Draft.of({**ORDER, **wrong})


@pytest.mark.parametrize("body", [None, [], "x", 3])
def test_a_body_that_is_no_order(body: object) -> None:
    with pytest.raises(BadOrder):
        Draft.of(body)


def test_a_row_without_a_price_is_never_shown_as_free() -> None:
    assert shown((1, "r", "c", "i", 2, 150, "new"))["price"] == "1.50"
    assert shown((1, "r", "c", "i", 2, "1.50", "new"))["price"] == "1.50"
    for nothing in (None, ""):
        with pytest.raises(ValueError, match="price"):
            shown((1, "r", "c", "i", 2, nothing, "new"))


def test_bad_flags() -> None:
    assert parse_bad([]) == NONE
    assert parse_bad(["errors", "exit=2"]) == Faults(errors=1 / 3, exit_after=2)
    assert parse_bad(["errors=0.5", "delay=0.1", "wrong-price"]) == Faults(errors=0.5, delay=0.1, wrong_price=True)
    with pytest.raises(ValueError, match="it knows"):
        parse_bad(["rude"])


def test_a_share_is_even() -> None:
    share = Share()
    assert [share.picks(1 / 3) for _ in range(9)] == [False, False, True] * 3
    assert [Share().picks(1) for _ in range(2)] == [True, True]
    assert not any(share.picks(0) for _ in range(9))


def test_the_control_file_speaks_of_versions_and_ports() -> None:
    text = json.dumps({"1.1.0": {"errors": 0.3, "exit_after": 4}, "never_ready_ports": [8003]})
    flags = Faults(delay=0.5)
    assert read_faults(text, "1.1.0", 8001, flags) == Faults(errors=0.3, exit_after=4.0, delay=0.5)
    assert read_faults(text, "1.0.0", 8001, flags) == flags
    assert read_faults(text, "1.0.0", 8003, flags) == Faults(delay=0.5, never_ready=True)


def test_a_control_file_that_is_half_written_keeps_the_last_state(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    file = FaultFile(str(path), "1.1.0", 8001, NONE)
    assert file.look() == NONE
    path.write_text('{"1.1.0": {"errors": 1}}')
    assert file.look().errors == 1
    for broken in ("", '{"1.1', "[]", '{"1.1.0": 3}', '{"1.1.0": {"errors": "x"}}', '{"never_ready_ports": 3}'):
        path.write_text(broken)
        assert file.look().errors == 1
    path.unlink()
    assert file.look() == NONE
    assert FaultFile("", "1.1.0", 8001, Faults(errors=0.2)).look().errors == 0.2

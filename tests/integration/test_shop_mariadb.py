"""The shop on MariaDB as its author must write it: what the server does differently, no client of the shop may notice."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.fixtures import mysql
from tests.fixtures.shop import mariadb_database, shop, until

from changeover.demo.shop_store import StoreBusy, StoreError, open_store, opened

ORDER = {"ref": "a-1", "customer": "ann", "item": "tea", "quantity": 2, "price": "12.50"}
INSERT = (
    "INSERT INTO orders (ref, customer, item, quantity, price, created_at) VALUES (:ref, 'c', 'i', 1, '1.00', 1)"
    " ON CONFLICT (ref) DO NOTHING RETURNING id"
)


@pytest.fixture
def database() -> Iterator[str]:
    with mariadb_database() as url:
        yield url


def test_connections_that_the_server_has_ended_are_opened_again(database: str, tmp_path: Path) -> None:
    server, name = mysql.shared(), database.rpartition("/")[2]
    with shop(database, "1.0.0", tmp_path) as instance:
        made = instance.call("POST", "/orders", ORDER)[1]
        sessions = server.run(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'")
        assert sessions
        for (session,) in sessions:
            server.run(f"KILL {session}")
        for _ in range(8):  # more than it has threads
            assert instance.call("GET", f"/orders/{made['id']}") == (200, made)


def test_a_deadlock_is_tried_again(database: str, tmp_path: Path) -> None:
    """The instance waits for the order, the other writer for the customer; the server ends the one that has done less."""
    with (
        shop(database, "1.0.0", tmp_path) as instance,
        ThreadPoolExecutor(1) as threads,
        opened(database) as store,
        store.transaction() as session,
    ):
        for n in range(50):
            session.run(INSERT, {"ref": f"more-{n}"})
        session.run(INSERT, {"ref": ORDER["ref"]})
        before = deadlocks()
        answer = threads.submit(instance.call, "POST", "/orders", ORDER)
        waiting = (
            "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT' AND trx_query LIKE '%orders%'"
        )
        until(lambda: mysql.shared().run(waiting))
        session.run("INSERT INTO customers (name) VALUES ('ann')")
        assert deadlocks() == before + 1
        session.run("UPDATE orders SET quantity = 7 WHERE ref = :ref", ORDER)
    status, order = answer.result()
    assert (status, order["quantity"], order["customer"]) == (200, 7, "c")


def deadlocks() -> int:
    (row,) = mysql.shared().run("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")
    return int(row[1])


def test_only_a_duplicate_is_passed_over(database: str) -> None:
    with opened(database) as store, store.transaction() as session:
        assert len(session.run(INSERT, {"ref": "r"})) == 1
        assert session.run(INSERT, {"ref": "r"}) == []
        assert len(session.run(INSERT, {"ref": "R"})) == 1
        assert len(session.run(INSERT, {"ref": "r "})) == 1
    with pytest.raises(StoreError, match="Duplicate entry"), opened(database) as store, store.transaction() as session:
        session.run(INSERT.replace(" ON CONFLICT (ref) DO NOTHING", ""), {"ref": "r"})
    with pytest.raises(StoreError, match="too long"), opened(database) as store, store.transaction() as session:
        session.run(INSERT, {"ref": "r" * 201})


def test_a_read_sees_what_was_committed_meanwhile(database: str) -> None:
    with opened(database) as one, opened(database) as other, one.transaction() as session:
        session.run(INSERT, {"ref": "mine"})
        assert session.run("SELECT ref FROM orders") == [("mine",)]
        with other.transaction() as another:
            another.run(INSERT, {"ref": "yours"})
        assert session.run("SELECT ref FROM orders ORDER BY id") == [("mine",), ("yours",)]


def test_who_waits_too_long_may_ask_again(database: str) -> None:
    with opened(database) as one, opened(database) as other, one.transaction() as session:
        session.run(INSERT, {"ref": "r"})
        with pytest.raises(StoreBusy), other.transaction() as another:
            another.run("SET SESSION innodb_lock_wait_timeout = 1")
            another.run(INSERT, {"ref": "r"})


@pytest.mark.parametrize("wrong", ["mysql://", "mysql:///shop", "mysql://u@h", "mariadb://u@h/", "mysql:shop"])
def test_no_address(wrong: str) -> None:
    with pytest.raises(ValueError, match="mysql://USER"):
        open_store(wrong)

"""The shop, its load client and its judge on real databases: three versions at work while the schema changes."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.fixtures.shop import (
    apply,
    mariadb_database,
    postgresql_cluster,
    postgresql_database,
    shop,
    sqlite_database,
    statements,
    until,
)

from changeover.demo import shop_store
from changeover.demo.judge import Verdict, judge
from changeover.demo.load import Load, Mix, Settings
from changeover.demo.shop_probe import ProbeFailed, probe
from changeover.demo.shop_store import seed

V1, V2, V3 = "1.0.0", "1.1.0", "1.2.0"
CHANGES = [(V2, "expand"), (V2, "backfill"), (V3, "expand"), (V3, "backfill"), (V2, "contract"), (V3, "contract")]
NAMES = itertools.count(1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with postgresql_cluster() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        match request.param:
            case "sqlite":
                yield stack.enter_context(sqlite_database(tmp_path))
            case "postgresql":
                cluster = request.getfixturevalue("cluster")
                yield stack.enter_context(postgresql_database(cluster, f"shop_{os.getpid()}_{next(NAMES)}"))
            case _:
                yield stack.enter_context(mariadb_database())


def works(url: str) -> set[str]:
    """The versions whose probe passes."""
    found = set()
    for version in (V1, V2, V3):
        with contextlib.suppress(ProbeFailed):
            probe(url, version)
            found.add(version)
    return found


# versions and schema shapes -------------------------------------------------------------------------


def test_each_version_works_with_the_shapes_it_is_made_for_and_says_so_where_it_does_not(database: str) -> None:
    seed(database, 50)
    found = [works(database)]
    for version, phase in CHANGES:
        apply(database, version, phase)
        found.append(works(database))
    assert found == [
        {V1},
        {V1},  # 1.1.0 cannot read the old orders before they are filled
        {V1, V2},
        {V1, V2, V3},
        {V1, V2, V3},
        {V2, V3},
        {V3},
    ]


def test_a_probe_leaves_nothing_behind(database: str) -> None:
    seed(database, 3)
    before = shop_store.orders(database)
    probe(database, V1)
    assert shop_store.orders(database) == before


def test_the_backfill_changes_no_old_price(database: str) -> None:
    seed(database, 30)
    with shop_store.opened(database) as store, store.transaction() as session:
        session.run("UPDATE orders SET price = '12.5' WHERE ref = 'seed-1'")
        session.run("UPDATE orders SET price = '7' WHERE ref = 'seed-2'")
        session.run("UPDATE orders SET price = '' WHERE ref = 'seed-3'")
    before = {order.ref: order.price for order in shop_store.orders(database).orders}
    apply(database, V2, "expand")
    apply(database, V2, "backfill")
    after = shop_store.orders(database)
    assert {order.ref: order.price for order in after.orders} == before
    cents = {order.ref: order.price_cents for order in after.orders}
    assert (cents["seed-1"], cents["seed-2"], cents["seed-3"]) == (1250, 700, 0)
    assert None not in cents.values()


def test_both_sides_stay_equal_whoever_writes(database: str) -> None:
    apply(database, V2, "expand")

    def run(sql: str) -> list[tuple[object, ...]]:
        with shop_store.opened(database) as store, store.transaction() as session:
            session.run(sql)
            return session.run("SELECT price, price_cents FROM orders WHERE ref = 'r'")

    row = "INSERT INTO orders (ref, customer, item, quantity, created_at, {}) VALUES ('r', 'c', 'i', 1, 1, {})"
    for column, value, expected in (("price", "'19.99'", ("19.99", 1999)), ("price_cents", "0", ("0.00", 0))):
        assert run(row.format(column, value)) == [expected]
        assert run("UPDATE orders SET price = '1.05'") == [("1.05", 105)]
        assert run("UPDATE orders SET price_cents = 99907") == [("999.07", 99907)]
        assert run("UPDATE orders SET price = '0.29'") == [("0.29", 29)]
        assert run("UPDATE orders SET price_cents = 0") == [("0.00", 0)]
        assert run("UPDATE orders SET quantity = 9") == [("0.00", 0)]
        assert run("UPDATE orders SET price = '8.1', quantity = 3") == [("8.1", 810)]
        assert run("DELETE FROM orders") == []


def test_three_versions_write_while_the_schema_changes_and_nothing_is_wrong(database: str, tmp_path: Path) -> None:
    """Each version joins when its schema is there and leaves before its own part is taken away."""
    seed(database, 200)
    running: dict[str, tuple[Load, contextlib.ExitStack]] = {}
    records = []

    def join(version: str) -> None:
        stack = contextlib.ExitStack()
        instance = stack.enter_context(shop(database, version, tmp_path))
        load = Load(Settings(instance.url, rate=60, naive=4, checking=2, seed=int(version.replace(".", ""))))
        running[version] = (load.start(), stack)

    def leave(version: str) -> None:
        load, stack = running.pop(version)
        records.extend(load.stop())
        stack.close()

    def work() -> None:
        goals = [(load, load.count + 40) for load, _ in running.values()]
        until(lambda: all(load.count >= goal for load, goal in goals))

    try:
        join(V1)
        for version, phase in CHANGES[:4]:
            work()
            apply(database, version, phase)
            if phase == "backfill":
                join(version)
        work()
        between = shop_store.orders(database)
        assert judge([*records, *(r for load, _ in running.values() for r in load.records())], None).clean
        assert between.synced
        leave(V1)
        apply(database, V2, "contract")
        work()
        leave(V2)
        apply(database, V3, "contract")
        work()
    finally:
        for version in list(running):
            leave(version)
    books = shop_store.orders(database)
    verdict = judge(records, books)
    assert verdict.clean, verdict
    assert verdict.app_errors == 0, verdict
    assert set(verdict.by_version) == {V1, V2, V3}
    assert verdict.acknowledged_writes > 50
    assert not books.has_price


def all_versions_at_once(database: str, directory: Path) -> Verdict:
    """One load over instances of all versions: what one writes, another one reads and changes."""
    with contextlib.ExitStack() as stack:
        first, *others = [stack.enter_context(shop(database, version, directory)).url for version in (V1, V2, V3)]
        mix = Mix(create=0.2, read=0.4, change=0.3, list=0.1)
        load = Load(Settings(first, rate=120, mix=mix, naive=6, checking=3, others=tuple(others))).start()
        until(lambda: load.count > 500)
        return judge(load.stop(), shop_store.orders(database))


def test_every_version_reads_what_every_other_has_written(database: str, tmp_path: Path) -> None:
    for version, phase in CHANGES[:4]:
        apply(database, version, phase)
    verdict = all_versions_at_once(database, tmp_path)
    assert verdict.clean, verdict
    assert verdict.app_errors == 0, verdict
    assert min(verdict.by_version[version] for version in (V1, V2, V3)) > 50


def test_without_the_triggers_the_judge_sees_the_harm(database: str, tmp_path: Path) -> None:
    """The counterpart: were the schema change wrong, the test above would fail."""
    for version, phase in CHANGES[:4]:
        apply(database, version, phase)
    for statement in statements(database.partition(":")[0], V2, "contract"):
        if statement.startswith("DROP TRIGGER"):
            with shop_store.opened(database) as store, store.transaction() as session:
                session.run(statement)
    verdict = all_versions_at_once(database, tmp_path)
    assert verdict.wrong > 20
    assert verdict.failed == 0


# one instance ----------------------------------------------------------------------------------------


def test_what_an_instance_answers(database: str, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    with shop(database, V1, tmp_path, "--start-log", str(starts)) as instance:
        order = {"ref": "a-1", "customer": "ann", "item": "tea", "quantity": 2, "price": "12.5"}
        status, headers, made = instance.call_with_headers("POST", "/orders", order)
        assert (status, headers["x-version"], headers["x-instance"]) == (
            201,
            V1,
            f"{instance.port}.{instance.process.pid}",
        )
        assert made["price"] == "12.50"
        again = instance.call("POST", "/orders", {**order, "quantity": 9})
        assert again == (200, made)
        path = f"/orders/{made['id']}"
        assert instance.call("GET", path) == (200, made)
        assert instance.call("PUT", path, {"quantity": 3, "price": "0.05"})[1]["price"] == "0.05"
        listed = instance.call("GET", "/orders?customer=ann")[1]["orders"]
        assert [(one["quantity"], one["price"]) for one in listed] == [(3, "0.05")]
        assert instance.call("GET", "/orders/999999")[0] == 404
        assert instance.call("PUT", "/orders/999999", {"quantity": 3, "price": "0.05"})[0] == 404
        assert instance.call("GET", "/nothing")[0] == 404
        assert [instance.call("GET", f"/slow?s={text}")[0] for text in ("0", "nan", "x", "-1", "999")] == [200] + [
            400
        ] * 4
        for wrong in ({}, [], {**order, "price": 12}, {**order, "price": "-1"}, {**order, "quantity": 0}):
            assert instance.call("POST", "/orders", wrong)[0] == 400
        assert instance.call("GET", "/version")[1] == {"version": V1, "build": "b-1.0.0"}
        assert instance.call("GET", "/health")[0] == 200
        stats = instance.call("GET", "/stats")[1]
        assert stats["in_flight"] == 0
        assert stats["arrivals"]["POST /orders"] == 7
        assert stats["last_arrival"]["epoch"] <= time.time()
        instance.terminate()
        assert instance.wait() == 0
    (line,) = starts.read_text().splitlines()
    assert line.split()[1:] == [str(instance.process.pid), V1, str(instance.port)]


def test_the_new_version_keeps_notes_and_status(database: str, tmp_path: Path) -> None:
    for version, phase in CHANGES[:4]:
        apply(database, version, phase)
    with shop(database, V1, tmp_path) as old, shop(database, V3, tmp_path) as new:
        order = {"ref": "n", "customer": "c", "item": "i", "quantity": 1, "price": "3.00", "note": "ring twice"}
        made = new.call("POST", "/orders", order)[1]
        read = new.call("GET", f"/orders/{made['id']}")[1]
        assert (read["status"], read["notes"], read["price"]) == ("new", ["ring twice"], "3.00")
        assert old.call("PUT", f"/orders/{made['id']}", {"quantity": 2, "price": "4.10"})[1]["price"] == "4.10"
        assert new.call("GET", f"/orders/{made['id']}")[1]["price"] == "4.10"
        changed = new.call("PUT", f"/orders/{made['id']}", {"quantity": 2, "price": "5.00"})[1]
        assert (changed["status"], old.call("GET", f"/orders/{made['id']}")[1]["price"]) == ("changed", "5.00")


def test_not_ready_until_its_columns_are_there(database: str, tmp_path: Path) -> None:
    with shop(database, V2, tmp_path, ready=False) as instance:
        until(lambda: "price_cents" in instance.call("GET", "/ready")[1]["why"])
        assert instance.call("GET", "/ready")[0] == 503
        assert instance.call("GET", "/health")[0] == 200
        apply(database, V2, "expand")
        until(instance.ready)


def test_a_graceful_stop_loses_nothing_that_is_in_flight(database: str, tmp_path: Path) -> None:
    with shop(database, V1, tmp_path) as instance, ThreadPoolExecutor(8) as threads:
        slow = [threads.submit(instance.call, "GET", "/slow?s=1.5") for _ in range(8)]
        until(lambda: instance.call("GET", "/stats")[1]["in_flight"] == 8)
        instance.terminate()
        assert [answer.result()[0] for answer in slow] == [200] * 8
        assert instance.wait() == 0
        with pytest.raises(ConnectionRefusedError):
            instance.call("GET", "/health")


def test_a_stop_under_load_finishes_what_it_has_begun(database: str, tmp_path: Path) -> None:
    """Without a balancer what comes later is refused; nothing that was sent may be lost or wrong."""
    mix = Mix(slow=0.1, slow_seconds=0.3)
    with shop(database, V1, tmp_path) as instance:
        load = Load(Settings(instance.url, rate=80, mix=mix, naive=0, checking=8, fresh=0.3)).start()
        until(lambda: load.count > 60)
        instance.terminate()
        assert instance.wait() == 0
        until(lambda: sum(load.errors.values()) > 3)
        verdict = judge(load.stop(), shop_store.orders(database))
    assert set(verdict.failed_by) == {"refused"}, verdict
    assert verdict.wrong == 0
    assert verdict.app_errors == 0


# misbehaviour, and that it is seen -------------------------------------------------------------------


def test_faults_by_control_file(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    with (
        sqlite_database(tmp_path) as database,
        shop(database, V1, tmp_path, SHOP_FAULTS=str(file)) as instance,
        Load(Settings(instance.url, rate=100, naive=4, checking=2, control=str(tmp_path / "load.json"))) as load,
    ):
        until(lambda: load.count > 30)
        file.write_text(json.dumps({V1: {"errors": 0.5}, "never_ready_ports": [instance.port]}))
        until(lambda: instance.call("GET", "/ready")[0] == 503)
        here = load.count
        until(lambda: load.count > here + 60)
        file.write_text('{"1.0.')  # half written: the last state stays
        before = judge(load.stop(), shop_store.orders(database))
        assert instance.call("GET", "/ready")[0] == 503
        file.write_text(json.dumps({V1: {"exit_after": 0}}))
        assert instance.wait() == 3
    assert 25 <= before.app_errors <= 60
    assert (before.failed, before.wrong) == (0, 0)


def test_never_ready_and_a_wrong_price_by_flag(tmp_path: Path) -> None:
    with sqlite_database(tmp_path) as database:
        with shop(database, V1, tmp_path, "--never-ready", ready=False) as instance:
            assert instance.call("GET", "/ready")[0] == 503
        with shop(database, V1, tmp_path, "--bad", "wrong-price") as instance:
            with Load(Settings(instance.url, rate=100, naive=2, checking=0)) as load:
                until(lambda: load.count > 20)
            verdict = judge(load.stop(), shop_store.orders(database))
    assert verdict.wrong > 10
    assert "was answered" in str(verdict.examples)


def test_a_lost_and_a_changed_order_are_seen(database: str, tmp_path: Path) -> None:
    with shop(database, V1, tmp_path) as instance:
        with Load(Settings(instance.url, rate=100, mix=Mix(change=0), naive=2, checking=2)) as load:
            until(lambda: load.count > 60)
        records = load.stop()
        assert judge(records, shop_store.orders(database)).clean
        with shop_store.opened(database) as store, store.transaction() as session:
            session.run("DELETE FROM orders WHERE id = 1")
            session.run("UPDATE orders SET price = '0.00' WHERE id = 2")
        verdict = judge(records, shop_store.orders(database))
    assert verdict.wrong == 2, verdict.examples
    assert ["is not in the database" in example.what for example in verdict.examples].count(True) == 1


def test_a_killed_instance_is_a_failure(database: str, tmp_path: Path) -> None:
    with (
        shop(database, V1, tmp_path) as instance,
        Load(Settings(instance.url, rate=100, mix=Mix(slow=0.2, slow_seconds=1), naive=4, checking=4)) as load,
    ):
        until(lambda: load.count > 40)
        instance.process.kill()
        instance.wait()
        until(lambda: load.errors.get("reset") and load.errors.get("refused"))
        verdict = judge(load.stop(), shop_store.orders(database))
    assert verdict.failed_by["refused"] > 0
    assert verdict.failed_by["reset"] > 0
    assert verdict.wrong == 0


# the programs ----------------------------------------------------------------------------------------


def test_the_probe_as_a_program(database: str) -> None:
    def run(version: str, variable: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.endswith("_DATABASE_URL")}
        return subprocess.run(
            [sys.executable, "-m", "changeover.demo.shop", "--probe", "--version", version],
            env={**environment, variable: database},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert run(V1, "CHANGEOVER_DATABASE_URL").returncode == 0
    broken = run(V2, "SHOP_DATABASE_URL")
    assert broken.returncode == 1
    assert "the schema has no orders.price_cents" in broken.stderr
    assert run(V1, "OTHER_DATABASE_URL").returncode == 1


def test_the_load_program_loses_only_its_tail_when_it_is_killed(tmp_path: Path) -> None:
    from changeover.demo.records import read_records

    out, control = tmp_path / "records", tmp_path / "control.json"
    control.write_text('{"rate": 50, "slow": 0}')
    with sqlite_database(tmp_path) as database, shop(database, V1, tmp_path) as instance:
        command = [sys.executable, "-m", "changeover.demo.load", "--url", instance.url, "--out", str(out)]
        command += ["--control", str(control), "--rate", "1"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        with process:
            until(lambda: out.exists() and len(read_records(out)) > 20)
            process.kill()
        records = read_records(out)
        assert judge(records, shop_store.orders(database), complete=False).clean
        out.unlink()

        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        with process:
            until(lambda: out.exists() and 20 < len(read_records(out)) < 1000)
            process.terminate()
            summary = json.loads(process.communicate(timeout=30)[0])
        assert process.returncode == 0
        records = read_records(out)
        assert (summary["requests"], summary["failed"]) == (len(records), {})
        assert [record.number for record in sorted(records, key=lambda record: record.number)] == list(
            range(1, len(records) + 1)
        )

"""One backend, two pools, weights: the ways of HAProxy and of people that the contract suite does not know."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fixtures.haproxy_servers import HaproxyServers, haproxy_servers
from tests.fixtures.need import need

from changeover.core.errors import BalancerMisconfigured, BalancerRefused, FencedOut
from changeover.core.model import Route
from changeover.core.ports import Finding
from changeover.drivers.balancers.haproxy_servers import HaproxyServersBalancer
from changeover.testing.cases import BLUE, GREEN, START, TestFence, pools_of, until

FLIPPED = Route(GREEN, BLUE, mark="flipped")
CANARY = Route(BLUE, GREEN, 2500, 7, mark="canary")


@pytest.fixture(params=["haproxy.cfg", "state file"])
def balancer(request: pytest.FixtureRequest) -> Iterator[HaproxyServers]:
    with haproxy_servers(state_file=request.param == "state file") as running:
        yield running


def old_workers(balancer: HaproxyServers) -> list[int]:
    return [w.pid for w in balancer.workers() if w.old]


def seen(balancer: HaproxyServers, count: int = 80) -> dict[str, int]:
    return pools_of([balancer.get() for _ in range(count)])


def fatal(balancer: HaproxyServersBalancer) -> list[Finding]:
    return [f for f in balancer.inspect() if not f.ok and f.fatal]


# adoption ------------------------------------------------------------------------------------------------


def test_what_is_there_is_a_route_before_anything_is_written(balancer: HaproxyServers) -> None:
    before = balancer.config.read_text()
    reading = balancer.driver.read()
    assert reading.settled, reading
    assert reading.route == Route(BLUE, GREEN)
    assert fatal(balancer.driver) == []
    assert balancer.config.read_text() == before


@pytest.mark.parametrize("state_file", [False, True])
def test_a_pool_that_is_disabled_as_a_whole_is_taken_in_without_a_visitor(state_file: bool) -> None:
    with haproxy_servers(idle="disabled", state_file=state_file) as balancer:
        assert balancer.driver.read().route == Route(BLUE, GREEN)
        assert balancer.driver.health(GREEN).known == 0
        assert balancer.driver.commit(START, TestFence()).settled
        until(lambda: balancer.driver.health(GREEN).healthy == 2)
        assert seen(balancer, 20) == {BLUE: 20}
        balancer.reload()
        until(lambda: balancer.driver.health(GREEN).healthy == 2)  # a restart finds the same
        assert balancer.driver.read().settled
        assert seen(balancer, 20) == {BLUE: 20}


def test_only_the_weights_of_the_configuration_change() -> None:
    with haproxy_servers() as balancer:
        before = balancer.config.read_text()
        balancer.driver.commit(CANARY, TestFence(token=3))
        after = balancer.config.read_text()
        changed = [line for line in after.splitlines() if line not in before.splitlines()]
        assert [line.split()[:2] for line in changed] == [
            ["#", "changeover"],
            *([["server", f"{p}{n}"] for p in (BLUE, GREEN) for n in (1, 2)]),
        ]
        assert "fence=3 run=r1 route=blue:green:2500:7:0:canary weights=3:1" in after
        balancer.driver.commit(Route(BLUE, GREEN), TestFence(token=3))
        again = [line for line in balancer.config.read_text().splitlines() if "# changeover" not in line]
        assert again == before.replace("weight 10 ", "weight 100 ").splitlines()


def test_a_server_that_somebody_took_out_stays_out(balancer: HaproxyServers) -> None:
    balancer.set("blue2", "state maint")
    assert balancer.driver.read().route == Route(BLUE, GREEN)
    balancer.driver.commit(CANARY, TestFence())
    counts = seen(balancer)
    assert 15 <= counts[GREEN] <= 25  # of one server against two
    assert balancer.pools[BLUE][1].total == 0
    balancer.driver.commit(Route(BLUE, GREEN, mark="back"), TestFence())
    assert balancer.driver.health(BLUE).known == 1


# reloads by others ------------------------------------------------------------------------------------------


def test_a_reload_in_mid_canary_loses_no_share(balancer: HaproxyServers) -> None:
    balancer.driver.commit(CANARY, TestFence())
    with balancer.slow(2.0):
        until(lambda: balancer.driver.in_flight(BLUE).requests or balancer.driver.in_flight(GREEN).requests)
        for _ in range(2):
            balancer.reload()
            reading = balancer.driver.read()
            assert reading.settled, reading
            assert reading.route == CANARY
            assert reading.leaving
            assert set(reading.leaving.values()) == {CANARY}
            assert 18 <= seen(balancer)[GREEN] <= 22
    until(lambda: not old_workers(balancer))
    balancer.driver.commit(replace(CANARY, share=5000), TestFence())
    assert 38 <= seen(balancer)[GREEN] <= 42


def test_a_reload_in_mid_drain_forgets_no_request(balancer: HaproxyServers) -> None:
    with balancer.slow(2.5) as first:
        until(lambda: balancer.driver.in_flight(BLUE).requests == 1)
        balancer.reload()
        with balancer.slow(2.5) as second:
            until(lambda: balancer.driver.in_flight(BLUE).requests == 2)  # one by each worker
            (left,) = balancer.driver.commit(FLIPPED, TestFence()).leaving.values()
            assert left is not None
            assert left.live == BLUE  # what comes on its connections; so blue is not drained before it is gone
            balancer.reload()
            assert balancer.driver.read().route == FLIPPED
            assert balancer.driver.in_flight(BLUE).requests == 2
            assert seen(balancer, 20) == {GREEN: 20}
            assert (first().pool, second().pool) == (BLUE, BLUE)
    until(lambda: balancer.driver.in_flight(BLUE).is_zero)
    until(lambda: not balancer.driver.read().leaving)


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_reload_in_the_middle_of_a_commit(balancer: HaproxyServers, nth: int) -> None:
    with balancer.slow(2.0):
        until(lambda: balancer.driver.in_flight(BLUE).requests == 1)
        reading = balancer.driver.commit(FLIPPED, TestFence(hooks={nth: balancer.reload}))
        assert reading.settled
        assert seen(balancer, 10) == {GREEN: 10}


def test_requests_of_a_worker_that_died_are_reported(balancer: HaproxyServers) -> None:
    with balancer.slow(3.0) as answer:
        until(lambda: balancer.driver.in_flight(BLUE).requests == 1)
        balancer.reload()
        (old,) = old_workers(balancer)
        assert balancer.driver.in_flight(BLUE).requests == 1
        os.kill(old, signal.SIGKILL)
        assert answer().status == 0
        until(lambda: not old_workers(balancer))
    assert "1 lost sight of" in balancer.driver.in_flight(BLUE).detail


# foreign hands --------------------------------------------------------------------------------------------------


def test_a_flip_by_hand_is_seen_and_said(balancer: HaproxyServers) -> None:
    balancer.driver.commit(CANARY, TestFence())
    balancer.change_by_hand(FLIPPED)
    reading = balancer.driver.read()
    assert reading.route is not None
    assert reading.route.decides_like(FLIPPED)
    assert not reading.settled
    assert "a restart would change it" in reading.problem


def test_a_weight_set_on_one_server_is_no_route(balancer: HaproxyServers) -> None:
    balancer.set("blue1", "weight 3")
    reading = balancer.driver.read()
    assert reading.route is None
    assert "different weights: blue1 3, blue2 10" in reading.problem
    assert any("different weights" in f.detail for f in fatal(balancer.driver))
    assert balancer.driver.commit(FLIPPED, TestFence()).settled


def test_an_edited_configuration_is_drift() -> None:
    with haproxy_servers() as balancer:
        balancer.driver.commit(CANARY, TestFence())
        text = balancer.config.read_text()
        balancer.config.write_text(text.replace("weight 3 ", "weight 9 "))
        reading = balancer.driver.read()
        assert reading.route == CANARY
        assert not reading.settled
        assert any("weights are not those" in f.detail for f in balancer.driver.inspect())


def test_an_edit_at_the_same_moment_is_not_overwritten() -> None:
    with haproxy_servers() as balancer:

        def edit() -> None:
            balancer.config.write_text(balancer.config.read_text() + "\n# somebody's new line\n")

        original = balancer.driver._file.publish  # the moment between draft and rename

        class Edited(type(balancer.driver._file)):  # type: ignore[misc]
            def publish(self, draft: Path, fence: TestFence) -> None:
                edit()
                original(draft, fence)

        file = balancer.driver._file
        balancer.driver._file = Edited(file.path, file.backend, file.pools)
        with pytest.raises(BalancerRefused, match="at the same moment"):
            balancer.driver.commit(FLIPPED, TestFence())
        assert balancer.driver.read().route == Route(BLUE, GREEN)
        assert "somebody's new line" in balancer.config.read_text()
        assert balancer.second().commit(FLIPPED, TestFence()).settled
        assert "somebody's new line" in balancer.config.read_text()


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_an_owner_that_was_taken_over_in_its_sleep_leaves_the_newer_route(balancer: HaproxyServers, nth: int) -> None:
    stale = TestFence(token=7, hooks={nth: lambda: balancer.second().commit(CANARY, TestFence(token=8))})
    with pytest.raises(FencedOut):
        balancer.driver.commit(FLIPPED, stale)
    reading = balancer.driver.read()
    assert reading.settled
    assert reading.route == CANARY


def test_an_older_owner_is_refused(balancer: HaproxyServers) -> None:
    balancer.second().commit(CANARY, TestFence(token=8))
    with pytest.raises(FencedOut):
        balancer.driver.commit(FLIPPED, TestFence(token=7))
    assert balancer.driver.read().route == CANARY


# what a site may have that does not fit ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"balance": "first"}, "first cannot weigh"),
        ({"balance": "leastconn"}, "leastconn cannot weigh"),
        ({"balance": "static-rr"}, "static-rr cannot weigh while it runs"),
        ({"lines": "    cookie SRV insert indirect"}, "the cookie SRV keeps visitors"),
        ({"lines": "    stick-table type ip size 1k\n    stick on src"}, "`stick on src` keeps visitors"),
        ({"level": "operator"}, "has level operator"),
        ({"lines": "    server third 127.0.0.1:9 check"}, "third of shop belongs to no pool"),
    ],
    ids=lambda v: "" if isinstance(v, dict) else v.replace(" ", "-"),
)
def test_what_does_not_fit_is_found_and_named(options: dict[str, str], words: str) -> None:
    with haproxy_servers(**options) as balancer:
        assert any(words in f.detail and f.fix for f in fatal(balancer.driver)), balancer.driver.inspect()


def test_names_that_do_not_match_are_found() -> None:
    with haproxy_servers() as balancer:
        wrong = HaproxyServersBalancer(
            balancer.settings(servers={BLUE: ["blue1", "blue9"], GREEN: ["green1", "green2"]})
        )
        assert any("no server blue9" in f.detail for f in fatal(wrong))
        assert "no server blue9" in wrong.read().problem
        with pytest.raises(BalancerMisconfigured, match="blue9"):
            wrong.commit(FLIPPED, TestFence())
        elsewhere = HaproxyServersBalancer(balancer.settings(backend="nowhere"))
        assert any("no backend nowhere" in f.detail for f in fatal(elsewhere))
        with pytest.raises(BalancerMisconfigured):
            elsewhere.commit(FLIPPED, TestFence())
        assert balancer.driver.read().route == Route(BLUE, GREEN)


def test_a_state_file_that_nobody_loads_is_found() -> None:
    with haproxy_servers() as balancer:
        state = balancer.directory / "server.state"
        state.write_text("1\n")
        assert any(
            "not loaded" in f.detail for f in fatal(HaproxyServersBalancer(balancer.settings(state_path=str(state))))
        )


# the last resort ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"balance": "static-rr"}, {"level": "operator"}], ids=lambda o: next(iter(o)))
def test_where_weights_cannot_be_set_a_reload_is_the_last_resort(options: dict[str, str]) -> None:
    with haproxy_servers(**options) as balancer:
        with pytest.raises(BalancerMisconfigured, match="does not let the weights"):
            balancer.driver.commit(CANARY, TestFence())
        assert balancer.driver.read().route == Route(BLUE, GREEN)
        command = ("sh", "-c", f"haproxy -c -q -f {balancer.config} && kill -USR2 {balancer.pid}")
        driver = HaproxyServersBalancer(balancer.settings(reload=command))
        assert fatal(driver) == []
        with balancer.slow(1.5) as answer:
            until(lambda: driver.in_flight(BLUE).requests == 1)
            assert driver.commit(CANARY, TestFence()).settled
            assert 18 <= seen(balancer)[GREEN] <= 22
            assert driver.in_flight(BLUE).requests == 1  # the old worker is asked, too
            assert answer().pool == BLUE
        assert driver.commit(FLIPPED, TestFence()).settled
        assert seen(balancer, 20) == {GREEN: 20}


# by hand --------------------------------------------------------------------------------------------------------------


def test_the_way_by_hand_works_as_printed(balancer: HaproxyServers) -> None:
    need("socat")
    driver = balancer.driver
    driver.commit(CANARY, TestFence(token=5))
    for _ in range(2):  # twice is once
        done = by_hand(driver.by_hand(FLIPPED))
        assert (done.returncode, done.stderr) == (0, "")
    reading = driver.read()
    assert reading.settled, reading
    assert reading.route == FLIPPED
    assert "fence=5" in Path(driver._file.path).read_text()  # an older owner stays shut out
    assert by_hand(driver.by_hand_live(GREEN)).returncode == 0
    refused = by_hand(driver.by_hand_live(BLUE))
    assert refused.returncode == 1
    assert "STOP: blue does not have all of the traffic" in refused.stderr
    assert by_hand(driver.by_hand_health(BLUE)).returncode == 0
    with balancer.slow(2.0):
        until(lambda: driver.in_flight(GREEN).requests == 1)
        drained = by_hand(driver.by_hand_drain(GREEN, 20))
    assert drained.returncode == 0
    assert drained.stdout.splitlines()[0] == "1 in flight"
    *rest, curl = driver.by_hand_preview(BLUE)
    assert '"pool": "blue"' in by_hand([*rest, f"{curl}/"]).stdout


def test_by_hand_from_a_configuration_that_changeover_never_wrote() -> None:
    need("socat")
    with haproxy_servers(idle="disabled") as balancer:
        done = by_hand(balancer.driver.by_hand(FLIPPED))
        assert (done.returncode, done.stderr) == (0, "")
        balancer.reload()
        assert balancer.driver.read().settled
        assert seen(balancer, 10) == {GREEN: 10}


def by_hand(commands: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """As the runbook says: one shell that stops at the first command that fails."""
    return subprocess.run(
        ["bash", "-e"], input="\n".join(commands), capture_output=True, text=True, timeout=60, check=False
    )

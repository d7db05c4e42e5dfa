"""Several balancers at once, on real HAProxies: all of them or none, whoever dies, whenever."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.haproxy import Haproxy
from tests.fixtures.haproxy_servers import HaproxyServers
from tests.fixtures.memory_site import POLICY, door_to
from tests.fixtures.two_haproxies import Two, client, die, two

from changeover.core.errors import BalancerMisconfigured, BalancerUnreachable, ChangeoverError, FencedOut
from changeover.core.model import Route, RouteReading
from changeover.core.ports import Fence
from changeover.core.states import State
from changeover.drivers.balancers.haproxy_file import MapFile
from changeover.drivers.balancers.several import SeveralBalancers
from changeover.drivers.clock import SystemClock
from changeover.drivers.memory import MemoryBalancer, MemoryWorld
from changeover.service.door import Changeover
from changeover.testing.cases import BLUE, GREEN, TestFence, until

BEFORE = Route(BLUE, GREEN, mark="before")
FLIPPED = Route(GREEN, BLUE, mark="flipped")
QUICK = replace(POLICY, shift=(10_000,), bake=0.2, probes=0, smoke=0, expiry=6.0, ready_every=0.05)
CORRECTED_WITHIN = 5.0  # seconds after both can be reached


@pytest.fixture(params=["haproxy", "haproxy and haproxy-servers"])
def pair(request: pytest.FixtureRequest) -> Iterator[Two]:
    with two((Haproxy, Haproxy if request.param == "haproxy" else HaproxyServers)) as running:
        running.driver().commit(BEFORE, TestFence())
        yield running


def test_all_of_them_are_changed_and_read_back(pair: Two) -> None:
    driver = pair.driver()
    reading = driver.commit(FLIPPED, TestFence())
    assert reading.settled
    assert reading.route == FLIPPED
    assert sorted(w.partition("/")[0] for w in reading.workers) == ["a", "b"]
    assert pair.versions() == {GREEN}


def test_before_the_first_release_all_say_the_same_in_their_own_words() -> None:
    with two((Haproxy, HaproxyServers)) as pair:  # one has a mark in its map, the other never heard of marks
        driver = pair.driver()
        own = [m.read().route for m in driver.members]
        assert own[0] != own[1]
        assert driver.read().settled
        driver.members[1].commit(Route(BLUE, GREEN, 2500, mark="canary"), TestFence())
        reading = driver.read()
        assert not reading.settled
        assert "a: blue; b: blue, 25 % green" in reading.problem


def test_the_same_visitor_gets_the_same_side_at_both() -> None:
    with two() as pair:
        pair.driver().commit(Route(BLUE, GREEN, 5000, 77, mark="canary"), TestFence())
        cookies = [pair.a.get().headers["set-cookie"].partition(";")[0] for _ in range(30)]
        seen = [[one.get(headers={"cookie": c}).pool for c in cookies] for one in pair.each]
        assert seen[0] == seen[1]
        assert set(seen[0]) == {BLUE, GREEN}


def test_what_the_second_would_refuse_changes_nothing_at_the_first() -> None:
    with two() as pair:
        driver = pair.driver()
        driver.commit(BEFORE, TestFence())
        (worker,) = pair.b.workers()
        assert isinstance(pair.b, Haproxy)
        path = pair.b.layout.map_path
        MapFile(path).write("blue:green:0:0:0:newer", TestFence(token=99))
        with pytest.raises(FencedOut):
            driver.commit(FLIPPED, TestFence())
        assert driver.members[0].read().route == BEFORE
        assert worker in pair.b.workers()


@pytest.mark.parametrize("which", ["a", "b"])
def test_one_that_is_away_changes_nothing_and_is_named(pair: Two, which: str) -> None:
    driver = pair.driver()
    away = getattr(pair, which)
    away.break_control()
    with pytest.raises(BalancerUnreachable, match=rf"^{which}: ") as caught:
        driver.commit(FLIPPED, TestFence())
    assert f"{which}: does not answer" in caught.value.now
    assert pair.versions() == {BLUE}
    reading = driver.read()
    assert reading.route is None  # unknown is not blue
    assert not reading.settled
    assert driver.in_flight(BLUE).requests is None
    with pytest.raises(ChangeoverError):
        driver.counters(BLUE)
    away.mend_control()
    assert driver.commit(FLIPPED, TestFence()).settled


def test_a_way_back_does_not_wait_for_one_that_is_away(pair: Two) -> None:
    driver = pair.driver()
    driver.commit(FLIPPED, TestFence())
    home = Route(BLUE, GREEN, mark="home")
    pair.b.break_control()
    with pytest.raises(BalancerUnreachable, match=r"^b: ") as caught:
        driver.commit_reachable(home, TestFence())
    assert "a: blue; b: does not answer" in caught.value.now
    assert pair.a.get().pool == BLUE
    pair.b.mend_control()
    assert driver.commit_reachable(home, TestFence()).settled
    assert pair.versions() == {BLUE}


def test_requests_in_flight_are_those_of_both(pair: Two) -> None:
    driver = pair.driver()
    with pair.a.slow(1.5) as first, pair.b.slow(1.5) as second:
        until(lambda: driver.in_flight(BLUE).requests == 2)
        driver.commit(FLIPPED, TestFence())
        assert driver.in_flight(BLUE).requests == 2
        assert (first().pool, second().pool) == (BLUE, BLUE)
    until(lambda: driver.in_flight(BLUE).is_zero)


@pytest.mark.parametrize("which", ["a", "b"])
@pytest.mark.parametrize("nth", range(1, 14))
def test_one_dies_at_any_moment_of_a_flip(which: str, nth: int) -> None:
    """Until it is back: never a request lost at the one that lives. Afterwards: both on one version within 5 s, for good."""
    with two() as pair:
        driver = pair.driver()
        driver.commit(BEFORE, TestFence())
        dying, living = (pair.a, pair.b) if which == "a" else (pair.b, pair.a)
        with client(living.port) as visitors:
            fence = TestFence(token=2, hooks={nth: lambda: die(dying)})
            try:
                reading = driver.commit(FLIPPED, fence)
            except ChangeoverError as error:
                assert isinstance(error, BalancerUnreachable), error
                assert error.now
                now = driver.read()
                assert now.route is None
                assert f"{which}: " in now.problem
            else:
                assert reading.settled
                assert fence.checks < nth, "it died, and the commit knows nothing of it"
                return
            died = time.monotonic()
            with contextlib.suppress(ChangeoverError):
                driver.commit(FLIPPED, TestFence(token=2))  # as a run tries again
            dying._process = None
            dying.start()
            reachable = time.monotonic()
            until(lambda: _again(driver), within=CORRECTED_WITHIN)
            equal = time.monotonic()
            assert driver.read().settled
            assert pair.versions() == {GREEN}
        assert visitors.lost == []
        mixed = [r.pool for at, r in visitors.answers if at > equal]
        assert set(mixed) <= {GREEN}
        assert equal - reachable < CORRECTED_WITHIN
        assert died < reachable


def _again(driver: SeveralBalancers) -> bool:
    try:
        return driver.commit(FLIPPED, TestFence(token=2)).settled
    except ChangeoverError:
        return False


# whole releases ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "which"), [(e, w) for e in ("a staged", "b staged", "a done", "b done") for w in ("a", "b")]
)
def test_a_release_ends_with_both_on_one_version(tmp_path: Path, effect: str, which: str) -> None:
    """One dies around the flip of a release that runs on; it comes back after a while, and nobody is told."""
    with two() as pair:
        dying = pair.a if which == "a" else pair.b
        driver = pair.driver()
        told = [Told(m, m.name) for m in driver.members]
        driver = SeveralBalancers(told)  # type: ignore[arg-type]
        world = MemoryWorld()
        world.run("blue", "1.0.0")
        site = door_to(world, tmp_path, policy=QUICK, changes=()).door.site
        ports = replace(site.ports, balancer=driver, clock=SystemClock(), database=None)
        door = Changeover(replace(site, ports=ports), heartbeat=False, lease=600.0)
        died: list[float] = []

        def dies() -> None:
            if not died:
                died.append(time.monotonic())
                die(dying)

        for one in told:
            one.when[effect] = dies
        run = door.submit(door.plan("1.1.0"))
        back: list[float] = []

        def meanwhile(state: State) -> bool:
            if died and not back and time.monotonic() - died[0] > 2:
                dying._process = None
                dying.start()
                back.append(time.monotonic())
            return state is State.HELD and bool(back)

        state = door.drive(run, stop=meanwhile)
        assert died
        assert back, "it never came back in this test"
        reading = pair.driver().read()
        assert reading.settled, reading
        assert state in (State.DONE, State.HELD)
        assert len(pair.versions()) == 1


def test_a_rollback_takes_those_home_that_answer_and_the_other_one_when_it_is_back(tmp_path: Path) -> None:
    with two() as pair:
        world = MemoryWorld()
        world.run("blue", "1.0.0")
        site = door_to(world, tmp_path, policy=QUICK, changes=()).door.site
        ports = replace(site.ports, balancer=pair.driver(), clock=SystemClock(), database=None)
        door = Changeover(replace(site, ports=ports), heartbeat=False, lease=600.0)
        door.drive(door.submit(door.plan("1.1.0")))
        assert pair.versions() == {GREEN}
        die(pair.b)
        run = door.submit(door.plan_rollback())
        home: list[float] = []

        def meanwhile(_: State) -> bool:
            if not home and pair.a.get().pool == BLUE:
                home.append(time.monotonic())  # before the other one is back
                pair.b._process = None
                pair.b.start()
            return False

        assert door.drive(run, stop=meanwhile) is State.DONE
        assert home
        assert pair.driver().read().settled
        assert pair.versions() == {BLUE}


class Told:
    """A balancer that tells when it was staged and when it was done; everything else is its own."""

    def __init__(self, inner: Any, name: str) -> None:
        self.inner, self.label = inner, name
        self.when: dict[str, Callable[[], None]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def stage(self, route: Route, fence: Fence) -> None:
        self.inner.stage(route, fence)
        self._tell(route, "staged")

    def commit(self, route: Route, fence: Fence) -> RouteReading:
        found = self.inner.commit(route, fence)
        self._tell(route, "done")
        return found

    def _tell(self, route: Route, what: str) -> None:
        if route.live == GREEN and (act := self.when.get(f"{self.label} {what}")):
            act()


def test_two_of_one_name_are_refused() -> None:
    world = MemoryWorld()
    with pytest.raises(BalancerMisconfigured):
        SeveralBalancers([MemoryBalancer(world), MemoryBalancer(world)])

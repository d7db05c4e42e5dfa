"""Two real HAProxies before one site; one is killed at any moment of a release's flip, while clients of both ask on.

Nobody is told: the run goes on by itself. The one that lives loses no request; for at most 5 s after both can be reached do
they send visitors to different versions; in the end they do the same, and nothing was stopped before.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.fixtures.chaos import FULL, seed, some
from tests.fixtures.gaps import Gapped
from tests.fixtures.haproxy import Haproxy
from tests.fixtures.haproxy_servers import HaproxyServers
from tests.fixtures.memory_site import POLICY, door_to
from tests.fixtures.two_haproxies import Client, Two, client, die, two

from changeover.core.model import Route, RouteReading
from changeover.core.ports import Fence
from changeover.core.states import State
from changeover.drivers.balancers.several import SeveralBalancers
from changeover.drivers.clock import SystemClock
from changeover.drivers.memory import MemoryWorld
from changeover.service.door import Changeover
from changeover.testing.cases import BLUE, GREEN

SEED = seed()
QUICK = replace(
    POLICY, shift=(10_000,), bake=0.3, probes=0, smoke=0, expiry=60.0, ready_every=0.05, drain_soft=1.0, drain_hard=60.0
)
TWO_VERSIONS = 5.0  # seconds after both can be reached
DESIGNS = {"map": (Haproxy, Haproxy), "map and weights": (Haproxy, HaproxyServers)}
MOMENTS = range(1, 17)
EVERYTHING = [(d, w, m) for d in DESIGNS for w in "ab" for m in MOMENTS]


@dataclass
class Killing:
    """`who` dies at the `at`-th gap of the flip, and is started again after `seconds`."""

    who: Haproxy | HaproxyServers
    at: int
    seconds: float
    gaps: list[str] = field(default_factory=list)
    died: float = 0.0
    back: float = 0.0
    _starter: threading.Thread | None = None

    def point(self, name: str) -> None:
        self.gaps.append(name)
        if len(self.gaps) == self.at:
            die(self.who)
            self.died = time.monotonic()
            self._starter = threading.Thread(target=self._start)
            self._starter.start()

    def _start(self) -> None:
        time.sleep(self.seconds)  # a machine that boots
        self.who._process = None
        self.who.start()
        self.back = time.monotonic()

    def join(self) -> None:
        if self._starter is not None:
            self._starter.join()


def apart(first: Client, second: Client, since: float) -> float:
    """For how many seconds since then the clients of the two got answers of different versions."""
    answers = sorted(
        [(at, 0, r.pool) for at, r in first.answers if r.pool] + [(at, 1, r.pool) for at, r in second.answers if r.pool]
    )
    now: dict[int, str] = {}
    total, last = 0.0, since
    for at, which, pool in answers:
        if at > since and len(set(now.values())) == 2:
            total += at - max(last, since)
        now[which] = pool
        last = at
    return total


@contextlib.contextmanager
def clients(pair: Two) -> Iterator[tuple[Client, Client]]:
    with client(pair.a.port) as first, client(pair.b.port) as second:
        yield first, second


def drive(door: Changeover, run: str, killing: Killing) -> State:
    """To its end; or, if it is held, until what there is to be corrected had its time."""

    def stop(state: State) -> bool:
        return state is State.HELD and bool(killing.back) and time.monotonic() - killing.back > TWO_VERSIONS + 1

    return door.drive(run, stop=stop)


class Flipping(SeveralBalancers):
    """Tells when the flip is asked for."""

    asked: Callable[[], None]

    def commit(self, route: Route, fence: Fence) -> RouteReading:
        if route.live == GREEN:
            self.asked()
        return super().commit(route, fence)


def release(pair: Two, folder: Path, point: Callable[[str], None]) -> tuple[MemoryWorld, Changeover, str]:
    """A release of 1.1.0, submitted, with gaps wherever its first flip writes at one of the two, or is about to."""
    armed = False

    def gap(name: str) -> None:
        if armed:
            point(name)

    def asked() -> None:
        nonlocal armed
        armed = True
        gap("asked")

    world = MemoryWorld()
    world.run("blue", "1.0.0")
    site = door_to(world, folder, policy=QUICK, changes=()).door.site
    both = Flipping([Gapped(m, gap) for m in pair.driver().members])  # type: ignore[misc]
    both.asked = asked
    ports = replace(site.ports, balancer=both, clock=SystemClock(), database=None)
    door = Changeover(replace(site, ports=ports), heartbeat=False, lease=600.0)
    return world, door, door.submit(door.plan("1.1.0"))


def judged(pair: Two, folder: Path, which: str, at: int, seconds: float) -> tuple[State, Killing]:
    """One killing, judged by the clients."""
    dying, living = (pair.a, pair.b) if which == "a" else (pair.b, pair.a)
    killing = Killing(dying, at, seconds)  # type: ignore[arg-type]
    world, door, run = release(pair, folder, killing.point)
    with living.slow(6.0) as long, clients(pair) as both:
        state = drive(door, run, killing)
        killing.join()
        if killing.died:
            until_equal = time.monotonic() + TWO_VERSIONS + 1
            while time.monotonic() < until_equal and len(pair.versions(4)) > 1:
                time.sleep(0.1)
    words = f"SEED={SEED}: {killing.gaps}; {state}; the living one said: {living.log[-2000:]}"
    lives = both[0] if which == "b" else both[1]
    assert lives.answers
    assert lives.lost == [], words
    assert long().status == 200, words
    if killing.died:
        dies = both[0] if which == "a" else both[1]
        reachable = min((t for t, r in dies.answers if t > killing.died + seconds / 2 and r.status == 200), default=0.0)
        assert reachable, words
        assert apart(*both, since=reachable) <= TWO_VERSIONS, words
        assert pair.driver().read().settled, words
    assert len(pair.versions()) == 1, words
    assert [e for e in world.effects if e.startswith("stop blue")] == [], words
    return state, killing


@pytest.mark.parametrize(("design", "which", "at"), some(EVERYTHING, SEED, 11))
def test_one_is_killed_at_any_moment_of_a_flip(tmp_path: Path, design: str, which: str, at: int) -> None:
    with two(DESIGNS[design]) as pair:
        state, killing = judged(pair, tmp_path, which, at, 1.5)
        assert killing.died or len(killing.gaps) < at
        assert state is State.DONE
        assert pair.versions() == {GREEN}


@pytest.mark.skipif(not FULL, reason="each takes most of a minute: make chaos")
@pytest.mark.timeout(180)
@pytest.mark.parametrize("which", ["a", "b"])
@pytest.mark.parametrize("at", [1, 6, 11])
def test_one_that_is_away_for_long_is_corrected_while_the_run_is_held(tmp_path: Path, which: str, at: int) -> None:
    with two() as pair:
        state, killing = judged(pair, tmp_path, which, at, 36.0)
        assert killing.died
        assert state in (State.HELD, State.DONE)
        assert pair.versions() in ({BLUE}, {GREEN})

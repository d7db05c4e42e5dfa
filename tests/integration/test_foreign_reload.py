"""Somebody else reloads HAProxy while a release runs: no share is lost or reversed, and no request in flight is forgotten."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.haproxy import HaproxyProcess, haproxy
from tests.fixtures.haproxy_servers import haproxy_servers
from tests.fixtures.memory_site import POLICY, door_to
from tests.fixtures.two_haproxies import two

from changeover.core.ports import Balancer
from changeover.core.states import State
from changeover.drivers.clock import SystemClock
from changeover.drivers.memory import MemoryWorld
from changeover.service.door import Changeover
from changeover.testing.cases import BLUE, GREEN, Reply, fetch, pools_of, until

SHARE = 2500  # basis points
QUICK = replace(POLICY, shift=(SHARE, 10_000), bake=3.0, probes=0, smoke=0, ready_every=0.05, drain_hard=60.0)
SLOW = 9.0  # seconds: from the canary to the drain
LOG = "stdout format raw local0"
KINDS = ("haproxy", "haproxy-servers", "haproxy-servers with a state file", "two")


@contextmanager
def running(kind: str) -> Iterator[tuple[Balancer, Sequence[HaproxyProcess]]]:
    match kind:
        case "two":
            with two(options={"log": LOG}) as pair:
                yield pair.driver(), pair.each
        case "haproxy":
            with haproxy(log=LOG) as one:
                yield one.second(), (one,)
        case _:
            with haproxy_servers(state_file="state" in kind, logs=True) as other:
                yield other.second(), (other,)


@dataclass
class Operator:
    """Reloads every HAProxy twice in mid-canary and twice in mid-drain, and looks at what users get."""

    door: Changeover
    run: str
    balancer: Balancer
    each: Sequence[HaproxyProcess]
    drained_with: int | None = None  # requests at the old pool's instances when the drain was said to be done
    shares: list[float] = field(default_factory=list)
    visits: list[list[str]] = field(default_factory=list)
    slow: list[Reply] = field(default_factory=list)
    _did: set[str] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)

    def meanwhile(self, _: State) -> bool:
        steps = {s.key: s.action.kind for s in self.door.plan_of(self.run).steps}
        events = [(steps.get(e.step), e.kind) for e in self.door.events(self.run)]
        if ("bake", "begin") in events and "canary" not in self._did:
            self._did.add("canary")
            self._in_mid_canary()
        if ("drain", "flying") in events and "drain" not in self._did:
            self._did.add("drain")
            self._reload()
            self._reload()
        if ("drain", "done") in events and self.drained_with is None:
            self.drained_with = sum(i.in_flight for i in self.each[0].pools[BLUE])
        return False

    def _in_mid_canary(self) -> None:
        cookies = [one.get().headers.get("set-cookie", "").partition(";")[0] for one in self.each for _ in range(30)]
        for one in self.each:
            for _ in range(12):
                thread = threading.Thread(target=self._ask, args=(one.port,))
                thread.start()
                self._threads.append(thread)
        self._look(cookies)
        for _ in range(2):
            self._reload()
            self._look(cookies)

    def _ask(self, port: int) -> None:
        self.slow.append(fetch(port, f"/slow?s={SLOW}", timeout=60))

    def _look(self, cookies: Sequence[str]) -> None:
        assert self.balancer.read().settled
        fresh = pools_of([one.get() for one in self.each for _ in range(200)])
        self.shares.append(fresh[GREEN] / sum(fresh.values()))
        if self.balancer.capabilities.sticky:
            self.visits.append([one.get(headers={"cookie": c}).pool for one in self.each for c in cookies])

    def _reload(self) -> None:
        for one in self.each:
            one.reload()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(60)


def site(balancer: Balancer, folder: Path) -> tuple[MemoryWorld, Changeover]:
    world = MemoryWorld()
    world.run("blue", "1.0.0")
    made = door_to(world, folder, policy=QUICK, changes=()).door.site
    ports = replace(made.ports, balancer=balancer, clock=SystemClock(), database=None)
    return world, Changeover(replace(made, ports=ports), heartbeat=False, lease=600.0)


def account(door: Changeover, run: str) -> dict[str, Any]:
    drain = next(s.key for s in door.plan_of(run).steps if s.action.kind == "drain")
    return dict(next(e.data for e in door.events(run) if e.step == drain and e.kind == "done"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_release_that_somebody_else_reloads_twice_in_each_half(tmp_path: Path, kind: str) -> None:
    with running(kind) as (balancer, each):
        _, door = site(balancer, tmp_path)
        run = door.submit(door.plan("1.1.0"))
        operator = Operator(door, run, balancer, each)
        assert door.drive(run, stop=operator.meanwhile) is State.DONE
        operator.wait()
        assert Counter(r.status for r in operator.slow) == {200: 12 * len(each)}
        assert operator.drained_with == 0
        at_the_old = sum(1 for r in operator.slow if r.pool == BLUE)
        assert at_the_old > 0
        assert account(door, run)["account"] == {
            "finished": {"requests": at_the_old},
            "moved": {},
            "cut": {},
            "lost": 0,
        }
        assert all(abs(share - SHARE / 10_000) < 0.12 for share in operator.shares), operator.shares
        assert len({tuple(v) for v in operator.visits}) <= 1  # nobody changed sides
        assert {one.get().pool for one in each for _ in range(10)} == {GREEN}


@pytest.mark.parametrize(
    ("logs", "killed", "lost"), [(True, False, {0}), (True, True, {1}), (False, False, {0, 1}), (False, True, {1})]
)
@pytest.mark.parametrize("kind", ["haproxy", "haproxy-servers"])
def test_how_a_request_ended_whose_worker_is_gone_is_told_by_the_log_and_else_not_known(
    kind: str, logs: bool, killed: bool, lost: set[int]
) -> None:
    made = haproxy(log=LOG if logs else "") if kind == "haproxy" else haproxy_servers(logs=logs)
    with made as one, one.slow(1.5) as answer:
        until(lambda: one.driver.in_flight(BLUE).requests == 1)
        one.reload()
        (old,) = [w.pid for w in one.workers() if w.old]
        assert one.driver.in_flight(BLUE).requests == 1
        if killed:
            os.kill(old, signal.SIGKILL)
        while any(w.old for w in one.workers()):
            one.driver.in_flight(BLUE)
        assert answer().status == (0 if killed else 200)
        until(lambda: one.driver.in_flight(BLUE).lost in lost)
        flying = one.driver.in_flight(BLUE)
        assert flying.is_zero
        assert ("1 lost sight of" in flying.detail) is bool(flying.lost)

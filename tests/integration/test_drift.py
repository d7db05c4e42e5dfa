"""Somebody changes the route by hand in mid-canary: the run holds, and what was changed stays until it is put back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.fixtures.chaos import seed, some
from tests.fixtures.haproxy import Haproxy, HaproxyProcess, haproxy
from tests.fixtures.haproxy_servers import HaproxyServers, haproxy_servers
from tests.fixtures.memory_site import POLICY, door_to

from changeover.core.model import Route
from changeover.core.states import State
from changeover.drivers.clock import SystemClock
from changeover.drivers.memory import MemoryWorld
from changeover.service.door import Changeover
from changeover.testing.cases import BLUE, GREEN, until

SEED = seed()
QUICK = replace(POLICY, shift=(2500, 10_000), bake=4.0, probes=0, smoke=0, ready_every=0.05, expiry=6.0)


@dataclass
class Hand:
    """What somebody does, and how it is undone. `of` tells what is there, as bytes of the file and words of the socket."""

    do: Callable[[], None]
    undo: Callable[[], None]


def in_the_file(path: Path, old: str, new: str) -> Hand:
    before: list[str] = []

    def do() -> None:
        before.append(path.read_text())
        assert old in before[0]
        path.write_text(before[0].replace(old, new))

    return Hand(do, lambda: path.write_text(before[0]) and None)


def by_the_socket(one: HaproxyProcess, change: Route) -> Hand:
    running: list[Route] = []

    def do() -> None:
        found = one.driver.read().route
        assert found is not None
        running.append(found)
        one.change_by_hand(change)  # type: ignore[attr-defined]

    return Hand(do, lambda: one.change_by_hand(running[0]))  # type: ignore[attr-defined]


def raw(one: Haproxy, value: str) -> None:
    """Any text as the running route, on every worker."""
    for worker in one.workers():
        assert not one.master.tell(worker, f"set map {one.layout.map_path} route {value}").strip()


def map_value(one: Haproxy) -> str:
    return Path(one.layout.map_path).read_text().split("route ")[1].strip()


@contextmanager
def case(name: str) -> Iterator[tuple[HaproxyProcess, Hand]]:
    design, _, what = name.partition(": ")
    if design == "map":
        with haproxy() as one:
            path = Path(one.layout.map_path)
            hands = {
                "another share by the socket": by_the_socket(one, Route(BLUE, GREEN, 9000)),
                "nonsense by the socket": Hand(lambda: raw(one, "purple:green:0:0"), lambda: raw(one, map_value(one))),
                "another share in the file": in_the_file(path, "blue:green:2500:", "blue:green:9000:"),
                "nonsense in the file": in_the_file(path, "route blue:", "route purple:"),
            }
            yield one, hands[what]
    else:
        with haproxy_servers(state_file=design == "state file") as other:
            hands = {
                "another share by the socket": by_the_socket(other, Route(BLUE, GREEN, 5000)),
                "one server by the socket": Hand(
                    lambda: other.set("blue2", "weight 1"), lambda: other.set("blue2", "weight 3")
                ),
                "another share in the file": in_the_file(other.config, " weight 3 ", " weight 9 "),
                "one server in the file": in_the_file(
                    other.config,
                    f"server blue2 127.0.0.1:{other.pools[BLUE][1].port} weight 3",
                    "server blue2 127.0.0.1:9 weight 2",
                ),
            }
            yield other, hands[what]


def state_of(one: HaproxyProcess) -> tuple[str, str, str]:
    """What runs and what is on disk, word for word."""
    file = one.layout.map_path if isinstance(one, Haproxy) else one.config
    (worker,) = [w for w in one.workers() if not w.old]
    ask = f"get map {file} route" if isinstance(one, Haproxy) else "show servers state shop"
    words = one.master.tell(worker, ask)
    if isinstance(one, HaproxyServers):
        words = "\n".join(" ".join(line.split()[3:8]) for line in words.splitlines() if " shop " in line)
    state = one.state.read_text() if isinstance(one, HaproxyServers) and one.state is not None else ""
    return words, Path(file).read_text(), state


CASES = (
    *(
        "map: " + w
        for w in (
            "another share by the socket",
            "nonsense by the socket",
            "another share in the file",
            "nonsense in the file",
        )
    ),
    *(
        "weights: " + w
        for w in (
            "another share by the socket",
            "one server by the socket",
            "another share in the file",
            "one server in the file",
        )
    ),
    *("state file: " + w for w in ("another share by the socket", "one server by the socket")),
)


@pytest.mark.parametrize("name", some(CASES, SEED))
def test_the_run_holds_and_what_was_changed_stays(tmp_path: Path, name: str) -> None:
    with case(name) as (one, hand):
        world = MemoryWorld()
        world.run("blue", "1.0.0")
        site = door_to(world, tmp_path, policy=QUICK, changes=()).door.site
        driver = one.second()  # type: ignore[attr-defined]
        ports = replace(site.ports, balancer=driver, clock=SystemClock(), database=None)
        door = Changeover(replace(site, ports=ports), heartbeat=False, lease=600.0)
        plan = door.plan("1.1.0")
        run = door.submit(plan)
        bake = next(s.key for s in plan.steps if s.action.kind == "bake")
        changed: list[tuple[str, str, str]] = []

        def meanwhile(state: State) -> bool:
            if not changed and any(e.step == bake for e in door.events(run)):
                assert driver.read().settled
                hand.do()
                changed.append(state_of(one))
            return state is State.HELD

        assert door.drive(run, stop=meanwhile) is State.HELD, f"SEED={SEED}"
        (held,) = [e.data for e in door.events(run) if e.kind == "held"]
        assert held["code"] == "CO-0204"
        assert held["now"] == "It was left as it is."
        end = time.monotonic() + 4
        assert door.drive(run, stop=lambda _: time.monotonic() > end) is State.HELD  # while a person looks
        assert state_of(one) == changed[0]
        assert "hand" in door.status().sentence or door.status().world.route.problem
        hand.undo()
        until(lambda: driver.read().settled)
        assert door.resume().state is State.DONE
        assert driver.read().settled
        assert {one.get().pool for _ in range(10)} == {GREEN}

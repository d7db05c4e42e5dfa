"""10 websockets, 5 event streams and 50 slow requests open across a flip: each policy does what it says, and the account is true."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.haproxy import Haproxy, haproxy
from tests.fixtures.haproxy_servers import HaproxyServers, haproxy_servers
from tests.fixtures.long_lived import Clients
from tests.fixtures.memory_site import POLICY, door_to

from changeover.core.model import AtDeadline, Lasting, Leave, Linger, Policy
from changeover.core.states import State
from changeover.drivers.clock import SystemClock
from changeover.drivers.memory import MemoryWorld
from changeover.service.door import Changeover
from changeover.testing.cases import BLUE, until

WS, ES, RQ = "websockets", "event streams", "requests"
QUICK = replace(POLICY, shift=(10_000,), bake=0.1, probes=0, smoke=0, ready_every=0.05, drain_soft=1.0, drain_hard=20.0)
FOR_EVER = 25.0  # seconds; longer than any deadline here


def policy(websockets: Linger, streams: Linger, **changes: Any) -> Policy:
    return replace(QUICK, long_lived=(websockets, streams), **changes)


def linger(kind: Lasting, how: Leave, within: float = 1.0) -> Linger:
    return Linger(kind, how, within)


CASES: Mapping[str, tuple[Policy, Mapping[str, float], Mapping[str, Mapping[str, int]]]] = {
    "all wait": (
        policy(linger(Lasting.WEBSOCKETS, Leave.WAIT), linger(Lasting.EVENT_STREAMS, Leave.WAIT)),
        {WS: 4.0, ES: 4.0, RQ: 4.0},
        {"finished": {WS: 10, ES: 5, RQ: 50}},
    ),
    "signal and cut": (
        policy(linger(Lasting.WEBSOCKETS, Leave.SIGNAL, 10), linger(Lasting.EVENT_STREAMS, Leave.CUT)),
        {WS: FOR_EVER, ES: FOR_EVER, RQ: 4.0},
        {"moved": {WS: 10}, "cut": {ES: 5}, "finished": {RQ: 50}},
    ),
    "cut and wait": (
        policy(linger(Lasting.WEBSOCKETS, Leave.CUT), linger(Lasting.EVENT_STREAMS, Leave.WAIT)),
        {WS: FOR_EVER, ES: 4.0, RQ: 4.0},
        {"cut": {WS: 10}, "finished": {ES: 5, RQ: 50}},
    ),
    "everything is cut at the hard limit": (
        policy(
            linger(Lasting.WEBSOCKETS, Leave.WAIT),
            linger(Lasting.EVENT_STREAMS, Leave.WAIT),
            drain_hard=1.5,
            at_deadline=AtDeadline.CUT,
        ),
        {WS: FOR_EVER, ES: FOR_EVER, RQ: FOR_EVER},
        {"cut": {WS: 10, ES: 5, RQ: 50}},
    ),
}


def released(
    balancer: Haproxy | HaproxyServers, folder: Path, wanted: Policy, clients: Clients
) -> tuple[Changeover, str]:
    """A release of 1.1.0 with these clients connected to 1.0.0, run to its end."""
    world = MemoryWorld()
    world.run("blue", "1.0.0")
    by_name = {f"{p}-{i.number}": i for p, instances in balancer.pools.items() for i in instances}

    def hook(name: str) -> None:
        if name.startswith("after signal "):
            by_name[name.removeprefix("after signal ")].dismiss("/ws")

    world.hook = hook
    site = door_to(world, folder, policy=wanted, changes=()).door.site
    ports = replace(site.ports, balancer=balancer.second(), clock=SystemClock(), database=None)
    door = Changeover(replace(site, ports=ports), heartbeat=False, lease=600.0)
    run = door.submit(door.plan("1.1.0"))
    assert door.drive(run) is State.DONE
    clients.wait()
    return door, run


def account(door: Changeover, run: str) -> Mapping[str, Any]:
    plan = door.plan_of(run)
    step = next(s.key for s in plan.steps if s.action.kind == "drain")
    return next(e.data for e in door.events(run) if e.step == step and e.kind == "done")


@pytest.mark.parametrize("kind", ["haproxy", "haproxy-servers"])
@pytest.mark.parametrize("case", CASES)
def test_each_policy_does_what_it_says_and_the_account_is_the_clients_own(tmp_path: Path, case: str, kind: str) -> None:
    wanted, seconds, ends = CASES[case]
    with haproxy() if kind == "haproxy" else haproxy_servers() as balancer:
        clients = Clients(balancer.port)
        for what, count in ((WS, 10), (ES, 5), (RQ, 50)):
            clients.open(what, count, seconds[what])
        driver = balancer.second()
        until(lambda: driver.in_flight(BLUE).requests == 50 and driver.in_flight(BLUE).kinds == {WS: 10, ES: 5})
        door, run = released(balancer, tmp_path, wanted, clients)
        said = account(door, run)["account"]
        assert {k: dict(v) for k, v in said.items() if k != "lost" and v} == {k: dict(v) for k, v in ends.items()}
        told: dict[str, dict[str, int]] = {}
        for what, counts in clients.ended.items():
            for how, count in counts.items():
                told.setdefault(how, {})[what] = count
        assert told == {k: dict(v) for k, v in ends.items()}


def test_what_was_cut_is_named_with_instance_age_and_path(tmp_path: Path) -> None:
    wanted = policy(linger(Lasting.WEBSOCKETS, Leave.CUT, 0.5), linger(Lasting.EVENT_STREAMS, Leave.CUT, 0.5))
    with haproxy(log="stdout format raw local0") as balancer:
        clients = Clients(balancer.port)
        clients.open(WS, 1, FOR_EVER)
        clients.open(ES, 1, FOR_EVER)
        until(lambda: balancer.driver.in_flight(BLUE).kinds == {WS: 1, ES: 1})
        door, run = released(balancer, tmp_path, wanted, clients)
        closed = account(door, run)["closed"]
        assert sorted((c["kind"], c["path"]) for c in closed) == [(ES, "/events"), (WS, "/ws")]
        assert all(c["instance"].startswith("blue") and 0 <= c["age"] < 20 for c in closed)
        assert "secret" not in str([e.data for e in door.events(run)])


def test_what_waits_in_a_queue_is_in_flight() -> None:
    with haproxy_servers(lines="    default-server maxconn 1") as balancer:
        clients = Clients(balancer.port)
        clients.open(RQ, 5, 1.0)
        until(lambda: balancer.driver.in_flight(BLUE).requests == 5)
        assert balancer.driver.in_flight(BLUE).queued == 3
        clients.wait()
        until(lambda: balancer.driver.in_flight(BLUE).is_zero)
    with haproxy() as mapped:
        mapped.config.write_text(
            mapped.config.read_text().replace("default-server check", "default-server maxconn 1 check")
        )
        mapped.reload()
        clients = Clients(mapped.port)
        clients.open(RQ, 5, 1.0)
        until(lambda: mapped.driver.in_flight(BLUE).requests == 5)
        assert mapped.driver.in_flight(BLUE).queued == 3
        clients.wait()


def test_a_stream_of_http2_is_a_request() -> None:
    with haproxy() as balancer:
        bind = f"bind 127.0.0.1:{balancer.port}"
        balancer.config.write_text(balancer.config.read_text().replace(bind, f"{bind} proto h2"))
        balancer.restart()
        url = f"http://127.0.0.1:{balancer.port}/slow?s=2"
        argv = ["curl", "-sS", "--http2-prior-knowledge", url]
        clients = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        until(lambda: balancer.driver.in_flight(BLUE).requests == 2)
        assert [client.communicate(timeout=20)[0].count('"pool": "blue"') for client in clients] == [1, 1]
        until(lambda: balancer.driver.in_flight(BLUE).is_zero)

"""What a balancer may lack: found by `doctor` and by `plan`, named, and nothing is changed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.envoy import Envoy, envoy
from tests.fixtures.haproxy import Haproxy, haproxy
from tests.fixtures.haproxy_servers import HaproxyServers, haproxy_servers
from tests.fixtures.memory_site import POLICY, door_to
from tests.fixtures.unwritable import unwritable

from changeover.core.errors import BalancerMisconfigured, ChangeoverError
from changeover.core.model import Route
from changeover.core.ports import Balancer
from changeover.drivers.balancers.haproxy import HaproxyBalancer
from changeover.drivers.balancers.haproxy_servers import HaproxyServersBalancer
from changeover.drivers.clock import SystemClock
from changeover.drivers.memory import MemoryWorld
from changeover.service.door import Changeover
from changeover.testing.cases import BLUE, GREEN, TestFence


def door(balancer: Balancer, folder: Path, **policy: Any) -> Changeover:
    world = MemoryWorld()
    world.run("blue", "1.0.0")
    site = door_to(world, folder, policy=replace(POLICY, probes=0, smoke=0, **policy), changes=()).door.site
    ports = replace(site.ports, balancer=balancer, clock=SystemClock(), database=None)
    return Changeover(replace(site, ports=ports), heartbeat=False, lease=600.0)


def refused(balancer: Balancer, folder: Path, words: str, named: str = "") -> None:
    """Doctor and plan say the same, and the route is what it was."""
    asked = door(balancer, folder)
    assert any(words in f.detail and f.fix for f in asked.doctor() if not f.ok and f.fatal), asked.doctor()
    with pytest.raises(ChangeoverError, match=named or words) as caught:
        asked.plan("1.1.0")
    assert caught.value.next
    assert not (folder / "state.db").exists()


@contextmanager
def left_behind(balancer: Haproxy | HaproxyServers) -> Iterator[int]:
    """A second HAProxy on the same port, which the master knows nothing of."""
    other = balancer.directory / "other.cfg"
    lines = ["defaults", "    mode http", "    timeout client 5s", "    timeout server 5s", "    timeout connect 5s"]
    lines += ["frontend web", f"    bind 127.0.0.1:{balancer.port}", "    http-request return status 200"]
    other.write_text("\n".join(lines) + "\n")
    process = subprocess.Popen(["haproxy", "-db", "-f", str(other)])
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


def test_a_worker_that_the_master_does_not_know(tmp_path: Path) -> None:
    from changeover.testing.cases import until

    for kind in (haproxy, haproxy_servers):
        with kind() as balancer, left_behind(balancer) as pid:
            words = f"process {pid} listens on port {balancer.port}, too"
            until(lambda b=balancer, w=words: any(w in f.detail for f in b.driver.inspect()))
            refused(balancer.driver, tmp_path, words)


def test_a_socket_without_the_level_admin(tmp_path: Path) -> None:
    with haproxy(level="operator") as balancer:
        refused(balancer.driver, tmp_path, "the master socket has level operator")
    with haproxy_servers(level="operator") as site:
        refused(site.driver, tmp_path, "the master socket has level operator")


def test_a_map_file_that_is_not_there_or_has_no_route(tmp_path: Path) -> None:
    with haproxy() as balancer:
        Path(balancer.layout.map_path).write_text("# nothing\n")
        refused(balancer.driver, tmp_path, "has no entry 'route'")


@pytest.mark.parametrize("kind", [haproxy, haproxy_servers, envoy], ids=lambda kind: kind.__name__)
def test_a_map_file_that_is_not_writable(
    kind: Callable[[], AbstractContextManager[Haproxy | HaproxyServers | Envoy]], tmp_path: Path
) -> None:
    """Neither file nor balancer has a new route, whoever asked for it in spite of `doctor`."""
    with kind() as balancer:
        before = balancer.driver.commit(Route(BLUE, GREEN, mark="home"), TestFence())
        with unwritable(folder_of(balancer)):
            refused(balancer.driver, tmp_path, "not writable")
            with pytest.raises(ChangeoverError) as caught:
                balancer.driver.commit(Route(GREEN, BLUE, mark="flip"), TestFence())
            assert caught.value.next
            assert balancer.driver.read() == before
            assert {balancer.get().pool for _ in range(20)} == {BLUE}


def folder_of(balancer: Haproxy | HaproxyServers | Envoy) -> Path:
    """Where what a restart comes up with lies."""
    match balancer:
        case Haproxy():
            return Path(balancer.layout.map_path).parent
        case HaproxyServers():
            return balancer.config.parent
        case Envoy():
            return balancer.routes.parent


def test_an_algorithm_that_cannot_weigh(tmp_path: Path) -> None:
    with haproxy_servers(balance="first") as balancer:
        refused(balancer.driver, tmp_path, "first cannot weigh")


def test_names_that_do_not_match(tmp_path: Path) -> None:
    with haproxy() as balancer:
        wrong = HaproxyBalancer(balancer.settings(backends={BLUE: "app_blue", GREEN: "app_gren"}))
        refused(wrong, tmp_path, "backend app_gren is missing or empty", "app_gren")
    with haproxy_servers() as site:
        servers = {BLUE: ["blue1", "blue2"], GREEN: ["green1", "green3"]}
        refused(HaproxyServersBalancer(site.settings(servers=servers)), tmp_path, "no server green3", "green3")


def test_a_share_that_cannot_be_cut(tmp_path: Path) -> None:
    with (
        haproxy_servers() as balancer,
        pytest.raises(BalancerMisconfigured, match=r"cannot cut a share of 0.1 %: its finest is 0.39 %"),
    ):
        door(balancer.driver, tmp_path, shift=(10, 10_000)).plan("1.1.0")

"""Whole releases through a real Caddy, by the command line and the installed package's entry point, under recorded load."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

import pytest
from changeover_caddy import config
from changeover_caddy.admin import Admin
from changeover_caddy.driver import OURS
from tests.fixtures.need import need
from tests.fixtures.stage import typed, until

from changeover.core.model import Route
from changeover.core.states import ENDED, State
from changeover.demo import servers
from changeover.demo.stack import Stack, Wish

pytestmark = pytest.mark.timeout(400)


class CaddyStack(Stack):
    """The demo's shop behind a Caddy."""

    def start_balancers(self, pools: Mapping[str, Sequence[int]]) -> tuple[list[str], list[int]]:
        folder = self.folder / "caddy"
        folder.mkdir()
        (entry,) = servers.free_ports(1)
        each = [f"{pool}={','.join(f'127.0.0.1:{port}' for port in ports)}" for pool, ports in pools.items()]
        paths = {name: str(folder / name) for name in ("admin", "log", "secret")}
        argv = [
            sys.executable,
            "-m",
            "changeover_caddy.first",
            "--listen",
            f"127.0.0.1:{entry}",
            "--check-every",
            "0.2",
        ]
        argv += [word for name, path in paths.items() for word in (f"--{name}", path)]
        text = subprocess.run([*argv, *each], check=True, capture_output=True, text=True).stdout
        (folder / "caddy.json").write_text(text)
        (folder / "log").touch()
        env = {"HOME": str(folder), "PATH": "/usr/bin:/bin:/usr/local/bin"}
        process, log = self.started.start(
            "caddy-server", ["caddy", "run", "--config", str(folder / "caddy.json")], env=env
        )
        servers.wait_for(entry, process, log)
        options = "".join(f", {name}: {path}" for name, path in paths.items())
        options = f"{{ config: {folder}/caddy.json, check_every: 0.2{options} }}"
        entry_of_yaml = (
            f"{{ type: driver, driver: caddy, name: caddy, entry: 'http://127.0.0.1:{entry}', options: {options} }}"
        )
        return [entry_of_yaml], [entry]


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory, as_the_page_says: None) -> Iterator[CaddyStack]:
    need("caddy")
    folder = tmp_path_factory.mktemp("c")
    wish = Wish("caddy", "sqlite", changes="sql", bake="1s", rate=80.0)
    one = CaddyStack(folder, wish, print, servers.Started(folder))
    try:
        one.start()
        yield one
    finally:
        one.stop()


def nothing_lost(stack: Stack) -> None:
    verdict, _ = stack.judged()
    assert (verdict.failed, verdict.wrong) == (0, 0), verdict.examples[:5]
    assert verdict.requests > 500
    assert all(r.state in ENDED for r in stack.door().history())


def test_forward_back_and_forward_twice(stack: CaddyStack) -> None:
    stack.command("doctor")
    stack.release("1.1.0")
    stack.serves("1.1.0")
    stack.command("rollback", "--because", "the way back is tried", "--yes")
    stack.serves("1.0.0")
    stack.release("1.1.0")
    stack.release("1.2.0")
    stack.serves("1.2.0")
    assert len(stack.flips()) == 4
    nothing_lost(stack)


def test_a_candidate_that_breaks_goes_back_by_itself(stack: CaddyStack) -> None:
    """Its answers are counted in Caddy's access log."""
    stack.faults({"1.1.0": {"errors": 0.3}})
    stack.release("1.1.0", expect=6)
    stack.serves("1.0.0")


def test_a_flip_by_somebody_else_holds_the_run_and_stays(stack: CaddyStack) -> None:
    text = stack.config.read_text()
    stack.config.write_text(text.replace("bake: 1s", "bake: 60s"))
    run = typed(stack.config, "release", "1.1.0", "--build", "build-1.1.0", "--yes", "--wait", *stack.acks("1.1.0"))
    admin = Admin(str(stack.folder / "caddy" / "admin"))

    def share() -> int:
        return config.read_object(admin.ask("GET", OURS).body).route.share

    until(lambda: share() or not run.alive, "the share is out")
    assert run.alive, run.said()
    driver = stack.door().site.ports.balancer
    site = driver._site(driver.preview()[1][config.HEADER])
    theirs = config.route_object(Route("blue", "green", 9000, mark="theirs"), site, token=0, run="")
    assert admin.ask("PATCH", OURS, theirs).status == 200
    status, said = run.said()
    assert status == 7, said
    assert "CO-0204" in said
    assert stack.door().history()[-1].state is State.HELD
    assert share() == 9000

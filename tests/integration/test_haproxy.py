"""HAProxy's own ways to go wrong: reloads by others, old workers, kills, sleeps, foreign hands, sockets that lie."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.fixtures.haproxy import Haproxy, haproxy, settings_for
from tests.fixtures.need import need

from changeover.core.errors import BalancerMisconfigured, BalancerRefused, BalancerUnreachable
from changeover.core.model import Route
from changeover.drivers.balancers import haproxy_wire as wire
from changeover.drivers.balancers.haproxy import HaproxyBalancer
from changeover.drivers.balancers.haproxy_config import command, render
from changeover.drivers.balancers.haproxy_file import MapFile
from changeover.testing.cases import BLUE, GREEN, START, TestFence, until

FLIPPED = Route(GREEN, BLUE, mark="flipped")
THEIRS = Route(BLUE, GREEN, 500, 7, mark="theirs")


@pytest.fixture
def balancer() -> Iterator[Haproxy]:
    with haproxy() as running:
        yield running


def drafts(balancer: Haproxy) -> list[str]:
    return [path.name for path in balancer.directory.iterdir() if path.name.endswith(".draft")]


def old_workers(balancer: Haproxy) -> list[int]:
    return [w.pid for w in balancer.workers() if w.old]


# reloads by others ---------------------------------------------------------------------------------------


def test_after_a_reload_the_old_worker_follows_too(balancer: Haproxy) -> None:
    """A slow request keeps the old worker; a visitor's idle connection to it must go where everybody goes."""
    visitor = http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=10)
    with contextlib.closing(visitor), balancer.slow(1.5) as answer:
        visitor.request("GET", "/")
        first = visitor.getresponse()
        first.read()
        assert first.headers["x-pool"] == BLUE
        until(lambda: balancer.driver.in_flight(BLUE).requests == 1)
        balancer.reload()
        assert len(old_workers(balancer)) == 1
        reading = balancer.driver.commit(FLIPPED, TestFence())
        assert reading.settled
        assert len(reading.workers) == 2
        visitor.request("GET", "/")
        second = visitor.getresponse()
        second.read()
        assert second.headers["x-pool"] == GREEN
        assert balancer.driver.in_flight(BLUE).requests == 1  # carried by the old worker
        assert answer().pool == BLUE
    until(lambda: balancer.driver.in_flight(BLUE).is_zero)
    until(lambda: not old_workers(balancer))
    assert balancer.driver.read().settled


def test_a_reload_in_mid_canary_loses_no_share_and_reverses_nobody(balancer: Haproxy) -> None:
    canary = Route(BLUE, GREEN, 5000, 7, mark="canary")
    balancer.driver.commit(canary, TestFence())
    cookies = [balancer.get().headers["set-cookie"].partition(";")[0] for _ in range(40)]

    def visit() -> list[str]:
        return [balancer.get(headers={"cookie": cookie}).pool for cookie in cookies]

    before = visit()
    assert set(before) == {BLUE, GREEN}
    with balancer.slow(2.0):
        until(lambda: balancer.driver.in_flight(BLUE).requests or balancer.driver.in_flight(GREEN).requests)
        for _ in range(2):
            balancer.reload()
            reading = balancer.driver.read()
            assert reading.settled
            assert reading.route == canary
            assert len(reading.workers) >= 2
            assert visit() == before
        balancer.driver.commit(replace(canary, share=9000), TestFence())
        after = visit()
    assert [(b, a) for b, a in zip(before, after, strict=True) if (b, a) == (GREEN, BLUE)] == []


def test_a_reload_in_mid_drain_forgets_no_request(balancer: Haproxy) -> None:
    with balancer.slow(2.5) as first:
        until(lambda: balancer.driver.in_flight(BLUE).requests == 1)
        balancer.reload()
        with balancer.slow(2.5) as second:
            until(lambda: balancer.driver.in_flight(BLUE).requests == 2)  # one by each worker
            balancer.driver.commit(FLIPPED, TestFence())
            balancer.reload()
            reading = balancer.driver.read()
            assert reading.settled
            assert reading.route == FLIPPED
            assert len(reading.workers) == 3
            assert balancer.driver.in_flight(BLUE).requests == 2
            assert (first().pool, second().pool) == (BLUE, BLUE)
    until(lambda: balancer.driver.in_flight(BLUE).is_zero)


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_reload_in_the_middle_of_a_commit(balancer: Haproxy, nth: int) -> None:
    with balancer.slow(2.0):
        until(lambda: balancer.driver.in_flight(BLUE).requests == 1)
        reading = balancer.driver.commit(FLIPPED, TestFence(hooks={nth: balancer.reload}))
        assert reading.settled
        assert len(reading.workers) == 2
        assert balancer.get().pool == GREEN


def test_reads_during_reloads_are_right_or_errors(balancer: Haproxy) -> None:
    balancer.driver.commit(THEIRS, TestFence())
    for _ in range(3):
        os.kill(balancer.pid, signal.SIGUSR2)
        for _ in range(20):
            assert balancer.driver.read().route == THEIRS
            assert balancer.driver.in_flight(BLUE).is_zero


def test_a_failed_reload_leaves_what_runs_and_is_found(balancer: Haproxy) -> None:
    balancer.config.write_text(balancer.config.read_text() + "\nnonsense\n")
    os.kill(balancer.pid, signal.SIGUSR2)
    until(lambda: any(not f.ok and f.subject.endswith("reload") for f in balancer.driver.inspect()))
    assert balancer.driver.commit(FLIPPED, TestFence()).settled
    assert balancer.get().pool == GREEN


def test_counters_survive_a_reload(balancer: Haproxy) -> None:
    for _ in range(3):
        balancer.get()
    until(lambda: balancer.driver.counters(BLUE).requests == 3)
    balancer.reload()
    until(lambda: not old_workers(balancer))
    for _ in range(2):
        balancer.get()
    until(lambda: balancer.driver.counters(BLUE).requests == 5)


def test_requests_of_a_worker_that_died_are_reported(balancer: Haproxy) -> None:
    with balancer.slow(3.0) as answer:
        until(lambda: balancer.driver.in_flight(BLUE).requests == 1)
        balancer.reload()
        (old,) = old_workers(balancer)
        assert balancer.driver.in_flight(BLUE).requests == 1
        os.kill(old, signal.SIGKILL)
        assert answer().status == 0
        until(lambda: not old_workers(balancer))
    flying = balancer.driver.in_flight(BLUE)
    assert "1 lost sight of" in flying.detail


# killed, stopped and taken over ----------------------------------------------------------------------------

ACTOR = """
import json, os, signal, sys
from changeover.core.errors import FencedOut
from changeover.core.model import Route
from changeover.drivers.balancers.haproxy import HaproxyBalancer, HaproxySettings
from changeover.testing.cases import TestFence
settings, nth, how = json.loads(sys.argv[1])
fence = TestFence(token=7, hooks={nth: lambda: os.kill(os.getpid(), getattr(signal, how))})
try:
    HaproxyBalancer(HaproxySettings(**settings)).commit(Route("green", "blue", mark="flipped"), fence)
except FencedOut:
    sys.exit(7)
"""


def actor(balancer: Haproxy, nth: int, how: str) -> subprocess.Popen[bytes]:
    settings = balancer.settings()
    fields = {name: getattr(settings, name) for name in settings.__slots__}
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", ACTOR, json.dumps([{**fields, "backends": dict(settings.backends)}, nth, how])],
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'src'}"},
    )


@pytest.mark.parametrize(("nth", "durable"), [(1, START), (2, START), (3, FLIPPED)])
def test_killed_anywhere_the_next_commit_ends_in_the_same_state(balancer: Haproxy, nth: int, durable: Route) -> None:
    assert actor(balancer, nth, "SIGKILL").wait(30) == -signal.SIGKILL
    reading = balancer.driver.read()
    assert reading.route == START
    assert reading.durable == durable
    assert bool(reading.problem) is (durable != START)
    assert balancer.driver.commit(FLIPPED, TestFence(token=8)).settled
    assert balancer.get().pool == GREEN
    assert drafts(balancer) == []


def test_killed_between_file_and_memory_a_reload_finishes_it(balancer: Haproxy) -> None:
    assert actor(balancer, 3, "SIGKILL").wait(30) == -signal.SIGKILL
    balancer.reload()
    until(lambda: not old_workers(balancer))
    assert balancer.driver.read().route == FLIPPED
    assert balancer.get().pool == GREEN


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_stopped_and_taken_over_it_changes_nothing_when_it_wakes(balancer: Haproxy, nth: int) -> None:
    process = actor(balancer, nth, "SIGSTOP")
    until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, within=20)
    balancer.driver.commit(THEIRS, TestFence(token=8))  # waits for nobody
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(30) == 7
    reading = balancer.driver.read()
    assert reading.settled
    assert reading.route == THEIRS
    assert drafts(balancer) == []


@pytest.mark.parametrize("nth", [2, 3])
def test_fenced_off_it_changes_nothing_when_it_wakes(balancer: Haproxy, nth: int) -> None:
    """The new owner only commits what is there, as it is: after step 3 the file is the flipped one, and stays it."""
    process = actor(balancer, nth, "SIGSTOP")
    until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, within=20)
    before = balancer.driver.read()
    assert balancer.driver.fence_off(TestFence(token=8)) == before
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(30) == 7
    assert balancer.driver.read() == before


def test_an_owner_that_wakes_during_the_take_over_is_overwritten(balancer: Haproxy) -> None:
    """The old owner renames its file right after the new one looked: the new owner's second look sees it."""
    file = MapFile(balancer.layout.map_path)

    def old_owner_writes() -> None:
        Path(file.path).write_text("# changeover fence=7 run=r1\nroute green:blue:0:0:0:flipped\n")

    reading = balancer.driver.commit(THEIRS, TestFence(token=8, hooks={2: old_owner_writes}))
    assert reading.settled
    assert reading.durable == THEIRS


# foreign hands ---------------------------------------------------------------------------------------------


def test_fence_off_keeps_a_disagreement_and_kills_what_was_prepared(balancer: Haproxy) -> None:
    (worker,) = balancer.workers()
    path = balancer.layout.map_path
    version = wire.parse_version(balancer.master.tell(worker, wire.prepare_map(path)))
    balancer.change_by_hand(THEIRS)
    reading = balancer.driver.fence_off(TestFence(token=9))
    assert reading.route == THEIRS
    assert reading.durable == START
    assert balancer.master.tell(worker, wire.commit_map(path, version)) == "Version number out of range.\n\n"
    assert "fence=9" in Path(path).read_text()


def test_a_removed_key_is_a_problem_and_a_commit_heals_it(balancer: Haproxy) -> None:
    (worker,) = balancer.workers()
    balancer.master.tell(worker, f"del map {balancer.layout.map_path} route")
    reading = balancer.driver.read()
    assert reading.route is None
    assert "no entry" in reading.problem
    assert any(not f.ok and f.subject.endswith("route") for f in balancer.driver.inspect())
    with pytest.raises(BalancerRefused):
        balancer.driver.preview()
    assert balancer.driver.commit(FLIPPED, TestFence()).settled


@pytest.mark.parametrize(
    "value", ["purple:green:0:0", "blue", "blue:green:x:0", "blue:green:10000:0", "blue:green:-1:0"]
)
def test_a_value_that_is_no_route_is_a_problem(balancer: Haproxy, value: str) -> None:
    (worker,) = balancer.workers()
    balancer.master.tell(worker, f"set map {balancer.layout.map_path} route {value}")
    reading = balancer.driver.read()
    assert reading.route is None
    assert not reading.settled
    assert "holds no route" in reading.problem


def test_a_second_entry_is_found_and_a_commit_removes_it(balancer: Haproxy) -> None:
    (worker,) = balancer.workers()
    path = balancer.layout.map_path
    balancer.master.tell(worker, f"add map {path} route green:blue:0:0:0:twice")
    assert any(not f.ok and f.subject.endswith("route") for f in balancer.driver.inspect())
    balancer.driver.commit(FLIPPED, TestFence())
    assert wire.parse_entries(balancer.master.tell(worker, wire.show_map(path))) == (
        ("route", "green:blue:0:0:0:flipped"),
    )


def test_an_edited_file_is_drift(balancer: Haproxy) -> None:
    Path(balancer.layout.map_path).write_text("route green:blue:0:0:0:hand\n")
    reading = balancer.driver.read()
    assert not reading.settled
    assert "a restart would come up with green:blue:0:0:0:hand" in reading.problem
    Path(balancer.layout.map_path).unlink()
    assert "cannot be read" in balancer.driver.read().problem
    assert balancer.driver.commit(FLIPPED, TestFence()).settled


def test_a_full_disk_changes_nothing(balancer: Haproxy) -> None:
    """No file may grow: as when no block is left."""
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n" + ACTOR.replace(
        "except FencedOut:\n    sys.exit(7)", "except Exception as error:\n    sys.exit(type(error).__name__)"
    )
    settings = balancer.settings()
    fields = {name: getattr(settings, name) for name in settings.__slots__}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps([{**fields, "backends": dict(settings.backends)}, 99, "SIGKILL"])],
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'src'}"},
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr.strip() == "BalancerRefused"
    assert balancer.driver.read().route == START
    assert balancer.driver.read().settled
    assert drafts(balancer) == []


def test_the_way_by_hand_works_as_printed(balancer: Haproxy) -> None:
    need("socat")
    balancer.driver.commit(THEIRS, TestFence(token=5))
    for _ in range(2):  # twice is once
        done = by_hand(balancer.driver.by_hand(FLIPPED))
        assert (done.returncode, done.stderr) == (0, "")
        assert 'value="green:blue:0:0:0:flipped"' in done.stdout
    reading = balancer.driver.read()
    assert reading.settled
    assert reading.route == FLIPPED
    assert "fence=5" in Path(balancer.layout.map_path).read_text()  # an older owner stays shut out
    with balancer.slow(2.0):
        until(lambda: balancer.driver.in_flight(GREEN).requests == 1)
        drained = by_hand(balancer.driver.by_hand_drain(GREEN, 20))
    said = drained.stdout.splitlines()
    assert drained.returncode == 0
    assert said[0] == "1 in flight"
    assert said[-2:] == ["0 in flight", "0 in flight"]


def test_checks_by_hand_tell_good_from_bad(balancer: Haproxy) -> None:
    need("socat")
    driver = balancer.driver
    driver.commit(START, TestFence())
    assert by_hand(driver.by_hand_live(BLUE)).returncode == 0
    refused = by_hand(driver.by_hand_live(GREEN))
    assert refused.returncode == 1
    assert "STOP: green does not have all of the traffic" in refused.stderr
    driver.commit(Route(BLUE, GREEN, 100, expires=4_000_000_000), TestFence())
    assert by_hand(driver.by_hand_live(BLUE)).returncode != 0  # not everything
    assert by_hand(driver.by_hand_health(BLUE)).returncode == 0


def test_by_hand_a_balancer_that_does_not_answer_stops_the_person(balancer: Haproxy) -> None:
    need("socat")
    balancer.driver.commit(START, TestFence())
    silent = HaproxyBalancer(replace(balancer.driver.settings, socket=f"{balancer.layout.master_socket}.not"))
    assert by_hand(silent.by_hand(START)).returncode != 0
    assert by_hand(silent.by_hand_live(BLUE)).returncode != 0
    drain = by_hand(silent.by_hand_drain(BLUE, 1))
    assert drain.returncode == 1
    assert "STOP: blue still has requests in flight, or HAProxy does not answer" in drain.stderr


def by_hand(commands: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """As the runbook says: one shell that stops at the first command that fails."""
    return subprocess.run(
        ["bash", "-e"], input="\n".join(commands), capture_output=True, text=True, timeout=60, check=False
    )


# long-lived ------------------------------------------------------------------------------------------------


def test_websockets_are_counted_apart_and_can_be_cut(balancer: Haproxy) -> None:
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(websocket(balancer.port)) for _ in range(2)]
        until(lambda: balancer.driver.in_flight(BLUE).long_lived == 2)
        assert balancer.driver.in_flight(BLUE).requests == 0
        assert not balancer.driver.in_flight(BLUE).is_zero
        balancer.driver.commit(FLIPPED, TestFence())
        assert balancer.driver.in_flight(BLUE).long_lived == 2  # a flip does not end them
        need("socat")
        drain = by_hand(balancer.driver.by_hand_drain(BLUE, 1))
        assert drain.returncode == 1
        assert drain.stdout == "2 in flight\n"
        assert balancer.driver.cut(BLUE, TestFence()) == 2
        until(lambda: balancer.driver.in_flight(BLUE).is_zero)
        assert [line.recv(1) for line in lines] == [b"", b""]


@contextlib.contextmanager
def websocket(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(
            b"GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += line.recv(4096)
        assert head.startswith(b"HTTP/1.1 101")
        yield line


# errors of the version and of the way to it -------------------------------------------------------------------


def test_answers_of_the_version_and_of_the_balancer_are_told_apart(balancer: Haproxy) -> None:
    for instance in balancer.pools[BLUE]:
        instance.fail_with = 500
    assert [balancer.get().status for _ in range(3)] == [500] * 3
    until(lambda: balancer.driver.counters(BLUE).errors_5xx == 3)
    assert balancer.driver.counters(BLUE).failed == 0
    with balancer.slow(20) as answer:
        until(lambda: balancer.driver.in_flight(BLUE).requests == 1)
        balancer.kill(BLUE)
        assert answer().status == 502
    until(lambda: balancer.driver.counters(BLUE).failed == 1)
    assert balancer.driver.counters(BLUE).errors_5xx == 3


# sockets that lie ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def fake_master(path: Path, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    """A master socket that answers as it likes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(16)
        listener.settimeout(0.05)
        ended = threading.Event()

        def serve() -> None:
            held = []
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    line, _ = listener.accept()
                    held.append(line)
                    with contextlib.suppress(OSError):
                        answer(line)
            for line in held:
                line.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def say(text: str) -> Callable[[socket.socket], None]:
    def answer(line: socket.socket) -> None:
        line.settimeout(1)
        while line.recv(4096):
            pass
        line.sendall(text.encode())
        line.close()

    return answer


def hang(_: socket.socket) -> None:
    """Neither answers nor closes."""


PROC = "#<PID> <type> <reloads> <uptime> <version>\n1 master 0 [failed: 0] 0d 2.6\n# workers\n{} worker 0 0d 2.6\n# programs\n\n"
LIES = {
    "hangs": hang,
    "closes": say(""),
    "half a line": say("#<PID>   <type"),
    "half a table": say(PROC.format(12).split("# programs", maxsplit=1)[0]),
    "garbage": say("\x00\xff" * 50 + "\n\n"),
    "no workers": say("#<PID> <type>\n1 master 0\n# workers\n\n"),
    "no permission": say("Permission denied\n\n"),
    "only what every worker answers": say(PROC.format(12)),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_socket_that_lies_is_never_zero_and_nothing_is_written(tmp_path: Path, lie: str) -> None:
    (tmp_path / "route.map").write_text("route blue:green:0:0:0:start\n")
    with fake_master(tmp_path / "m.sock", LIES[lie]):
        driver = HaproxyBalancer(settings_for(tmp_path, timeout=0.3))
        flying = driver.in_flight(BLUE)
        assert flying.requests is None
        assert flying.detail
        errors = (BalancerUnreachable, BalancerRefused, BalancerMisconfigured)
        for ask in (lambda: driver.health(BLUE), lambda: driver.counters(BLUE), lambda: driver.cut(BLUE, TestFence())):
            with pytest.raises(errors):
                ask()
        with pytest.raises(errors):
            driver.commit(FLIPPED, TestFence())
        assert any(not f.ok and f.fatal for f in driver.inspect())
    assert (tmp_path / "route.map").read_text() == "route blue:green:0:0:0:start\n"


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left_behind:
        left_behind.bind(str(tmp_path / "m.sock"))
    driver = HaproxyBalancer(settings_for(tmp_path))
    with pytest.raises(BalancerUnreachable, match="refuses"):
        driver.read()


@pytest.mark.parametrize("level", ["user", "operator"])
def test_a_socket_without_the_level_admin_is_found(level: str) -> None:
    with haproxy(level=level) as balancer:
        assert any(not f.ok and f.fatal and f"level {level}" in f.detail for f in balancer.driver.inspect())
        assert balancer.driver.read().route == START


def test_a_frozen_worker_is_unknown_not_zero(balancer: Haproxy) -> None:
    (worker,) = balancer.workers()
    driver = HaproxyBalancer(balancer.settings(timeout=0.5))
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        assert driver.in_flight(BLUE).requests is None
        reading = driver.read()
        assert reading.route is None
        assert "did not answer" in reading.problem
        with pytest.raises(BalancerUnreachable):
            driver.commit(FLIPPED, TestFence())
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    until(lambda: balancer.driver.read().settled)
    assert balancer.driver.read().route == START


def test_another_backend_or_map_is_misconfigured(balancer: Haproxy) -> None:
    wrong = HaproxyBalancer(balancer.settings(backends={BLUE: "app_blue", GREEN: "elsewhere"}))
    with pytest.raises(BalancerMisconfigured):
        wrong.health(GREEN)
    assert any(not f.ok and "elsewhere" in f.detail for f in wrong.inspect())
    wrong = HaproxyBalancer(balancer.settings(map_path=f"{balancer.directory}/other.map"))
    with pytest.raises(BalancerMisconfigured):
        wrong.commit(FLIPPED, TestFence())
    assert not Path(f"{balancer.directory}/other.map").exists()


def test_a_short_or_missing_preview_secret_is_refused(balancer: Haproxy) -> None:
    Path(balancer.layout.preview_map_path).write_text("short green\n")
    with pytest.raises(BalancerMisconfigured, match="secret") as caught:
        balancer.driver.preview()
    assert "short" not in str(caught.value)
    Path(balancer.layout.preview_map_path).unlink()
    with pytest.raises(BalancerMisconfigured, match="cannot be read"):
        balancer.driver.preview()


# the configuration ------------------------------------------------------------------------------------------


def test_every_option_of_the_configuration_is_accepted(balancer: Haproxy) -> None:
    layout = replace(
        balancer.layout,
        spare=2,
        secure_cookie=True,
        log="stdout format raw local0",
        state_file=f"{balancer.directory}/server.state",
    )
    Path(layout.state_file).write_text("1\n")
    balancer.config.write_text(render(layout))
    done = subprocess.run(
        command(layout, str(balancer.config), check=True), capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr

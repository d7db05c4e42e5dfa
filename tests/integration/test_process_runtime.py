"""Detached processes through crashes: never two on a slot, none lost, none signalled that is not ours."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.fixtures.ports import free_port
from tests.fixtures.runtimes import APP, Processes, app_pids, runtime_under_test

from changeover.core.errors import ChangeoverError, FencedOut, InstanceUnmanageable, ToolMissing
from changeover.core.model import Process, Version
from changeover.testing.cases import TestFence, until

STARTER = Path(__file__).parents[1] / "fixtures" / "starter.py"
V1, V2 = Version("1.0.0"), Version("1.1.0")


@pytest.fixture
def under() -> Iterator[Processes]:
    with runtime_under_test("process") as runtime:
        yield runtime


def start(under: Processes, *options: str, version: Version = V1) -> str:
    """Start and wait until it is ready; returns what names the start."""
    under.told(*options).start(under.slot, version, "b1", TestFence())
    return proven(under, version)


def proven(under: Processes, version: Version = V1) -> str:
    until(lambda: under.runtime.observe(under.slot).proves(version, "b1"))
    return under.runtime.observe(under.slot).started


def process(under: Processes) -> Process:
    return under.runtime.observe(under.slot).process


def record(under: Processes) -> Path:
    return file(under, "json")


def file(under: Processes, kind: str) -> Path:
    return under.directory / "state" / f"blue-1@{under.slot.port}.{kind}"


@contextlib.contextmanager
def starter(under: Processes, act: str = "start", fence: int = 1, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has everything imported and acts as soon as it gets a line."""
    words = [str(STARTER), str(under.directory), str(under.slot.port), str(under.witness), str(fence), act, *options]
    with subprocess.Popen(
        [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def go(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


@contextlib.contextmanager
def bystander(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is not ours."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            yield child
        finally:
            child.kill()


# crashes of the tool -----------------------------------------------------------------------------------


@pytest.mark.parametrize("descendants", [False, True], ids=["starter", "starter-and-launcher"])
def test_whenever_the_starter_is_killed_exactly_one_instance_runs_after_the_resume(
    under: Processes, descendants: bool
) -> None:
    """20 SIGKILLs at seeded moments. The instances' own start log is the witness."""
    seed = int(os.environ.get("SEED", "20251123"))
    print(f"seed {seed}")
    chance = random.Random(seed)
    for n in range(1, 11):
        before = len(under.starts())
        with starter(under) as child:
            go(child)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(chance.uniform(0.0, 0.2))
            children = psutil.Process(child.pid).children(recursive=True) if descendants else []
            child.kill()
            for launcher in children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    launcher.kill()
        under.runtime.start(under.slot, V1, "b1", TestFence(token=2))
        proven(under)
        alive = app_pids(under.slot.port)
        assert len(alive) == 1, f"round {n}, seed {seed}: {alive}"
        begun = under.starts()[before:]
        assert begun[-1] == alive[0]
        assert len(begun) <= (2 if descendants else 1), f"round {n}, seed {seed}: {begun}"
        under.runtime.stop(under.slot, TestFence(token=2))
        assert app_pids(under.slot.port) == []
        file(under, "lock").unlink()  # the next round begins with fence 1 again


@pytest.mark.parametrize("check", [1, 2])
@pytest.mark.parametrize("act", ["start", "stop"])
def test_killed_right_before_each_effect_the_act_can_be_done_again(under: Processes, act: str, check: int) -> None:
    if act == "stop":
        start(under)
    with starter(under, act, 1, "--die-at", str(check)) as child:
        go(child)
        assert child.wait(10) == -signal.SIGKILL
    under.runtime.start(under.slot, V1, "b1", TestFence(token=2))  # the run goes on, or back
    proven(under)
    assert len(under.starts()) == 1
    under.runtime.stop(under.slot, TestFence(token=2))
    assert process(under) is Process.STOPPED


def test_while_a_launcher_of_a_dead_starter_lives_nobody_else_starts(under: Processes) -> None:
    """The gap that no record can cover: the starter is dead, its launcher has not yet written anything."""
    with starter(under) as child:
        go(child)
        launchers: list[psutil.Process] = []
        until(lambda: launchers.extend(psutil.Process(child.pid).children()) or launchers, every=0.0005)
        launchers[0].suspend()
        child.kill()
    try:
        with pytest.raises(InstanceUnmanageable, match="is acting on blue-1"):
            under.runtime.start(under.slot, V1, "b1", TestFence(token=2))
        assert under.starts() == []
    finally:
        launchers[0].resume()
    under.runtime.start(under.slot, V1, "b1", TestFence(token=2))
    proven(under)
    assert len(under.starts()) == 1


def test_two_starters_at_once_start_one(under: Processes) -> None:
    with ThreadPoolExecutor(4) as many:
        list(many.map(lambda _: under.runtime.start(under.slot, V1, "b1", TestFence()), range(4)))
    proven(under)
    assert len(under.starts()) == 1


def test_a_suspended_actor_is_named_and_acts_no_more_when_it_wakes_up(under: Processes) -> None:
    with starter(under, "start", 1, "--suspend-at", "1") as zombie:
        go(zombie)
        until(lambda: psutil.Process(zombie.pid).status() == psutil.STATUS_STOPPED)
        with pytest.raises(InstanceUnmanageable, match="suspended") as told:
            under.runtime.start(under.slot, V1, "b1", TestFence(token=2))
        assert any(str(zombie.pid) in step for step in told.value.next)
        assert under.starts() == []
        os.kill(zombie.pid, signal.SIGCONT)
        assert zombie.stdout is not None
        assert zombie.stdout.readline().startswith("done")
        proven(under)
    under.runtime.stop(under.slot, TestFence(token=2))
    with starter(under, "start", 1) as stale:
        go(stale)
        assert stale.wait(10) != 0
    assert len(under.starts()) == 1


def test_the_lock_is_free_once_the_instance_runs(under: Processes) -> None:
    with starter(under) as child:
        go(child)
        assert child.stdout is not None
        assert child.stdout.readline().startswith("done")
        proven(under)
        under.runtime.stop(under.slot, TestFence(token=2))  # the starter lives and holds nothing
    assert process(under) is Process.STOPPED


# survival ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_hand", [False, True], ids=["started", "by-hand"])
def test_it_survives_the_closing_of_the_terminal(under: Processes, by_hand: bool) -> None:
    master, slave = pty.openpty()
    if by_hand:
        lines = "\n".join((*under.runtime.by_hand_start(under.slot, V1, "b1"), "cat >/dev/null"))
        command = ["bash", "-c", lines]
    else:
        words = [str(STARTER), str(under.directory), str(under.slot.port), str(under.witness), "1", "start"]
        command = [sys.executable, *words]
    with subprocess.Popen(["setsid", "-c", *command], stdin=slave, stdout=slave, stderr=slave) as shell:
        os.close(slave)
        os.write(master, b"\n")
        born = proven(under)
        os.close(master)  # the terminal is gone: SIGHUP
        assert shell.wait(10) != 0
    assert proven(under) == born
    assert len(app_pids(under.slot.port)) == 1


def test_it_leads_a_session_and_leaves_no_zombie(under: Processes) -> None:
    start(under)
    (pid,) = app_pids(under.slot.port)
    assert os.getsid(pid) == pid
    under.kill()
    assert process(under) is Process.STOPPED
    assert all(p.status() != psutil.STATUS_ZOMBIE for p in psutil.Process().children())


def test_it_gets_its_own_environment_and_nothing_of_ours(under: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", "of the pipeline")
    runtime = under.changed(
        env={"DATABASE_URL": "${env:SHOP_URL}", "LISTEN": "{port}"},
        resolve=lambda text: text.replace("${env:SHOP_URL}", "postgresql://shop:s3cret@db/shop"),
    )
    runtime.start(under.slot, V1, "b1", TestFence())
    proven(under)
    names = "env=DATABASE_URL&env=LISTEN&env=ADMIN_PASSWORD&env=CHANGEOVER_VERSION&env=CHANGEOVER_SLOT"
    with urllib.request.urlopen(f"http://{under.slot.address}/version?{names}", timeout=5) as answer:
        env = json.load(answer)["env"]
    assert env == {
        "DATABASE_URL": "postgresql://shop:s3cret@db/shop",
        "LISTEN": str(under.slot.port),
        "ADMIN_PASSWORD": None,
        "CHANGEOVER_VERSION": "1.0.0",
        "CHANGEOVER_SLOT": f"shop/blue-1@{under.slot.port}",
    }
    kept = b"".join(p.read_bytes() for p in (under.directory / "state").iterdir())
    assert b"s3cret" not in kept
    assert "s3cret" not in "".join(runtime.by_hand_start(under.slot, V1, "b1"))


def test_its_output_is_appended_to_its_log(under: Processes) -> None:
    for version in (V1, V2):
        start(under, version=version)
        under.runtime.stop(under.slot, TestFence())
    log = Path(under.runtime.log_of(under.slot)).read_text()
    assert "v1.0.0 listens" in log
    assert "v1.1.0 listens" in log


# finding again -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage", ["", "{", '{"pid": 1}', "\x00" * 40, "gone"], ids=["empty", "half", "lacks", "zeros", "gone"]
)
def test_without_its_record_it_is_found_by_its_mark(under: Processes, damage: str) -> None:
    born = start(under)
    if damage == "gone":
        record(under).unlink()
    else:
        record(under).write_text(damage)
    assert proven(under) == born
    under.runtime.start(under.slot, V1, "b1", TestFence())
    with pytest.raises(InstanceUnmanageable):
        under.runtime.start(under.slot, V2, "b1", TestFence())
    assert len(under.starts()) == 1
    under.runtime.stop(under.slot, TestFence())
    assert process(under) is Process.STOPPED


def test_a_pid_that_was_used_again_is_never_touched(under: Processes) -> None:
    start(under)
    under.kill()
    facts = json.loads(record(under).read_text())
    with bystander("sleep", "60") as innocent:
        record(under).write_text(json.dumps({**facts, "pid": innocent.pid}))
        assert process(under) is Process.STOPPED
        under.runtime.stop(under.slot, TestFence())
        assert innocent.poll() is None


def test_a_record_of_another_boot_counts_for_nothing(under: Processes) -> None:
    start(under)
    facts = json.loads(record(under).read_text())
    record(under).write_text(json.dumps({**facts, "boot": "another"}))
    proven(under)  # by its mark
    under.kill()
    seen = under.runtime.observe(under.slot)
    assert seen.process is Process.STOPPED
    assert "restarted" in seen.note


def test_an_instance_of_another_application_is_not_ours(under: Processes) -> None:
    start(under)
    other = under.changed(app="library", state=under.directory / "other")
    assert other.observe(under.slot).process is Process.UNKNOWN
    with pytest.raises(InstanceUnmanageable):
        other.stop(under.slot, TestFence())
    with pytest.raises(InstanceUnmanageable):
        other.start(under.slot, V1, "b1", TestFence())
    proven(under)


def test_environments_that_share_a_directory_do_not_touch_each_other(under: Processes) -> None:
    """Two overlays of one configuration: the same application, the same names of slots, other ports."""
    born = start(under)
    slot = replace(under.slot, port=free_port())
    staging = under.changed(pools={"blue": (slot,)})
    assert staging.observe(slot).process is Process.STOPPED
    staging.stop(slot, TestFence(token=99))
    staging.start(slot, V2, "b1", TestFence(token=99))
    try:
        until(lambda: staging.observe(slot).proves(V2))
        assert proven(under) == born
    finally:
        staging.stop(slot, TestFence(token=99))
    assert proven(under) == born
    under.runtime.stop(under.slot, TestFence())


@pytest.mark.parametrize("mark", ["library/blue-1@8001", ""])
def test_a_record_of_another_application_counts_for_nothing(under: Processes, mark: str) -> None:
    start(under)
    facts = json.loads(record(under).read_text())
    under.kill()
    with bystander("sleep", "60") as innocent:
        ticks = int(Path(f"/proc/{innocent.pid}/stat").read_text().rpartition(")")[2].split()[19])
        record(under).write_text(json.dumps({**facts, "pid": innocent.pid, "ticks": ticks, "mark": mark}))
        assert process(under) is Process.STOPPED
        under.runtime.stop(under.slot, TestFence())
        assert innocent.poll() is None


def test_one_that_lost_its_port_to_another_proves_nothing(under: Processes) -> None:
    """Ours lives, but somebody else answers: a proof of readiness would be the other's."""
    start(under)
    silent = under.changed(
        command=(sys.executable, "-c", "import time; time.sleep(60)", str(under.directory)),
        app="library",
        state=under.directory / "other",
    )
    under.kill()
    silent.start(under.slot, V1, "b1", TestFence())
    try:
        words = ("--version", "1.0.0", "--build", "b1", "--port", str(under.slot.port))
        with bystander(sys.executable, str(APP), *words) as impostor:
            until(lambda: "answers on the port" in silent.observe(under.slot).note)
            seen = silent.observe(under.slot)
            assert seen.process is Process.RUNNING
            assert not seen.proves(V1)
            assert str(impostor.pid) in seen.note
    finally:
        silent.stop(under.slot, TestFence())


def test_why_it_is_stopped_is_told(under: Processes) -> None:
    start(under)
    under.kill()
    assert "ended by itself" in under.runtime.observe(under.slot).note
    start(under)
    under.runtime.stop(under.slot, TestFence())
    assert "on purpose" in under.runtime.observe(under.slot).note


# what cannot be started --------------------------------------------------------------------------------


@pytest.mark.parametrize("program", ["no-such-program", "./no-such-program", "/etc/passwd"])
def test_a_program_that_is_not_there_is_named(under: Processes, program: str) -> None:
    with pytest.raises(ToolMissing, match=program.replace(".", r"\.")):
        under.changed(command=(program, "{port}")).start(under.slot, V1, "b1", TestFence())
    assert not record(under).exists()
    assert process(under) is Process.STOPPED
    start(under)


def test_a_directory_that_is_not_there_is_told(under: Processes) -> None:
    runtime = under.changed(directory=under.directory / "nowhere")
    with pytest.raises(ChangeoverError, match="nowhere"):
        runtime.start(under.slot, V1, "b1", TestFence())
    assert [f.subject for f in runtime.inspect() if not f.ok] == ["instances: directory"]


def test_a_log_that_cannot_be_written_is_told(under: Processes) -> None:
    (under.directory / "file").write_text("")
    with pytest.raises(InstanceUnmanageable, match="log"):
        under.changed(logs=under.directory / "file").start(under.slot, V1, "b1", TestFence())
    assert under.starts() == []


def test_a_damaged_lock_is_never_ignored(under: Processes) -> None:
    start(under)
    file(under, "lock").write_text("not json")
    with pytest.raises(InstanceUnmanageable, match="damaged"):
        under.runtime.stop(under.slot, TestFence())
    proven(under)


# stopping ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [("--workers", "2"), ("--workers", "2", "--stubborn-workers")])
def test_workers_are_gone_too(under: Processes, options: tuple[str, ...]) -> None:
    start(under, *options)
    assert len(app_pids(under.slot.port)) == 3
    under.runtime.stop(under.slot, TestFence())
    assert app_pids(under.slot.port) == []


def test_workers_that_outlive_their_main_process_are_not_stopped(under: Processes) -> None:
    started = start(under, "--workers", "1", "--stubborn-workers")
    os.kill(int(started.split("@")[0]), signal.SIGKILL)
    until(lambda: under.runtime.observe(under.slot).started != started)
    assert process(under) is Process.RUNNING
    assert not under.runtime.observe(under.slot).ready
    under.runtime.stop(under.slot, TestFence())
    assert app_pids(under.slot.port) == []


def test_a_suspended_instance_is_told_as_that(under: Processes) -> None:
    started = start(under)
    pid = int(started.split("@")[0])
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(InstanceUnmanageable) as told:
        under.changed(stop_within=0.3).stop(under.slot, TestFence())
    assert "suspended" in told.value.now
    with pytest.raises(InstanceUnmanageable, match="asked to end"):
        under.changed_checks(0.3).start(under.slot, V1, "b1", TestFence())
    os.kill(pid, signal.SIGCONT)
    until(lambda: process(under) is Process.STOPPED)
    under.runtime.stop(under.slot, TestFence())
    start(under)


def test_one_that_was_marked_but_not_yet_asked_to_end_can_stay(under: Processes) -> None:
    """Killed between the mark and the signal, then the run goes back: the old version must be allowed to serve."""
    born = start(under)
    with starter(under, "stop", 1, "--die-at", "2") as child:
        go(child)
        assert child.wait(10) == -signal.SIGKILL
    disabled = file(under, "disabled")
    assert disabled.exists()
    under.runtime.start(under.slot, V1, "b1", TestFence(token=2))
    assert not disabled.exists()
    assert proven(under) == born


def test_who_is_taken_over_while_it_waits_stops_waiting(under: Processes) -> None:
    start(under, "--ignore-term")
    fence = TestFence()
    runtime = under.changed(stop_within=60.0)
    failures: list[BaseException] = []

    def stop() -> None:
        try:
            runtime.stop(under.slot, fence)
        except FencedOut as error:
            failures.append(error)

    waiting = threading.Thread(target=stop)
    began = time.monotonic()
    waiting.start()
    until(lambda: fence.checks > 5)
    fence.lost = True
    waiting.join(10)
    assert failures, f"still waiting after {time.monotonic() - began:.1f} s"
    proven(under)

"""What every runtime driver must do, on the reference in memory, on detached processes and on the user's commands."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from tests.fixtures.instances import Instance as Stranger
from tests.fixtures.runtimes import runtime_under_test

from changeover.core.errors import FencedOut, InstanceUnmanageable
from changeover.core.model import Identity, Process, Version
from changeover.testing.cases import TestFence, until

V1, V2 = Version("1.0.0"), Version("1.1.0")


@pytest.fixture(params=["memory", "process", "command"])
def under(request: pytest.FixtureRequest) -> Iterator[Any]:
    with runtime_under_test(request.param) as runtime:
        yield runtime


@pytest.fixture
def real(under: Any) -> Any:
    if not under.real:
        pytest.skip("the memory runtime has no processes, ports or shell")
    return under


def ready(under: Any, version: Version = V1, build: str = "b1") -> str:
    """Wait until the slot proves the version; returns what names this start."""
    until(lambda: under.runtime.observe(under.slot).proves(version, build))
    return str(under.runtime.observe(under.slot).started)


def bash(lines: Sequence[str]) -> int:
    """Run the commands as a person would; the status of the first that fails."""
    return subprocess.run(
        ["bash", "-e", "-c", "\n".join(lines)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=30,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/"},
    ).returncode


# looking -----------------------------------------------------------------------------------------------


def test_where_nothing_runs_it_is_stopped(under: Any) -> None:
    seen = under.runtime.observe(under.slot)
    assert seen.process is Process.STOPPED
    assert not seen.ready
    assert seen.identity is None
    assert seen.note


def test_slots_are_numbered_from_one(under: Any) -> None:
    slots = under.runtime.slots("blue")
    assert [s.number for s in slots] == list(range(1, len(slots) + 1))
    assert under.slot in slots


def test_inspection_finds_nothing_wrong(under: Any) -> None:
    assert [f for f in under.runtime.inspect() if not f.ok] == []


def test_an_instance_that_never_gets_ready_runs_but_proves_nothing(under: Any) -> None:
    runtime = under.told("--never-ready")
    runtime.start(under.slot, V1, "b1", TestFence())
    until(lambda: runtime.observe(under.slot).identity is not None)
    seen = runtime.observe(under.slot)
    assert seen.process is Process.RUNNING
    assert not seen.ready
    assert seen.note
    assert not seen.proves(V1)


def test_an_instance_that_needs_time_gets_ready(real: Any) -> None:
    runtime = real.told("--delay-ready", "0.3")
    runtime.start(real.slot, V1, "b1", TestFence())
    until(lambda: runtime.observe(real.slot).identity is not None)
    until(lambda: runtime.observe(real.slot).proves(V1, "b1"))


def test_an_instance_that_says_another_version_is_told_as_that(real: Any) -> None:
    runtime = real.told("--version", "0.9.0")
    runtime.start(real.slot, V1, "b1", TestFence())
    until(lambda: runtime.observe(real.slot).ready)
    seen = runtime.observe(real.slot)
    assert seen.identity == Identity(Version("0.9.0"), "b1")
    assert not seen.proves(V1)


def test_a_dead_instance_is_stopped(under: Any) -> None:
    under.runtime.start(under.slot, V1, "b1", TestFence())
    ready(under)
    under.kill()
    seen = under.runtime.observe(under.slot)
    assert seen.process is Process.STOPPED
    assert not seen.ready


def test_one_that_ends_at_once_is_stopped(real: Any) -> None:
    runtime = real.told("--exit-at-once")
    try:
        runtime.start(real.slot, V1, "b1", TestFence())
    except InstanceUnmanageable:
        assert real.kind == "command"  # its status may tell before start returns
    until(lambda: runtime.observe(real.slot).process is Process.STOPPED)
    assert len(real.starts()) == 1


# starting ----------------------------------------------------------------------------------------------


def test_started_it_proves_version_and_build(under: Any) -> None:
    under.runtime.start(under.slot, V1, "b1", TestFence())
    ready(under)
    seen = under.runtime.observe(under.slot)
    assert seen.process is Process.RUNNING
    assert seen.identity == Identity(V1, "b1")
    assert seen.started
    assert seen.note == ""


@pytest.mark.parametrize("build", ["b1", ""])
def test_started_twice_it_runs_once(under: Any, build: str) -> None:
    under.runtime.start(under.slot, V1, "b1", TestFence())
    under.runtime.start(under.slot, V1, build, TestFence())
    born = ready(under)
    under.runtime.start(under.slot, V1, build, TestFence())
    assert ready(under) == born
    assert len(under.starts()) == 1


@pytest.mark.parametrize(("version", "build"), [(V2, "b1"), (V2, ""), (V1, "b2")])
def test_another_version_or_build_is_never_replaced(under: Any, version: Version, build: str) -> None:
    under.runtime.start(under.slot, V1, "b1", TestFence())
    born = ready(under)
    with pytest.raises(InstanceUnmanageable, match=r"1\.0\.0"):
        under.runtime.start(under.slot, version, build, TestFence())
    assert ready(under) == born
    assert len(under.starts()) == 1


def test_a_new_start_has_a_new_name(under: Any) -> None:
    under.runtime.start(under.slot, V1, "b1", TestFence())
    first = ready(under)
    under.kill()
    under.runtime.start(under.slot, V1, "b1", TestFence())
    assert ready(under) != first
    assert len(under.starts()) == 2


def test_a_port_that_is_taken_is_refused_and_left_alone(real: Any) -> None:
    stranger = Stranger("blue", version="1.0.0", port=real.slot.port).start()
    try:
        with pytest.raises(InstanceUnmanageable, match=str(os.getpid()) if real.kind == "process" else "1.0.0"):
            real.runtime.start(real.slot, V1, "b1", TestFence())
        assert real.starts() == []
        seen = real.runtime.observe(real.slot)
        assert seen.process is Process.UNKNOWN  # it may serve
        assert seen.identity == Identity(V1, "b1")
        with pytest.raises(InstanceUnmanageable):
            real.runtime.stop(real.slot, TestFence())
        assert stranger.running
    finally:
        stranger.stop()
    until(lambda: real.runtime.observe(real.slot).process is Process.STOPPED)


# stopping ----------------------------------------------------------------------------------------------


def test_stopped_it_is_stopped_and_stays_so(under: Any) -> None:
    under.runtime.start(under.slot, V1, "b1", TestFence())
    ready(under)
    under.runtime.stop(under.slot, TestFence())
    assert under.runtime.observe(under.slot).process is Process.STOPPED
    under.runtime.stop(under.slot, TestFence())
    assert under.runtime.observe(under.slot).process is Process.STOPPED


def test_what_never_ran_can_be_stopped(under: Any) -> None:
    under.runtime.stop(under.slot, TestFence())
    assert under.runtime.observe(under.slot).process is Process.STOPPED


def test_stopped_it_can_be_started_as_another_version(under: Any) -> None:
    under.runtime.start(under.slot, V1, "b1", TestFence())
    ready(under)
    under.runtime.stop(under.slot, TestFence())
    under.runtime.start(under.slot, V2, "b2", TestFence())
    ready(under, V2, "b2")


def test_one_that_does_not_go_is_told_and_runs_on(real: Any) -> None:
    runtime = real.told("--ignore-term")
    runtime.start(real.slot, V1, "b1", TestFence())
    born = ready(real)
    with pytest.raises(InstanceUnmanageable, match=r"within 0\.5 s"):
        runtime.stop(real.slot, TestFence())
    assert ready(real) == born


# fences ------------------------------------------------------------------------------------------------


def test_who_has_lost_the_lease_changes_nothing(under: Any) -> None:
    lost = TestFence(lost=True)
    with pytest.raises(FencedOut):
        under.runtime.start(under.slot, V1, "b1", lost)
    assert under.starts() == []
    under.runtime.start(under.slot, V1, "b1", TestFence())
    born = ready(under)
    with pytest.raises(FencedOut):
        under.runtime.stop(under.slot, lost)
    assert ready(under) == born


def test_an_older_fence_is_refused_where_the_driver_compares(under: Any) -> None:
    if under.kind == "memory" or not under.runtime.capabilities.compares:
        pytest.skip(f"{under.kind} does not compare fences of slots")
    under.runtime.start(under.slot, V1, "b1", TestFence(token=7))
    born = ready(under)
    stale = TestFence(token=6)
    with pytest.raises(FencedOut):
        under.runtime.stop(under.slot, stale)
    with pytest.raises(FencedOut):
        under.runtime.start(under.slot, V2, "b1", stale)
    assert ready(under) == born
    under.runtime.stop(under.slot, TestFence(token=7))
    with pytest.raises(FencedOut):
        under.runtime.start(under.slot, V1, "b1", stale)
    assert len(under.starts()) == 1


# by hand -----------------------------------------------------------------------------------------------


def test_one_started_by_hand_is_found_and_can_be_stopped(real: Any) -> None:
    commands = real.runtime.by_hand_start(real.slot, V1, "b1")
    assert bash(commands) == 0
    born = ready(real)
    assert born
    real.runtime.start(real.slot, V1, "b1", TestFence())
    assert len(real.starts()) == 1
    with pytest.raises(InstanceUnmanageable):
        real.runtime.start(real.slot, V2, "b1", TestFence())
    real.runtime.stop(real.slot, TestFence())
    assert real.runtime.observe(real.slot).process is Process.STOPPED


def test_one_stopped_by_hand_is_stopped(real: Any) -> None:
    real.runtime.start(real.slot, V1, "b1", TestFence())
    ready(real)
    commands = real.runtime.by_hand_stop(real.slot)
    assert bash(commands) == 0
    assert real.runtime.observe(real.slot).process is Process.STOPPED
    assert bash(commands) == 0
    real.runtime.start(real.slot, V2, "b1", TestFence())
    ready(real, V2)


def test_readiness_by_hand_tells_right_from_wrong(real: Any) -> None:
    real.runtime.start(real.slot, V1, "b1", TestFence())
    assert bash(real.runtime.by_hand_ready(real.slot, V1, "b1")) == 0
    assert bash(real.runtime.by_hand_ready(real.slot, V2, "b1", 1)) != 0
    assert bash(real.runtime.by_hand_ready(real.slot, V1, "b2", 1)) != 0


def test_started_twice_by_hand_runs_once(real: Any) -> None:
    commands = real.runtime.by_hand_start(real.slot, V1, "b1")
    assert bash(commands) == 0
    ready(real)
    assert bash(commands) == 0
    assert bash(real.runtime.by_hand_ready(real.slot, V1, "b1", 10)) == 0
    assert len(real.starts()) == 1

"""What the demo plays: each scenario drives changeover as a person would, and says what must be so in the end."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import psutil

from changeover.core.model import ALL
from changeover.core.steps import load
from changeover.demo.stack import Stack, Unexpected, Wish, write

Play = Callable[[Stack], None]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`about` is one sentence for people; `tune` changes what the environment is started with."""

    name: str
    about: str
    play: Play
    tune: Callable[[Wish], Wish] = lambda wish: wish


def _release(stack: Stack) -> None:
    stack.release("1.1.0")
    stack.serves("1.1.0")
    stack.command("rollback", "--because", "the demo shows the way back", "--yes")
    stack.serves("1.0.0")
    stack.release("1.1.0")
    stack.release("1.2.0")
    stack.serves("1.2.0")
    _cleanup(stack)
    stack.serves("1.2.0")
    stack.command("status")


def _cleanup(stack: Stack) -> None:
    """The point of no return needs the plan's hash: a saved plan, read, then accepted by name."""
    plan = stack.folder / "cleanup.plan"
    stack.command("cleanup", "--out", str(plan), *stack.cleanup_acks())
    stack.command("cleanup", "--plan", str(plan), "--accept-hash", load(plan.read_text()).short)


def _drop_column(stack: Stack) -> None:
    change = stack.folder / "db" / "changes" / "1.1.0.expand.sql"
    change.with_name("1.1.0.yml").unlink(missing_ok=True)
    write(change, "ALTER TABLE orders DROP COLUMN price;\n")
    stack.command("plan", "1.1.0", expect=5)
    stack.serves("1.0.0")


def _bad_version(stack: Stack) -> None:
    stack.faults({"1.1.0": {"errors": 0.3}})
    stack.release("1.1.0", expect=6)
    stack.serves("1.0.0")


def _crash(stack: Stack) -> None:
    """SIGKILL at three moments of one release; resume each time."""
    acks = stack.acks("1.1.0")
    process = stack.spawn("release", "1.1.0", "--build", "build-1.1.0", "--yes", "--wait", *acks)
    for moment in ("backfill", "ready", "bake"):
        stack.until(lambda kind=moment: _reached(stack, kind), f"the run reaches {moment}")  # type: ignore[misc]
        _kill(process)
        stack.say(f"  SIGKILL of changeover at {moment}")
        process = stack.spawn("resume", "--yes")
    _follow(stack, process)
    stack.serves("1.1.0")
    starts = [line for line in stack.starts() if " 1.1.0 " in f" {line} "]
    if len(starts) != 2:
        raise Unexpected(f"each instance of 1.1.0 must be started once; the instances say: {starts}")


def _reached(stack: Stack, kind: str) -> bool:
    return any(line.kind == kind and line.began for line in stack.door().status().steps)


def _follow(stack: Stack, process: subprocess.Popen[str], expect: int = 0) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            stack.say(f"  {line.rstrip()}")
    status = process.wait()
    stack.steps.append({"command": "changeover resume", "exit": status})
    if status != expect:
        raise Unexpected(f"the command ended {status}, not {expect}")


def _kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL of the tool with everything that it runs, but not of the instances: they are not its children."""
    mine = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for one in mine:
        if one.is_running() and os.getpgid(one.pid) == process.pid:
            one.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _unwatched(stack: Stack) -> None:
    """Everything of the tool dies at 25 % while the new version breaks."""
    acks = stack.acks("1.1.0")
    process = stack.spawn("release", "1.1.0", "--build", "build-1.1.0", "--yes", "--wait", *acks)
    stack.until(lambda: _reached(stack, "bake"), "25 % is on 1.1.0")
    _kill(process)
    stack.say("  SIGKILL of everything of changeover at 25 %")
    stack.faults({"1.1.0": {"errors": 0.5}})
    if stack.wish.balancer == "haproxy":
        stack.until(lambda: _home(stack), "the share went home by itself", within=40)
        stack.say("  the share went home by itself: HAProxy evaluated its expiry")
    else:
        stack.command("status", expect=4)
        if "UNWATCHED" not in stack.door().status().watched:
            raise Unexpected("status must say that nobody watches the share")
        stack.say("  this balancer evaluates no expiry; status says UNWATCHED, and a person takes the old version back")
    stack.command("rollback", "--because", "unwatched and broken", "--yes")
    stack.serves("1.0.0")


def _home(stack: Stack) -> bool:
    world = stack.door().status().world
    route = world.route.route
    return route is not None and route.share > 0 and route.share_of(route.live, world.at) == ALL


def _slow_requests(stack: Stack) -> None:
    stack.steer(slow=0.12, slow_seconds=3.0)
    time.sleep(3.0)
    stack.release("1.1.0")
    stack.serves("1.1.0")


def _unready(stack: Stack) -> None:
    green = stack.door().site.ports.runtime.slots("green")
    stack.faults({"never_ready_ports": [green[-1].port]})
    stack.release("1.1.0", expect=1)
    stack.serves("1.0.0")
    if stack.flips():
        raise Unexpected("nothing may flip while an instance is not ready")


SCENARIOS: Mapping[str, Scenario] = {
    s.name: s
    for s in (
        Scenario("release", "to 1.1.0, back, to 1.1.0 again, then 1.2.0 with the owed cleanup of 1.1.0", _release),
        Scenario("drop-column", "a change that would break the running version is refused", _drop_column),
        Scenario("bad-version", "the new version answers errors; the old one is taken back by itself", _bad_version),
        Scenario("crash", "SIGKILL of changeover in mid-release, then resume", _crash, lambda w: replace(w, bake="4s")),
        Scenario(
            "unwatched",
            "everything of changeover dies at 25 % while the new version breaks",
            _unwatched,
            lambda w: replace(w, bake="60s", unwatched="6s"),
        ),
        Scenario(
            "slow-requests", "a flip with 3 s requests in flight", _slow_requests, lambda w: replace(w, shift="[100%]")
        ),
        Scenario("unready", "one staging instance never gets ready: nothing flips", _unready),
    )
}
